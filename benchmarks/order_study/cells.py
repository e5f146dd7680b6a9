"""One scene of the study: all sources, upscalers, depths and orders, with one row of scores for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stereoreel.analysis.metrics import psnr
from stereoreel.analysis.trial import trial
from stereoreel.core.clip import Clip
from stereoreel.core.host import Host
from stereoreel.workflow.orders import BY_KIND, COMPARED

from .degrade import SOURCES
from .scores import Places, depth_scores, frame_scores, view_scores
from .truth import FACTOR, Truth, all_frames, kept
from .workshop import EXACT, STEREO, Cost, Seen, Workshop

SMOOTH = "depth from source, smooth"
ORDERS = (*COMPARED, SMOOTH)
"""The orders worth comparing, and one more: depth aligned with the source's frames and only resized."""

FULL = Seen(EXACT, None)


@dataclass(frozen=True)
class Plan:
    """The combinations of a scene.

    ``depths`` are combined with the first upscaler; the others get exact depth at full size only.
    Upscalers are pairs of a kind and a model.
    """

    sources: tuple[str, ...]
    upscalers: tuple[tuple[str, str], ...]
    depths: tuple[Seen, ...]
    interpolation: str = "builtin"
    seed: int = 0
    orders: tuple[str, ...] = ORDERS


@dataclass
class Row:
    """One order of one combination: its scores, and the seconds and pixels of its stages by kind."""

    scene: str
    lines: int  # of the source
    source: str
    upscaler: str
    depth: str
    order: str
    scores: dict[str, float]
    seconds: dict[str, float] = field(default_factory=dict)
    pixels: dict[str, int] = field(default_factory=dict)


def cells(truth: Truth, plan: Plan, host: Host) -> list[Row]:
    """Return the rows of every combination for one scene."""
    places, lines, rows = Places(truth), truth.size[0] // FACTOR, []
    for number, name in enumerate(plan.sources):
        source = kept(SOURCES[name](truth.source(), 1000 * plan.seed + number), name)
        shop = Workshop(truth, host)
        for kind, model in plan.upscalers:
            for seen in plan.depths:
                if str(seen) == str(FULL) or (kind, model) == plan.upscalers[0]:
                    shop.seen = seen
                    rows += [
                        Row(
                            truth.name,
                            lines,
                            name,
                            f"{kind} {model}",
                            str(seen),
                            *one(shop, places, source, order, kind, model, plan),
                        )
                        for order in plan.orders
                    ]
    return rows


def one(
    shop: Workshop, places: Places, source: Clip, order: str, kind: str, model: str, plan: Plan
) -> tuple[str, dict, dict, dict]:
    """Return an order's name, scores, seconds and pixels."""
    shop.used.clear()
    options = {
        kind: {"model": model, "factor": float(FACTOR)},
        "interpolate": {"model": plan.interpolation},
        "stereo": STEREO,
    }
    if smooth := order == SMOOTH:
        options["stereo"] = {**STEREO, "edges": "smooth"}
    result = trial("depth from source" if smooth else order, source, options, kind, shop.make)
    truth = shop.truth
    depth = all_frames(result.depth) if smooth else shop.depth_in_stereo(result.depth, result.frames)
    scores = shop.scored(
        depth, lambda: depth_scores(depth[truth.scored][..., 0], truth.depth[truth.scored][..., 0])
    )
    if not shop.seen.exact:
        scores |= shop.scored(shop.predicted, lambda: seen_scores(shop))
    scores |= frame_scores(all_frames(result.frames), truth) | view_scores(
        all_frames(result.pair), truth, places
    )
    return order, scores, by_kind(shop.used, "seconds"), by_kind(shop.used, "pixels")


def seen_scores(shop: Workshop) -> dict[str, float]:
    """Return the scores of the depth model's last output, at its own size."""
    predicted, all_times = shop.predicted, len(shop.truth.frames)
    every = all_times // len(predicted)
    scored = slice(shop.truth.scored.start // every, shop.truth.scored.stop // every)
    truth = shop.truth.depth_on(*predicted.shape[1:], every)
    return {
        f"seen_{name}": value for name, value in depth_scores(predicted[scored], truth[scored], False).items()
    }


def by_kind(costs: Sequence[Cost], what: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for cost in costs:
        found[cost.kind] = found.get(cost.kind, 0) + getattr(cost, what)
    return found


def resizing(truth: Truth, lines: int, model: str, host: Host) -> dict[str, float]:
    """Compare a clean source with its Lanczos upscaling, both resized to a model's input size.

    Return, with and without antialiasing, the PSNR between both inputs and the gain in depth: what an A/B
    test of upscaling before depth would measure.
    """
    source = kept(SOURCES["clean"](truth.source(), 0), "source")
    shop = Workshop(truth, host)
    large = shop.make(
        BY_KIND["upscale"], {"clip": source}, {"model": "builtin", "factor": float(FACTOR)}, ""
    )["clip"]
    found = {}
    for antialiased in (True, False):
        shop.seen, inputs, scores = Seen(model, lines, antialiased), [], []
        for clip in (source, large):
            shop.make(BY_KIND["depth"], {"clip": clip}, {}, "")
            inputs.append(shop.shown(all_frames(clip)))
            scores.append(seen_scores(shop))
        first, second = scores
        changes = {f"{key}_change": second[f"seen_{key}"] - first[f"seen_{key}"] for key in ("f1", "rank")}
        measured = {"db": psnr(*inputs), "f1": first["seen_f1"], **changes}
        found |= {
            f"{'antialiased' if antialiased else 'plain'}_{key}": value for key, value in measured.items()
        }
    return found
