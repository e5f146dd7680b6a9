"""BasicVSR's networks: published tensors, and every formula against a plain implementation."""

import math
import re
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.support.vsr_nets import checkpoint, footage, small
from stereoreel.nets import basicvsr, spynet
from stereoreel.nets.basicvsr import BRANCHES, Memory

PUBLISHED = {  # width, blocks and kind, tensors, parameters
    "BasicVSR++ REDS4 and Vimeo": (lambda: basicvsr.BasicVSRPlusPlus(64, 7), 274, 7_322_927),
    "BasicVSR++ deblur and denoise": (lambda: basicvsr.BasicVSRPlusPlus(64, 15, False), 406, 9_760_175),
    "BasicVSR++ NTIRE decompress": (lambda: basicvsr.BasicVSRPlusPlus(128, 25, False), 566, 44_075_631),
    "BasicVSR++ NTIRE VSR": (lambda: basicvsr.BasicVSRPlusPlus(128, 25), 562, 43_780_463),
    "BasicVSR": (lambda: basicvsr.BasicVSR(64, 30), 316, 6_291_311),
    "RealBasicVSR": (lambda: basicvsr.RealBasicVSR(64, 20, 20), 320, 6_294_834),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_distinguished_by_their_tensors(name):
    make, tensors, parameters = PUBLISHED[name]
    with torch.device("meta"):
        net = make()
        state = {f"generator.{key}": tensor for key, tensor in net.state_dict().items()}
        found = basicvsr.load({**state, "step_counter": torch.zeros(1)})
    assert type(found) is type(net) and {key: value.shape for key, value in found.state_dict().items()} == {
        key.removeprefix("generator."): value.shape for key, value in state.items()
    }
    assert len(found.state_dict()) == tensors and sum(one.numel() for one in found.parameters()) == parameters


KEYS = {
    "BasicVSR++": {
        "spynet.mean": (1, 3, 1, 1),
        "spynet.basic_module.5.basic_module.0.conv.weight": (32, 8, 7, 7),
        "feat_extract.main.0.weight": (64, 3, 3, 3),
        "feat_extract.main.2.4.conv2.bias": (64,),
        "deform_align.forward_2.weight": (64, 128, 3, 3),
        "deform_align.backward_1.conv_offset.0.weight": (64, 196, 3, 3),
        "deform_align.forward_1.conv_offset.6.weight": (432, 64, 3, 3),
        "backbone.backward_1.main.0.weight": (64, 128, 3, 3),
        "backbone.forward_2.main.0.weight": (64, 320, 3, 3),
        "backbone.forward_2.main.2.6.conv1.weight": (64, 64, 3, 3),
        "reconstruction.main.0.weight": (64, 320, 3, 3),
        "upsample1.upsample_conv.weight": (256, 64, 3, 3),
        "conv_hr.weight": (64, 64, 3, 3),
        "conv_last.weight": (3, 64, 3, 3),
    },
    "RealBasicVSR": {
        "image_cleaning.0.main.2.19.conv1.weight": (64, 64, 3, 3),
        "image_cleaning.1.weight": (3, 64, 3, 3),
        "basicvsr.forward_resblocks.main.0.weight": (64, 67, 3, 3),
        "basicvsr.backward_resblocks.main.2.19.conv2.weight": (64, 64, 3, 3),
        "basicvsr.fusion.weight": (64, 128, 1, 1),
        "basicvsr.spynet.std": (1, 3, 1, 1),
    },
}


@pytest.mark.parametrize("name", KEYS)
def test_tensors_have_the_published_names(name):
    with torch.device("meta"):
        state = (
            basicvsr.BasicVSRPlusPlus() if name == "BasicVSR++" else basicvsr.RealBasicVSR()
        ).state_dict()
    assert {key: tuple(state[key].shape) for key in KEYS[name]} == KEYS[name]


@pytest.mark.parametrize("kind", ["BasicVSR", "BasicVSR++"])
def test_basicsr_names_the_same_tensors_otherwise(kind):
    net = small(kind)
    names = [
        (r"_resblocks\.", "_trunk."),
        (r"upsample([12])\.upsample_conv\.", r"upconv\1."),
        (
            r"(spynet\.basic_module\.\d\.basic_module)\.(\d)\.conv\.",
            lambda found: f"{found[1]}.{2 * int(found[2])}.",
        ),
    ]
    renamed = {}
    for key, tensor in net.state_dict().items():
        for ours, theirs in names:
            key = re.sub(ours, theirs, key)
        renamed[key] = tensor
    assert len(renamed.keys() - net.state_dict().keys()) > 50
    found = basicvsr.load(renamed).state_dict()
    assert found.keys() == net.state_dict().keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in net.state_dict().items())


def test_averaged_weights_take_precedence():
    net, other = small("RealBasicVSR"), small("RealBasicVSR", seed=1)
    both = {**checkpoint(other)["state_dict"], **checkpoint(net, "generator_ema.")["state_dict"]}
    found = basicvsr.load(both)
    assert all(torch.equal(tensor, net.state_dict()[key]) for key, tensor in found.state_dict().items())


def test_unknown_and_incomplete_tensors_are_refused():
    with pytest.raises(ValueError, match="not a BasicVSR"):
        basicvsr.load({"conv_first.weight": torch.zeros(64, 3, 3, 3)})
    state = small("BasicVSR++").state_dict()
    state.pop("conv_hr.bias")
    with pytest.raises(ValueError, match=r"1 missing, unknown or of another shape: conv_hr\.bias"):
        basicvsr.load(state)
    with pytest.raises(ValueError, match="extra"):
        basicvsr.load({**small("BasicVSR").state_dict(), "extra.weight": torch.zeros(1)})


def at(image: torch.Tensor, row: float, column: float) -> torch.Tensor:
    """Sample ``[C, H, W]`` between its pixels; zero outside."""
    height, width = image.shape[1:]
    top, left, value = math.floor(row), math.floor(column), torch.zeros(image.shape[0])
    for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= r < height and 0 <= c < width:
            value = value + (1 - abs(row - r)) * (1 - abs(column - c)) * image[:, r, c]
    return value


def test_warping_follows_the_flow():
    image, flow = torch.rand(1, 2, 5, 7), 6 * torch.rand(1, 2, 5, 7) - 3
    made = spynet.warp(image, flow)
    for row in range(5):
        for column in range(7):
            wanted = at(
                image[0], row + float(flow[0, 1, row, column]), column + float(flow[0, 0, row, column])
            )
            torch.testing.assert_close(made[0, :, row, column], wanted, atol=1e-5, rtol=0)
    shifted = spynet.warp(image, torch.tensor([20.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 5, 7), "border")
    assert torch.equal(shifted, image[..., -1:].expand_as(image))


def test_coarse_flow_is_scaled_up_and_back():
    """Frames of 40x80 are processed at 64x96: a pixel at the coarsest of six sizes is 32 there."""
    net = spynet.SPyNet((4, 4, 4, 4))
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    net.basic_module[0].basic_module[4].conv.bias.data = torch.tensor([1.0, -0.5])
    flow = net(torch.rand(1, 3, 40, 80), torch.rand(1, 3, 40, 80))
    torch.testing.assert_close(
        flow, torch.tensor([32 * 80 / 96, -16 * 40 / 64]).view(1, 2, 1, 1).expand(1, 2, 40, 80)
    )


def naive_deform(image, offset, mask, weight, bias):
    """Compute DCNv2 one pixel and one sampling point at a time; ``[C, H, W]``."""
    channels, height, width = image.shape
    groups = mask.shape[0] // 9
    made = bias[:, None, None].expand(-1, height, width).clone()
    for row in range(height):
        for column in range(width):
            for group in range(groups):
                part = slice(group * channels // groups, (group + 1) * channels // groups)
                for point in range(9):
                    number, y, x = 9 * group + point, point // 3, point % 3
                    down, right = offset[2 * number : 2 * number + 2, row, column].tolist()
                    value = at(image[part], row - 1 + y + down, column - 1 + x + right)
                    value = value * mask[number, row, column]
                    made[:, row, column] += weight[:, part, y, x] @ value
    return made


@torch.no_grad()
def test_deformable_convolution_equals_torchvision_and_the_naive_one():
    ops = pytest.importorskip("torchvision.ops")
    generator = torch.Generator().manual_seed(0)
    image, offset, mask, weight, bias = (
        torch.randn(size, generator=generator)
        for size in ((1, 8, 6, 7), (1, 72, 6, 7), (1, 36, 6, 7), (5, 8, 3, 3), (5,))
    )
    offset, mask, weight = 3 * offset, mask.sigmoid(), weight / 8
    sampled = basicvsr.deform_by_sampling(image, offset, mask, weight, bias)
    torch.testing.assert_close(
        sampled[0], naive_deform(image[0], offset[0], mask[0], weight, bias), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        sampled, ops.deform_conv2d(image, offset, weight, bias, padding=1, mask=mask), atol=1e-6, rtol=0
    )
    by_operator = basicvsr.deform_by_operator(ops.deform_conv2d, image, offset, mask, weight, bias)
    torch.testing.assert_close(sampled, by_operator, atol=1e-6, rtol=0)


def test_torchvision_is_optional(monkeypatch):
    ops = pytest.importorskip("torchvision.ops")
    assert basicvsr._operator.__wrapped__("cpu") is ops.deform_conv2d
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    assert basicvsr._operator.__wrapped__("cpu") is None


@torch.no_grad()
def test_nan_offsets_propagate_without_a_crash():
    offset = torch.full((1, 36, 5, 6), torch.nan)
    given = (
        torch.ones(1, 4, 5, 6),
        offset,
        torch.full((1, 18, 5, 6), torch.nan),
        torch.ones(2, 4, 3, 3),
        torch.zeros(2),
    )
    ops = pytest.importorskip("torchvision.ops")
    assert (
        basicvsr.deform_by_sampling(*given).isnan().all()
        and basicvsr.deform_by_operator(ops.deform_conv2d, *given).isnan().all()
    )


@torch.no_grad()
def test_second_order_alignment_follows_its_formula():
    align, generator = small("BasicVSR++").deform_align["forward_1"], torch.Generator().manual_seed(1)
    current, last, before = torch.randn(3, 8, 5, 6, generator=generator)
    flow, earlier = 2 * torch.randn(2, 2, 5, 6, generator=generator)

    def moved(image, flow):
        rows, columns = range(image.shape[1]), range(image.shape[2])
        return torch.stack(
            [
                torch.stack(
                    [
                        at(image, row + float(flow[1, row, column]), column + float(flow[0, row, column]))
                        for column in columns
                    ],
                    1,
                )
                for row in rows
            ],
            1,
        )

    for second in (True, False):
        further = flow + moved(earlier, flow) if second else torch.zeros_like(flow)
        behind = before if second else torch.zeros_like(before)
        seen = torch.cat([moved(last, flow), current, moved(behind, further), flow, further])
        raw = align.conv_offset(seen[None])[0]
        offset = 10 * torch.tanh(raw[:36])
        for group in range(2):
            along = (flow, further)[group]
            for point in range(9):
                offset[2 * (9 * group + point)] += along[1]
                offset[2 * (9 * group + point) + 1] += along[0]
        wanted = naive_deform(torch.cat([last, behind]), offset, raw[36:].sigmoid(), align.weight, align.bias)
        memory = Memory(last[None], before[None], earlier[None]) if second else Memory(last[None])
        torch.testing.assert_close(align(current[None], memory, flow[None])[0], wanted, atol=1e-4, rtol=0)


def upsampled(net, fused, picture):
    made = functional.pixel_shuffle(net.upsample1.upsample_conv(fused), 2)
    made = functional.pixel_shuffle(net.upsample2.upsample_conv(functional.leaky_relu(made, 0.1)), 2)
    made = net.conv_last(functional.leaky_relu(net.conv_hr(functional.leaky_relu(made, 0.1)), 0.1))
    return made + (
        functional.interpolate(picture, scale_factor=4, mode="bilinear") if net.scale == 4 else picture
    )


@torch.no_grad()
@pytest.mark.parametrize("kind", ["BasicVSR++", "BasicVSR++ of one size"])
def test_basicvsr_plusplus_propagates_twice_in_each_direction(kind):
    """Write out each branch over all frames, with the features of all branches before."""
    net, size = small(kind), (64, 68) if kind == "BasicVSR++" else (256, 260)
    pictures = footage(4, *size).movedim(-1, 1)
    tiny = pictures if net.scale == 4 else functional.interpolate(pictures, scale_factor=0.25, mode="bicubic")
    known = [[feature] for feature in net.feat_extract(pictures).split(1)]
    for branch in BRANCHES:
        order = [3, 2, 1, 0] if branch.startswith("backward") else [0, 1, 2, 3]
        made = {}
        for step, index in enumerate(order):
            aligned = torch.zeros_like(known[0][0])
            if step:
                flows = [
                    net.spynet(tiny[here : here + 1], tiny[there : there + 1])
                    for here, there in zip(order[1:], order)
                ]
                memory = Memory(
                    made[order[step - 1]], *((made[order[step - 2]], flows[step - 2]) if step > 1 else ())
                )
                aligned = net.deform_align[branch](known[index][0], memory, flows[step - 1])
            made[index] = aligned + net.backbone[branch](torch.cat([*known[index], aligned], 1))
        for index in order:
            known[index].append(made[index])
    wanted = [
        upsampled(net, net.reconstruction(torch.cat(known[index], 1)), pictures[index : index + 1])
        for index in range(4)
    ]
    torch.testing.assert_close(net(pictures), torch.cat(wanted), atol=1e-4, rtol=0)


@torch.no_grad()
def test_realbasicvsr_cleans_until_little_changes_and_propagates_once():
    net, dirty = small("RealBasicVSR"), footage(3, 64, 68).movedim(-1, 1)
    change = float(net.dirt(dirty).abs().mean()) * 255
    core, made = net.basicvsr, {}
    for threshold, passes in ((255.0, 1), (change * 1.01, 1), (0.0, 3)):
        pictures = dirty
        for _ in range(passes):
            pictures = pictures + net.image_cleaning(pictures)
        behind, last = [], torch.zeros(1, 8, 64, 68)
        for index in (2, 1, 0):
            flow = (
                core.spynet(pictures[index : index + 1], pictures[index + 1 : index + 2])
                if index < 2
                else torch.zeros(1, 2, 64, 68)
            )
            last = core.backward_resblocks(
                torch.cat([pictures[index : index + 1], spynet.warp(last, flow)], 1)
            )
            behind.insert(0, last)
        wanted, last = [], torch.zeros(1, 8, 64, 68)
        for index in (0, 1, 2):
            flow = (
                core.spynet(pictures[index : index + 1], pictures[index - 1 : index])
                if index
                else torch.zeros(1, 2, 64, 68)
            )
            last = core.forward_resblocks(
                torch.cat([pictures[index : index + 1], spynet.warp(last, flow)], 1)
            )
            fused = functional.leaky_relu(core.fusion(torch.cat([behind[index], last], 1)), 0.1)
            wanted.append(upsampled(core, fused, pictures[index : index + 1]))
        made[threshold] = torch.cat(wanted)
        torch.testing.assert_close(net(dirty, threshold), made[threshold], atol=1e-4, rtol=0)
    assert not torch.allclose(made[255.0], made[0.0], atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["BasicVSR++", "BasicVSR++ of one size", "BasicVSR"])
def test_upsampling_in_strips_changes_nothing(kind, monkeypatch):
    net, side = small(kind), 64
    features = [torch.randn(1, 8, side, side) for _ in range(5 if "++" in kind else 2)]
    picture = torch.rand(1, 3, side * 4 // net.scale, side * 4 // net.scale)
    whole = net.enlarge(features, picture)
    monkeypatch.setitem(basicvsr.STRIP, "cpu", 20 * side)
    torch.testing.assert_close(net.enlarge(features, picture), whole, atol=1e-5, rtol=0)
