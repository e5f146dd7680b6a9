"""MoGe-2's network: the results of the published package, and distances from points."""

import hashlib
import math

import pytest
import torch

from benchmarks.support.depth_3_nets import filled, picture
from benchmarks.support.moge_nets import LARGE, TINY, made_up, on_meta, published
from stereoreel.nets.moge import Geometry, clean, detect, distances, fits, load
from tests.support import packaged_depth

# of the training configuration of the Large network in the package dlr-moge 2.0.0, without normals
PARAMETERS, TENSORS, DIGEST = 326208197, 480, "e8d4e2422f5b1852"
# of dlr-moge 2.0.0 with `filled` weights, on `picture(1, 3, 42, 70)`: points and mask at four places, means
POINTS = (-1.915573, -0.552625, 0.959209, 0.761533, -2.949360, 2.240242, -0.683646, -0.915310, 1.285840)
POINTS += (-0.255290, -0.196120, 0.151493, -0.473694)
MASK = (0.549247, 0.122611, 0.355539, 0.232999, 0.442394)
SCALE = 0.4951


def test_names_and_shapes_are_the_published_ones():
    state = clean(published(on_meta(LARGE)))
    table = "\n".join(sorted(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items()))
    assert (sum(tensor.numel() for tensor in state.values()), len(state)) == (PARAMETERS, TENSORS)
    assert hashlib.sha256(table.encode()).hexdigest()[:16] == DIGEST
    assert detect(state) == LARGE and load(state).family == LARGE and fits(state)


def test_equals_numbers_of_the_package():
    found = made_up(TINY)(picture(1, 3, 42, 70), (42, 70))
    for maps, wanted in ((found.points, POINTS), (found.mask, MASK)):
        places = maps[0][[0, 13, 27, 41], [5, 69, 31, 2]]
        summary = torch.cat([places.flatten(), maps.mean()[None]])
        torch.testing.assert_close(summary, torch.tensor(wanted), atol=1e-4, rtol=1e-4)
    assert found.scale.item() == pytest.approx(SCALE, abs=1e-4)


@pytest.mark.reference
@pytest.mark.parametrize("size", [(42, 70), (98, 112), (518, 518)])
def test_equals_the_package(size, monkeypatch):
    original = packaged_depth.normalised(filled(packaged_depth.moge(monkeypatch)))
    net, images = load(original.state_dict()), picture(2, 3, *size)
    theirs = original(images, num_tokens=size[0] * size[1] // 14**2)
    mine = net(images, size)
    torch.testing.assert_close(mine.points, theirs["points"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(mine.mask, theirs["mask"], atol=1e-4, rtol=0)
    torch.testing.assert_close(mine.scale, theirs["metric_scale"], atol=1e-4, rtol=0)


def scene(focal, shift, noise=0.0):
    """Return the geometry of a pinhole camera, whose z is short of ``shift``, and its true distances."""
    rows, columns = 120, 160
    random = torch.Generator().manual_seed(0)
    depth = 2 + 2 * torch.rand(1, rows, columns, generator=random)
    diagonal = math.hypot(rows, columns)
    down, across = torch.meshgrid(
        (2 * torch.arange(rows) + 1 - rows) / diagonal,
        (2 * torch.arange(columns) + 1 - columns) / diagonal,
        indexing="ij",
    )
    flat = torch.stack([across, down], -1)[None] * depth[..., None] / focal
    flat = flat + noise * torch.randn(flat.shape, generator=random)
    mask = (torch.rand(1, rows, columns, generator=random) > 0.1).float()
    points = torch.cat([flat, (depth - shift)[..., None]], -1)
    return Geometry(points, mask, torch.tensor([3.0])), torch.where(mask > 0.5, 3 * depth, math.inf)


@pytest.mark.parametrize(("focal", "shift"), [(0.8, 0.5), (1.5, -0.4), (1.2, 1.9)])
def test_shift_is_found_from_perspective(focal, shift):
    found, truth = scene(focal, shift)
    torch.testing.assert_close(distances(found), truth, atol=0.01, rtol=0)


@pytest.mark.reference
@pytest.mark.parametrize("focal", [0.8, 1.5])
def test_shift_is_that_of_the_package(focal):
    geometry = pytest.importorskip("moge.utils.geometry_torch", reason="dlr-moge is not installed")
    pytest.importorskip("scipy")
    found, _ = scene(focal, 0.5, noise=0.02)
    seen = found.mask > 0.5
    _, shift = geometry.recover_focal_shift(found.points, seen)
    mine = distances(found)[seen] / 3 - found.points[..., 2][seen]
    assert mine.mean().item() == pytest.approx(shift.item(), abs=2e-3)


def test_nothing_seen_is_infinitely_far():
    found, _ = scene(1.0, 0.0)
    assert distances(found._replace(mask=torch.zeros_like(found.mask))).isinf().all()


def test_wrong_files_are_named():
    state = published(on_meta(TINY))
    with pytest.raises(ValueError, match=r"lacks encoder\.output_projections\.0\.weight"):
        load({key: tensor for key, tensor in state.items() if "projections.0" not in key})
    with pytest.raises(ValueError, match="MoGe-1"):
        load({"backbone.cls_token": torch.zeros(1), "head.points_head.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"not a MoGe-2 checkpoint: of its 1 tensors the first are fc"):
        load({"fc.0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="divisible by 14"):
        on_meta(TINY)(torch.rand(1, 3, 42, 50))


def test_forward_never_synchronises_with_the_device():
    """Reading a value fails on ``meta``."""
    assert distances(on_meta(LARGE)(torch.empty(1, 3, 280, 504, device="meta"))).shape == (1, 320, 576)


def test_bfloat16_stays_close():
    net, images = made_up(TINY), picture(1, 3, 42, 56)
    expected = net(images).mask
    assert (net.bfloat16()(images).mask - expected).abs().mean() < 0.05 * expected.std()
