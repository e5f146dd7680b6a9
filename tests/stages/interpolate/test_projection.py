"""The frame that builtin interpolation makes from two and the motion between them."""

import numpy as np

from stereoreel.stages.interpolate.projection import NOTHING, Between, Motion, compose


def test_what_both_frames_distrust_is_not_darkened():
    """From the least weight that a cell without samples has to the full one."""
    picture, still = np.full((32, 48, 3), 0.8, np.float32), np.zeros((8, 12, 2), np.float32)
    weight = np.geomspace(NOTHING, 1, 96, dtype=np.float32).reshape(8, 12)
    motion = Motion(still, still, weight, weight, still[..., 0], still[..., 0])
    found = compose(picture, picture, Between(0.5, still, weight, weight, motion))
    assert np.abs(found - picture).max() < 1e-4
