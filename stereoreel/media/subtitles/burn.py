"""Burn subtitles into frames, in front of the scene if there are two views.

A line has one disparity in a shot: the largest that the nearest pixels behind it have while it is shown, and
a little more. At most ``REACH`` frames are read ahead for it, fewer of large frames. If a longer line is
approached from behind later, it comes forward gently before that, and never goes back. Without texture to
compare it is on the screen, as in a clip with one view.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from torch import Tensor

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...core.per_eye import TIME
from ...core.transforms import Weightless
from .cues import Cue
from .ink import painted, tinted
from .lines import MOST_AT_ONCE, Lines, Sheet
from .nearness import FARTHEST, nearest
from .typeset import Drawing

REACH, LEAST = 64, 8  # frames read ahead
HELD = 1 << 30  # bytes of frames that are held for it
RATE = 8  # measurements a second
CLEAR = 0.004  # by which a line is in front of the scene, as a share of the width
LABEL = "Subtitles"


def reach(info: ClipInfo) -> int:
    """Return how many frames are read ahead; 0 for one view."""
    return max(LEAST, min(REACH, HELD // info.frame_bytes)) if info.views == 2 else 0


@dataclass(frozen=True)
class Track:
    """Subtitles of a file: the number of its stream, or None if the file holds text alone."""

    file: Path
    stream: int | None = None

    def __repr__(self) -> str:
        """Describe it without its place, because a film may be resumed in another folder."""
        return f"Track {self.stream}"


@dataclass(frozen=True)
class Burn(Weightless):
    """Frames with subtitles; ``forward`` moves them towards the viewer, in percent of the width."""

    faithful = True
    lines: Lines
    track: Track
    forward: float = 0.0
    reach: int = 0
    label: str = LABEL

    @property
    def framewise(self) -> bool:  # type: ignore[override]
        return not self.reach

    def context(self, clip: ClipInfo) -> tuple[int, int]:
        return 0, self.reach

    def files(self, host: Host) -> list[Path]:
        """Return the file of the subtitles, which no output may replace."""
        return [self.track.file]

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        place, screen = shot.start, _Screen(self, shot.info)
        for chunk in chunks:
            count = chunk.shape[TIME]
            if screen.idle(place, place + count):
                yield chunk
            else:
                for number, frame in enumerate(chunk.split(1, TIME), place):
                    yield from screen.take(number, frame)
            place += count
        yield from screen.flush()


@dataclass(eq=False)
class _Line:
    """A line that is shown: when it ends, its picture once it is drawn, and its disparity in pixels."""

    number: int
    end: Fraction
    drawing: Drawing | None = None
    drawn: bool = False
    tint: Tensor | None = None
    goal: float = 0.0
    value: float | None = None
    speed: float = 0.0
    measured: bool = False

    def behind(self, found: float | None, margin: float, frames: int) -> None:
        """Take the disparity of the scene behind it, ``frames`` after the next frame that is drawn."""
        self.measured = True
        if found is None or found + margin / 2 <= self.goal:
            return
        self.goal = found + margin
        if self.value is not None:
            self.speed = max(self.speed, (self.goal - self.value) / max(1, frames))

    def next(self) -> float:
        """Return the disparity in the next frame that is drawn."""
        self.value = self.goal if self.value is None else min(self.goal, self.value + self.speed)
        return self.value


@dataclass(eq=False)
class _Held:
    """A frame that waits, and the lines that it shows."""

    number: int
    frame: Tensor
    lines: list[_Line]


class _Screen:
    """The frames of one shot on their way through: each is drawn when enough of those after it are known."""

    def __init__(self, burn: Burn, info: ClipInfo):
        self._burn, self._info = burn, info
        self._sheet: Sheet | None = None
        self._coming: Iterator[tuple[int, Cue]] | None = None
        self._next: tuple[int, Cue] | None = None
        self._lines: list[_Line] = []
        self._held: deque[_Held] = deque()
        self._every = max(1, round(info.fps / RATE))

    def idle(self, start: int, stop: int) -> bool:
        """Whether no frame is held, and none of the frames ``[start, stop)`` shows a line."""
        if self._held or self._shown(start):
            return False
        return self._next is None or self._next[1].begin > self._info.time(stop - 1)

    def take(self, number: int, frame: Tensor) -> Iterator[Tensor]:
        """Take a frame, and yield those that can be drawn now."""
        shown = self._shown(number)
        for line in shown:
            if self._burn.reach and line.drawing and (not line.measured or number % self._every == 0):
                ahead = number - (self._held[0].number if self._held else number)
                line.behind(nearest(frame[:, 0], _box(line.drawing)), CLEAR * self._info.width, ahead)
        self._held.append(_Held(number, frame, list(shown)))
        while self._held and self._ready(self._held[0], number):
            yield self._drawn(self._held.popleft())

    def flush(self) -> Iterator[Tensor]:
        while self._held:
            yield self._drawn(self._held.popleft())

    def _ready(self, held: _Held, number: int) -> bool:
        return number - held.number >= self._burn.reach or not any(line in self._lines for line in held.lines)

    def _shown(self, number: int) -> list[_Line]:
        """Return the lines that a frame shows; frames are asked for in order."""
        time = self._info.time(number)
        if self._coming is None:
            self._coming = self._burn.lines.shown(time)
            self._next = next(self._coming, None)
        self._lines = [line for line in self._lines if line.end > time]
        while self._next is not None and self._next[1].begin <= time:
            index, cue = self._next
            if cue.end > time:
                self._lines.append(_Line(index, cue.end))
            self._next = next(self._coming, None)
        shown = self._lines[-MOST_AT_ONCE:]
        for line in shown:
            if not line.drawn:
                self._sheet = self._sheet or self._burn.lines.on(self._info)
                line.drawing, line.drawn = self._sheet.draw(line.number), True
        return shown

    def _drawn(self, held: _Held) -> Tensor:
        pictures = []
        for line in held.lines:
            if line.drawing is None:
                continue
            if line.tint is None:
                line.tint = tinted(line.drawing.pixels, self._info.color.transfer, held.frame)
            shift = self._shift(line.next()) if self._burn.reach else 0
            pictures.append((line.tint, line.drawing.x, line.drawing.y, shift))
        return painted(held.frame, pictures) if pictures else held.frame

    def _shift(self, disparity: float) -> int:
        """Return the whole disparity of a line in pixels."""
        width = self._info.width
        wanted = disparity + self._burn.forward / 100 * width
        return ceil(max(-FARTHEST * width, min(wanted, FARTHEST * width)))


def _box(drawing: Drawing) -> tuple[int, int, int, int]:
    height, width = drawing.pixels.shape[:2]
    return drawing.x, drawing.y, drawing.x + width, drawing.y + height
