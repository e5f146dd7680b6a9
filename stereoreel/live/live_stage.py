"""A stage set up for frames of one format: its inputs, outputs and delay, and its run over a shot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain

import torch
from torch import Tensor

from ..core.clip import ClipInfo, Shot, Stage
from ..core.error_context import naming
from ..core.host import Host
from ..core.per_eye import TIME, Chunk, fan_out, merge_views
from ..core.pull import chunk_bytes, frames_at_once
from ..core.timeline import output_edge
from ..image.resize import resize
from ..models.catalog import module
from ..models.lazy_stage import Plan
from .stage_thread import StageThread

ENDLESS = 1 << 40  # frames of a clip without a known end
OF_LIVE = ("live", "live_mode", "download")  # options that do not change a stage's results


def info_of(frames: Tensor, fps: Fraction) -> ClipInfo:
    """Return the facts of an endless clip of frames ``[T, H, W, C]`` or ``[2, T, H, W, C]``."""
    height, width, channels = frames.shape[-3:]
    return ClipInfo(width, height, fps, ENDLESS, channels=channels, views=2 if frames.ndim == 5 else 1)


def key_of(plan: Plan) -> tuple:
    """Return the key of a stage: equal for plans that compute the same."""
    return plan.kind, tuple(
        sorted((name, value) for name, value in vars(plan.settings).items() if name not in OF_LIVE)
    )


class LiveStage:
    """A loaded stage and its input clips.

    ``delay`` is how many input frames it buffers at most, ``rate`` the outputs per frame.
    """

    def __init__(self, plan: Plan, stage: Stage, infos: tuple[ClipInfo, ...], host: Host):
        if getattr(plan.settings, "loop", False):
            raise ValueError(
                "A live session has no last frame, so it does not support loop. Turn one of them off."
            )
        self.label, self.key, self.stage, self.infos, self.host = plan.label, key_of(plan), stage, infos, host
        described = plan.describe(*infos)
        self.outputs: Mapping[str, ClipInfo] = (
            described if isinstance(described, Mapping) else {"clip": described}
        )
        rate = getattr(module(plan.kind), "target_fps", None)
        self.fps = rate(plan.settings, infos[0]) if rate else infos[0].fps
        self.rate = self.fps / infos[0].fps
        self.delay: int = stage.delay(infos[0]) if hasattr(stage, "delay") else 0
        self.remembers: bool = getattr(stage, "remembers", True)
        self.thread: StageThread | None = None
        self._places: list[int] | None = None
        self._placed: object = None  # ComfyUI tracks what it placed weakly: this reference keeps it

    @property
    def buffered(self) -> int:
        """The outputs that are pending before the first one is certain."""
        return math.ceil(self.delay * self.rate)

    def edge(self, taken: int) -> int:
        """Return how many outputs belong to the first ``taken`` frames."""
        return output_edge(taken, self.infos[0], self.fps)

    def place(self) -> None:
        """Move the networks to their device, if they were moved away; they stay while this object exists."""
        memory = self.stage.memory(*self.infos) if hasattr(self.stage, "memory") else 0
        if nets := self.stage.nets:
            self._placed = self.host.place(nets, memory + 4 * chunk_bytes(self.host.device))

    def moved(self) -> bool:
        """Whether the networks have moved since the last call, which invalidates recorded launches."""
        places = [
            tensor.data_ptr() for net in self.stage.nets for tensor in chain(net.parameters(), net.buffers())
        ]
        before, self._places = self._places, places
        return before not in (None, places)

    def for_frames(self, plan: Plan, infos: tuple[ClipInfo, ...]) -> LiveStage | None:
        """Return a stage for other frames or options with these networks; None if the options need others."""
        stage: Stage | None = self.stage
        if key_of(plan) != self.key:
            retuned = getattr(self.stage, "retuned", None) if plan.kind == self.key[0] else None
            stage = retuned(plan.settings) if retuned else None
        if not stage:
            return None
        adapted = LiveStage(plan, stage, infos, self.host)
        adapted._places = self._places
        return adapted

    def forget(self) -> None:
        """Stop, and release what was recorded."""
        self.close()
        if hasattr(self.stage, "forget"):
            self.stage.forget()

    def feed(self, chunks: tuple[Tensor, ...], start: int, stream: torch.cuda.Stream | None) -> None:
        """Pass the next frames of every input; ``start`` is the number of the first.

        It begins a shot if none is running.
        """
        if self.thread is None:
            self.thread = StageThread(_runner(self.stage, self.infos, start), stream)
        most = frames_at_once(self.host.device, self.infos, self.outputs.values())
        self.thread.feed(zip(*(chunk.split(most, TIME) for chunk in chunks)))

    @property
    def waiting(self) -> int:
        """The chunks that wait for the stage or are being processed."""
        return self.thread.waiting if self.thread else 0

    def ready(self, wait: bool = True) -> Iterator[dict[str, Tensor]]:
        with naming(self.label):
            yield from self.thread.outputs(wait) if self.thread else ()

    def finish(self) -> Iterator[dict[str, Tensor]]:
        """Yield the pending results of the shot; the next frame begins another."""
        with naming(self.label):
            yield from self.thread.drain() if self.thread else ()
        self.thread = None

    def close(self) -> None:
        if self.thread:
            self.thread.close()
        self.thread = None

    def stand_ins(self, inputs: tuple[Tensor, ...], numbers: list[int]) -> dict[str, Tensor]:
        """Return stand-ins for results: resized input frames of these numbers, with no confidence."""
        sources, result = dict(zip(("clip", "depth"), inputs)), {}
        for port, info in self.outputs.items():
            if port not in sources:
                result[port] = sources["clip"].new_zeros(*_shape(info, len(numbers)))
                continue
            frames = (
                sources[port]
                .index_select(TIME, torch.tensor(numbers, device=sources[port].device))
                .flatten(0, -4)
            )
            result[port] = resize(frames, info.height, info.width).view(_shape(info, len(numbers)))
        return result

    def empty(self, like: Tensor) -> dict[str, Tensor]:
        return {port: like.new_empty(*_shape(info, 0)) for port, info in self.outputs.items()}


def _shape(info: ClipInfo, count: int) -> tuple[int, ...]:
    return (*((2,) if info.views == 2 else ()), count, info.height, info.width, info.channels)


def _runner(stage: Stage, infos: tuple[ClipInfo, ...], start: int) -> Callable:
    """Return a function that runs the stage on one shot; a single-view stage runs on each view alone."""

    def work(chunks: Iterable[tuple[Tensor, ...]], drained: Callable[[], bool]) -> Iterator[Chunk]:
        shot, places = Shot(start, infos[0], drained), range(len(infos))
        if stage.joint or all(info.views == 1 for info in infos):
            return stage(shot, *fan_out(iter(chunks), [(place, None) for place in places]))
        picks = [
            (place, eye if info.views == 2 else None) for eye in (0, 1) for place, info in enumerate(infos)
        ]
        ways = fan_out(iter(chunks), picks)
        return merge_views(stage(shot, *ways[: len(infos)]), stage(shot, *ways[len(infos) :]))

    return work
