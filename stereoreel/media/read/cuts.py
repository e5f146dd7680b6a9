"""Detect the cuts and dissolves of a file in one pass over thumbnails."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from itertools import chain, islice

import numpy as np
from av.video.reformatter import VideoReformatter

from ...core import cancel
from ...image.cut_detection import LONG_SIDE
from ...image.dissolve_detection import ShotDetector
from .. import colour
from .file_facts import FileFacts
from .frames import Damage, in_memory, read_frames
from .pictures import displayed
from .prefetch import ahead

TICK_EVERY = 16  # frames
TOGETHER = 8  # thumbnails per hand-over between threads, which costs more than comparing one


def fact(window: tuple[int, int], sensitivity: float | None) -> tuple[str, int, int, float | None]:
    """Return the key under which a FileCache holds the cuts of a window."""
    return "cuts", *window, sensitivity


def index_cuts(
    facts: FileFacts,
    window: tuple[int, int],
    sensitivity: float,
    tick: Callable[[int, int], None] | None = None,
) -> tuple[int, ...]:
    """Return the first frame of every shot but the first, counted from ``window[0]``.

    Frames ``window[0]`` to ``window[1]`` - 1 of the file are searched. ``tick(done, total)`` is called every
    few frames and may raise to cancel.
    """
    detector, total = ShotDetector(sensitivity), window[1] - window[0]
    with cancel.polling(tick), closing(ahead(_groups(thumbnails(facts, *window)))) as groups:
        for index, gray in enumerate(chain.from_iterable(groups)):
            detector.feed(gray)
            if tick and index % TICK_EVERY == 0:
                tick(index, total)
    return tuple(detector.starts)


def _groups(grays: Generator[np.ndarray, None, None]) -> Generator[list[np.ndarray], None, None]:
    with closing(grays):
        while group := list(islice(grays, TOGETHER)):
            yield group


def thumbnails(facts: FileFacts, first: int, stop: int) -> Generator[np.ndarray, None, None]:
    """Yield grey thumbnails ``[H, W]`` uint8 of a window's frames, at most 320 pixels long, not rotated."""
    width, height = facts.coded
    scale = min(1, LONG_SIDE / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    swscale, arguments = VideoReformatter(), colour.to_gray(facts.color, facts.full_range)
    with in_memory(facts):
        for frame in read_frames(facts, first, stop, Damage(), progressive=False):
            frame = displayed(frame) if facts.is_float else frame
            if facts.alpha:  # over black, whatever the background is
                seen = swscale.reformat(frame, width, height, "ya8", **arguments).planes[0]
                pairs = np.frombuffer(memoryview(seen), np.uint8).reshape(height, -1)[:, : 2 * width]
                yield (pairs[:, ::2].astype(np.uint16) * pairs[:, 1::2] // 255).astype(np.uint8)
                continue
            gray = swscale.reformat(frame, width, height, "gray", **arguments).planes[0]
            yield np.frombuffer(memoryview(gray), np.uint8).reshape(height, -1)[:, :width].copy()
