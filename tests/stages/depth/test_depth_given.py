"""Depth from other nodes: geometry and depth images, converted for Stereo."""

import math

import pytest
import torch

from stereoreel.core.pull import frames
from stereoreel.stages.depth.given import FARTHEST, from_linear, inverse
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID

DEPTH = BY_ID["StereoReelDepth"]


def given(clip, depth, host, **options):
    made = build.stage(DEPTH, {"clip": clip, "depth": depth}, {"edges": "smooth", **options}, "7")["depth"]
    return frames(made, host)


def distances(count=3, size=(20, 30)):
    """Return metres that grow from 1 to 9 along the rows, equal in all frames."""
    return torch.linspace(1, 9, size[1]).expand(count, *size).contiguous()


def test_geometry_becomes_inverse_depth(tensor_clip, host):
    near = inverse({"depth": distances(), "image": torch.zeros(3, 20, 30, 3)})
    made = given(tensor_clip(frames=3, size=(20, 30)), tensor_clip(near[..., None]), host)[1, 10, :, 0]
    parallax = 1 / (distances()[0, 0] + 0.1)
    middle = slice(1, 28)  # the ends are clipped to the range
    slope = torch.stack([made[middle], parallax[middle]])
    assert torch.corrcoef(slope)[0, 1] > 0.99999 and made[0] > made[-1]


def test_unknown_sky_and_masked_pixels_are_far():
    depth = distances()
    depth[0, 0, 0] = math.inf
    sky, mask = torch.zeros_like(depth), torch.ones_like(depth, dtype=torch.bool)
    sky[0, 1, 1], mask[0, 2, 2] = 1, False
    near = inverse({"depth": depth, "sky": sky, "mask": mask})
    assert near[0, 0, 0] == near[0, 1, 1] == near[0, 2, 2] == 0
    assert (near > 0).sum() == near.numel() - 3 and near.max() <= 1


def test_geometry_without_depth_is_refused():
    with pytest.raises(ValueError, match="no depth"):
        inverse({"points": torch.zeros(1, 4, 4, 3)})


def test_linear_distance_becomes_inverse_depth():
    ends = from_linear(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(ends, torch.tensor([0.0, 1.0]))
    half = from_linear(torch.tensor(0.5)).item()  # half-way in distance is far in parallax
    assert (
        half == pytest.approx((1 / (1 + 0.5 * (FARTHEST - 1)) - 1 / FARTHEST) / (1 - 1 / FARTHEST), abs=1e-6)
        and half < 0.15
    )


KINDS = {"near white": True, "near black": False, "linear, near white": True, "linear, near black": False}


@pytest.mark.parametrize(("kind", "rises"), KINDS.items())
def test_near_may_be_at_either_end(kind, rises, tensor_clip, host):
    ramp = torch.linspace(0, 1, 30).expand(2, 20, 30)[..., None].contiguous()
    made = given(tensor_clip(frames=2, size=(20, 30)), tensor_clip(ramp), host, given=kind)[0, 10, :, 0]
    steps = made[2:-2].diff()
    assert (steps > 0).all() if rises else (steps < 0).all()


def test_smaller_depth_is_snapped_to_the_frames(tensor_clip, host):
    frame = torch.zeros(1, 64, 96, 3)
    frame[:, :, 41:] = 0.8
    small = torch.zeros(1, 16, 24, 1)
    small[:, :, 10:] = 1  # the edge lies within a pixel of the frame's, which is four times finer
    made = given(tensor_clip(frame), tensor_clip(small), host, edges="snap")[0, 32, :, 0]
    assert made[:41].max() < 0.05 and made[41:].min() > 0.95


def test_unequal_length_error_names_both_lengths(tensor_clip, host):
    with pytest.raises(ValueError, match="7 and 5 frames"):
        given(tensor_clip(), tensor_clip(frames=5, channels=1), host)


def test_flickering_depth_is_stabilised(tensor_clip, host):
    still = torch.rand(1, 20, 30, 1, generator=torch.Generator().manual_seed(3)).expand(12, 20, 30, 1)
    gains = torch.tensor([0.5, 1.0] * 6)[:, None, None, None]
    made = given(tensor_clip(frames=12, size=(20, 30)), tensor_clip(still * gains), host)
    assert made.diff(dim=0).abs().max() < 0.005
