"""Things stay whole in depth without a neural network: outlines and uprights where the camera travels."""

import numpy as np
import pytest
import torch

from benchmarks.builtin_depth import at_scale
from benchmarks.support.depth_scenes import MOVES, estimate, rank_correlation
from benchmarks.support.scenes import Camera, Layer, Scene, Texture, street
from stereoreel.analysis.depth_metrics import boundary_f1
from stereoreel.stages.depth.builtin import KeyFrame, between, projected
from stereoreel.stages.depth.parallax import Camera as Motion
from stereoreel.stages.depth.sweep import Sweep
from stereoreel.stages.depth.tracking import straightened

SHIFT = 0.02 * 1280 / 2  # pixels of an eye for a depth of 1, at a divergence of 2 %


def upright(half: float, truck: tuple[float, float]) -> Scene:
    """Return a near upright, ``2 * half`` pixels wide, in front of a wall and the ground."""
    return Scene(
        256,
        144,
        (
            Layer("plane", 0.15, Texture(301), (128, 72)),
            Layer("ground", 0.2, Texture(302), (128, 70), slant=(0.0, 1.0)),
            Layer("box", 0.8, Texture(303), (120, 70), (half, 45)),
        ),
        Camera(truck=truck),
    )


@pytest.mark.parametrize("truck", [(4.0, 0.0), (-4.0, 0.0)])
@pytest.mark.parametrize("half", [2.0, 4.0])
def test_an_upright_is_straight(truck, half):
    """It does not bend by a pixel where its background changes from a wall to the ground."""
    assert bends(upright(half, truck)) <= 1.0


@pytest.mark.parametrize(
    ("move", "seed", "layer"), [("upwards", 2, 9), ("panning against", 1, 9), ("panning against", 2, 11)]
)
def test_poles_of_3_and_12_pixels_are_straight(move, seed, layer):
    """Also where nothing shows that they are near, and in a frame between two key frames."""
    scene = street(seed, 320, 192, camera=MOVES[move])
    assert bends(scene, layer) <= 1.0


def bends(scene: Scene, layer: int = 2) -> float:
    """Return how far apart most of an upright is shifted, in pixels of an eye."""
    found = estimate(scene.clip(10)[0])[5, ..., 0]
    own = scene.render(5).layer == layer
    along = torch.stack([line[here].median() for line, here in zip(found, own) if here.any()])
    low, high = along.quantile(torch.tensor([0.1, 0.9])).tolist()
    return (high - low) * SHIFT


def test_a_thin_upright_is_found_over_its_length():
    scene = upright(1.5, (4.0, 0.0))
    found, view = estimate(scene.clip(10)[0])[5, ..., 0], scene.render(5)
    rows, columns = (view.layer == 2).nonzero(as_tuple=True)
    beside = found[rows, (columns + 14).clamp(max=255)]
    above = rows < 70  # in front of the wall
    assert (found[rows, columns] > beside + 0.3)[above].float().mean() > 0.8


@pytest.mark.parametrize("move", ["sideways", "upwards"])
def test_edges_of_depth_are_at_edges_of_things(move):
    frames, truth = street(1, 256, 144, camera=MOVES[move]).clip(9)
    found = estimate(frames)
    for index in (4, 5):  # a key frame, and one between two
        scaled = at_scale(found[index, ..., 0], truth[index, ..., 0])
        assert boundary_f1(scaled, truth[index, ..., 0]) > 0.35
        assert boundary_f1(found[index, ..., 0], truth[index, ..., 0]) > 0.33, "with the zero as it is"
        assert rank_correlation(found[index], truth[index]) > 0.9


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_thin_thing_of_which_motion_says_nothing_keeps_its_depth(weight):
    """A mean by weights is not 0 because they are."""
    depth = np.full((120, 200), 0.3, np.float32)
    depth[20:100, 99:102] = 0.7
    found = straightened(depth, depth, np.full_like(depth, weight))
    assert np.abs(found - depth).max() < 0.01


def test_the_sweep_moves_an_outline_to_where_pixels_agree():
    scene = upright(10.0, (5.0, 0.0))
    views = [scene.render(time) for time in (-1, 0, 1)]
    lumas = [(view.image.mean(-1) * 255).numpy().astype(np.uint8) for view in views]
    exact = views[1].depth.numpy()
    blurred = torch.nn.functional.avg_pool2d(
        views[1].depth[None, None], 21, 1, 10, count_include_pad=False
    )[0, 0].numpy()  # fmt: skip
    flow = np.dstack([5.0 * exact, 0 * exact]).astype(np.float32)
    sweep = Sweep(Motion(np.array([1.0, 0, 0]), np.zeros(4)), exact, np.ones_like(exact))
    sides = [sweep.view(lumas[0], -flow), sweep.view(lumas[2], flow)]
    found, sure = sweep.refine(lumas[1], sides, blurred, (0.1, 0.9))
    inner = np.s_[8:-8, 8:-8]
    before, after = (np.abs(one - exact)[inner].mean() for one in (blurred, found))
    assert after < 0.4 * before and sure.max() > 0.5
    assert np.abs(sweep.flow(exact, sides[1]) - flow)[inner].max() < 0.2


@pytest.mark.parametrize("compiled", "01")
def test_flow_follows_a_thin_thing_that_leaves_its_place(monkeypatch, compiled):
    """Halfway, a pole that moves by more than its width has its own flow, not that of the wall it covers."""
    monkeypatch.setenv("STEREOREEL_NUMBA", compiled)
    scene = upright(2.0, (12.0, 0.0))
    first, middle = scene.render(0), scene.render(0.5)
    flow = np.dstack([12.0 * first.depth, 0 * first.depth]).astype(np.float32)
    there = projected(flow, first.depth.numpy(), 0.5)
    pole = (middle.layer == 2).numpy()
    assert np.abs(there[pole, 0] - 12.0 * 0.8).max() < 0.1
    assert np.abs(flow[pole, 0] - 12.0 * 0.8).min() > 1, "what a pixel's own place says"


def test_depth_between_key_frames_is_what_looks_like_the_frame():
    """If one guess of the motion is wrong, its depth does not count."""
    scene = upright(10.0, (8.0, 0.0))
    first, middle, last = (scene.render(time) for time in (0, 1, 2))
    keys = [
        KeyFrame(place, view.depth.numpy(), (view.image.mean(-1) * 255).numpy())
        for place, view in ((0, first), (2, last))
    ]
    back = np.dstack([-16.0 * middle.depth.numpy(), 0 * middle.depth.numpy()]).astype(np.float32)
    luma = (middle.image.mean(-1) * 255).numpy()
    found = between(luma, 0.5, *keys, (back, np.zeros_like(back)))
    inner = np.s_[8:-8, 16:-16]
    exact = middle.depth.numpy()[inner]
    mean = 0.5 * (first.depth + last.depth).numpy()[inner]
    assert np.abs(found[inner] - exact).mean() < 0.5 * np.abs(mean - exact).mean()
