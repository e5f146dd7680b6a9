"""Interpolated stereo against exact in-between pairs: each view, its disparity and depth edges."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.support.scenes import Camera, Layer, Scene, Texture
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.image.flow import flow, grayscale
from stereoreel.models.catalog import load
from stereoreel.models.headless import Headless
from stereoreel.stages.interpolate.projection import compose, measure, project

WIDTH, HEIGHT, RIM = 320, 192, 24  # what enters at the border is in neither frame
EYES = (-0.5, 0.5)
EDGE = 0.1  # a step of depth from pixel to pixel that is an edge


def pair_of(camera: Camera, box: tuple[float, float], ball: tuple[float, float]) -> Scene:
    """Return a scene with a box and a ball in front of a slanted wall and the ground.

    Disparity runs from 8 pixels behind the screen to 13 in front of it.
    """
    layers = (
        Layer("plane", 0.15, Texture(1), (WIDTH / 2, HEIGHT / 2), slant=(0.05, 0)),
        Layer("ground", 0.2, Texture(4), (WIDTH / 2, HEIGHT * 0.6), slant=(0, 1.0)),
        Layer("box", 0.5, Texture(3), (WIDTH * 0.75, HEIGHT * 0.45), (26, 40), 0.15, velocity=box),
        Layer("ellipse", 0.8, Texture(2), (WIDTH * 0.45, HEIGHT * 0.5), (40, 52), velocity=ball),
    )
    return Scene(WIDTH, HEIGHT, layers, camera, divergence=10.0, convergence=0.4)


class Floor(NamedTuple):
    """Minimum values for a scene, 1 or 2 dB below what is reached.

    PSNR of each view, and how much the right one loses if it has to follow the left one's motion.
    """

    eye: float
    shared: float


SCENES = {
    "objects": (pair_of(Camera(pan=(-2.0, 1.0)), (-6.0, 1.0), (9.0, 3.0)), Floor(39.0, 5.0)),
    "camera": (pair_of(Camera(truck=(-20.0, 2.0)), (0.0, 0.0), (0.0, 0.0)), Floor(37.5, 4.0)),
    "both": (pair_of(Camera(truck=(12.0, 0.0), zoom=1.02), (5.0, 0.0), (-8.0, 3.0)), Floor(40.0, 1.0)),
}


class Views(NamedTuple):
    """Images ``[2, 3, H, W, 3]`` and depth ``[2, 3, H, W, 1]`` of both views at 0, one half and 1.

    Also the interpolated images and depth for one half.
    """

    images: Tensor
    depth: Tensor
    made: Tensor
    made_depth: Tensor
    # pixels of the left view at one half that all six images show, with their surroundings
    plain: np.ndarray


@pytest.fixture(scope="module", params=SCENES)
def views(request):
    scene, floor = SCENES[request.param]
    seen = [[scene.render(t, eye, samples=2) for t in (0, 0.5, 1)] for eye in EYES]
    images = torch.stack([torch.stack([one.image for one in eye]) for eye in seen])
    depth = torch.stack([torch.stack([one.depth for one in eye]) for eye in seen])[..., None]
    stage = load("interpolate", "builtin", Headless("cpu"), multiplier=2)
    info = ClipInfo(WIDTH, HEIGHT, Fraction(25), 2, views=2)
    out = list(stage(Shot(0, info), [images[:, ::2]], [depth[:, ::2]]))[1]
    hidden = torch.stack([~scene.trace(0.5, EYES[0], t, eye)[2] for t in (0, 0.5, 1) for eye in EYES]).any(0)
    plain = F.max_pool2d(hidden.float()[None], 9, 1, 4)[0] == 0
    return Views(
        images, depth, out["clip"][:, 0], out["depth"][:, 0], inner(plain[..., None])[..., 0].numpy()
    ), floor


def inner(image: Tensor) -> Tensor:
    return image[..., RIM:-RIM, RIM:-RIM, :]


def disparity(left: Tensor, right: Tensor) -> np.ndarray:
    """Return the disparity of each pixel of the left view to its match ``[H, W, 2]``, without the border."""
    return inner(torch.from_numpy(flow(*grayscale(torch.stack([left, right]))))).numpy()


def moved_as_the_left(images: Tensor) -> Tensor:
    """Return the right view interpolated with the motion and the weights of the left one."""
    motion = project(measure(*grayscale(images[0, ::2]), "medium"), 0.5)
    return torch.from_numpy(compose(*images[1, ::2].numpy(), motion))


def test_views_are_near_the_exact_ones(views):
    view, floor = views
    for eye in (0, 1):
        assert psnr(inner(view.made[eye]), inner(view.images[eye, 1])) > floor.eye


def test_disparity_equals_that_of_the_exact_pair(views):
    view, _ = views
    apart = np.abs(disparity(*view.made) - disparity(*view.images[:, 1]))[view.plain]
    sideways, upright = apart[:, 0], apart[:, 1]
    assert np.median(sideways) < 0.03 and np.quantile(sideways, 0.95) < 0.25
    assert np.median(upright) < 0.03 and np.quantile(upright, 0.95) < 0.12


def test_one_motion_for_both_views_would_misplace_objects(views):
    view, floor = views
    own, shared = (
        psnr(inner(right), inner(view.images[1, 1]))
        for right in (view.made[1], moved_as_the_left(view.images))
    )
    assert own > shared + floor.shared


def test_depth_edges_stay_on_those_of_their_view(views):
    """Within three pixels of every edge, depth is at least three times nearer to the truth than a blend."""
    view, _ = views
    for eye in (0, 1):
        exact, blend = view.depth[eye, 1], view.depth[eye, ::2].mean(0)
        band = inner(edges(exact))
        ours, theirs = (
            (inner(depth) - inner(exact)).abs()[band].mean() for depth in (view.made_depth[eye], blend)
        )
        assert ours < theirs / 3


def edges(depth: Tensor) -> Tensor:
    """Return True within three pixels of a step of depth ``[H, W, 1]``."""
    flat = depth[..., 0]
    step = torch.zeros_like(flat)
    step[:, 1:] = flat.diff(dim=1).abs()
    step[1:] = step[1:].maximum(flat.diff(dim=0).abs())
    return F.max_pool2d((step > EDGE).float()[None], 7, 1, 3)[0, ..., None] > 0
