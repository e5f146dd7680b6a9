"""Pack left and right views into one frame.

Layouts: side by side, top and bottom, red-cyan, interlaced, half spheres, alternating, or one view next to
its depth.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...core.clip import ClipInfo
from ...image.resize import resize
from .anaglyph import COLOR, GRAY, HALF_COLOR, dubois, mix
from .vr180 import FIELD, half_sphere, sphere_side

# File name suffixes that players read. Saved graphs hold the layouts' names, and the canvas their order.
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
TWO_FILES = "two_files"  # each view in a separate file; a preview image shows both
WITH_DEPTH = ("rgbd", "half_rgbd")  # these also accept a clip with one view
LAYERS = "mv_hevc"  # each view in a layer of the stream; an encoder of such streams splits the frame again
WHOLE = {"full_sbs": (0, 1), "cross_eyed": (1, 0), TWO_FILES: (0, 1)}  # whole views, from left to right
TURNS = 8  # how many times a second wiggle shows the other view

ACROSS, DOWN = 2, 1  # axes of [T, H, W, C]


def pack(
    chunk: Tensor, layout: str, field: float = FIELD, *, depth: Tensor | None = None, turn: int = 0
) -> Tensor:
    """Pack each frame of a two-view chunk ``[2, T, H, W, C]`` into one of ``[T, H', W', C]``.

    A mono chunk ``[T, H, W, C]`` is returned unchanged. Half layouts average pairs of columns or rows, after
    repeating the last one of an odd size, as mv_hevc does, which is like full_sbs otherwise. Interlaced
    layouts take every second line or pixel of each view, the left one's first. ``field`` is that of
    ``half_sphere``, in degrees. wiggle shows the left view in even turns. The layouts ``WITH_DEPTH`` put
    ``depth``, of any size and as grey, next to the frame or the left view.
    """
    if layout in WITH_DEPTH:
        if depth is None:
            raise ValueError(
                f"The layout {layout} shows depth next to the frame. Connect a depth clip to the depth input."
            )
        return _with_depth(_left(chunk), _left(depth), layout)
    if chunk.ndim == 4:
        return chunk
    if layout == "wiggle":
        return chunk[turn % 2]
    if layout == "vr180":
        return _PACKED["full_sbs"](*(half_sphere(eye, field) for eye in chunk))
    return _PACKED[layout](*chunk)


def panes(
    chunk: Tensor, layout: str, field: float = FIELD, *, depth: Tensor | None = None, turn: int = 0
) -> list[Tensor]:
    """Return the result of ``pack`` as parts next to each other, which are the views if those are whole."""
    if chunk.ndim == 5 and layout in WHOLE:
        return [chunk[eye] for eye in WHOLE[layout]]
    return [pack(chunk, layout, field, depth=depth, turn=turn)]


def packed_size(info: ClipInfo, layout: str, field: float = FIELD) -> tuple[int, int]:
    """Return width and height of the result of ``pack``; raise ValueError for an unsupported layout."""
    width, height = info.width, info.height
    if layout in WITH_DEPTH:
        return (2 * width if layout == "rgbd" else width + width % 2), height
    if info.views == 1:
        return width, height
    if layout == "vr180":
        return 2 * sphere_side(width, field), sphere_side(width, field)
    if layout in ("full_sbs", "cross_eyed", TWO_FILES):
        return 2 * width, height
    return {
        LAYERS: (2 * (width + width % 2), height),
        "half_sbs": (width + width % 2, height),
        "full_tb": (width, 2 * height),
        "half_tb": (width, height + height % 2),
    }.get(layout, (width, height))


def file_tag(layout: str, views: int = 2) -> str:
    """Return the file name suffix by which players recognise the layout of a clip with this many views."""
    return FILE_TAGS[layout] if views == 2 or layout in WITH_DEPTH else ""


def _left(chunk: Tensor) -> Tensor:
    return chunk[0] if chunk.ndim == 5 else chunk


def _with_depth(picture: Tensor, depth: Tensor, layout: str) -> Tensor:
    """Join colour on the left and depth on the right."""
    height, width = picture.shape[1:3]
    if depth.shape[1:3] != (height, width):
        depth = resize(depth, height, width, "bilinear")
    depth = depth[..., :1].to(picture).expand(*picture.shape[:-1], 3)
    sides = picture[..., :3].expand(*picture.shape[:-1], 3), depth
    return torch.cat(sides if layout == "rgbd" else [_half(side, ACROSS) for side in sides], ACROSS)


def _interlaced(left: Tensor, right: Tensor, rows: bool, columns: bool) -> Tensor:
    """Take the left view if the row, the column or their sum (of those selected) is even, counted from 0."""
    height, width = left.shape[1:3]
    place = torch.zeros(height, width, dtype=torch.int64, device=left.device)
    if rows:
        place += torch.arange(height, device=left.device)[:, None]
    if columns:
        place += torch.arange(width, device=left.device)
    return torch.where((place % 2 == 0)[..., None], left, right)


def _half(eye: Tensor, axis: int) -> Tensor:
    pairs = _even(eye, axis).unflatten(axis, (-1, 2))
    return (pairs.select(axis + 1, 0) + pairs.select(axis + 1, 1)) / 2


def _even(eye: Tensor, axis: int) -> Tensor:
    """Repeat the last column or row of an odd size."""
    if eye.shape[axis] % 2 == 0:
        return eye
    return torch.cat((eye, eye.narrow(axis, eye.shape[axis] - 1, 1)), dim=axis)


_PACKED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "full_sbs": lambda left, right: torch.cat((left, right), ACROSS),
    "half_sbs": lambda left, right: torch.cat((_half(left, ACROSS), _half(right, ACROSS)), ACROSS),
    "full_tb": lambda left, right: torch.cat((left, right), DOWN),
    "half_tb": lambda left, right: torch.cat((_half(left, DOWN), _half(right, DOWN)), DOWN),
    "cross_eyed": lambda left, right: torch.cat((right, left), ACROSS),
    "anaglyph": dubois,
    "anaglyph_color": lambda left, right: mix(left, right, COLOR),
    "anaglyph_half_color": lambda left, right: mix(left, right, HALF_COLOR),
    "anaglyph_gray": lambda left, right: mix(left, right, GRAY),
    "interlaced_rows": lambda left, right: _interlaced(left, right, True, False),
    "interlaced_columns": lambda left, right: _interlaced(left, right, False, True),
    "checkerboard": lambda left, right: _interlaced(left, right, True, True),
    "left": lambda left, right: left,
    "right": lambda left, right: right,
    TWO_FILES: lambda left, right: torch.cat((left, right), ACROSS),
    LAYERS: lambda left, right: torch.cat((_even(left, ACROSS), _even(right, ACROSS)), ACROSS),
}
