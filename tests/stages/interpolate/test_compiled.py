"""Builtin interpolation's compiled loops make the frames that OpenCV makes."""

import cv2
import numpy as np
import pytest

from stereoreel.stages.interpolate.projection import NOTHING, Between, Motion, compose
from stereoreel.stages.interpolate.still import Layer


@pytest.mark.parametrize("text", ("no text", "text that stands and text that scrolls"))
def test_compiled_loops_equal_opencvs_steps(text, monkeypatch):
    """Also where motion leads far out of the frame, in a frame higher than what a core takes at a time."""
    pytest.importorskip("numba")
    height, width = 45, 8192
    random = np.random.default_rng(5)

    def smooth(*shape, coarse=8):
        small = random.random((shape[0] // coarse + 2, shape[1] // coarse + 2, *shape[2:]), np.float32)
        return cv2.resize(small, shape[1::-1], interpolation=cv2.INTER_CUBIC)

    first, second = (smooth(height, width, 3) for _ in range(2))
    mean = 12 * (smooth(height // 4, width // 4, 2) - 0.5)
    weights = [random.random(mean.shape[:2], np.float32) + NOTHING for _ in range(2)]
    parts = [np.zeros((height, width), np.float32) for _ in range(2)]
    parts[0][10:20, 100:4000], parts[1][25:40, 5000:8000] = 1, 0.7
    layers = [Layer(parts[0], (0.0, 0.0)), Layer(parts[1], (5.5, 0.0))] if text != "no text" else []
    motion = Motion(*[mean] * 2, *weights, *weights, layers)
    between = Between(0.3, mean, *weights, motion)
    found = compose(first, second, between)
    monkeypatch.setenv("STEREOREEL_NUMBA", "0")
    wanted = compose(first, second, between)
    exact = int(cv2.__version__.split(".")[0]) >= 5  # earlier ones round places to 32nds of a pixel
    assert np.abs(found - wanted).max() < (5e-4 if exact else 0.1)
    assert np.abs(found - wanted).mean() < (1e-6 if exact else 2e-3)
    assert found.min() == wanted.min() == 0 and found.max() == wanted.max() == 1


@pytest.mark.parametrize("numba", ("1", "0"))
def test_what_both_frames_distrust_is_not_darkened(numba, monkeypatch):
    """From the least weight that a cell without samples has to the full one."""
    if numba == "1":
        pytest.importorskip("numba")
    monkeypatch.setenv("STEREOREEL_NUMBA", numba)
    picture, still = np.full((32, 48, 3), 0.8, np.float32), np.zeros((8, 12, 2), np.float32)
    weight = np.geomspace(NOTHING, 1, 96, dtype=np.float32).reshape(8, 12)
    motion = Motion(still, still, weight, weight, still[..., 0], still[..., 0])
    found = compose(picture, picture, Between(0.5, still, weight, weight, motion))
    assert np.abs(found - picture).max() < 1e-4
