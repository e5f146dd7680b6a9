"""NVIDIA's Video Frame Generation, through the optional package nvidia-vfx, proprietary, from NVIDIA.

``quality`` selects its low or medium mode. It exposes neither motion vectors nor confidence: depth, and the
confidence for ``uncertain``, come from builtin's motion, which takes time on the CPU; otherwise confidence is
1. Of the other options, only those of time apply.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...core.host import Host
from ..nvidia_vfx import Effect, effects, level, planes
from . import InterpolateOptions
from .builtin import FlowInterpolator
from .overlaid import Overlaid
from .pairs import Moment, OutputFrame
from .stage import Interpolated, InterpolationStage, trusted

NAME = "NVIDIA Video Frame Generation"
MODES = {"fast": "LOW", "medium": "MEDIUM"}
WORKING = 256  # bytes of working memory per pixel


def load(entry, options: InterpolateOptions, host: Host) -> InterpolationStage:
    return InterpolationStage(Overlaid(GenerationInterpolator(options, host.device)), options)


class GenerationInterpolator:
    """Interpolate one frame at a time, each view independently."""

    def __init__(self, options: InterpolateOptions, device: torch.device):
        self.nets: list[nn.Module] = []
        self.options, self.device = options, device
        generation = getattr(effects(), "VideoFrameGeneration", None)
        if generation is None:
            raise RuntimeError(
                f"{NAME} needs nvidia-vfx 0.2 or newer. Run `python -m pip install -U nvidia-vfx`."
            )
        self.generation = generation
        self.mode = level(self.generation.Mode, MODES[options.quality])
        self.motion = FlowInterpolator(options.quality)
        self.effect: tuple[tuple[int, int], Effect] | None = None  # with its input size

    def batch_size(self, info: ClipInfo) -> int:
        return 1

    def memory(self, info: ClipInfo) -> int:
        return WORKING * info.width * info.height

    def interpolate(self, wanted: list[OutputFrame]) -> list[Interpolated]:
        return [self._one(one) for one in wanted]

    def _one(self, one: OutputFrame) -> Interpolated:
        like = one.left.chunks["clip"]
        views = zip(self._known(one.left), self._known(one.right))
        pictures = (
            torch.stack([self._between(*pair, float(one.t)) for pair in views]).movedim(1, -1).clamp(0, 1)
        )
        picture = pictures.reshape(*like.shape[:-1], 3).to(like.dtype)
        if like.shape[-1] > 3:
            alpha = torch.lerp(like[..., 3:], one.right.chunks["clip"][..., 3:], float(one.t))
            picture = torch.cat([picture, alpha.to(picture)], -1)
        if "depth" not in one.left.chunks and self.options.uncertain == "keep":
            return Interpolated({"clip": picture}, trusted(picture, 1))
        moved = self.motion.interpolate([one])[0]
        return Interpolated({**moved.chunks, "clip": picture}, moved.trust)

    def _known(self, moment: Moment) -> list[Tensor]:
        """Return each view of a source frame as effect input, computed once for all frames around it."""
        if "planes" not in moment.kept:
            chunk = moment.chunks["clip"]
            moment.kept["planes"] = [
                planes(view, self.device) for view in chunk.reshape(-1, *chunk.shape[-3:])
            ]
        return moment.kept["planes"]

    def _between(self, first: Tensor, second: Tensor, time: float) -> Tensor:
        wanted = first.shape[-1], first.shape[-2]
        if self.effect is None or self.effect[0] != wanted:
            self.effect = None  # frees the memory of the last one
            # the clip has its own cuts
            begin = partial(self.generation, mode=self.mode, automatic_shot_change_detection_enabled=False)
            self.effect = (
                wanted,
                Effect(NAME, self.device, begin, input_width=wanted[0], input_height=wanted[1]),
            )
        return self.effect[1].run("run_at_timestep", first, second, time)
