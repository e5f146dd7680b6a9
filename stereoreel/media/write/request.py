"""A request to write a clip, the output files, and the files that it is computed from."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ...core.clip import Clip, ClipInfo, Samples, Soundtrack, Step
from ...core.excerpt import makers_of
from ...core.host import Host
from ..layouts.layout import TWO_FILES, WITH_DEPTH, file_tag
from ..paths import LONGEST_NAME, shortened
from ..read.decode import FileSource
from ..subtitles.choose import burned, track_of
from .devices import device
from .encode import output_size
from .fit_to_file import fit_to_file
from .options import EncodeOptions, check, preset
from .presets import Preset

SOURCE_NAME = "%source%"  # in a filename prefix
ADDED = 48  # bytes of a file's name for its number, its layout and its ending
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class RenderRequest:
    """A clip to write into ``path``, and ``depth`` in the same pass into ``<path>_depth``.

    The layout two_files writes the right eye into a separate file, ``right_path``; rgbd and half_rgbd put the
    depth into the clip's frames. ``audio`` replaces the clip's own audio, ``metadata`` are tags of the files.
    An existing file is replaced only with ``overwrite``. ``entry`` is the preset, if it is not the settings'
    own. Clips are changed into what the file can hold; ``losses`` says how.
    """

    clip: Clip
    path: Path
    settings: EncodeOptions
    depth: Clip | None = None
    audio: Soundtrack | Samples | None = None
    metadata: Mapping[str, str] | None = None
    overwrite: bool = False
    entry: Preset | None = None
    losses: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        losses: list[str] = []
        for name in ("clip", "depth"):
            if one := getattr(self, name):
                fitting, lost = fit_to_file(one, self.settings, self.entry)
                object.__setattr__(
                    self, name, with_subtitles(fitting, self.settings) if name == "clip" else fitting
                )
                losses += lost
        object.__setattr__(self, "losses", tuple(dict.fromkeys(losses)))

    @property
    def choice(self) -> str:
        """What was chosen for the device, in a line; empty without one."""
        if (chosen := device(self.settings.device)) is None:
            return ""
        width, height = output_size(self.clip.info, self.settings)
        return (
            f"For {chosen.title}: {self.settings.format}, {self.settings.layout}, {width} x {height} pixels, "
            f"for the comfort of a {chosen.screen} screen."
        )

    @property
    def clips(self) -> list[Clip]:
        return [self.clip] if self.depth is None else [self.clip, self.depth]

    @property
    def files(self) -> list[ClipFile]:
        return files_of(self.clips, self.path, self.settings)

    @property
    def paths(self) -> list[Path]:
        """The output files, ``path`` first."""
        return [file.path for file in self.files]

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of the files: those of the clip's only source, such as its title, and ``metadata``.

        Previews have no tags of their source.
        """
        sources = {
            maker.facts.path: maker.facts for maker in makers_of([self.clip]) if isinstance(maker, FileSource)
        }
        one = len(sources) == 1 and not (self.entry or preset(self.settings)).limits
        return {**(next(iter(sources.values())).tags if one else {}), **(self.metadata or {})}

    @property
    def makes_folders(self) -> bool:
        """Whether the outputs are folders of pictures, which are never replaced."""
        return bool(preset(self.settings).pictures)

    @property
    def replaces(self) -> bool:
        """Whether the outputs may replace files of their names."""
        return self.overwrite and not self.makes_folders

    def check(self) -> None:
        """Raise ValueError if the encoder cannot write such a clip; warn of what the file cannot hold."""
        for loss in self.losses:
            warnings.warn(loss, stacklevel=3)
        check(self.clip.info, self.settings, self.depth.info if self.depth else None)

    def info(self, file: ClipFile) -> ClipInfo:
        """Return the facts of a file's clip, at the rate of the first clip."""
        return timed(self.clips, file.clip)

    def sound(self, file: ClipFile) -> Soundtrack | Samples | None:
        """Return the audio of a file, without subtitles that its frames show; None for the depth file."""
        if file.clip:
            return None
        audio, track = self.audio or self.clip.info.audio, track_of(self.clip)
        if track and track.stream is not None and isinstance(audio, Soundtrack) and audio.file == track.file:
            return replace(audio, without=(track.stream,))
        return audio


class ClipFile(NamedTuple):
    """An output file: the number of its clip, its path, and its encoder settings."""

    clip: int
    path: Path
    settings: EncodeOptions

    @property
    def shows_depth(self) -> bool:
        return self.settings.layout in WITH_DEPTH


def files_of(clips: Sequence[Clip], path: Path, settings: EncodeOptions) -> list[ClipFile]:
    """Return the files into which clips are written, the first clip's own first."""
    files = _eyes(0, clips[0], path, settings)
    if len(clips) == 1 or settings.layout in WITH_DEPTH:
        return files
    return files + _eyes(1, clips[1], depth_path(path), replace(settings, size_mb=0.0))


def _eyes(number: int, clip: Clip, path: Path, settings: EncodeOptions) -> list[ClipFile]:
    if settings.layout != TWO_FILES or clip.info.views == 1:
        return [ClipFile(number, path, settings)]
    eyes = {"left": path, "right": right_path(path)}
    return [ClipFile(number, target, replace(settings, layout=eye)) for eye, target in eyes.items()]


def timed(clips: Sequence[Clip], number: int) -> ClipInfo:
    """Return the facts of a clip, at the rate and times of the first one."""
    first = clips[0].info
    return clips[number].info.replace(fps=first.fps, times=first.times)


def files_read(clips: Sequence[Clip], host: Host, audio: Soundtrack | Samples | None = None) -> list[Path]:
    """Return every file that computing these clips reads: sources, audio, weights.

    Raise FileNotFoundError if weights are missing.
    """
    files = [maker.facts for maker in makers_of(clips) if isinstance(maker, FileSource)]
    sources = [path for facts in files for path in facts.pictures or [facts.path]]
    tracks = (audio, *(clip.info.audio for clip in clips))
    sounds = [sound.file for sound in tracks if isinstance(sound, Soundtrack)]
    recipes = [maker.recipe for maker in makers_of(clips) if isinstance(maker, Step)]
    weights = [file for recipe in recipes if hasattr(recipe, "files") for file in recipe.files(host)]
    return list(dict.fromkeys([*sources, *sounds, *weights]))


def with_subtitles(clip: Clip, settings: EncodeOptions) -> Clip:
    """Return a clip with the subtitles that are to be burned into it."""
    if settings.subtitles != "burn":
        return clip
    return burned(clip, settings.subtitle_source, settings.subtitle_depth, settings.subtitle_size)


def named_after(prefix: str, clip: Clip) -> str:
    """Return a filename prefix with the name of the clip's source file, without its suffix, for ``%source%``.

    A clip that comes from no file is called ``clip``. A long name is shortened, so that the file's name and
    the folders' names fit.
    """
    sources = [maker.facts.path.stem for maker in makers_of([clip]) if isinstance(maker, FileSource)]
    name = CONTROL.sub("_", next(iter(sources), "clip")).replace("\\", "_").strip(". ") or "clip"

    def filled(part: str) -> str:
        room = LONGEST_NAME - ADDED - len(os.fsencode(part.replace(SOURCE_NAME, "")))
        return part.replace(SOURCE_NAME, shortened(name, room // part.count(SOURCE_NAME)))

    parts = re.split(r"([/\\])", prefix)
    return "".join(filled(part) if SOURCE_NAME in part else part for part in parts)


def depth_path(path: Path) -> Path:
    """Return the path of a video's depth file."""
    return path.with_name(f"{path.stem}_depth{path.suffix}")


def right_path(path: Path) -> Path:
    """Return the right eye's path for the layout two_files: ``_R`` instead of ``_L``, or after the name."""
    return path.with_name(f"{path.stem.removesuffix(file_tag(TWO_FILES))}_R{path.suffix}")
