"""The luma of a video file exactly as it is coded: not converted, not deinterlaced, not turned."""

from __future__ import annotations

import copy
import re
from bisect import bisect_right
from collections.abc import Generator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from ...core.clip import Clip, ClipInfo
from ...core.excerpt import Spans
from ...media import colour
from ...media.read.decode import FileSource
from ...media.read.frames import Damage, read_frames
from ...media.read.pictures import displayed

# pixel formats with luma in the first plane
PLANAR = re.compile(r"(yuva?|yuvj)\d{3}p(?:(\d+)le)?$|gray(?:(\d+)le)?$|nv(12|16|21|24)$")


class Planes(NamedTuple):
    """One frame ``[H, W]`` in its own codes; levels of 255 are ``(code - black) * gain``.

    ``noise`` is the plane for measuring noise: luma of a file, green of RGB (of independent noise in R, G and
    B, luma keeps 3/4). ``repeated``: the frame could not be decoded, and another one is repeated.
    """

    luma: np.ndarray
    noise: np.ndarray
    black: float = 0.0
    gain: float = 1.0
    repeated: bool = False


class LumaSource:
    """A window of a file at the size it was coded in."""

    def __init__(self, source: FileSource):
        self.facts, self.first = source.facts, source.selection.first
        self.info, self.searched = facts_without_search(source)

    @classmethod
    def of(cls, clip: Clip) -> LumaSource | None:
        """Return the source of a clip that is a file at its coded size, else None."""
        source = clip.maker
        if (
            not isinstance(source, FileSource)
            or source.selection.every > 1
            or not source.native
            or source.facts.transparent
        ):
            return None
        return cls(source)

    def planes(self, spans: Spans) -> Generator[Planes, None, None]:
        """Yield the frames of the spans, in order; spans without a key frame between are read together."""
        for run in self._runs(spans):
            first, stop = run[0][0], run[-1][1]
            frames = read_frames(
                self.facts, self.first + first, self.first + stop, Damage(), progressive=False
            )
            times = self.facts.pts
            with closing(frames):
                for number, frame in enumerate(frames, first):
                    if any(start <= number < end for start, end in run):
                        repeated = (
                            bool(times) and self.facts.stamped and frame.pts != times[self.first + number]
                        )
                        yield self._luma(frame)._replace(repeated=repeated)

    def _runs(self, spans: Spans) -> list[Spans]:
        runs: list[Spans] = []
        for start, stop in spans:
            if runs and (runs[-1][-1][1] == start or self._key(start) <= runs[-1][-1][1]):
                runs[-1].append((start, stop))
            else:
                runs.append([(start, stop)])
        return runs

    def _key(self, frame: int) -> int:
        """Return the frame at which decoding must start to show this one."""
        facts = self.facts
        near = bisect_right(facts.entries, self.first + frame, key=lambda entry: entry.frame) - 1
        return (facts.entries[near].frame if near > 0 else 0) - self.first

    def _luma(self, frame) -> Planes:
        frame = displayed(frame) if self.facts.is_float else frame
        form = PLANAR.match(frame.format.name)
        bits = max(component.bits for component in frame.format.components[:1])
        if not form or not 8 <= bits <= 16:
            frame, bits, full = (
                frame.reformat(format="gray", **colour.to_gray(self.facts.color, self.facts.full_range)),
                8,
                True,
            )
        else:
            full = self.facts.full_range
        kind, unit = (np.uint8, 1) if bits == 8 else (np.dtype("<u2"), 1 << (bits - 8))
        plane = frame.planes[0]
        luma = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : frame.width].copy()
        if full:
            return Planes(luma, luma, 0.0, 255 / ((1 << bits) - 1))
        return Planes(luma, luma, 16.0 * unit, 255 / 219 / unit)


def facts_without_search(source: FileSource) -> tuple[ClipInfo, bool]:
    """Return a file clip's facts without searching for cuts, and whether its cuts are known already."""
    if source.sensitivity is None:
        return source.info, False
    if source.searched:
        return source.info, True
    plain = copy.copy(source)
    plain.sensitivity = None
    return plain.info, False
