"""Red-cyan pictures: two eyes mixed so that coloured glasses part them again."""

from __future__ import annotations

import torch
from torch import Tensor

Matrix = tuple[tuple[float, float, float], ...]

# Rows give red, green, blue. E. Dubois, "A projection method to generate anaglyph stereo images", ICASSP 2001; for linear light.
DUBOIS = (((.437, .449, .164), (-.062, -.062, -.024), (-.048, -.050, -.017)),
          ((-.011, -.032, -.007), (.377, .761, .009), (-.026, -.093, 1.234)))

# The classic mixtures of numbers as they are stored; gray is the luma of BT.601.
LUMA, NOTHING, RED, GREEN, BLUE = (.299, .587, .114), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)
COLOR = ((RED, NOTHING, NOTHING), (NOTHING, GREEN, BLUE))
HALF_COLOR = ((LUMA, NOTHING, NOTHING), (NOTHING, GREEN, BLUE))
GRAY = ((LUMA, NOTHING, NOTHING), (NOTHING, LUMA, LUMA))


def dubois(left: Tensor, right: Tensor) -> Tensor:
    """The picture ``[T, H, W, 3]`` of two eyes ``[T, H, W, C]``, mixed in linear light (sRGB curve)."""
    return _srgb(mix(_linear(left), _linear(right), DUBOIS).clamp(0, 1))


def mix(left: Tensor, right: Tensor, matrices: tuple[Matrix, Matrix]) -> Tensor:
    """The sum ``[T, H, W, 3]`` of each eye's colours times its matrix; one channel counts as gray, a fourth is left out."""
    return sum(eye[..., :3].float().expand(*eye.shape[:-1], 3) @ torch.tensor(matrix, dtype=torch.float32, device=eye.device).T
               for eye, matrix in zip((left, right), matrices))


def _linear(color: Tensor) -> Tensor:
    color = color.float().clamp(0, 1)
    return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _srgb(light: Tensor) -> Tensor:
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
