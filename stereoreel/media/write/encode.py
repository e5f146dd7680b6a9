"""Encode a clip into a file, the video in its own thread; the file gets its final name when complete.

``with Writer(path, info, settings) as writer: writer.write(chunk) …``. Leaving the block completes the file.
Leaving it by an exception, a cancel or Ctrl-C removes what was written and keeps an existing file of that
name unchanged.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import TypeAlias, TypeVar

import av
import av.error
import numpy as np
from torch import Tensor

from ...core import cancel
from ...core.clip import ClipInfo, Samples, Soundtrack
from ...core.files import PartFile
from ...core.system_errors import plain_errors
from ...image.resize import fitted_size
from ..layouts.arrangement import Arrangement, arranged
from ..layouts.layout import packed_size, panes
from ..plane_frames import PlaneFrames
from ..read.clock import Clock, Taken
from .codec import Rate, has_layers
from .device_planes import DevicePlanes, GivenPlanes, HostPlanes
from .hardware import chosen
from .layers import halves
from .media_file import EncoderJob, MediaFile
from .options import EncodeOptions, preset
from .picture import Pictures, coded_size
from .picture_folder import PictureFolder
from .presets import Preset

CHUNKS_WAITING = 2  # chunks queued for the encoder, so that it works while the next one is computed

# a frame's number, the number at which it ends, and the quantised or decoded frame of each encoder
Levels: TypeAlias = (
    "tuple[int, int, list[np.ndarray | DevicePlanes | HostPlanes] | list[GivenPlanes] | list[av.VideoFrame]]"
)
Self = TypeVar("Self", bound="Writer")


def output_size(info: ClipInfo, settings: EncodeOptions) -> tuple[int, int]:
    """Return width and height of the file that ``Writer`` makes.

    The frames are packed, downscaled for a preview, and padded by repeating the edge if sizes must be even.
    A stream of layers has the size of one view.
    """
    entry = preset(settings)
    size = _shown(info, settings, entry)
    return coded_size(fitted_size(*size, entry.limits.side if entry.limits else 0), entry.pix_fmt)


def _shown(info: ClipInfo, settings: EncodeOptions, entry: Preset) -> tuple[int, int]:
    """Return the size of the frames of one encoder."""
    width, height = packed_size(info, settings.packing, settings.vr180_field)
    return (width // 2 if has_layers(info, entry) else width), height


class Writer:
    """Writes one video file, or a folder of numbered pictures.

    ``info`` gives size, views, rate (or times) and colour; ``settings`` are those of Encode Video. ``audio``
    is ``info.audio``, other audio, or None. ``metadata`` is stored as text under its own names. ``entry`` is
    the preset, if it is not the settings' own; ``rate`` replaces its quality. ``frames`` counts the frames
    written so far, ``coded`` the bytes of video. ``path`` is the file name, which is replaced, or a
    ``PartFile`` that defines how it is published.
    """

    def __init__(
        self,
        path: str | os.PathLike | PartFile,
        info: ClipInfo,
        settings: EncodeOptions,
        *,
        audio: Soundtrack | Samples | None = None,
        metadata: Mapping[str, str] | None = None,
        entry: Preset | None = None,
        rate: Rate | None = None,
    ):
        self._file = path if isinstance(path, PartFile) else PartFile(Path(path))
        self.frames, self.coded = 0, 0
        self._info, self._settings, self._audio, self._metadata = info, settings, audio, dict(metadata or {})
        packed = packed_size(info, settings.packing, settings.vr180_field)
        self._entry, self.rate = entry or chosen(info, settings, packed), rate
        self._layered = has_layers(info, self._entry)
        size = _shown(info, settings, self._entry)
        limits = self._entry.limits
        self._clock = Clock(info, self._entry.clock)
        self._pictures = Pictures(
            size,
            info.color,
            self._entry.pix_fmt,
            limits.side if limits else 0,
            info.pixel_aspect,
            depth=info.channels == 1,
            half=self._entry.options.get("format") == "half",
        )
        self._taken = Taken(info, limits)
        self._output: MediaFile | PictureFolder | None = None
        self._waiting: deque[Future] = deque()
        self._lengths: dict[int, int] = {}
        self._encoded, self._stopped = 0, False

    @property
    def path(self) -> Path:
        """The file's name."""
        return self._file.path

    def __enter__(self: Self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        with contextlib.ExitStack() as undo:
            undo.callback(self._discard)
            self._open()
            undo.pop_all()
        return self

    def write(self, chunk: Tensor, depth: Tensor | None = None) -> None:
        """Queue frames ``[T, H, W, C]`` or two views ``[2, T, H, W, C]``; wait while two chunks are queued.

        ``depth`` of the same frames is for layouts that show it. Also raises the error of an earlier chunk.
        """
        # Frame by frame, so that no second chunk of floats is in memory.
        layout, field = self._settings.packing, self._settings.vr180_field
        depths = repeat(None) if depth is None else depth.split(1, dim=-4)
        levels: list[Levels] = []
        for frame, far in zip(chunk.split(1, dim=-4), depths):
            if (span := next(self._taken)) is not None:
                turn = self.frames // self._taken.turn
                if (both := arranged(frame, layout)) is not None:
                    views: list[Sequence[Tensor | Arrangement]] = [(both,)]
                else:
                    parts = [part[0] for part in panes(frame, layout, field, depth=far, turn=turn)]
                    views = [(view,) for view in parts[0].chunk(2, dim=1)] if self._layered else [parts]
                levels.append((*span, [self._pictures.quantize(*view) for view in views]))
                self.frames += 1
        self._submit(levels)

    def write_planes(self, chunk: Tensor, frames: PlaneFrames) -> None:
        """Queue frames ``[T, 1, 1, N]`` as the encoder gets them, in the matrix of the clip."""
        levels: list[Levels] = []
        for values in chunk.flatten(1):
            if (span := next(self._taken)) is not None:
                levels.append((*span, [GivenPlanes(values, frames.width, frames.height, frames.format)]))
                self.frames += 1
        self._submit(levels)

    def rewrite(self, frame: av.VideoFrame) -> None:
        """Queue a frame that is packed already, read from another file with the same settings."""
        if (span := next(self._taken)) is not None:
            self._submit([(*span, halves(frame) if self._layered else [frame])])
            self.frames += 1

    def _submit(self, levels: list[Levels]) -> None:
        while len(self._waiting) >= CHUNKS_WAITING:
            self._result(self._waiting.popleft())
        self._waiting.append(self._thread.submit(self._encode, levels))

    def __exit__(self, kind, error, trace) -> None:
        with contextlib.ExitStack() as undo:
            undo.callback(self._discard)
            if kind is not None:
                return
            if not self.frames:
                raise ValueError(
                    f"The clip has no frames to write into {self.path.name}. Choose another part of it."
                )
            for future in (*self._waiting, self._thread.submit(self._finish)):
                self._result(future)
            self._file.publish()
            undo.pop_all()
        self._thread.shutdown()

    def _open(self) -> None:
        part = self._file.create(folder=bool(self._entry.pictures))
        job = EncoderJob(
            self._info, self._settings, self._entry, self._pictures, self._clock, self.rate,
            self._audio, self._metadata,
        )  # fmt: skip
        self._output = (PictureFolder if self._entry.pictures else MediaFile)(part, job)
        with self._plain_errors():
            self._output.begin()

    def _result(self, future: Future) -> None:
        with self._plain_errors():
            cancel.wait_result(future)

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            with plain_errors(self.path):
                yield
        except av.error.FFmpegError as error:
            raise OSError(f"{self.path.name} could not be written: {error.strerror}.") from error

    def _discard(self) -> None:
        """Stop and remove the file; a busy encoder ends in its thread, asynchronously."""
        self._stopped = True
        for future in self._waiting:
            future.cancel()
        # before closing, so that closing does not move the film's index to its beginning
        self._file.discard()
        self._thread.submit(self._abandon)
        # Windows cannot remove an open file, and a codec that writes statistics keeps its folder open.
        self._thread.shutdown(wait=os.name == "nt" or self.rate is not None)
        self._file.discard()

    # What follows runs in the encoder's thread.

    def _encode(self, levels: list[Levels]) -> None:
        assert self._output
        for index, following, views in levels:
            if self._stopped:
                return
            tick = self._clock.tick(index)
            self._encoded = following
            self._lengths[tick] = self._clock.tick(following) - tick
            frames = [self._pictures.frame(view, tick, self._clock.unit) for view in views]
            self._mux(self._output.encode(frames, index))

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        assert self._output
        for packet in packets:
            if self._stopped:
                raise cancel.Stopped
            pts, dts = packet.pts, packet.dts
            assert pts is not None and dts is not None  # every encoder sets both
            packet.duration = self._lengths.pop(pts)
            if not -self._clock.tick(self._encoded) <= dts <= pts:
                packet.dts = dts = pts  # x265 leaves it uninitialised in films of one or two frames
            self._output.sound(self._clock.seconds(dts))
            self.coded += packet.size
            self._output.put(packet)

    def _finish(self) -> None:
        assert self._output
        self._mux(self._output.flush())
        end = self._clock.tick(self._encoded)
        # in this thread, so that waiting for a slow disk can be cancelled
        self._output.complete(end, self._clock.seconds(end))
        self._output = None

    def _abandon(self) -> None:
        if self._output:
            self._output.abandon()
        self._output = None
