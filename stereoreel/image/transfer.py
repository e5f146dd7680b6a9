"""The transfer curve of sRGB (IEC 61966-2-1), continued beyond 0..1 and mirrored below 0."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Values = TypeVar("Values", Tensor, np.ndarray)


def srgb_from_linear(light: Values) -> Values:
    """Return display values, float, of linear light; 1 is white."""
    library = torch if isinstance(light, Tensor) else np
    size = library.abs(light)
    curved = 1.055 * library.where(size > 0.0031308, size, 1.0) ** (1 / 2.4) - 0.055
    return library.where(size > 0.0031308, library.copysign(curved, light), 12.92 * light)


def linear_from_srgb(values: Values) -> Values:
    """Return linear light of display values, float; 1 is white."""
    library = torch if isinstance(values, Tensor) else np
    size = library.abs(values)
    curved = ((size + 0.055) / 1.055) ** 2.4
    return library.where(size > 0.04045, library.copysign(curved, values), values / 12.92)
