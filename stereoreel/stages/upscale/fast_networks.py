"""ESRGAN about twice as fast in float32 on a CPU, equal to the plain module but for rounding.

Its 3x3 convolutions go by Winograd (``winograd``), and the convolutions behind a nearest enlargement become
four 2x2 ones each on the small map (16 products instead of 36, exact). Frames are computed one by one: a
frame's bits do not depend on its batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...image.compute import side_by_side
from .winograd import Chain, Field, Product

TAIL_PIXELS = 2**19  # output pixels of a strip of the enlarging tail
TAIL_HALO = 2  # rows, before enlarging, that the tail's convolutions reach


def faster(net: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module | None:
    """The same function of images ``[N, C, H, W]``, or None where ``net`` runs as fast as it is.

    This is the only place that decides: an ESRGAN as spandrel builds it, in float32, on a CPU. Measured on
    two cores with x2plus at 128x128: 1.4 to 1.7 times as fast as the plain module in float32, with AVX-512
    and with AVX2 alone. Where the processor computes in bfloat16 (AMX), the plain module in that is 2.2 to
    2.7 times as fast as this one in float32.

    Its maps take about ``winograd.BUDGET`` bytes a core, more only where 64 rows do not fit, and three maps
    of the whole frame before enlarging; the transformed weights take 4x their size. They are buffers in
    float32 on the CPU: the result has no use elsewhere, nor for training.
    """
    wins = dtype == torch.float32 and device.type == "cpu" and type(net).__name__ == "RRDBNet"
    return _esrgan(net) if wins else None


class Dense(nn.Module):
    """A dense block of five convolutions (Wang et al. 2018, arXiv 1809.00219) whose last one is scaled by ``gain``, plus ``residuals``."""

    def __init__(
        self, block: nn.Module, source: str, target: str, gain: float, *residuals: tuple[str, float]
    ):
        super().__init__()
        self.source, self.target, self.residuals = source, target, residuals
        self.growing = nn.ModuleList(Product(*getattr(block, f"conv{number}")) for number in range(1, 5))
        self.last = Product(block.conv5[0], gain=gain)

    def run(self, field: Field) -> None:
        field.see(self.source)
        for product in self.growing:
            field.convolve(product, "grown")
            field.see("grown", product.weight.shape[2])
        field.convolve(self.last, self.target, *self.residuals)


def _residual_block(block: nn.Module, source: str, target: str) -> list[Dense]:
    """Three dense blocks, ``0.2 * (c + 0.2 * last) + source``, from one of the maps a, b to the other."""
    return [
        Dense(block.RDB1, source, target, 0.2, (source, 1.0)),
        Dense(block.RDB2, target, "c", 0.2, (target, 1.0)),
        Dense(block.RDB3, "c", target, 0.04, ("c", 0.2), (source, 1.0)),
    ]


class Enlarge(nn.Module):
    """Nearest x2, a 3x3 convolution and its activation, as four 2x2 convolutions before enlarging."""

    def __init__(self, conv: nn.Conv2d, activation: nn.Module):
        super().__init__()
        # rows of the small map that each of the two output rows reads: [output row, tap, 3]
        taps = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=torch.float64)
        weight = (
            torch.einsum("aik,bjl,ockl->abocij", taps, taps, conv.weight.detach().double().cpu())
            .flatten(0, 2)
            .float()
        )
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last), persistent=False)
        self.register_buffer("bias", conv.bias.detach().float().cpu().repeat(4), persistent=False)
        self.activation = activation

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        phases = self.activation(F.conv2d(image, self.weight, self.bias, padding=1)).unflatten(1, (2, 2, -1))
        out = torch.empty(1, phases.shape[3], 2 * height, 2 * width, memory_format=torch.channels_last)
        for row in (0, 1):
            for column in (0, 1):
                out[:, :, row::2, column::2] = phases[
                    :, row, column, :, row : row + height, column : column + width
                ]
        return out


class FastESRGAN(nn.Module):
    """An ESRGAN whose trunk is a ``Chain`` and whose enlarging tail goes frame by frame in strips of ``TAIL_PIXELS``."""

    def __init__(
        self,
        head: nn.Conv2d,
        trunk: Chain,
        body: nn.Conv2d,
        enlarge: list[nn.Module],
        tail: list[nn.Module],
        unshuffle: int,
    ):
        super().__init__()
        self.head, self.trunk, self.body = head, trunk, body
        self.enlarge, self.tail, self.unshuffle = nn.Sequential(*enlarge), nn.Sequential(*tail), unshuffle

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        images = F.pad(images, (0, -width % self.unshuffle, 0, -height % self.unshuffle), "reflect")
        features = _each(self.head, F.pixel_unshuffle(images, self.unshuffle))
        features = features + _each(self.body, self.trunk(features))
        scale = 2 ** len(self.enlarge) // self.unshuffle
        return _each(self._tail, features)[:, :, : height * scale, : width * scale]

    def _tail(self, features: Tensor) -> Tensor:
        features = features.contiguous(memory_format=torch.channels_last)
        height, width = features.shape[2:]
        factor = 2 ** len(self.enlarge)
        rows = max(
            4 * TAIL_HALO, min(TAIL_PIXELS // (factor**2 * width), -(-height // torch.get_num_threads()))
        )

        def strip(top: int) -> Tensor:
            low = max(0, top - TAIL_HALO)
            made = self.tail(self.enlarge(features[:, :, low : top + rows + TAIL_HALO]))
            return made[:, :, factor * (top - low) : factor * (top - low + rows)]

        return torch.cat(side_by_side(strip, range(0, height, rows)), 2)


def _each(function: nn.Module, images: Tensor) -> Tensor:
    """The function frame by frame, so that a frame's bits do not depend on its batch."""
    return torch.cat([function(image[None]) for image in images])


def _esrgan(net: nn.Module) -> FastESRGAN | None:
    layers = list(net.model)
    if len(layers) < 5 or not hasattr(layers[1], "sub"):
        return None
    head, (*blocks, body), (*enlarging, near, act, last) = layers[0], layers[1].sub, layers[2:]
    steps = [enlarging[first : first + 3] for first in range(0, len(enlarging), 3)]
    dense = [getattr(block, f"RDB{index}", None) for block in blocks for index in (1, 2, 3)]
    if not (
        blocks
        and all(map(_plain, (head, body, near, last)))
        and isinstance(act, (nn.LeakyReLU, nn.ReLU))
        and all(map(_enlarging, steps))
        and all(map(_dense, dense))
    ):
        return None
    width, grown = dense[0].conv1[0].in_channels, dense[0].conv1[0].out_channels
    maps = {"a": width, "b": width, "c": width, "grown": grown}
    names = ("a", "b")
    trunk = [
        step
        for index, block in enumerate(blocks)
        for step in _residual_block(block, names[index % 2], names[1 - index % 2])
    ]
    enlarge = [Enlarge(conv, act) for _, conv, act in steps]
    chain = Chain(trunk, maps, width + 4 * grown, reach=5, period=3)
    return FastESRGAN(head, chain, body, enlarge, [near, act, last], net.shuffle_factor or 1).eval()


def _plain(layer: nn.Module) -> bool:
    """Whether this is a 3x3 convolution with bias that keeps the size by zeros."""
    if not isinstance(layer, nn.Conv2d) or layer.bias is None or layer.padding_mode != "zeros":
        return False
    return (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups) == (
        (3, 3),
        (1, 1),
        (1, 1),
        (1, 1),
        1,
    )


def _enlarging(layers: list[nn.Module]) -> bool:
    if len(layers) != 3 or not isinstance(layers[0], nn.Upsample) or layers[0].mode != "nearest":
        return False
    return (
        layers[0].scale_factor == 2 and _plain(layers[1]) and isinstance(layers[2], (nn.LeakyReLU, nn.ReLU))
    )


def _dense(block: nn.Module | None) -> bool:
    """Whether this is a dense block of five convolutions, without ESRGAN+'s extra paths."""
    if block is None or getattr(block, "conv1x1", None) is not None:
        return False
    growing = [getattr(block, f"conv{number}") for number in range(1, 5)]
    right = all(
        len(part) == 2 and _plain(part[0]) and isinstance(part[1], (nn.LeakyReLU, nn.ReLU))
        for part in growing
    )
    return right and len(block.conv5) == 1 and _plain(block.conv5[0])
