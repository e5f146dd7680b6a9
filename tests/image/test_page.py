"""Pages: wide enough, long enough, and letters that are legible at half size."""

import pytest
from PIL import Image, ImageChops

from stereoreel.image.page import BACKGROUND, MARGIN, TEXT, WIDTH, Page, even_columns, wrapped

RED, BLUE = (200, 40, 40), (40, 40, 200)


def inked(page: Image.Image) -> tuple[int, int, int, int]:
    return ImageChops.difference(page, Image.new("RGB", page.size, BACKGROUND)).getbbox()


def test_nothing_is_outside_the_margins_and_letters_are_legible_at_half_size():
    page = Page()
    page.write("words " * 200)
    page.item("a label that is much longer than its column", "sentence " * 60)
    page.table(
        ["", "an order with a long name", "b"], [(["figure, unit", "1.23 ±0.45", "2"], RED)] * 3, marked=1
    )
    page.legend([("a colour", RED), ("another one " * 8, BLUE)] * 4)
    made = page.finished()
    left, _, right, bottom = inked(made)
    assert made.width == WIDTH == 1600 and left >= MARGIN - 2 and right <= WIDTH - MARGIN
    assert made.height - bottom >= MARGIN and TEXT >= 22


def test_a_page_grows_with_its_content():
    page = Page()
    for _ in range(12):
        page.image(Image.new("RGB", (100, 100), RED))
    made = page.finished()
    assert made.height > 12 * (WIDTH - 2 * MARGIN)
    assert made.getpixel((WIDTH // 2, made.height - MARGIN - 40)) == RED


def test_text_is_wrapped_completely():
    text = "several words and " + "x" * 300 + " end"
    lines = wrapped(text, TEXT, 400)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "") and len(lines) > 3


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 4), (5, 3), (6, 3), (7, 4), (9, 3)])
def test_pictures_fill_lines_evenly(count, columns):
    assert even_columns(count) == columns


def test_pictures_are_as_large_as_their_cells_and_captions_are_complete():
    page = Page()
    page.pictures([("one caption " * 10, Image.new("RGB", (20, 10), color)) for color in (RED, BLUE)])
    made = page.finished()
    cell = (WIDTH - 2 * MARGIN) // 2
    assert made.getpixel((MARGIN + 10, 100)) == RED and made.getpixel((WIDTH - MARGIN - 10, 100)) == BLUE
    assert made.height > cell // 2 + 2 * TEXT
