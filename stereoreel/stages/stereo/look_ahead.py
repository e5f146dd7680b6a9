"""Find the strongest comfortable effect of every shot from excerpts of its depth.

A shot's depth, from its 1st to its 99th percentile, fills the parallax that a strength allows in front of the
screen and behind it. Three things make it weaker:

- steep depth: two points are not fused together if their parallax differs by more than their distance, the
  disparity gradient limit of Burt and Julesz, "A disparity gradient limit for binocular fusion", 1980. Edges
  of objects are always steeper; this counts points ``APART``
- objects that a side border cuts off in front of the screen, which then moves forward
- a cut at which the middle of the picture jumps: both shots ease to less effect, and towards each other
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import NamedTuple

from torch import Tensor

from ...core.bars import scaled, shot_picture
from ...core.clip import Clip, ClipInfo
from ...core.excerpt import select_frames
from ...core.host import Host, Polling
from ...core.meter import Meter
from ...core.pull import pull
from ...core.shot_rows import check_starts
from . import StereoOptions
from .comfort import BY_HAND, STRENGTHS, scale_foreground, screen_of
from .parallax import limits_of
from .shot_table import STRONGEST, PlannedShot, Setting, parsed, written
from .window import cut_off

EVERY = 6.0  # seconds from one excerpt of a shot to the next
FAR, MIDDLE, NEAR = 0.01, 0.5, 0.99  # of the depths of a frame
APART = 1.5  # degrees from point to point, by which their parallax may differ
STEEP = 0.95  # of all such points, at least
SAMPLES = 192  # rows and columns of depth that are counted
# a shot whose depth covers less than this, such as a wall or a title, is not spread over the full range
LEAST = 0.25
CUT_OFF = 0.002  # of the width: parallax at a side border that counts as a cut off object
KEPT = 0.92  # of a shot's strength, at least, where its screen moves forward for cut off objects
STEPS = 24  # positions of the screen that are tried


class Relief(NamedTuple):
    """Depths of a frame, 0 to 1: far, middle and near, the nearest at a side border, and the steep steps."""

    far: float
    middle: float
    near: float
    border: float
    step: float


@dataclass(eq=False)
class LookAhead:
    """The plans of a Stereo stage over ``clips``, frames and depth; each is found once by its options."""

    clips: Sequence[Clip]
    found: dict[StereoOptions, str] = field(default_factory=dict)
    suited: set[str] = field(default_factory=set)  # plans whose shots are the clip's

    def needed(self, options: StereoOptions) -> bool:
        """Whether a plan must be found."""
        return options.strength != BY_HAND and not options.plan.strip()

    def completed(self, options: StereoOptions) -> StereoOptions:
        """Return the options with the plan, if it is known."""
        return replace(options, plan=self.found[options]) if options in self.found else options

    def recall(self, options: StereoOptions, text: str) -> None:
        """Take a plan that was found before, unless it is corrupt or not of these shots."""
        with suppress(ValueError):
            check_starts([shot.start for shot in parsed(text)], self.clips[0].info)
            self.found[options] = text

    def find(self, options: StereoOptions, host: Host) -> str:
        """Find the plan, if that has not been done; return a sentence about it, or nothing if it was known.

        Raise ValueError if a plan of the options does not suit the clip's shots.
        """
        info = self.clips[0].info
        if options.plan not in self.suited:
            check_starts([shot.start for shot in parsed(options.plan)], info)
            self.suited.add(options.plan)
        if not self.needed(options) or options in self.found:
            return ""
        shots = planned(options, info, self._reliefs(options, info, host))
        self.found[options] = written(shots)
        return described(options, shots)

    def _reliefs(self, options: StereoOptions, info: ClipInfo, host: Host) -> list[list[Relief]]:
        """Return the reliefs of the excerpts of each shot, its first and last frames included."""
        places = [excerpts(start, stop, float(info.fps)) for start, stop in _shots(info)]
        [depth] = select_frames([self.clips[1]], [frame for shot in places for frame in shot])
        apart = APART / screen_of(options.screen).field
        pictures = [_picture(info, self.clips[1].info, start, stop) for start, stop in _shots(info)]
        shown = [picture for picture, shot in zip(pictures, places) for _ in shot]
        found: list[Relief] = []
        with closing(pull(depth, Polling(host), meter=_OfExcerpts())) as chunks:
            for (chunk,) in chunks:
                for frame in chunk.float()[..., 0].nan_to_num(0, posinf=1, neginf=0):
                    seen = frame[shown[len(found)]]
                    wider = frame.shape[1] / seen.shape[1]
                    found.append(relief(seen, options.foreground_scale, apart * wider))
        reliefs = iter(found)
        return [[next(reliefs) for _ in shot] for shot in places]


class _OfExcerpts(Meter):
    """Keeps what stages count in excerpts to itself: it is not true of the shots."""

    def note(self, label: str, counts: Mapping[str, int]) -> None:
        pass


def _picture(info: ClipInfo, depth: ClipInfo, start: int, stop: int) -> tuple[slice, slice]:
    """Return the rows and columns of depth that show the picture of a shot, without its bars."""
    picture = scaled(shot_picture(info, start, stop), (info.width, info.height), (depth.width, depth.height))
    top, left, height, width = picture
    return slice(top, top + height), slice(left, left + width)


def _shots(info: ClipInfo) -> list[tuple[int, int]]:
    return [(start, stop) for start, stop in info.shots if start < stop]


def excerpts(start: int, stop: int, fps: float) -> list[int]:
    """Return the frames of a shot that are sampled: both ends, and others evenly between."""
    count = 2 + int((stop - start) / (EVERY * fps))
    return sorted({start + (stop - 1 - start) * number // (count - 1) for number in range(count)})


def relief(depth: Tensor, foreground_scale: float, apart: float) -> Relief:
    """Return the relief of depth ``[h, w]``, with the steps between points so many frame widths apart."""
    if foreground_scale:
        depth = scale_foreground(depth, foreground_scale)
    rows, columns = (max(1, side // SAMPLES) for side in depth.shape)
    seen = depth[::rows, ::columns]
    columns = max(1, round(apart * seen.shape[1]))
    steps = (seen[:, columns:] - seen[:, :-columns]).abs() if columns < seen.shape[1] else seen.new_zeros(1)
    far, middle, near = (_quantile(seen, share) for share in (FAR, MIDDLE, NEAR))
    return Relief(far, middle, near, float(cut_off(depth).max()), _quantile(steps, STEEP))


def _quantile(values: Tensor, share: float) -> float:
    ordered = values.flatten().sort().values
    return float(ordered[round(share * (len(ordered) - 1))])


def planned(options: StereoOptions, info: ClipInfo, reliefs: Sequence[Sequence[Relief]]) -> list[PlannedShot]:
    """Return the settings of each shot with these reliefs, eased at the cuts."""
    limits = limits_of(options)
    assert limits
    bodies = [setting_of(options, limits, shot) for shot in reliefs]
    ends = [[body, body] for body in bodies]
    jump = screen_of(options.screen).limits(STRENGTHS[options.strength])[0]
    for number in range(1, len(bodies)):
        before, after = number - 1, number
        ends[before][1], ends[after][0] = eased(
            (bodies[before], bodies[after]), (reliefs[before][-1], reliefs[after][0]), limits, jump
        )
    return [
        PlannedShot(start, body, first, last)
        for (start, _), body, (first, last) in zip(_shots(info), bodies, ends)
    ]


def setting_of(options: StereoOptions, limits: tuple[float, float], reliefs: Sequence[Relief]) -> Setting:
    """Return the strongest setting of a shot within the limits, fractions of the width."""
    front, behind = limits
    near, far = max(one.near for one in reliefs), min(one.far for one in reliefs)
    steepest = max(one.step for one in reliefs)
    most = STRONGEST / 100
    if steepest:
        most = min(most, screen_of(options.screen).limits(APART)[0] / steepest)

    def strength(convergence: float) -> float:
        """Return the largest one with the screen at this depth."""
        before, after = near - convergence, convergence - far
        return min(
            most,
            (front + behind) / LEAST,
            *(limit / part for limit, part in ((front, before), (behind, after)) if part > 0),
        )

    if options.convergence_mode == "fixed":
        return Setting(100 * strength(options.convergence), options.convergence)
    middle = far + (near - far) * behind / (front + behind)
    border = max(one.border for one in reliefs)
    if options.floating_window or options.border or border <= middle:
        return Setting(100 * strength(middle), middle)
    forward = [middle + (border - middle) * step / STEPS for step in range(STEPS + 1)]
    allowed = [place for place in forward if strength(place) >= KEPT * strength(middle)]
    free = [place for place in allowed if strength(place) * (border - place) <= CUT_OFF]
    best = free[0] if free else allowed[-1]
    return Setting(100 * strength(best), best)


def eased(
    bodies: tuple[Setting, Setting], reliefs: tuple[Relief, Relief], limits: tuple[float, float], jump: float
) -> tuple[Setting, Setting]:
    """Return the settings at both sides of a cut with these reliefs, so that it jumps by ``jump`` at most.

    The shot that is farther away moves forward by ``s * parallax + shift`` and the other back, within the
    limits; s is as large as they leave it.
    """
    front, behind = limits
    middles = [_parallax(body, one.middle) for body, one in zip(bodies, reliefs)]
    far, near = (0, 1) if middles[0] < middles[1] else (1, 0)
    distance = middles[near] - middles[far]
    if distance <= jump:
        return bodies
    high = max(0.0, _parallax(bodies[far], reliefs[far].near))
    low = min(0.0, _parallax(bodies[near], reliefs[near].far))
    scale = min(1.0, (jump + front + behind) / (distance + high - low))
    room = max(0.0, front - scale * high), max(0.0, behind + scale * low)
    move = max(0.0, scale * distance - jump) / max(sum(room), 1e-9)
    shifts = {far: room[0] * move, near: -room[1] * move}
    first, second = (_shifted(bodies[one], scale, shifts[one]) for one in (0, 1))
    return first, second


def _parallax(setting: Setting, depth: float) -> float:
    return setting.strength / 100 * (depth - setting.convergence)


def _shifted(body: Setting, scale: float, shift: float) -> Setting:
    strength = scale * body.strength
    return Setting(strength, body.convergence - 100 * shift / strength) if strength else body


def described(options: StereoOptions, shots: Sequence[PlannedShot]) -> str:
    """Return what was found, in a sentence."""
    strengths = [shot.body.strength for shot in shots]
    parts = [f"{len(shots)} shots" if len(shots) > 1 else "one shot"]
    parts.append(
        f"strength {min(strengths):.1f} to {max(strengths):.1f} %, {mean(strengths):.1f} % on average"
        if len(shots) > 1
        else f"strength {strengths[0]:.1f} %"
    )
    cuts = sum(after.first != after.body for after in shots[1:])
    parts += [f"{cuts} of {len(shots) - 1} cuts eased"] if len(shots) > 1 else []
    return f"{options.strength} on a {screen_of(options.screen).name} screen: {', '.join(parts)}"
