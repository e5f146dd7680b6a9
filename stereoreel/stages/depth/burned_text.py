"""Give burned-in text one flat plane, just in front of what it covers, whatever model computes the depth."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...core.clip import ClipInfo, Shot, Stage
from ...core.per_eye import ports
from ...core.transforms import Weightless
from ...image.burned_text.block import Shown
from ...image.burned_text.finder import TextFinder, lookahead
from ...image.burned_text.lumas import Lumas, frame_luma, reduced_size
from ...image.burned_text.strokes import GAP
from ...image.host_copy import Download, upload
from .given_text import GivenText

AHEAD = 12  # frames of depth that a plane takes into account
ASKED = AHEAD + 1  # frames whose depth is asked for: a GPU answers while the one before them is finished
PERCENTILE = 0.98  # of what a block covers; the nearest rest does not push it forwards
BEFORE = 0.004  # depth by which a plane is in front
STEP = 0.004  # of the depth range that a plane comes forward per frame, unless it must be faster
EASE = 12  # frames in which a plane appears if its text was there already
EXACT = 1 << 21  # pixels of the largest depth that waits as it is; more would fill the memory
LEVELS = 65535  # of depth that waits in 16 bits
GROWN = 2  # pixels of the reduced frame around strokes that are on their plane too
GREY = 128  # between the levels of letters and of their outlines
SAMPLES = 2000  # pixels of a block that are sampled


@dataclass
class Plane:
    """The plane of a block: its depth so far, and the depth of what it covers by frame."""

    level: float | None = None
    covered: dict[int, Download] = field(default_factory=dict)

    def at(self, place: int, ahead: int) -> float:
        """Return the depth in a frame; it comes forward in time for what is covered later."""
        seen = [float(self.covered[later].wait()) for later in range(place, place + ahead + 1)]
        if self.level is None:
            self.level = max(seen)
        needed = max((wanted - self.level) / (later + 1) for later, wanted in enumerate(seen))
        if needed > 0:
            self.level = min(max(seen), self.level + max(STEP, needed))
        self.covered.pop(place, None)
        return min(1.0, self.level + BEFORE)


class TextPlanes:
    """A depth stage whose output is flat where frames have burned-in text; in live use it does nothing.

    Text is found in the frames, unless there is one more input than the stage ``reads``: its mask.
    """

    joint = False

    def __init__(self, stage: Stage, invert: bool, reads: int = 1):
        self.stage, self.invert, self.reads, self.nets = stage, invert, reads, stage.nets

    def __getattr__(self, name: str):
        """Return whatever else the stage has, such as ``memory`` and ``counts``."""
        if name == "stage":
            raise AttributeError(name)
        return getattr(self.stage, name)

    def memory(self, info: ClipInfo, *others: ClipInfo) -> int:
        """Return the bytes that the stage and the depth that waits need."""
        needed = getattr(self.stage, "memory", None)
        pixels, ahead = info.width * info.height, max(ASKED, lookahead(info.fps))
        own = needed(info, *others[: self.reads - 1]) if needed else 0
        return own + (ahead + 1) * info.views * pixels * (4 if pixels <= EXACT else 2)

    def __call__(self, shot: Shot, frames: Iterable[Tensor], *others: Iterable[Tensor]) -> Iterator[Tensor]:
        own, masks = others[: self.reads - 1], others[self.reads - 1 :]
        if shot.live:
            for chunk in self.stage(shot, frames, *own):
                yield ports(chunk)["clip"]
            return
        finder = _InPicture(shot)
        texts: deque[list[Shown]] = deque()
        depths: deque[Tensor] = deque()
        planes = _Planes(texts, depths, self.invert)
        seen = _masked(frames, masks[0], texts) if masks else _watched(frames, finder, texts)
        for chunk in self.stage(shot, seen, *own):
            depths.extend(map(packed, ports(chunk)["clip"]))
            yield from planes.ready(ASKED)
        if not masks:
            texts.extend(finder.known(rest=True))
        yield from planes.ready(0)


def packed(depth: Tensor) -> Tensor:
    """Return depth in 0..1, to wait: in 16 bits if it is large; ``unpacked`` undoes that."""
    if depth.numel() <= EXACT or depth.element_size() <= 2:
        return depth
    return (depth * LEVELS - (LEVELS + 1) // 2).round_().clamp_(-(1 << 15), (1 << 15) - 1).to(torch.int16)


def unpacked(depth: Tensor) -> Tensor:
    """Return depth that waited."""
    if depth.dtype != torch.int16:
        return depth
    return depth.float().add_((LEVELS + 1) // 2).div_(LEVELS)


def _masked(frames: Iterable[Tensor], masks: Iterable[Tensor], texts: deque[list[Shown]]) -> Iterator[Tensor]:
    """Yield the chunks, and note the blocks of their masks."""
    given = GivenText()
    for chunk, mask in zip(frames, masks):
        texts.extend(map(given.add, Lumas(mask)))
        yield chunk


class _InPicture:
    """Finds the text of a shot; between bars it is found up to the edges of the picture.

    At other edges the scene goes on, and what touches them may be anything.
    """

    def __init__(self, shot: Shot):
        info, full = shot.info, shot.frame or (shot.info.width, shot.info.height)
        self._finder = TextFinder(info.fps)
        edge = 2 + round(GAP * reduced_size(info.height, info.width)[1])
        self._across, self._down = (
            edge if whole > inside else 0 for whole, inside in zip(full, (info.width, info.height))
        )

    def add(self, luma: np.ndarray) -> None:
        self._finder.add(np.pad(luma, ((self._down,) * 2, (self._across,) * 2), constant_values=GREY))

    def known(self, rest: bool = False) -> Iterator[list[Shown]]:
        for blocks in self._finder.known(rest):
            yield [self._placed(block) for block in blocks]

    def _placed(self, block: Shown) -> Shown:
        (x, y), (height, width) = block.corner, block.size
        return block._replace(
            corner=(x - self._across, y - self._down),
            size=(height - 2 * self._down, width - 2 * self._across),
        )


def _watched(frames: Iterable[Tensor], finder: _InPicture, texts: deque[list[Shown]]) -> Iterator[Tensor]:
    """Yield the chunks, after looking for text frame by frame, so that chunks cannot matter.

    On a GPU the lumas of a chunk are looked at when the next one comes, so that the GPU never waits.
    """
    pending: deque[Lumas] = deque()

    def look() -> None:
        for luma in pending.popleft():
            finder.add(luma)
            texts.extend(finder.known())

    for chunk in frames:
        pending.append(Lumas(chunk))
        if len(pending) > (chunk.device.type == "cuda"):
            look()
        yield chunk
    while pending:
        look()


@dataclass(frozen=True)
class TextMask(Weightless):
    """Where frames have burned-in text: a clip of one channel, 1 on strokes, their outlines and boxes."""

    label: str = "Burned-in text"
    joint = False

    def context(self, frames: ClipInfo) -> tuple[int, int]:
        """Return how many frames before and after one show its text to be text, even as it goes."""
        return (lookahead(frames.fps),) * 2

    def describe(self, frames: ClipInfo) -> ClipInfo:
        return frames.replace(channels=1)

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        finder, like = TextFinder(shot.info.fps), None
        for chunk in frames:
            for frame in chunk:
                finder.add(frame_luma(frame))
                for blocks in finder.known():
                    yield self._mask(blocks, frame)
                like = frame
        if like is not None:
            for blocks in finder.known(rest=True):
                yield self._mask(blocks, like)

    def _mask(self, blocks: list[Shown], like: Tensor) -> Tensor:
        mask = np.zeros(like.shape[:2], np.float32)
        for block in blocks:
            part, window = block.placed(*mask.shape)
            np.maximum(mask[window], part, out=mask[window])
        return torch.from_numpy(mask).to(like.device, like.dtype)[None, ..., None]


class _Planes:
    """Applies the planes of blocks to depth ``[H, W, 1]``, in order."""

    def __init__(self, texts: deque[list[Shown]], depths: deque[Tensor], invert: bool):
        self._texts, self._depths, self._invert = texts, depths, invert
        self._planes: dict[int, Plane] = {}
        self._place = 0

    def ready(self, ahead: int) -> Iterator[Tensor]:
        """Yield chunks of one frame whose text, and the depth of ``ahead`` more frames, is known."""
        while self._texts and len(self._depths) > ahead:
            blocks = self._texts.popleft()
            yield self._flattened(blocks)[None]
            self._planes = {block.number: self._planes[block.number] for block in blocks}
            self._depths.popleft()
            self._place += 1

    def _flattened(self, blocks: list[Shown]) -> Tensor:
        depth = unpacked(self._depths[0])
        if not blocks:
            return depth
        flat = depth.clone()
        for block in blocks:
            plane = self._planes.setdefault(block.number, Plane())
            for later in range(min(ASKED, len(self._depths) - 1) + 1):
                place = self._place + later
                if place not in plane.covered:
                    plane.covered[place] = self._covered(self._depths[later], block)
            level = plane.at(self._place, min(AHEAD, len(self._depths) - 1))
            part, window = block.placed(depth.shape[0], depth.shape[1], GROWN)
            if not block.sudden:
                part = part * min(1.0, (self._place - block.first + 1) / EASE)
            shown = 1 - level if self._invert else level
            own = upload(torch.from_numpy(part), depth.device).to(depth.dtype)[..., None]
            flat[window] = torch.lerp(depth[window], torch.full_like(own, shown), own)
        return flat

    def _covered(self, depth: Tensor, block: Shown) -> Download:
        """Return the depth of all but the nearest of what a block covers."""
        index = torch.from_numpy(block.covered(depth.shape[0], depth.shape[1], SAMPLES))
        values = unpacked(depth.reshape(-1)[upload(index, depth.device)]).float()
        values = 1 - values if self._invert else values
        return Download(values.sort().values[round(PERCENTILE * (len(values) - 1))])
