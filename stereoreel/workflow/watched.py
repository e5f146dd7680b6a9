"""What follows from the screen on which a film is watched: Stereo's comfort, and what spatial video states.

Encode Video names the device; Stereo Pair, which is upstream of it, is adjusted when the film is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..core.clip import Clip, Source, Step, substituted
from ..media.write.devices import device
from ..media.write.options import EncodeOptions, preset
from ..models.lazy_stage import Plan, plans
from ..stages.stereo import FROM_ENCODE, StereoOptions
from ..stages.stereo.comfort import BY_HAND, SCREENS
from ..stages.stereo.parallax import limits_of

STEREO, HALF_SPHERES = "stereo", "vr180"
UNSET = ("none", FROM_ENCODE)  # screens of Stereo Pair that follow the device
# metres; at 2 % of divergence in a field of 63.4 degrees, the lenses are 63 mm apart, as human eyes
NEAREST = 2.55


def watched(
    clip: Clip, depth: Clip | None, settings: EncodeOptions
) -> tuple[Clip, Clip | None, EncodeOptions]:
    """Return clips and options of a film for the device that the options name, and for spatial video."""
    if chosen := device(settings.device):
        clip, *others = on_screen([clip, *([depth] if depth else [])], chosen.screen)
        depth = others[0] if others else None
    return clip, depth, stated(clip, settings)


def on_screen(clips: Iterable[Clip], screen: str) -> list[Clip]:
    """Return clips whose Stereo stage renders for a screen if its own options name none."""

    def seen(maker: Source | Step) -> Source | Step:
        if not isinstance(maker, Step):
            return maker
        plan = maker.recipe
        if not isinstance(plan, Plan) or plan.kind != STEREO or plan.settings.screen not in UNSET:
            return maker
        return replace(maker, recipe=replace(plan, given={**plan.given, "screen": screen}))

    return substituted(clips, seen)


def stated(clip: Clip, settings: EncodeOptions) -> EncodeOptions:
    """Return the options with what spatial video states of its lenses, as far as Stereo's options tell it.

    The field of view is the angle that Stereo's screen fills. The baseline is the distance of two parallel
    lenses whose parallax, in that field, equals the divergence for a point ``NEAREST`` metres away: an object
    at Z metres has a parallax of ``baseline / (2 Z tan(field / 2))`` of the width. Options that are not at
    their default stay. Half spheres show the frame in a field of their own. No disparity shift follows:
    Stereo has put the screen where it belongs.
    """
    plan = next(stereo_plans(clip), None)
    if plan is None or not preset(settings).multiview:
        return settings
    derived: dict[str, Any] = {}
    if settings.layout == HALF_SPHERES:
        field = settings.vr180_field
    else:
        if settings.unchanged("spatial_field") and plan.settings.screen in SCREENS:
            derived["spatial_field"] = round(SCREENS[plan.settings.screen].field, 1)
        field = derived.get("spatial_field", settings.spatial_field)
    if settings.unchanged("baseline_mm") and field:
        derived["baseline_mm"] = round(baseline_mm(_divergence(plan.settings), field), 1)
    return replace(settings, **derived)


def _divergence(settings: StereoOptions) -> float:
    """Return the parallax from the farthest to the nearest point, that of all shots if it varies."""
    limits = limits_of(settings)
    return settings.divergence if settings.strength == BY_HAND or not limits else 100 * sum(limits)


def stereo_plans(clip: Clip) -> Iterator[Plan]:
    """Yield the Stereo stages that a clip depends on."""
    return (plan for plan in plans(clip) if plan.kind == STEREO)


def baseline_mm(divergence: float, field: float) -> float:
    """Return the distance of lenses, in mm, for a divergence in percent and a field of view in degrees."""
    return 1000 * 2 * divergence / 100 * NEAREST * math.tan(math.radians(field) / 2)
