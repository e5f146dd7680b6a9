"""Comparison with the ``realesrgan`` package and the same weights.

``pip install stereoreel[realesrgan]``, then ``pytest -m reference``. The package is unmaintained; a current
torchvision needs the shim below.
"""

import sys
from types import ModuleType

import pytest
import torch

from benchmarks.support.image_nets import Compact, RRDBNet, random_net, save
from stereoreel.core.clip import apply
from stereoreel.core.pull import frames
from stereoreel.models.lazy_stage import Plan

pytestmark = pytest.mark.reference


@pytest.fixture
def package():
    functional = pytest.importorskip(
        "torchvision.transforms.functional", reason="torchvision is not installed"
    )
    # gone since torchvision 0.17; basicsr imports one function of it
    shim = ModuleType("torchvision.transforms.functional_tensor")
    shim.rgb_to_grayscale = functional.rgb_to_grayscale
    sys.modules.setdefault(shim.__name__, shim)
    return pytest.importorskip(
        "realesrgan", reason="the realesrgan package is not installed (pip install stereoreel[realesrgan])"
    )


def reference(package, net, path, images, tile=0):
    """Return frames ``[T, H, W, 3]`` by the package's own class, before it rounds them."""
    if isinstance(net, RRDBNet):
        from basicsr.archs.rrdbnet_arch import RRDBNet as Theirs

        theirs = Theirs(3, 3, scale=net.scale, num_feat=16, num_block=1, num_grow_ch=32)
    else:
        theirs = package.archs.srvgg_arch.SRVGGNetCompact(3, 3, num_feat=16, num_conv=2, upscale=net.scale)
    upscaler = package.RealESRGANer(
        net.scale,
        str(path),
        model=theirs,
        half=False,
        tile=tile,
        tile_pad=32,
        pre_pad=0,
        device=torch.device("cpu"),
    )
    made = []
    for image in images:
        upscaler.pre_process(image.numpy())
        upscaler.tile_process() if tile else upscaler.process()
        made.append(upscaler.post_process()[0].movedim(0, -1).clamp(0, 1))
    return torch.stack(made)


@pytest.mark.parametrize("tile", [0, 96])
@pytest.mark.parametrize(("kind", "scale"), [(RRDBNet, 2), (RRDBNet, 4), (Compact, 4)])
def test_equals_the_realesrgan_package(package, kind, scale, tile, tmp_path, tensor_clip, host):
    net = random_net(kind, scale=scale)
    path = save(net, tmp_path / "models" / "upscale" / "net.pth")
    clip = tensor_clip(frames=2, size=(148, 200))
    plan = Plan(
        "upscale", {"model": "net.pth", "factor": scale, "tile": tile, "precision": "fp32"}, "Upscale"
    )
    made = frames(apply(plan, clip)["clip"], host)
    torch.testing.assert_close(
        made, reference(package, net, path, frames(clip, host), tile), atol=1e-4 if tile else 1e-5, rtol=0
    )


@pytest.mark.parametrize("size", [(101, 131), (102, 130), (99, 128)])
def test_sides_that_are_no_multiple_of_four_equal_the_package(package, size, tmp_path, tensor_clip, host):
    net = random_net(RRDBNet, scale=2)
    path = save(net, tmp_path / "models" / "upscale" / "net.pth")
    clip = tensor_clip(frames=1, size=size)
    plan = Plan("upscale", {"model": "net.pth", "precision": "fp32"}, "Upscale")
    made, theirs = frames(apply(plan, clip)["clip"], host), reference(package, net, path, frames(clip, host))
    assert made.shape == (1, 2 * size[0], 2 * size[1], 3)
    torch.testing.assert_close(made, theirs, atol=1e-5, rtol=0)
