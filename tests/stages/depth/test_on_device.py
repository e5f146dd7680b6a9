"""Builtin depth of frames on a GPU, which go to the host at working size, against that of the host's."""

from fractions import Fraction

import pytest
import torch

from benchmarks.support.depth_scenes import MOVES
from benchmarks.support.scenes import street
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.stages.depth import OPTIONS, edges
from stereoreel.stages.depth.builtin import DepthStage, working_size
from stereoreel.stages.depth.on_device import DeviceFrames

CPU = torch.device("cpu")


def estimated(frames, there, together=3, **options):
    info = ClipInfo(frames.shape[2], frames.shape[1], Fraction(12), len(frames))
    stage = DepthStage(resolve(OPTIONS, options), CPU, DeviceFrames(CPU, working_size) if there else None)
    return torch.cat(list(stage(Shot(0, info), iter(frames.split(together)))))


@pytest.mark.parametrize("size", [(200, 120), (500, 306)])  # which are enlarged and reduced
@pytest.mark.parametrize("invert", [False, True])
def test_depth_is_that_of_the_host(monkeypatch, size, invert):
    monkeypatch.setattr(edges.native, "enabled", lambda: False)  # as on a GPU
    frames = street(3, *size, camera=MOVES["sideways"]).clip(4)[0]
    here, there = (estimated(frames, way, invert=invert) for way in (False, True))
    assert there.shape == here.shape and float(here.std()) > 0.05
    apart = (there - here).abs()
    assert float(apart.mean()) <= 1e-3 and float(apart.square().mean().sqrt()) <= 3e-3  # 50 dB


def test_grey_frames_and_frames_of_nothing_pass():
    frames = street(3, 160, 96, camera=MOVES["sideways"]).clip(3)[0].mean(-1, keepdim=True)
    frames[:, 10:20, 10:20] = torch.nan
    assert bool(estimated(frames, True).isfinite().all())


def test_chunks_do_not_matter():
    frames = street(3, 160, 96, camera=MOVES["sideways"]).clip(4)[0]
    one, other = (estimated(frames, True, together) for together in (1, 4))
    assert bool((one == other).all())
