"""Coarse flow: shifts of a fifth of a frame, no motion where there is no evidence, any size."""

import numpy as np
import pytest

from benchmarks.support.scenes import Camera, street
from stereoreel.image.coarse_flow import coarse_flow
from stereoreel.image.flow import grayscale


@pytest.mark.parametrize("shift", [(60, 0), (-60, 20), (12, -30)])
def test_a_large_shift_is_found(shift):
    first, second = grayscale(street(3, 448, 256, camera=Camera(pan=shift)).clip(2)[0])
    found = coarse_flow(first, second)
    inner = found[64:-64, 96:-96]
    assert found.shape == (256, 448, 2) and found.dtype == np.float32
    assert np.abs(np.median(inner, (0, 1)) - shift).max() < 6  # half a pixel of the thumbnail is 4.5


def test_flat_frames_do_not_move():
    assert not coarse_flow(np.full((90, 160), 30, np.uint8), np.full((90, 160), 60, np.uint8)).any()


@pytest.mark.parametrize("size", [(24, 24), (30, 2000), (500, 25), (1080, 1920)])
def test_any_size(size):
    image = np.random.default_rng(2).integers(0, 255, size, np.uint8)
    assert coarse_flow(image, image).shape == (*size, 2)
    assert not coarse_flow(image, image).any()
