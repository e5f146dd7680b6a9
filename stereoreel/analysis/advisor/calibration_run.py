"""A job rendered in excerpts into a temporary folder, and its measurements."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import av.error
from torch import Tensor

from ...core import excerpt
from ...core.clip import Clip, ClipInfo, apply
from ...core.host import Host
from ...core.meter import Meter
from ...core.stage_cache import StageCache
from ...core.transforms import Trim
from ...media.read.container import open_media
from ...media.write.observer import Observer
from ...media.write.options import EncodeOptions, extension
from ...media.write.render import write
from ...media.write.request import RenderRequest
from .excerpts import Excerpts

_STAT = Path("/proc/stat")


@dataclass
class File:
    """Content of a written file: its bytes, and those of each key frame and each other frame."""

    size: int = 0
    keys: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)

    @property
    def coded(self) -> int:
        """The number of frames, which may be lower than that of the input."""
        return len(self.keys) + len(self.others)

    @property
    def overhead(self) -> int:
        """The bytes of everything else: audio and the container."""
        return self.size - sum(self.keys) - sum(self.others)


@dataclass
class Run:
    """A film of excerpts: how many frames it has, and what each stage computed.

    ``filling`` is the time the encoder needed after the last frame. ``paces`` are the seconds per frame of
    each excerpt.
    """

    info: ClipInfo
    frames: int = 0
    seconds: float = 0.0
    filling: float = 0.0
    late: float = 0.0
    work: float = 0.0  # seconds of all cores
    meter: Meter = field(default_factory=Meter)
    paces: list[float] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    busy: float = 1.0  # the fraction of all cores in use while frames were computed
    others: float = 0.0  # the fraction of all cores that other programs used; 0 if not reported

    @property
    def booked(self) -> float:
        """The seconds that stages were running, those at the same time added up."""
        return sum(cost.seconds for cost in self.meter.costs.values())


def run(
    clips: Sequence[Clip],
    settings: EncodeOptions,
    wanted: excerpt.Spans,
    host: Host,
    stages: StageCache,
    until: float,
) -> Run:
    """Render and encode excerpts until ``until`` of ``time.monotonic`` at the latest; leave no files."""
    begun, worked, idle = time.perf_counter(), time.process_time(), _idle()
    excerpts = Excerpts(clips, wanted, stages, until)
    found, ends = Run(excerpts.info), [*excerpts.info.cuts, excerpts.info.frames]
    share = excerpts.info.frames / clips[0].info.frames
    settings = replace(settings, size_mb=settings.size_mb * share)
    clock = _Clock(begun, worked)
    with tempfile.TemporaryDirectory(prefix="stereoreel-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"calibration{extension(settings)}"
        depth = excerpts.clips[1] if len(clips) > 1 else None
        sound = _sound(clips[0], wanted[0][0], excerpts.info.frames)
        request = RenderRequest(excerpts.clips[0], path, settings, depth, sound)
        paths = write(request, host, clock, meter=found.meter)
        found.frames = clock.frames
        found.seconds, found.work = time.perf_counter() - begun, time.process_time() - worked
        found.others = _other_load(idle, found)
        found.files = [_file(path) for path in paths]
    found.late, found.info = (
        excerpts.late,
        found.info.replace(frames=found.frames, cuts=tuple(cut for cut in ends if cut < found.frames)),
    )
    times = clock.times
    found.busy = min(
        1.0, (clock.cores - worked) / max(times[found.frames] - begun, 1e-6) / (os.cpu_count() or 1)
    )
    found.filling = begun + found.seconds - times[found.frames]
    edges = [0, *(end for end in ends if end in times)]
    found.paces = [(times[stop] - times[start]) / (stop - start) for start, stop in zip(edges, edges[1:])]
    return found


class _Clock(Observer):
    """Times at which frames were computed (by number), and the seconds of all cores up to the last one."""

    def __init__(self, begun: float, worked: float):
        self.times, self.cores, self.frames = {0: begun}, worked, 0

    def chunk(self, frames: int, shown: Callable[[], tuple[Tensor, ...]]) -> None:
        self.frames += frames
        self.times[self.frames], self.cores = time.perf_counter(), time.process_time()


def _idle() -> float | None:
    """Return the idle seconds of all cores since boot; None if the system does not report them."""
    if not _STAT.exists():
        return None
    idle, waiting = _STAT.read_text().split(maxsplit=6)[4:6]
    return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")


def _other_load(before: float | None, run: Run) -> float:
    """Return the fraction of all cores that was neither idle nor used by this process."""
    cores, now = (os.cpu_count() or 1) * run.seconds, _idle()
    if before is None or now is None or not cores:
        return 0.0
    return min(1.0, max(0.0, 1 - (now - before + run.work) / cores))


def _sound(clip: Clip, start: int, frames: int):
    """Return audio of the film, as long as the excerpts together."""
    if clip.info.audio is None:
        return None
    start = max(0, min(start, clip.info.frames - frames))
    return apply(Trim(start, start + frames), clip)["clip"].info.audio


def _file(path: Path) -> File:
    if path.is_dir():  # pictures
        sizes = [file.stat().st_size for file in path.iterdir()]
        return File(sum(sizes), keys=sizes)
    found = File(os.path.getsize(path))
    try:
        with open_media(path) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    (found.keys if packet.is_keyframe else found.others).append(packet.size)
    except av.error.FFmpegError:  # not every file that can be written can be demuxed
        return File(found.size)
    return found
