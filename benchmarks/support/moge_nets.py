"""MoGe-2's networks with made-up weights."""

import torch

from benchmarks.support.depth_3_nets import filled
from stereoreel.nets.moge import Family, MoGe, Stack

LEARNED = (True, True, True, False)
WIDTHS, TINY_WIDTHS = (1024, 256, 128, 64, 32), (64, 32, 16, 16, 8)


def stacks(widths):
    neck = Stack(widths, (widths[0] + 2, 2, 2, 2, 2), (0, 2, 2, 2, 0), LEARNED, 0)
    return neck, *(Stack(widths, widths, (0, 1, 1, 1, 0), LEARNED, out) for out in (3, 1))


LARGE = Family(1024, 24, 4096, False, 37, (5, 11, 17, 23), 1024, *stacks(WIDTHS), (1024, 1024, 1024, 1))
TINY = Family(128, 4, 256, False, 37, (0, 1, 2, 3), 64, *stacks(TINY_WIDTHS), (128, 128, 1))


def on_meta(family):
    with torch.device("meta"):
        return MoGe(family).eval().requires_grad_(False)


def made_up(family):
    return filled(on_meta(family).to_empty(device="cpu"))


def published(net):
    """Return the state dict of the original's file, with tensors that distances do not read."""
    return {
        **net.state_dict(),
        "encoder.image_mean": torch.zeros(1, 3, 1, 1),
        "encoder.image_std": torch.ones(1, 3, 1, 1),
        "encoder.backbone.mask_token": torch.zeros(1, net.family.width),
        "normal_head.input_blocks.0.weight": torch.zeros(4, 4, 1, 1),
    }


def pinhole(net, slope=0.8, noise=0.01):
    """Let a network, ours or the original's, see points as a camera does, at distances that vary moderately.

    Two channels carry the place in the picture through the last level; a fit of the focal length to points
    without such an order has many minima. ``slope`` is the inverse focal length.
    """
    state, last = net.state_dict(), len(TINY_WIDTHS) - 1
    for part in ("neck", "points_head"):
        entry = state[f"{part}.input_blocks.{last}.weight"]
        entry[:2] = 0
        entry[0, 0, 0, 0] = entry[1, 1, 0, 0] = 1
        state[f"{part}.input_blocks.{last}.bias"][:2] = 0
        for name in ("weight", "bias"):
            state[f"{part}.resamplers.{last - 1}.1.{name}"][:2] = 0
    out, bias = (state[f"points_head.output_blocks.{last}.{name}"] for name in ("weight", "bias"))
    out[:2] *= noise
    out[0, 0], out[1, 1] = slope, slope
    out[2] *= 0.3
    bias[:2] = 0
    state[f"mask_head.output_blocks.{last}.bias"].fill_(0.5)
    return net
