"""A custom checkpoint: RIFE or FILM, detected by its tensors."""

from __future__ import annotations

from ...core.host import Host
from ...models import weights
from . import InterpolateOptions, film, rife
from .stage import InterpolationStage


def load(entry, options: InterpolateOptions, host: Host) -> InterpolationStage:
    state = weights.read(host.weights(entry.kind, entry.file))
    kind = film if any("predict_flow." in key for key in state) else rife
    return kind.load(entry, options, host)
