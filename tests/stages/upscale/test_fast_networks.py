"""ESRGAN with Winograd convolutions equals the plain module."""

import pytest
import spandrel
import torch
from torch import nn

from benchmarks.support.image_nets import Compact, RRDBNet, random_net
from stereoreel.stages.upscale import fast_networks, winograd


def plain(kind: type, **sizes) -> nn.Module:
    """Return the module as spandrel's loader gives it."""
    return (
        spandrel.ModelLoader("cpu").load_from_state_dict(random_net(kind, **sizes).state_dict()).eval().model
    )


def faster(net: nn.Module) -> nn.Module | None:
    return fast_networks.optimised(net, torch.float32, torch.device("cpu"))


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(37, 53), (8, 8), (70, 5)])
@pytest.mark.parametrize("scale", [1, 2, 4])
@torch.inference_mode()
def test_esrgan_equals_the_plain_module(scale, size):
    net, frames = plain(RRDBNet, scale=scale, width=64, blocks=2), noise(2, 3, *size)
    torch.testing.assert_close(faster(net)(frames), net(frames), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_rounding_error_is_at_most_twice_the_plain_modules():
    net, frames = plain(RRDBNet, blocks=3), noise(1, 3, 40, 44)
    direct, fast = net(frames), faster(net)(frames)
    exact = net.double()(frames.double())
    assert (fast - exact).square().mean() <= 4 * (direct - exact).square().mean()


@torch.inference_mode()
def test_a_frame_has_the_same_bits_in_any_batch():
    net, frames = faster(plain(RRDBNet)), noise(5, 3, 26, 38)
    assert torch.equal(net(frames), torch.cat([net(frame[None]) for frame in frames]))


@torch.inference_mode()
def test_one_frame_uses_all_cores():
    net, frames = plain(RRDBNet, scale=2, blocks=3), noise(1, 3, 150, 40)
    torch.testing.assert_close(faster(net)(frames), net(frames), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_large_frame_is_computed_in_strips_without_a_seam(monkeypatch):
    net, frames = plain(RRDBNet, scale=4, blocks=3), noise(1, 3, 150, 10)
    monkeypatch.setattr(winograd, "BUDGET", 0)
    monkeypatch.setattr(fast_networks, "TAIL_PIXELS", 0)
    torch.testing.assert_close(faster(net)(frames), net(frames), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_frames_of_a_batch_are_independent():
    net, frames = faster(plain(RRDBNet, scale=4)), noise(3, 3, 16, 16)
    alone = net(frames[1:2])
    frames[0], frames[2] = 0, 1
    assert torch.equal(net(frames)[1:2], alone)


def test_other_networks_are_unchanged():
    assert faster(nn.Sequential(nn.Conv2d(3, 3, 3))) is None
    net = plain(RRDBNet)
    net.model[1].sub[0].RDB2.conv1x1 = nn.Conv2d(16, 32, 1)  # as in ESRGAN+
    assert faster(net) is None
    assert faster(plain(Compact)) is None


@pytest.mark.parametrize(
    ("dtype", "device"), [(torch.bfloat16, "cpu"), (torch.float16, "cuda"), (torch.float32, "cuda")]
)
def test_plain_module_is_used_if_faster(dtype, device):
    assert fast_networks.optimised(plain(RRDBNet), dtype, torch.device(device)) is None
