"""Small upscalers with random weights, written independently with the published names."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dense(nn.Module):
    def __init__(self, width: int, growth: int):
        super().__init__()
        for index in range(4):
            setattr(self, f"conv{index + 1}", nn.Conv2d(width + index * growth, growth, 3, 1, 1))
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for index in range(4):
            seen.append(F.leaky_relu(getattr(self, f"conv{index + 1}")(torch.cat(seen, 1)), 0.2))
        return x + 0.2 * self.conv5(torch.cat(seen, 1))


class Residual(nn.Module):
    def __init__(self, width: int, growth: int):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (Dense(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """Wang et al., 2021 (Real-ESRGAN): ``scale`` 2 and 1 are the network for 4 behind a pixel unshuffle."""

    def __init__(self, scale: int = 2, width: int = 16, blocks: int = 1, growth: int = 32):
        super().__init__()
        self.shuffle, self.scale = 4 // scale, scale
        self.conv_first = nn.Conv2d(3 * self.shuffle**2, width, 3, 1, 1)
        self.body = nn.Sequential(*(Residual(width, growth) for _ in range(blocks)))
        for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
            setattr(self, name, nn.Conv2d(width, width, 3, 1, 1))
        self.conv_last = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_first(F.pixel_unshuffle(x, self.shuffle))
        x = x + self.conv_body(self.body(x))
        for layer in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(layer(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))


class Compact(nn.Module):
    """SRVGGNetCompact (Real-ESRGAN's animevideov3 and general-x4v3)."""

    def __init__(self, scale: int = 4, width: int = 16, layers: int = 2):
        super().__init__()
        self.scale = scale
        inner = [
            module for _ in range(layers) for module in (nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(width))
        ]
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1), nn.PReLU(width), *inner, nn.Conv2d(width, 3 * scale**2, 3, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.body(x), self.scale) + F.interpolate(
            x, scale_factor=self.scale, mode="nearest"
        )


def random_net(kind: type, seed: int = 0, **sizes) -> nn.Module:
    """Return a network that outputs noise about mid-grey, different everywhere."""
    torch.manual_seed(seed)
    net = kind(**sizes).eval()
    if kind is RRDBNet:
        with torch.no_grad():
            net.conv_last.weight.mul_(6)
            net.conv_last.bias.fill_(0.5)
    return net


def save(net: nn.Module, path: Path) -> Path:
    """Save like the official files: in ``params_ema`` (``params`` for Compact), or safetensors by suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(net.state_dict(), path)
    else:
        torch.save({"params" if isinstance(net, Compact) else "params_ema": net.state_dict()}, path)
    return path
