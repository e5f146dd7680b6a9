"""The order lab: orders of stages over some places of the user's own footage, measured side by side."""

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
    """Compare orders over a clip; ``given`` are more options of stages, KIND.OPTION=VALUE."""
    from .lab import measure

    return measure(clip, settings, host, given)
