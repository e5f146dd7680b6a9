"""Optical flow of images of every shape."""

import numpy as np
import pytest

from stereoreel.image.flow import PRESETS, flow


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("height, width", [(24, 128), (31, 320), (128, 24)])
def test_long_thin_images_have_a_flow(preset, height, width):
    first = np.random.default_rng(0).integers(0, 255, (height, width), np.uint8)
    motion = flow(first, np.roll(first, 2, 1), preset)
    assert motion.shape == (height, width, 2)
    assert np.median(motion, (0, 1)) == pytest.approx([2, 0], abs=0.1)
