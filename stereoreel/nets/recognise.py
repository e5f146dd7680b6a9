"""Which checkpoint a file is, by the names of its tensors, so that a refusal can say what was found."""

from __future__ import annotations

from collections.abc import Collection

from .strict import Unfit

TYPES = (  # names that begin with these, or contain them after a dot; the first match counts
    (
        (
            "cam_dec.",
            "cam_enc.",
            "da3.",
            "pretrained.pretrained.",
            "gs_head.",
            "backbone.pretrained.",
            "sky_output_conv2.",
            "camera_token",
        ),
        "a Depth Anything 3 checkpoint",
    ),
    (
        ("metric_head.", "relative_head.", "core.core.", "conditional_log_binomial.", "seed_bin_regressor."),
        "a ZoeDepth checkpoint",
    ),
    (("depth_model.fov", "fov_model.", "encoder.patch_encoder.", "patch_encoder."), "a Depth Pro checkpoint"),
    (
        ("readout_projects.", "register_token"),
        "a Depth Anything variant with class or register tokens, which is not published for depth",
    ),
    (("points_head.", "mask_head.", "encoder.backbone.", "neck.res_blocks."), "a MoGe checkpoint"),
    (("dpt.", "pretrained.model.", "pretrained.layer1."), "a MiDaS (DPT) checkpoint"),
    (
        ("pretrained.blocks.", "depth_head.", "motion_modules.", "neck.fusion_stage."),
        "a checkpoint of Depth Anything 1 or 2, or Video Depth Anything",
    ),
    (("scratch.refinenet",), "a MiDaS (DPT) checkpoint"),
    (("block0.", "flownet.", "contextnet.", "extract."), "a frame interpolation network (RIFE or FILM)"),
    (
        ("conv_first.", "conv_last.", "body.", "upsampler.", "layers.0.residual_group.", "model.1.sub."),
        "an upscaler",
    ),
    (("blocks.0.attn.qkv.",), "a DINOv2 encoder without a depth head"),
)


def other(names: Collection[str], wanted: str) -> Unfit:
    """Return the error for tensors that are no ``wanted`` network: what they are, or how they begin."""
    for marks, found in TYPES:
        if any(name.startswith(mark) or f".{mark}" in name for name in names for mark in marks):
            return Unfit(f"This is {found}, not {wanted}. Choose another model for it.")
    first = ", ".join(list(names)[:3]) or "missing"
    return Unfit(f"This is not a {wanted} checkpoint: of its {len(names)} tensors the first are {first}.")
