"""Depth with smooth edges is that of each model's published inference, from the frame to its depth."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.support import depth_3_nets, depth_nets, moge_nets
from stereoreel.nets import depth_anything_3, moge
from stereoreel.stages.depth.depth_anything import DepthAnything
from stereoreel.stages.depth.depth_anything_3 import DepthAnything3
from stereoreel.stages.depth.moge import MoGe
from stereoreel.stages.depth.stage import NEAREST
from stereoreel.stages.depth.windows import samples
from tests.support import packaged_depth
from tests.support.published_depth import CPU, away, infer_image, made, options, textured

CLOSE = 0.002  # of the range of depth: the mean difference
# every size and the extreme ratios, but no large input of a wide picture, which would take minutes
GRID = [
    (384, (9, 21)),
    (384, (16, 9)),
    (384, (21, 9)),
    (392, (3, 4)),
    (518, (9, 16)),
    (700, (1, 1)),
    (1036, (1, 1)),
]
grid = pytest.mark.parametrize(("side", "aspect"), GRID, ids=str)
reference = pytest.mark.reference
SMALL_MOGE = moge.Family(
    384, 12, 1536, False, 37, (2, 5, 8, 11), 384, *moge_nets.stacks((384, 64, 32, 16, 8)), (384, 384, 1)
)


def picture(aspect, short=300):
    return textured(*(round(short * part / min(aspect)) for part in aspect))


@grid
def test_depth_anything_2(side, aspect):
    net, image = depth_nets.random_net(depth_nets.TINY), picture(aspect)
    found = made(DepthAnything(net, options(str(side)), False, CPU), image)
    assert away(found, infer_image(net, image, side)) < CLOSE


@pytest.mark.parametrize("size", [(270, 480), (480, 206), (720, 1280)])
def test_an_antialiased_input_is_not_the_published_one(size):
    net, image = depth_nets.random_net(depth_nets.TINY), textured(*size)
    published = infer_image(net, image, 384)
    other = made(DepthAnything(net, options("384", resize="antialiased"), False, CPU), image)
    assert away(other, published) > 2 * CLOSE


@reference
@grid
@pytest.mark.parametrize("family", [depth_3_nets.TINY, depth_3_nets.TINY_MONO], ids=["any-view", "mono"])
def test_depth_anything_3(family, side, aspect):
    of_depth_anything_3(family, side, aspect)


@reference
def test_depth_anything_3_of_the_smallest_published_width():
    of_depth_anything_3(depth_3_nets.SMALL, 392, (16, 9))


def of_depth_anything_3(family, side, aspect):
    torch.manual_seed(0)  # of the samples from which the package finds how far the sky is
    original, image = depth_3_nets.filled(packaged_depth.depth_anything_3(family)), picture(aspect, 600)
    (depth,) = packaged_depth.inference_3(original, [image], side)
    near = 1 / (depth / samples(depth).median() + NEAREST)
    published = F.interpolate(near[None, None], image.shape[:2], mode="bilinear", align_corners=True)[0, 0]
    net = depth_anything_3.load(original.state_dict())
    found = made(DepthAnything3(net, options(str(side), window="1"), False, CPU), image)
    assert away(found, published) < CLOSE


@reference
@grid
def test_moge(side, aspect, monkeypatch):
    of_moge(moge_nets.TINY, side, aspect, monkeypatch)


@reference
def test_moge_of_the_smallest_published_width(monkeypatch):
    of_moge(SMALL_MOGE, 392, (16, 9), monkeypatch)


def of_moge(family, side, aspect, monkeypatch):
    """Compare with ``infer`` of the package, from the image to the distance of each pixel."""
    original = depth_3_nets.filled(packaged_depth.moge(monkeypatch, family))
    moge_nets.pinhole(packaged_depth.normalised(original))
    image = picture(aspect)
    tokens = round((side / 14) ** 2 * max(image.shape[:2]) / min(image.shape[:2]))
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    depth = original.infer(pixels, num_tokens=tokens, use_fp16=False)["depth"]
    assert 0.2 < depth.isinf().float().mean() < 0.8
    found = made(MoGe(moge.load(original.state_dict()), options(str(side)), CPU), image)
    assert away(found, 1 / (depth + NEAREST)) < CLOSE / 10
