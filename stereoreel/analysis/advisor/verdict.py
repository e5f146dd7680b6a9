"""Recommendations for measured footage: order, upscaler, depth resolution and interpolation.

Each has its reason, and there is an alternative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.clip import ClipInfo
from ...core.host import Host
from ...models import catalog, policy
from ...workflow.orders import COMPARED
from .blocks import STRONG as BLOCKY
from .finding import Finding
from .upscalers import best

NOISY = 3.0  # levels of 255: above it the upscaler should clean before any other stage
FLICKERING = 2.0  # levels
TRUE_SIZE = 0.8  # of the height: with a smaller effective height, a file was upscaled
SMOOTH_RATE = 48  # frames per second from which motion is smooth
REPEATS = 0.02  # share of repeated frames from which they disturb
LARGE = 3840  # longer side in pixels from which no screen needs twice the size
FAST = 60.0  # pixels per frame: faster motion is estimated at half the size
TRAINED = 518  # short side at which depth models were trained
FEW, MANY = 450, 1400  # effective heights below and above which another depth resolution is better
COMBED = 0.1  # share of combed frames from which a remark is worth it


FIELDS = ("A file that is flagged as interlaced is deinterlaced while it is read, and nothing has to "
          "be set. Any other stays combed: "
          "deinterlace it first.")  # fmt: skip


class Choice(NamedTuple):
    """``value`` of ``what``, and why."""

    what: str
    value: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """An order by its name in ``orders.COMPARED``, its kinds, and the options that are not the default."""

    order: str
    kinds: tuple[str, ...]
    options: Mapping[str, Mapping]
    choices: tuple[Choice, ...]
    alternative: Choice
    remarks: tuple[str, ...] = field(default=())

    def figures(self) -> dict:
        return {
            "order": self.order,
            "stages": list(self.kinds),
            "options": {kind: dict(values) for kind, values in self.options.items()},
            "choices": [choice._asdict() for choice in self.choices],
            "alternative": self.alternative._asdict(),
            "remarks": list(self.remarks),
        }


def verdict(info: ClipInfo, findings: Mapping[str, Finding], host: Host) -> Verdict:
    """Return the advice for a clip with these findings, on this machine."""
    found = _Found(info, findings)
    order = "default" if found.dirt else "upscale before depth"
    entry, upscaling = _upscaler(found.dirt, host)
    kinds = [entry.kind if name == "upscaler" else name for name in COMPARED[order]]
    advice = _Advice([upscaling])
    factor = _size(found, entry.kind, advice)
    _depth(found.lines * (factor if kinds.index(entry.kind) < kinds.index("depth") else 1), host, advice)
    _interpolation(found, kinds, advice)
    if found.has("flicker", FLICKERING) and entry.kind == "upscale":
        advice.take(
            Choice("steady", "1", "hallucinated detail is stabilised along the motion"),
            "upscale",
            steady=1.0,
        )
    smooth = "interpolate" not in kinds
    choices = (Choice("order", order, _why(found.dirt, smooth or factor == 1)), *advice.choices)
    other = _alternative(found, entry.name == "builtin" or smooth)
    return Verdict(
        order,
        tuple(kinds),
        advice.options,
        choices,
        other,
        (FIELDS,) if found.has("interlaced", COMBED) else (),
    )


class _Found:
    """Findings that are sure; others decide nothing."""

    def __init__(self, info: ClipInfo, findings: Mapping[str, Finding]):
        self.info, self._findings = info, findings
        limits = {
            "noise": (NOISY, "noise"),
            "blockiness": (BLOCKY, "compression"),
            "flicker": (FLICKERING, "flicker"),
        }
        self.dirt = " and ".join(word for name, (limit, word) in limits.items() if self.has(name, limit))
        resolution = findings["resolution"]
        self.lines = (
            max(16, round(resolution.value))
            if resolution.sure and resolution.value <= TRUE_SIZE * info.height
            else info.height
        )

    def has(self, name: str, least: float) -> bool:
        return self[name].sure and self[name].value >= least

    def __getitem__(self, name: str) -> Finding:
        return self._findings[name]


class _Advice:
    """Choices, and their options."""

    def __init__(self, choices: list[Choice]):
        self.choices = choices
        self.options: dict[str, dict] = {}

    def take(self, choice: Choice, kind: str, **options) -> None:
        self.choices.append(choice)
        if options:
            self.options.setdefault(kind, {}).update(options)


def _why(dirt: str, alike: bool) -> str:
    """Return the reason for the order.

    ``alike``: motion is estimated on frames of one size in any order, or not at all.
    """
    if dirt:
        return f"there is {dirt}: the upscaler cleans first, and all later stages get clean frames"
    if alike:
        return "the source is clean: depth still gets the frames at their final size"
    return (
        "the source is clean: motion is estimated on a quarter of the pixels, and depth still gets the large "
        "frames"
    )


def _upscaler(dirt: str, host: Host) -> tuple[catalog.Entry, Choice]:
    """Return the best upscaler for this machine; for a noisy or flickering source, a multi-frame one."""
    entry, reason = best(policy.QUALITY, host)
    why = reason.partition(": ")[2]
    if dirt and entry.kind == "upscale":
        entry, _ = catalog.pick("vsr", "auto", host)
        why = f"it uses neighbouring frames, which removes {dirt}"
    return entry, Choice("upscaler", f"{entry.kind}.model={entry.name}", why)


def _size(found: _Found, kind: str, advice: _Advice) -> float:
    """Reduce what was upscaled, and keep what is large; return the scale factor of the frames."""
    info = found.info
    if found.lines < info.height:
        side = max(2, 2 * round(max(info.width, info.height) * found.lines / info.height / 2))
        advice.take(
            Choice(
                "size",
                f"downscale to {side} pixels first",
                f"the file has {info.height} lines and detail of about {found.lines}: nothing is "
                "lost, every stage is faster, and the upscaler gets the input it was trained for",
            ),
            "extract",
            max_side=side,
        )
    elif max(info.width, info.height) >= LARGE:
        advice.take(
            Choice(
                "factor",
                "1",
                f"{info.width}x{info.height} is as large as any screen; the upscaler only cleans",
            ),
            kind,
            factor=1.0,
        )
        return 1
    return 2


def _depth(lines: float, host: Host, advice: _Advice) -> None:
    """Choose the depth resolution for frames of this effective height."""
    if lines < FEW:
        value, why = "392", "the input of depth has no more detail"
    elif host.device.type == "cpu":
        value, why = "392", f"half the time of {TRAINED} on a CPU"
    elif lines >= MANY:
        value, why = (
            "700",
            f"the frames have more detail than the {TRAINED} lines of the training; further above "
            "most of them get worse",
        )
    else:
        value, why = str(TRAINED), "the size at which models were trained; more helps few frames"
    if catalog.pick("depth", "auto", host)[0].name == "builtin":
        why = f"{why} (for other models; builtin, which is available, has no such setting)"
    advice.take(
        Choice("depth resolution", value, why),
        "depth",
        **({"resolution": value} if value != str(TRAINED) else {}),
    )


def _interpolation(found: _Found, kinds: list[str], advice: _Advice) -> None:
    """Choose whether and how to interpolate; remove the stage if motion is already smooth."""
    rate, repeats = found.info.fps, found.has("duplicates", REPEATS)
    if rate >= SMOOTH_RATE and not repeats:
        kinds.remove("interpolate")
        advice.take(
            Choice("interpolation", "none", f"{float(rate):.4g} frames a second are already smooth"),
            "interpolate",
        )
        return
    if rate >= SMOOTH_RATE:
        advice.take(
            Choice("interpolation", "same rate", "only to replace repeated frames"),
            "interpolate",
            multiplier=1,
        )
    else:
        advice.take(
            Choice(
                "interpolation",
                "twice the rate",
                f"{float(rate):.4g} frames a second become {float(2 * rate):.4g}",
            ),
            "interpolate",
        )
    if repeats:
        advice.take(
            Choice("duplicates", "smooth", found["duplicates"].text), "interpolate", duplicates="smooth"
        )
    if found.has("large_motion", FAST):
        why = (
            f"motion of {found['large_motion'].value:.0f} pixels a frame is estimated better at half the size"
        )
        advice.take(Choice("interpolation scale", "0.5", why), "interpolate", scale="0.5")
    else:
        advice.take(
            Choice(
                "interpolation scale",
                "auto",
                "motion is small enough for full size, and for half at 4K",
            ),
            "interpolate",
        )


def _alternative(found: _Found, light: bool) -> Choice:
    if found.has("flicker", FLICKERING) and not found.has("noise", NOISY):
        return Choice(
            "order",
            "upscale last",
            "on flickering texture it measured 0.3 dB better with builtin depth (docs/orders.md); each "
            "view is upscaled independently",
        )
    if found.dirt:
        return Choice(
            "order",
            "depth first",
            "half of depth's work and, as measured, within 0.25 dB of it or better; what the upscaler "
            f"makes of {found.dirt} does not affect depth, which reads the source",
        )
    if light:
        return Choice(
            "order",
            "upscale last",
            "the least work with an upscaler as light as this: every other stage works at source size, and "
            "each eye is enlarged by itself",
        )
    return Choice(
        "order",
        "default",
        "less work with a neural upscaler, as in this case: it gets half the frames, before others are put "
        "between",
    )
