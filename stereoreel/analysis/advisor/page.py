"""The advice on one page: four frames of the clip, measurements, and recommendations."""

from __future__ import annotations

from contextlib import closing

from PIL import Image, ImageDraw, ImageFont

from ...core.clip import Clip
from ...core.excerpt import evenly_spaced, select_frames
from ...core.host import Host
from ...core.pull import pull
from ...image.contact_sheet import BACKGROUND, GUTTER, INK, MARGIN, QUIET, to_image
from .advice import Advice

WIDTH, FRAMES = 1600, 4
TITLE, HEADING, TEXT = 30, 22, 17  # letter sizes in pixels
LABEL = 210  # pixels for the word before each sentence
LINE, PARAGRAPH = 1.45, 0.5  # of the letter size
ACCENT, DOUBT = (240, 196, 94), (150, 128, 96)


def page(advice: Advice, clip: Clip, host: Host) -> Image.Image:
    """Return an image 1600 pixels wide and as high as necessary."""
    paper = _Paper()
    paper.write(f"{advice.name}", TITLE, INK)
    paper.write(advice.measured.text(), TEXT, QUIET)
    paper.row(_frames(clip, host))
    paper.write("Measurements", HEADING, ACCENT)
    for name, finding in advice.measured.findings.items():
        paper.item(name.replace("_", " "), finding.text, INK if finding.sure else DOUBT)
    paper.write("Recommendations", HEADING, ACCENT)
    paper.item("stages", advice.order(" > "), INK)
    for choice in advice.verdict.choices:
        paper.item(choice.what, f"{choice.value}: {choice.why}", INK)
    for remark in advice.verdict.remarks:
        paper.item("", remark, INK)
    if advice.cost:
        paper.item("cost", advice.cost.text(), INK)
    other = advice.verdict.alternative
    paper.item("alternative", f"{other.value}: {other.why}", INK)
    paper.write("Drop this image on ComfyUI's canvas to open the recommended workflow.", TEXT, QUIET)
    return paper.finished()


def _frames(clip: Clip, host: Host) -> list[Image.Image]:
    [seen] = select_frames([clip], evenly_spaced(clip.info.frames, FRAMES))
    with closing(pull(seen, host, chunk_frames=1)) as chunks:
        return [to_image(chunk.reshape(-1, *chunk.shape[-3:])[0]) for [chunk] in chunks]


class _Paper:
    """A page that grows downwards."""

    def __init__(self) -> None:
        self._picture, self._y = Image.new("RGB", (WIDTH, 8192), BACKGROUND), MARGIN
        self._draw = ImageDraw.Draw(self._picture)

    def write(self, text: str, size: int, color: tuple[int, int, int]) -> None:
        self._y += round(PARAGRAPH * size)
        self._lines(text, size, color, MARGIN)

    def item(self, word: str, sentence: str, color: tuple[int, int, int]) -> None:
        self._draw.text((MARGIN, self._y), word, QUIET, ImageFont.load_default(TEXT))
        self._lines(sentence, TEXT, color, MARGIN + LABEL)

    def row(self, pictures: list[Image.Image]) -> None:
        """Draw images side by side, all of one height."""
        room = WIDTH - 2 * MARGIN - (FRAMES - 1) * GUTTER
        left, cell = MARGIN, room // FRAMES
        height = min(round(cell * pictures[0].height / pictures[0].width), cell)
        self._y += GUTTER
        for picture in pictures:
            small = picture.resize(
                (max(1, round(picture.width * height / picture.height)), height), Image.Resampling.LANCZOS
            )
            self._picture.paste(small, (left, self._y))
            left += cell + GUTTER
        self._y += height + GUTTER

    def finished(self) -> Image.Image:
        return self._picture.crop((0, 0, WIDTH, self._y + MARGIN))

    def _lines(self, text: str, size: int, color: tuple[int, int, int], left: int) -> None:
        font = ImageFont.load_default(size)
        for line in _wrapped(text, font, WIDTH - MARGIN - left, self._draw):
            self._draw.text((left, self._y), line, color, font)
            self._y += round(LINE * size)


def _wrapped(text: str, font, room: int, draw: ImageDraw.ImageDraw) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
