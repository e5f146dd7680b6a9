"""How two eyes share one frame: side by side, top and bottom, red-cyan, or one of them alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..clip import ClipInfo

LAYOUTS = ("full_sbs", "half_sbs", "full_tb", "half_tb", "anaglyph", "left", "right")
FILE_TAGS = {"full_sbs": "_LRF_Full_SBS", "half_sbs": "_LR", "full_tb": "_TBF_fulltb", "half_tb": "_TB", "anaglyph": "_redcyan_dubois",
             "left": "_left", "right": "_right"}

# Rows give red, green, blue. E. Dubois, "A projection method to generate anaglyph stereo images", ICASSP 2001; for linear light.
DUBOIS_LEFT = ((.437, .449, .164), (-.062, -.062, -.024), (-.048, -.050, -.017))
DUBOIS_RIGHT = ((-.011, -.032, -.007), (.377, .761, .009), (-.026, -.093, 1.234))


def pack(chunk: Tensor, layout: str) -> Tensor:
    """One picture ``[T, H', W', C]`` per frame of a two-view chunk ``[2, T, H, W, C]``; a mono chunk ``[T, H, W, C]`` is given back.

    Half layouts average pairs of columns or rows, after the last one of an odd size has been repeated.
    """
    if chunk.ndim == 4:
        return chunk
    if layout in ("left", "right"):
        return chunk[("left", "right").index(layout)]
    if layout == "anaglyph":
        return dubois(*chunk)
    size, arrangement = layout.split("_")
    axis = 3 if arrangement == "sbs" else 2
    return torch.cat(tuple(_halve(chunk, axis) if size == "half" else chunk), dim=axis - 1)


def packed_size(info: ClipInfo, layout: str) -> tuple[int, int]:
    """Width and height of what ``pack`` gives."""
    width, height = info.width, info.height
    if info.views == 1:
        return width, height
    return {"full_sbs": (2 * width, height), "half_sbs": (width + width % 2, height),
            "full_tb": (width, 2 * height), "half_tb": (width, height + height % 2)}.get(layout, (width, height))


def file_tag(layout: str) -> str:
    """What the end of a file's name tells players of a two-view clip."""
    return FILE_TAGS[layout]


def dubois(left: Tensor, right: Tensor) -> Tensor:
    """The red-cyan picture ``[T, H, W, 3]`` of two eyes ``[T, H, W, C]``, mixed in linear light (sRGB curve)."""
    light = sum(_linear(eye[..., :3].expand(*eye.shape[:-1], 3)) @ torch.tensor(matrix, dtype=torch.float32, device=eye.device).T
                for eye, matrix in ((left, DUBOIS_LEFT), (right, DUBOIS_RIGHT)))
    return _srgb(light.clamp(0, 1))


def _halve(chunk: Tensor, axis: int) -> Tensor:
    if chunk.shape[axis] % 2:
        chunk = torch.cat((chunk, chunk.narrow(axis, chunk.shape[axis] - 1, 1)), dim=axis)
    return chunk.unflatten(axis, (-1, 2)).mean(axis + 1)


def _linear(color: Tensor) -> Tensor:
    color = color.float().clamp(0, 1)
    return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _srgb(light: Tensor) -> Tensor:
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
