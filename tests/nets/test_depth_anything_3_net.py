"""Depth Anything 3's network: the results of the published package, from every packing of its files."""

import hashlib

import pytest
import torch

from benchmarks.support import depth_nets as nets_2
from benchmarks.support.depth_3_nets import (
    PUBLISHED,
    SMALL,
    TINY,
    TINY_GATED,
    TINY_MONO,
    filled,
    for_comfyui,
    made_up,
    on_meta,
    picture,
    published,
)
from stereoreel.nets import depth_anything
from stereoreel.nets.depth_anything_3 import SKY, clean, detect, fits, load, with_sky
from tests.support import packaged_depth

FAMILIES = {"any-view": TINY, "gated": TINY_GATED, "mono": TINY_MONO}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(name):
    family, parameters, tensors, digest = PUBLISHED[name]
    state = clean(published(on_meta(family)))
    table = "\n".join(sorted(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items()))
    assert (sum(tensor.numel() for tensor in state.values()), len(state)) == (parameters, tensors)
    assert hashlib.sha256(table.encode()).hexdigest()[:16] == digest
    assert detect(state) == family and load(state).family == family


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_packing_gives_the_same(family):
    net = made_up(family)
    image = picture(1, 2 if family.views else 1, 3, 42, 56)
    expected = net(image)
    for packed in (
        net.state_dict(),
        published(net),
        for_comfyui(net),
        {f"model.diffusion_model.{key}": tensor for key, tensor in for_comfyui(net).items()},
    ):
        assert fits(packed)
        assert torch.equal(load(packed)(image).depth, expected.depth)


# Of the package depth-anything-3 0.1.1, with `filled` weights, on `picture(1, V, 3, 42, 70)`: depth of the
# first and the last view at four places, and its mean; then the same of confidence or sky.
REFERENCE = {
    ("any-view", 1): (
        (0.647677, 0.625401, 0.357047, 0.513287, 0.647677, 0.625401, 0.357047, 0.513287, 0.515491),
        (2.509426, 2.010779, 2.632454, 2.222917, 2.509426, 2.010779, 2.632454, 2.222917, 2.466400),
    ),
    ("any-view", 2): (
        (0.612748, 0.638139, 0.368496, 0.517532, 0.913769, 0.659503, 0.290911, 0.370810, 0.468573),
        (2.643917, 2.058905, 2.675953, 2.276464, 2.134445, 1.882672, 2.255780, 2.383634, 2.836070),
    ),
    ("any-view", 5): (
        (0.589998, 0.614096, 0.385913, 0.526329, 0.606846, 1.548692, 0.653742, 0.596440, 0.462234),
        (2.672597, 2.031513, 2.635912, 2.296115, 2.850956, 1.902713, 2.737994, 2.602098, 2.947133),
    ),
    ("gated", 3): (
        (0.370326, 0.616306, 0.289521, 0.521117, 0.615550, 0.311792, 0.227299, 0.630582, 0.428290),
        (3.388620, 2.152007, 3.304395, 2.512601, 2.482267, 3.803362, 3.473171, 2.753303, 3.145260),
    ),
    ("mono", 1): (
        (0.769237, 0.396546, 1.003095, 0.577240, 0.769237, 0.396546, 1.003095, 0.577240, 0.925027),
        (0.272587, 0.470780, 0.000000, 0.000000, 0.272587, 0.470780, 0.000000, 0.000000, 0.037122),
    ),
}


@pytest.mark.parametrize(("name", "views"), REFERENCE)
def test_equals_numbers_of_the_package(name, views):
    made = made_up(FAMILIES[name])(picture(1, views, 3, 42, 70))
    other = made.sky if FAMILIES[name].sky else made.confidence
    for found, wanted in zip((made.depth, other), REFERENCE[name, views], strict=True):
        torch.testing.assert_close(summary(found), torch.tensor(wanted), atol=1e-4, rtol=1e-4)


def summary(maps):
    """Return values of the first and the last view of ``[1, V, H, W]``, and the mean."""
    places = maps[0][[0, -1]][:, [0, 13, 27, 41], [5, 69, 31, 2]]
    return torch.cat([places.flatten(), maps.mean()[None]])


@pytest.mark.reference
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("views", "size"), [(1, (42, 70)), (2, (42, 70)), (5, (56, 42)), (1, (518, 518))])
def test_equals_the_package(name, views, size):
    family = FAMILIES[name]
    if views > 1 and not family.views:
        pytest.skip("reads one view")
    original = filled(packaged_depth.depth_anything_3(family))
    net, images = load(original.state_dict()), picture(2, views, 3, *size)
    made, (depth, other) = net(images), run_packaged(original, images)
    assert depth.std() > 0.02
    torch.testing.assert_close(made.depth, depth, atol=1e-4 * depth.max().item(), rtol=0)
    torch.testing.assert_close(made.sky if family.sky else made.confidence, other, atol=1e-4, rtol=1e-4)


@pytest.mark.reference
def test_sky_is_where_the_package_puts_it():
    depth, sky = 1 + torch.rand(1, 1, 98, 112), 0.6 * torch.rand(1, 1, 98, 112)
    published = packaged_depth.depth_anything_3(TINY_MONO)._process_mono_sky_estimation(
        pytest.importorskip("addict").Dict(depth=depth.clone(), sky=sky)
    )
    made, clear = with_sky(depth, sky), sky < SKY
    torch.testing.assert_close(made[~clear], published.depth[~clear])
    farthest = published.depth[~clear].max()
    torch.testing.assert_close(made[clear], published.depth[clear].clamp(max=farthest))


def run_packaged(original, images):
    """Return depth, and confidence or sky, as the package's heads give them."""
    mean, deviation = (
        torch.tensor(values).view(3, 1, 1) for values in (depth_anything.MEAN, depth_anything.DEVIATION)
    )
    features, _ = original.backbone((images - mean) / deviation, cam_token=None, export_feat_layers=[])
    output = original.head(features, *images.shape[-2:], patch_start_idx=0)
    return output.depth, output.sky if "sky" in output else output.depth_conf


def test_views_are_read_together_and_in_any_order_of_batches():
    net, images = made_up(TINY), picture(2, 4, 3, 28, 42)
    depth = net(images).depth
    torch.testing.assert_close(net(images[1:]).depth[0], depth[1], atol=1e-5, rtol=1e-5)
    assert (net(images[:, :1]).depth[:, 0] - depth[:, 0]).abs().max() > 1e-3


def test_sky_is_the_farthest():
    depth = torch.rand(2, 1, 60, 80) + 1
    sky = torch.zeros_like(depth)
    sky[0, :, :20] = 1
    made = with_sky(depth, sky)
    assert torch.equal(made[1], depth[1])
    assert made[0].max() == made[0, 0, 0, 0] and (made[0, 0, :20] == made[0, 0, 0, 0]).all()
    assert made[0, 0, 0, 0] == pytest.approx(depth[0, 0, 20:].quantile(0.99).item(), abs=1e-4)
    sky[0] = 1
    assert torch.equal(with_sky(depth, sky), depth)


def test_nested_and_incomplete_files_are_named():
    nested = {f"model.da3.{key}": tensor for key, tensor in on_meta(TINY).state_dict().items()}
    assert fits(nested)
    with pytest.raises(ValueError, match="Nested, two networks in one file"):
        load(nested)
    state = published(on_meta(TINY))
    with pytest.raises(ValueError, match="complete network"):
        load({key: tensor for key, tensor in state.items() if "head." not in key})
    with pytest.raises(ValueError, match=r"refinenet2\.out_conv\.bias"):
        load({key: tensor for key, tensor in state.items() if not key.endswith("refinenet2.out_conv.bias")})


@pytest.mark.parametrize("repack", [nets_2.published, nets_2.as_transformers])
def test_files_of_other_networks_are_named(repack):
    with pytest.raises(ValueError, match="Depth Anything 1 or 2"):
        load(repack(nets_2.random_net(nets_2.TINY)))
    with pytest.raises(
        ValueError, match="not a Depth Anything 3 checkpoint: of its 1 tensors the first are fc"
    ):
        load({"fc.0.weight": torch.zeros(1)})


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="divisible by 14, not 50x42"):
        on_meta(TINY)(torch.rand(1, 1, 3, 42, 50))
    with pytest.raises(ValueError, match="takes images"):
        on_meta(TINY_MONO)(torch.rand(1, 2, 3, 42, 42))


@pytest.mark.parametrize("family", [TINY, TINY_MONO], ids=["any-view", "mono"])
def test_bfloat16_stays_close(family):
    net = made_up(family)
    images = picture(1, 3 if family.views else 1, 3, 42, 56)
    expected = net(images).depth
    half = net.bfloat16()(images).depth
    assert half.dtype == torch.float32
    assert (half - expected).abs().mean() < 0.05 * expected.std()


def test_forward_never_synchronises_with_the_device():
    """Reading a value fails on ``meta``."""
    made = on_meta(SMALL)(torch.empty(1, 16, 3, 280, 504, device="meta"))
    assert made.depth.shape == (1, 16, 280, 504)
    depth = torch.empty(1, 1, 280, 504, device="meta")
    assert with_sky(depth, depth).shape == depth.shape
