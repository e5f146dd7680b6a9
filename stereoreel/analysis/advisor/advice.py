"""The advice on a clip: measurements, recommendations, their cost on this machine, and the workflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.clip import Clip
from ...core.excerpt import makers_of
from ...core.host import Host
from ...core.options import resolve
from ...media import open as extract
from ...media.read.decode import FileSource
from ...media.write.options import EncodeOptions
from ...viewing.report import Report
from ...workflow import orders
from ...workflow.graph import Output
from ...workflow.litegraph import render
from ...workflow.node_specs import BY_ID
from ..trial import trial
from . import AdvisorOptions
from .cost import Cost, predict
from .measure import Measured, measure
from .verdict import Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

FILES = ("advice.png", "advice.txt", "advice.json", "workflow.json", "workflow.api.json")
UNNAMED = "sample"  # what Extract opens if the clip is not a file that a workflow can name


@dataclass(frozen=True)
class Advice:
    """Measurements, recommendations, cost and workflow for one clip.

    ``name`` is the clip's; ``graph`` the recommended workflow in ComfyUI's API format; ``cost`` is None if
    none was requested.
    """

    name: str
    measured: Measured
    verdict: Verdict
    cost: Cost | None
    graph: Mapping[str, dict]

    def text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        found = self.verdict
        yield f"{self.name}: {self.measured.text()}"
        yield from (
            f"  {name.replace('_', ' '):<20}{finding.text}"
            for name, finding in self.measured.findings.items()
        )
        yield f"\nRecommended: {self.order()}"
        yield from (f"  {choice.what:<20}{choice.value}: {choice.why}" for choice in found.choices)
        yield from (f"  {remark}" for remark in found.remarks)
        if self.cost:
            yield f"\nCost: {self.cost.text()}"
        yield f"\nAlternative: {found.alternative.value}: {found.alternative.why}."

    def order(self, arrow: str = " → ") -> str:
        return arrow.join(("extract", *self.verdict.kinds, "encode"))

    def figures(self) -> dict:
        """Return everything as plain numbers and words, for JSON."""
        return {
            "clip": self.name, "source": self.measured.figures(), "advice": self.verdict.figures(),
            "cost": self.cost and self.cost.figures(), "workflow": dict(self.graph),
        }  # fmt: skip

    def canvas(self) -> dict:
        """Return the recommended workflow as the canvas opens it."""
        return render(self.graph, "advice")

    def report(self, page: Image) -> Report:
        """Return the advice as ``FILES``; the page's PNG holds the workflow, which opens on the canvas."""
        text, figures, canvas = self.text(), self.figures(), self.canvas()
        embedded = {"workflow": json.dumps(canvas), "prompt": json.dumps(self.graph)}
        texts = text, _pretty(figures), _pretty(canvas), _pretty(self.graph)
        return Report("advice", text, figures, page, embedded=embedded, files=dict(zip(FILES[1:], texts)))


def advise(clip: Clip, settings: AdvisorOptions, host: Host, name: str, video: str = UNNAMED) -> Advice:
    """Measure a clip and recommend a workflow; ``settings`` are ``OPTIONS``, resolved.

    ``video`` is what the workflow's Extract opens. Raise ValueError if the clip is a stereo pair.
    """
    if clip.info.views == 2:
        raise ValueError("the clip is already a stereo pair. Connect the source, upstream of Stereo.")
    measured = measure(clip, host, settings.samples)
    found = verdict(measured.info, measured.findings, host)
    cost = predict(job(clip, found), host, settings.calibration) if settings.calibration else None
    return Advice(name, measured, found, cost, _graph(found, name, {"video": video, **_part(clip)}))


def job(clip: Clip, found: Verdict) -> Output[EncodeOptions]:
    """Return the inputs of Encode if the recommended workflow ran with this clip."""
    shrunk = extract.from_clip(
        clip,
        resolve(extract.OPTIONS, {**found.options.get("extract", {}), "cuts": bool(clip.info.cuts)}),
        "Extract Video",
    )
    pair = trial(found.kinds, shrunk, found.options).pair
    encode = BY_ID["StereoReelEncode"]
    return Output(encode.name, encode, pair, None, EncodeOptions())


def file_of(clip: Clip) -> Path | None:
    """Return the one file of a clip; None if there is none, or several."""
    files = {Path(maker.facts.path).resolve() for maker in makers_of([clip]) if isinstance(maker, FileSource)}
    return files.pop() if len(files) == 1 else None


def _part(clip: Clip) -> dict:
    """Return the options with which Extract opens the same window of the file as this clip."""
    source, info = clip.maker, clip.info
    if not isinstance(source, FileSource):
        return {}
    chosen: dict[str, float | int | str] = {}
    facts = source.facts
    first, stop = source.window
    if first or stop < facts.frames:
        chosen["start"] = round(float(facts.time(first)), 3)
        chosen["duration"] = (
            round(float(facts.time(stop) - facts.time(first)), 3) if stop < facts.frames else 0.0
        )
    if source.selection.every > 1:
        chosen["select_every_nth"] = source.selection.every
    native = facts.width, facts.height
    if source.pixel_aspect != 1:
        chosen["pixel_aspect"], native = "keep", facts.upright
    if facts.alpha and source.background != "black":
        chosen["background"] = source.background
    if max(info.width, info.height) < max(native):
        chosen["max_side"] = max(info.width, info.height)
    if source.packing and extract.packing_of(facts, facts.path.name).views == 2:
        chosen["packing"] = "mono"
    if facts.pictures:
        chosen |= {"picture_fps": float(facts.fps), "linear_light": source.linear_light}
    return chosen


def _graph(found: Verdict, name: str, source: dict) -> dict[str, dict]:
    reasons = "\n".join(f"- **{choice.what}: {choice.value}**: {choice.why}" for choice in found.choices)
    note = f"**Recommended for {name}**\n\n{reasons}\n\nChoose the video in *Extract Video* and queue."
    graph = orders.api(("extract", *found.kinds, "encode"), note)
    graph["1"]["inputs"] |= source
    for node in graph.values():
        node["inputs"] |= found.options.get(BY_ID[node["class_type"]].kind, {})
    return graph


def _pretty(value) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
