"""The source advisor: measures excerpts of footage and recommends a workflow for it on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.options import Options, option

if TYPE_CHECKING:
    from ...core.clip import Clip
    from ...core.host import Host
    from ...viewing.report import Report


@dataclass(frozen=True)
class AdvisorOptions(Options):
    """Options of the Source Advisor."""

    samples: int = option(
        12, "Number of excerpts of the clip to measure, eight frames each.", low=1, high=100, step=1
    )
    calibration: float = option(
        20.0,
        "Seconds for a trial run of the recommended workflow, from which its cost is estimated. "
        "0: no estimate.",
        low=0.0,
        high=3600.0,
        step=1.0,
    )


OPTIONS = AdvisorOptions


def report(clip: Clip, settings: AdvisorOptions, host: Host, label: str, video: str | None = None) -> Report:
    """Measure a clip and recommend a workflow, on a page that contains it.

    ``video`` is what that workflow opens: by default the name of the clip's file, empty if it has none. Raise
    ValueError if the clip is a stereo pair.
    """
    from .advice import UNNAMED, advise, file_of
    from .page import page

    if video is None:
        video = file.name if (file := file_of(clip)) else ""
    advice = advise(clip, settings, host, video or "this clip", video or UNNAMED)
    return advice.report(page(advice, clip, host))
