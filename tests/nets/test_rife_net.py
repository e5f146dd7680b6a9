"""RIFE's network: published files are identified by their shapes, and results are independent of batching."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from stereoreel.nets import rife
from stereoreel.nets.rife import FAMILIES, RIFE

BY_NAME = {name: family for family in FAMILIES for name in family.names.split(", ")}
PARAMETERS = {  # millions, and tensors in the file
    "4.5": (5.276, 120),
    "4.6": (5.306, 120),
    "4.7": (5.325, 124),
    "4.10": (5.364, 128),
    "4.12.lite": (2.632, 128),
    "4.17": (5.364, 128),
    "4.14.lite": (2.968, 128),
    "4.17.lite": (2.616, 128),
    "4.20": (15.377, 128),
    "4.22": (9.322, 128),
    "4.22.lite": (4.866, 128),
    "4.25": (5.665, 158),
    "4.25.lite": (5.623, 158),
    "4.25.heavy": (21.664, 158),
    "4.26.heavy": (5.723, 158),
}
# every kind of block, mask and scale list; two of the heads
LIGHT = ("4.6", "4.12.lite", "4.15.lite", "4.22.lite", "4.25.lite")


def on_meta(family):
    with torch.device("meta"):
        return RIFE(family).eval().requires_grad_(False)


def empty(family):
    return on_meta(family).to_empty(device="cpu")


def random_net(name, seed=0):
    """Return random weights at a scale that gives flows of several pixels."""
    torch.manual_seed(seed)
    net = empty(BY_NAME[name])
    for key, tensor in net.state_dict().items():
        last = "lastconv" in key
        fan = tensor[0].numel() if not last else tensor.shape[0] * 4
        if key.endswith("beta"):
            tensor.uniform_(0.1, 0.5)
        elif key.endswith("bias"):
            tensor.normal_(0, 0.05)
        else:
            tensor.normal_(0, (0.6 if last else 1.2) / math.sqrt(fan))
    return net


def pictures(count, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def decibels(one, other):
    return -10 * math.log10(float((one.double() - other.double()).square().mean()) + 1e-20)


def test_every_version_has_a_family():
    assert set(BY_NAME) == {
        "4.5",
        "4.6",
        "4.7",
        "4.8",
        "4.9",
        "4.10",
        "4.11",
        "4.12",
        "4.12.lite",
        "4.13",
        "4.13.lite",
        "4.14",
        "4.14.lite",
        "4.15",
        "4.15.lite",
        "4.16.lite",
        "4.17",
        "4.17.lite",
        "4.18",
        "4.19",
        "4.20",
        "4.21",
        "4.22",
        "4.22.lite",
        "4.23",
        "4.24",
        "4.25",
        "4.25.lite",
        "4.25.heavy",
        "4.26",
        "4.26.heavy",
    }
    assert {family.names.split(", ")[0] for family in FAMILIES} == {
        BY_NAME[name].names.split(", ")[0] for name in PARAMETERS
    }


@pytest.mark.parametrize("name", PARAMETERS)
def test_size_and_number_of_tensors(name):
    state = on_meta(BY_NAME[name]).state_dict()
    millions, tensors = PARAMETERS[name]
    assert (round(sum(tensor.numel() for tensor in state.values()) / 1e6, 3), len(state)) == (
        millions,
        tensors,
    )


def test_names_and_shapes_of_a_published_file():
    shapes = {key: tuple(tensor.shape) for key, tensor in on_meta(BY_NAME["4.25"]).state_dict().items()}
    assert shapes["block0.conv0.0.0.weight"] == (96, 15, 3, 3)
    assert shapes["block4.conv0.0.0.weight"] == (16, 28, 3, 3)
    assert shapes["block3.convblock.7.beta"] == (1, 64, 1, 1)
    assert shapes["block4.lastconv.0.weight"] == (32, 52, 4, 4)
    assert shapes["encode.cnn3.weight"] == (16, 4, 4, 4)
    heads = {
        name: [
            key for key in on_meta(BY_NAME[name]).state_dict() if key.startswith("encode") and "weight" in key
        ]
        for name in ("4.6", "4.9", "4.10")
    }
    assert heads == {
        "4.6": [],
        "4.9": ["encode.0.weight", "encode.1.weight"],
        "4.10": [f"encode.{layer}.weight" for layer in (0, 2, 4, 6)],
    }


PACKED = {
    "bare": lambda key: key,
    "ddp": lambda key: "module." + key,
    "wrapped": lambda key: "flownet." + key,
    "both": lambda key: "module.flownet." + key,
    "blocks": lambda key: key.replace("block", "blocks.", 1) if key.startswith("block") else key,
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.names)
@pytest.mark.parametrize("packed", PACKED)
def test_file_is_identified_by_its_shapes(family, packed):
    state = {PACKED[packed](key): tensor for key, tensor in on_meta(family).state_dict().items()}
    extra = {
        "module.teacher.block0.weight": torch.empty(1, device="meta"),
        "caltime.0.weight": torch.empty(1, device="meta"),
    }
    assert rife.detect({**state, **extra}) == family
    assert rife.load({**state, **extra}).state_dict().keys() == on_meta(family).state_dict().keys()


def test_saved_network_loads_unchanged(tmp_path):
    net = random_net("4.22.lite").half()
    torch.save(
        {"module." + key: tensor for key, tensor in net.state_dict().items()}, tmp_path / "flownet.pkl"
    )
    again = rife.load(torch.load(tmp_path / "flownet.pkl", weights_only=True))
    assert again.family == net.family
    assert all(
        torch.equal(again.state_dict()[key], tensor) and tensor.dtype == torch.float16
        for key, tensor in net.state_dict().items()
    )


def test_lite_version_has_two_scale_lists():
    state = on_meta(BY_NAME["4.25.lite"]).state_dict()
    assert (rife.detect(state).scales, rife.detect(state).multiple) == ((32, 16, 8, 4, 1), 128)
    other = rife.load(state, scales=rife.COARSE).family
    assert (other.scales, other.multiple) == ((16, 8, 4, 2, 1), 64)
    with pytest.raises(ValueError, match="5 decreasing scales"):
        rife.detect(state, (8, 4, 2, 1))


def named(*keys, shape=(1, 1, 1, 1)):
    return {key: torch.empty(shape, device="meta") for key in keys}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (named("extract.extract_sublevels.convs.0.0.conv.weight"), "FILM checkpoint"),
        (
            named("module.block0.conv0.0.0.weight", "contextnet.conv1.conv1.0.weight"),
            "refinement network .version 4.4 or older",
        ),
        (
            named("block0.conv0.0.0.weight", "block0.conv0.1.0.weight", "block0.convblock.0.0.weight"),
            "plain convolution blocks",
        ),
        (named("block0.conv0.weight"), "of no version from 4.5 to 4.26"),
        (
            named("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"),
            "of its 2 tensors the first are model.0.weight",
        ),
        ({}, "first are missing"),
    ],
)
def test_other_files_are_refused_by_name(state, says):
    with pytest.raises(ValueError, match=says):
        rife.load(state)


def test_unknown_widths_and_missing_tensors_are_named():
    state = on_meta(BY_NAME["4.6"]).state_dict()
    wider = {**state, "block2.conv0.1.0.weight": torch.empty(100, 48, 3, 3, device="meta")}
    with pytest.raises(ValueError, match="4 blocks of 192, 128, 100, 64 channels"):
        rife.load(wider)
    with pytest.raises(ValueError, match=r"120 tensors and this checkpoint 119.*block3\.convblock\.7\.beta"):
        rife.load({key: tensor for key, tensor in state.items() if key != "block3.convblock.7.beta"})


@pytest.mark.parametrize(
    ("name", "scale", "padded"),
    [
        ("4.6", 1.0, (1088, 1920)),
        ("4.6", 0.25, (1152, 1920)),
        ("4.6", 2.0, (1088, 1920)),
        ("4.26", 1.0, (1088, 1920)),
        ("4.26", 0.5, (1152, 1920)),
        ("4.26", 0.25, (1280, 2048)),
        ("4.25.lite", 1.0, (1152, 1920)),
        ("4.25.lite", 0.25, (1536, 2048)),
    ],
)
def test_padding_and_output_of_1080p(name, scale, padded):
    """On ``meta`` there are no values, so nothing may depend on them, as in a CUDA graph."""
    net = on_meta(BY_NAME[name])
    left, right, top, bottom = rife.padding(1080, 1920, net.family, scale)
    assert (left, top) == (0, 0) and (1080 + bottom, 1920 + right) == padded
    image = torch.empty(2, 3, *padded, device="meta")
    made = net(image, image, torch.empty(2, device="meta"), scale=scale)
    assert [tuple(tensor.shape[1:]) for tensor in made] == [
        (channels, *padded) for channels in (3, 4, 1, 3, 3)
    ]
    assert rife.crop(made, 1080, 1920).flow.shape == (2, 4, 1080, 1920)


def test_impossible_requests_are_refused():
    net, image = on_meta(BY_NAME["4.26"]), torch.empty(1, 3, 96, 128, device="meta")
    with pytest.raises(ValueError, match="divisible by 64, not 128x96"):
        net(image, image, torch.empty(1))
    with pytest.raises(ValueError, match=r"one of 0\.25, 0\.5, 1\.0"):
        net(image, image, torch.empty(1), scale=0.3)
    with pytest.raises(ValueError, match="no ensemble"):
        net(image[..., :64, :], image[..., :64, :], torch.empty(1), ensemble=True)


@pytest.mark.parametrize("name", LIGHT)
@torch.inference_mode()
def test_batch_equals_single_pairs_and_times(name):
    net = random_net(name)
    first, second, times = pictures(3, 128, 128, 1), pictures(3, 128, 128, 2), torch.tensor([0.2, 0.5, 0.8])
    together = net(first, second, times, net.encode(first), net.encode(second))
    for index in range(3):
        one = slice(index, index + 1)
        alone = net(first[one], second[one], times[one])
        assert alone.flow.abs().max() > 2, "a flow too small to show anything"
        torch.testing.assert_close(together.image[one], alone.image, atol=1e-4, rtol=0)
        torch.testing.assert_close(together.flow[one], alone.flow, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("name", "scale"), [("4.6", 1.0), ("4.22.lite", 0.5), ("4.25.lite", 1.0), ("4.22.lite", 2.0)]
)
@torch.inference_mode()
def test_direct_rescaling_equals_the_published_order(name, scale):
    """As published: every block's result at full size, warped there, then reduced for the next block."""
    net, family = random_net(name), BY_NAME[name]
    first, second = pictures(1, 256, 256, 1), pictures(1, 256, 256, 2)
    e0, e1, t = net.encode(first), net.encode(second), torch.full((1, 1, 256, 256), 0.37)
    flow = mask = features = None
    for index, coarse in enumerate(family.scales):
        at, seen = coarse / scale, [first, second, e0, e1, t]
        if index:
            halves = flow.chunk(2, 1) * 2
            seen = [
                *(rife.warp(image, half) for image, half in zip(seen, halves)),
                t,
                mask,
                *([features] if family.features else []),
            ]
        x = [F.interpolate(torch.cat(seen, 1), scale_factor=1 / at, mode="bilinear")]
        if index:
            x.append(F.interpolate(flow, scale_factor=1 / at, mode="bilinear") / at)
        out = F.interpolate(
            getattr(net, f"block{index}")(torch.cat(x, 1), family.outputs), scale_factor=at, mode="bilinear"
        )
        flow = out[:, :4] * at if flow is None else flow + out[:, :4] * at
        mask, features = (
            out[:, 4:5] if mask is None or not family.adds_masks else mask + out[:, 4:5],
            out[:, 5:],
        )
    made = net(first, second, torch.tensor([0.37]), e0, e1, scale)
    assert flow.abs().max() > 2
    torch.testing.assert_close(made.flow, flow, atol=1e-3, rtol=0)
    torch.testing.assert_close(made.mask, mask.sigmoid(), atol=1e-4, rtol=0)
    expected = rife.warp(first, flow[:, :2]) * mask.sigmoid() + rife.warp(second, flow[:, 2:]) * (
        1 - mask.sigmoid()
    )
    torch.testing.assert_close(made.image, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["4.6", "4.15.lite"])
@torch.inference_mode()
def test_ensemble_is_symmetric(name):
    net, (first, second) = random_net(name), pictures(2, 64, 64).split(1)
    there = net(first, second, torch.tensor([0.3]), ensemble=True)
    back = net(second, first, torch.tensor([0.7]), ensemble=True)
    torch.testing.assert_close(there.image, back.image, atol=1e-4, rtol=0)
    torch.testing.assert_close(there.flow, back.flow.roll(2, 1), atol=1e-3, rtol=0)
    assert (there.image - net(first, second, torch.tensor([0.3])).image).abs().max() > 1e-3


def moving(family, x, dtype=torch.float32):
    """Return a network that moves everything by ``x`` pixels in both directions.

    All convolutions are zero, except for the bias of the first block.
    """
    net = empty(family)
    for tensor in net.state_dict().values():
        tensor.zero_()
    coarsest = net.family.scales[0]
    net.block0.lastconv[0].bias[0:4], net.block0.lastconv[0].bias[8:12] = x / coarsest, -x / coarsest
    return net.to(dtype)


@pytest.mark.parametrize("name", ["4.6", "4.25"])
@torch.inference_mode()
def test_zero_network_gives_the_mean(name):
    first, second = pictures(2, 64, 128).split(1)
    made = moving(BY_NAME[name], 0)(first, second, torch.tensor([0.2]))
    torch.testing.assert_close(made.image, (first + second) / 2, atol=1e-4, rtol=0)
    assert made.flow.abs().max() == 0 and (made.mask == 0.5).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_half_precision_does_not_move_pixels(dtype):
    """40.25 pixels at a width of 1920: a half-precision grid would be off by up to 3 pixels."""
    wide = pictures(1, 32, 2048, 3)
    first, second = wide[..., :1920].to(dtype), wide[..., 80:2000].to(dtype)
    made = moving(replace(BY_NAME["4.15.lite"], channels=(8, 8, 8, 8)), 40.25, dtype)(
        first, second, torch.tensor([0.5])
    )
    assert (made.flow[:, 0] == 40.25).all() and made.image.dtype == torch.float32
    middle = slice(50, 1920 - 50)
    shifted = [
        (
            image[..., 50 + step : 1920 - 50 + step] * 0.75
            + image[..., 50 + step + more : 1920 - 50 + step + more] * 0.25
        )
        for image, step, more in ((first.float(), 40, 1), (second.float(), -40, -1))
    ]
    assert decibels(made.image[..., middle], (shifted[0] + shifted[1]) / 2) > 60
    assert decibels(rife.warp(first, made.flow[:, :2])[..., middle], shifted[0].to(dtype)) > 60


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_convolutions_in_half_precision_are_close_to_single(dtype):
    net, (first, second) = random_net("4.22.lite"), pictures(2, 64, 96).split(1)
    single = net(first, second, torch.tensor([0.37]))
    half = net.to(dtype)(first, second, torch.tensor([0.37]))
    assert decibels(half.image, single.image) > (60 if dtype == torch.float16 else 45)


@torch.inference_mode()
def test_depth_and_other_sizes_follow_the_same_motion():
    net, (first, second) = random_net("4.15.lite"), pictures(2, 64, 96).split(1)
    made = net(first, second, torch.tensor([0.5]))
    torch.testing.assert_close(rife.blend(made, first, second), made.image, atol=1e-5, rtol=0)
    made = moving(BY_NAME["4.6"], 8)(first, second, torch.tensor([0.5]))
    depth = torch.linspace(0, 1, 24).expand(1, 1, 16, 24)  # a quarter of the size: 8 pixels are 2
    expected = (depth.roll(-2, -1) + depth.roll(2, -1)) / 2
    torch.testing.assert_close(
        rife.blend(made, depth, depth)[..., 2:-2], expected[..., 2:-2], atol=1e-4, rtol=0
    )
