"""The interpolation stage: exact time, shots, copies, batches and fallbacks, the same for every model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from math import ceil
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...core.options import agree
from ...core.timeline import output_edge
from ...image.compute import is_out_of_memory
from ...image.repeats import Marks, marked
from . import InterpolateOptions, ending, target_fps
from .pairs import LONGEST, Moment, OutputFrame, Schedule, output_frames

Begin = Callable[[Tensor], "list[dict] | None"]
WAIT = 8  # most copies to buffer while a batch fills
# difference of the two warped images for full confidence, and for none
SURE, LOST = 0.04, 0.2


class Interpolated(NamedTuple):
    """A model's output: chunks of one frame by port, and its confidence ``[(2,) 1, H, W, 1]``, 0..1."""

    chunks: dict[str, Tensor]
    trust: Tensor


class Interpolator(Protocol):
    """An interpolation model. ``batch_size`` returns its batch size for a clip.

    If it has ``begin``, each chunk is given to it as early as possible; what that returns for each of the
    chunk's frames is in ``kept`` of its moment.
    """

    @property
    def nets(self) -> list[nn.Module]: ...

    def batch_size(self, info: ClipInfo) -> int: ...

    def interpolate(self, wanted: list[OutputFrame]) -> list[Interpolated]: ...


class InterpolationStage:
    """Frames ``[T, H, W, C]`` or two-view, and depth, at another rate; t = 0 gives the source frame."""

    joint = True

    def __init__(self, interpolator: Interpolator, options: InterpolateOptions):
        self.interpolator, self.options, self.nets = interpolator, options, interpolator.nets
        self.schedule = Schedule(options.schedule)

    def retuned(self, options: InterpolateOptions) -> InterpolationStage | None:
        """Return this model with other options, or None if they change how it runs."""
        same = agree(
            options,
            self.options,
            "model",
            "quality",
            "scale",
            "ensemble",
            "lite_scales",
            "batch",
            "precision",
        )
        return InterpolationStage(self.interpolator, options) if same else None

    def forget(self) -> None:
        """Drop graphs recorded for models that have been moved."""
        if hasattr(self.interpolator, "forget"):
            self.interpolator.forget()

    def delay(self, frames: ClipInfo) -> int:
        """Return the most source frames it buffers.

        These are a pair's second frame, possible repetitions and, at a lower rate, those of a complete step.
        """
        step = ceil(frames.fps / target_fps(self.options, frames))
        return step + (LONGEST if self.options.duplicates == "smooth" else 0)

    def memory(self, frames: ClipInfo, depth: ClipInfo | None = None) -> int:
        """Return the bytes that the model needs for a batch."""
        needed = getattr(self.interpolator, "memory", None)
        return needed(frames) if needed else 0

    def __call__(
        self, shot: Shot, frames: Iterable[Tensor], depth: Iterable[Tensor] | None = None
    ) -> Iterator[dict[str, Tensor]]:
        fps = target_fps(self.options, shot.info)
        wanted = output_frames(
            shot,
            moments(shot, frames, depth, getattr(self.interpolator, "begin", None)),
            fps,
            self.schedule,
            self.options.duplicates == "smooth",
            self.options.loop,
        )
        own = ending(self.options, shot.info) - output_edge(shot.start, shot.info, fps)
        together = self.interpolator.batch_size(shot.info)
        for group in groups(islice(wanted, max(0, own)), together):
            yield from self._computed(group)

    def _computed(self, group: list[OutputFrame]) -> Iterator[dict[str, Tensor]]:
        moved = iter(self._interpolated([one for one in group if one.t and not one.blend]))
        for one in group:
            if not one.t:
                yield {**one.left.chunks, "confidence": trusted(one.left.chunks["clip"], 1)}
            elif one.blend:
                yield {**blended(one), "confidence": trusted(one.left.chunks["clip"], 0)}
            else:
                yield self._with_fallback(one, next(moved))

    def _interpolated(self, wanted: list[OutputFrame]) -> list[Interpolated]:
        """Run the model, in halves if memory does not suffice for all at a time."""
        if not wanted:
            return []
        try:
            return self.interpolator.interpolate(wanted)
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(wanted) == 1:
                raise
        # outside the handler, which keeps the allocations of the failed attempt alive
        half = len(wanted) // 2
        return self._interpolated(wanted[:half]) + self._interpolated(wanted[half:])

    def _with_fallback(self, one: OutputFrame, result: Interpolated) -> dict[str, Tensor]:
        """Return the model's frame; by the option ``uncertain``, uncertain areas are held or blended."""
        if self.options.uncertain == "keep":
            return {**result.chunks, "confidence": result.trust}
        instead = (
            blended(one)
            if self.options.uncertain == "blend"
            else (one.left if 2 * one.t < 1 else one.right).chunks
        )
        mended = {
            port: torch.lerp(instead[port].to(chunk), chunk, fitted(result.trust, chunk))
            for port, chunk in result.chunks.items()
        }
        return {**mended, "confidence": result.trust}


def moments(
    shot: Shot, frames: Iterable[Tensor], depth: Iterable[Tensor] | None, begin: Begin | None = None
) -> Iterator[Moment]:
    begun: deque[list[dict] | None] = deque()
    frames = _begun(frames, begin, begun) if begin else frames
    number = shot.start
    chunks: Iterable[tuple[Tensor, Marks | None]] = zip(frames, repeat(None)) if shot.live else marked(frames)
    for (chunk, equal), depths in zip(chunks, repeat(None) if depth is None else depth):
        known = begun.popleft() if begun else None
        for index in range(chunk.shape[-4]):
            moment = Moment(
                number, chunk.narrow(-4, index, 1), None if depths is None else depths.narrow(-4, index, 1)
            )
            moment.repeats = equal[index] if equal else None
            moment.kept.update(known[index] if known else {})
            moment.last = index == chunk.shape[-4] - 1 and shot.drained()
            yield moment
            number += 1


def _begun(frames: Iterable[Tensor], begin: Begin, begun: deque[list[dict] | None]) -> Iterator[Tensor]:
    for chunk in frames:
        begun.append(begin(chunk))
        yield chunk


def groups(wanted: Iterable[OutputFrame], together: int) -> Iterator[list[OutputFrame]]:
    """Yield the frames in batches with ``together`` to compute; buffer up to WAIT copies between them."""
    group, count = [], 0
    for one in wanted:
        group.append(one)
        count += bool(one.t) and not one.blend
        if one.last or count == together or len(group) == together + WAIT or (together == 1 and not count):
            yield group
            group, count = [], 0
    if group:
        yield group


def blended(one: OutputFrame) -> dict[str, Tensor]:
    """Return both frames mixed."""
    return {
        port: torch.lerp(chunk, one.right.chunks[port], float(one.t))
        for port, chunk in one.left.chunks.items()
    }


def trusted(clip: Tensor, trust: float) -> Tensor:
    return clip.new_full((*clip.shape[:-1], 1), trust)


def trust(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Return the confidence ``[B, 1, H, W]`` of mixing images ``[B, C, H, W]``, ``share`` of the first.

    If both have weight, they should be equal; if only one has, the other can show an occluder.
    """
    apart = (first - second).abs().mean(1, keepdim=True) * (4 * share * (1 - share))
    return ((LOST - apart) / (LOST - SURE)).clamp(0, 1)


def fitted(trust: Tensor, like: Tensor) -> Tensor:
    """Return the confidence at the size of another port."""
    if trust.shape[-3:-1] == like.shape[-3:-1]:
        return trust.to(like)
    flat = trust.reshape(-1, *trust.shape[-3:]).movedim(-1, 1)
    result = torch.nn.functional.interpolate(flat.float(), like.shape[-3:-1], mode="bilinear").movedim(1, -1)
    return result.reshape(*like.shape[:-1], 1).to(like)
