"""Measure the viewing comfort of a stereo clip: its parallax as numbers and as a chart.

The parallax comes from the graph that made the clip, or from matching its left and right views.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from ..core.clip import Clip, ClipInfo, Step, apply
from ..core.excerpt import evenly_spaced, select_frames
from ..core.host import Host
from ..core.options import Options, option
from ..core.pull import pull
from ..core.transforms import Fit, Recut, Uncut
from ..media.write.devices import NONE, device, devices
from ..models.lazy_stage import Plan
from ..stages.stereo.chart import page
from ..stages.stereo.comfort import SCREENS
from ..stages.stereo.curves import Curves
from ..stages.stereo.matching import MatchedOverlay
from ..stages.stereo.overlay import ComfortOverlay
from ..stages.stereo.score import score
from .report import Report

AS_STEREO = "as Stereo says"
MATCHED = "Measured by matching the two views, because Stereo did not make them in this graph."


@dataclass(frozen=True)
class ComfortOptions(Options):
    """Options of Stereo Comfort."""

    screen: str = option(
        AS_STEREO,
        "The screen on which the clip will be watched. Without one, the limits are those of a television.",
        choices=(AS_STEREO, *SCREENS),
    )
    samples: int = option(
        12,
        "Number of evenly spaced frames to measure; 0 measures every frame.",
        low=0,
        high=1000,
        step=1,
    )
    device: str = option(
        NONE,
        "Device on which the clip will be watched, as in Encode Video: its screen is used if `screen` is "
        "at its default.",
        choices=(NONE, *devices()),
        advanced=True,
    )

    def completed(self) -> ComfortOptions:
        """Return the options with the device's screen, unless one is named."""
        chosen = device(self.device)
        return replace(self, screen=chosen.screen) if chosen and self.unchanged("screen") else self


OPTIONS = ComfortOptions


@dataclass
class _Measuring:
    """An overlay as a stage of the graph; ``latest`` is the overlay of the latest pull."""

    label: str
    screen: str | None
    stereo: Plan | None  # that made the pair; None: the views are matched
    latest: ComfortOverlay | MatchedOverlay | None = None
    picture_only = True  # as Stereo is

    def look_ahead(self, host: Host) -> str:
        return self.stereo.look_ahead(host) if self.stereo else ""

    def describe(self, frames: ClipInfo, *depth: ClipInfo) -> dict[str, ClipInfo]:
        return {"clip": frames.replace(channels=3, views=1)}

    def load(self, host: Host) -> ComfortOverlay | MatchedOverlay:
        self.latest = (
            ComfortOverlay(self.stereo.settings, host.device, self.screen)
            if self.stereo
            else MatchedOverlay(self.screen or "none", host.device)
        )
        return self.latest


def overlay(clip: Clip, settings: ComfortOptions, label: str) -> Clip:
    """Return the clip in grey, tinted where it is in front of or behind the screen, with histograms; lazy.

    Raise ValueError if the clip is not stereoscopic.
    """
    _check(clip)
    return _overlay(clip, settings, label)[0]


def _check(clip: Clip) -> None:
    if clip.info.views != 2 or clip.info.channels == 1:
        raise ValueError(
            "The clip is not a stereo clip of frames, and comfort needs both views. "
            "Connect Stereo's clip, or an IMAGE batch of stereo pairs with packed set to full SBS."
        )


def _overlay(clip: Clip, settings: ComfortOptions, label: str) -> tuple[Clip, _Measuring]:
    inputs, stereo = _stereo_of(clip)
    screen = None if settings.screen == AS_STEREO else settings.screen
    recipe = _Measuring(label, screen, stereo)
    return apply(recipe, *inputs)["clip"], recipe


def report(clip: Clip, settings: ComfortOptions, host: Host, label: str) -> Report:
    """Measure a stereo clip, or ``settings.samples`` frames of it."""
    _check(clip)
    seen, recipe = _overlay(clip, settings, label)
    info = seen.info
    if settings.samples:
        [seen] = select_frames([seen], sampled(info, settings.samples))
    with closing(pull(seen, host)) as chunks:
        for _ in chunks:
            pass
    result = recipe.latest
    assert result and result.worst  # the pull has loaded it and drawn every frame
    tally, options = result.tally, recipe.stereo.settings if recipe.stereo else None
    found = score(result.moments, info.cuts, tally.screen)
    how = "" if recipe.stereo else MATCHED
    said = found.text(), found.advice(options), tally.verdict()
    text = "\n".join(filter(None, (*said, *tally.lines(), how)))
    course = Curves(result.moments, info, tally.screen)
    figures = {**tally.figures(), "score": found.figures(), "worst": course.figures(result.worst)}
    if options and options.plan:
        figures["plan"] = options.plan
    return Report("comfort", text, figures, page(tally, found, options, course, result.worst, how))


def sampled(info: ClipInfo, count: int) -> list[int]:
    """Return ``count`` evenly spaced frames, and the frames at both sides of as many cuts."""
    cuts = [info.cuts[place] for place in evenly_spaced(len(info.cuts), count)]
    return sorted({*evenly_spaced(info.frames, count), *cuts, *(cut - 1 for cut in cuts)})


def _stereo_of(clip: Clip) -> tuple[Sequence[Clip], Plan | None]:
    """Return inputs and the recipe of the Stereo stage that made a clip, or the clip itself and None.

    The stage counts only if later stages changed no more of each view than its detail or its rate.
    """
    original = clip
    while isinstance(clip.maker, Step):
        recipe = clip.maker.recipe
        if isinstance(recipe, Plan) and clip.info.views > clip.maker.inputs[0].info.views:
            return clip.maker.inputs, recipe
        if not isinstance(recipe, (Fit, Recut, Uncut)) and not (isinstance(recipe, Plan) and recipe.faithful):
            break
        clip = clip.maker.inputs[0]
    return [original], None
