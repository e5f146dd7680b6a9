"""SPyNet: optical flow, refined by a small network at each of six sizes, and warping by it.

Ranjan and Black, Optical Flow Estimation using a Spatial Pyramid Network, CVPR 2017, in the form that
BasicVSR's checkpoints hold (six levels, no normalization layers). Flow ``[N, 2, H, W]`` is (x, y) in pixels:
it leads from a pixel of the first image to the same content in the second. Everything is float32: a coarser
dtype causes jitter of whole pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 6
MULTIPLE = 2 ** (LEVELS - 1)  # sides are resized to a multiple of this
WIDTHS = (32, 64, 32, 16)  # channels between the five convolutions of a level
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def warp(image: Tensor, flow: Tensor, padding: str = "zeros") -> Tensor:
    """Warp ``image`` ``[N, C, H, W]`` by ``flow``, bilinear.

    Sampled in float32, returned in the image's dtype.
    """
    return sample(image, grid(flow.shape[-2], flow.shape[-1], flow.device) + flow, padding)


def grid(height: int, width: int, device: torch.device) -> Tensor:
    """Return the position of every pixel, ``[2, H, W]`` as (x, y)."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return torch.stack([columns, rows]).float()


def sample(image: Tensor, places: Tensor, padding: str = "zeros") -> Tensor:
    """Sample ``image`` at ``places`` ``[N, 2, h, w]``, (x, y) in its pixels."""
    # side by side: a tensor of both sides would make the host wait for a GPU
    inside = [
        (2 * place.float() + 1) / side - 1 for place, side in zip(places.unbind(1), image.shape[:-3:-1])
    ]
    return F.grid_sample(
        image.float(), torch.stack(inside, -1), padding_mode=padding, align_corners=False
    ).to(image.dtype)


class Convolution(nn.Module):
    """A 7x7 convolution under its name in mmcv's checkpoints, optionally followed by a rectifier."""

    def __init__(self, inputs: int, outputs: int, rectified: bool):
        super().__init__()
        self.conv, self.rectified = nn.Conv2d(inputs, outputs, 7, padding=3), rectified

    def forward(self, image: Tensor) -> Tensor:
        result = self.conv(image)
        return result.relu_() if self.rectified else result


class Level(nn.Module):
    """One level's network: both images and the flow so far ``[N, 8, h, w]`` to a change ``[N, 2, h, w]``."""

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        channels = (8, *widths, 2)
        self.basic_module = nn.Sequential(
            *(
                Convolution(*pair, index < len(widths))
                for index, pair in enumerate(zip(channels, channels[1:]))
            )
        )

    def forward(self, seen: Tensor) -> Tensor:
        return self.basic_module(seen)


class SPyNet(nn.Module):
    """Flow ``[N, 2, H, W]`` from ``first`` to ``second`` ``[N, 3, H, W]``, RGB 0..1, of any size."""

    mean: Tensor
    std: Tensor

    def __init__(self, widths: Sequence[int] = WIDTHS):
        super().__init__()
        self.basic_module = nn.ModuleList(Level(widths) for _ in range(LEVELS))
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        height, width = first.shape[-2:]
        up = tuple(-(-side // MULTIPLE) * MULTIPLE for side in (height, width))
        pyramids = [
            self.pyramid(F.interpolate(image.float(), up, mode="bilinear", align_corners=False))
            for image in (first, second)
        ]
        flow = F.interpolate(self.refined(*pyramids), (height, width), mode="bilinear", align_corners=False)
        across, down = flow.split(1, 1)
        return torch.cat([across * (width / up[1]), down * (height / up[0])], 1)

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """Return the image at every level, coarsest first."""
        levels = [(image - self.mean) / self.std]
        for _ in range(LEVELS - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return levels[::-1]

    def refined(self, first: Iterable[Tensor], second: Iterable[Tensor]) -> Tensor:
        """Return flow at full size, from two pyramids."""
        flow = torch.empty(0)
        for level, (net, here, there) in enumerate(zip(self.basic_module, first, second)):
            if not level:
                flow = here.new_zeros(here.shape[0], 2, *here.shape[-2:])
            else:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            flow = flow + net(torch.cat([here, warp(there, flow, "border"), flow], 1))
        return flow
