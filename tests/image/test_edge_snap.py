"""Edge snapping: depth of known scenes, reduced to a model's size and upsampled again."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from benchmarks.support import scenes
from stereoreel.analysis.depth_metrics import boundary_f1
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image import edge_snap
from stereoreel.image.edge_snap import snap
from stereoreel.models.headless import Headless
from stereoreel.stages import stereo
from stereoreel.stages.stereo import builtin

HEIGHT, WIDTH, LOW = 540, 960, 259  # the ratio of 1080 lines to the 518 that networks see


def shrunk(depth, height=LOW):
    return F.interpolate(
        depth[None, None], (height, round(depth.shape[1] * height / depth.shape[0])), mode="area"
    )[0, 0]


def bilinear(depth, size=(HEIGHT, WIDTH)):
    return F.interpolate(depth[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def soft(depth):
    return F.avg_pool2d(F.pad(depth[None, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0, 0]


def right_eye(image, depth):
    options = {"divergence": 3.0, "view": "right", "convergence": 0.0, "convergence_mode": "fixed"}
    stage = builtin.load(None, resolve(stereo.OPTIONS, options), Headless("cpu"))
    info = ClipInfo(WIDTH, HEIGHT, 25, 1, 3)
    return next(iter(stage(Shot(0, info), iter([image[None]]), iter([depth[None, ..., None]]))))["clip"][1, 0]


@pytest.fixture(scope="module")
def street():
    """Return a street and its right view, without details thinner than two depth pixels.

    No upsampling restores the depth of such details.
    """
    scene = scenes.street(1, WIDTH, HEIGHT, divergence=3.0)
    scene = replace(
        scene, layers=tuple(layer for layer in scene.layers if layer.shape != "box" or layer.radius[0] > 2)
    )
    return scene.render(), scene.render(eye=-1.0).image, ~scene.holes(-1.0)


def test_edges_are_restored_where_bilinear_loses_them(street):
    seen, truth, visible = street
    scores = {}
    for name, depth in {
        "exact": seen.depth,
        "bilinear": bilinear(shrunk(seen.depth)),
        "snapped": snap(shrunk(seen.depth), seen.image),
    }.items():
        scores[name] = psnr(right_eye(seen.image, depth), truth, visible), boundary_f1(depth, seen.depth)
    assert scores["bilinear"][0] < scores["exact"][0] - 6 and scores["bilinear"][1] < 0.5
    assert scores["snapped"][0] > scores["exact"][0] - 1.4 and scores["snapped"][1] >= 0.95


def test_soft_edges_become_sharp(street):
    seen, truth, visible = street
    depth = soft(shrunk(seen.depth))
    plain, snapped = bilinear(depth), snap(depth, seen.image)
    assert boundary_f1(plain, seen.depth) < 0.3 < 0.7 < boundary_f1(snapped, seen.depth)
    assert (
        psnr(right_eye(seen.image, snapped), truth, visible)
        > psnr(right_eye(seen.image, plain), truth, visible) + 4
    )


def test_displaced_edge_moves_to_the_edge_of_the_image():
    frame = torch.zeros(80, 160, 3)
    frame[:, :71] = torch.tensor([0.8, 0.5, 0.2])
    depth = torch.full((40, 80), 0.2)
    depth[:, :36] = 0.9  # the picture's edge is at 35.5
    for given in (depth, soft(depth)):
        snapped = snap(given, frame)
        assert (snapped[:, :71] > 0.85).all() and (snapped[:, 71:] < 0.25).all()


@pytest.mark.parametrize("slope", [0.2, 0.9, 4.0], ids=["ground", "steep", "steeper than most edges"])
def test_slopes_are_unchanged(slope):
    y, x = torch.meshgrid(torch.linspace(0, 1, 50), torch.linspace(0, 1, 90), indexing="ij")
    for depth in (slope * y, slope * (x + y) / 2, slope * (1 - ((x - 0.5) ** 2 + (y - 0.5) ** 2))):
        assert torch.equal(snap(depth, torch.rand(104, 187, 3)), bilinear(depth, (104, 187)))


def test_no_overshoot_and_no_floating_pixels(street):
    seen, _, _ = street
    low = shrunk(seen.depth)
    snapped = snap(low, seen.image)
    around = -F.max_pool2d(-low[None, None], 5, 1, 2), F.max_pool2d(low[None, None], 5, 1, 2)
    least, most = (F.interpolate(part, (HEIGHT, WIDTH), mode="nearest-exact")[0, 0] for part in around)
    assert (snapped >= least - 1e-6).all() and (snapped <= most + 1e-6).all()
    step = torch.full((20, 30), 0.2)
    step[:, 12:] = 0.7
    snapped = snap(step, torch.rand(42, 63, 3))
    assert torch.minimum((snapped - 0.2).abs(), (snapped - 0.7).abs()).max() < 1e-6


def test_dilation_grows_near_objects():
    depth, frame = torch.full((30, 40), 0.2), torch.zeros(60, 80, 3)
    depth[10:20, 15:25], frame[20:40, 30:50] = 0.8, 1.0
    plain, grown = snap(depth, frame), snap(depth, frame, dilate=2)
    assert (plain > 0.5).nonzero().aminmax(dim=0)[0].tolist() == [20, 30]
    assert (grown > 0.5).nonzero().aminmax(dim=0)[0].tolist() == [18, 28] and (grown > 0.5).nonzero().aminmax(
        dim=0
    )[1].tolist() == [41, 51]


def test_gpu_path_gives_the_same(street, monkeypatch):
    """Take the GPU's path on ``meta``, which fails if anything waits for the device; inputs are unchanged."""
    seen, _, _ = street
    low = shrunk(seen.depth)
    before, snapped = (low.clone(), seen.image.clone()), snap(low, seen.image)
    monkeypatch.setattr(edge_snap, "mask_indices", edge_snap.all_indices)
    assert torch.equal(snap(low, seen.image), snapped)
    assert torch.equal(low, before[0]) and torch.equal(seen.image, before[1])
    assert snap(low.to("meta"), seen.image.to("meta")).shape == (HEIGHT, WIDTH)


def test_size_of_the_frame_itself_and_smaller_frames():
    frame = torch.rand(40, 60, 3)
    assert snap(torch.rand(40, 60), frame).shape == snap(torch.rand(90, 130), frame).shape == (40, 60)
