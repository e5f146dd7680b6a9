"""Extrapolate from excerpts to the film: time per frame, frames computed again, and file size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ...core import excerpt
from ...core.clip import Clip, ClipInfo, Step
from ...core.partition import LONGEST, merged_units
from ...media.write.options import EncodeOptions, preset
from .calibration_run import File, Run

ENCODE = "Encode"
KEY_EVERY = 250  # frames after which most encoders insert a key frame within a shot
DOUBT = 0.15  # of the time: a machine's own variation from one minute to the next


def frames_by_stage(clips: Sequence[Clip]) -> dict[str, int]:
    """Return how many frames each stage computes for the complete film."""
    found = {ENCODE: clips[0].info.frames}
    for maker in excerpt.makers_of(clips):
        found[maker.label] = found.get(maker.label, 0) + excerpt.infos_of(maker)[0].frames
    return found


def rates_of(clips: Sequence[Clip], run: Run) -> dict[str, float]:
    """Return the seconds of each stage per frame of the finished film.

    Extra frames that a stage computes for excerpts are excluded. Of the seconds in which several stages work,
    each counts for a part, so that the sum is the film's.
    """
    whole, sources = (
        frames_by_stage(clips),
        {maker.label for maker in excerpt.makers_of(clips) if not isinstance(maker, Step)},
    )
    waited = sum(run.meter.costs[label].seconds for label in sources if label in run.meter.costs)
    punctual = max(0.0, 1 - run.late / waited) if waited else 1.0
    shared = min(1.0, run.meter.elapsed / run.booked) if run.booked else 1.0
    return {
        label: cost.seconds
        * shared
        * (punctual if label in sources else 1.0)
        / max(1, cost.frames)
        * whole[label]
        / clips[0].info.frames
        for label, cost in run.meter.costs.items()
        if label in whole
    }


def predicted(clips: Sequence[Clip], run: Run, rates: dict[str, float]) -> float:
    """Return the seconds that a run's frames take at these rates."""
    whole = frames_by_stage(clips)
    return sum(
        rates[label] * cost.frames * clips[0].info.frames / whole[label]
        for label, cost in run.meter.costs.items()
        if label in rates and whole[label]
    )


def recompute_factor(clips: Sequence[Clip]) -> float:
    """Return how often a frame is computed: parts of a long shot overlap, so some are computed twice."""
    units = merged_units(clips) if clips[0].info.frames > LONGEST else []
    return sum(unit.last - unit.first for unit in units) / clips[0].info.frames if units else 1.0


def relative_uncertainty(run: Run, whole: int) -> float:
    """Return the relative uncertainty of the time: variation of the excerpts, and of machines in general."""
    if run.frames == whole:
        return DOUBT
    if len(run.paces) < 2:
        return 2 * DOUBT
    error = statistics.stdev(run.paces) / statistics.mean(run.paces) / math.sqrt(len(run.paces))
    return min(0.5, math.hypot(DOUBT, 2 * error))


def size_of(info: ClipInfo, settings: EncodeOptions, run: Run, file: File, first: Run, small: File) -> int:
    """Return the bytes of a finished file, from those of two runs.

    Each shot begins with a key frame, and the excerpts are shots of their own.
    """
    if settings.size_mb:
        return round(settings.size_mb * 1e6)
    if not file.keys:
        return round(file.size / run.frames * info.frames)
    every, coded = int(preset(settings).options.get("g", KEY_EVERY)), info.frames * file.coded / run.frames
    keys = min(coded, len(file.keys) / _keys(run.info, every) * _keys(info, every) if file.others else coded)
    # audio and the container's index grow with the film; its header does not
    apart = run.frames >= 2 * first.frames
    more = (
        (file.overhead - small.overhead) / (run.frames - first.frames)
        if apart
        else file.overhead / run.frames
    )
    others = (coded - keys) * (statistics.mean(file.others) if file.others else 0)
    return round(
        keys * statistics.mean(file.keys) + others + file.overhead + max(0, more) * (info.frames - run.frames)
    )


def _keys(info: ClipInfo, every: int) -> int:
    return max(1, sum(-(-(stop - start) // every) for start, stop in info.shots))
