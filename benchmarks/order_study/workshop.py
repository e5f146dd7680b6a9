"""Orders of stages over footage with exact truth; stages that orders share are computed once.

Depth has the same input size in all orders: frames are resized to it with antialiasing, whatever their
size. The model's output is fitted to the truth by one scale and one shift per shot; then its edges are
aligned with those of the frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from stereoreel.core.clip import Clip
from stereoreel.core.host import Host
from stereoreel.core.per_eye import TIME
from stereoreel.core.pull import pull
from stereoreel.image.edge_snap import snap
from stereoreel.image.resize import resize
from stereoreel.workflow.build import stage
from stereoreel.workflow.node import Node
from stereoreel.workflow.orders import BY_KIND

from .truth import DIVERGENCE, Truth, all_frames, area, kept

STEREO = {"divergence": DIVERGENCE, "convergence_mode": "fixed", "convergence": 0.0}
EXACT = "exact"  # the depth model that returns the truth


@dataclass(frozen=True)
class Seen:
    """How depth is computed: the name of the ``model`` or ``EXACT``, and its input height ``lines``.

    None is the height of the frame.
    """

    model: str
    lines: int | None
    antialiased: bool = True

    @property
    def exact(self) -> bool:
        return self.model == EXACT

    def __str__(self) -> str:
        return f"{self.model} {self.lines or 'full'}"


@dataclass
class Cost:
    """The cost of a stage: seconds, which vary from run to run, and input and output pixels, which do not."""

    kind: str
    seconds: float
    pixels: int


@dataclass(frozen=True)
class Computed:
    """The result of a stage: its clips, its cost, and what a depth model predicted.

    The inputs are kept alive because results are looked up by their identity.
    """

    clips: dict[str, Clip]
    inputs: dict[str, Clip]
    cost: Cost
    predicted: Tensor | None


@dataclass
class Workshop:
    """Compute the stages of orders over one source, each only once; pass its ``make`` to ``trial``."""

    truth: Truth
    host: Host
    seen: Seen = Seen(EXACT, None)
    computed: dict[tuple, Computed] = field(default_factory=dict)
    used: list[Cost] = field(default_factory=list)  # until the caller clears it
    # by identity; keeping the tensor keeps its identity unique
    scores: dict[int, tuple[Tensor, dict[str, float]]] = field(default_factory=dict)
    # depth at the size of the frames, by the identity of both
    snapped: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    # the depth model's last output ``[T, h, w]`` at its input size, in the truth's scale
    predicted: Tensor | None = None

    def make(self, node: Node, inputs: Mapping[str, Clip], options: Mapping, number: str) -> dict[str, Clip]:
        """Return the same as ``build.stage``, with all frames computed and kept."""
        clips = {socket: clip for socket, clip in inputs.items() if clip is not None}
        key = (
            node.kind,
            tuple((socket, id(clip.maker), clip.port) for socket, clip in clips.items()),
            tuple(sorted(options.items())),
            self.seen if node.kind == "depth" else None,
        )
        if key not in self.computed:
            begin, predicted = time.perf_counter(), None
            if node.kind == "depth":
                depth, predicted = self._depth(clips["clip"], options.get("edges") != "smooth")
                results = {"depth": depth}
            else:
                results = self._pulled(stage(node, clips, options, number), clips)
            pixels = sum(area(clip) for clip in (*clips.values(), *results.values()))
            cost = Cost(node.kind, time.perf_counter() - begin, pixels)
            self.computed[key] = Computed(results, clips, cost, predicted)
        known = self.computed[key]
        self.used.append(known.cost)
        self.predicted = self.predicted if known.predicted is None else known.predicted
        return known.clips

    def scored(self, depth: Tensor, score: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Return the scores of a tensor, computed once."""
        if id(depth) not in self.scores:
            self.scores[id(depth)] = depth, score()
        return self.scores[id(depth)][1].copy()

    def depth_in_stereo(self, depth: Clip, frames: Clip) -> Tensor:
        """Return depth as Stereo uses it, ``[T, H, W, 1]``: smaller maps get their edges from the frames."""
        small, images = all_frames(depth), all_frames(frames)
        if small.shape[1:3] == images.shape[1:3]:
            return small
        key = id(small), id(images)
        if key not in self.snapped:
            maps = [snap(*pair) for pair in zip(small[..., 0], images)]
            self.snapped[key] = torch.stack(maps)[..., None]
        return self.snapped[key]

    def _pulled(self, outputs: Mapping, inputs: Mapping[str, Clip]) -> dict[str, Clip]:
        ports = [
            port
            for port in ("clip", "depth")
            if isinstance(outputs.get(port), Clip) and (port == "clip" or port in inputs)
        ]
        chunks = zip(*pull([outputs[port] for port in ports], self.host))
        return {
            port: kept(torch.cat(some, TIME), port, outputs[port].info.fps)
            for port, some in zip(ports, chunks)
        }

    def _depth(self, clip: Clip, snapped: bool) -> tuple[Clip, Tensor]:
        """Return depth at the size of the clip and at the model's input size.

        With ``snapped``, the edges of the first are aligned with those of the frames.
        """
        frames = all_frames(clip)
        size = self._size(frames)
        true = self.truth.depth_at(*size, every=len(self.truth.frames) // len(frames))
        low = true if self.seen.exact else aligned(self._guess(frames), true)
        if self.seen.lines is None:
            depth = low[..., None]
        elif snapped:
            depth = torch.stack([snap(*pair) for pair in zip(low, frames)])[..., None]
        else:
            depth = resize(low[..., None], *frames.shape[1:3], method="bilinear")
        return kept(depth, "depth", clip.info.fps), low

    def shown(self, frames: Tensor) -> Tensor:
        """Return the frames at the input size of the depth model."""
        if self.seen.antialiased:
            return resize(frames, *self._size(frames), method="bilinear")
        return F.interpolate(
            frames.movedim(-1, 1), self._size(frames), mode="bilinear", align_corners=False
        ).movedim(1, -1)

    def _size(self, frames: Tensor) -> tuple[int, int]:
        height, width = frames.shape[1:3]
        lines = self.seen.lines or height
        return lines, round(lines * width / height)

    def _guess(self, frames: Tensor) -> Tensor:
        options = {"model": self.seen.model, "resolution": "native", "edges": "smooth"}
        inputs = {"clip": kept(self.shown(frames), "input of the depth model")}
        depth = stage(BY_KIND["depth"], inputs, options, "")["depth"]
        return torch.cat([chunk for (chunk,) in pull(depth, self.host)])[..., 0]


def aligned(depth: Tensor, truth: Tensor) -> Tensor:
    """Return the depth of a shot with the truth's scale and shift, by least squares, clamped to 0..1."""
    given, wanted = depth.double().flatten(), truth.double().flatten()
    centred = given - given.mean()
    slope = (centred * (wanted - wanted.mean())).sum() / centred.square().sum().clamp(min=1e-12)
    return (slope * (depth.double() - given.mean()) + wanted.mean()).clamp(0, 1).float()
