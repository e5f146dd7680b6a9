"""Depth without a neural network keeps its sign over shots, rates and sizes; in doubt it is the layout."""

from dataclasses import replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.support.depth_scenes import MOVES, rank_correlation
from benchmarks.support.scenes import Camera, Layer, Texture, street
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.models.headless import Headless
from stereoreel.stages import depth
from stereoreel.stages.depth import builtin
from stereoreel.stages.depth.sign import Decision


def estimate(frames: torch.Tensor, fps: int = 25) -> tuple[torch.Tensor, builtin.DepthStage]:
    stage = builtin.load(None, resolve(depth.OPTIONS, {}), Headless("cpu"))
    info = ClipInfo(frames.shape[2], frames.shape[1], Fraction(fps), len(frames))
    return torch.cat(list(stage(Shot(0, info), iter([frames])))), stage


@pytest.mark.parametrize("move", ["sideways", "panning against"])
def test_depth_agrees_between_rates_and_sizes(move):
    """Interpolated and upscaled frames of a shot have the depth of its source."""
    scene = street(4, 192, 108, camera=MOVES[move])
    source, _ = scene.clip(9)
    doubled, _ = scene.clip(18, step=0.5)
    enlarged = F.interpolate(source.movedim(-1, 1), scale_factor=2, mode="bicubic").movedim(1, -1).clamp(0, 1)
    found, faster, larger = (estimate(*given)[0] for given in ((source, 25), (doubled, 50), (enlarged, 25)))
    larger = F.avg_pool2d(larger[..., 0], 2)[..., None]
    for index in range(9):
        for other in (faster[2 * index], larger[index]):
            assert np.corrcoef(found[index].ravel(), other.ravel())[0, 1] > 0.95, f"frame {index}"


def test_opposite_travel_gives_the_same_order():
    for truck in (5.0, -5.0):
        frames, truth = street(3, 192, 108, camera=Camera(truck=(truck, 0.0))).clip(9)
        assert rank_correlation(estimate(frames)[0][4], truth[4]) > 0.75


def test_a_large_thing_that_passes_a_still_camera_leaves_the_layout():
    """A bus fills most of the frame: its motion is not taken for the camera's."""
    scene = street(5, 192, 108)
    frames = scene.render().image.repeat(14, 1, 1, 1)
    y, x = torch.meshgrid(torch.arange(70).double(), torch.arange(320).double(), indexing="ij")
    bus = street(8).layers[0].texture(x, y)
    for index in range(14):
        frames[index, 15:85, 30:150] = bus[:, 200 - 5 * index : 320 - 5 * index]
    found, stage = estimate(frames)
    assert stage.counts[builtin.STILL] == 1
    assert found[7, -12:].mean() > found[7, :12].mean() + 0.2


@pytest.mark.parametrize("move", ["still", "pan"])
def test_a_camera_that_does_not_travel_is_reported(move):
    frames, _ = street(5, 160, 96, camera=Camera(pan=(3.0, 0.0) if move == "pan" else (0.0, 0.0))).clip(8)
    found, stage = estimate(frames)
    assert stage.counts == {builtin.STILL: 1}
    assert found[4].max() - found[4].min() < 0.9, "the range of a guess is smaller"


@pytest.mark.parametrize("zoom", [1.02, 1 / 1.02])
def test_a_zoom_is_no_travel(zoom):
    """It moves near and far alike, so it says nothing about depth, and must not turn the layout round."""
    scene = street(5, 192, 108, camera=Camera(zoom=zoom))
    frames, _ = scene.clip(12)
    found, stage = estimate(frames)
    assert stage.counts == {builtin.STILL: 1}
    for index in (0, 5, 11):
        alone, _ = estimate(frames[index : index + 1])
        assert rank_correlation(found[index], alone[0]) > 0.9, f"frame {index}"


@pytest.mark.parametrize("noise", [0, 3])
def test_people_that_walk_before_a_still_camera_stand_in_front(noise):
    """Two meet; their bodies move on their own, and the street remains the layout."""
    scene = street(5, 192, 108)
    still = len(scene.layers)
    people = [
        Layer(shape, 0.9, Texture(401 + number), (x, y), radius, velocity=(speed, 0.0))
        for number, (x, speed) in enumerate(((50, 3.0), (140, -2.5)))
        for shape, y, radius in (("box", 70, (8, 26)), ("ellipse", 38, (6, 7)))
    ]
    scene = replace(scene, layers=(*scene.layers, *people))
    views = [scene.render(time) for time in range(14)]
    frames = torch.stack([view.image for view in views])
    frames += torch.randn(frames.shape, generator=torch.Generator().manual_seed(1)) * noise / 255
    found, stage = estimate(frames.clamp(0, 1))
    assert stage.counts == {builtin.STILL: 1}
    for index in (4, 9, 13):
        for number in range(2):
            torso = views[index].layer == still + 2 * number
            rows = torso.any(1)
            behind = rows[:, None] & (views[index].layer < still)
            depth = found[index, ..., 0]
            assert depth[torso].median() > depth[behind].median() + 0.1, f"frame {index}, person {number}"


@pytest.mark.parametrize("count", [1, 8, 9])
def test_the_report_is_complete_with_the_last_frame(count):
    """A pull takes as many frames as there are, and not the end after them."""
    frames, _ = street(5, 160, 96).clip(count)
    stage = builtin.load(None, resolve(depth.OPTIONS, {}), Headless("cpu"))
    made = stage(Shot(0, ClipInfo(160, 96, Fraction(25), count)), iter([frames]))
    assert len(list(islice(made, count))) == count
    assert stage.counts == {builtin.STILL: 1}


def test_a_camera_that_travels_is_not_reported():
    frames, _ = street(3, 160, 96, camera=MOVES["sideways"]).clip(10)
    assert not estimate(frames)[1].counts


def test_weak_or_contradictory_evidence_is_not_trusted():
    for signs, links in (([0.05] * 5, [1.0] * 5), ([1.0, -1.0] * 3, [1.0] * 6), ([1.0] * 5, [0.1] * 5)):
        assert abs(Decision().update(signs, [1.0] * len(signs), links)) < 0.2
    assert Decision().update([1.0] * 5, [1.0] * 5, [1.0] * 5) > 0.8
    assert Decision().update([-1.0] * 5, [1.0] * 5, [1.0] * 5) < -0.8
    # a reversed frame in between, known to be so by its link, is no contradiction
    assert Decision().update([1.0, -1.0, 1.0], [1.0] * 3, [1.0, -1.0, -1.0]) > 0.8


def test_confidence_changes_gently():
    decision = Decision()
    held = decision.update([1.0] * 5, [1.0] * 5, [1.0] * 5)
    for _ in range(20):
        new = decision.update([-1.0] * 5, [1.0] * 5, [1.0] * 5)
        assert abs(new - held) < 0.13
        held = new
    assert held < -0.5
