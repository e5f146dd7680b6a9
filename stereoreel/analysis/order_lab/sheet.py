"""The order lab's sheet: the verdict, the figures of all orders, and the places where they differ most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from PIL import Image

from ...image.page import ACCENT, HEADING, INK, QUIET, TEXT, TITLE, WARNING, Page, to_image
from ...stages.depth.views import colored, palette
from .figures import Row, better, rows, tried
from .places import Place
from .statistics import Mean
from .tally import MEASURES
from .verdict import Verdict

if TYPE_CHECKING:
    from .lab import Lab

COLUMNS = 6  # orders in a table
RAMP = (240, 22)  # pixels: the colours of depth in the legend


def sheet(lab: Lab, means: Mapping[str, Mapping[str, Mean]], verdict: Verdict) -> Image.Image:
    """Draw the sheet, 1600 pixels wide."""
    page = Page()
    page.write(f"Order Lab recommends: {verdict.order}", TITLE, ACCENT)
    page.write(" > ".join(lab.orders[verdict.order]), HEADING)
    page.write(verdict.confidence, TEXT)
    for warning in verdict.warnings:
        page.write(warning, TEXT, WARNING)
    for other, text in verdict.comparisons.items():
        page.item(f"against {other}", text, label=480)
    for caution in verdict.cautions:
        page.write(caution, TEXT)
    page.write(tried(lab), TEXT, QUIET)
    page.write("Figures", HEADING, ACCENT)
    _tables(page, lab, means, verdict)
    page.write("Where the orders differ most", HEADING, ACCENT)
    page.legend([("depth, from far to near", to_image(_ramp()))])
    for place in lab.gallery.places:
        _place(page, place, verdict, lab)
    page.write("What the figures mean", HEADING, ACCENT)
    for measure in MEASURES:
        page.item(measure.name, f"{measure.text[0].upper()}{measure.text[1:]}{better(measure.better)}.")
    return page.finished()


def _tables(page: Page, lab: Lab, means: Mapping[str, Mapping[str, Mean]], verdict: Verdict) -> None:
    names = list(lab.orders)
    for first in range(0, len(names), COLUMNS):
        shown = names[first : first + COLUMNS]
        marked = shown.index(verdict.order) + 1 if verdict.order in shown else None
        cells = [
            ([_label(row), *row.cells[first : first + COLUMNS]], INK if row.weighs else QUIET)
            for row in rows(lab, means)
        ]
        page.table(["", *shown], cells, marked=marked)
    page.write(
        "The figures in yellow are those of the recommended order. Those in grey decide nothing. "
        "± is the 95 % interval; times are for one source frame.",
        TEXT,
        QUIET,
    )


def _label(row: Row) -> str:
    if row.part:
        return f"time of {row.label}, s"
    return f"{row.label}{better(row.measure.better)}" if row.measure else row.label


def _place(page: Page, place: Place, verdict: Verdict, lab: Lab) -> None:
    """Draw the crops of all orders, then the depth of all."""
    when = f"source, {'after ' if place.between else ''}frame {place.frame}"
    recommended = {name: f"{name} (recommended)" if name == verdict.order else name for name in place.crops}
    page.pictures(
        [
            (when, to_image(place.source / 255)),
            *((recommended[name], to_image(crop / 255)) for name, crop in place.crops.items()),
        ]
    )
    table = palette()
    swapped = verdict.reversed_at(place.frame)
    tinted = [
        (
            f"depth: {recommended[name]}{', REVERSED' if name in swapped else ''}",
            to_image(colored(depth / 255, table)),
        )
        for name, depth in place.depths.items()
    ]
    page.pictures([("where this is", place.whole), *tinted])


def _ramp() -> torch.Tensor:
    width, height = RAMP
    return colored(torch.linspace(0, 1, width).expand(height, width), palette())
