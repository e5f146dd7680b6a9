"""The order lab's results as a table for people and as figures for machines.

The recommended order can be rebuilt from the figures.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from ...workflow.node_specs import BY_ID
from ...workflow.orders import api
from .statistics import Mean
from .tally import MEASURES, Measure
from .verdict import Verdict

if TYPE_CHECKING:
    from .lab import Lab

FIRST, COLUMN = 24, 15  # letters


def table(lab: Lab, means: Mapping[str, Mapping[str, Mean]]) -> str:
    """What was tried, and a line for each figure with a column for each order."""
    lines = [tried(lab), *(f"  {name}: {' > '.join(kinds)}" for name, kinds in lab.orders.items()), ""]
    body = ((f"  {row.label}" if row.part else row.label, row.cells) for row in rows(lab, means))
    for label, cells in (*_header(lab.orders), *body):
        lines.append(label.ljust(FIRST) + "".join(cell.rjust(COLUMN) for cell in cells))
    lines += [
        "",
        *(f"{measure.name}: {measure.text}{better(measure.better)}." for measure in MEASURES),
        "± is the 95 % bootstrap interval over excerpts and moments; time is for one source frame, the "
        "median of the excerpts, without model loading.",
    ]
    return "\n".join(lines)


def tried(lab: Lab) -> str:
    """Say how much of the clip was tried, at which sizes, and with which models."""
    info, size = lab.clip.info, lab.size
    shots = {sum(cut <= start for cut in info.cuts) for start, _ in lab.windows}
    frames = sum(stop - start for start, stop in lab.windows)
    models = ", ".join(f"{kind} {model}" for kind, model in lab.models.items())
    return (
        f"{len(lab.orders)} orders over {frames} frames in {_many(len(lab.windows), 'excerpt')} from "
        f"{len(shots)} of {_many(len(info.shots), 'shot')}, "
        f"{info.width}x{info.height} to {size.width}x{size.height} at "
        f"{float(size.fps):.2f} fps; models: {models}."
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _header(names: Iterable[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield names above their columns, over as many rows as the longest needs."""
    wrapped = [textwrap.wrap(name, COLUMN - 2) for name in names]
    for cells in zip(*([""] * (max(map(len, wrapped)) - len(lines)) + lines for lines in wrapped)):
        yield "", cells


class Row(NamedTuple):
    """A line of the table: a cell for each order, of a measure, or of a ``part`` of the time.

    ``weighs`` is false for figures that decide nothing.
    """

    label: str
    cells: list[str]
    weighs: bool
    measure: Measure | None = None
    part: bool = False


def rows(lab: Lab, means: Mapping[str, Mapping[str, Mean]]) -> Iterator[Row]:
    """Yield the time of all stages and of each, memory, and every measure."""
    yield Row("time, s", [f"{_seconds(lab, name):.3f}" for name in lab.orders], weighs=True)
    for kind in dict.fromkeys(kind for kinds in lab.orders.values() for kind in kinds):
        cells = [
            f"{_of(lab, name, kind):.3f}" if kind in kinds else "-" for name, kinds in lab.orders.items()
        ]
        yield Row(kind, cells, weighs=False, part=True)
    memory = [_memory(lab, name) for name in lab.orders]
    yield Row("peak memory, MiB", [f"{size / 2**20:.0f}" if size else "-" for size in memory], weighs=False)
    for measure in MEASURES:
        cells = [_cell(means[name][measure.name]) for name in lab.orders]
        yield Row(f"{measure.name}, {measure.unit}", cells, bool(measure.better), measure)


def figures_of(lab: Lab, means: Mapping[str, Mapping[str, Mean]], verdict: Verdict) -> dict:
    """Return everything, ready for JSON; unknown values are None."""
    return {
        "places": [list(window) for window in lab.windows],
        "width": lab.size.width,
        "height": lab.size.height,
        "fps": float(lab.size.fps),
        "models": lab.models,
        "options": lab.options,
        "sampling": lab.settings.sampling,
        "orders": {
            name: {
                "stages": list(kinds),
                "quality": {
                    measure.name: {
                        **_plain(means[name][measure.name]),
                        "unit": measure.unit,
                        "better": measure.better,
                    }
                    for measure in MEASURES
                },
                "time": {
                    "seconds_per_frame": _seconds(lab, name),
                    "by_place": [sum(cost.seconds.values()) for cost in lab.costs[name]],
                    "stages": {kind: _of(lab, name, kind) for kind in dict.fromkeys(kinds)},
                },
                "peak_memory": _memory(lab, name),
            }
            for name, kinds in lab.orders.items()
        },
        "recommended": {
            "order": verdict.order,
            "sure": verdict.sure,
            "reasons": list(verdict.lines),
            "against": {other: met._asdict() for other, met in verdict.against.items()},
            "warnings": list(verdict.warnings),
        },
        "depth": {
            "correlation": lab.agreement.figures(),
            "contradictions": [flip._asdict() for flip in verdict.flips],
        },
    }


def recommended(figures: Mapping) -> tuple[str, ...]:
    """Return the recommended order from the figures of a report: kinds from extract to encode."""
    stages = figures["orders"][figures["recommended"]["order"]]["stages"]
    return "extract", *stages, "encode"


def workflow_of(figures: Mapping, video: str) -> dict[str, dict]:
    """Return the recommended order as an API-format workflow over a video, with the options used."""
    graph = api(recommended(figures))
    for node in graph.values():
        declared, inputs = BY_ID[node["class_type"]], node["inputs"]
        tried = figures["options"].get(declared.kind, {})
        inputs |= {one.name: one.check(tried.get(one.name, inputs[one.name])) for one in declared.options}
    graph["1"]["inputs"]["video"] = video
    return graph


def _plain(found: Mean) -> dict:
    return {name: value if math.isfinite(value) else None for name, value in found._asdict().items()}


def _of(lab: Lab, name: str, kind: str) -> float:
    """Return the seconds of a kind of stage per source frame, the median of the excerpts."""
    return median(cost.seconds.get(kind, 0.0) for cost in lab.costs[name])


def _seconds(lab: Lab, name: str) -> float:
    """Return the seconds of all stages."""
    return median(sum(cost.seconds.values()) for cost in lab.costs[name])


def _memory(lab: Lab, name: str) -> int:
    return max(cost.memory for cost in lab.costs[name])


def _cell(found: Mean) -> str:
    if not math.isfinite(found.mean):
        return "-"
    return f"{found.mean:.2f} ±{(found.high - found.low) / 2:.2f}"


def better(side: int) -> str:
    """Say whether more or less of a measure is better; empty if neither is."""
    return {1: "; more is better", -1: "; less is better", 0: ""}[side]
