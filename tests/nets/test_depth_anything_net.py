"""Depth Anything's network: published files are identified by their shapes and give the published results."""

import re
from dataclasses import replace

import pytest
import torch

from benchmarks.support.depth_nets import (
    PUBLISHED,
    SMALL,
    TINY,
    TINY_VIDEO,
    as_transformers,
    on_meta,
    published,
    random_net,
)
from stereoreel.nets import depth_anything
from stereoreel.nets.depth_anything import clean, detect, load


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_identified_by_their_shapes(name):
    family, parameters, tensors = PUBLISHED[name]
    state = published(on_meta(family))
    buffers = sum(tensor.numel() for key, tensor in state.items() if key.endswith("pos_encoder.pe"))
    assert (sum(tensor.numel() for tensor in state.values()) - buffers, len(state)) == (parameters, tensors)
    assert detect(state) == family and load(state).family == family


def test_names_are_the_published_ones():
    state = {
        key: tuple(tensor.shape) for key, tensor in published(on_meta(PUBLISHED["video small"][0])).items()
    }
    block = "head.motion_modules.3.temporal_transformer.transformer_blocks.0"
    for key, shape in {
        "pretrained.cls_token": (1, 1, 384),
        "pretrained.pos_embed": (1, 1370, 384),
        "pretrained.patch_embed.proj.weight": (384, 3, 14, 14),
        "pretrained.blocks.11.attn.qkv.weight": (1152, 384),
        "pretrained.blocks.0.ls1.gamma": (384,),
        "pretrained.norm.bias": (384,),
        "pretrained.blocks.0.mlp.fc1.weight": (1536, 384),
        "head.projects.0.weight": (48, 384, 1, 1),
        "head.resize_layers.0.weight": (48, 48, 4, 4),
        "head.resize_layers.3.weight": (384, 384, 3, 3),
        "head.scratch.layer1_rn.weight": (64, 48, 3, 3),
        "head.scratch.refinenet4.resConfUnit2.conv1.weight": (64, 64, 3, 3),
        "head.scratch.refinenet1.out_conv.weight": (64, 64, 1, 1),
        "head.scratch.output_conv2.2.weight": (1, 32, 1, 1),
        "head.motion_modules.0.temporal_transformer.norm.weight": (192,),
        "head.motion_modules.1.temporal_transformer.proj_in.weight": (384, 384),
        f"{block}.attention_blocks.1.to_q.weight": (64, 64),
        f"{block}.attention_blocks.1.to_out.0.bias": (64,),
        f"{block}.attention_blocks.0.pos_encoder.pe": (1, 32, 64),
        f"{block}.norms.1.weight": (64,),
        f"{block}.ff.net.0.proj.weight": (512, 64),
        f"{block}.ff.net.2.weight": (64, 256),
        f"{block}.ff_norm.weight": (64,),
    }.items():
        assert state[key] == shape, key


@pytest.mark.parametrize("family", [TINY, replace(TINY, gated=True)], ids=["mlp", "gated"])
def test_every_packing_gives_the_same(family):
    net, image = random_net(family), torch.rand(1, 3, 42, 56)
    state = published(net)
    expected = net(image)
    assert expected.std() > 0.05
    chunked = {
        key.replace("pretrained.blocks.", "pretrained.blocks.0.").replace("pretrained.", "backbone."): tensor
        for key, tensor in state.items()
    }
    newer = {
        re.sub(r"attention\.attention\.(.)\w+", r"attention.\1_proj", key).replace(
            "attention.output.dense", "attention.o_proj"
        ): tensor
        for key, tensor in as_transformers(net).items()
    }
    for packed in (
        state,
        {f"module.{key}": tensor for key, tensor in state.items()},
        chunked,
        as_transformers(net),
        newer,
    ):
        assert torch.equal(load(packed)(image), expected)
    del state["pretrained.mask_token"]
    assert torch.equal(load(state)(image), expected)


def test_weights_keep_their_tensors():
    state = {key: tensor.half() for key, tensor in published(random_net(TINY)).items()}
    net = load(state)
    assert net.pretrained.cls_token.dtype == torch.float16
    assert net.pretrained.cls_token.data_ptr() == state["pretrained.cls_token"].data_ptr()


def test_first_version_reads_the_last_blocks_and_metric_ones_output_metres():
    state = published(random_net(TINY))
    assert detect(published(on_meta(SMALL)), first=True).taps == (8, 9, 10, 11)
    metres = load(state, max_depth=20.0)(torch.rand(1, 3, 42, 56))
    assert 0 < metres.min() < metres.max() < 20 and metres.max() > 10
    with pytest.raises(ValueError, match="has no max_depth"):
        detect(published(on_meta(TINY_VIDEO)), max_depth=20.0)


@pytest.mark.parametrize(
    "keys, found",
    [
        (("scratch.refinenet1.out_conv.weight", "pretrained.model.blocks.0.attn.qkv.weight"), "MiDaS"),
        (("dpt.encoder.layer.0.attention.attention.query.weight", "neck.convs.0.weight"), "MiDaS"),
        (("core.core.pretrained.blocks.0.attn.qkv.weight", "seed_bin_regressor._net.0.weight"), "ZoeDepth"),
        (("depth_model.fov_model.head.weight",), "Depth Pro"),
        (("block0.conv0.0.0.weight", "encode.0.weight"), "interpolation"),
        (("conv_first.weight", "body.0.rdb1.conv1.weight"), "upscaler"),
        (("cls_token", "blocks.0.attn.qkv.weight"), "DINOv2"),
        (("fc.weight", "fc.bias"), "fc.weight"),
    ],
)
def test_another_network_is_named(keys, found):
    with pytest.raises(ValueError, match=found):
        load({key: torch.zeros(4, 4) for key in keys})


def test_missing_tensors_are_named():
    state = published(on_meta(TINY))
    for key in ("pretrained.norm.weight", "depth_head.scratch.refinenet2.out_conv.bias"):
        with pytest.raises(ValueError, match=re.escape(key)):
            load({name: tensor for name, tensor in state.items() if name != key})
    with pytest.raises(ValueError, match="stray"):
        load({**state, "stray": torch.zeros(1)})
    with pytest.raises(ValueError, match="complete network"):
        load({name: tensor for name, tensor in state.items() if not name.startswith("depth_head.")})


def test_video_network_without_temporal_layers_is_the_image_network():
    video = random_net(TINY_VIDEO)
    for module in video.head.motion_modules:
        module.temporal_transformer.proj_out.weight.zero_()
        module.temporal_transformer.proj_out.bias.zero_()
    image = load(
        {
            key.replace("head.", "depth_head.", 1): tensor
            for key, tensor in video.state_dict().items()
            if "motion_modules" not in key
        }
    )
    clip = torch.rand(1, 5, 3, 42, 70)
    torch.testing.assert_close(video(clip)[0], image(clip[0]), atol=1e-6, rtol=1e-6)


def test_frames_attend_to_their_own_clip_only():
    net, clips = random_net(TINY_VIDEO), torch.rand(2, 6, 3, 28, 42)
    depth = net(clips)
    changed = clips.clone()
    changed[0, 5] = 1 - changed[0, 5]
    again = net(changed)
    assert (again[0, 0] - depth[0, 0]).abs().max() > 1e-3
    torch.testing.assert_close(again[1], depth[1], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(net(clips[1:])[0], depth[1], atol=1e-5, rtol=1e-5)


def test_encoding_frame_by_frame_changes_nothing():
    # in float64, because float32 kernels round differently by batch size
    net, clip = random_net(TINY_VIDEO).double(), torch.rand(1, 6, 3, 28, 42).double()
    single = [net.encode(frame[None]) for frame in clip[0]]
    joined = tuple(torch.cat(level) for level in zip(*single))
    torch.testing.assert_close(net.decode(joined, 6), net(clip)[0], atol=1e-5, rtol=1e-5)


def test_position_embeddings_are_interpolated_as_published():
    """Read row ``i`` of ``n`` at ``(i + 0.5) * 37 / (n + 0.1) - 0.5`` by a cubic kernel of slope -0.75."""

    def kernel(t):
        t = t.abs()
        return torch.where(
            t <= 1, (1.25 * t - 2.25) * t * t + 1, torch.where(t < 2, ((-0.75 * t + 3.75) * t - 6) * t + 3, 0)
        )

    encoder = on_meta(replace(TINY, width=64)).to_empty(device="cpu").pretrained
    levels = torch.randn(37, generator=torch.Generator().manual_seed(0))
    encoder.pos_embed[0, 0] = 0
    encoder.pos_embed[0, 1:] = levels[:, None, None].expand(37, 37, 64).flatten(0, 1)
    for count in (20, 50, 74):
        read = (torch.arange(count) + 0.5) * 37 / (count + 0.1) - 0.5
        taps = read.floor()[:, None] + torch.arange(-1, 3)
        expected = (kernel(read[:, None] - taps) * levels[taps.long().clamp(0, 36)]).sum(1)
        torch.testing.assert_close(
            encoder.positions(count, 66)[0, 1:, 0].view(count, 66)[:, 30], expected, atol=1e-4, rtol=0
        )
    assert torch.equal(encoder.positions(37, 37), encoder.pos_embed)
    assert all(encoder.positions(count, 3).shape[1] == 1 + 3 * count for count in range(1, 120))


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="divisible by 14, not 50x42"):
        random_net(TINY)(torch.rand(1, 3, 42, 50))
    with pytest.raises(ValueError, match="T, 3, H, W"):
        on_meta(TINY_VIDEO)(torch.rand(1, 3, 42, 42))


@pytest.mark.parametrize("family", [TINY, TINY_VIDEO], ids=["image", "video"])
def test_bfloat16_stays_close(family):
    net = random_net(family)
    images = torch.rand(*([1, 4] if family.frames else [2]), 3, 42, 56)
    expected = net(images)
    half = net.bfloat16()(images)
    assert half.dtype == torch.float32
    assert (half - expected).abs().mean() < 0.03 * expected.std()


def test_forward_never_synchronises_with_the_device():
    """Reading a value fails on ``meta``; a full window of the large network at 518 pixels of 16:9."""
    net = on_meta(PUBLISHED["video large"][0])
    assert net(torch.empty(1, 32, 3, 518, 924, device="meta")).shape == (1, 32, 1, 518, 924)


@pytest.mark.parametrize("metric", [None, 80], ids=["relative", "metric"])
def test_equals_transformers(metric):
    """Equal to 1e-5 if both read the position embedding alike; transformers' is stretched without the 0.1."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    backbone = transformers.Dinov2Config(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=518,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=128,
        neck_hidden_sizes=[16, 32, 64, 64],
        fusion_hidden_size=32,
        head_hidden_size=32,
        **({"depth_estimation_type": "metric", "max_depth": metric} if metric else {}),
    )
    torch.manual_seed(0)
    reference = transformers.DepthAnythingForDepthEstimation(config).eval().requires_grad_(False)
    mean, deviation = (
        torch.tensor(values).view(3, 1, 1) for values in (depth_anything.MEAN, depth_anything.DEVIATION)
    )

    def difference(net, *size):
        images = torch.rand(1, 3, *size)
        theirs = reference((images - mean) / deviation).predicted_depth
        return (net(images)[:, 0] - theirs).abs().max().item() / (metric or 1), theirs.std().item()

    assert difference(load(reference.state_dict(), metric), 252, 448)[0] < 1e-3
    # as they were made almost nothing of a picture reaches the output
    for name, tensor in reference.named_parameters():
        if tensor.dim() > 1 and "embeddings" not in name:
            tensor.normal_(0, tensor[0].numel() ** -0.5)
    net = load(reference.state_dict(), metric)
    error, relief = difference(net, 518, 518)
    assert error < 1e-5 and relief > 0.02
    reference.backbone.embeddings.interpolate_pos_encoding = lambda tokens, height, width: (
        net.pretrained.positions(height // 14, width // 14)
    )
    for size in ((252, 448), (70, 98)):
        assert difference(net, *size)[0] < 1e-5


def test_clean_does_not_change_its_input():
    state = published(on_meta(TINY))
    before = dict(state)
    clean(state)
    assert state.keys() == before.keys() and all(state[key] is before[key] for key in before)
