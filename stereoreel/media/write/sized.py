"""Write a file of a given size.

The film is pulled once. It is encoded at a first estimate of the bit rate, and at the same time into a
high-quality copy. The first file shows how many bytes the audio and the container take, and x264 and x265
record the complexity of each frame. The film is then encoded from the copy with the bits left for the video,
and again if the size is missed, which happens with short films.

SVT-AV1 keeps no statistics, and its rate control depends on the timing of its threads: the size of a short
film varies by up to 5 % from run to run. The last tries therefore use one thread.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ...core.clip import ClipInfo, Samples, Soundtrack
from ...core.files import PartFile
from ..layouts.layout import packed_size
from ..plane_frames import PlaneFrames
from ..read.container import open_media
from .codec import Rate
from .encode import Writer
from .hardware import chosen
from .options import LEAST_RATE, EncodeOptions
from .presets import Preset

AIM, LEAST = 0.985, 0.97  # of the size: the target, and the accepted minimum
TRIES, REPRODUCIBLE = 6, 3  # encodes at most; of which the last ones give equal bytes in every run
MOST_RATE = 2_000_000_000  # bits a second; most codecs count them in 32 bits
EVERY = 16  # frames between two checks for Cancel
STORED = {"nv12": "yuv420p", "p010le": "yuv420p10le"}  # x264's memory layout of the same values
COPY = {"preset": "superfast", "crf": "10"}  # x264's options: 50 dB, 14 GB an hour at 1080p


class _Try(NamedTuple):
    """A finished file, its target bits a second of video, its size in bytes, and the bytes of its video.

    ``reproducible`` if the same bits give the same bytes in every run.
    """

    path: Path
    bits: int
    size: int
    picture: int
    reproducible: bool


class SizedWriter:
    """Like ``Writer``, for a file of ``settings.size_mb`` million bytes: at most 3 % less, and not more.

    ``tick`` may raise to cancel. Warn if even the worst quality takes more.
    """

    def __init__(
        self,
        path: str | os.PathLike | PartFile,
        info: ClipInfo,
        settings: EncodeOptions,
        *,
        audio: Soundtrack | Samples | None = None,
        metadata: Mapping[str, str] | None = None,
        tick: Callable[[int, int], None],
    ):
        self._file = path if isinstance(path, PartFile) else PartFile(Path(path))
        self._info, self._settings = info, settings
        self._audio, self._metadata, self._tick = audio, metadata, tick
        self._entry = chosen(info, settings, packed_size(info, settings.packing, settings.vr180_field))
        self._wanted, self._duration = settings.size_mb * 1e6, float(info.duration)

    @property
    def path(self) -> Path:
        """The file's name."""
        return self._file.path

    def __enter__(self) -> SizedWriter:
        with ExitStack() as undo:
            undo.callback(self._file.discard)
            self._folder = self._file.create(folder=True)
            self._writers = undo.enter_context(ExitStack())
            self._first = self._writers.enter_context(
                self._writer(self._possible(AIM * self._wanted * 8 / self._duration), 1)
            )
            stored = STORED.get(self._entry.pix_fmt, self._entry.pix_fmt)
            plain = replace(self._settings, stereo_tags=False)
            copy = Writer(
                self._folder / "copy",
                self._info,
                plain,
                entry=Preset("matroska", ".mkv", "libx264", stored, options=COPY),
            )
            self._copy = self._writers.enter_context(copy)
            self._all = undo.pop_all()
        return self

    def write(self, chunk: Tensor, depth: Tensor | None = None) -> None:
        """Encode a chunk, as ``Writer.write`` does."""
        for writer in (self._first, self._copy):
            writer.write(chunk, depth)

    def write_planes(self, chunk: Tensor, frames: PlaneFrames) -> None:
        """Encode a chunk, as ``Writer.write_planes`` does."""
        for writer in (self._first, self._copy):
            writer.write_planes(chunk, frames)

    def __exit__(self, *error) -> None:
        with self._all:
            self._writers.__exit__(*error)
            if error[0] is None:
                self._file.publish(self._fitting())

    def _fitting(self) -> Path:
        """Return the best of the encoded files."""
        first = _done(self._first)
        # a codec that has not analysed the film yet spends bits differently
        tries = [] if self._two_passes else [first]
        while len(tries) < TRIES and not any(
            LEAST * self._wanted <= one.size <= self._wanted for one in tries
        ):
            room = max(1, AIM * self._wanted - (first.size - first.picture))
            bits = self._possible(_guess(tries, room) if tries else room * 8 / self._duration)
            if any(bits == one.bits for one in tries) or _full(tries):
                break
            late = len(tries) >= TRIES - REPRODUCIBLE
            tries.append(self._encode_copy(bits, late and bool(self._entry.reproducible)))
        best = min(tries, key=lambda one: (one.size > self._wanted, abs(one.size - self._wanted)))
        if best.size > self._wanted:
            warnings.warn(
                f"{self.path.name} takes {best.size / 1e6:.2f} MB instead of {self._wanted / 1e6:g} MB, "
                f"of which {(best.size - best.picture) / 1e6:.2f} MB are its audio. "
                "It cannot be smaller. Reduce the frame size or the duration.",
                stacklevel=4,
            )
        return best.path

    def _encode_copy(self, bits: int, reproducible: bool) -> _Try:
        """Encode the film again, from the high-quality copy."""
        with self._writer(bits, 2, reproducible) as writer, open_media(self._copy.path) as copy:
            stream = copy.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(copy.decode(stream)):
                writer.rewrite(frame)
                if index % EVERY == 0:
                    self._tick(self._copy.frames, self._copy.frames)
        return _done(writer)

    @property
    def _two_passes(self) -> bool:
        """Whether the codec can use statistics of the first pass."""
        return self._entry.passes is not None

    def _possible(self, bits: float) -> int:
        return round(min(max(bits, LEAST_RATE / 2), self._entry.fastest or MOST_RATE))

    def _writer(self, bits: int, number: int, reproducible: bool = False) -> Writer:
        notes = self._folder / "notes"
        used = number if self._two_passes and (number == 1 or notes.exists()) else 0
        rate = Rate(bits, used, str(notes), reproducible)
        path = self._folder / f"{rate.bits}-{number}"
        return Writer(
            path,
            self._info,
            self._settings,
            audio=self._audio,
            metadata=self._metadata,
            entry=self._entry,
            rate=rate,
        )


def _done(writer: Writer) -> _Try:
    assert writer.rate  # SizedWriter gives every writer one
    rate = writer.rate
    return _Try(writer.path, rate.bits, writer.path.stat().st_size, writer.coded, rate.reproducible)


def _guess(tries: list[_Try], room: float) -> float:
    """Estimate the bits a second that make the video fill ``room`` bytes.

    It follows from the two nearest tries, one on either side if possible. Reproducible tries come first.
    """
    reliable = [one for one in tries if one.reproducible] or tries
    nearest, *others = sorted(reliable, key=lambda one: abs(math.log(one.picture / room)))
    others = others or [one for one in tries if one != nearest]
    other = min(others, key=lambda one: (one.picture > room) == (nearest.picture > room), default=nearest)
    steep = 1.0
    if other.bits != nearest.bits:
        steep = math.log(other.picture / nearest.picture) / math.log(other.bits / nearest.bits)
    return nearest.bits * (room / nearest.picture) ** (1 / min(max(steep, 0.5), 2))


def _full(tries: list[_Try]) -> bool:
    """Whether the last try allowed more bits than the codec used."""
    return (
        len(tries) > 1
        and tries[-1].bits > 1.2 * tries[-2].bits
        and tries[-1].picture < 1.02 * tries[-2].picture
    )
