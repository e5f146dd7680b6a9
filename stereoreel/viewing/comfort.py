"""How comfortable a stereo clip is to watch: its parallax in numbers and on a page, from the graph that made it or from its pictures."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from ..core.clip import Clip, ClipInfo, Step, apply
from ..core.excerpt import peek, spread
from ..core.host import Host
from ..core.options import Options, option
from ..core.pull import pull
from ..core.transforms import Fit, Recut, Uncut
from ..models.lazy_stage import Plan
from ..stages.stereo import StereoOptions
from ..stages.stereo.chart import page
from ..stages.stereo.comfort import SCREENS
from ..stages.stereo.matching import MatchedOverlay
from ..stages.stereo.overlay import ComfortOverlay, Overlay
from .report import Report

AS_STEREO = "as Stereo says"


@dataclass(frozen=True)
class ComfortOptions(Options):
    """Options of Stereo Comfort."""

    screen: str = option(
        AS_STEREO,
        "Where the pair will be watched. Without one the limits are those of a television.",
        choices=(AS_STEREO, *SCREENS),
    )
    samples: int = option(
        12,
        "How many frames of the clip are looked at, evenly spread; 0 measures every frame.",
        low=0,
        high=1000,
        step=1,
    )


OPTIONS = ComfortOptions


@dataclass
class _Measuring:
    """An overlay as a stage of the graph; ``made`` is the one that the newest pull ran."""

    label: str
    screen: str | None
    settings: StereoOptions | None  # Stereo's; None: the pictures are matched
    made: Overlay | None = None

    def describe(self, frames: ClipInfo, *depth: ClipInfo) -> dict[str, ClipInfo]:
        return {"clip": frames.replace(channels=3, views=1)}

    def load(self, host: Host) -> Overlay:
        self.made = (
            ComfortOverlay(self.settings, host.device, self.screen)
            if self.settings
            else MatchedOverlay(self.screen or "none", host.device)
        )
        return self.made


def overlay(clip: Clip, settings: ComfortOptions, label: str) -> Clip:
    """The clip in gray, tinted where it stands in front or lies behind, with each frame's histogram; drawn when somebody looks.

    ValueError where the clip is no pair of pictures.
    """
    if clip.info.views != 2 or clip.info.channels == 1:
        raise ValueError(
            "comfort is that of two eyes; connect Stereo's clip, or an IMAGE batch of pairs with packed at full SBS."
        )
    made_by = _stereo_of(clip)
    screen = None if settings.screen == AS_STEREO else settings.screen
    recipe = _Measuring(label, screen, made_by and made_by.recipe.settings)
    return apply(recipe, *(made_by.inputs if made_by else [clip]))["clip"]


def report(clip: Clip, settings: ComfortOptions, host: Host, label: str) -> Report:
    """Measure a stereo clip, or ``settings.samples`` places of it; ``settings`` are ``OPTIONS``, resolved."""
    seen = overlay(clip, settings, label)
    recipe = seen.maker.recipe
    if settings.samples:
        [seen] = peek([seen], spread(seen.info.frames, settings.samples))
    with closing(pull(seen, host)) as chunks:
        for _ in chunks:
            pass
    tally = recipe.made.tally
    how = (
        ""
        if recipe.settings
        else "\nMeasured by matching the two pictures, because Stereo did not make them in this graph."
    )
    return Report("comfort", tally.text() + how, tally.figures(), page(tally, recipe.made.worst))


def _stereo_of(clip: Clip) -> Step | None:
    """The Stereo stage that made a clip, where nothing since then changed what each eye sees by more than its detail or its rate."""
    while isinstance(clip.maker, Step):
        recipe = clip.maker.recipe
        if isinstance(recipe, Plan) and clip.info.views > clip.maker.inputs[0].info.views:
            return clip.maker
        if not isinstance(recipe, (Fit, Recut, Uncut)) and not (isinstance(recipe, Plan) and recipe.faithful):
            return None
        clip = clip.maker.inputs[0]
    return None
