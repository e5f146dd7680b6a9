"""A custom checkpoint: RIFE or FILM, detected by its tensors."""

from __future__ import annotations

from pathlib import Path

from ...core.host import Host
from ...models import weights
from ...nets import rife as rife_nets
from . import InterpolateOptions, film, rife
from .stage import InterpolationStage


def unfit(path: Path) -> str | None:
    """Return why a file fits no RIFE, in one sentence, or None if it does; no network is built."""
    try:
        state = weights.read(path)
        with weights.loading(path):
            rife_nets.detect(rife_nets.clean(state))
    except ValueError as error:
        return str(error)
    return None


def load(entry, options: InterpolateOptions, host: Host) -> InterpolationStage:
    state = weights.read(host.weights(entry.kind, entry.file))
    kind = film if any("predict_flow." in key for key in state) else rife
    return kind.load(entry, options, host)
