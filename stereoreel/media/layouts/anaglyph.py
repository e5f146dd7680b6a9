"""Red-cyan anaglyphs: left and right views mixed so that coloured glasses separate them again."""

from __future__ import annotations

import torch
from torch import Tensor

from ...image.compute import parallel_map
from ...image.huge_pages import empty

Matrix = tuple[tuple[float, float, float], ...]

# Rows give red, green, blue. E. Dubois, "A projection method to generate anaglyph stereo images", ICASSP
# 2001; for linear light.
DUBOIS = (
    ((0.437, 0.449, 0.164), (-0.062, -0.062, -0.024), (-0.048, -0.050, -0.017)),
    ((-0.011, -0.032, -0.007), (0.377, 0.761, 0.009), (-0.026, -0.093, 1.234)),
)

# The classic mixtures, of stored (non-linear) values; grey is the luma of BT.601.
LUMA, NOTHING, RED, GREEN, BLUE = (0.299, 0.587, 0.114), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)
COLOR = ((RED, NOTHING, NOTHING), (NOTHING, GREEN, BLUE))
HALF_COLOR = ((LUMA, NOTHING, NOTHING), (NOTHING, GREEN, BLUE))
GRAY = ((LUMA, NOTHING, NOTHING), (NOTHING, LUMA, LUMA))


LEVELS = 1 << 15  # of the tables for the sRGB curve: less than 0.1 of an 8-bit level off the exact result
BAND = 1 << 16  # pixels at a time on the CPU, for a core's cache


def dubois(left: Tensor, right: Tensor) -> Tensor:
    """Return the anaglyph ``[T, H, W, 3]`` of two views ``[T, H, W, C]``, mixed in linear light (sRGB)."""
    stored = torch.linspace(0, 1, LEVELS, dtype=torch.float64, device="cpu")
    return _mixed(left, right, DUBOIS, [curve(stored).float().to(left.device) for curve in (_linear, _srgb)])


def mix(left: Tensor, right: Tensor, matrices: tuple[Matrix, Matrix]) -> Tensor:
    """Return the sum ``[T, H, W, 3]`` of each view's colours times its matrix.

    A single channel counts as grey, a fourth is ignored.
    """
    return _mixed(left, right, matrices, [])


def _mixed(left: Tensor, right: Tensor, matrices: tuple[Matrix, Matrix], tables: list[Tensor]) -> Tensor:
    """Apply ``mix``, with the curves of ``tables`` before and after it."""
    picture = empty(left, *left.shape[:-1], 3, dtype=torch.float32)
    # [3, 6]
    weights = torch.tensor(matrices, dtype=torch.float32, device=left.device).movedim(0, 1).flatten(1)
    eyes = [eye[..., :3].expand(*eye.shape[:-1], 3).reshape(-1, 3) for eye in (left, right)]
    flat, on_cpu = picture.view(-1, 3), left.device.type == "cpu"
    step = BAND if on_cpu else max(1, len(flat))
    starts = range(0, len(flat), step)
    cores = min(torch.get_num_threads() if on_cpu else 1, len(starts))

    def share(core: int) -> None:
        light, index = (empty(left, 9, step, dtype=dtype) for dtype in (torch.float32, torch.int32))
        for start in starts[core::cores]:
            band = [tensor[start : start + step] for tensor in (*eyes, flat)]
            _mix_band(band[:2], weights, tables, light[:, : len(band[0])], index[:, : len(band[0])], band[2])

    parallel_map(share, range(cores)) if on_cpu else share(0)
    return picture


def _mix_band(
    eyes: list[Tensor], weights: Tensor, tables: list[Tensor], light: Tensor, index: Tensor, picture: Tensor
) -> None:
    """Mix channel by channel, in memory order; ``light`` and ``index`` ``[9, n]`` are scratch buffers."""
    for plane, place, color in zip(light, index, (color for eye in eyes for color in eye.unbind(1))):
        plane.copy_(color)
        if tables:
            _look_up(tables[0], plane, place)
    mixed = torch.mm(weights, light[:6], out=light[6:])
    for plane, place, color in zip(mixed, index[6:], picture.unbind(1)):
        if tables:
            _look_up(tables[1], plane, place)
        color.copy_(plane)


def _look_up(table: Tensor, plane: Tensor, index: Tensor) -> None:
    """Replace the values of ``plane`` (0..1) by those of ``table``; NaN becomes the first entry."""
    index.copy_(plane.clamp_(0, 1).mul_(LEVELS - 1).add_(0.5)).clamp_(min=0)
    torch.index_select(table, 0, index, out=plane)


def _linear(color: Tensor) -> Tensor:
    return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _srgb(light: Tensor) -> Tensor:
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
