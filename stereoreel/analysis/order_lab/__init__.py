"""The order lab: orders of stages compared on excerpts of the user's footage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .options import OPTIONS, OrderLabOptions

if TYPE_CHECKING:
    from ...core.clip import Clip
    from ...core.host import Host
    from ...viewing.report import Report

__all__ = ["OPTIONS", "report"]


def report(
    clip: Clip, settings: OrderLabOptions, host: Host, label: str, given: Sequence[str] = ()
) -> Report:
    """Compare orders over a clip; ``given`` are additional stage options, KIND.OPTION=VALUE."""
    from .lab import measure

    return measure(clip, settings, host, given)
