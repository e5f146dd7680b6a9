"""FILM: frame interpolation for large motion, with one motion estimate for all times between two frames.

Reda et al., FILM: Frame Interpolation for Large Motion, ECCV 2022 (arXiv 2202.04901); the original is
Apache-2.0. Features of one image come from a pyramid with shared weights, flow from coarse to fine, and the
output image from a decoder over both images and their features, warped. Only t = 0.5 was trained; other times
scale the flow. Convolutions run in the parameters' dtype; flow, sampling grid and sampling are always
float32.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .strict import Unfit, load_strict

# of the pyramid for motion, and of its part that the decoder reads
LEVELS, FUSED = 7, 5
DEPTH = 4  # levels that one subtree of features spans
MULTIPLE = 2 ** (LEVELS - 1)  # height and width must be divisible by this


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under our names; a convolution that a file names ``0`` becomes ``conv``."""
    return {
        re.sub(r"\.0\.(weight|bias)$", r".conv.\1", key.removeprefix("module.")): tensor
        for key, tensor in state.items()
    }


def detect(state: Mapping[str, Tensor]) -> tuple[int, tuple[int, ...]]:
    """Return the width of the features and the widths of the flow predictors, fine to coarse.

    They are read from the tensors' shapes. Raise ValueError if it is not FILM.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in clean(state).items()}
    predictors = [
        f"predict_flow.{name}._convs.0.conv.weight"
        for name in ("_predictors.2", "_predictors.1", "_predictors.0", "_predictor")
    ]
    keys = ["extract.extract_sublevels.convs.0.0.conv.weight", *predictors]
    if missing := [key for key in keys if key not in shapes]:
        kind = (
            "a RIFE checkpoint, not a FILM one. Choose a RIFE model for it"
            if any("block0." in key for key in shapes)
            else (f"not a FILM checkpoint: {missing[0]} is missing among its {len(shapes)} tensors")
        )
        raise Unfit(f"This is {kind}.")
    filters, *flow_filters = (shapes[key][0] for key in keys)
    return filters, tuple(flow_filters)


def load(state: Mapping[str, Tensor]) -> FILM:
    """Return the network of a published state dict, with its tensors unchanged (dtype and device too).

    Raise ValueError if it is not one.
    """
    cleaned = clean(state)
    with torch.device("meta"):
        net = FILM(*detect(cleaned))
    return load_strict(net, cleaned, "FILM")


def padding(height: int, width: int) -> tuple[int, int, int, int]:
    """Return left, right, top and bottom for ``F.pad``, on the right and at the bottom only."""
    return 0, -width % MULTIPLE, 0, -height % MULTIPLE


class Pair(NamedTuple):
    """Motion and features of two images, valid at any time between them.

    Levels run from fine to coarse, each half the size of the one before. ``first``, ``second``: image and
    features ``[B, 3 + C, h, w]``. ``forward``, ``backward``: the flow ``[B, 2, h, w]`` (x, y) from the first
    to the second and from the second to the first, float32, in pixels of the level.
    """

    first: list[Tensor]
    second: list[Tensor]
    forward: list[Tensor]
    backward: list[Tensor]


class Between(NamedTuple):
    """An image ``[B, 3, H, W]`` at a time between two, not clamped, and its components; all float32.

    ``flow`` ``[B, 4, H, W]``: where to sample the first image (x, y) and the second (x, y), as pixel offsets.
    ``mask`` ``[B, 1, H, W]``: the first one's share; the decoder outputs none, so 1 - t. ``first``,
    ``second``: both, warped to this time.
    """

    image: Tensor
    flow: Tensor
    mask: Tensor
    first: Tensor
    second: Tensor


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Sample images ``[B, C, H, W]`` at ``flow`` ``[B, 2, H, W]`` (x, y) pixels from each position.

    Bilinear, edges repeated; float32.
    """
    height, width = images.shape[-2:]
    columns = (torch.arange(width, device=flow.device, dtype=torch.float32) * 2 + 1) / width - 1
    rows = (torch.arange(height, device=flow.device, dtype=torch.float32) * 2 + 1) / height - 1
    grid = torch.stack(
        [
            torch.add(columns, flow[:, 0], alpha=2 / width),
            torch.add(rows[:, None], flow[:, 1], alpha=2 / height),
        ],
        -1,
    )
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def _finer(flow: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(2 * flow, like.shape[-2:], mode="bilinear", align_corners=False)


class Conv(nn.Module):
    """A convolution that keeps the size, with a leaky activation if ``active``.

    An even kernel extends to the right and down.
    """

    def __init__(self, inputs: int, outputs: int, size: int, active: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2 if size % 2 else 0)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x if self.conv.kernel_size[0] % 2 else F.pad(x, (0, 1, 0, 1)))
        return F.leaky_relu_(y, 0.2) if self.active else y


class Subtree(nn.Module):
    """Features of one image at up to ``DEPTH`` successive halvings of its size."""

    def __init__(self, filters: int):
        super().__init__()
        widths = [3, *(filters << level for level in range(DEPTH))]
        self.convs = nn.ModuleList(
            nn.Sequential(Conv(inputs, width, 3), Conv(width, width, 3))
            for inputs, width in zip(widths, widths[1:])
        )

    def forward(self, image: Tensor, count: int) -> list[Tensor]:
        features: list[Tensor] = []
        for level, convs in enumerate(self.convs[:count]):
            features.append(convs(F.avg_pool2d(features[-1], 2) if level else image))
        return features


class Extractor(nn.Module):
    """A pyramid of features: each level combines the subtrees rooted at it and at finer levels."""

    def __init__(self, filters: int):
        super().__init__()
        self.extract_sublevels = Subtree(filters)

    def forward(self, images: Sequence[Tensor]) -> list[Tensor]:
        trees = [
            self.extract_sublevels(image, min(DEPTH, len(images) - level))
            for level, image in enumerate(images)
        ]
        return [
            torch.cat([trees[level - depth][depth] for depth in range(min(DEPTH, level + 1))], 1)
            for level in range(len(images))
        ]


class Predictor(nn.Module):
    """Residual flow ``[B, 2, h, w]``, float32, from the features of one image and the other's, warped."""

    def __init__(self, inputs: int, filters: int):
        super().__init__()
        widths = [inputs, *[filters] * 3, filters // 2]
        sizes = [3, 3, 3, 1]
        self._convs = nn.ModuleList(Conv(*shape) for shape in zip(widths, widths[1:], sizes))
        self._convs.append(Conv(filters // 2, 2, 1, active=False))

    def forward(self, here: Tensor, there: Tensor) -> Tensor:
        x = torch.cat([here, there], 1)
        for conv in self._convs:
            x = conv(x)
        return x.float()


class FlowPyramid(nn.Module):
    """Flow from one pyramid of features to another, coarse to fine; three fine levels have own predictors."""

    def __init__(self, filters: int, flow_filters: Sequence[int]):
        super().__init__()
        inputs = [2 * (filters * (2 ** (level + 1) - 1)) for level in range(DEPTH)]
        *fine, shared = (Predictor(*shape) for shape in zip(inputs, flow_filters))
        self._predictor = shared
        self._predictors = nn.ModuleList(reversed(fine))  # coarse to fine, as published

    def forward(self, here: Sequence[Tensor], there: Sequence[Tensor]) -> list[Tensor]:
        predictors = [*reversed(self._predictors), *[self._predictor] * (len(here) - len(self._predictors))]
        flows = [predictors[-1](here[-1], there[-1])]
        for predictor, mine, other in reversed(list(zip(predictors, here, there))[:-1]):
            flow = _finer(flows[-1], mine)
            flows.append(flow + predictor(mine, warp(other, flow).to(mine.dtype)))
        return flows[::-1]


class Fusion(nn.Module):
    """The decoder: ``FUSED`` levels, fine to coarse, of everything warped to the time, to a frame."""

    def __init__(self, filters: int):
        super().__init__()
        seen = [2 * (filters * (2 ** min(level + 1, DEPTH) - 1) + 3 + 2) for level in range(FUSED)]
        widths = [filters << min(level, DEPTH - 1) for level in range(FUSED - 1)]
        coarser = [*widths[1:], seen[-1]]
        self.convs = nn.ModuleList(
            nn.ModuleList(
                [Conv(below, width, 2, active=False), Conv(skip + width, width, 3), Conv(width, width, 3)]
            )
            # coarse to fine, as published
            for below, width, skip in reversed(list(zip(coarser, widths, seen)))
        )
        self.output_conv = nn.Conv2d(filters, 3, 1)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        *finer, x = pyramid
        for convs, level in zip(self.convs, reversed(finer)):
            assert isinstance(convs, nn.ModuleList)
            spread, join, refine = convs
            x = spread(F.interpolate(x, level.shape[-2:], mode="nearest"))
            x = refine(join(torch.cat([level, x], 1)))
        return self.output_conv(x).float()


class FILM(nn.Module):
    """Two images ``[B, 3, H, W]`` to interpolated ones; sides must be divisible by ``MULTIPLE``.

    See ``padding``. Call ``encode`` once for each image, ``pair`` once for each two neighbours, ``at`` for
    each time between them.
    """

    def __init__(self, filters: int = 64, flow_filters: Sequence[int] = (32, 64, 128, 256)):
        super().__init__()
        self.extract = Extractor(filters)
        self.predict_flow = FlowPyramid(filters, flow_filters)
        self.fuse = Fusion(filters)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return features of an image, fine to coarse, in the parameters' dtype."""
        return self.extract(self._pyramid(image))

    def pair(
        self, img0: Tensor, img1: Tensor, e0: list[Tensor] | None = None, e1: list[Tensor] | None = None
    ) -> Pair:
        """Return motion both ways, and what ``at`` needs; ``e0`` and ``e1`` from ``encode``, if known."""
        if any(padding(*img0.shape[-2:])):
            height, width = img0.shape[-2:]
            raise ValueError(
                f"FILM needs sizes divisible by {MULTIPLE}, not {width}x{height}. Pad the images first."
            )
        pyramids = [self._pyramid(image) for image in (img0, img1)]
        encoded = [
            self.extract(pyramid) if known is None else known for pyramid, known in zip(pyramids, (e0, e1))
        ]
        both, swapped = ([torch.cat(level) for level in zip(*order)] for order in (encoded, encoded[::-1]))
        flows = [flow.chunk(2) for flow in self.predict_flow(both, swapped)[:FUSED]]
        first, second = (
            [torch.cat(level, 1) for level in zip(*side)][:FUSED] for side in zip(pyramids, encoded)
        )
        return Pair(first, second, [forward for forward, _ in flows], [backward for _, backward in flows])

    def at(self, pair: Pair, t: Tensor) -> Between:
        """Return the image at ``t`` ``[B]``, 0..1, one per pair; a single pair serves any number of times."""
        time = t.float().view(-1, 1, 1, 1)
        levels = []
        for first, second, forward, backward in zip(*pair):
            to_first, to_second = backward * time, forward * (1 - time)
            warped = [
                warp(side.expand(len(t), -1, -1, -1), flow)
                for side, flow in ((first, to_first), (second, to_second))
            ]
            levels.append((*warped, to_first, to_second))
        dtype = self.fuse.output_conv.weight.dtype
        image = self.fuse([torch.cat(level, 1).to(dtype) for level in levels])
        first, second, *flow = levels[0]
        return Between(
            image, torch.cat(flow, 1), (1 - time).expand_as(image[:, :1]), first[:, :3], second[:, :3]
        )

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor) -> Between:
        return self.at(self.pair(img0, img1), t)

    def _pyramid(self, image: Tensor) -> list[Tensor]:
        levels = [image]
        for _ in range(LEVELS - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return [level.to(self.fuse.output_conv.weight.dtype) for level in levels]
