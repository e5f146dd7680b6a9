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
from .finding import BLOCKY, NOISY, Finding
from .upscalers import best

FLICKERING = 2.0  # levels
TRUE_SIZE = 0.8  # of the height: with a smaller effective height, a file was upscaled
SMOOTH_RATE = 48  # frames per second from which motion is smooth
REPEATS = 0.02  # share of repeated frames from which they disturb
LARGE = 3840  # longer side in pixels from which no screen needs twice the size
FAST = 60.0  # pixels per frame: faster motion is estimated at half the size
TRAINED = 518  # short side at which depth models were trained
FEW, MANY = 450, 1400  # effective heights below and above which another depth resolution is better
COMBED = 0.1  # share of combed frames from which a remark is worth it


FIELDS = (
    "A file that is marked as interlaced is deinterlaced while it is read. Any other file stays combed: "
    "deinterlace it first."
)
BY_SHOT = (
    "Noisy and clean footage is mixed. If these are different shots, Shot Switch (workflow by_shot) gives "
    "each the upscaler and the order that suit it."
)


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
    learned = _learned_interpolation(found, host)
    order = "default" if found.dirt or learned else "upscale before depth"
    entry, upscaling = _upscaler(found.dirt, host)
    kinds = [entry.kind if name == "upscaler" else name for name in COMPARED[order]]
    advice = _Advice([upscaling])
    factor = _size(found, entry.kind, advice)
    _depth(found.lines * (factor if kinds.index(entry.kind) < kinds.index("depth") else 1), host, advice)
    _interpolation(found, kinds, advice)
    if found.has("flicker", FLICKERING) and entry.kind == "upscale":
        advice.take(
            Choice("steady", "1", "keeps hallucinated detail temporally stable"),
            "upscale",
            steady=1.0,
        )
    smooth = "interpolate" not in kinds
    choices = (Choice("order", order, _why(found.dirt, smooth or factor == 1, learned)), *advice.choices)
    other = _alternative(found, entry.name == "builtin" or smooth, learned)
    return Verdict(
        order,
        tuple(kinds),
        advice.options,
        choices,
        other,
        (FIELDS,) * found.has("interlaced", COMBED) + (BY_SHOT,) * found.has("noisy_excerpts", 0),
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
        self.fills_screens = self.lines == info.height and max(info.width, info.height) >= LARGE

    def has(self, name: str, least: float) -> bool:
        return name in self._findings and self[name].sure and self[name].value >= least

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


def _learned_interpolation(found: _Found, host: Host) -> str:
    """Return the name of the trained network that would interpolate enlarged frames; empty if none would."""
    smooth = found.info.fps >= SMOOTH_RATE and not found.has("duplicates", REPEATS)
    if smooth or found.fills_screens:
        return ""
    entry, _ = catalog.pick("interpolate", "auto", host)
    return "" if entry.name == "builtin" else entry.name


def _why(dirt: str, alike: bool, learned: str) -> str:
    """Return the reason for the order.

    ``alike``: motion is estimated on frames of one size in any order, or not at all. ``learned`` is the
    network that interpolates, if any.
    """
    if dirt:
        return f"the source has {dirt}, so the upscaler cleans the frames before any other stage sees them"
    if learned:
        return (
            f"the source is clean, and {learned}, as a trained network, finds motion better in upscaled "
            "frames than in small ones: RIFE by 0.2 to 1.6 dB in most measurements (docs/orders.md)"
        )
    if alike:
        return "the source is clean, and depth still sees the frames at their final size"
    return (
        "the source is clean, so motion is estimated on a quarter of the pixels, and depth still sees the "
        "upscaled frames"
    )


def _upscaler(dirt: str, host: Host) -> tuple[catalog.Entry, Choice]:
    """Return the best upscaler for this machine; for a noisy or flickering source, a multi-frame one."""
    entry, reason = best(policy.QUALITY, host)
    why = reason.partition(": ")[2]
    if dirt and entry.kind == "upscale":
        entry, _ = catalog.pick("vsr", "auto", host)
        why = f"it combines neighbouring frames, which removes {dirt}"
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
                f"the frames are {info.height} pixels high but hold detail for about {found.lines}, so "
                "nothing is lost and every stage is faster",
            ),
            "extract",
            max_side=side,
        )
    elif found.fills_screens:
        advice.take(
            Choice(
                "factor",
                "1",
                f"{info.width}x{info.height} fills any screen, so the upscaler only cleans",
            ),
            kind,
            factor=1.0,
        )
        return 1
    return 2


def _depth(lines: float, host: Host, advice: _Advice) -> None:
    """Choose the depth resolution for frames of this effective height."""
    if lines < FEW:
        value, why = "392", "the frames hold no more detail"
    elif host.device.type == "cpu":
        value, why = "392", f"half the time of {TRAINED} on a CPU"
    elif lines >= MANY:
        value, why = (
            "700",
            f"the frames hold more detail than the {TRAINED} pixels that models were trained at; most get "
            "worse with more than this",
        )
    else:
        value, why = str(TRAINED), "the size that models were trained at; few images gain from more"
    if catalog.pick("depth", "auto", host)[0].name == "builtin":
        why = f"{why} (for a model with weights; builtin, which runs here, ignores it)"
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
            Choice("interpolation", "none", f"{float(rate):.4g} fps is smooth already"),
            "interpolate",
        )
        return
    if rate >= SMOOTH_RATE:
        advice.take(
            Choice("interpolation", "same rate", "only to smooth over repeated frames"),
            "interpolate",
            multiplier=1,
        )
    else:
        advice.take(
            Choice(
                "interpolation",
                "twice the rate",
                f"{float(rate):.4g} fps becomes {float(2 * rate):.4g} fps",
            ),
            "interpolate",
        )
    if repeats:
        advice.take(
            Choice("duplicates", "smooth", found["duplicates"].text), "interpolate", duplicates="smooth"
        )
    if found.has("large_motion", FAST):
        why = (
            f"motion of {found['large_motion'].value:.0f} pixels a frame is found more reliably at half size"
        )
        advice.take(Choice("interpolation scale", "0.5", why), "interpolate", scale="0.5")
    else:
        advice.take(
            Choice(
                "interpolation scale",
                "auto",
                "the motion is small enough for full size (half for 4K)",
            ),
            "interpolate",
        )


def _alternative(found: _Found, light: bool, learned: str) -> Choice:
    """Return another order that is worth a try; with ``learned`` interpolation one that upscales first."""
    if found.has("flicker", FLICKERING) and not found.has("noise", NOISY) and not learned:
        return Choice(
            "order",
            "upscale last",
            "it measured 0.3 dB better on flickering texture with builtin depth (docs/orders.md); each view "
            "is upscaled independently",
        )
    if found.dirt:
        return Choice(
            "order",
            "depth first",
            "it halves the depth computation and measured within 0.25 dB or better; depth reads the source, "
            f"so what the upscaler makes of {found.dirt} cannot confuse it",
        )
    if learned:
        return Choice(
            "order",
            "depth first",
            "it halves the depth computation and measured within 0.25 dB with builtin interpolation",
        )
    if light:
        return Choice(
            "order",
            "upscale last",
            "the least computation with such a light upscaler: every other stage runs at source size, and "
            "each view is upscaled independently",
        )
    return Choice(
        "order",
        "default",
        "less computation with a neural upscaler, as here: it gets only the source frames, not the "
        "interpolated ones",
    )
