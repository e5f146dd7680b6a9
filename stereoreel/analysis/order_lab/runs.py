"""Run orders over some frames of a clip: once to measure the frames, and once as the user would, for time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ...core.clip import Clip, ClipInfo, Step, apply
from ...core.excerpt import makers_of
from ...core.host import Host
from ...core.partition import Unit, excerpt
from ...core.per_eye import TIME
from ...core.pull import pull
from ...core.stage_cache import StageCache
from ...core.transforms import Trim
from ...image.resize import resize
from ...models.lazy_stage import KeptPlan, Plan, plans
from ...stages.stereo.parallax import Parallax
from ...viewing.compare import RepeatFrames
from ..trial import trial
from .cost import Cost, DeviceMeter
from .stages import shared

# the left view then equals the source
STRAIGHT = {
    "view": "right",
    "swap_eyes": False,
    "floating_window": False,
    "strength": "by hand",
    "plan": "",
}
Window = tuple[int, int]  # [start, stop) of a clip's frames


def windows(info: ClipInfo, shots: int, frames: int, sampling: int = 0) -> list[Window]:
    """Return ``shots`` windows of ``frames`` frames in equal parts of a clip, none across a cut.

    There are fewer if the clip is too short. Each is around the middle of its part, or with a ``sampling``
    number around a random place, or in the part's longest shot if the shot at that place is too short. Raise
    ValueError if no shot has two frames.
    """
    count, random = max(1, min(shots, info.frames // frames)), np.random.default_rng(sampling)
    found = []
    for part in range(count):
        first, last = (edge * info.frames // count for edge in (part, part + 1))
        shown = [(max(first, start), min(last, stop)) for start, stop in info.shots]
        shown = [shot for shot in shown if shot[1] - shot[0] >= 2]
        if not shown:
            continue
        wanted = int(random.integers(first, last)) if sampling else (first + last) // 2
        here = next(
            (shot for shot in shown if shot[0] <= wanted < shot[1] and shot[1] - shot[0] >= frames), None
        )
        start, stop = here or max(shown, key=lambda shot: shot[1] - shot[0])
        begin = min(max(start, wanted - frames // 2), max(start, stop - frames))
        found.append((begin, min(stop, begin + frames)))
    if not found:
        raise ValueError(
            "no shot of this clip has two frames, so there is no motion to judge the orders by. Choose "
            "another clip."
        )
    return found


def part_of(clip: Clip, window: Window) -> Clip:
    """Return the frames of a window as a clip of their own: one shot, computed independently."""
    [part] = excerpt([clip], Unit(*window, *window))
    return part


class Seen(NamedTuple):
    """One output frame of an order, at the common size, float32 on the CPU.

    The left view ``[H, W, 3]``, the right one, the right one's holes ``[H, W]``, depth ``[H, W]`` and
    parallax ``[H, W]`` in pixels.
    """

    left: Tensor
    right: Tensor
    holes: Tensor
    depth: Tensor
    parallax: Tensor


class Order:
    """One order over one window; ``kinds`` are the stages."""

    def __init__(
        self,
        kinds: Sequence[str],
        part: Clip,
        options: Mapping[str, Mapping],
        stages: StageCache,
        upscaler: str,
    ):
        pair = trial(kinds, part, options, upscaler).pair
        given = set(plans(part))
        self.kinds = {plan.label: plan.kind for plan in plans(pair) if plan not in given}
        self.pair = shared(pair, stages)
        self.stereo, self.stereo_settings = next(
            (step, step.recipe.settings)
            for step in makers_of([self.pair])
            if isinstance(step, Step)
            and isinstance(step.recipe, (Plan, KeptPlan))
            and step.infos["clip"].views > step.inputs[0].info.views
        )

    def frames(self, host: Host, height: int, width: int) -> Iterator[Seen]:
        """Yield every frame, at a size; the order must be built with ``STRAIGHT`` options for Stereo."""
        given = self.stereo.inputs[0].info
        parallax_of = Parallax(self.stereo_settings, float(given.fps))
        clips = [
            self.pair,
            *(self._aligned(clip) for clip in (Clip(self.stereo, "right_holes"), *self.stereo.inputs)),
        ]
        with closing(pull(clips, host)) as chunks:
            for pair, holes, frames, depth, *text in chunks:
                parallax = parallax_of(depth, frames, *text)[..., None] * (width / given.width)
                maps = [
                    _sized(part.float().cpu(), height, width, "bilinear")
                    for part in (holes, depth[..., :1], parallax)
                ]
                eyes = [_sized(eye[..., :3].float().cpu(), height, width, "lanczos") for eye in pair]
                for number in range(pair.shape[TIME]):
                    yield Seen(*(eye[number] for eye in eyes), *(part[number, ..., 0] for part in maps))

    def time(self, host: Host) -> Cost:
        """Run it without measuring the frames."""
        meter = DeviceMeter(host.device)
        with closing(pull(self.pair, host, meter=meter)) as chunks:
            for _ in chunks:
                pass
        seconds: dict[str, float] = defaultdict(float)
        for label, cost in meter.costs.items():
            if label in self.kinds:
                seconds[self.kinds[label]] += cost.seconds
        return Cost(dict(seconds), meter.highest)

    def _aligned(self, clip: Clip) -> Clip:
        """Return an upstream clip at the final rate and length; frames of a slower one are repeated."""
        info = self.pair.info
        if clip.info.frames != info.frames:
            clip = apply(RepeatFrames(info.fps), clip)["clip"]
        return clip if clip.info.frames == info.frames else apply(Trim(0, info.frames), clip)["clip"]


def _sized(frames: Tensor, height: int, width: int, method: str) -> Tensor:
    return (
        frames
        if frames.shape[1:3] == (height, width)
        else resize(frames, height, width, method, clamp=method == "lanczos")
    )
