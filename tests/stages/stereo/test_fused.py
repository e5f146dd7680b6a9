"""The kernels of Stereo Pair: the views of PyTorch's operations, in machine code for a GPU."""

import pytest
import torch

from stereoreel.stages.stereo import fused
from stereoreel.stages.stereo.background import fill_frames
from stereoreel.stages.stereo.warp import Eye, move_rows
from tests.support.triton_kernels import compiled, interpreted

# a row has weights that are computed and not used
pytestmark = pytest.mark.filterwarnings("ignore:divide by zero")
ROOM = "stereoreel.stages.stereo"
WARP, FILL = f"{ROOM}.warp_kernel", f"{ROOM}.background_kernels"
ROWS, WIDTH = 7, 37  # of each of two frames


def eye(left, dtype, channels=3):
    random = torch.Generator().manual_seed(0)
    image = torch.rand(2 * ROWS, WIDTH, channels, generator=random).to(dtype)
    parallax = 20 * torch.rand(2 * ROWS, 6, generator=random).repeat_interleave(7, 1)[:, :WIDTH] - 8
    column = torch.arange(WIDTH)
    # noise, a row that leaves the frame, one that stays, a stretched and a folded surface
    parallax[:5] = torch.stack(
        [
            30 * torch.rand(WIDTH, generator=random) - 15,
            500.0 + 0 * column,
            0.0 * column,
            0.8 * column,
            -1.3 * column,
        ]
    )
    picture, holes = torch.empty_like(image), torch.empty(2 * ROWS, WIDTH, dtype=dtype)
    source = torch.empty(2 * ROWS, WIDTH, dtype=torch.int32)
    return Eye(image, parallax.contiguous(), 0.5, left, picture, holes, source)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_view_is_that_of_the_operations(monkeypatch, left, dtype):
    interpreted(monkeypatch, WARP)
    interpreted(monkeypatch, FILL)
    ours, theirs = eye(left, dtype), eye(left, dtype)
    fused.move([ours])
    move_rows([theirs], wait=False)
    assert ours.holes.equal(theirs.holes) and ours.source.equal(theirs.source)
    assert 0.02 < float(theirs.holes.float().mean()) < 0.5
    torch.testing.assert_close(ours.picture, theirs.picture, rtol=0, atol=1e-6)
    fused.fill(ours, ROWS, 1.3)
    fill_frames(theirs, ROWS, 1.3)
    torch.testing.assert_close(
        ours.picture, theirs.picture, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-3
    )


def test_a_view_with_depth_and_without_sources(monkeypatch):
    interpreted(monkeypatch, WARP)
    ours, theirs = (eye(True, torch.float32, 1)._replace(source=None) for _ in range(2))
    fused.move([ours])
    move_rows([theirs], wait=False)
    torch.testing.assert_close(ours.picture, theirs.picture, rtol=0, atol=1e-6)
    assert ours.holes.equal(theirs.holes)


LEVEL = dict.fromkeys(("color", "weight", "near"), "*fp32")
VIEW = {"picture": "*fp16", "holes": "*fp16", "source": "*i32", "parallax": "*fp32"}
SIZES = {"width": 3840, "channels": 3}
KERNELS = {
    "warp_row": (
        WARP,
        {**SIZES, "left": True, "keeps_source": True, "join": 0.75, "margin": 3, "block": 4096},
        {**VIEW, "image": "*fp16", "winners": "*i32", "share": "fp32"},
    ),
    "first_level": (
        FILL,
        {**SIZES, "cells": 960, "left": True, "block": 256},
        {**VIEW, **LEVEL, **dict.fromkeys(("surface", "full", "trace"), "fp32")},
    ),
    "larger": (
        FILL,
        {**SIZES, "height": 2160, "block": 256},
        {**LEVEL, **{f"next_{name}": "*fp32" for name in LEVEL}, "surface": "fp32", "full": "fp32"},
    ),
    "smaller": (
        FILL,
        {**SIZES, "height": 2160, "block": 256},
        {**LEVEL, "coarse_color": "*fp32", "coarse_near": "*fp32", "surface": "fp32"},
    ),
    "finish": (
        FILL,
        {**SIZES, "cells": 960, "left": False, "block": 256},
        {**VIEW, **LEVEL, **dict.fromkeys(("surface", "share", "fade"), "fp32")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_compile_for_a_gpu(name):
    room, constants, types = KERNELS[name]
    assert compiled(room, name, constants, 8 if name == "warp_row" else 4, **types)


@pytest.mark.parametrize("width, channels, dtype", [(37, 3, torch.float16), (90, 1, torch.float32)])
def test_the_trial_passes(monkeypatch, width, channels, dtype):
    interpreted(monkeypatch, WARP)
    interpreted(monkeypatch, FILL)
    monkeypatch.setattr(fused, "TRIAL", 6)
    assert fused._trial(torch.device("cpu"), dtype, width, channels)


def test_the_trial_finds_what_is_no_number(monkeypatch):
    interpreted(monkeypatch, WARP)
    interpreted(monkeypatch, FILL)
    monkeypatch.setattr(fused, "TRIAL", 6)
    fill = fused.fill

    def broken(eye, *given):
        fill(eye, *given)
        eye.picture[::2] = torch.nan

    monkeypatch.setattr(fused, "fill", broken)
    assert not fused._trial(torch.device("cpu"), torch.float32, 37, 3)


def test_a_processor_runs_no_kernels():
    assert not fused.STEREO.work(torch.device("cpu"), torch.float32, 2, 3)
