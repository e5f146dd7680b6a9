"""Small BasicVSR, BasicVSR++ and RealBasicVSR networks with random weights, and footage for them."""

import torch
from torch.nn.functional import interpolate

from stereoreel.nets import basicvsr

FLOW = (4, 4, 4, 4)  # widths of a small SPyNet
SMALL = {
    "BasicVSR++": lambda: basicvsr.BasicVSRPlusPlus(8, 1, True, 1, 2, 8, FLOW),
    "BasicVSR++ of one size": lambda: basicvsr.BasicVSRPlusPlus(8, 1, False, 1, 2, 8, FLOW),
    "BasicVSR": lambda: basicvsr.BasicVSR(8, 2, 8, FLOW),
    "RealBasicVSR": lambda: basicvsr.RealBasicVSR(8, 2, 1, 8, FLOW),
}


@torch.no_grad()
def random_weights(net: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Return weights that keep features bounded over a shot, with flow of some pixels."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in net.named_parameters():
        spread = (1.6 / parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.02
        residue = 0.1 if "conv2" in name or "image_cleaning.1" in name else 1
        aligning = "deform_align" in name and "offset" not in name
        loop = (
            0.25
            if aligning or (("backbone" in name or "_resblocks" in name) and "main.0.weight" in name)
            else 1
        )
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread * residue * loop)
    return net.eval()


def small(kind: str, seed: int = 0) -> torch.nn.Module:
    return random_weights(SMALL[kind](), seed)


def checkpoint(net: torch.nn.Module, prefix: str = "generator.") -> dict:
    """Return the checkpoint that mmcv writes during training."""
    state = {prefix + key: tensor for key, tensor in net.state_dict().items()}
    state |= {
        "step_counter": torch.zeros(1),
        "discriminator.conv.weight": torch.zeros(2),
        "perceptual_loss.vgg.mean": torch.zeros(3),
    }
    return {"meta": {"epoch": 1}, "state_dict": state}


def footage(frames: int, height: int = 36, width: int = 52, seed: int = 0) -> torch.Tensor:
    """Return smooth texture ``[T, H, W, 3]`` that moves two pixels a frame."""
    generator = torch.Generator().manual_seed(seed)
    wide = width + 2 * frames
    wall = interpolate(
        torch.rand(1, 3, height // 4 + 1, wide // 4 + 1, generator=generator), (height, wide), mode="bicubic"
    )
    return (
        torch.cat([wall[..., 2 * index : 2 * index + width] for index in range(frames)])
        .clamp(0, 1)
        .movedim(1, -1)
        .contiguous()
    )
