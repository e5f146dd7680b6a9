"""Which subtitles are burned: a file, a track of the video by number or language, or what fits best."""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import PIL
from av.stream import Disposition
from av.subtitles.codeccontext import SubtitleCodecContext

from ...core.clip import Clip, ClipInfo, Soundtrack, Step, apply, makers_of
from ...core.file_cache import FileCache
from ...core.numbered import names_pictures
from ...core.options import shown
from ..paths import check_file
from ..read.container import open_media
from ..read.decode import FileSource
from ..read.probe import picture_span
from .burn import Burn, Track, reach
from .cues import PICTURES, READERS, TEXT, read_file, read_stream
from .languages import codes_of
from .lines import Lines

log = logging.getLogger(__name__)
AUTO = "auto"
LANGUAGE = re.compile(r"[\w -]{1,64}")  # a code, a tag, or what a file name has in its place


class Span(NamedTuple):
    """Which seconds of a video a clip shows, and how many it takes for one of its own."""

    start: Fraction
    pace: Fraction
    duration: Fraction


def names_file(wanted: str) -> bool:
    """Whether a choice of subtitles is the name of a file."""
    return Path(wanted).suffix.lower() in READERS


def burned(clip: Clip, wanted: str, forward: float, size: float) -> Clip:
    """Return a clip with subtitles in its frames; one that has them is returned unchanged.

    ``wanted`` is ``auto``, a language, a number from 1 on, or a file. ``forward`` moves lines towards the
    viewer, in percent of the width; ``size`` scales text, in percent. Raise ValueError or OSError if there
    are no such subtitles, or they cannot be read.
    """
    if track_of(clip):
        return clip
    for name, works in (
        ("PyAV 16", hasattr(SubtitleCodecContext, "encode_subtitle")),
        ("Pillow 10.1", tuple(map(int, PIL.__version__.split(".")[:2])) >= (10, 1)),
    ):
        if not works:
            raise ValueError(f"Burning subtitles needs {name} or newer. Update it, or set subtitles to keep.")
    sources = {one.facts.path: one for one in makers_of([clip]) if isinstance(one, FileSource)}
    source = next(iter(sources.values())) if len(sources) == 1 else None
    audio = clip.info.audio if isinstance(clip.info.audio, Soundtrack) else None
    video = audio.file if audio else source.facts.path if source else None
    track = _chosen(video, wanted.strip() or AUTO)
    span = _span(clip.info, audio, source)
    cache = source.files if source else FileCache()
    lines = cache.get(track.file, (track, span, size), lambda: _lines(track, audio, span, size / 100))
    return apply(Burn(lines, track, forward, reach(clip.info)), clip)["clip"]


def track_of(clip: Clip) -> Track | None:
    """Return the track that is burned into a clip."""
    recipes = [maker.recipe for maker in makers_of([clip]) if isinstance(maker, Step)]
    return next((recipe.track for recipe in recipes if isinstance(recipe, Burn)), None)


def _span(info: ClipInfo, audio: Soundtrack | None, source: FileSource | None) -> Span:
    """Return the seconds of a clip; without audio those of its source, which a stage may have slowed down."""
    if audio:
        return Span(audio.start, audio.pace, info.duration)
    if source is None:
        return Span(Fraction(0), Fraction(1), info.duration)
    start = source.facts.time(source.window[0])
    return Span(start, source.info.duration / info.duration, info.duration)


def _lines(track: Track, audio: Soundtrack | None, span: Span, size: float) -> Lines:
    if track.stream is None or audio is None:
        cues = read_file(track.file)
    else:
        start, _, joins = picture_span(audio)
        cues = read_stream(track.file, track.stream, start, joins)
    cues = cues.within(*span)
    if not cues.lines:
        log.warning("The subtitles of %s have no line in this part of the video.", track.file.name)
    return Lines(cues, size)


def _chosen(video: Path | None, wanted: str) -> Track:
    """Return the file or the track that is wanted; raise ValueError naming those that there are."""
    if names_file(wanted):
        return Track(_file(wanted, video))
    if not LANGUAGE.fullmatch(wanted):
        raise ValueError(
            f"subtitle_source is {shown(wanted)}, which is neither a language, a number nor a file. "
            "Set it to auto, to a language such as eng, to a number, or to a file such as film.srt."
        )
    beside = _beside(video, "" if wanted == AUTO else wanted) if video else None
    if beside:
        return Track(beside)
    tracks = _tracks(video) if video else []
    name = video.name if video else "The clip"
    if not tracks:
        named = "of its name" if wanted == AUTO else f"of its name and .{wanted}"
        raise ValueError(
            f"{name} has no subtitles to burn, and no .srt, .ass or .vtt file {named} is next to it. "
            "Name a file in subtitle_source, or set subtitles to keep."
        )
    assert video
    if wanted == AUTO:
        return Track(video, min(tracks, key=lambda one: (one.forced, not one.default)).number)
    if wanted.isdecimal():
        found = tracks[int(wanted) - 1 : int(wanted)] if int(wanted) else []
    else:
        found = [one for one in tracks if one.language.lower() == wanted.lower()]
        found = found or [one for one in tracks if one.language and _speaks(one.language, wanted)]
    if not found:
        known = ", ".join(f"{number} ({one.language or 'unknown'})" for number, one in enumerate(tracks, 1))
        raise ValueError(
            f"{name} has no subtitles {shown(wanted)}. Set subtitle_source to one of {known}, or to auto."
        )
    return Track(video, min(found, key=lambda one: (one.forced, not one.default)).number)


def _file(wanted: str, video: Path | None) -> Path:
    """Return the path of a file, which may be named relative to the video's folder."""
    beside = [video.parent / wanted] if video else []
    path = next((path for path in (*beside, Path(wanted)) if path.is_file()), Path(wanted))
    check_file(path)
    return path


def _beside(video: Path, language: str) -> Path | None:
    """Return the file of the video's name with subtitles; with a language, as in film.eng.srt or film.en.srt.

    A link that leads to another folder does not count, because a graph may not read what is there.
    """
    if names_pictures(video):
        return None
    endings = [f".{code}" for code in (language, *codes_of(language))] if language else [""]
    names = [f"{video.stem}{ending}" for ending in dict.fromkeys(endings)]
    for path in (video.with_name(f"{name}{suffix}") for name in names for suffix in READERS):
        if path.is_file() and path.resolve().parent == path.parent.resolve():
            return path
    return None


class _Stream(NamedTuple):
    number: int
    language: str
    default: bool
    forced: bool


def _tracks(video: Path) -> list[_Stream]:
    """Return the streams of a video that can be burned."""
    if names_pictures(video):
        return []
    with open_media(video) as container:
        return [
            _Stream(
                stream.index,
                stream.metadata.get("language", ""),
                bool(stream.disposition & Disposition.default),
                bool(stream.disposition & Disposition.forced),
            )
            for stream in container.streams.subtitles
            if stream.codec_context and stream.codec_context.codec.canonical_name in (*TEXT, *PICTURES)
        ]


def _speaks(language: str, wanted: str) -> bool:
    """Whether two codes or tags name the same language; regions and scripts do not count."""
    return not set(codes_of(language)).isdisjoint(codes_of(wanted))
