"""Depth metrics: values worked out by hand, invariances, and that worse depth scores worse."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.support.depth_scenes import flown_past
from benchmarks.support.scenes import Camera, Layer, Scene, Texture, street
from stereoreel.analysis.depth_metrics import (
    boundary_error,
    boundary_f1,
    canny,
    edge_band,
    edge_psnr,
    flow_consistency,
    parallax_step,
    temporal_alignment_error,
)
from stereoreel.stages.depth.windows import SteadyRange

NARROW = np.linspace(1.05, 1.25, 10)


def step(column, near=0.8, far=0.4, size=(40, 60)):
    """Return depth that jumps at ``column``."""
    depth = torch.full(size, near)
    depth[:, column:] = far
    return depth


def test_boundary_f1_by_hand():
    """Of two true edges one is found; a step of 1.1 counts only at thresholds below it."""
    truth = step(20)
    truth[:, 40:] = 0.1
    assert boundary_f1(step(20), truth) == pytest.approx(2 / 3)
    assert boundary_f1(truth, truth) == 1
    weak = step(20, 0.44)
    assert boundary_f1(weak, step(20)) == pytest.approx(NARROW[NARROW < 1.1].sum() / NARROW.sum())
    assert boundary_f1(step(20, 0.4, 0.8), step(20)) == 0  # near and far exchanged


def test_boundary_f1_without_edges():
    flat = torch.full((20, 20), 0.5)
    assert math.isnan(boundary_f1(flat, flat)) and math.isnan(boundary_f1(flat * 0, flat))
    assert boundary_f1(flat, step(10, size=(20, 20))) == boundary_f1(step(10, size=(20, 20)), flat) == 0
    assert boundary_f1(step(20), step(20, 0.44)) < 1  # thresholds at which nothing should be found count too


def test_boundary_f1_is_scale_invariant_and_accepts_distance():
    exact = street(2, 192, 108).render().depth.clamp(min=0.05)
    soft = F.avg_pool2d(exact[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    expected = boundary_f1(soft, exact)
    assert 0.05 < expected < 0.8
    assert boundary_f1(soft * 37, exact * 0.01) == pytest.approx(expected, abs=1e-3)
    assert boundary_f1(1 / soft, 1 / exact) == pytest.approx(expected, abs=1e-3)
    pooled = boundary_f1(torch.stack([soft, exact]), torch.stack([exact, exact]))
    assert expected < pooled < 1


def test_edge_one_pixel_off_is_tolerated():
    truth = step(20)
    for off in (19, 21):
        assert boundary_f1(step(off), truth) == 0 and boundary_f1(step(off), truth, tolerance=1) == 1
    assert boundary_f1(step(22), truth, tolerance=1) == 0
    assert boundary_f1(step(20), truth, tolerance=1) == 1


@pytest.mark.parametrize("off", [0, 1, 3, 7])
def test_boundary_error_is_the_displacement(off):
    assert boundary_error(step(20 + off), step(20)) == pytest.approx((off, off))
    # neither scale nor shift matters
    assert boundary_error(5 - 3 * step(20 + off), step(20)) == pytest.approx((off, off))


def test_boundary_error_of_false_and_missing_edges():
    """Edges far from all true ones do not count; missing ones count 10 pixels each."""
    both, one = step(30), step(30)
    both[:, :12] = 1.2
    assert canny(both)[5].nonzero()[0].tolist() in ([11, 29], [12, 30])
    assert boundary_error(both, one) == pytest.approx((0, 0))
    assert boundary_error(one, both) == pytest.approx((0, 5))
    assert boundary_error(step(45), one) == (10, 10) and boundary_error(torch.ones(40, 60), one) == (10, 10)
    assert all(map(math.isnan, boundary_error(one, torch.ones(40, 60))))


def test_psnr_near_edges_is_local():
    disparity = step(20, 8.0, 3.0)
    band = edge_band(disparity, 4)
    assert band[0].nonzero()[:, 0].tolist() == list(range(16, 25))
    assert not edge_band(torch.arange(60.0).expand(40, -1), 4).any()  # a slope of a pixel a pixel
    truth = torch.zeros(40, 60, 3)
    far, near = truth.clone(), truth.clone()
    far[:, 40:], near[:, 20] = 0.5, 0.3
    assert edge_psnr(far, truth, disparity) == math.inf
    assert edge_psnr(near, truth, disparity, reach=4) == pytest.approx(-10 * math.log10(0.09 / 9), abs=1e-4)
    hidden = torch.ones(40, 60, dtype=torch.bool)
    hidden[:, 20] = False
    assert edge_psnr(near, truth, disparity, hidden) == math.inf
    assert math.isnan(edge_psnr(near, truth, disparity, ~band, reach=4))


def travelling(depth, frames=4, pixels=6.0):
    """Return distance, non-outline pixels, intrinsics and poses of a camera moving sideways past a street."""
    scene = street(3, 160, 96, camera=Camera(truck=(-pixels, 0.0)))
    views = [scene.render(t) for t in range(frames)]
    layers = torch.stack([view.layer for view in views]).float()[:, None]
    inside = (F.max_pool2d(layers, 5, 1, 2) == -F.max_pool2d(-layers, 5, 1, 2))[:, 0]
    intrinsics, poses = (
        torch.tensor([[120.0, 0, 79.5], [0, 120, 47.5], [0, 0, 1]]),
        torch.eye(4).repeat(frames, 1, 1),
    )
    poses[:, 0, 3] = torch.arange(frames) * pixels / 120  # a point of inverse depth 1 moves by so many pixels
    return torch.stack([depth(1 / view.depth, t) for t, view in enumerate(views)]), intrinsics, poses, inside


def test_alignment_error_of_a_still_scene_and_of_a_jump():
    *given, inside = travelling(lambda distance, t: distance)
    assert temporal_alignment_error(*given, inside) < 1e-4
    assert 1e-4 < temporal_alignment_error(*given) < 0.03  # outlines are read between two surfaces
    scaled, _, still, _ = travelling(lambda distance, t: distance * 1.02 ** (t % 2), pixels=0.0)
    assert temporal_alignment_error(scaled, given[1], still) == pytest.approx(
        (0.02 + 0.02 / 1.02) / 2, abs=1e-4
    )
    wrong = given[2].clone()
    wrong[:, 0, 3] *= -1
    assert temporal_alignment_error(*given[:2], wrong, inside) > 0.01


def test_alignment_error_of_forward_motion():
    """The camera approaches a wall by a tenth, so unchanged depth is wrong by a tenth.

    Unknown pixels and those behind the camera are excluded.
    """
    wall, intrinsics, poses = (
        torch.full((2, 20, 30), 5.0),
        torch.tensor([[30.0, 0, 14.5], [0, 30, 9.5], [0, 0, 1]]),
        torch.eye(4).repeat(2, 1, 1),
    )
    poses[1, 2, 3] = 0.5
    assert temporal_alignment_error(wall, intrinsics, poses) == pytest.approx(0.1)
    wall[1] = 4.5
    assert temporal_alignment_error(wall, intrinsics, poses) == pytest.approx(0, abs=1e-6)
    wall[0, :, :15] = math.inf
    assert temporal_alignment_error(wall, intrinsics, poses) == pytest.approx(0, abs=1e-6)
    poses[1, 2, 3] = 50
    assert math.isnan(temporal_alignment_error(wall[:1], intrinsics, poses[:1]))
    assert math.isnan(temporal_alignment_error(torch.zeros(2, 20, 30), intrinsics, poses))


def test_flow_consistency_follows_known_motion():
    """Depth that moves with its layers is consistent; a change by a is an error of a.

    Without the motion it is not consistent.
    """
    walker = Layer("ellipse", 0.8, Texture(2), (70, 50), (30, 30), velocity=(3.0, 1.0))
    scene = Scene(160, 96, (Layer("plane", 0.2, Texture(1), (80, 48)), walker), Camera(pan=(2.0, -1.0)))
    frames, depth = scene.clip(3)
    depth = depth[..., 0]
    pairs = [scene.motion(t, t + 1) for t in range(2)]
    motion, visible = np.stack([way.numpy() for way, _ in pairs]), torch.stack([seen for _, seen in pairs])
    assert flow_consistency(depth, motion, visible=visible) < 1e-6
    assert flow_consistency(depth, motion, frames, visible) < 1e-6
    # colours reveal most of what is hidden
    assert flow_consistency(depth, motion, frames) < flow_consistency(depth, motion)
    assert flow_consistency(depth, 0 * motion, visible=visible) > 0.01
    jumping = depth + torch.tensor([0, 0.03, 0])[:, None, None]
    assert flow_consistency(jumping, motion, visible=visible) == pytest.approx(0.03, abs=1e-6)


def test_flow_consistency_is_weighted_by_colour():
    depth, frames = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4, 3)
    depth[1, :2], frames[1, :2] = 0.5, 0.1
    weight = math.exp(-50 * 0.03)
    assert flow_consistency(depth, np.zeros((1, 4, 4, 2), np.float32), frames) == pytest.approx(
        0.5 * weight / (1 + weight)
    )
    # all of it leaves the frame
    assert math.isnan(flow_consistency(depth, np.full((1, 4, 4, 2), 9, np.float32)))
    assert math.isnan(flow_consistency(depth[:1], np.zeros((0, 4, 4, 2), np.float32)))


def test_parallax_step_by_hand():
    depth = torch.zeros(3, 4, 4)
    depth[1, 0, 0], depth[2, 0, 0], depth[2, 3, 3] = 0.5, 0.2, 0.25
    assert parallax_step(depth, 1000, 2.0) == pytest.approx(10)
    away = torch.ones(4, 4, dtype=torch.bool)
    away[0, 0] = False
    assert parallax_step(depth, 1000, 2.0, away) == pytest.approx(5)
    assert parallax_step(depth, 1000, 2.0, torch.stack([away, ~away])) == pytest.approx(6)
    assert math.isnan(parallax_step(depth[:1])) and math.isnan(parallax_step(depth, where=away & ~away))


def test_small_bright_spot_moves_depth_unless_the_range_is_stable():
    raw = flown_past((6, 8))
    still = torch.zeros(raw.shape[1:], dtype=torch.bool)
    still[82:] = True
    least, most = (part[:, None, None] for part in raw.flatten(1).aminmax(dim=1))
    assert parallax_step((raw - least) / (most - least), where=still) > 10
    assert parallax_step(SteadyRange()(raw), where=still) < 0.2
