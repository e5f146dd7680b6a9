"""The shot switch: noisy shots come from one branch of a workflow, clean ones from another.

Source Advisor's measures decide for each shot, once, before the first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.clip import Clip, Step, makers_of
from ...core.options import Options, option
from ...core.shot_switch import switched
from ..advisor.finding import BLOCKY, NOISY
from .table import parsed


@dataclass(frozen=True)
class SwitchOptions(Options):
    """Options of Shot Switch."""

    noise: float = option(
        NOISY,
        "Standard deviation of the noise, in levels of 255, from which a shot counts as noisy.",
        low=0.0,
        high=100.0,
        step=0.25,
    )
    compression: float = option(
        BLOCKY,
        "Blockiness, from 0 to 1, from which a shot counts as noisy too; 1 ignores compression.",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    plan: str = option(
        "",
        "Branch of each shot, as CSV with a line for each: its first frame in the source, and `noisy` or "
        "`clean`, such as 48, noisy. If empty, the shots are measured before the first frame.",
        advanced=True,
        lines=True,
    )

    judged = ("plan",)

    def check(self) -> None:
        if self.plan.strip() and not parsed(self.plan):
            raise ValueError("Shot Switch's plan holds no shots. Write a line for each, such as 0,noisy.")


OPTIONS = SwitchOptions


def switch(noisy: Clip, clean: Clip, source: Clip | None, settings: SwitchOptions, label: str) -> Clip:
    """Return a lazy clip of the noisy shots of one clip and the clean shots of the other.

    ``source`` is measured; by default it is the clip that both are made of. Raise ValueError if the clips
    differ in size, rate or shots, or if there is no such source.
    """
    from .verdicts import Verdicts

    source = source or _common(noisy, clean)
    if source is None:
        raise ValueError(
            "The inputs noisy and clean are not made of one clip. Connect the clip to measure to source."
        )
    shots = [len(clip.info.cuts) + 1 for clip in (source, noisy)]
    if shots[0] != shots[1]:
        raise ValueError(
            f"The source and the inputs differ in the number of shots ({shots[0]} and {shots[1]}). "
            "Connect the clip that both branches begin with to source, and set cuts only upstream of it."
        )
    if source.info.views == 2:
        raise ValueError("The source is a stereo pair. Connect the clip before Stereo Pair to source.")
    return switched([noisy, clean], Verdicts(source, settings), label)


def _common(noisy: Clip, clean: Clip) -> Clip | None:
    """Return the first clip that both are made of, of those with the frames and cuts of the last one."""
    others = {(id(clip.maker), clip.port) for clip in _upstream(clean)}
    shared = [clip for clip in _upstream(noisy) if (id(clip.maker), clip.port) in others]
    if not shared:
        return None
    frames, cuts = shared[-1].info.frames, shared[-1].info.cuts
    return next(clip for clip in shared if (clip.info.frames, clip.info.cuts) == (frames, cuts))


def _upstream(clip: Clip) -> Iterator[Clip]:
    """Yield the clips with colours that a clip is made of, sources first, and itself."""
    for maker in makers_of([clip]):
        for one in maker.inputs if isinstance(maker, Step) else ():
            if one.info.channels >= 3 and one.info.views == 1:
                yield one
    yield clip
