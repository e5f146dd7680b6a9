"""Write a clip in one pull, into one file or one per eye, and optionally its depth into another.

A file exists under its final name only if it is complete.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from ...core import cancel
from ...core.clip import Clip, apply
from ...core.files import OutputFile, in_use
from ...core.host import Host
from ...core.meter import Meter
from ...core.output_names import refuse_harm
from ...core.per_eye import TIME
from ...core.pull import pull
from ...core.transforms import Trim
from ..read.clock import frames_of
from .encode import Writer
from .feed import Feed
from .observer import Observer
from .options import EncodeOptions
from .request import ClipFile, RenderRequest, depth_path, files_read, right_path
from .sized import SizedWriter


def write(
    request: RenderRequest,
    host: Host,
    observer: Observer | None = None,
    *,
    also: Sequence[Clip] = (),
    meter: Meter | None = None,
) -> list[Path]:
    """Pull a clip into its files; return the files' paths, ``request.path`` first.

    The observer also receives the chunks of the clips in ``also``, which are pulled in the same pass. For a
    preview only the frames that it contains are computed.

    Raise what ``refuse_harm`` does before the first frame if one of the files is read by the clips, or
    exists and ``overwrite`` is off, and BlockingIOError if another process is writing one of them.
    """
    request.check()
    request, also = _trimmed(request), _within(also, request.settings)
    clips, files = request.clips, request.files
    read = files_read([*clips, *also], host, request.audio)
    refuse_harm(request.paths, read, request.replaces, folders=request.makes_folders)
    observer, meter = observer or Observer(), meter or Meter()
    with ExitStack() as open_files:
        open_files.enter_context(cancel.polling(host.tick))
        outputs = [open_files.enter_context(OutputFile(file.path, request.replaces)) for file in files]
        writers: list[Writer | SizedWriter] = []
        for file, output in reversed(list(zip(files, outputs))):  # the clip's file is completed first
            writer = _writer(request, file, output, host)
            open_files.enter_context(writer)
            writers.insert(0, writer)
        feed = Feed.of([*clips, *also], request.settings, host, request.entry)
        for chunks in open_files.enter_context(closing(pull(feed.clips, host, meter=meter))):
            observer.chunk(chunks[0].shape[TIME], partial(feed.shown, chunks))
            with meter.turn("Encode"):
                for file, encoder in zip(files, writers):
                    feed.write(encoder, file, chunks)
            meter.count("Encode", chunks[0].shape[TIME])
    return [output.path for output in outputs]


def _trimmed(request: RenderRequest) -> RenderRequest:
    clip, *depth = _within(request.clips, request.settings)
    return replace(request, clip=clip, depth=depth[0] if depth else None)


def _within(clips: Sequence[Clip], settings: EncodeOptions) -> list[Clip]:
    """Trim the clips to the length of a file with these settings."""
    return [_cut(clip, frames_of(clip.info, settings)) for clip in clips]


def _cut(clip: Clip, stop: int) -> Clip:
    return clip if stop == clip.info.frames else apply(Trim(0, stop), clip)["clip"]


def _writer(request: RenderRequest, file: ClipFile, output: OutputFile, host: Host) -> Writer | SizedWriter:
    info, audio, metadata = request.info(file), request.sound(file), request.tags
    if not file.settings.size_mb:
        return Writer(output, info, file.settings, audio=audio, metadata=metadata, entry=request.entry)
    return SizedWriter(output, info, file.settings, audio=audio, metadata=metadata, tick=host.tick)


def free_path(folder: Path, prefix: str, tag: str, suffix: str, taken: Container[Path] = ()) -> Path:
    """Return the first unused ``<folder>/<prefix>_00001<tag><suffix>`` that is not ``taken``."""
    base = folder / prefix
    paths = (base.with_name(f"{base.name}_{number:05}{tag}{suffix}") for number in count(1))
    return next(path for path in paths if not _is_used(path, taken))


def _is_used(path: Path, taken: Container[Path]) -> bool:
    files = path, depth_path(path), right_path(path)
    return any(os.path.lexists(file) or file in taken or in_use(file) for file in files)
