"""Writing a clip: one pull, one file (and one more for its depth), whole under the final name or not there at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

from torch import Tensor

from .clip import Clip
from .host import Host
from .media.encode import Writer
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
    """Pull the clip into ``path``, and ``depth`` in the same pass into ``<path>_depth``; the files' paths.

    ``watch`` sees the chunks of the clip, of its depth if given, and of the clips in ``also``, before they are encoded;
    ``audio`` replaces the clip's own sound.
    """
    clips, paths = [clip], [path]
    if depth is not None:
        clips.append(depth)
        paths.append(depth_path(path))
    meter = meter or Meter()
    with ExitStack() as open_files:
        writers = []
        for one, target in reversed(list(zip(clips, paths))):  # the clip's file is completed first
            sound = (audio or one.info.audio) if one is clip else None
            info = one.info.replace(fps=clip.info.fps, times=clip.info.times)
            writers.insert(0, open_files.enter_context(Writer(target, info, settings, audio=sound, metadata=metadata)))
        for chunks in open_files.enter_context(closing(pull([*clips, *also], host, meter=meter))):
            if watch:
                watch(chunks)
            with meter.turn("Encode"):
                for writer, chunk in zip(writers, chunks):
                    writer.write(chunk)
            meter.count("Encode", chunks[0].shape[-4])
    return paths


def free_path(folder: Path, prefix: str, tag: str, suffix: str) -> Path:
    """The first unused ``<folder>/<prefix>_00001<tag><suffix>``; makes the folder."""
    base = folder / prefix
    base.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while (path := base.with_name(f"{base.name}_{number:05}{tag}{suffix}")).exists() or depth_path(path).exists():
        number += 1
    return path


def depth_path(path: Path) -> Path:
    """Where the depth of a video goes."""
    return path.with_name(f"{path.stem}_depth{path.suffix}")
