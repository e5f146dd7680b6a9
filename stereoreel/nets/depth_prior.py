"""A small network that guesses nearness from one picture; see ``train.py``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Unit(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
        )


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first = Unit(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Whole(nn.Module):
    """Add what the mean and the maximum over the whole picture say."""

    def __init__(self, width: int):
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(True), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))[..., None, None]


class DepthPrior(nn.Module):
    """A U-Net of four scales, which sees the colours and where in the picture they are."""

    def __init__(self, widths: tuple[int, int, int, int] = (24, 40, 72, 112)):
        super().__init__()
        a, b, c, d = widths
        self.stem = Unit(5, a, 2)
        self.second = nn.Sequential(Unit(a, b, 2), Residual(b))
        self.third = nn.Sequential(Unit(b, c, 2), Residual(c), Residual(c))
        self.fourth = nn.Sequential(Unit(c, d, 2), Residual(d), Whole(d), Residual(d), Whole(d), Residual(d))
        self.joins = nn.ModuleList([nn.Conv2d(d, c, 1), nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)])
        self.merges = nn.ModuleList([Residual(c), Residual(b), Unit(a, a)])
        self.head = nn.Conv2d(a, 1, 1)

    def folded(self) -> DepthPrior:
        """Fold every normalisation into the convolution before it, for inference; return the network."""
        for part in list(self.modules()):
            if isinstance(part, nn.Sequential) and len(part) > 1:
                first, second = part[0], part[1]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    part[0], part[1] = fuse_conv_bn_eval(first, second), nn.Identity()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Return nearness ``[N, h, w]``, about 0..1, of pictures ``[N, 3, h, w]`` in 0..1.

        Sides are multiples of 16. Nearness is the square root of inverse depth.
        """
        count, _, height, width = image.shape
        y = torch.linspace(-1, 1, height).view(1, 1, height, 1).expand(count, 1, height, width)
        x = torch.linspace(-1, 1, width).view(1, 1, 1, width).expand(count, 1, height, width).abs()
        levels = [self.stem(torch.cat([image * 2 - 1, y, x], 1))]
        levels.append(self.second(levels[0]))
        levels.append(self.third(levels[1]))
        deep = self.fourth(levels[2])
        for level, join, merge in zip(levels[::-1], self.joins, self.merges):
            deep = merge(level + enlarged(join(deep), level.shape[2:]))
        return enlarged(self.head(deep), image.shape[2:])[:, 0]


def enlarged(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
