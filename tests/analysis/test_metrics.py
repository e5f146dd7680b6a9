"""Image metrics: values worked out by hand, and that worse frames score worse."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.support.scenes import Camera, street
from stereoreel.analysis.metrics import (
    flicker,
    gradient_energy,
    psnr,
    sharpness,
    static_flicker,
    still,
    tof,
    warping_error,
)
from stereoreel.image.resize import resize


def random(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def moving(camera: Camera, frames: int = 4):
    """Return exact frames, motion to the next frame, and the visible pixels away from outlines.

    No resampling reproduces outlines.
    """
    scene = street(3, 160, 96, camera=camera)
    pairs = [scene.motion(t, t + 1) for t in range(frames - 1)]
    inside = torch.stack([seen & ~outline(scene.render(t).layer) for t, (_, seen) in enumerate(pairs)])
    return scene.clip(frames)[0], np.stack([motion.numpy() for motion, _ in pairs]), inside


def outline(layer: torch.Tensor) -> torch.Tensor:
    """Return True within two pixels of the border between layers."""
    layer = layer.float()[None, None]
    return (F.max_pool2d(layer, 5, 1, 2) != -F.max_pool2d(-layer, 5, 1, 2))[0, 0]


def blurred(frames: torch.Tensor, times: int = 2) -> torch.Tensor:
    return resize(
        resize(frames, frames.shape[1] // times, frames.shape[2] // times, "area"), *frames.shape[1:3]
    )


def test_psnr_by_hand():
    black = torch.zeros(2, 4, 4, 3)
    assert psnr(black, black + 0.1) == pytest.approx(20)
    assert psnr(black, black) == math.inf
    right = torch.zeros(4, 4, dtype=torch.bool)
    right[:, 2:] = True
    half = black.clone()
    half[:, :, :2] = 0.5
    assert psnr(black, half, right) == math.inf and psnr(black, half, ~right) == pytest.approx(
        -20 * math.log10(0.5)
    )


def test_flicker_by_hand():
    """A pixel that alternates between two values at distance a deviates by a / 2."""
    frames = torch.full((6, 8, 8, 3), 0.5)
    frames[::2] += 0.04
    assert flicker(frames) == pytest.approx(0.02)
    frames[:, :4] = 0.5
    upper = torch.zeros(8, 8, dtype=torch.bool)
    upper[:4] = True
    assert flicker(frames, upper) == 0 and flicker(frames, ~upper) == pytest.approx(0.02)
    assert flicker(frames) == pytest.approx(0.02 / math.sqrt(2))


def test_still_pixels_and_neighbours_never_change():
    source = torch.full((3, 12, 12, 3), 0.5)
    source[1, 2, 2, 1] += 0.1
    where = still(source, 24, 24)
    assert not where[4:6, 4:6].any() and not where[:9, :9].any()
    assert where[12:, 12:].all() and where.shape == (24, 24)


def test_static_flicker_is_relative_to_lanczos():
    source = 0.3 + 0.4 * random(1, 16, 16, 3) + 0.004 * random(8, 16, 16, 3, seed=4)
    plain = resize(source, 32, 32)
    noise = random(8, 32, 32, 3, seed=5) - 0.5
    values = [static_flicker(plain + amount * noise, source) for amount in (0, 0.01, 0.02, 0.05)]
    assert values[0] == pytest.approx(1) and values == sorted(values) and values[-1] > 5
    frozen = source[:1].expand(8, -1, -1, -1)
    assert static_flicker(resize(frozen, 32, 32), frozen) == 1
    assert static_flicker(resize(frozen, 32, 32) + noise, frozen) == math.inf


def test_warping_error_by_hand():
    """An image shifted by whole pixels fits; a brightness step of a is an error of a squared."""
    wide = random(20, 30, 3)
    frames = torch.stack([wide[:, 4 - t : 24 - t] for t in range(4)])
    motion = np.zeros((3, 20, 20, 2), np.float32)
    motion[..., 0] = 1
    seen = torch.ones(3, 20, 20, dtype=torch.bool)
    seen[:, :, -1] = False
    assert warping_error(frames, motion, seen) == pytest.approx(0, abs=1e-12)
    assert warping_error(
        frames * 0.5 + torch.arange(4)[:, None, None, None] * 0.1, motion, seen
    ) == pytest.approx(0.01, rel=1e-4)
    assert math.isnan(warping_error(frames, motion, torch.zeros_like(seen)))


@pytest.mark.parametrize("camera", [Camera(pan=(3.3, 1.2)), Camera(truck=(6.0, 0.0)), Camera(zoom=1.02)])
def test_warping_error_of_an_exact_scene_and_with_flicker(camera):
    frames, motion, visible = moving(camera)
    noise = random(*frames.shape) - 0.5
    given = [warping_error(frames + amount * noise, motion, visible) for amount in (0, 0.05, 0.1)]
    estimated = [warping_error(frames + amount * noise) for amount in (0, 0.05, 0.1)]
    assert given[0] < (1.5 / 255) ** 2 and given == sorted(given) and given[2] > 4 * given[0]
    assert estimated == sorted(estimated)
    assert warping_error(frames, 0 * motion, visible) > 20 * given[0]
    assert warping_error(frames, 0 * motion, torch.ones_like(visible)) > 3 * estimated[0]


def test_tof_is_the_difference_of_motion():
    frames = moving(Camera(pan=(4.0, 0.0)))[0]
    assert tof(frames, frames) == 0
    values = [tof(frames + amount * (random(*frames.shape) - 0.5), frames) for amount in (0.03, 0.1, 0.3)]
    assert values == sorted(values)
    assert tof(frames[:1].expand(4, -1, -1, -1), frames) == pytest.approx(2, abs=0.5), (
        "4 pixels in x missing, 0 in y: 2 on average"
    )


def test_sharpness_falls_with_blur_and_ignores_noise():
    truth = moving(Camera())[0]
    assert sharpness(truth, truth) == pytest.approx(1) and sharpness(
        0.25 + truth / 2, truth
    ) == pytest.approx(0.5)
    values = [sharpness(blurred(truth, times), truth) for times in (8, 4, 2)]
    assert values == sorted(values) and values[-1] < 0.97
    assert sharpness(truth + 0.1 * (random(*truth.shape) - 0.5), truth) == pytest.approx(1, abs=0.02)


def test_gradient_energy_by_hand():
    ramp = (torch.arange(8) * 0.1)[None, None, :, None].expand(2, 5, 8, 1)
    assert gradient_energy(ramp) == pytest.approx(0.1 / math.sqrt(2))
    truth = moving(Camera())[0]
    assert (
        gradient_energy(blurred(truth))
        < gradient_energy(truth)
        < gradient_energy(truth + 0.1 * random(*truth.shape))
    )
    left = torch.zeros(5, 8, dtype=torch.bool)
    left[:, :3] = True
    step = torch.zeros(2, 5, 8, 1)
    step[:, :, 4:] = 1
    assert gradient_energy(step, left) == 0 and gradient_energy(step, ~left) > 0.2
