"""A frame at a model's input size, as its published inference makes it."""

import math

import cv2
import numpy as np
import pytest
import torch

from benchmarks.support import depth_3_nets, depth_nets, moge_nets
from benchmarks.support.depth_3_nets import TINY_MONO, made_up
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.stages.depth.depth_anything import DepthAnything
from stereoreel.stages.depth.depth_anything_3 import DepthAnything3
from stereoreel.stages.depth.moge import MoGe
from stereoreel.stages.depth.preprocess import at_least, cubic, landscape_side, nearest_multiple, short_edge
from stereoreel.stages.depth.stage import DepthStage
from tests.support.published_depth import ASPECTS, CPU, SIDES, dpt_size, made, options, textured

NETWORKS = {
    "V2": lambda given: DepthAnything(depth_nets.random_net(depth_nets.TINY), given, False, CPU),
    "video": lambda given: DepthAnything(depth_nets.random_net(depth_nets.TINY_VIDEO), given, False, CPU),
    "3": lambda given: DepthAnything3(made_up(depth_3_nets.TINY), given, False, CPU),
    "MoGe-2": lambda given: MoGe(moge_nets.made_up(moge_nets.TINY), given, CPU),
}


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
    # OpenCV's cubic filter has weights of 11 bits
    assert (found - expected).abs().max() < 1.5 / 255 and (found - expected).abs().mean() < 0.02 / 255


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


def test_short_edge_is_never_below_one():
    assert short_edge(1, 4000, 1) == (1, 4000) and nearest_multiple(3, 14) == 14
    assert at_least(1, 1, 1, 14) == (14, 14) and math.prod(at_least(2, 3, 2, 14)) == 14 * 14


LONG = [(100, 7680), (7680, 100), (1080, 7680), (400, 1601), (400, 1600), (1600, 400)]


@pytest.mark.parametrize("resolution", ["384", "518", "1036"])
@pytest.mark.parametrize("family", NETWORKS)
def test_input_of_long_frames_has_no_more_pixels_than_at_4_to_1(family, resolution):
    network, most = NETWORKS[family](options(resolution)), 4.3 * (int(resolution) + 7) ** 2
    for height, width in LONG:
        size = network.size(ClipInfo(width, height, 25, 1))
        assert math.prod(size) <= most and min(size) >= 14, (height, width, size)
    assert math.prod(network.size(ClipInfo(9000, 2, 25, 1))) <= 2 * most  # 14 pixels at least


@pytest.mark.parametrize("family", ["V2", "MoGe-2"])
def test_long_frames_run_and_say_so_once(family, caplog):
    caplog.set_level("INFO")
    network, frames = NETWORKS[family](options("384")), torch.rand(1, 4, 400, 3)
    stage = DepthStage(network, network.options, CPU)
    for _ in range(2):
        depth = torch.cat(list(stage(Shot(0, ClipInfo(400, 4, 25, 1)), [frames])))
        assert depth.shape == (1, 4, 400, 1) and depth.isfinite().all()
    said = [record.message for record in caplog.records if "longer than 4:1" in record.message]
    assert len(said) == 1 and "Depth reads frames of 400x4 at a short side of" in said[0], said


def test_frames_of_4_to_1_are_read_at_the_resolution(caplog):
    caplog.set_level("INFO")
    network = NETWORKS["V2"](options("384"))
    assert network.size(ClipInfo(64, 16, 25, 1)) == (392, 1540)
    made(network, textured(16, 64))
    assert not caplog.records
