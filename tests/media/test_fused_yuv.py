"""The kernel that makes planes: those of PyTorch's operations within a code, in machine code for a GPU."""

import pytest
import torch

from stereoreel.media import yuv
from tests.support.triton_kernels import compiled, interpreted

KERNEL = "stereoreel.media.yuv_kernel"
COEFFICIENTS = (
    [f"{kind}_{color}" for kind in ("own", "blue", "red") for color in ("red", "green", "blue")]
    + ["black", "middle", "white", "outer", "third", "second", "inner"]
)  # fmt: skip


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "p010le", "yuv422p10le", "yuv444p12le"])
@pytest.mark.parametrize("dtype, channels", [(torch.float32, 4), (torch.float16, 3), (torch.float32, 1)])
def test_planes_are_those_of_the_operations(monkeypatch, name, dtype, channels):
    interpreted(monkeypatch, KERNEL)
    random = torch.Generator().manual_seed(0)
    frame = (torch.rand(10, 22, channels, generator=random) * 1.2 - 0.1).to(dtype)
    form = yuv.PlaneFormat.named(name)
    theirs, ours = (
        (yuv._planes(frame, 9, form, False, kernels).int() & 0xFFFF) >> form.shift
        for kernels in (False, True)
    )
    assert int((ours - theirs).abs().max()) <= 1
    assert float((ours != theirs).float().mean()) < 0.01


@pytest.mark.parametrize("name", ["p010le", "yuv444p12le"])
@pytest.mark.parametrize("dtype, channels", [(torch.float32, 1), (torch.bfloat16, 3)])
def test_the_trial_passes(monkeypatch, name, dtype, channels):
    interpreted(monkeypatch, KERNEL)
    monkeypatch.setattr(yuv, "TRIAL", 8)
    assert yuv._trial(torch.device("cpu"), dtype, channels, yuv.PlaneFormat.named(name))


def test_the_trial_finds_wrong_planes(monkeypatch):
    monkeypatch.setattr(yuv, "yuv_planes", lambda frame, values, *given: values.fill_(128))
    assert not yuv._trial(torch.device("cpu"), torch.float16, 3, yuv.PlaneFormat.named("yuv420p"))


@pytest.mark.parametrize("plane, joined, bits", [("*u8", False, 8), ("*i16", True, 10)])
def test_the_kernel_compiles_for_a_gpu(plane, joined, bits):
    constants = {
        "height": 2160, "width": 7680, "channels": 3, "across": 2, "down": 2, "step": 1 + joined,
        "shift": 6 * joined, "block": 128,
    }  # fmt: skip
    types = {"frame": "*fp16", **dict.fromkeys(("luma", "blue_plane", "red_plane"), plane)}
    assert compiled(KERNEL, "planes", constants, **types, **dict.fromkeys(COEFFICIENTS, "fp32"))
