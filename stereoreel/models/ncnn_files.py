"""Model files of ncnn: a text file ``.param`` describes the layers, a ``.bin`` next to it has the weights.

Formats: ``src/paramdict.cpp`` and ``src/modelbin.cpp`` of Tencent/ncnn. A weight begins with a flag: float32,
float16, or a quantised form, which is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..nets.strict import Unfit

GRAPH, WEIGHTS = ".param", ".bin"
MAGIC = "7767517"  # first line of a graph
FLOAT32, FLOAT16, SCALED_FLOAT32 = 0, 0x01306B47, 0x0002C056  # flags of weights that are not quantised
LONGEST = 4 << 20  # bytes of a graph; RealESRGAN x4plus has 0.1 MB
ARRAY = -23300  # keys from here down hold arrays, as ``count,value,value``
WEIGHTLESS = (
    "BinaryOp", "Clip", "Concat", "Crop", "Dropout", "Eltwise", "Flatten", "Input", "Interp", "Noop",
    "Padding", "Permute", "PixelShuffle", "Pooling", "ReLU", "Reorg", "Reshape", "Sigmoid", "Slice",
    "Softmax", "Split", "Swish", "TanH", "UnaryOp",
)  # fmt: skip

Value: TypeAlias = "int | float | list[int | float]"


@dataclass
class Layer:
    """A layer of a graph: its type, the blobs it reads and writes, parameters by number, and weights."""

    kind: str
    name: str
    reads: list[str]
    writes: list[str]
    given: dict[int, Value]
    tensors: list[Tensor] = field(default_factory=list)

    def number(self, key: int, default: float = 0) -> float:
        value = self.given.get(key, default)
        if isinstance(value, list):
            raise Unfit(f"its layer {self.name[:60]} has an array as parameter {key}. Choose another file.")
        return value

    def count(self, key: int, default: int = 0) -> int:
        return int(self.number(key, default))

    def array(self, key: int) -> list[int | float]:
        value = self.given.get(key, [])
        return value if isinstance(value, list) else [value]

    @property
    def shapes(self) -> list[tuple[tuple[int, ...], bool]]:
        """The shapes of its weights in the order of the file, and whether a flag precedes each."""
        if self.kind in WEIGHTLESS:
            return []
        if self.kind == "Convolution" and not self.count(8) and not self.count(19):
            outputs, wide, size = self.count(0), self.count(1), self.count(6)
            tall = self.count(11, wide)
            inputs = size // max(1, outputs * wide * tall)
            if min(outputs, wide, tall, inputs) < 1 or outputs * inputs * wide * tall != size:
                raise Unfit(f"its layer {self.name[:60]} has impossible sizes. Choose another file.")
            return [((outputs, inputs, tall, wide), True), *([((outputs,), False)] if self.count(5) else [])]
        if self.kind == "PReLU":
            return [((max(0, self.count(0)),), False)]
        if self.kind == "MemoryData":
            sides = [self.count(key) for key in (11, 2, 1, 0)]
            return [(tuple(side for side in sides if side > 0), self.count(21, 1) == 0)]
        quantised = self.kind == "Convolution" and self.count(8)
        what = "quantised layers" if quantised else f"layers of the type {self.kind[:40]}"
        raise Unfit(f"it has {what}, which are not supported. Choose another file.")


def graph_of(path: Path) -> Path | None:
    """Return the graph next to a file of weights, or None if the file is no half of an ncnn model."""
    graph = path.with_suffix(GRAPH)
    return graph if path.suffix.lower() == WEIGHTS and graph.is_file() else None


def halves(path: Path) -> list[Path]:
    """Return a file of weights and its graph, if it has one."""
    graph = graph_of(path)
    return [path, graph] if graph else [path]


def fault(path: Path) -> str | None:
    """Return what is wrong with a model, to be read after the name of its weights, or None.

    Only the flags of the weights are read. Layers of unknown types are left to ``read``.
    """
    try:
        with open(path, "rb") as file:
            for layer in layers(path.with_suffix(GRAPH)):
                list(_places(layer, file, path))
            _at_end(file, path)
    except Unfit as error:
        said = str(error)
        return f"is an unusable ncnn model: {said.partition('. ')[0].rstrip('.')}"
    return None


def read(path: Path) -> list[Layer]:
    """Return the layers of a model with their weights in float32.

    Raise Unfit if the files are truncated, do not belong together or are quantised. No more memory than
    twice the file's size is used.
    """
    found = layers(path.with_suffix(GRAPH))
    with open(path, "rb") as file:
        for layer in found:
            for shape, dtype, begin in _places(layer, file, path):
                file.seek(begin)
                numbers = np.frombuffer(file.read(prod(shape) * dtype.itemsize), dtype).astype(np.float32)
                layer.tensors.append(torch.from_numpy(numbers).reshape(shape))
        _at_end(file, path)
    return found


def layers(path: Path) -> list[Layer]:
    """Return the layers of a graph, without weights. Raise Unfit if it is truncated or no graph."""
    if os.path.getsize(path) > LONGEST:
        raise Unfit(f"{path.name} is too long for a graph of ncnn. Choose another file.")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    sizes = lines[1].split() if len(lines) > 1 else []
    if lines[0].strip() != MAGIC or len(sizes) != 2 or not re.fullmatch("[0-9]{1,9}", sizes[0]):
        raise Unfit(f"{path.name} is not a graph of ncnn. Choose another file.")
    found = [_layer(line.split(), path) for line in lines[2:] if line.strip()]
    if len(found) != int(sizes[0]):
        raise Unfit(
            f"{path.name} is truncated: it has {len(found)} of {sizes[0][:9]} layers. Download it again."
        )
    return found


def _layer(words: list[str], path: Path) -> Layer:
    """Return a layer from the words of its line."""
    try:
        kind, name, reads, writes = words[0], words[1], int(words[2]), int(words[3])
        first = 4 + reads + writes
        if min(reads, writes) < 0 or first > len(words):
            raise ValueError
        given = dict(_parameter(word) for word in words[first:])
    except (ValueError, IndexError, OverflowError):
        line = " ".join(words)[:60]
        raise Unfit(f"{path.name} has a line that is not a layer ({line}). Download it again.") from None
    return Layer(kind, name, words[4 : 4 + reads], words[4 + reads : first], given)


def _parameter(word: str) -> tuple[int, Value]:
    key, _, value = word.partition("=")
    number = int(key)
    if number <= ARRAY:
        count, *values = value.split(",")
        if len(values) != int(count):
            raise ValueError
        return ARRAY - number, [_number(one) for one in values]
    return number, _number(value)


def _number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    value = float(text)
    if not np.isfinite(value):
        raise ValueError
    return value


def _places(layer: Layer, file: BinaryIO, path: Path) -> Iterator[tuple[tuple[int, ...], np.dtype, int]]:
    """Yield the shape, type and position of each weight, and leave the file behind it."""
    size = os.fstat(file.fileno()).st_size
    for shape, flagged in layer.shapes:
        dtype = np.dtype("<f4")
        if flagged:
            head = file.read(4)
            flag = int.from_bytes(head, "little")
            if len(head) == 4 and flag not in (FLOAT32, FLOAT16, SCALED_FLOAT32):
                raise Unfit(
                    f"its layer {layer.name[:60]} is quantised, or its files do not belong together. Choose "
                    "the float16 or float32 files of this model."
                )
            dtype = np.dtype("<f2" if flag == FLOAT16 else "<f4")
        begin = file.tell()
        end = begin + -(-prod(shape) * dtype.itemsize // 4) * 4
        if end > size:
            raise Unfit(
                f"{path.name} ends after {size} bytes, in its layer {layer.name[:60]}. "
                "Download both files again."
            )
        yield shape, dtype, begin
        file.seek(end)


def _at_end(file: BinaryIO, path: Path) -> None:
    if more := os.fstat(file.fileno()).st_size - file.tell():
        raise Unfit(f"{path.name} has {more} bytes more than its graph describes. Download both files again.")
