"""Live sessions for a Python loop: ``Upscaler`` after a generator, ``PostProcessor`` for applications."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.host import Host
from ..models.catalog import module
from ..models.headless import Headless
from ..models.lazy_stage import Plan
from .frames import as_tensor
from .latency import Figures
from .session import CONSTANT, READY, Session


class Upscaler:
    """Frames ``[T, H, W, C]`` in, larger (or more) frames out, a tensor on the device of the input.

    A push takes a tensor, a NumPy array, or a list of either, float 0..1 or uint8, and raises TypeError for
    anything else.

        with Upscaler("realesrgan-x2plus", factor=2) as upscaler:
            for frames in generator:              # 1 or 12 frames, float 0..1 or uint8
                show(upscaler.push(frames))
            show(upscaler.flush())

    ``kind`` is upscale, vsr or interpolate; ``options`` are those of its node. Without ``constant`` delay a
    push returns what is ready, 0 to k frames. ``beside`` lets a push return while its frames are still
    processed, so that the generator can continue; with a constant delay, ``delay`` then sets how many frames
    later they are due (one burst hides one burst's work). ``device`` may differ from the generator's.
    """

    def __init__(
        self,
        model: str = "auto",
        *,
        kind: str = "upscale",
        device: str | torch.device | None = None,
        host: Host | None = None,
        constant: bool = False,
        beside: bool = False,
        delay: int = 0,
        fps: Fraction | int = 24,
        cuts="auto",
        **options,
    ):
        host = host or Headless(device)
        self._session = Session(host, beside)
        usual: dict[str, Any] = getattr(module(kind), "live_options", lambda device: {})(host.device)
        usual = {"live": "upscaler", **usual}  # so that auto selects a model for real time
        self._kind, self._options = kind, {**usual, **options, "model": model}
        self._given = dict(fps=fps, mode=CONSTANT if constant else READY, delay=delay, cuts=cuts)
        self._plan = Plan(kind, self._options, kind)
        self._home: torch.device | None = None

    def push(self, frames: Tensor | np.ndarray | Sequence) -> Tensor:
        """Take the next frames; return what is ready, or due. The host does not wait for a GPU stream."""
        frames = as_tensor(frames, self._kind)
        self._home = frames.device
        return self._back(self._session.push(self._plan, frames, **self._given)["clip"])

    def flush(self) -> Tensor:
        """Return all pending results, when the generator has ended or pauses."""
        result = self._session.flush()
        return self._back(result["clip"]) if result else torch.empty(0)

    def change(self, **options) -> None:
        """Set options (also ``model``) from the next push on."""
        self._options |= options
        self._plan = Plan(self._kind, self._options, self._kind)

    @property
    def delay(self) -> int:
        """The constant delay in input frames, in other modes the largest; known from the first push on."""
        return self._session.delay

    @property
    def latency(self) -> float:
        """The median milliseconds from a frame's arrival to its result."""
        return self.figures.p50

    @property
    def figures(self) -> Figures:
        return self._session.figures

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _back(self, result: Tensor) -> Tensor:
        """Return a tensor on the device of the input frames.

        If that is the CPU, it goes through pinned memory, with one synchronisation.
        """
        if result.is_cuda and self._home is not None and self._home.type == "cpu":
            pinned = torch.empty(result.shape, dtype=result.dtype, pin_memory=True).copy_(
                result, non_blocking=True
            )
            torch.cuda.current_stream(result.device).synchronize()
            return pinned
        return result.to(self._home, non_blocking=True)


class PostProcessor:
    """For streaming applications, called after their generator: ``video`` in, a dict with ``video`` out.

    There is one frame for each. ``video`` is a tensor ``[T, H, W, C]`` or a list of ``[1, H, W, C]``
    (Daydream Scope), uint8 or float 0..1; the result is float 0..1. Keywords named like options of the stage
    change them while it runs.
    """

    def __init__(self, device: str | torch.device | None = None, **options):
        self.upscaler = Upscaler(**{"constant": True, **options}, device=device)

    def __call__(self, video: Tensor | np.ndarray | Sequence, **changes) -> dict[str, Tensor]:
        if changes:
            self.upscaler.change(**changes)
        return {"video": self.upscaler.push(video)}

    def cleanup(self) -> None:
        self.upscaler.close()
