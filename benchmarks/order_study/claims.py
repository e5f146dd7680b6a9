"""Ten claims about the order of stages and one about both views: measurement and verdict for each.

A gain counts from ``EDGES``, ``DECIBELS`` or ``LEVELS`` on. These thresholds were set before measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stereoreel.workflow.orders import COMPARED

from .cells import SMOOTH
from .contrasts import Rows, both, judged, vanishing, verdict
from .effects import Effect

EDGES = 2.0  # percent of boundary F1: the least change that counts
DECIBELS = 0.1  # the same for frames and views
LEVELS = 0.1  # the same for flicker and rivalry, in levels of 255
AFTER, SOURCE, DEFAULT, LAST, FIRST = (
    "upscale before depth",
    "depth from source",
    "default",
    "upscale last",
    "depth first",
)


@dataclass(frozen=True)
class Setting:
    """What the rows contain: source sizes, names of depths and upscalers, costs in operations."""

    small: int  # height of the sources that stand for 720p
    large: int  # for 1080p
    guesses: tuple[str, ...]  # depths of a model, by ``str(Seen)``
    perfect: str  # exact depth at the size of such a model's output
    full: str  # exact depth
    upscaler: str
    single: str  # the single-image upscaler
    # ratios: "4K: ..." of depth at 4K over 1080p, "first: ..." of interpolating first over last
    operations: Mapping[str, float]
    frames: int = 1  # of the rows' sources
    a_second: float = 1.0  # factor from the rows' pixels to those of a second at true size


@dataclass(frozen=True)
class Outcome:
    """A common claim, the measurements, the verdict and its limits."""

    letter: str
    claim: str
    measured: tuple[str, ...]
    verdict: str
    limits: str


def outcomes(rows: Rows, setting: Setting) -> list[Outcome]:
    """Return one outcome per claim, (a) to (j), and one on upscaling each view."""
    return [make(rows, setting) for make in CLAIMS]


def format_effects(effects: Mapping[str, Effect], unit: str, digits: int = 1) -> tuple[str, ...]:
    return tuple(
        f"{name}: {effect.format(digits, unit)}" if effect.count else f"{name}: no such rows"
        for name, effect in effects.items()
    )


def seen(
    rows: Rows, setting: Setting, sources: tuple[str, ...], lines: int, of: str = AFTER, over: str = SOURCE
) -> dict[str, Effect]:
    """Return the gain in percent in the depth edges of the model output: only the input differs."""
    return {
        f"{source} {lines} predicted by {depth}": rows.gain(
            "seen_f1", {"order": of}, {"order": over}, True,
            source=source, lines=lines, depth=depth, upscaler=setting.upscaler,
        ) for source in sources for depth in setting.guesses
    }  # fmt: skip


def wired(
    rows: Rows, setting: Setting, sources: tuple[str, ...], lines: int, of: str = AFTER, over: str = SOURCE
) -> dict[str, Effect]:
    """Return the same for depth of a perfect model as Stereo receives it: the effect of edge position."""
    how = " (smooth)" if SMOOTH in (of, over) else ""
    return {
        f"{source} {lines} in Stereo{how}": rows.gain(
            "f1", {"order": of}, {"order": over}, True,
            source=source, lines=lines, depth=setting.perfect, upscaler=setting.upscaler,
        ) for source in sources
    }  # fmt: skip


def views(
    rows: Rows, setting: Setting, sources: tuple[str, ...], lines: int, of: str, over: str
) -> dict[str, Effect]:
    """Return the gain in dB of both views near depth edges, with depth of the models."""
    return {
        f"{source} {lines}": rows.gain(
            "edges",
            {"order": of},
            {"order": over},
            source=source,
            lines=lines,
            depth=setting.guesses,
            upscaler=setting.upscaler,
        )
        for source in sources
    }


def bad(rows: Rows) -> tuple[str, ...]:
    """Return the noisy and the compressed sources."""
    return tuple(source for source in rows.values("source") if source.startswith(("noise", "crf")))


def upscaling_first(rows: Rows, setting: Setting) -> Outcome:
    edges = edges_by_upscaling(rows, setting, setting.small)
    return Outcome(
        "a",
        "Upscaling before depth improves depth edges.",
        format_effects(edges, " %"),
        str(judged(edges, EDGES)),
        "whether a trained model predicts better edges from an upscaled image depends on its "
        "weights; the tables of both views show what the position of edges is worth",
    )


def edges_by_upscaling(rows: Rows, setting: Setting, lines: int) -> dict[str, Effect]:
    """Return the gain for a clean source: in the model output, and in Stereo for both ways of upsampling."""
    by_place, upsampled = (wired(rows, setting, ("clean",), lines, over=order) for order in (SOURCE, SMOOTH))
    return seen(rows, setting, ("clean",), lines) | by_place | upsampled


def gain_vanishes(rows: Rows, setting: Setting) -> Outcome:
    sharp = seen(rows, setting, ("clean",), setting.small) | seen(rows, setting, ("clean",), setting.large)
    soft = seen(rows, setting, ("blurred",), setting.small)
    return Outcome(
        "b",
        "The gain vanishes when the source is sharp at its native resolution.",
        (*format_effects(sharp, " %"), *format_effects(soft, " %")),
        str(vanishing(sharp, EDGES)),
        "judges model output only; a gain can vanish here only if there is one elsewhere: see blurred",
    )


def hurts(rows: Rows, setting: Setting) -> Outcome:
    loss = seen(rows, setting, bad(rows), setting.small, SOURCE, AFTER)
    return Outcome(
        "c",
        "Upscaling before depth can hurt when the source is a noisy or compressed 720p.",
        tuple(f"loss, {line}" for line in format_effects(loss, " %")),
        str(judged(loss, EDGES)),
        "the claim blames hallucinated detail, which these upscalers never add: "
        "for that part see the section on trained networks",
    )


def cost_of_depth(rows: Rows, setting: Setting) -> Outcome:
    ratios = {
        what.removeprefix("4K: "): ratio
        for what, ratio in setting.operations.items()
        if what.startswith("4K: ")
    }
    holds = verdict({what: 3 <= ratio <= 4.5 for what, ratio in ratios.items()})
    return Outcome(
        "d",
        "Depth at 4K costs about 4x the memory and 3-4x the time of 1080p.",
        tuple(f"{what}: {ratio:.1f}x" for what, ratio in ratios.items()),
        str(holds),
        "counted, not timed; a ratio of 3 to 4.5 holds",
    )


def interpolating_first(rows: Rows, setting: Setting) -> Outcome:
    cleaner = {
        f"cleaner: {source} by {upscaler}": rows.gain(
            "between",
            {"order": AFTER},
            {"order": DEFAULT},
            source=source,
            lines=setting.small,
            upscaler=upscaler,
            depth=setting.full,
        )
        for upscaler in (setting.upscaler, setting.single)
        for source in rows.values("source")
    }
    cheaper = {
        what.removeprefix("first: "): ratio
        for what, ratio in setting.operations.items()
        if what.startswith("first: ")
    }
    by_cost = verdict({f"cheaper: {what}": ratio < 1 for what, ratio in cheaper.items()})
    costs = (f"cost of both stages, {what}: {ratio:.2f}x" for what, ratio in cheaper.items())
    return Outcome(
        "e",
        "Interpolating before upscaling is cleaner and cheaper than after.",
        (*format_effects(cleaner, " dB"), *costs),
        str(both(judged(cleaner, DECIBELS), by_cost)),
        "interpolated frames, compared with the exact ones; "
        "a neural upscaler then processes twice the frames",
    )


def default_is_best(rows: Rows, setting: Setting) -> Outcome:
    against = {
        f"against {order}": rows.gain(
            "edges", {"order": DEFAULT}, {"order": order}, depth=setting.guesses, upscaler=setting.upscaler
        )
        for order in COMPARED
        if order != DEFAULT
    }
    return Outcome(
        "f",
        "The default order is the best compromise.",
        format_effects(against, " dB", 2),
        str(judged(against, DECIBELS)),
        "both views near depth edges, unweighted mean of all sources; see the table by source",
    )


def flicker(rows: Rows, setting: Setting) -> Outcome:
    less = {
        f"{source} {setting.small}": rows.gain(
            "flicker",
            {"upscaler": setting.single},
            {"upscaler": setting.upscaler},
            source=source,
            lines=setting.small,
            order=DEFAULT,
            depth=setting.full,
        )
        for source in rows.values("source")
    }
    return Outcome(
        "g",
        "Single-image upscalers flicker on video (and look pixelated), video upscalers do not.",
        format_effects(less, " levels more", 2),
        str(judged(less, LEVELS)),
        "builtin only: Lanczos frame by frame against motion-compensated fusion; "
        "detail that networks hallucinate depends on their weights, "
        "and pixelation was not measured",
    )


def unknown_for_nvidia(rows: Rows, setting: Setting) -> Outcome:
    return Outcome(
        "h",
        "It is unknown whether NVIDIA's upscaler suits AI-generated video.",
        ("not measured: needs an RTX GPU and NVIDIA's package",),
        "cannot be decided here",
        "its tests use a stand-in, which says nothing about image quality",
    )


def contradiction(rows: Rows, setting: Setting) -> Outcome:
    edges = edges_by_upscaling(rows, setting, setting.large)
    return Outcome(
        "i",
        'The sources contradict themselves: upscaling a clean 1080p before depth "is helpful", '
        'yet the gain "vanishes" when the source is sharp.',
        format_effects(edges, " %"),
        f"helpful? {judged(edges, EDGES)}",
        "both can be true only of different things: the position of edges in large frames, "
        "and the model's output",
    )


def source_resolves(rows: Rows, setting: Setting) -> Outcome:
    edges, eyes = ({f"{what}: {order}, {name}": effect for order in (SOURCE, FIRST)
                    for name, effect in of(rows, setting, bad(rows), setting.small, order, DEFAULT).items()}
                   for what, of in (("edges", seen), ("eyes", views)))  # fmt: skip
    return Outcome(
        "j",
        "A noisy source is cleaned first by the default, yet upscaling a noisy 720p before depth can hurt: "
        "depth from the source resolves it.",
        (*format_effects(edges, " %"), *format_effects(eyes, " dB", 2)),
        str(both(judged(edges, EDGES), judged(eyes, DECIBELS))),
        "gains over the default; depth from source interpolates before cleaning, depth first after it",
    )


def each_view(rows: Rows, setting: Setting) -> Outcome:
    apart = {
        f"over {order}: {source} {setting.small} by {upscaler}": rows.gain(
            "rivalry",
            {"order": LAST},
            {"order": order},
            source=source,
            lines=setting.small,
            upscaler=upscaler,
            depth=setting.full,
        )
        for order in (SOURCE, SMOOTH)
        for upscaler in (setting.upscaler, setting.single)
        for source in rows.values("source")
    }
    return Outcome(
        "eyes",
        "Upscaling each view independently makes the views disagree.",
        format_effects(apart, " levels", 2),
        str(judged(apart, LEVELS)),
        "compared with views of upscaled frames and the same exact depth, "
        "with its edges aligned to those frames and without; "
        "for networks that hallucinate detail it depends on their weights",
    )


CLAIMS: tuple[Callable[[Rows, Setting], Outcome], ...] = (
    upscaling_first, gain_vanishes, hurts, cost_of_depth, interpolating_first, default_is_best, flicker,
    unknown_for_nvidia, contradiction, source_resolves, each_view,
)  # fmt: skip
