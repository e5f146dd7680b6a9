"""Compute one unit of a film, encoded into closed segments."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from torch import Tensor

from ..core.clip import Clip
from ..core.files import sha256
from ..core.host import Host
from ..core.meter import Meter
from ..core.partition import Unit, excerpt
from ..core.per_eye import TIME
from ..core.pull import pull
from ..core.stage_cache import StageCache
from ..media.layouts.layout import packed_size
from ..media.write.encode import Writer
from ..media.write.feed import Feed
from ..media.write.hardware import chosen
from ..media.write.options import EncodeOptions
from ..media.write.request import files_of, timed
from .frame_store import FrameStore
from .identity import bits
from .job import UnitRecord, segment_name
from .join import delay, order, segment_entry

Watch = Callable[[int, Callable[[], tuple[Tensor, ...]]], None]
THREADS = min(4, os.cpu_count() or 1)  # that hash frames


class Maker:
    """Computes units of a film's clips; loaded stages are reused for the next unit.

    The stage Keep stores its frames below ``kept``; without ``kept`` they are not stored. With ``verify`` a
    unit's record has the hash of each frame before encoding.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        settings: EncodeOptions,
        host: Host,
        meter: Meter,
        watch: Watch | None = None,
        kept: Path | None = None,
        verify: bool = False,
    ):
        self.clips, self.settings, self.host, self.meter, self.watch = (
            list(clips),
            settings,
            host,
            meter,
            watch,
        )
        self._verify = verify
        self._feed = Feed.of(self.clips, settings, host)
        self._stages: StageCache = StageCache()
        self._store = FrameStore(self.clips, host, kept) if kept else None

    def make(self, number: int, unit: Unit, folder: Path, tick: Callable[[int], None]) -> UnitRecord:
        """Write the unit's segments into ``folder``.

        ``tick`` receives the number of its finished frames after every chunk, and may raise to cancel.
        """
        begun, before = time.monotonic(), _spent(self.meter)
        parts = excerpt(self._feed.clips, unit, self._stages)
        if self._store:
            parts = self._store.applied_to(parts)
        files = [
            (file, folder / segment_name(number, place))
            for place, file in enumerate(files_of(self.clips, folder / "x", self.settings))
        ]
        with ExitStack() as open_files:
            hashes = open_files.enter_context(_Hashes(len(parts))) if self._verify else None
            writers = [
                open_files.enter_context(self._writer(file, path, parts, unit)) for file, path in files
            ]
            for chunks in open_files.enter_context(
                closing(pull(parts, _Counting(self.host, tick), meter=self.meter))
            ):
                if self.watch:
                    self.watch(chunks[0].shape[TIME], partial(self._feed.shown, chunks))
                if hashes:
                    with self.meter.turn("Hash"):
                        hashes.add(chunks)
                with self.meter.turn("Encode"):
                    for (file, _), writer in zip(files, writers):
                        self._feed.write(writer, file, chunks)
                self.meter.count("Encode", chunks[0].shape[TIME])
        costs = {
            label: [now - before.get(label, [0, 0])[place] for place, now in enumerate(spent)]
            for label, spent in _spent(self.meter).items()
        }
        return UnitRecord(
            unit,
            [_facts(path, unit) for _, path in files],
            hashes.found if hashes else [],
            time.monotonic() - begun,
            costs,
        )

    def _writer(self, file, path: Path, parts: Sequence[Clip], unit: Unit) -> Writer:
        whole, part = (timed(clips, file.clip) for clips in (self.clips, parts))
        entry = chosen(
            whole, file.settings, packed_size(whole, file.settings.packing, file.settings.vr180_field)
        )
        writer = Writer(path, part, file.settings, entry=segment_entry(entry, whole))
        writer.frames = unit.start  # a layout that changes with time continues from the previous unit
        return writer


class _Hashes:
    """Hashes of every frame of clips, computed in threads, one chunk behind; complete on exit."""

    def __init__(self, clips: int):
        self.found: list[list[str]] = [[] for _ in range(clips)]
        self._waiting: list[Iterator[str]] = []

    def add(self, chunks: tuple[Tensor, ...]) -> None:
        self._take()
        self._waiting = [self._threads.map(frame_hash, chunk.split(1, TIME)) for chunk in chunks]

    def _take(self) -> None:
        for found, new in zip(self.found, self._waiting):
            found.extend(new)
        self._waiting = []

    def __enter__(self) -> _Hashes:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hash")
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._threads.shutdown()
        if kind is None:
            self._take()


class _Counting:
    """A host that reports progress to ``tick`` instead."""

    def __init__(self, host: Host, tick: Callable[[int], None]):
        self._host, self.tick = host, lambda done, total: tick(done) if total else host.tick(0, 0)

    def __getattr__(self, name: str):
        return getattr(self._host, name)


def frame_hash(frame: Tensor) -> str:
    """Return the hash of a frame ``[1, H, W, C]``, or of both views ``[2, 1, H, W, C]``."""
    return hashlib.blake2b(bits(frame), digest_size=16).hexdigest()


def frame_hashes(chunk: Tensor) -> list[str]:
    """Return the hash of every frame of ``[T, H, W, C]``, or of both views ``[2, T, H, W, C]``."""
    return [frame_hash(frame) for frame in chunk.split(1, TIME)]


def _facts(path: Path, unit: Unit) -> dict:
    """Return the facts by which a corrupt segment is detected; raise ValueError if it lacks frames."""
    found = order(path)
    if len(found) != unit.frames:
        raise ValueError(
            f"The source ends early: only {len(found)} of the {unit.frames} frames from {unit.start} on "
            "could be computed. Check that the file is complete."
        )
    return {"name": path.name, "bytes": os.path.getsize(path), "sha256": sha256(path), "ahead": delay(found)}


def _spent(meter: Meter) -> dict[str, list[float]]:
    return {label: [cost.seconds, cost.frames] for label, cost in meter.costs.items()}
