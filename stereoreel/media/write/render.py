"""Writing a clip: one pull, one file (or one for each eye, and one more for its depth), whole under the final name or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ...core import cancel
from ...core.clip import Clip, ClipInfo, Samples, Soundtrack, Step, apply
from ...core.excerpt import makers_of
from ...core.files import OutputFile, in_use, refuse_harm
from ...core.host import Host
from ...core.meter import Meter
from ...core.pull import pull
from ...core.transforms import Trim
from ..layouts.layout import TWO_FILES, WITH_DEPTH, file_tag
from ..read.clock import frames_of
from ..read.decode import FileSource
from .encode import Writer
from .options import EncodeOptions, check
from .sized import SizedWriter


def write(
    clip: Clip,
    path: Path,
    settings: EncodeOptions,
    host: Host,
    *,
    depth: Clip | None = None,
    audio=None,
    metadata: Mapping[str, str] | None = None,
    also: Sequence[Clip] = (),
    watch: Callable[[tuple[Tensor, ...]], None] | None = None,
    meter: Meter | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Pull the clip into ``path``, and ``depth`` in the same pass into ``<path>_depth``; the files' paths, ``path`` first.

    The layout two_files puts the right eye into a file of its own, ``right_path``; rgbd and half_rgbd put the depth into the clip's
    picture. ``watch`` sees the chunks of the clip, of its depth if given, and of the clips in ``also``, before they are encoded;
    ``audio`` replaces the clip's own sound. Of a preview only what it shows is computed.

    Raises what ``files.refuse_harm`` does before the first frame if one of the files is read by the clips, or exists and
    ``overwrite`` is off, and BlockingIOError if another process is writing one of them.
    """
    check(clip.info, settings, depth and depth.info)
    clips, also = _within([clip] if depth is None else [clip, depth], settings), _within(also, settings)
    files = files_of(clips, path, settings)
    refuse_harm([file.path for file in files], files_read([*clips, *also], host, audio), overwrite)
    meter = meter or Meter()
    with ExitStack() as open_files:
        open_files.enter_context(cancel.heard(host.tick))
        outputs = [open_files.enter_context(OutputFile(file.path, overwrite)) for file in files]
        writers = []
        for file, output in reversed(list(zip(files, outputs))):  # the clip's file is completed first
            info = clips[file.clip].info.replace(fps=clips[0].info.fps, times=clips[0].info.times)
            sound = None if file.clip else audio or clips[0].info.audio
            writers.insert(0, open_files.enter_context(_writer(file, output, info, sound, metadata, host)))
        for chunks in open_files.enter_context(closing(pull([*clips, *also], host, meter=meter))):
            if watch:
                watch(chunks)
            with meter.turn("Encode"):
                for file, writer in zip(files, writers):
                    writer.write(chunks[file.clip], chunks[1] if file.shows_depth else None)
            meter.count("Encode", chunks[0].shape[-4])
    return [output.path for output in outputs]


def files_read(clips: Sequence[Clip], host: Host, audio: Soundtrack | Samples | None = None) -> list[Path]:
    """Every file that computing these clips reads: sources, sound, weights. FileNotFoundError if weights are missing."""
    sources = [maker.facts.path for maker in makers_of(clips) if isinstance(maker, FileSource)]
    sounds = [sound.file for sound in (audio, *(clip.info.audio for clip in clips)) if isinstance(sound, Soundtrack)]
    recipes = [maker.recipe for maker in makers_of(clips) if isinstance(maker, Step)]
    weights = [file for recipe in recipes if hasattr(recipe, "files") for file in recipe.files(host)]
    return list(dict.fromkeys([*sources, *sounds, *weights]))


def _within(clips: Sequence[Clip], settings: EncodeOptions) -> list[Clip]:
    """The clips, as far as a file with these settings goes."""
    ends = [frames_of(clip.info, settings) for clip in clips]
    return [clip if end == clip.info.frames else apply(Trim(0, end), clip)["clip"] for clip, end in zip(clips, ends)]


class _File(NamedTuple):
    """Which of the clips goes where, and how."""

    clip: int
    path: Path
    settings: EncodeOptions

    @property
    def shows_depth(self) -> bool:
        return self.settings.layout in WITH_DEPTH


def files_of(clips: list[Clip], path: Path, settings: EncodeOptions) -> list[_File]:
    """The files that clips are written into, the clip's own first."""
    files = _eyes(0, clips[0], path, settings)
    if len(clips) == 1 or settings.layout in WITH_DEPTH:
        return files
    return files + _eyes(1, clips[1], depth_path(path), replace(settings, size_mb=0.0))


def _eyes(number: int, clip: Clip, path: Path, settings: EncodeOptions) -> list[_File]:
    if settings.layout != TWO_FILES or clip.info.views == 1:
        return [_File(number, path, settings)]
    eyes = {"left": path, "right": right_path(path)}
    return [_File(number, target, replace(settings, layout=eye)) for eye, target in eyes.items()]


def _writer(file: _File, output: OutputFile, info: ClipInfo, audio, metadata: Mapping[str, str] | None,
            host: Host) -> Writer | SizedWriter:
    if not file.settings.size_mb:
        return Writer(output, info, file.settings, audio=audio, metadata=metadata)
    return SizedWriter(output, info, file.settings, audio=audio, metadata=metadata, tick=host.tick)


def free_path(folder: Path, prefix: str, tag: str, suffix: str, taken: Container[Path] = ()) -> Path:
    """The first unused ``<folder>/<prefix>_00001<tag><suffix>`` that is not ``taken``."""
    base = folder / prefix
    for number in count(1):
        path = base.with_name(f"{base.name}_{number:05}{tag}{suffix}")
        if not any(os.path.lexists(file) or file in taken or in_use(file) for file in (path, depth_path(path), right_path(path))):
            return path


def depth_path(path: Path) -> Path:
    """Where the depth of a video goes."""
    return path.with_name(f"{path.stem}_depth{path.suffix}")


def right_path(path: Path) -> Path:
    """Where the right eye of a video goes whose left one is in a file of its own: ``_R`` instead of ``_L``, or after the name."""
    return path.with_name(f"{path.stem.removesuffix(file_tag(TWO_FILES))}_R{path.suffix}")
