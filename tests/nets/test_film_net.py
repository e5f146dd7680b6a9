"""FILM's network: published files load strictly, and one motion serves all times."""

import math

import pytest
import torch
import torch.nn.functional as F

from stereoreel.nets import film_interpolation, rife
from stereoreel.nets.film_interpolation import FILM

NARROW = dict(filters=4, flow_filters=(4, 8, 8, 16))


def on_meta(**widths):
    with torch.device("meta"):
        return FILM(**widths).eval().requires_grad_(False)


def random_net(seed=0, **widths):
    torch.manual_seed(seed)
    net = FILM(**(widths or NARROW)).eval().requires_grad_(False)
    for key, tensor in net.state_dict().items():
        if key.endswith("bias"):
            tensor.normal_(0, 0.05)
        else:
            # of the last layer of the flow, so that it is some pixels
            gain = 0.3 if "_convs.4" in key else 1.3
            tensor.normal_(0, gain / math.sqrt(tensor[0].numel()))
    return net


def pictures(count, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def test_names_shapes_and_size_of_the_published_file():
    state = on_meta().state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items() if key.endswith("weight")}
    assert (len(state), sum(tensor.numel() for tensor in state.values())) == (82, 34_436_667)
    assert shapes["extract.extract_sublevels.convs.0.0.conv.weight"] == (64, 3, 3, 3)
    assert shapes["extract.extract_sublevels.convs.3.1.conv.weight"] == (512, 512, 3, 3)
    assert shapes["predict_flow._predictor._convs.0.conv.weight"] == (256, 1920, 3, 3)
    assert [shapes[f"predict_flow._predictors.{index}._convs.0.conv.weight"] for index in range(3)] == [
        (128, 896, 3, 3),
        (64, 384, 3, 3),
        (32, 128, 3, 3),
    ]
    assert shapes["predict_flow._predictor._convs.4.conv.weight"] == (2, 128, 1, 1)
    assert [shapes[f"fuse.convs.{index}.0.conv.weight"] for index in range(4)] == [
        (512, 1930, 2, 2),
        (256, 512, 2, 2),
        (128, 256, 2, 2),
        (64, 128, 2, 2),
    ]
    assert shapes["fuse.output_conv.weight"] == (3, 64, 1, 1)


@pytest.mark.parametrize(
    "packed",
    [
        lambda key: key,
        lambda key: "module." + key,
        lambda key: key.replace(".conv.", ".0."),
    ],
    ids=["conv", "ddp", "sequence"],
)
def test_file_is_identified_by_its_shapes(packed):
    state = {packed(key): tensor for key, tensor in on_meta(**NARROW).state_dict().items()}
    assert film_interpolation.detect(state) == (4, (4, 8, 8, 16))
    assert film_interpolation.load(state).state_dict().keys() == on_meta(**NARROW).state_dict().keys()


def test_saved_network_loads_unchanged(tmp_path):
    net = random_net().half()
    torch.save(net.state_dict(), tmp_path / "film.pt")
    again = film_interpolation.load(torch.load(tmp_path / "film.pt", weights_only=True)).state_dict()
    assert all(
        torch.equal(again[key], tensor) and tensor.dtype == torch.float16
        for key, tensor in net.state_dict().items()
    )


def test_other_files_are_refused_by_name():
    with torch.device("meta"):
        other = rife.RIFE(rife.FAMILIES[0]).state_dict()
    with pytest.raises(ValueError, match="a RIFE checkpoint, not a FILM one"):
        film_interpolation.load({"module." + key: tensor for key, tensor in other.items()})
    with pytest.raises(ValueError, match=r"convs\.0\.0\.conv\.weight is missing among its 1 tensors"):
        film_interpolation.load({"model.0.weight": torch.empty(1, device="meta")})
    state = on_meta(**NARROW).state_dict()
    with pytest.raises(ValueError, match=r"82 tensors and this checkpoint 81.*fuse\.output_conv\.bias"):
        film_interpolation.load(
            {key: tensor for key, tensor in state.items() if key != "fuse.output_conv.bias"}
        )


def test_sizes_that_do_not_divide_are_padded_by_the_caller():
    net = on_meta(**NARROW)
    assert film_interpolation.padding(1080, 1920) == (0, 0, 0, 8)
    with pytest.raises(ValueError, match="divisible by 64, not 1920x1080"):
        net.pair(*torch.empty(2, 1, 3, 1080, 1920, device="meta"))
    made = net(*torch.empty(2, 1, 3, 1088, 1920, device="meta"), torch.empty(1, device="meta"))
    assert [tuple(tensor.shape) for tensor in made] == [
        (1, channels, 1088, 1920) for channels in (3, 4, 1, 3, 3)
    ]


@torch.inference_mode()
def test_one_pair_gives_many_times():
    net, (first, second) = random_net(), pictures(2, 64, 128).split(1)
    times = torch.tensor([0.25, 0.5, 0.9])
    together = net.at(net.pair(first, second, net.encode(first), net.encode(second)), times)
    assert together.flow.abs().max() > 1
    for index, t in enumerate(times):
        alone = net(first, second, t.view(1))
        for many, one in zip(together, alone):
            torch.testing.assert_close(many[index : index + 1], one, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_batch_equals_single_pairs():
    net, first, second, times = (
        random_net(),
        pictures(2, 64, 64, 1),
        pictures(2, 64, 64, 2),
        torch.tensor([0.3, 0.6]),
    )
    together = net(first, second, times)
    for index in range(2):
        one = slice(index, index + 1)
        torch.testing.assert_close(
            together.image[one], net(first[one], second[one], times[one]).image, atol=1e-4, rtol=0
        )


@torch.inference_mode()
def test_motion_in_both_directions_depends_only_on_order():
    net, (first, second) = random_net(), pictures(2, 64, 64).split(1)
    there, back = net.pair(first, second), net.pair(second, first)
    for one, other in zip(there.forward + there.backward, back.backward + back.forward):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    made = net.at(there, torch.tensor([0.25]))
    torch.testing.assert_close(made.flow, torch.cat([there.backward[0] * 0.25, there.forward[0] * 0.75], 1))
    torch.testing.assert_close(made.first, film_interpolation.warp(first, made.flow[:, :2]))
    assert (made.mask == 0.75).all()


@torch.inference_mode()
def test_shift_is_exact_at_every_level():
    """Blind predictors that add a little at each level, doubled from level to level, move by 4 pixels."""
    net = FILM(**NARROW).eval()
    for tensor in net.predict_flow.state_dict().values():
        tensor.zero_()
    residual = 4 / (2**7 - 1)
    for predictor in (net.predict_flow._predictor, *net.predict_flow._predictors):
        predictor._convs[-1].conv.bias[0] = residual
    wide = pictures(1, 64, 192, 5)
    pair = net.pair(wide[..., :128], wide[..., 4:132])
    assert [round(float(flow[0, 0, 0, 0]) / residual) for flow in pair.forward] == [127, 63, 31, 15, 7]
    made = net.at(pair, torch.tensor([1.0]))
    torch.testing.assert_close(made.first[..., :120], wide[..., 4:124], atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_flow_and_sampling_stay_in_single_precision(dtype):
    net, (first, second) = random_net(), pictures(2, 64, 128).split(1)
    single, half = net(first, second, torch.tensor([0.5])), net.to(dtype)(first, second, torch.tensor([0.5]))
    assert half.flow.dtype == half.image.dtype == torch.float32
    error = (half.image - single.image).square().mean() / single.image.square().mean()
    assert -10 * math.log10(float(error)) > (50 if dtype == torch.float16 else 32)
    wide, flow = pictures(1, 16, 1984, 3).to(dtype), torch.zeros(1, 2, 16, 1920)
    flow[:, 0] = 40.25
    expected = wide[..., 40:1900].float() * 0.75 + wide[..., 41:1901].float() * 0.25
    torch.testing.assert_close(
        film_interpolation.warp(wide[..., :1920], flow)[..., :1860], expected, atol=1e-3, rtol=0
    )
