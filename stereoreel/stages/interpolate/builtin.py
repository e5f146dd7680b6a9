"""Frame interpolation by optical flow: flow both ways, projected in time, then a warp and a visibility blend.

Each pair of frames is processed independently; each view has its own motion, and depth follows its view. Only
the options of time and ``quality`` apply, not those of models.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...core.host import Host
from ...image.flow import grayscale
from . import InterpolateOptions
from .on_device import DeviceFlow
from .pairs import Moment, OutputFrame
from .projection import Between, Motion, compose, disagreement, measure, project
from .stage import LOST, SURE, Interpolated, InterpolationStage


def load(entry, options: InterpolateOptions, host: Host) -> InterpolationStage:
    return InterpolationStage(FlowInterpolator(options.quality), options)


class FlowInterpolator:
    """Frames by measured motion, one at a time."""

    def __init__(self, quality: str):
        self.nets: list[nn.Module] = []
        self.quality, self._there = quality, DeviceFlow(quality)

    def begin(self, chunk: Tensor) -> list[dict] | None:
        """Begin to fetch what is needed of the frames of a GPU; return what each of them is to keep."""
        return self._there.begin(chunk) if chunk.is_cuda else None

    def batch_size(self, info: ClipInfo) -> int:
        return 1

    def interpolate(self, wanted: list[OutputFrame]) -> list[Interpolated]:
        return [
            self._there.interpolate(one) if one.left.chunks["clip"].is_cuda else self._one(one)
            for one in wanted
        ]

    def _one(self, one: OutputFrame) -> Interpolated:
        betweens = [project(motion, float(one.t)) for motion in self._motions(one.left, one.right)]
        left, right = _views(one.left), _views(one.right)
        chunks = {
            port: _chunk(left[port], right[port], betweens, tensor, port == "clip")
            for port, tensor in one.left.chunks.items()
        }
        return Interpolated(chunks, _trust(betweens, one.left.chunks["clip"]))

    def _motions(self, left: Moment, right: Moment) -> list[Motion]:
        """Return each view's motion, measured once for all times between two frames."""
        known = left.kept.get("motions")
        # by number: a reference to the next frame would keep the complete shot alive
        if known is None or known[0] != right.number:
            left.kept["motions"] = known = (
                right.number,
                [measure(*pair, self.quality) for pair in zip(_luma(left), _luma(right))],
            )
        return known[1]


def _views(moment: Moment) -> dict[str, list[np.ndarray]]:
    """Return the views of each port, float32 ``[H, W, C]``."""
    if "views" not in moment.kept:
        moment.kept["views"] = {
            port: [
                np.ascontiguousarray(view.cpu().float().numpy())
                for view in tensor.reshape(-1, *tensor.shape[-3:])
            ]
            for port, tensor in moment.chunks.items()
        }
    return moment.kept["views"]


def _luma(moment: Moment) -> list[np.ndarray]:
    if "luma" not in moment.kept:
        moment.kept["luma"] = [grayscale(torch.from_numpy(view)[None])[0] for view in _views(moment)["clip"]]
    return moment.kept["luma"]


def _chunk(
    left: list[np.ndarray], right: list[np.ndarray], betweens: list[Between], like: Tensor, cubic: bool
) -> Tensor:
    """Return one interpolated port; a single view follows the first view's motion."""
    views = [compose(first, second, between, cubic) for first, second, between in zip(left, right, betweens)]
    return _stacked(views).reshape(like.shape).to(like.dtype).to(like.device)


def _trust(betweens: list[Between], like: Tensor) -> Tensor:
    """Return the frame's confidence ``[(2,) 1, H, W, 1]``, from the difference of the two warped images."""
    import cv2

    apart = [
        cv2.resize(disagreement(between), like.shape[-2:-4:-1], interpolation=cv2.INTER_LINEAR)
        for between in betweens
    ]
    trust = ((LOST - _stacked(apart)) / (LOST - SURE)).clamp_(0, 1)
    return trust.reshape(*like.shape[:-1], 1).to(like.dtype).to(like.device)


def _stacked(views: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(views[0][None] if len(views) == 1 else np.stack(views))
