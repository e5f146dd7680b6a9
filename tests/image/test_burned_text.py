"""Text that lies over films, found; and nothing found where there is none."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from benchmarks.support import text_scenes
from benchmarks.support.scenes import Camera, street
from benchmarks.support.text_scenes import laid, logo, subtitle
from stereoreel.image.burned_text.cover import arrived
from stereoreel.image.burned_text.finder import TextFinder, lookahead
from stereoreel.image.burned_text.lumas import PartialLuma, frame_luma

WIDTH, HEIGHT, FRAMES = 480, 270, 24
needs_font = pytest.mark.skipif(text_scenes.font_file() is None, reason="DejaVu Sans is not installed")


@lru_cache(maxsize=2)
def moving() -> torch.Tensor:
    return text_scenes.moving(1, "sideways", FRAMES)[0]


def still() -> torch.Tensor:
    noise = torch.randn(FRAMES, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    return (moving()[:1] + 0.01 * noise).clamp(0, 1)


def found(frames: torch.Tensor) -> list:
    """Return the blocks of each frame."""
    finder, known = TextFinder(25), []
    for frame in frames:
        finder.add(frame_luma(frame))
        known += finder.known()
    return [*known, *finder.known(rest=True)]


def mask_of(blocks) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for block in blocks:
        part, window = block.placed(HEIGHT, WIDTH)
        mask[window] |= part > 0.5
    return mask


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)


@needs_font
@pytest.mark.parametrize(("script", "kind"), [
    ("Latin", "outlined"), ("Cyrillic", "plain"), ("Arabic", "outlined"), ("Greek", "boxed"),
    ("Latin", "shaded"),
])  # fmt: skip
def test_subtitles_are_found_stroke_by_stroke_over_a_moving_picture(script, kind):
    frames, opacity = laid(moving(), [subtitle(WIDTH, HEIGHT, script, kind)])
    blocks = found(frames)
    assert [len(one) for one in blocks] == [1] * FRAMES
    assert min(overlap(mask_of(one), shown.numpy() > 0.5) for one, shown in zip(blocks, opacity)) >= 0.8


@needs_font
@pytest.mark.parametrize("first", [1, 2])
def test_subtitle_that_appears_after_the_first_frame_is_no_logo(first):
    frames, opacity = laid(moving(), [subtitle(WIDTH, HEIGHT, first=first)])
    blocks = found(frames)
    assert [len(one) for one in blocks] == [0] * first + [1] * (FRAMES - first)
    shown = list(zip(blocks, opacity))[first:]
    assert min(overlap(mask_of(one), truth.numpy() > 0.5) for one, truth in shown) >= 0.8


@needs_font
@pytest.mark.parametrize(("alpha", "move"), [(0.4, "sideways"), (0.5, "panning"), (0.6, "rising")])
def test_half_transparent_logo_is_found_and_stays(alpha, move):
    background = moving() if move == "sideways" else text_scenes.moving(1, move, FRAMES)[0]
    frames, opacity = laid(background, [logo(WIDTH, HEIGHT, alpha)])
    blocks = found(frames)
    assert [len(one) for one in blocks] == [1] * FRAMES
    truth = opacity.numpy() > alpha / 2
    assert min(overlap(mask_of(one), shown) for one, shown in zip(blocks, truth)) >= 0.8


@needs_font
def test_still_camera_does_not_make_its_background_a_logo():
    assert not any(found(laid(still(), [logo(WIDTH, HEIGHT, 0.5)])[0]))


@pytest.mark.parametrize("size", [(1, 64), (90, 1), (5, 1), (2, 2)])
def test_smallest_frames_have_no_text(size):
    assert not any(found(torch.rand(30, *size, 3, generator=torch.Generator().manual_seed(0))))


@pytest.mark.parametrize("pan", [(0.12, 0.07), (0.7, 0.0)])
def test_slow_camera_does_not_make_its_background_a_logo(pan):
    assert not any(found(street(11, 320, 180, camera=Camera(pan=pan)).clip(FRAMES)[0]))


@needs_font
@pytest.mark.parametrize("background", [moving, still])
def test_subtitle_is_there_from_its_first_frame_to_its_last(background):
    frames, _ = laid(background(), [subtitle(WIDTH, HEIGHT, first=3, last=22)])
    blocks = found(frames)
    assert [bool(one) for one in blocks] == [3 <= place < 22 for place in range(FRAMES)]
    assert all(one[0].sudden and one[0].first == 3 for one in blocks[3:22])


@needs_font
def test_what_is_there_all_along_in_a_still_shot_may_be_a_sign_and_is_left_alone():
    assert not any(found(laid(still(), [subtitle(WIDTH, HEIGHT)])[0]))


@needs_font
def test_sign_that_moves_with_the_scene_is_not_text():
    sign = subtitle(WIDTH, HEIGHT)
    with_scene = text_scenes.Overlay(sign.grey, sign.opacity, (60.0, 90.0), (-1.5, 0.3))
    assert not any(found(laid(moving(), [with_scene])[0]))


@pytest.mark.parametrize("camera", [
    Camera(truck=(3.0, 0.0)), Camera(pan=(0.15, 0.1)), Camera(truck=(0.0, 2.0), zoom=1.01), Camera(),
])  # fmt: skip
def test_scene_without_text_has_none(camera):
    frames, _ = street(5, 320, 180, camera=camera).clip(FRAMES)
    assert not any(found(frames))


@pytest.mark.parametrize("fps", [10, 24, 25, 60, 240])
def test_lookahead_is_bounded(fps):
    assert lookahead(fps) <= 48


def test_small_frames_and_few_frames_are_fine():
    for shape in ((1, 1), (3, 2), (16, 400)):
        assert found(torch.rand(9, *shape, 3, generator=torch.Generator().manual_seed(0))) == [[]] * 9
    assert found(torch.rand(1, 36, 52, 3)) == [[]]


@pytest.mark.parametrize("size", [(270, 480), (720, 1280), (1080, 1920), (541, 1283)])
@pytest.mark.parametrize("channels", [1, 3])
def test_part_of_the_luma_is_that_part_of_all_of_it(size, channels):
    frame = torch.rand(*size, channels, generator=torch.Generator().manual_seed(0))
    frame[5, 5] = torch.nan
    whole, part = frame_luma(frame), PartialLuma(frame)
    height, width = part.shape
    assert whole.shape == (height, width)
    for window in (
        (slice(0, height), slice(0, width)),
        (slice(0, 47), slice(0, width)),
        (slice(height - 111, height), slice(1, width - 2)),
        (slice(61, height - 62), slice(0, 79)),
    ):
        np.testing.assert_array_equal(part[window], whole[window])


def test_edge_that_moves_as_letters_appear_is_no_part_of_them():
    before = np.full((60, 120), 200.0, np.float32)
    before[:, 20:] = 140  # a curtain's edge, which comes two pixels nearer in the moment of the letters
    mean, strokes = before.copy(), np.zeros((60, 120), np.uint8)
    mean[:, 18:20] = 140
    letters = np.zeros((60, 120), bool)
    for left in range(20, 100, 12):  # the first letter reaches the edge
        letters[30:44, left : left + 5] = True
        letters[30:35, left : left + 9] = True
    mean[letters] = 250
    strokes[letters] = 110
    strokes[:, 18:20] = 80
    covered = arrived(mean, before, strokes, 12) > 0
    assert covered[letters].mean() >= 0.9
    assert not covered[:20, 18:20].any() and not covered[54:, 18:20].any()
