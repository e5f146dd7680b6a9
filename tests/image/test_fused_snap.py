"""The kernels that align depth with edges: the depth of PyTorch's operations, in machine code for a GPU."""

import pytest
import torch

from stereoreel.image import edge_snap
from tests.support.triton_kernels import compiled, interpreted

KERNELS = "stereoreel.image.snap_kernels"
SIDES = {**dict.fromkeys(("near", "far", "shown"), "*fp32"), "edge": "*i1"}
OF = {
    "means": (
        {"height": 518, "width": 924, "reach": 2, "spread": 2.0, "whole": 0.9, "block": 256},
        {**SIDES, "depth": "*fp32", "shrunk": "*fp32"},
    ),
    "settle": (
        {"width": 3840, "channels": 3, "small": 924, "block": 256},
        {
            **SIDES,
            "frame": "*fp16",
            "large": "*fp32",
            **dict.fromkeys(("rows", "columns"), "*i64"),
            **dict.fromkeys(("color", "prior"), "fp32"),
        },
    ),
}


@pytest.mark.parametrize("dtype, channels", [(torch.float32, 3), (torch.float16, 4)])
def test_depth_is_that_of_the_operations(monkeypatch, dtype, channels):
    interpreted(monkeypatch, KERNELS)
    random = torch.Generator().manual_seed(0)
    depth = torch.rand(3, 4, generator=random).repeat_interleave(4, 0).repeat_interleave(4, 1)
    frame = torch.rand(27, 37, channels, generator=random).to(dtype)
    theirs, ours = (edge_snap._snapped(depth, frame, 1, edge_snap.STEP, kernels) for kernels in (False, True))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    smooth = torch.nn.functional.interpolate(depth[None, None], (27, 37), mode="bilinear")[0, 0]
    assert float((ours - smooth).abs().max()) > 0.1


@pytest.mark.parametrize("name", OF)
def test_kernels_compile_for_a_gpu(name):
    constants, types = OF[name]
    assert compiled(KERNELS, name, constants, **types)


@pytest.mark.parametrize("dtype, channels", [(torch.float16, 4), (torch.bfloat16, 3)])
def test_the_trial_passes(monkeypatch, dtype, channels):
    interpreted(monkeypatch, KERNELS)
    monkeypatch.setattr(edge_snap, "TRIAL", 12)
    assert edge_snap._trial(torch.device("cpu"), dtype, channels)


@pytest.mark.parametrize(
    "broken", [lambda depth, frame, large, *given: large.fill_(torch.nan), lambda *given: None]
)
def test_the_trial_finds_wrong_depth(monkeypatch, broken):
    """Also none: depth that is only enlarged."""
    monkeypatch.setattr(edge_snap, "choose_sides", broken)
    assert not edge_snap._trial(torch.device("cpu"), torch.float32, 3)
