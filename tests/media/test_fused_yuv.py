"""The kernel that makes planes: those of PyTorch's operations within a code, in machine code for a GPU."""

import pytest
import torch

from stereoreel.media import yuv
from stereoreel.media.layouts import arrangement
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
        (yuv._planes(frame, 9, form, False, kernels, frame.shape[:2]).int() & 0xFFFF) >> form.shift
        for kernels in (False, True)
    )
    assert int((ours - theirs).abs().max()) <= 1
    assert float((ours != theirs).float().mean()) < 0.01


@pytest.mark.parametrize(
    "layout, name, dtype, channels",
    [
        *((layout, "yuv420p", torch.float16, 3) for layout in arrangement.KINDS),
        ("half_sbs", "p010le", torch.float32, 4),
        ("anaglyph", "yuv444p12le", torch.float32, 1),
    ],
)
def test_views_are_packed_as_pack_does(monkeypatch, layout, name, dtype, channels):
    """Views of odd sizes, whose packed frame is filled to even ones."""
    interpreted(monkeypatch, KERNEL)
    random = torch.Generator().manual_seed(0)
    views = (torch.rand(2, 1, 5, 7, channels, generator=random) * 1.2 - 0.1).to(dtype)
    given = arrangement.Arrangement(views, layout)
    assert given.packed().shape[:2] == given.size
    size, form = tuple(side + side % 2 for side in given.size), yuv.PlaneFormat.named(name)
    theirs, ours = (
        (yuv._planes(given, 1, form, False, kernels, size).int() & 0xFFFF) >> form.shift
        for kernels in (False, True)
    )
    assert int((ours - theirs).abs().max()) <= 1
    assert float((ours != theirs).float().mean()) < 0.05


@pytest.mark.parametrize("layout", ["half_sbs", "anaglyph"])
def test_the_trial_of_a_layout_passes(monkeypatch, layout):
    interpreted(monkeypatch, KERNEL)
    monkeypatch.setattr(yuv, "TRIAL", 8)
    form = yuv.PlaneFormat.named("yuv444p12le")
    assert yuv._trial(torch.device("cpu"), torch.float16, 3, form, layout)


@pytest.mark.parametrize("name", ["p010le", "yuv444p12le"])
@pytest.mark.parametrize("dtype, channels", [(torch.float32, 1), (torch.bfloat16, 3)])
def test_the_trial_passes(monkeypatch, name, dtype, channels):
    interpreted(monkeypatch, KERNEL)
    monkeypatch.setattr(yuv, "TRIAL", 8)
    assert yuv._trial(torch.device("cpu"), dtype, channels, yuv.PlaneFormat.named(name))


def test_the_trial_finds_wrong_planes(monkeypatch):
    monkeypatch.setattr(yuv, "yuv_planes", lambda one, other, values, *given: values.fill_(128))
    assert not yuv._trial(torch.device("cpu"), torch.float16, 3, yuv.PlaneFormat.named("yuv420p"))


@pytest.mark.parametrize(
    "plane, joined, bits, kind", [("*u8", False, 8, 1), ("*i16", True, 10, 0), ("*u8", False, 8, 9)]
)
def test_the_kernel_compiles_for_a_gpu(plane, joined, bits, kind):
    constants = {
        "height": 2160, "width": 7680, "high": 2160, "wide": 7680 >> (kind == 1), "channels": 3,
        "kind": kind, "mix": (0.5,) * 18 if kind == 9 else None, "across": 2, "down": 2, "step": 1 + joined,
        "shift": 6 * joined, "block": 128,
    }  # fmt: skip
    types = {
        **dict.fromkeys(("one", "other"), "*fp16"),
        **dict.fromkeys(("luma", "blue_plane", "red_plane"), plane),
    }
    assert compiled(KERNEL, "planes", constants, **types, **dict.fromkeys(COEFFICIENTS, "fp32"))
