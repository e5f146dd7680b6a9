"""The source advisor: looks at a few pieces of footage, says what it is like, and what to do with it on this machine."""

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
        12, "How many places of the clip are looked at, eight frames each.", low=1, high=100, step=1
    )
    calibration: float = option(
        20.0,
        "For how many seconds the recommended workflow is tried out, to tell what it will cost; 0 "
        "tells nothing of that.",
        low=0.0,
        high=3600.0,
        step=1.0,
    )


OPTIONS = AdvisorOptions


def report(clip: Clip, settings: AdvisorOptions, host: Host, label: str, video: str | None = None) -> Report:
    """Look at a clip and say what to do with it, on a page that carries the recommended workflow.

    ``video`` is what that workflow opens: by default the name of the clip's file, empty if it has none.
    Raise ValueError if the clip is a stereo pair.
    """
    from .advice import UNNAMED, advise, file_of
    from .page import page

    if video is None:
        video = file.name if (file := file_of(clip)) else ""
    advice = advise(clip, settings, host, video or "this clip", video or UNNAMED)
    return advice.report(page(advice, clip, host))
