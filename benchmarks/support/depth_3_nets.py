"""Depth Anything 3's networks with made-up weights, in every packing in which people have them."""

import math
import re
import zlib
from dataclasses import replace

import torch

from stereoreel.nets.depth_anything_3 import DepthAnything3, Family

VIEWS_12, VIEWS_24 = (5, 7, 9, 11), (11, 15, 19, 23)
LARGE_OUTPUTS = (256, 512, 1024, 1024)
SMALL = Family(384, 12, 1536, False, 37, 4, 64, (48, 96, 192, 384), 32, False, VIEWS_12)
BASE = Family(768, 12, 3072, False, 37, 4, 128, (96, 192, 384, 768), 32, False, VIEWS_12)
LARGE = Family(1024, 24, 4096, False, 37, 8, 256, LARGE_OUTPUTS, 32, False, VIEWS_24)
GIANT = Family(1536, 40, 4096, True, 37, 13, 256, LARGE_OUTPUTS, 32, False, (19, 27, 33, 39))
MONO = Family(1024, 24, 4096, False, 37, 24, 256, LARGE_OUTPUTS, 32, True, (4, 11, 17, 23))
# Parameters, tensors, and the start of the SHA-256 of the lines "name shape", of what the depth of the
# package depth-anything-3 0.1.1 reads.
PUBLISHED = {
    "small": (SMALL, 24991714, 269, "32a2cdcfdad75185"),
    "base": (BASE, 98287458, 269, "28a490f6d08863fd"),
    "large": (LARGE, 337028322, 469, "e55e1ef31af48bdc"),
    "giant": (GIANT, 1172029410, 737, "86dc5df6f8cde0a7"),
    "mono and metric": (MONO, 334171394, 406, "23fd55b517fd4652"),
}
TINY = Family(128, 8, 512, False, 37, 4, 32, (16, 32, 64, 64), 32, False, (4, 5, 6, 7))
TINY_GATED = replace(TINY, depth=6, inner=344, gated=True, crossing=3, taps=(2, 3, 4, 5))
TINY_MONO = replace(TINY, depth=4, crossing=4, sky=True, taps=(0, 1, 2, 3))


def on_meta(family):
    with torch.device("meta"):
        return DepthAnything3(family).eval().requires_grad_(False)


def made_up(family):
    return filled(on_meta(family).to_empty(device="cpu"))


def filled(net):
    """Fill a network with values of waves, the same on every machine; all layers matter."""
    for key, tensor in net.state_dict().items():
        index = zlib.crc32(key.encode()) % 1000
        place = torch.arange(tensor.numel(), dtype=torch.float64)
        wave = torch.sin(place * (1 + 0.37 * math.sqrt(index + 2)) + 0.1 * place.square().fmod(97) + index)
        if key.endswith("gamma") or re.search(r"norm.*weight$", key):
            wave = 0.8 + 0.3 * wave
        elif tensor.dim() < 2 or key.endswith("pos_embed"):
            wave = 0.1 * wave
        else:
            wave = wave * (2 / tensor[0].numel()) ** 0.5
        tensor.copy_(wave.view(tensor.shape))
    return net


def picture(*shape):
    """Return an image of waves in 0..1, the same on every machine."""
    place = torch.arange(math.prod(shape), dtype=torch.float64)
    return (0.5 + 0.5 * torch.sin(place * 0.7 + 0.2 * place.square().fmod(53))).float().view(shape)


def published(net):
    """Return the state dict of the original's ``model.safetensors``, with tensors that are not read."""
    unused = {
        "cam_dec.fc_t.weight": torch.zeros(3, 4),
        "cam_enc.trunk.0.attn.qkv.weight": torch.zeros(12, 4),
        "head.scratch.refinenet1_aux.out_conv.weight": torch.zeros(4, 4, 1, 1),
        "head.scratch.output_conv2_aux.3.5.bias": torch.zeros(7),
    }
    state = net.state_dict() | (unused if net.family.views else {})
    return {f"model.{key}": tensor for key, tensor in state.items()}


def for_comfyui(net):
    """Return the state dict as repacked for ComfyUI: its encoder has the names of transformers."""
    names = {
        r"backbone\.pretrained\.(cls_token|camera_token)": r"backbone.embeddings.\1",
        r"backbone\.pretrained\.pos_embed": "backbone.embeddings.position_embeddings",
        r"backbone\.pretrained\.patch_embed\.proj": "backbone.embeddings.patch_embeddings.projection",
        r"backbone\.pretrained\.norm": "backbone.layernorm",
        r"backbone\.pretrained\.blocks": "backbone.encoder.layer",
        r"attn\.proj": "attention.output.dense",
        r"attn\.([qk]_norm)": r"attention.\1",
        r"ls(\d)\.gamma": r"layer_scale\1.lambda1",
        r"mlp\.w12": "mlp.weights_in",
        r"mlp\.w3": "mlp.weights_out",
    }
    renamed = {"backbone.embeddings.mask_token": torch.zeros(1, net.family.width)}
    for key, tensor in published(net).items():
        key = key.removeprefix("model.")
        for pattern, name in names.items():
            key = re.sub(pattern, name, key)
        if key.startswith("backbone.") and ".attn.qkv." in key:
            renamed |= {
                key.replace("attn.qkv", f"attention.attention.{part}"): tensor.chunk(3)[index]
                for index, part in enumerate(("query", "key", "value"))
            }
        else:
            renamed[key] = tensor
    return renamed
