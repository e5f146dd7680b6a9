"""The advice on one page: four frames of the clip, measurements, and recommendations."""

from __future__ import annotations

from contextlib import closing

from PIL import Image

from ...core.clip import Clip
from ...core.excerpt import evenly_spaced, select_frames
from ...core.host import Host
from ...core.pull import pull
from ...image.page import ACCENT, HEADING, INK, QUIET, TEXT, TITLE, Page, to_image
from .advice import Advice

FRAMES = 4
DOUBT = (178, 154, 116)  # of what is uncertain


def page(advice: Advice, clip: Clip, host: Host) -> Image.Image:
    """Draw a page 1600 pixels wide."""
    paper = Page()
    paper.write(f"Source Advisor: {advice.name}", TITLE)
    paper.write(f"Recommended: {advice.order(' > ')}", HEADING, ACCENT)
    paper.write(advice.measured.text(), TEXT, QUIET)
    paper.pictures(_frames(clip, host), FRAMES)
    paper.write("The clip", HEADING, ACCENT)
    for name, finding in advice.measured.findings.items():
        paper.item(name.replace("_", " "), finding.text, INK if finding.sure else DOUBT)
    if not all(finding.sure for finding in advice.measured.findings.values()):
        paper.write("Findings in brown are uncertain and decide nothing.", TEXT, QUIET)
    paper.write("The workflow", HEADING, ACCENT)
    for choice in advice.verdict.choices:
        paper.item(choice.what, f"{choice.value}: {choice.why}")
    for remark in advice.verdict.remarks:
        paper.item("note", remark)
    if advice.cost:
        paper.item("cost", advice.cost.text())
    other = advice.verdict.alternative
    paper.item("alternative", f"{other.value}: {other.why}")
    paper.write("To open the recommended workflow, drop this image on ComfyUI's canvas.", TEXT, QUIET)
    return paper.finished()


def _frames(clip: Clip, host: Host) -> list[tuple[str, Image.Image]]:
    numbers = evenly_spaced(clip.info.frames, FRAMES)
    [seen] = select_frames([clip], numbers)
    with closing(pull(seen, host, chunk_frames=1)) as chunks:
        images = [to_image(chunk.reshape(-1, *chunk.shape[-3:])[0]) for [chunk] in chunks]
    return [(f"frame {number}", image) for number, image in zip(numbers, images)]
