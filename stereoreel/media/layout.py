"""How two eyes share one frame: side by side, top and bottom, red-cyan, interlaced, on half spheres, or one of them alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..clip import ClipInfo
from .anaglyph import COLOR, GRAY, HALF_COLOR, dubois, mix
from .vr180 import FIELD, half_sphere, sphere_side

# What the end of a file's name tells players. Saved graphs hold these names, and the canvas their order.
FILE_TAGS = {
    "full_sbs": "_LRF_Full_SBS", "half_sbs": "_LR", "full_tb": "_TBF_fulltb", "half_tb": "_TB", "anaglyph": "_redcyan_dubois",
    "left": "_left", "right": "_right", "cross_eyed": "_RLF_cross", "anaglyph_color": "_redcyan_color",
    "anaglyph_half_color": "_redcyan_half-color", "anaglyph_gray": "_redcyan_gray", "interlaced_rows": "_rows",
    "interlaced_columns": "_columns", "checkerboard": "_checkerboard", "vr180": "_180x180_LR", "two_files": "_L",
}
LAYOUTS = tuple(FILE_TAGS)
TWO_FILES = "two_files"  # each eye in a file of its own; a picture of it shows both

BESIDE, BELOW = 2, 1  # axes of [T, H, W, C]


def pack(chunk: Tensor, layout: str, field: float = FIELD) -> Tensor:
    """One picture ``[T, H', W', C]`` per frame of a two-view chunk ``[2, T, H, W, C]``; a mono chunk ``[T, H, W, C]`` is given back.

    Half layouts average pairs of columns or rows, after the last one of an odd size has been repeated. Interlaced ones take every
    second line or pixel of each eye, the left one's first. ``field`` is that of ``half_sphere``, in degrees.
    """
    if chunk.ndim == 4:
        return chunk
    if layout == "vr180":
        return _PACKED["full_sbs"](*(half_sphere(eye, field) for eye in chunk))
    return _PACKED[layout](*chunk)


def packed_size(info: ClipInfo, layout: str, field: float = FIELD) -> tuple[int, int]:
    """Width and height of what ``pack`` gives."""
    width, height = info.width, info.height
    if info.views == 1:
        return width, height
    if layout == "vr180":
        return 2 * sphere_side(width, field), sphere_side(width, field)
    if layout in ("full_sbs", "cross_eyed", TWO_FILES):
        return 2 * width, height
    return {"half_sbs": (width + width % 2, height), "full_tb": (width, 2 * height),
            "half_tb": (width, height + height % 2)}.get(layout, (width, height))


def file_tag(layout: str) -> str:
    """What the end of a file's name tells players of a two-view clip."""
    return FILE_TAGS[layout]


def _interlaced(left: Tensor, right: Tensor, rows: bool, columns: bool) -> Tensor:
    """Left where row, column, or their sum (of those asked for) is even, counted from 0."""
    height, width = left.shape[1:3]
    place = torch.zeros(height, width, dtype=torch.int64, device=left.device)
    if rows:
        place += torch.arange(height, device=left.device)[:, None]
    if columns:
        place += torch.arange(width, device=left.device)
    return torch.where((place % 2 == 0)[..., None], left, right)


def _half(eye: Tensor, axis: int) -> Tensor:
    if eye.shape[axis] % 2:
        eye = torch.cat((eye, eye.narrow(axis, eye.shape[axis] - 1, 1)), dim=axis)
    pairs = eye.unflatten(axis, (-1, 2))
    return (pairs.select(axis + 1, 0) + pairs.select(axis + 1, 1)) / 2


_PACKED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "full_sbs": lambda left, right: torch.cat((left, right), BESIDE),
    "half_sbs": lambda left, right: torch.cat((_half(left, BESIDE), _half(right, BESIDE)), BESIDE),
    "full_tb": lambda left, right: torch.cat((left, right), BELOW),
    "half_tb": lambda left, right: torch.cat((_half(left, BELOW), _half(right, BELOW)), BELOW),
    "cross_eyed": lambda left, right: torch.cat((right, left), BESIDE),
    "anaglyph": dubois,
    "anaglyph_color": lambda left, right: mix(left, right, COLOR),
    "anaglyph_half_color": lambda left, right: mix(left, right, HALF_COLOR),
    "anaglyph_gray": lambda left, right: mix(left, right, GRAY),
    "interlaced_rows": lambda left, right: _interlaced(left, right, True, False),
    "interlaced_columns": lambda left, right: _interlaced(left, right, False, True),
    "checkerboard": lambda left, right: _interlaced(left, right, True, True),
    "left": lambda left, right: left,
    "right": lambda left, right: right,
    TWO_FILES: lambda left, right: torch.cat((left, right), BESIDE),
}
