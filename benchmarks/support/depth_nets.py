"""Depth Anything's networks with random weights and the published names."""

import re
from dataclasses import replace

import torch

from stereoreel.nets.depth_anything import DepthAnything, Family

QUARTERS = (2, 5, 8, 11)
SMALL = Family(384, 12, 1536, False, 37, 64, (48, 96, 192, 384), 32, 0, QUARTERS)
BASE = Family(768, 12, 3072, False, 37, 128, (96, 192, 384, 768), 32, 0, QUARTERS)
LARGE = Family(1024, 24, 4096, False, 37, 256, (256, 512, 1024, 1024), 32, 0, (4, 11, 17, 23))
GIANT = Family(1536, 40, 4096, True, 37, 384, (1536,) * 4, 32, 0, (9, 19, 29, 39))
PUBLISHED = {  # parameters and tensors of the published code's networks
    "small": (SMALL, 24785089, 239),
    "base": (BASE, 97470785, 239),
    "large": (LARGE, 335315649, 407),
    "giant": (GIANT, 1258132225, 631),
    "video small": (replace(SMALL, frames=32), 29035137, 351),
    "video base": (replace(BASE, frames=32), 114441409, 351),
    "video large": (replace(LARGE, frames=32), 384390337, 519),
}
TINY = Family(128, 4, 256, False, 37, 32, (16, 32, 64, 64), 32, 0, (0, 1, 2, 3))
TINY_VIDEO = replace(TINY, frames=32)


def on_meta(family):
    with torch.device("meta"):
        return DepthAnything(family).eval().requires_grad_(False)


def random_net(family, seed=0):
    """Return weights for which all layers matter and depth is mostly above zero."""
    torch.manual_seed(seed)
    net = on_meta(family).to_empty(device="cpu")
    for key, tensor in net.state_dict().items():
        if key.endswith("pos_embed") or tensor.dim() < 2:
            tensor.normal_(0, 0.1)
        else:
            tensor.normal_(0, tensor[0].numel() ** -0.5)
        if key.endswith("gamma") or re.search(r"norm.*weight$", key):
            tensor.uniform_(0.4, 1.2)
        if key.endswith("output_conv2.2.bias"):
            tensor.fill_(2.0)
    return net


def published(net):
    """Return the state dict as published, including tensors that are never read."""
    state = net.state_dict()
    head = "head" if net.family.frames else "depth_head"
    block = f"{head}.scratch.refinenet4"
    unused = {
        f"{block}.resConfUnit1.{name}": state[f"{block}.resConfUnit2.{name}"]
        for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")
    }
    return {**state, **unused, "pretrained.mask_token": state["pretrained.cls_token"][0]}


def as_transformers(net):
    """Return the state dict with the names of a Hugging Face model directory (transformers 4.x)."""
    names = {
        r"pretrained\.(cls_token|mask_token)": r"backbone.embeddings.\1",
        r"pretrained\.pos_embed": "backbone.embeddings.position_embeddings",
        r"pretrained\.patch_embed\.proj": "backbone.embeddings.patch_embeddings.projection",
        r"pretrained\.norm": "backbone.layernorm",
        r"pretrained\.blocks": "backbone.encoder.layer",
        r"attn\.proj": "attention.output.dense",
        r"ls(\d)\.gamma": r"layer_scale\1.lambda1",
        r"mlp\.w12": "mlp.weights_in",
        r"mlp\.w3": "mlp.weights_out",
        r"depth_head\.projects\.(\d)": r"neck.reassemble_stage.layers.\1.projection",
        r"depth_head\.resize_layers\.(\d)": r"neck.reassemble_stage.layers.\1.resize",
        r"depth_head\.scratch\.layer(\d)_rn": lambda found: f"neck.convs.{int(found[1]) - 1}",
        r"depth_head\.scratch\.refinenet(\d)": lambda found: f"neck.fusion_stage.layers.{4 - int(found[1])}",
        r"\.out_conv": ".projection",
        r"resConfUnit(\d)\.conv(\d)": r"residual_layer\1.convolution\2",
        r"depth_head\.scratch\.output_conv1": "head.conv1",
        r"depth_head\.scratch\.output_conv2\.0": "head.conv2",
        r"depth_head\.scratch\.output_conv2\.2": "head.conv3",
    }
    renamed = {}
    for key, tensor in published(net).items():
        for pattern, name in names.items():
            key = re.sub(pattern, name, key)
        if ".attn.qkv." in key:
            renamed |= {
                key.replace("attn.qkv", f"attention.attention.{part}"): tensor.chunk(3)[index]
                for index, part in enumerate(("query", "key", "value"))
            }
        else:
            renamed[key] = tensor
    return renamed
