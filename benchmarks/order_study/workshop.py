"""Orders of stages over footage whose truth is known: every order made of the same parts, each part made
once.

Depth is held at one number of lines for all orders: the frames are brought to it with antialiasing, whatever
their size, the model sees those, what it says is fitted to the truth by one scale and shift a shot, and its
edges are then put on the frames' own.
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
EXACT = "exact"  # the depth model that knows the truth


@dataclass(frozen=True)
class Seen:
    """What depth is made with: ``model`` by name, or ``EXACT``, and the ``lines`` of the picture that it
    sees; None: the frame's own.
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
    """What making one stage took: seconds, which no two runs agree on, and pixels taken in and given out,
    which all do.
    """

    kind: str
    seconds: float
    pixels: int


@dataclass(frozen=True)
class Made:
    """What a stage gave, the clips that it was given (held, for they are known by identity), its cost, and
    what a depth model told.
    """

    clips: dict[str, Clip]
    inputs: dict[str, Clip]
    cost: Cost
    told: Tensor | None


@dataclass
class Workshop:
    """Makes the stages of orders over one source, each once however many orders have it. Give its ``make`` to
    ``trial``.
    """

    truth: Truth
    host: Host
    seen: Seen = Seen(EXACT, None)
    made: dict[tuple, Made] = field(default_factory=dict)
    used: list[Cost] = field(default_factory=list)  # since it was last emptied
    # by identity, with the tensor, so that no other gets it
    scores: dict[int, tuple[Tensor, dict[str, float]]] = field(default_factory=dict)
    # depth at the size of frames, by the identity of both
    meetings: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    # by the depth model when it was last asked, ``[T, h, w]`` at the lines that it saw, in the truth's scale
    told: Tensor | None = None

    def make(self, node: Node, inputs: Mapping[str, Clip], options: Mapping, number: str) -> dict[str, Clip]:
        """As ``build.stage``, with all frames computed and kept."""
        clips = {socket: clip for socket, clip in inputs.items() if clip is not None}
        key = (
            node.kind,
            tuple((socket, id(clip.maker), clip.port) for socket, clip in clips.items()),
            tuple(sorted(options.items())),
            self.seen if node.kind == "depth" else None,
        )
        if key not in self.made:
            begin, told = time.perf_counter(), None
            if node.kind == "depth":
                depth, told = self._depth(clips["clip"], options.get("edges") != "smooth")
                made = {"depth": depth}
            else:
                made = self._pulled(stage(node, clips, options, number), clips)
            pixels = sum(area(clip) for clip in (*clips.values(), *made.values()))
            self.made[key] = Made(made, clips, Cost(node.kind, time.perf_counter() - begin, pixels), told)
        known = self.made[key]
        self.used.append(known.cost)
        self.told = self.told if known.told is None else known.told
        return known.clips

    def scored(self, depth: Tensor, score: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The scores of a tensor, found once."""
        if id(depth) not in self.scores:
            self.scores[id(depth)] = depth, score()
        return self.scores[id(depth)][1].copy()

    def met(self, depth: Clip, frames: Clip) -> Tensor:
        """Depth as Stereo has it, ``[T, H, W, 1]``: where it is smaller than the frames its edges are put on
        theirs.
        """
        small, pictures = all_frames(depth), all_frames(frames)
        if small.shape[1:3] == pictures.shape[1:3]:
            return small
        key = id(small), id(pictures)
        if key not in self.meetings:
            self.meetings[key] = torch.stack([snap(*pair) for pair in zip(small[..., 0], pictures)])[
                ..., None
            ]
        return self.meetings[key]

    def _pulled(self, made: Mapping, inputs: Mapping[str, Clip]) -> dict[str, Clip]:
        ports = [
            port
            for port in ("clip", "depth")
            if isinstance(made.get(port), Clip) and (port == "clip" or port in inputs)
        ]
        chunks = zip(*pull([made[port] for port in ports], self.host))
        return {
            port: kept(torch.cat(some, TIME), port, made[port].info.fps) for port, some in zip(ports, chunks)
        }

    def _depth(self, clip: Clip, snapped: bool) -> tuple[Clip, Tensor]:
        """Depth of a clip at its size, as it is held here, and at the lines that the model sees; ``snapped``:
        its edges on the frames'.
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
        """Frames as the depth model sees them."""
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
        made = stage(
            BY_KIND["depth"], {"clip": kept(self.shown(frames), "frames as depth sees them")}, options, ""
        )["depth"]
        return torch.cat([chunk for (chunk,) in pull(made, self.host)])[..., 0]


def aligned(depth: Tensor, truth: Tensor) -> Tensor:
    """Depth of a shot brought to the truth's scale and shift by least squares over all of its pixels, in
    0..1.
    """
    given, wanted = depth.double().flatten(), truth.double().flatten()
    centred = given - given.mean()
    slope = (centred * (wanted - wanted.mean())).sum() / centred.square().sum().clamp(min=1e-12)
    return (slope * (depth.double() - given.mean()) + wanted.mean()).clamp(0, 1).float()
