"""Interpolation by optical flow for frames on a GPU: their motion is found on the host, from small lumas.

A byte for each pixel at the size that is searched goes down per frame, and nine bytes for each cell of the
motion's grid come up. The frames are warped and mixed where they are; see ``projection.compose``.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...image.host_flow import SmallLumas, fixed_point, sample, send, small_lumas, spread
from ...image.resize import Resizer
from .overlaid import lay, placed
from .pairs import Moment, OutputFrame
from .projection import NOTHING, Between, Motion, disagreement, measure, measured_size, project
from .stage import LOST, SURE, Interpolated

APART = LOST / 255  # that a step of 8 bits stands for


class DeviceFlow:
    """What ``FlowInterpolator`` does, where the frames are."""

    def __init__(self, quality: str):
        self.quality = quality
        self._resizer = Resizer()

    def begin(self, chunk: Tensor) -> list[dict]:
        """Begin to fetch the lumas of a chunk ``[(2,) T, H, W, C]``; return what each frame is to keep."""
        views = chunk.reshape(-1, *chunk.shape[-3:])
        width, height = measured_size(*chunk.shape[-3:-1])
        lumas = SmallLumas(small_lumas(views, (height, width), self._resizer))
        count = chunk.shape[-4]
        return [{"lumas": (lumas, range(index, len(views), count))} for index in range(count)]

    def interpolate(self, one: OutputFrame) -> Interpolated:
        """Return one frame between two others."""
        clip = one.left.chunks["clip"]
        motions = self._motions(one.left, one.right, clip.shape[-3:-1])
        betweens = [project(motion, float(one.t)) for motion in motions]
        ways = [Way(between, clip.device, clip.shape[-3:-1]) for between in betweens]
        chunks = {
            port: _stacked(
                [
                    way.composed(*pair, port == "clip")
                    for way, *pair in zip(
                        ways, *(_views(side.chunks[port]) for side in (one.left, one.right))
                    )
                ],
                tensor,
            )
            for port, tensor in one.left.chunks.items()
        }
        return Interpolated(chunks, _stacked([way.trust() for way in ways], clip[..., :1]))

    def _motions(self, left: Moment, right: Moment, shape: torch.Size) -> list[Motion]:
        """Return each view's motion, measured once for all times between two frames."""
        known = left.kept.get("motions")
        # by number: a reference to the next frame would keep the complete shot alive
        if known is None or known[0] != right.number:
            pairs = zip(self._lumas(left), self._lumas(right))
            motions = [measure(*pair, self.quality, (shape[0], shape[1])) for pair in pairs]
            left.kept["motions"] = known = (right.number, motions)
        return known[1]

    def _lumas(self, moment: Moment) -> list[np.ndarray]:
        if "lumas" not in moment.kept:
            moment.kept.update(self.begin(moment.chunks["clip"])[0])
        lumas, views = moment.kept["lumas"]
        return [lumas[view] for view in views]


class Way:
    """Motion at a time between two frames ``[H, W, C]`` of size ``(H, W)``, on their device."""

    def __init__(self, between: Between, device: torch.device, size: torch.Size):
        mean, step = fixed_point(between.mean)
        weights = [weight.astype(np.float16) for weight in (between.first_weight, between.second_weight)]
        apart = np.rint(np.minimum(disagreement(between), LOST) / APART).astype(np.uint8)
        mean_there, *there, self._apart = send([mean, *weights, apart], device)
        self._mean, self._grid = mean_there.float().mul_(step), there
        self._time, self._layers, self._size = between.t, between.motion.layers, size

    def composed(self, first: Tensor, second: Tensor, cubic: bool) -> Tensor:
        """Render a frame, float32, from two of one size, whatever size the motion was measured at."""
        height, width = first.shape[:2]
        rows, columns = self._mean.shape[:2]
        way = spread(self._mean, height, width, (width / columns, height / rows))
        parts = -self._time, 1 - self._time
        weights = [_grown(weight, height, width).add_(NOTHING) for weight in self._grid]
        shown = [placed(layer, 0.0, first) for layer in self._layers]
        for layer, here in zip(self._layers, shown):  # a layer covers what moves behind it
            ends = here, placed(layer, 1.0, first)
            for weight, end, part in zip(weights, ends, parts):
                weight *= 1 - sample(end[..., None], way, part, cubic=False)[..., 0]
                weight += NOTHING
        one, other = (sample(image, way, part, cubic) for image, part in zip((first, second), parts))
        share = (weights[0] / (weights[0] + weights[1]))[..., None]
        mixed = torch.lerp(other, one, share).clamp_(0, 1)
        for layer in self._layers:
            lay(mixed, first, second, layer, self._time, smooth=cubic)
        return mixed

    def trust(self) -> Tensor:
        """Return the confidence ``[H, W, 1]``."""
        apart = _grown(self._apart, *self._size).mul_(APART)
        return ((LOST - apart) / (LOST - SURE)).clamp_(0, 1)[..., None]


def _grown(values: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(values.float()[None, None], (height, width), mode="bilinear", align_corners=False)[
        0, 0
    ]


def _views(chunk: Tensor) -> Tensor:
    return chunk.reshape(-1, *chunk.shape[-3:])


def _stacked(views: list[Tensor], like: Tensor) -> Tensor:
    """Return views as a chunk; a port with a single view follows the first view's motion."""
    return torch.stack(views).reshape(like.shape).to(like.dtype)
