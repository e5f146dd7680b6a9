"""Depth without a neural network: order under camera motion, stability, and independence of chunks."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.support.depth_scenes import MOVES, estimate, rank_correlation
from benchmarks.support.scenes import street
from stereoreel.core.clip import ClipInfo
from stereoreel.core.options import resolve
from stereoreel.stages import depth


def noisy_still(frames: int, height: int = 96, width: int = 160) -> torch.Tensor:
    """Return frames of a camera that does not move, with sensor noise of 3/255."""
    picture = street(5, width, height).render(samples=2).image
    noise = torch.randn(frames, height, width, 3, generator=torch.Generator().manual_seed(1)) * 3 / 255
    return (picture + noise).clamp(0, 1)


@pytest.mark.parametrize("move", MOVES)
def test_camera_motion_gives_depth_order(move):
    scene = street(3, 256, 144, camera=MOVES[move])
    frames, truth = scene.clip(10)
    found = estimate(frames)
    for index in (0, 5, 9):
        assert rank_correlation(found[index], truth[index]) > 0.8, f"frame {index}"


def test_forward_motion_gives_depth_in_the_middle():
    frames, truth = walk(10)
    found = estimate(frames)
    assert rank_correlation(found[6], truth[6]) > 0.8


def test_backward_motion_gives_the_same_order():
    frames, truth = walk(10)
    assert rank_correlation(estimate(frames.flip(0))[6], truth[3]) > 0.8


def walk(count: int, height: int = 144, width: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Return frames and true inverse depth of a camera that moves straight ahead.

    It approaches a wall with cards in front of it, in perspective.
    """
    y, x = torch.meshgrid(
        torch.arange(height) - height / 2 + 0.5, torch.arange(width) - width / 2 + 0.5, indexing="ij"
    )
    focal = 0.9 * width
    cards = [
        (10.0, 0.0, 0.0, 99.0, 99.0),
        (6.0, 1.6, -0.5, 1.0, 0.9),
        (4.0, -1.1, 0.4, 0.8, 0.7),
        (3.0, 0.3, 0.6, 0.4, 0.3),
    ]
    textures = [street(seed).layers[0].texture for seed in (11, 12, 13, 14)]
    frames, truth = torch.zeros(count, height, width, 3), torch.zeros(count, height, width, 1)
    for t in range(count):
        for (distance, left, top, half_width, half_height), texture in zip(cards, textures):
            z = distance - 0.06 * t
            across, down = x * z / focal, y * z / focal
            here = ((across - left).abs() < half_width) & ((down - top).abs() < half_height)
            scale = focal / distance
            frames[t][here] = texture((across * scale).double()[here], (down * scale).double()[here])
            truth[t][here] = 1 / z
    return frames, truth


def test_moving_objects_are_near_for_a_still_camera():
    frames = street(5, 160, 96).render().image.repeat(12, 1, 1, 1)
    ball = (
        street(8)
        .layers[0]
        .texture(*torch.meshgrid(torch.arange(24.0).double(), torch.arange(24.0).double(), indexing="ij"))
    )
    for t in range(12):
        frames[t, 20:44, 40 + 3 * t : 64 + 3 * t] = ball
    found = estimate(frames)[8, ..., 0]
    ball = found[26:38, 70:82].mean()
    assert ball > found[20:44].mean() + 0.1


def test_single_frame_is_nearer_below_and_invert_reverses_it():
    frame = noisy_still(1)
    found = estimate(frame)
    assert found[0, -20:].mean() > found[0, :20].mean() + 0.3
    torch.testing.assert_close(estimate(frame, invert=True), 1 - found)


def test_depth_of_a_noisy_still_shot_is_stable():
    found = estimate(noisy_still(20))[5:]
    # pixels of parallax at 1280 wide and a divergence of 2 %
    step = (found[1:] - found[:-1]).abs().max() * 0.02 * 1280
    assert found.std(0).mean() < 0.005 and step < 1


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_depth_does_not_depend_on_chunks(chunk):
    frames, _ = street(3, 128, 80, camera=MOVES["sideways"]).clip(11)
    assert torch.equal(estimate(frames, chunk), estimate(frames, 11))


def test_depth_has_the_size_of_the_frames_and_does_not_change_them():
    for shape in [(1, 1, 1, 3), (2, 1, 9, 3), (3, 5, 2, 4), (12, 30, 40, 3), (2, 720, 1280, 3)]:
        frames = torch.rand(shape, generator=torch.Generator().manual_seed(4))
        kept = frames.clone()
        found = estimate(frames)
        assert found.shape == (*shape[:3], 1) and found.dtype == torch.float32
        assert found.min() >= 0 and found.max() <= 1 and torch.equal(frames, kept)


def test_a_nan_pixel_does_not_spread():
    frames = noisy_still(4)
    clean = estimate(frames)
    frames[2, 40, 70] = torch.nan
    assert (estimate(frames) - clean).abs().mean() < 0.01


def test_half_precision_frames_give_nearly_the_same_depth():
    frames = noisy_still(3)
    torch.testing.assert_close(estimate(frames.half()), estimate(frames), atol=0.05, rtol=0)


@pytest.mark.parametrize("size", [(300, 533), (90, 120)])  # larger and smaller than what motion is seen on
@pytest.mark.parametrize("invert", [False, True])
def test_compiled_depth_equals_the_plain_one(monkeypatch, size, invert):
    pytest.importorskip("numba")
    frames, _ = street(6, 160, 90, camera=MOVES["sideways"]).clip(4)
    frames = F.interpolate(frames.movedim(-1, 1), size, mode="bicubic").movedim(1, -1).clamp(0, 1)
    found = []
    for compiled in "01":
        monkeypatch.setenv("STEREOREEL_NUMBA", compiled)
        found.append(estimate(frames, invert=invert))
    assert found[0].std() > 0.1
    torch.testing.assert_close(*found, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(97, 211), (64, 128)])
def test_compiled_reduction_equals_opencv(size):
    pytest.importorskip("numba")
    import cv2

    from stereoreel.stages.depth.compiled import reduce

    frame = torch.rand(256, 512, 3, generator=torch.Generator().manual_seed(1)).numpy() * 1.2 - 0.1
    small, luma = reduce(frame, size)
    assert np.abs(small - cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)).max() < 1e-6
    exact = np.clip(np.floor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) * 255 + 0.5), 0, 255)
    assert np.abs(luma - exact).max() <= 1 and (luma != exact).mean() < 1e-3


@pytest.mark.parametrize("compiled", "01")
def test_depth_edges_align_with_image_edges(monkeypatch, compiled):
    """A large frame gives the edges, not the smaller one that the motion was estimated on."""
    monkeypatch.setenv("STEREOREEL_NUMBA", compiled)
    from stereoreel.stages.depth.edges import upsample

    large = torch.zeros(40, 60, dtype=torch.uint8)
    large[:, 31:] = 255
    small = torch.zeros(10, 15, dtype=torch.uint8)
    small[:, 8:] = 255
    small[:, 7] = 64
    found = upsample((small > 127).float(), small, large)
    assert found[:, 26:31].max() < 0.1 and found[:, 31:36].min() > 0.9


def test_describe_keeps_size_and_refuses_depth():
    info = ClipInfo(64, 36, Fraction(25), 3)
    options = resolve(depth.OPTIONS, {})
    found = depth.describe(options, info)
    assert (found.width, found.height, found.fps, found.frames, found.channels) == (64, 36, 25, 3, 1)
    with pytest.raises(ValueError, match="colour frames"):
        depth.describe(options, info.replace(channels=1))
