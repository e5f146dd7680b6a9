"""The source advisor: looks at a few pieces of footage, says what it is like, and what to do with it on this machine."""

from dataclasses import dataclass

from ...core.options import Options, option


@dataclass(frozen=True)
class AdvisorOptions(Options):
    """Options of the Source Advisor."""

    samples: int = option(
        12, "How many places of the clip are looked at, eight frames each.",
        low=1, high=100, step=1)
    calibration: float = option(
        20.0, "For how many seconds the recommended workflow is tried out, to tell what it will cost; 0 "
        "tells nothing of that.",
        low=0.0, high=3600.0, step=1.0)


OPTIONS = AdvisorOptions

