"""The source advisor: looks at a few pieces of footage, says what it is like, and what to do with it on this machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from ...core.options import Option

if TYPE_CHECKING:
    from ...core.clip import Clip
    from ...core.host import Host
    from ...viewing.report import Report

OPTIONS = (
    Option("samples", 12, "How many places of the clip are looked at, eight frames each.", low=1, high=100, step=1),
    Option("calibration", 20.0, "For how many seconds the recommended workflow is tried out, to tell what it will cost; 0 tells nothing of that.",
           low=0.0, high=3600.0, step=1.0),
)


def report(clip: Clip, settings: SimpleNamespace, host: Host, label: str, video: str | None = None) -> Report:
    """Look at a clip and say what to do with it, on a page that carries the recommended workflow.

    ``video`` is what that workflow opens: by default the name of the clip's file, empty where there is none.
    ValueError where the clip is a pair of eyes.
    """
    from .advice import UNNAMED, advise, file_of
    from .page import page

    if video is None:
        video = file.name if (file := file_of(clip)) else ""
    advice = advise(clip, settings, host, video or "this clip", video or UNNAMED)
    return advice.report(page(advice, clip, host))
