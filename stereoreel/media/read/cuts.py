"""Detect the cuts and dissolves of a file, and the bars of its shots, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from itertools import chain, islice
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ...core import cancel
from ...core.bars import Bars, of_shots
from ...image.bar_sides import Profile, profile
from ...image.bars import BarFinder, Margins, scaled_picture
from ...image.cut_detection import LONG_SIDE
from ...image.dissolve_detection import ShotDetector
from .. import colour
from .file_facts import FileFacts
from .frames import Damage, in_memory, read_frames
from .pictures import displayed
from .prefetch import ahead

TICK_EVERY = 16  # frames
TOGETHER = 8  # thumbnails per hand-over between threads, which costs more than comparing one
BARS_EVERY = 3  # frames that are searched for bars
PLANAR = ("yuv4", "yuvj4", "nv12")  # pixel formats whose first plane is the luma


class Shots(NamedTuple):
    """The first frames of all shots of a window but the first, and the bars of its upright frames."""

    cuts: tuple[int, ...] = ()
    bars: tuple[Bars, ...] = ()


class Thumbnail(NamedTuple):
    """A frame in grey ``[H, W]`` uint8, at most 320 pixels long, and its profile at full size or None."""

    gray: np.ndarray
    profile: Profile | None


def fact(window: tuple[int, int], sensitivity: float | None) -> tuple[str, int, int, float | None]:
    """Return the key under which a FileCache holds the shots of a window."""
    return "shots", *window, sensitivity


def index_shots(
    facts: FileFacts,
    window: tuple[int, int],
    sensitivity: float | None,
    tick: Callable[[int, int], None] | None = None,
) -> Shots:
    """Return the shots of the frames ``window[0]`` to ``window[1]`` - 1 of a file, counted from the first.

    Without ``sensitivity`` they are one shot. ``tick(done, total)`` is called every few frames and may raise
    to cancel.
    """
    detector, total = ShotDetector(sensitivity or 0.5), window[1] - window[0]
    finder, known = BarFinder(facts.coded), 0
    with cancel.polling(tick), closing(ahead(_groups(_seen(facts, *window)))) as groups:
        for index, (gray, seen) in enumerate(chain.from_iterable(groups)):
            if sensitivity is not None:
                detector.look_at(scaled_picture(finder.now, facts.coded, gray.shape[::-1]))
                detector.feed(gray)
            if len(detector.starts) > known:
                known = len(detector.starts)
                finder.cut()
            if seen:
                finder.add(seen)
            if tick and index % TICK_EVERY == 0:
                tick(index, total)
    margins = (_upright(facts, one) for one in finder.margins())
    return Shots(tuple(detector.starts), of_shots([0, *detector.starts], margins))


def _upright(facts: FileFacts, margins: Margins) -> Margins:
    """Return the bars of a decoded frame when it is shown upright."""
    top, bottom, left, right = margins
    if facts.mirrored:
        left, right = right, left
    for _ in range(facts.rotation // 90 % 4):  # clockwise
        top, right, bottom, left = left, top, right, bottom
    return Margins(top, bottom, left, right)


def _groups(seen: Generator[Thumbnail, None, None]) -> Generator[list[Thumbnail], None, None]:
    with closing(seen):
        while group := list(islice(seen, TOGETHER)):
            yield group


def thumbnails(facts: FileFacts, first: int, stop: int) -> Generator[np.ndarray, None, None]:
    """Yield grey thumbnails ``[H, W]`` uint8 of a window's frames, at most 320 pixels long, not rotated."""
    with closing(_seen(facts, first, stop)) as seen:
        for one in seen:
            yield one.gray


def _seen(facts: FileFacts, first: int, stop: int) -> Generator[Thumbnail, None, None]:
    width, height = facts.coded
    scale = min(1, LONG_SIDE / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    swscale, arguments = VideoReformatter(), colour.to_gray(facts.color, facts.full_range)
    with in_memory(facts):
        for index, frame in enumerate(read_frames(facts, first, stop, Damage(), progressive=False)):
            frame = displayed(frame) if facts.is_float else frame
            if facts.alpha:  # over black, whatever the background is; the edge of that is no bar
                seen = swscale.reformat(frame, width, height, "ya8", **arguments).planes[0]
                pairs = np.frombuffer(memoryview(seen), np.uint8).reshape(height, -1)[:, : 2 * width]
                gray = (pairs[:, ::2].astype(np.uint16) * pairs[:, 1::2] // 255).astype(np.uint8)
                yield Thumbnail(gray, None)
                continue
            small = swscale.reformat(frame, width, height, "gray", **arguments)
            own = None if index % BARS_EVERY else _profile(frame, facts, swscale, arguments)
            yield Thumbnail(_first_plane(small, np.uint8).copy(), own)


def _profile(
    frame: av.VideoFrame, facts: FileFacts, swscale: VideoReformatter, arguments: dict[str, int]
) -> Profile | None:
    """Return the profile of a decoded frame at its full size; None if it has another than the first."""
    if (frame.width, frame.height) != facts.coded:
        return None
    name, bits = frame.format.name, frame.format.components[0].bits
    if not name.startswith(PLANAR) or (bits > 8 and not name.endswith("le")):
        return profile(_first_plane(swscale.reformat(frame, format="gray", **arguments), np.uint8))
    black, white = (0, 255) if facts.full_range else (16, 235)
    unit = 1 << (bits - 8)
    return profile(_first_plane(frame, np.uint8 if bits == 8 else np.uint16), black * unit, white * unit)


def _first_plane(frame: av.VideoFrame, kind: type) -> np.ndarray:
    rows: np.ndarray = np.frombuffer(memoryview(frame.planes[0]), kind).reshape(frame.height, -1)
    return rows[:, : frame.width]
