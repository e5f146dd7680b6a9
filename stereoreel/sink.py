"""Writing a clip: one pull, one file (or one for each eye, and one more for its depth), whole under the final name or not there at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from torch import Tensor

from .clip import Clip
from .host import Host
from .media.encode import Writer
from .media.layout import TWO_FILES, file_tag
from .meter import Meter
from .pull import pull


def write(
    clip: Clip,
    path: Path,
    settings: SimpleNamespace,
    host: Host,
    *,
    depth: Clip | None = None,
    audio=None,
    metadata: Mapping[str, str] | None = None,
    also: Sequence[Clip] = (),
    watch: Callable[[tuple[Tensor, ...]], None] | None = None,
    meter: Meter | None = None,
) -> list[Path]:
    """Pull the clip into ``path``, and ``depth`` in the same pass into ``<path>_depth``; the files' paths, ``path`` first.

    The layout two_files puts the right eye into a file of its own, ``right_path``. ``watch`` sees the chunks of the clip, of its depth
    if given, and of the clips in ``also``, before they are encoded; ``audio`` replaces the clip's own sound.
    """
    clips = [clip] if depth is None else [clip, depth]
    targets = enumerate(zip(clips, (path, depth_path(path))))
    files = [file for number, (one, target) in targets for file in _files(number, one, target, settings)]
    meter = meter or Meter()
    with ExitStack() as open_files:
        writers = []
        for file in reversed(files):  # the clip's file is completed first
            info = clips[file.clip].info.replace(fps=clip.info.fps, times=clip.info.times)
            sound = None if file.clip else audio or clip.info.audio
            writers.insert(0, open_files.enter_context(Writer(file.path, info, file.settings, audio=sound, metadata=metadata)))
        for chunks in open_files.enter_context(closing(pull([*clips, *also], host, meter=meter))):
            if watch:
                watch(chunks)
            with meter.turn("Encode"):
                for file, writer in zip(files, writers):
                    writer.write(chunks[file.clip])
            meter.count("Encode", chunks[0].shape[-4])
    return [file.path for file in files]


class _File(NamedTuple):
    """Which of the clips goes where, and how."""

    clip: int
    path: Path
    settings: SimpleNamespace


def _files(number: int, clip: Clip, path: Path, settings: SimpleNamespace) -> list[_File]:
    if settings.layout != TWO_FILES or clip.info.views == 1:
        return [_File(number, path, settings)]
    eyes = {"left": path, "right": right_path(path)}
    return [_File(number, target, SimpleNamespace(**{**vars(settings), "layout": eye})) for eye, target in eyes.items()]


def free_path(folder: Path, prefix: str, tag: str, suffix: str) -> Path:
    """The first unused ``<folder>/<prefix>_00001<tag><suffix>``; makes the folder."""
    base = folder / prefix
    base.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = base.with_name(f"{base.name}_{number:05}{tag}{suffix}")
        if not any(file.exists() for file in (path, depth_path(path), right_path(path))):
            return path


def depth_path(path: Path) -> Path:
    """Where the depth of a video goes."""
    return path.with_name(f"{path.stem}_depth{path.suffix}")


def right_path(path: Path) -> Path:
    """Where the right eye of a video goes whose left one is in a file of its own: ``_R`` instead of ``_L``, or after the name."""
    return path.with_name(f"{path.stem.removesuffix(file_tag(TWO_FILES))}_R{path.suffix}")
