"""The tags of a container that also hold for a film made from it."""

from __future__ import annotations

from collections.abc import Mapping

# Not: encoder, brands and times of the container; the place of a recording, which is private; comments, in
# which other tools keep their workflows.
KEPT = (
    "title",
    "artist",
    "album",
    "album_artist",
    "composer",
    "genre",
    "date",
    "description",
    "synopsis",
    "show",
    "season_number",
    "episode_id",
    "episode_sort",
    "network",
    "copyright",
    "creation_time",
)


def kept_tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the tags to copy, under FFmpeg's names."""
    tags = {name.lower(): text for name, text in metadata.items()}
    return {name: tags[name] for name in KEPT if tags.get(name)}
