"""One live session: frames in, frames out, with the stage's temporal state kept from push to push.

The results are those of the complete film, only later: the size and number of pushes change when a frame is
output, not its content.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor

from ..core.host import Host
from ..core.per_eye import TIME
from ..core.stage_cache import StageCache
from ..image.cut_detection import CutDetector, thumbnail
from ..models.lazy_stage import Plan
from .frames import to_device
from .latency import Figures, Numbers
from .live_stage import LiveStage, info_of, key_of
from .output_queue import OutputQueue, joined

CONSTANT, READY = MODES = ("constant delay", "as ready")
GAP = 5.0  # seconds without a push after which a new film begins
KEPT = 2  # stages that stay loaded: the current and the previous one
WAITING = 4  # chunks that may wait for a stage that runs asynchronously


class Session:
    """Keep a stage running between pushes.

    With ``beside`` a push waits only for frames that are due, not its own. ``gap`` and ``clock`` are in
    seconds. A session is not thread-safe: ``Sessions`` lets threads take turns.
    """

    def __init__(
        self,
        host: Host,
        beside: bool = False,
        gap: float = GAP,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.host, self.beside, self.gap, self.clock = host, beside, gap, clock
        self.stage: LiveStage | None = None
        self.numbers, self.delay = Numbers(), 0
        self.cuts: tuple[int, ...] = ()  # frames of the last push that begin a shot
        self._outputs, self._mode, self._last = OutputQueue(), (CONSTANT, 0), 0.0
        self._stages: StageCache[LiveStage] = StageCache(KEPT)
        self._stream = torch.cuda.Stream(host.device) if host.device.type == "cuda" else None
        self._begin()

    def _begin(self) -> None:
        self.taken, self._detector = 0, CutDetector()

    @property
    def fps(self) -> Fraction:
        """The rate of the output frames. Raise ValueError before the first push."""
        if not self.stage:
            raise ValueError("Nothing has been pushed yet. Push frames first.")
        return self.stage.outputs["clip"].fps

    @property
    def figures(self) -> Figures:
        return self.numbers.figures(self.delay)

    def push(
        self,
        plan: Plan,
        *inputs: Tensor,
        fps: Fraction | int = 24,
        mode: str = CONSTANT,
        delay: int = 0,
        cuts: str | Collection[int] = "auto",
    ) -> dict[str, Tensor]:
        """Take the next frames ``[T, H, W, C]`` (``[2, T, H, W, C]`` for two views) of every input.

        Return the due frames by output. With a constant delay that is one frame for each (several, if the
        stage raises the rate), the first ones plain resizes; ``delay`` makes it that many frames longer. ``as
        ready`` returns whatever is finished. Frames of another size or rate, and those after a gap, reset the
        session; another plan takes effect with the next frame. ``cuts``: auto, none, or frames counted from
        the start. A push that fails or is cancelled resets the session.
        """
        now = self.clock()
        with ExitStack() as undo:
            undo.callback(self.drop)
            inputs = tuple(to_device(frames, self.host.device, plan.label) for frames in inputs)
            stage = self._arrange(plan, inputs, Fraction(fps), (mode, delay), now)
            due = self._feed(stage, inputs, cuts, now)
            stands_in = min(self._outputs.pending, due) if mode == CONSTANT else 0
            self._collect(stage, due - stands_in if mode == CONSTANT else 0)
            result = self._given(stage, inputs, due if mode == CONSTANT else self._outputs.count, stands_in)
            undo.pop_all()
        self._last = self.clock()
        return result

    def flush(self) -> dict[str, Tensor]:
        """Return everything still pending; the next push starts from scratch."""
        if not (stage := self.stage):
            return {}
        with ExitStack() as undo:
            undo.callback(self.drop)  # in any case: nothing remains to be lost
            self._gather(stage.finish())
            return self._given(stage, (torch.empty(0, device=self.host.device),), self._outputs.count, 0)

    def drop(self) -> None:
        """Reset: frames that are not output yet are lost."""
        if self.stage:
            self.stage.close()
        self.numbers.dropped += self._outputs.clear()
        self._begin()

    def close(self) -> None:
        """Release the networks; a push would load them again."""
        self.drop()
        self._stages.clear()
        self.stage = None

    def _arrange(
        self, plan: Plan, inputs: tuple[Tensor, ...], fps: Fraction, mode: tuple[str, int], now: float
    ) -> LiveStage:
        """Return the stage for these frames, its networks in place.

        Its temporal state is kept if these frames continue the previous ones.
        """
        infos, before = tuple(info_of(frames, fps) for frames in inputs), self.stage
        if before and (now - self._last > self.gap or before.infos != infos or before.key[0] != plan.kind):
            self.drop()
        stage = self._loaded(plan, infos)
        other = stage is not before or mode != self._mode
        if before and self.taken and stage is not before:
            self._gather(before.finish())
        self.stage, self._mode = stage, mode
        moved = stage.moved()
        if moved:
            stage.forget()
        if moved or (self._outputs.count and before and before.outputs != stage.outputs):
            taken, detector = self.taken, self._detector
            self.drop()
            self.taken, self._detector, other = taken, detector, True
        if not self.taken:
            self.numbers.begin(now)
        if other or not self.taken:
            self._keep_pending(stage.buffered + math.ceil(mode[1] * stage.rate), mode[0])
            self.delay = stage.delay + mode[1] if mode[0] == CONSTANT else stage.delay
        return stage

    def _loaded(self, plan: Plan, infos: tuple) -> LiveStage:
        stage = self._stages.get((key_of(plan), infos), lambda: self._new(plan, infos))
        stage.place()
        return stage

    def _new(self, plan: Plan, infos: tuple) -> LiveStage:
        """Return a stage with the networks of a loaded one, if any fit."""
        known = (stage.for_frames(plan, infos) for stage in self._stages.stages())
        return next(filter(None, known), None) or LiveStage(plan, plan.load(self.host), infos, self.host)

    def _keep_pending(self, count: int, mode: str) -> None:
        """Keep ``count`` outputs pending: add stand-ins if there are fewer, drop the oldest if more."""
        waiting = self._outputs.expected
        self._outputs.pending = max(0, count - waiting) if mode == CONSTANT else 0
        if mode == CONSTANT and waiting > count:
            surplus = min(waiting - count, self._outputs.count)
            self._outputs.take(surplus)
            self.numbers.dropped += surplus

    def _feed(
        self, stage: LiveStage, inputs: tuple[Tensor, ...], cuts: str | Collection[int], now: float
    ) -> int:
        """Pass on the frames, each to its shot; return how many results belong to them."""
        count, before = inputs[0].shape[TIME], stage.edge(self.taken)
        found = self._cuts(stage, inputs[0], cuts)
        self.cuts = tuple(self.taken + cut for cut in found)
        for begin, end in pairwise([0, *filter(None, found), count]):
            if begin in found:
                self._gather(stage.finish())
            if end > begin:
                stage.feed(
                    tuple(frames.narrow(TIME, begin, end - begin) for frames in inputs),
                    self.taken,
                    self._stream,
                )
            self.taken += end - begin
        due = stage.edge(self.taken) - before
        self._outputs.expect(due, now)
        return due

    def _cuts(self, stage: LiveStage, frames: Tensor, cuts: str | Collection[int]) -> list[int]:
        """Return which of these frames begin a shot; only earlier frames decide, so live and film agree."""
        if not isinstance(cuts, str):
            return sorted(
                cut - self.taken for cut in cuts if 0 <= cut - self.taken < frames.shape[TIME] and cut
            )
        if cuts == "none" or not stage.remembers:
            return []
        shown = torch.cat(list(frames), -2) if frames.ndim == 5 else frames
        return [index for index, gray in enumerate(thumbnail(shown)) if self._detector.feed(gray)]

    def _gather(self, results: Iterable[dict[str, Tensor]]) -> None:
        for chunk in results:
            self._outputs.put(chunk)
            self.host.tick(0, 0)

    def _collect(self, stage: LiveStage, due: int) -> None:
        """Wait until the stage has done what it can.

        Asynchronously, wait only for what is due and until few chunks wait.
        """
        if not self.beside:
            self._gather(stage.ready())
            return
        self._gather(stage.ready(wait=False))
        while (self._outputs.count < due or stage.waiting > WAITING) and (chunk := next(stage.ready(), None)):
            self._gather([chunk])

    def _given(
        self, stage: LiveStage, inputs: tuple[Tensor, ...], due: int, stands_in: int
    ) -> dict[str, Tensor]:
        """Return ``due`` results, the first of them stand-ins, with stand-ins for late ones."""
        ready = min(due - stands_in, self._outputs.count)
        pieces, arrivals = self._outputs.take(ready)
        self._outputs.pending -= stands_in
        if filled := due - ready:
            last = inputs[0].shape[TIME] - 1
            pieces.insert(
                0,
                stage.stand_ins(inputs, [min(last, int(number / stage.rate)) for number in range(filled)]),
            )
        self.numbers.give(arrivals, filled, self.clock())
        return joined(pieces) or stage.empty(inputs[0])
