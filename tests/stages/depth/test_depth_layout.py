"""The guess from one frame's layout: the foreground by its colours, down to the lower edge."""

import cv2
import numpy as np
import pytest

from stereoreel.stages.depth.foreground import standing, upright
from stereoreel.stages.depth.parallax import fit_camera
from stereoreel.stages.depth.prior import lab, layout, surfaces

SKIN, COAT, WALL, SUN = (0.8, 0.6, 0.5), (0.3, 0.2, 0.2), (0.45, 0.5, 0.55), (0.8, 0.6, 0.5)


def portrait(height: int = 208, width: int = 346) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return a person who is cut off by the lower edge, before a wall with a lamp like skin, and masks."""
    noise = np.random.default_rng(1).normal(0, 0.02, (height, width, 1))
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    masks = {
        "head": ((x - 0.5) / 0.1) ** 2 + ((y - 0.3) / 0.2) ** 2 < 1,
        "torso": (np.abs(x - 0.5) < 0.22) & (y > 0.48),
        "lamp": ((x - 0.85) / 0.05) ** 2 + ((y - 0.25) / 0.09) ** 2 < 1,
        "wall": (np.abs(x - 0.5) > 0.3) & (y > 0.5) & (y < 0.75),
    }
    image = np.empty((height, width, 3))
    image[:] = WALL
    for name, color in (("head", SKIN), ("torso", COAT), ("lamp", SUN)):
        image[masks[name]] = color
    return (image + noise).clip(0, 1).astype(np.float32), masks


def test_a_head_is_nearer_than_the_wall_lower_in_the_frame():
    image, masks = portrait()
    guess = surfaces(layout(image, 0.5).nearness, image)
    wall = np.median(guess[masks["wall"]])
    assert np.median(guess[masks["torso"]]) > wall + 0.5
    assert np.median(guess[masks["head"]]) > wall + 0.25


def test_what_hangs_on_the_wall_is_not_foreground():
    """Its colour is that of the head, which stands on the torso."""
    image, masks = portrait()
    found = standing(lab(image))
    at = {
        name: found[cv2.resize(mask.astype(np.uint8), found.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0]
        for name, mask in masks.items()
    }
    assert np.median(at["head"]) > 0.5 > np.median(at["lamp"]) + 0.1
    assert np.median(at["torso"]) > 0.8 and np.median(at["wall"]) < 0.3


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (64, 1), (36, 64)])
def test_a_frame_of_one_colour_has_no_foreground(shape):
    flat = np.full((*shape, 3), 0.5, np.float32)
    assert np.ptp(standing(lab(flat))) < 1e-5
    assert np.isfinite(layout(flat, 0.5).nearness).all()


def test_gaps_below_lower_the_likelihood_of_what_is_above():
    found = np.ones((10, 3), np.float32)
    found[6] = 0.0
    result = upright(found)
    assert (result[7:] == 1).all() and (result[:6] <= 0.5).all()


def test_without_near_ground_the_height_alone_says_nothing():
    """Two points at the side of a dark frame of one colour, which differ in height only."""
    dark = np.full((36, 64, 3), 0.1, np.float32)
    without, default = (layout(dark, near_ground).nearness for near_ground in (0.0, 0.5))
    assert without[0, 0] == pytest.approx(without[18, 0], abs=1e-5)
    assert default[0, 0] < default[18, 0] - 0.3


@pytest.mark.parametrize("way", [1, -1])
def test_the_camera_is_found_in_a_frame_of_one_line(way):
    motion = np.zeros((1, 8000, 2), np.float32)
    motion[..., 0] = -way * np.linspace(1, 3, 8000)  # nearer to the right
    camera = fit_camera(motion, np.ones((1, 8000), np.float32))
    assert way * camera.travel[0] > 0.5
