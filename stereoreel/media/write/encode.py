"""Write a clip into a file: the picture in a thread of its own, the sound beside it, the final name only when all is there.

``with Writer(path, info, settings) as writer: writer.write(chunk) …``. Leaving the block completes the file;
leaving it by an exception, a cancel or Ctrl-C removes what was written and leaves a file that had the name
before as it was.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import av
import av.error
import numpy as np
from torch import Tensor

from ...core import cancel
from ...core.clip import ClipInfo, Samples, Soundtrack
from ...core.files import PartFile, plain_errors, sync
from ...image.resize import fitted_size
from ..layouts.boxes import write_stereo
from ..layouts.layout import pack, packed_size
from ..read.clock import Clock, Taken
from .codec import Rate, container_options, open_encoder, stereo_of
from .hardware import chosen
from .mux import open_tracks
from .options import EncodeOptions, preset
from .picture import Pictures, coded_size
from .presets import Preset
from .webp import complete_webp

CHUNKS_WAITING = 2  # chunks that may wait for the encoder, so that it works while the next one is computed


def output_size(info: ClipInfo, settings: EncodeOptions) -> tuple[int, int]:
    """Width and height of the file that ``Writer`` makes: packed, made smaller for a preview, and even (by repeating the edge) where it must be."""
    entry = preset(settings)
    size = packed_size(info, settings.layout, settings.vr180_field)
    return coded_size(fitted_size(*size, entry.limits.side if entry.limits else 0), entry.pix_fmt)


class Writer:
    """One video file in the making.

    ``info`` tells size, views, rate (or times) and colour; ``settings`` are those of Encode Video. ``audio``
    is what is heard: ``info.audio``, or something else, or nothing. ``metadata`` is stored as text under its
    own names. ``entry`` is the preset to use, where that is not the settings' own; ``rate`` replaces its
    quality. ``frames`` counts those written so far, ``coded`` the bytes of the picture. ``path`` is the
    file's name, which is replaced, or a ``PartFile`` that says how it is published.
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
        size = packed_size(info, settings.layout, settings.vr180_field)
        self._entry, self.rate = entry or chosen(info, settings, size), rate
        limits = self._entry.limits
        self._clock = Clock(info, self._entry.clock)
        self._pictures = Pictures(size, info.color, self._entry.pix_fmt, limits.side if limits else 0)
        self._taken = Taken(info, limits)
        self._container = self._tracks = None
        self._waiting: deque[Future] = deque()
        self._encoded, self._lengths, self._stopped = 0, {}, False

    @property
    def path(self) -> Path:
        """The file's name."""
        return self._file.path

    def __enter__(self) -> Writer:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        with contextlib.ExitStack() as undo:
            undo.callback(self._discard)
            self._open()
            undo.pop_all()
        return self

    def write(self, chunk: Tensor, depth: Tensor | None = None) -> None:
        """Hand the encoder frames ``[T, H, W, C]`` or two views of them ``[2, T, H, W, C]``; waits while it is two chunks behind.

        ``depth`` of the same frames is for layouts that show it. A failure with an earlier chunk is raised
        here.
        """
        # Frame by frame, so that no second chunk of floats is ever in memory.
        layout, field = self._settings.layout, self._settings.vr180_field
        depths = [None] * chunk.shape[-4] if depth is None else depth.split(1, dim=-4)
        levels = []
        for frame, far in zip(chunk.split(1, dim=-4), depths):
            if (span := next(self._taken)) is not None:
                turn = self.frames // self._taken.turn
                levels.append(
                    (*span, self._pictures.quantize(pack(frame, layout, field, depth=far, turn=turn)[0]))
                )
                self.frames += 1
        self._submit(levels)

    def rewrite(self, frame: av.VideoFrame) -> None:
        """Hand the encoder a frame that was packed and made before, as another file with the same settings holds it."""
        self._submit([(*next(self._taken), frame)])
        self.frames += 1

    def _submit(self, levels: list) -> None:
        while len(self._waiting) >= CHUNKS_WAITING:
            self._result(self._waiting.popleft())
        self._waiting.append(self._thread.submit(self._encode, levels))

    def __exit__(self, kind, error, trace) -> None:
        with contextlib.ExitStack() as undo:
            undo.callback(self._discard)
            if kind is not None:
                return
            if not self.frames:
                raise ValueError(f"There is no frame to write into {self.path.name}; the clip is empty.")
            for future in (*self._waiting, self._thread.submit(self._finish)):
                self._result(future)
            self._file.publish()
            undo.pop_all()
        self._thread.shutdown()

    def _open(self) -> None:
        part = self._file.create()
        self._container = av.open(
            str(part.absolute()),
            "w",
            format=self._entry.container,
            container_options=container_options(self._info, self._settings, self._entry, self._clock),
        )
        self._container.metadata.update(self._metadata)
        self._stream = open_encoder(
            self._container, self._info, self._settings, self._entry, self._pictures, self._clock, self.rate
        )
        self._tracks = open_tracks(self._container, self._audio, self._entry, self._info.duration)
        with self._in_plain_words():
            self._container.start_encoding()

    def _result(self, future: Future) -> None:
        with self._in_plain_words():
            cancel.result(future)

    @contextlib.contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        try:
            with plain_errors(self.path):
                yield
        except av.error.FFmpegError as error:
            raise OSError(f"{self.path.name} could not be written: {error.strerror}.") from error

    def _discard(self) -> None:
        """Stop, and leave nothing behind. An encoder that is busy with frames ends in its thread, not waited for."""
        self._stopped = True
        for future in self._waiting:
            future.cancel()
        # before closing, so that this does not move the whole film's index to its beginning
        self._file.discard()
        self._thread.submit(self._abandon)
        # Windows keeps an open file, and a codec that writes notes keeps its folder.
        self._thread.shutdown(wait=os.name == "nt" or self.rate is not None)
        self._file.discard()

    # What follows runs in the encoder's thread.

    def _encode(self, levels: list[tuple[int, int, np.ndarray | av.VideoFrame]]) -> None:
        for index, following, picture in levels:
            if self._stopped:
                return
            tick = self._clock.tick(index)
            self._encoded = following
            self._lengths[tick] = self._clock.tick(following) - tick
            self._mux(self._stream.encode(self._pictures.frame(picture, tick, self._clock.unit)))

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        for packet in packets:
            if self._stopped:
                raise cancel.Stopped
            packet.duration = self._lengths.pop(packet.pts)
            if not -self._clock.tick(self._encoded) <= packet.dts <= packet.pts:
                packet.dts = packet.pts  # x265 leaves chance numbers there in films of one or two frames
            if self._tracks:
                self._tracks.write(self._clock.seconds(packet.dts))
            self.coded += packet.size
            self._container.mux(packet)

    def _flush(self) -> Iterator[av.Packet]:
        """What the encoder holds back, a packet at a time: all of it may take many seconds."""
        for packet in self._stream.codec_context.encode_lazy(None):
            packet.stream = self._stream
            yield packet

    def _finish(self) -> None:
        self._mux(self._flush())
        end = self._clock.tick(self._encoded)
        if self._tracks:
            self._tracks.finish(self._clock.seconds(end))
            self._tracks.close()
        self._container.close()
        self._container = self._stream = self._tracks = None  # the codec completes its notes when it goes
        if stereo := stereo_of(self._info, self._settings, self._entry):
            write_stereo(self._file.part, stereo)
        if self._entry.container == "webp":
            complete_webp(self._file.part, end, self._metadata)
        sync(self._file.part)  # here, where waiting for a slow disk can be cancelled

    def _abandon(self) -> None:
        if self._tracks:
            self._tracks.close()
        if self._container:
            with contextlib.suppress(av.error.FFmpegError):  # what cannot be completed is not wanted
                self._container.close()
        self._container = self._stream = self._tracks = None
