"""Upscalers as ncnn keeps them (Upscayl, the *-ncnn-vulkan tools): their weights under the official names.

The graph names no architecture. Its convolutions are matched with Compact, RRDBNet and SPAN by their shapes;
then a small image goes through the graph itself and through the network that was built, which must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models import ncnn_files
from ...models.ncnn_files import Layer
from ...nets.strict import Unfit

SIDE = 16  # of the image that checks a network, in pixels
AGREE = 1e-3  # largest difference of the results, as a share of their range
LARGEST = 1 << 24  # numbers in a blob of that small image
TOO_MUCH = "its graph makes far more numbers than an upscaler. Choose another file."
DENSE = 5  # convolutions of a dense block
SPAN_BLOCKS = 6
GRAPHS_ONLY = "its graph is not one of Compact (SRVGGNet), RRDBNet (ESRGAN) or SPAN. Choose another file."
BINARY: dict[int, Callable[[Tensor, Tensor | float], Tensor]] = {
    0: lambda first, second: first + second,
    1: lambda first, second: first - second,
    2: lambda first, second: first * second,
    3: lambda first, second: first / second,
    7: lambda first, second: second - first,
}


class Model:
    """A model of ncnn: ``state`` is its state dict, ``settle`` completes the network that has loaded it."""

    def __init__(self, path: Path):
        self.layers = _without_resize(ncnn_files.read(path))
        self.state = state(self.layers)

    def settle(self, net: nn.Module) -> None:
        """Give a network what no state dict holds; raise Unfit if it then computes anything else."""
        first = next(number for number, layer in enumerate(self.layers) if layer.kind == "Convolution")
        before = self.layers[:first]
        for mean in (layer.tensors[0] for layer in before if layer.kind == "MemoryData"):
            if len(mean.flatten()) != 3:
                raise Unfit(GRAPHS_ONLY)
            net.mean, net.img_range = mean.reshape(1, 3, 1, 1), _gain(before)  # type: ignore[assignment]
        self._check(net)

    @torch.inference_mode()
    def _check(self, net: nn.Module) -> None:
        channels = next(layer for layer in self.layers if layer.kind == "Convolution").tensors[0].shape[1]
        unshuffled = prod(layer.count(0, 1) ** 2 for layer in self.layers if layer.kind == "Reorg")
        channels = max(1, channels // max(1, unshuffled))
        image = torch.rand(1, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        wanted, made = run(self.layers, image), net(image)
        if wanted.shape != made.shape or not wanted.isfinite().all():
            raise Unfit(GRAPHS_ONLY)
        if (wanted - made).abs().max() > AGREE * max(1.0, float(wanted.abs().max())):
            raise Unfit(GRAPHS_ONLY)


def _without_resize(layers: list[Layer]) -> list[Layer]:
    """Leave out a last layer that only shrinks the image: the stage resizes by itself."""
    last = layers[-1] if layers else None
    if last and last.kind == "Interp" and 0 < last.number(1, 1) < 1:
        return layers[:-1]
    return layers


def state(layers: Sequence[Layer]) -> dict[str, Tensor]:
    """Return the state dict of the network whose convolutions a graph has. Raise Unfit if none has them."""
    kinds = {layer.kind for layer in layers}
    convolutions = [layer for layer in layers if layer.kind == "Convolution"]
    if not convolutions:
        raise Unfit(GRAPHS_ONLY)
    if "Sigmoid" in kinds or "Swish" in kinds:
        return _span(layers, convolutions)
    return _rrdb(layers, convolutions) if "Concat" in kinds else _compact(layers)


def _compact(layers: Sequence[Layer]) -> dict[str, Tensor]:
    """Convolutions and rectifiers in turn; all rectifiers become PReLU."""
    found: dict[str, Tensor] = {}
    width = index = 0
    for layer in layers:
        if layer.kind == "Convolution":
            index += index % 2  # no rectifier was between
            width = len(layer.tensors[0])
            found |= _named(f"body.{index}", layer)
            index += 1
            slope = _fused_slope(layer)
        else:
            slope = layer.number(0) if layer.kind == "ReLU" else None
        if layer.kind == "PReLU":
            found[f"body.{index}.weight"] = layer.tensors[0].expand(width).clone()
            index += 1
        elif slope is not None:
            found[f"body.{index}.weight"] = torch.full((width,), slope)
            index += 1
    return found


def _rrdb(layers: Sequence[Layer], convolutions: Sequence[Layer]) -> dict[str, Tensor]:
    """One convolution, dense blocks in threes, one more, one after each doubling, and two."""
    doublings = sum(layer.kind == "Interp" for layer in layers)
    inner = len(convolutions) - 4 - doublings
    if inner < 1 or inner % (3 * DENSE):
        raise Unfit(GRAPHS_ONLY)
    names = ["conv_first"]
    for number in range(inner // DENSE):
        block = f"body.{number // 3}.rdb{number % 3 + 1}"
        names += [f"{block}.conv{index + 1}" for index in range(DENSE)]
    names += ["conv_body", *(f"conv_up{index + 1}" for index in range(doublings)), "conv_hr", "conv_last"]
    return {
        key: tensor for name, layer in zip(names, convolutions) for key, tensor in _named(name, layer).items()
    }


def _span(layers: Sequence[Layer], convolutions: Sequence[Layer]) -> dict[str, Tensor]:
    """ncnn keeps one merged convolution for each three of SPAN: two of those become identities."""
    blocks = [f"block_{block + 1}.c{index + 1}_r" for block in range(SPAN_BLOCKS) for index in range(3)]
    names = ["conv_1", *blocks, "conv_2", "conv_cat", "upsampler.0"]
    if len(names) != len(convolutions) or any(len(layer.tensors) != 2 for layer in convolutions):
        raise Unfit(GRAPHS_ONLY)
    before = layers[: layers.index(convolutions[0])]
    normed = any(layer.kind == "MemoryData" for layer in before)
    gain = 1.0 if normed else _gain(before)  # without a mean, spandrel has no range either
    found = {} if normed else {"no_norm": torch.zeros(1)}
    for name, layer in zip(names, convolutions):
        weight, bias = layer.tensors
        if name in ("conv_cat", "upsampler.0"):
            found |= _named(name, layer)
        else:
            found |= _unmerged(name, weight * gain if name == "conv_1" else weight, bias)
    return found


def _gain(layers: Sequence[Layer]) -> float:
    """Return what these layers multiply an image by."""
    return prod(layer.number(2) for layer in layers if layer.kind == "BinaryOp" and layer.count(0) == 2)


def _unmerged(name: str, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Return the three convolutions in a row, and the one beside them, that merge into this 3x3 one."""
    outputs, inputs = weight.shape[:2]
    middle = F.pad(weight, (0, 0, 0, 0, 0, inputs, 0, outputs))
    parts = {
        "sk": (torch.zeros(outputs, inputs, 1, 1), torch.zeros(outputs)),
        "conv.0": (torch.eye(2 * inputs, inputs)[..., None, None], torch.zeros(2 * inputs)),
        "conv.1": (middle, F.pad(bias, (0, outputs))),
        "conv.2": (torch.eye(outputs, 2 * outputs)[..., None, None], torch.zeros(outputs)),
        "eval_conv": (weight, bias),
    }
    return {
        f"{name}.{part}.{kind}": tensor
        for part, pair in parts.items()
        for kind, tensor in zip(("weight", "bias"), pair)
    }


def _named(name: str, layer: Layer) -> dict[str, Tensor]:
    bias = layer.tensors[1] if len(layer.tensors) > 1 else torch.zeros(len(layer.tensors[0]))
    return {f"{name}.weight": layer.tensors[0], f"{name}.bias": bias}


def _fused_slope(layer: Layer) -> float | None:
    """Return the negative slope of the rectifier inside a convolution, or None without one."""
    kind = layer.count(9)
    if kind not in (0, 1, 2):
        raise Unfit(GRAPHS_ONLY)
    slopes = layer.array(10)
    return None if not kind else float(slopes[0]) if kind == 2 and slopes else 0.0


def run(layers: Sequence[Layer], image: Tensor) -> Tensor:
    """Return the last blob of a graph for one image ``[1, C, H, W]``. Raise Unfit for unknown layers."""
    blobs: dict[str, Tensor] = {}
    result = image
    for layer in layers:
        try:
            inputs = [blobs[name] for name in layer.reads]
            result = image if layer.kind == "Input" else _applied(layer, inputs)
        except (LookupError, RuntimeError, ArithmeticError) as error:
            raise Unfit(GRAPHS_ONLY) from error
        blobs |= dict.fromkeys(layer.writes, result)
    return result


def _applied(layer: Layer, inputs: list[Tensor]) -> Tensor:
    """Return what a layer computes; all blobs that it writes are equal."""
    kind, first = layer.kind, inputs[0] if inputs else torch.empty(0)
    if kind == "Convolution":
        return _convolved(layer, first)
    if kind in ("Split", "Noop", "Dropout"):
        return first
    if kind == "PReLU":
        return F.prelu(first, layer.tensors[0])
    if kind == "ReLU":
        return F.leaky_relu(first, layer.number(0))
    if kind == "Sigmoid":
        return first.sigmoid()
    if kind == "Swish":
        return F.silu(first)
    if kind == "MemoryData":
        shape = layer.tensors[0].shape
        return layer.tensors[0].reshape(-1, 1, 1) if len(shape) == 1 else layer.tensors[0]
    if kind == "BinaryOp":
        second: Tensor | float = layer.number(2) if layer.count(1) else inputs[1]
        if isinstance(second, Tensor) and prod(torch.broadcast_shapes(first.shape, second.shape)) > LARGEST:
            raise Unfit(TOO_MUCH)
        return BINARY[layer.count(0)](first, second)
    if kind == "Eltwise" and layer.count(0) == 1:
        return sum(
            (one * share for one, share in zip(inputs, layer.array(1) or [1] * len(inputs))), 0 * first
        )
    if kind == "Concat" and layer.count(0) in (0, -3):
        return torch.cat(_limited(inputs, 1), 1)
    return _resized(layer, first)


def _resized(layer: Layer, blob: Tensor) -> Tensor:
    """Return what a layer computes that moves or repeats pixels."""
    if layer.kind == "PixelShuffle" and not layer.count(1):
        return F.pixel_shuffle(blob, layer.count(0, 1))
    if layer.kind == "Reorg":
        factor = layer.count(0, 1)
        blob = F.pixel_unshuffle(blob, factor)
        return blob if not layer.count(1) else _channels_last(blob, factor)
    if (
        layer.kind == "Interp"
        and layer.count(0) in (1, 2, 3)
        and len(layer.reads) == 1
        and not layer.count(6)
    ):
        scale = layer.number(1, 1)
        mode = ("nearest", "bilinear", "bicubic")[layer.count(0) - 1]
        across = layer.number(2, 1)
        _limited([blob], scale * across)
        return F.interpolate(blob, scale_factor=(scale, across), mode=mode)
    raise LookupError(layer.kind)


def _channels_last(blob: Tensor, factor: int) -> Tensor:
    """Return unshuffled channels in the order of ncnn's second mode: colours within each place."""
    count, channels, height, width = blob.shape
    places = blob.reshape(count, channels // factor**2, factor**2, height, width)
    return places.transpose(1, 2).reshape(blob.shape)


def _convolved(layer: Layer, blob: Tensor) -> Tensor:
    weight, *bias = layer.tensors
    padding = layer.count(14, layer.count(4)), layer.count(4)
    if max(padding) > max(weight.shape[2:]):
        raise Unfit("it pads its images by more than its filters reach. Choose another file.")
    made = F.conv2d(blob, weight, bias[0] if bias else None, layer.count(3, 1), padding, layer.count(2, 1))
    slope = _fused_slope(layer)
    return made if slope is None else F.leaky_relu(made, slope)


def _limited(blobs: list[Tensor], times: float) -> list[Tensor]:
    if times * sum(blob.numel() for blob in blobs) > LARGEST:
        raise Unfit(TOO_MUCH)
    return blobs
