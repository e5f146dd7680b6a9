"""Estimate the cost of a workflow on this machine.

Excerpts are rendered and encoded, the rest is extrapolated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from ...core import excerpt
from ...core.clip import Clip, ClipInfo, Stage, apply
from ...core.host import Host
from ...core.stage_cache import StageCache
from ...core.transforms import Trim
from ...media.read.clock import frames_of
from ...media.write.options import EncodeOptions
from ...workflow.graph import Output
from .calibration_run import Run, run
from .excerpts import least, spans
from .extrapolate import ENCODE, predicted, rates_of, recompute_factor, relative_uncertainty, size_of
from .footprint import Footprint, growth, missing_chunk_bytes

REPORTED = 0.1  # of all cores
# memory of a long film relative to a short one: heap fragmentation grows for some hundred frames (2
# to 20 % were observed)
HEAP = 1.08
FIRST = 4  # frames of the first run, which loads everything and calls it for the first time


@dataclass(frozen=True)
class Cost:
    """Cost of rendering and writing a film.

    ``seconds`` and the interval in which they are expected, bytes of ``memory`` beyond the current use of the
    process, ``gpu`` bytes of GPU memory, and ``disk`` bytes of the finished files. ``stages`` are
    milliseconds per frame of the finished film; ``fixed`` are the seconds before the first one; ``work`` are
    the seconds of all cores together. ``measured`` frames were rendered for the estimate, while other
    programs used the fraction ``others`` of all cores.
    """

    frames: int
    seconds: float
    seconds_low: float
    seconds_high: float
    memory: int
    disk: int
    stages: dict[str, float] = field(default_factory=dict)
    fixed: float = 0.0
    gpu: int = 0
    work: float = 0.0
    measured: int = 0
    others: float = 0.0

    def text(self) -> str:
        """Describe the cost for people: time, memory, size, and the slowest stage."""
        rate = self.frames / self.seconds if self.seconds else math.inf
        parts = [
            f"On this machine, the workflow takes about {_span(self.seconds)} ({_span(self.seconds_low)} to "
            f"{_span(self.seconds_high)}) "
            f"for {self.frames} frames, {_number(rate)} frames per second."
        ]
        needs = [f"{_bytes(self.memory)} of memory"] * (self.memory > 0) + [
            f"{_bytes(self.gpu)} of the GPU's"
        ] * (self.gpu > 0)
        parts.append(f"It needs {' and '.join([*needs, f'{_bytes(self.disk)} on disk'])}.")
        if self.stages:
            slowest = max(self.stages, key=self.stages.__getitem__)
            share = self.stages[slowest] / max(sum(self.stages.values()), 1e-9)
            parts.append(f"{slowest} takes {100 * share:.0f} % of the time.")
        if self.others > REPORTED:
            parts.append(
                f"Other programs used {100 * self.others:.0f} % of this machine's cores meanwhile; "
                "it is faster without them."
            )
        return " ".join(parts)

    def figures(self) -> dict:
        """Return the same as plain numbers, for JSON."""
        return asdict(self)


def predict(job: Output[EncodeOptions], host: Host, seconds: float = 20) -> Cost:
    """Return the cost of a job: its ``clip``, its ``depth`` or None, and its ``settings``, those of Encode.

    Renders excerpts for about ``seconds``: at least two, unless the film is shorter and rendered completely.
    The host's tick receives the time spent and may raise to cancel. Temporary files are deleted afterwards.
    """
    clips = _written([job.clip] if job.depth is None else [job.clip, job.depth], job.settings)
    footprint, begun = Footprint(host.device), time.monotonic()
    stages: StageCache[Stage] = StageCache()
    watched = _TimedHost(host, begun, seconds, footprint)
    whole = clips[0].info.frames
    runs = [run(clips, job.settings, _first(clips[0].info), watched, stages, math.inf)]
    while runs[-1].frames < whole:
        frames = _affordable(runs, begun + seconds - time.monotonic(), whole)
        if not frames:
            break
        wanted = spans(clips[0].info, frames, least(clips, host.device))
        runs.append(run(clips, job.settings, wanted, watched, stages, begun + 1.5 * seconds))
    memory, gpu = footprint.peak, footprint.gpu
    if whole > runs[-1].frames:
        of_sources, of_stages = missing_chunk_bytes(clips, runs[-1].meter)
        memory += of_sources + (0 if gpu else of_stages)
        gpu += of_stages if gpu else 0
        memory += growth(clips, job.settings, runs[-1].frames, watched, time.monotonic() + seconds / 4)
        memory = round(HEAP * memory)
    return _extrapolated(clips, job.settings, runs, memory, gpu)


def _first(info: ClipInfo) -> excerpt.Spans:
    return spans(info, info.frames) if info.frames <= 2 * FIRST else [spans(info, 2 * FIRST)[0]]


def _affordable(runs: Sequence[Run], left: float, whole: int) -> int:
    """Return how many frames the next run may have; 0 if it is not worthwhile.

    After the first run there is always another one. It only confirms the pace, because the first calls are
    slower.
    """
    last = runs[-1]
    pace = max(last.meter.elapsed if len(runs) == 1 else last.seconds, 1e-6) / last.frames
    frames = min(whole, int(0.8 * left / pace))
    if len(runs) == 1 and frames < whole:
        return min(whole, max(frames // 4, 2 * FIRST))
    return frames if frames >= 2 * last.frames or (frames == whole and left > 2 * pace * whole) else 0


def _written(clips: Sequence[Clip], settings: EncodeOptions) -> list[Clip]:
    """Trim the clips to the length of the file."""
    end = frames_of(clips[0].info, settings)
    return (
        list(clips) if end == clips[0].info.frames else [apply(Trim(0, end), clip)["clip"] for clip in clips]
    )


class _TimedHost:
    """A host whose progress counts time instead of frames."""

    def __init__(self, host: Host, begun: float, seconds: float, footprint: Footprint):
        self._host, self._begun, self._seconds, self._footprint = host, begun, seconds, footprint

    def tick(self, done: int, total: int) -> None:
        self._footprint.look()
        self._host.tick(
            min(round(1000 * (time.monotonic() - self._begun)), round(1000 * self._seconds)),
            round(1000 * self._seconds),
        )

    def __getattr__(self, name: str):
        return getattr(self._host, name)


def _extrapolated(
    clips: Sequence[Clip], settings: EncodeOptions, runs: Sequence[Run], memory: int, gpu: int
) -> Cost:
    """Return the complete film's cost, based on the longest run."""
    whole, first = clips[0].info.frames, runs[0]
    main = max(runs[1:] or runs, key=lambda run: run.frames)
    rates = rates_of(clips, main)
    repetition = recompute_factor(clips)
    waits = main.filling / main.frames  # the encoder's seconds per frame after all is computed
    share = 1.0 if settings.size_mb else main.busy
    once = max(0.0, first.seconds - first.filling - first.late - predicted(clips, first, rates))
    pace = repetition * sum(rates.values())
    likely, low, high = (
        once + pace * whole + waits * (main.frames + part * (whole - main.frames))
        for part in (share, 0.0, 1.0)
    )
    doubt = relative_uncertainty(main, whole)
    rates[ENCODE] = rates.get(ENCODE, 0.0) + share * waits
    return Cost(
        frames=whole,
        seconds=likely,
        seconds_low=low * (1 - doubt) * (1 - main.others),
        seconds_high=high * (1 + doubt),
        memory=memory,
        disk=sum(
            size_of(clips[0].info, settings, main, file, first, small)
            for file, small in zip(main.files, first.files)
        ),
        stages={label: 1000 * repetition * seconds for label, seconds in rates.items()},
        fixed=once,
        gpu=gpu,
        work=likely * main.work / max(main.seconds, 1e-6),
        measured=sum(run.frames for run in runs),
        others=main.others,
    )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{_number(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{_number(count / 1e6)} MB"
