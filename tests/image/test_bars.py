"""Bars are found to the row, whatever is written in them; a dark scene has none."""

from dataclasses import replace

import numpy as np
import pytest

from stereoreel.image.bar_sides import profile
from stereoreel.image.bars import NO_BARS, BarFinder, Margins
from tests.support.letterbox import RATIOS, Barred, barred, margins_of, moving_scene, safe

WIDTH, HEIGHT = 320, 180


def found(*shots: np.ndarray, every: int = 2) -> list[Margins]:
    """Return the bars of shots ``[T, H, W, 3]`` uint8."""
    finder = BarFinder(shots[0].shape[2:0:-1])
    for number, shot in enumerate(shots):
        if number:
            finder.cut()
        for frame in shot[::every]:
            finder.add(profile(frame.mean(-1).astype(np.uint8)))
    return finder.margins()


def render(shot: Barred) -> np.ndarray:
    return barred(shot, WIDTH, HEIGHT)


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_is_found_to_the_row(ratio):
    shot = Barred(margins_of(ratio, WIDTH, HEIGHT), seed=3)
    looks = [
        {},
        {"level": 24.0},
        {"noise": 6.0},
        {"tilt": True},
        {"text": True, "logo": True},
        {"light": 0.4},
    ]
    for look in looks:
        one = replace(shot, **look)
        assert found(render(one)) == [safe(one)], look


def test_a_ratio_that_changes_is_found_by_shot():
    shots = [
        Barred(margins_of(ratio, WIDTH, HEIGHT), seed=seed) for seed, ratio in enumerate((2.39, 1.85, 4 / 3))
    ]
    shots.append(Barred(seed=9))
    assert found(*map(render, shots)) == [shot.margins for shot in shots]


def test_a_dark_shot_takes_the_bars_of_the_others_unless_it_shows_something_there():
    lit = Barred(margins_of(2.39, WIDTH, HEIGHT), seed=1)
    black = np.zeros_like(render(lit))
    moon = black.copy()
    moon[:, 10:40, 60:90] = 200
    assert found(render(lit), black, moon) == [lit.margins, lit.margins, NO_BARS]


def test_black_frames_before_a_scene_hide_no_bars():
    lit = Barred(margins_of(2.0, WIDTH, HEIGHT), seed=2)
    fade = np.concatenate([np.zeros((20, HEIGHT, WIDTH, 3), np.uint8), render(lit)])
    assert found(fade) == [lit.margins]


@pytest.mark.parametrize("light", [1.0, 0.3, 0.08])
def test_scenes_without_bars_have_none(light):
    for seed in range(6):
        assert found(render(Barred(light=light, noise=2.0 * (seed % 3), seed=seed))) == [NO_BARS]


def windows(image, time):
    for top in range(30, 150, 20):
        for left in range(40, 280, 30):
            image[top : top + 11, left : left + 15] = 180 if (top + left) % 3 else 20


def titles(image, time):
    import cv2

    for line in range(6):
        cv2.putText(image, "DIRECTED BY", (45, 40 + line * 20), 0, 0.6, (255, 255, 255), 1, cv2.LINE_AA)


def credits(image, time):
    import cv2

    for line in range(14):
        place = 60, 10 + line * 18 - 3 * time
        cv2.putText(image, "Best Boy  Somebody", place, 0, 0.4, (255, 255, 255), 1, cv2.LINE_AA)


def dark_ground(image, time):
    image[:100] = moving_scene(Barred(frames=1, seed=4), WIDTH, 100)[0]


def nothing(image, time):
    pass


@pytest.mark.parametrize("draw", [windows, titles, credits, dark_ground, nothing])
@pytest.mark.parametrize("noise", [0, 2])
def test_what_is_dark_at_the_edge_is_no_bar(draw, noise):
    random, frames = np.random.default_rng(7), []
    for time in range(8):
        image = np.full((HEIGHT, WIDTH, 3), 6, np.uint8)
        draw(image, time)
        noisy = image + random.normal(0, noise, image.shape)
        frames.append(noisy.clip(0, 255).astype(np.uint8))
    assert found(np.stack(frames)) == [NO_BARS]


def test_bars_of_one_side_need_several_shots():
    """Ground in the dark may end in a straight line; in every shot it is a bar."""
    shots = [render(Barred(Margins(0, 40), seed=seed)) for seed in range(3)]
    assert found(shots[0]) == [NO_BARS]
    assert found(*shots) == [Margins(0, 40)] * 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 16])
@pytest.mark.parametrize("width", [1, 2, 3, 8, 33])
def test_frames_of_any_size_are_searched_without_a_warning(height, width):
    finder = BarFinder((width, height))
    for seed in range(4):
        gray = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
        gray[: height // 3] = 16
        finder.add(profile(gray, 16, 235))
    assert len(finder.margins()) == 1


Y, X = np.mgrid[0:180, 0:320].astype(np.float32)
ACROSS, DOWN = (X - 159.5) / 160, (Y - 89.5) / 90


def object_in_the_dark() -> np.ndarray:
    mask = np.zeros((180, 320), np.float32)
    mask[45:144, 96:230] = 1
    return np.maximum(mask, ((X - 160) ** 2 + (Y - 45) ** 2 < 900).astype(np.float32))


DARK_AROUND = {
    "round vignette": (1 - np.hypot(ACROSS, DOWN)) / 0.5,
    "nearly square vignette": (1 - (np.abs(ACROSS) ** 6 + np.abs(DOWN) ** 6) ** (1 / 6)) / 0.3,
    "gradients above and below": (0.95 - np.abs(DOWN)) / 0.5,
    "short gradients": (0.95 - np.abs(DOWN)) / 0.15,
    "spotlight": 3 * (1 - 3 * ACROSS**2 - 2.5 * DOWN**2),
    "tunnel": 2 - 2.5 * np.maximum(np.abs(ACROSS), np.abs(DOWN)),
    "night sky above a straight horizon": (DOWN > -0.2).astype(np.float32),
    "dark sea": (DOWN < 0.2).astype(np.float32),
    "object before black": object_in_the_dark(),
    "planet": ((1.78 * ACROSS) ** 2 + (DOWN - 1.5) ** 2 < 2.56).astype(np.float32),
}


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("name", DARK_AROUND)
def test_a_picture_that_is_dark_around_has_no_bars(name, count):
    mask = DARK_AROUND[name].clip(0, 1)
    for seed in range(3):
        frames = moving_scene(Barred(frames=count, seed=seed), 320, 180).mean(-1) * mask
        finder = BarFinder((320, 180))
        for frame in frames:
            finder.add(profile(frame.astype(np.uint8)))
        assert finder.margins() == [NO_BARS]
