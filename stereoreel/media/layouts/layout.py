"""How two eyes share one frame: side by side, top and bottom, red-cyan, interlaced, on half spheres, in turn, or one alone beside its depth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...core.clip import ClipInfo
from ...image.resize import resize
from .anaglyph import COLOR, GRAY, HALF_COLOR, dubois, mix
from .vr180 import FIELD, half_sphere, sphere_side

# What the end of a file's name tells players. Saved graphs hold these names, and the canvas their order.
FILE_TAGS = {
    "full_sbs": "_LRF_Full_SBS",
    "half_sbs": "_LR",
    "full_tb": "_TBF_fulltb",
    "half_tb": "_TB",
    "anaglyph": "_redcyan_dubois",
    "left": "_left",
    "right": "_right",
    "cross_eyed": "_RLF_cross",
    "anaglyph_color": "_redcyan_color",
    "anaglyph_half_color": "_redcyan_half-color",
    "anaglyph_gray": "_redcyan_gray",
    "interlaced_rows": "_rows",
    "interlaced_columns": "_columns",
    "checkerboard": "_checkerboard",
    "vr180": "_180x180_LR",
    "two_files": "_L",
    "wiggle": "_wiggle",
    "rgbd": "_RGBD",
    "half_rgbd": "_HRGBD",
    "mv_hevc": "_MV-HEVC",
}
LAYOUTS = tuple(FILE_TAGS)
TWO_FILES = "two_files"  # each eye in a file of its own; a picture of it shows both
WITH_DEPTH = ("rgbd", "half_rgbd")  # these take a clip with one view too
NO_MV_HEVC = (
    "MV-HEVC needs an encoder for two views, which PyAV's x265 is built without: write the layout full_sbs in hevc, "
    "which headsets play, and convert that file with the tool spatial where it must be MV-HEVC."
)
TURNS = 8  # how often a second wiggle shows the other eye

BESIDE, BELOW = 2, 1  # axes of [T, H, W, C]


def pack(
    chunk: Tensor, layout: str, field: float = FIELD, *, depth: Tensor | None = None, turn: int = 0
) -> Tensor:
    """One picture ``[T, H', W', C]`` per frame of a two-view chunk ``[2, T, H, W, C]``; a mono chunk ``[T, H, W, C]`` is given back.

    Half layouts average pairs of columns or rows, after the last one of an odd size has been repeated.
    Interlaced ones take every second line or pixel of each eye, the left one's first. ``field`` is that of
    ``half_sphere``, in degrees. wiggle shows the left eye in even turns. The layouts ``WITH_DEPTH`` put
    ``depth``, of any size and as gray, beside the picture or the left eye.
    """
    if layout in WITH_DEPTH:
        if depth is None:
            raise ValueError(
                f"The layout {layout} shows the depth beside the picture; connect one to the depth input."
            )
        return _with_depth(_left(chunk), _left(depth), layout)
    if chunk.ndim == 4:
        return chunk
    if layout == "wiggle":
        return chunk[turn % 2]
    if layout == "vr180":
        return _PACKED["full_sbs"](*(half_sphere(eye, field) for eye in chunk))
    return _PACKED[layout](*chunk)


def packed_size(info: ClipInfo, layout: str, field: float = FIELD) -> tuple[int, int]:
    """Width and height of what ``pack`` gives; ValueError for a layout that cannot be made."""
    width, height = info.width, info.height
    if layout in WITH_DEPTH:
        return (2 * width if layout == "rgbd" else width + width % 2), height
    if info.views == 1:
        return width, height
    if layout == "mv_hevc":
        raise ValueError(NO_MV_HEVC)
    if layout == "vr180":
        return 2 * sphere_side(width, field), sphere_side(width, field)
    if layout in ("full_sbs", "cross_eyed", TWO_FILES):
        return 2 * width, height
    return {
        "half_sbs": (width + width % 2, height),
        "full_tb": (width, 2 * height),
        "half_tb": (width, height + height % 2),
    }.get(layout, (width, height))


def file_tag(layout: str, views: int = 2) -> str:
    """What the end of a file's name tells players of a clip with so many views."""
    return FILE_TAGS[layout] if views == 2 or layout in WITH_DEPTH else ""


def _left(chunk: Tensor) -> Tensor:
    return chunk[0] if chunk.ndim == 5 else chunk


def _with_depth(picture: Tensor, depth: Tensor, layout: str) -> Tensor:
    """Colour on the left, depth on the right."""
    height, width = picture.shape[1:3]
    if depth.shape[1:3] != (height, width):
        depth = resize(depth, height, width, "bilinear")
    depth = depth[..., :1].to(picture).expand(*picture.shape[:-1], 3)
    sides = picture[..., :3].expand(*picture.shape[:-1], 3), depth
    return torch.cat(sides if layout == "rgbd" else [_half(side, BESIDE) for side in sides], BESIDE)


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
