"""A file of a given size. The film is pulled once: encoded as well as a first guess goes, and kept finely beside that.

What the first file weighs tells how much the sound and the container take, and x264 and x265 note where the
film is hard. It is then encoded from the fine copy with what is left for the picture, and again where that
misses, which short films do.
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
from ..read.container import open_media
from .codec import Rate
from .encode import Writer
from .hardware import chosen
from .options import LEAST_RATE, EncodeOptions
from .presets import Preset

AIM, LEAST = 0.985, 0.97  # of the size: what is tried for, and from where on it is good enough
TRIES = 5
MOST_RATE = 2_000_000_000  # bits a second; most codecs count them in 32 bits
EVERY = 16  # frames between two looks at Cancel
STORED = {"nv12": "yuv420p", "p010le": "yuv420p10le"}  # x264's order of the same numbers
COPY = {"preset": "superfast", "crf": "10"}  # x264's options: 50 dB, 14 GB an hour at 1080p


class _Try(NamedTuple):
    """A finished file, the bits a second that its picture was to have, its bytes, and how many of them are the picture's."""

    path: Path
    bits: int
    size: int
    picture: int


class SizedWriter:
    """Like ``Writer``, for a file of ``settings.size_mb`` million bytes: at most 3 % less, and no more; ``tick`` may raise to cancel.

    A warning where even the worst quality takes more.
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
        self._more, self._tick = {"audio": audio, "metadata": metadata}, tick
        self._entry = chosen(info, settings, packed_size(info, settings.layout, settings.vr180_field))
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
        """As ``Writer.write``."""
        for writer in (self._first, self._copy):
            writer.write(chunk, depth)

    def __exit__(self, *error) -> None:
        with self._all:
            self._writers.__exit__(*error)
            if error[0] is None:
                self._file.publish(self._fitting())

    def _fitting(self) -> Path:
        """The best of the files that were tried."""
        first = _done(self._first)
        tries = [] if self._noted else [first]  # a codec that has not seen the film yet spends otherwise
        while len(tries) < TRIES and not any(
            LEAST * self._wanted <= one.size <= self._wanted for one in tries
        ):
            room = max(1, AIM * self._wanted - (first.size - first.picture))
            bits = self._possible(_guess(tries, room) if tries else room * 8 / self._duration)
            if any(bits == one.bits for one in tries) or _full(tries):
                break
            tries.append(self._again(bits))
        best = min(tries, key=lambda one: (one.size > self._wanted, abs(one.size - self._wanted)))
        if best.size > self._wanted:
            warnings.warn(
                f"{self.path.name} takes {best.size / 1e6:.2f} MB, of which {(best.size - best.picture) / 1e6:.2f} MB are its sound, "
                f"and not {self._wanted / 1e6:g}: it holds no less; make the picture smaller or the film shorter.",
                stacklevel=4,
            )
        return best.path

    def _again(self, bits: int) -> _Try:
        """The film once more, from the fine copy."""
        with self._writer(bits, 2) as writer, open_media(self._copy.path) as copy:
            stream = copy.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(copy.decode(stream)):
                writer.rewrite(frame)
                if index % EVERY == 0:
                    self._tick(self._copy.frames, self._copy.frames)
        return _done(writer)

    @property
    def _noted(self) -> bool:
        """Whether the codec can go by what it saw the first time."""
        return self._entry.passes is not None

    def _possible(self, bits: float) -> int:
        return round(min(max(bits, LEAST_RATE / 2), self._entry.fastest or MOST_RATE))

    def _writer(self, bits: int, number: int) -> Writer:
        notes = self._folder / "notes"
        rate = Rate(bits, number if self._noted and (number == 1 or notes.exists()) else 0, str(notes))
        path = self._folder / f"{rate.bits}-{number}"
        return Writer(path, self._info, self._settings, **self._more, entry=self._entry, rate=rate)


def _done(writer: Writer) -> _Try:
    return _Try(writer.path, writer.rate.bits, writer.path.stat().st_size, writer.coded)


def _guess(tries: list[_Try], room: float) -> float:
    """The bits a second that make the picture fill ``room`` bytes, by the two tries that came nearest, from either side if there are such."""
    nearest, *others = sorted(tries, key=lambda one: abs(math.log(one.picture / room)))
    other = min(others, key=lambda one: (one.picture > room) == (nearest.picture > room), default=nearest)
    steep = 1.0
    if other.bits != nearest.bits:
        steep = math.log(other.picture / nearest.picture) / math.log(other.bits / nearest.bits)
    return nearest.bits * (room / nearest.picture) ** (1 / min(max(steep, 0.5), 2))


def _full(tries: list[_Try]) -> bool:
    """Whether more bits were offered the last time, and not taken."""
    return (
        len(tries) > 1
        and tries[-1].bits > 1.2 * tries[-2].bits
        and tries[-1].picture < 1.02 * tries[-2].picture
    )
