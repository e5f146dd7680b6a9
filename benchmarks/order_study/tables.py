"""The tables of the study in Markdown: claims, the best order for each source, costs, effects of resizing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from stereoreel.workflow.orders import COMPARED

from .cells import SMOOTH
from .claims import DECIBELS, Outcome, Setting
from .contrasts import SUPPORTED, Rows, judged

COST_KINDS = ("interpolate", "depth", "stereo")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows)


def claims_table(outcomes: Iterable[Outcome]) -> str:
    return table(
        ("", "claim", "measured, mean [95 %]", "verdict", "limits"),
        (
            [f"({one.letter})", one.claim, "<br>".join(one.measured), one.verdict, one.limits]
            for one in outcomes
        ),
    )


def answer_table(rows: Rows, setting: Setting, depth: Sequence[str], score: str = "edges") -> str:
    """Return the mean score of each source by order, the best order, and those it does not clearly beat."""
    lines = []
    for size in (setting.small, setting.large):
        for source in rows.values("source"):
            where = {"source": source, "lines": size, "depth": tuple(depth), "upscaler": setting.upscaler}
            if rows.where(**where):
                lines.append([f"{source} {size}", *_by_order(rows, score, where)])
    return table(("source", *COMPARED, SMOOTH, "best"), lines)


def _by_order(rows: Rows, score: str, where: Mapping) -> list[str]:
    orders = [order for order in (*COMPARED, SMOOTH) if rows.where(**where, order=order)]
    means = {order: rows.mean(score, **where, order=order).mean for order in orders}
    best = max((order for order in orders if order in COMPARED), key=means.get)
    equals = [order for order in COMPARED if order != best and _no_better(rows, score, best, order, where)]
    cells = [f"{means[order]:.2f}" if order in means else "" for order in (*COMPARED, SMOOTH)]
    if len(equals) == len(COMPARED) - 1:
        return [*cells, "no clear winner"]
    return [*cells, best + (f" (or {', '.join(equals)})" if equals else "")]


def _no_better(rows: Rows, score: str, best: str, other: str, where: Mapping) -> bool:
    """Return whether ``best`` is not clearly better."""
    gain = rows.gain(score, {"order": best}, {"order": other}, **where)
    return judged({"": gain}, DECIBELS).word != SUPPORTED


def scores_table(
    rows: Rows,
    setting: Setting,
    scores: Mapping[str, int],
    depth: Sequence[str],
    source: Sequence[str],
    lines: int,
) -> str:
    """Return all scores by order for one set of conditions; ``scores`` gives the digits of each."""
    where = {"source": tuple(source), "lines": lines, "depth": tuple(depth), "upscaler": setting.upscaler}
    orders = [order for order in (*COMPARED, SMOOTH) if rows.where(**where, order=order)]
    return table(
        ("order", *scores),
        (
            [
                order,
                *(
                    _number(rows.mean(name, **where, order=order).mean, digits)
                    for name, digits in scores.items()
                ),
            ]
            for order in orders
        ),
    )


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def pixels_table(rows: Rows, setting: Setting) -> str:
    """Return the millions of input and output pixels of each stage, for one second of 720p at 25 fps."""
    lines = []
    for order in COMPARED:
        row = rows.where(
            order=order, lines=setting.small, depth=setting.guesses[0], upscaler=setting.upscaler
        )[0]
        scaled = {kind: count * setting.a_second / 1e6 for kind, count in row.pixels.items()}
        upscaling = sum(count for kind, count in scaled.items() if kind not in COST_KINDS)
        lines.append(
            [
                order,
                *(
                    f"{value:.0f}"
                    for value in (upscaling, *(scaled[kind] for kind in COST_KINDS), sum(scaled.values()))
                ),
            ]
        )
    return table(("order", "upscale", *COST_KINDS, "total"), lines)


def seconds_table(rows: Rows, setting: Setting) -> str:
    """Return the measured milliseconds of each stage per source frame: the median at the smaller size."""
    lines = []
    for order in COMPARED:
        some = rows.where(
            order=order, lines=setting.small, depth=setting.guesses[0], upscaler=setting.upscaler
        )
        median = {
            kind: 1000 * float(np.median([row.seconds[kind] for row in some])) / setting.frames
            for kind in some[0].seconds
        }
        upscaling = sum(value for kind, value in median.items() if kind not in COST_KINDS)
        lines.append(
            [
                order,
                *(
                    f"{value:.0f}"
                    for value in (upscaling, *(median[kind] for kind in COST_KINDS), sum(median.values()))
                ),
            ]
        )
    return table(("order", "upscale", *COST_KINDS, "total"), lines)


def resizing_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Compare the input that a model receives from a source and from its upscaled copy, by size."""
    lines = []
    for size in dict.fromkeys(name.split(", ")[1] for name in found):
        some = [values for name, values in found.items() if name.endswith(size)]
        for way in ("antialiased", "plain"):
            mean = {
                key: float(np.mean([values[f"{way}_{key}"] for values in some]))
                for key in ("db", "f1", "f1_change", "rank_change")
            }
            lines.append(
                [
                    size,
                    way,
                    f"{mean['db']:.1f} dB",
                    f"{100 * mean['f1']:.2f}",
                    f"{100 * mean['f1_change']:+.2f}",
                    f"{mean['rank_change']:+.4f}",
                ]
            )
    head = ("source", "resizing", "agreement of inputs", "source edges (F1, %)", "change by upscaling first")
    return table((*head, "rank correlation"), lines)
