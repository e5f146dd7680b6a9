"""Depth Anything 3 and MoGe-2 as their packages define them, and their published inference.

The packages are optional: a test that asks for a missing one is skipped.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.support.moge_nets import TINY
from stereoreel.nets import depth_anything
from stereoreel.nets.depth_anything_3 import Family
from stereoreel.nets.moge import Family as MoGeFamily

MISSING_3 = "depth-anything-3 is not installed: pip install --no-deps depth-anything-3 addict omegaconf"
MISSING_MOGE = "dlr-moge is not installed: pip install --no-deps dlr-moge dlr-utils3d"


def depth_anything_3(family: Family) -> nn.Module:
    """Return the original's network, without cameras."""
    transformer = pytest.importorskip("depth_anything_3.model.dinov2.vision_transformer", reason=MISSING_3)
    da3 = pytest.importorskip("depth_anything_3.model.da3", reason=MISSING_3)
    dinov2 = pytest.importorskip("depth_anything_3.model.dinov2.dinov2", reason=MISSING_3)
    heads = [
        pytest.importorskip(f"depth_anything_3.model.{name}", reason=MISSING_3) for name in ("dualdpt", "dpt")
    ]
    encoder = object.__new__(dinov2.DinoV2)
    torch.nn.Module.__init__(encoder)
    crossing = family.crossing if family.views else -1
    encoder.out_layers = list(family.taps)
    encoder.pretrained = transformer.DinoVisionTransformer(
        img_size=518,
        patch_size=14,
        embed_dim=family.width,
        depth=family.depth,
        num_heads=family.width // 64,
        ffn_layer="swiglufused" if family.gated else "mlp",
        alt_start=crossing,
        qknorm_start=crossing,
        rope_start=crossing,
        cat_token=family.views,
    )
    width, head = (2 * family.width, heads[0].DualDPT) if family.views else (family.width, heads[1].DPT)
    return (
        da3.DepthAnything3Net(encoder, head(width, features=family.features, out_channels=family.outputs))
        .eval()
        .requires_grad_(False)
    )


def inference_3(original: nn.Module, pictures: list[np.ndarray], side: int) -> Tensor:
    """Return depth ``[V, h, w]`` of the published ``inference`` in float32.

    Those are its input processor, network and output processor, with the short edge of pictures
    ``[H, W, 3]`` of 8 bits at ``side``. Its exports are left out, and its autocast to 16 bits.
    """
    inputs = pytest.importorskip("depth_anything_3.utils.io.input_processor", reason=MISSING_3)
    outputs = pytest.importorskip("depth_anything_3.utils.io.output_processor", reason=MISSING_3)
    images, *_ = inputs.InputProcessor()(
        pictures, process_res=side, process_res_method="lower_bound_resize", num_workers=1
    )
    found = outputs.OutputProcessor()(original(images[None].float(), export_feat_layers=[]))
    return torch.from_numpy(found.depth)


def moge(monkeypatch: pytest.MonkeyPatch, family: MoGeFamily = TINY) -> nn.Module:
    """Return the original's network of a family; its constructor knows none but the published encoders."""
    v2 = pytest.importorskip("moge.model.v2", reason=MISSING_MOGE)
    backbones = pytest.importorskip("moge.model.dinov2.hub.backbones", reason=MISSING_MOGE)
    transformer = pytest.importorskip("moge.model.dinov2.models.vision_transformer", reason=MISSING_MOGE)

    def encoder(pretrained=False):
        return transformer.DinoVisionTransformer(
            img_size=518,
            patch_size=14,
            embed_dim=family.width,
            depth=family.depth,
            num_heads=family.width // 64,
            mlp_ratio=family.inner // family.width,
            init_values=1.0,
            block_chunks=0,
            interpolate_offset=0.1,
        )

    monkeypatch.setattr(backbones, "ours", encoder, raising=False)

    def stack(shape, out):
        return {
            "dim_in": list(shape.given),
            "dim_out": out,
            "dim_res_blocks": list(shape.widths),
            "num_res_blocks": list(shape.blocks),
            "res_block_in_norm": "none",
            "res_block_hidden_norm": "none",
            "resamplers": ["conv_transpose" if learned else "bilinear" for learned in shape.learned],
        }

    net = v2.MoGeModel(
        encoder={"backbone": "ours", "intermediate_layers": list(family.taps), "dim_out": family.features},
        neck=stack(family.neck, None),
        points_head=stack(family.points, [None] * 4 + [3]),
        mask_head=stack(family.mask, [None] * 4 + [1]),
        normal_head=stack(family.points, [None] * 4 + [3]),
        scale_head={"dims": list(family.scale)},
        remap_output="exp",
    )
    return net.eval().requires_grad_(False)


def normalised(net: nn.Module) -> nn.Module:
    """Give a network of MoGe the mean and deviation that its published files hold."""
    for name, values in (("mean", depth_anything.MEAN), ("std", depth_anything.DEVIATION)):
        getattr(net.encoder, f"image_{name}").copy_(torch.tensor(values).view(1, 3, 1, 1))
    return net
