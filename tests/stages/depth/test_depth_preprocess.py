"""A model's input and output as its published inference has them, from frame to depth."""

import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.support.depth_3_nets import TINY_MONO, made_up
from benchmarks.support.depth_nets import TINY, random_net
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.nets.depth_anything_3 import with_sky
from stereoreel.stages.depth import OPTIONS
from stereoreel.stages.depth.depth_anything import DepthAnything
from stereoreel.stages.depth.depth_anything_3 import DepthAnything3
from stereoreel.stages.depth.preprocess import at_least, cubic, landscape_side, nearest_multiple, short_edge
from stereoreel.stages.depth.stage import NEAREST, DepthStage
from stereoreel.stages.depth.windows import samples

CPU = torch.device("cpu")
ASPECTS = [(9, 21), (9, 16), (3, 4), (1, 1), (4, 3), (16, 9), (2, 1), (12, 5), (21, 9)]
SIDES = (384, 392, 518, 700, 1024)


def textured(height, width, seed=0):
    """Return a picture ``[H, W, 3]`` of 8 bits with fine and coarse detail."""
    noise = np.random.default_rng(seed)
    picture = sum(
        cv2.resize(
            noise.random((max(2, height // step), max(2, width // step), 3)),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        for step in (1, 3, 12, 60)
    )
    return (picture * 255 / 4).astype(np.uint8)


def dpt_size(height, width, side):
    """Return the size of MiDaS's ``Resize``: aspect ratio kept, a lower bound, multiples of 14."""
    scale = max(side / height, side / width)

    def multiple(edge):
        rounded = (np.round(edge / 14) * 14).astype(int)
        return int(rounded if rounded >= side else (np.ceil(edge / 14) * 14).astype(int))

    return multiple(scale * height), multiple(scale * width)


def infer_image(net, picture, side):
    """Run Depth Anything V2's ``infer_image``: OpenCV's cubic filter in, corners in place out."""
    height, width = picture.shape[:2]
    rows, columns = dpt_size(height, width, side)
    resized = cv2.resize(picture / 255.0, (columns, rows), interpolation=cv2.INTER_CUBIC)
    depth = net(torch.from_numpy(resized).float().permute(2, 0, 1)[None])
    return F.interpolate(depth, (height, width), mode="bilinear", align_corners=True)[0, 0]


def made(network, picture):
    """Return the stage's depth ``[H, W]`` of one frame."""
    frames = torch.from_numpy(picture)[None].float() / 255
    info = ClipInfo(picture.shape[1], picture.shape[0], 25, 1)
    stage = DepthStage(network, network.options, CPU)
    return torch.cat(list(stage(Shot(0, info), [frames])))[0, ..., 0]


def options(side, **given):
    return resolve(OPTIONS, {"resolution": side, "edges": "smooth", "precision": "fp32", **given})


def away(depth, published):
    """Return the mean difference after the best scale and shift, in parts of the range, of what is in it."""
    kept = (depth > 0) & (depth < 1)
    x, y = published[kept].double(), depth[kept].double()
    slope = ((x - x.mean()) * (y - y.mean())).mean() / x.var(correction=0)
    return (slope * (x - x.mean()) + y.mean() - y).abs().mean().item()


@pytest.mark.parametrize(
    ("size", "side"),
    [
        ((270, 480), "384"),
        ((480, 206), "384"),
        ((206, 480), "392"),
        ((300, 400), "518"),
        ((720, 1280), "384"),
    ],
)
def test_smooth_depth_is_that_of_the_published_function(size, side):
    net, picture = random_net(TINY), textured(*size)
    published = infer_image(net, picture, int(side))
    as_published = away(made(DepthAnything(net, options(side), False, CPU), picture), published)
    antialiased = away(
        made(DepthAnything(net, options(side, resize="antialiased"), False, CPU), picture), published
    )
    assert as_published < 0.002
    assert as_published < antialiased


@pytest.mark.parametrize("aspect", ASPECTS, ids=str)
@pytest.mark.parametrize("side", SIDES)
def test_sizes_are_the_published_ones(aspect, side):
    for short in (240, 576, 800, 1080, 2160):
        height, width = (round(short * part / min(aspect)) for part in aspect)
        assert at_least(height, width, side, 14) == dpt_size(height, width, side)
        ratio = max(height, width) / min(height, width)
        wanted = side
        if ratio > 1.78:  # of Video Depth Anything
            wanted = round(int(side * 1.777 / ratio) / 14) * 14
        assert landscape_side(height, width, side, 14) == wanted


def test_cubic_is_that_of_opencv():
    picture = textured(90, 130).astype(np.float32) / 255
    for size in ((40, 61), (41, 200), (180, 70), (90, 130)):
        expected = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_CUBIC)
        found = cubic(torch.from_numpy(picture)[None], *size)[0].permute(1, 2, 0)
        torch.testing.assert_close(found, torch.from_numpy(expected), atol=2e-4, rtol=0)


def two_steps(picture, side):
    """Return a picture resized by OpenCV as Depth Anything 3's ``lower_bound_resize`` does.

    One of 8 bits is rounded to 8 bits twice, as there.
    """

    def resized(picture, rows, columns, grows):
        if (rows, columns) == picture.shape[:2]:
            return picture
        return cv2.resize(
            picture, (columns, rows), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA
        )

    height, width = picture.shape[:2]
    scale = side / min(height, width)
    rows, columns = round(height * scale), round(width * scale)
    picture = resized(picture, rows, columns, scale > 1)
    multiples = [edge // 14 * 14 + 14 * (edge % 14 >= 7) for edge in (rows, columns)]
    return resized(picture, *multiples, multiples[0] > rows or multiples[1] > columns)


@pytest.mark.parametrize("size", [(270, 480), (480, 206), (600, 800), (206, 480)])
@pytest.mark.parametrize("side", ["384", "518"])
def test_input_of_depth_anything_3_is_the_published_one(size, side):
    network = DepthAnything3(made_up(TINY_MONO), options(side), False, CPU)
    picture = textured(*size)
    expected = torch.from_numpy(two_steps(picture, int(side))).float() / 255
    wanted = network.size(ClipInfo(size[1], size[0], 25, 1))
    assert wanted == tuple(expected.shape[:2])
    found = network.input(torch.from_numpy(picture)[None].float() / 255, *wanted)[0].permute(1, 2, 0)
    assert (found - expected).abs().max() < 2.5 / 255 and (found - expected).abs().mean() < 0.4 / 255


@pytest.mark.reference
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("aspect", ASPECTS, ids=str)
def test_input_of_depth_anything_3_is_that_of_the_package(aspect, side):
    processor = pytest.importorskip(
        "depth_anything_3.utils.io.input_processor", reason="depth-anything-3 is not installed"
    ).InputProcessor()
    height, width = (round(450 * part / min(aspect)) for part in aspect)
    edges = tuple(nearest_multiple(edge, 14) for edge in short_edge(height, width, side))
    tensor, *_ = processor(
        [textured(height, width)], process_res=side, process_res_method="lower_bound_resize"
    )
    assert edges == tuple(tensor.shape[-2:])


def test_depth_of_depth_anything_3_is_that_of_its_published_input():
    net, picture = made_up(TINY_MONO), textured(300, 420)
    network = DepthAnything3(net, options("384", edges="smooth"), False, CPU)
    # without the rounding to 8 bits, which frames of more bits would not survive
    pixels = torch.from_numpy(two_steps(picture.astype(np.float32) / 255, 384)).permute(2, 0, 1).clamp(0, 1)
    found = net(pixels[None, None])
    depth = with_sky(found.depth, found.sky)[0, 0]
    near = 1 / (depth / samples(depth).median() + NEAREST)
    published = F.interpolate(near[None, None], (300, 420), mode="bilinear", align_corners=True)[0, 0]
    assert away(made(network, picture), published) < 0.002


def test_short_edge_is_never_below_one():
    assert short_edge(1, 4000, 1) == (1, 4000) and nearest_multiple(3, 14) == 14
    assert at_least(1, 1, 1, 14) == (14, 14) and math.prod(at_least(2, 3, 2, 14)) == 14 * 14
