"""Detect interlaced frames, their field order, and 3:2 pulldown."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ...core.clip import ClipInfo
from .finding import Finding
from .windows import Window

ORDER = 1.12  # least factor by which one field order must explain the motion better than the other
# largest difference of a woven frame from its neighbours, relative to that of its own scan lines
WOVEN = 1.3
# the same for neighbouring scan lines, relative to those of one field: 0.5 in a smooth image
APART = 0.6
COMBED = 1.2  # of one frame: difference of neighbouring scan lines relative to those of one field
FAINT = 0.5  # levels: smaller changes are not evidence


class Interlacing:
    """The interlace test of FFmpeg's ``idet`` filter (Niedermayer, 2012), on the frames as coded.

    A scan line of a woven frame is predicted better by its neighbours together with the same line of the
    frame that is nearer to the other field in time; in a progressive frame both neighbours are equally far.
    Fine horizontal texture is the same on both sides and cancels.
    """

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.pulldown: Counter[bool] = Counter()
        self.single: list[float] = []

    def add(self, window: Window, cuts: list[bool]) -> None:
        frames = window.luma
        if frames.shape[1] < 8:
            return
        verdicts = []
        for index in range(1, len(frames) - 1):
            if not (cuts[index - 1] or cuts[index]):
                verdicts.append(_verdict(*frames[index - 1 : index + 2]))
                self.verdicts[verdicts[-1]] += 1
        if len(frames) < 3:
            self.single += [_comb(frame, _sharpest(frame)) for frame in frames[window.own :]]
        if len(verdicts) >= 5:
            woven = [verdict in ("top", "bottom") for verdict in verdicts]
            self.pulldown[
                all(sum(woven[at : at + 5]) == 2 for at in range(len(woven) - 4)) and "" not in verdicts
            ] += 1

    def findings(self, info: ClipInfo) -> dict[str, Finding]:
        woven, plain = self.verdicts["top"] + self.verdicts["bottom"], self.verdicts["progressive"]
        if woven + plain:
            return {"interlaced": self._describe(woven, plain)}
        if self.single:
            share = float(np.mean(np.array(self.single) > COMBED))
            text = (
                f"{100 * share:.0f} % of the frames look combed; too few of them are consecutive to be sure."
            )
            return {"interlaced": Finding(share, "share of frames", text, False)}
        return {
            "interlaced": Finding(
                0.0,
                "share of frames",
                "Nothing moves in the sampled frames (0 % combed), so fields could not be "
                "distinguished; progressive is assumed.",
                False,
            )
        }

    def _describe(self, woven: int, plain: int) -> Finding:
        share = woven / (woven + plain)
        first = "top" if self.verdicts["top"] >= self.verdicts["bottom"] else "bottom"
        if not woven:
            return Finding(0.0, "share of frames", "0 % of the frames are combed: progressive.")
        if 0.3 <= share <= 0.5 and self.pulldown[True] > self.pulldown[False]:
            text = (
                f"{100 * share:.0f} % of the frames are combed, two of every five: film at 4/5 of this "
                f"rate by 3:2 pulldown, {first} field first."
            )
        elif share < 0.1:
            text = f"{100 * share:.0f} % of the frames look combed: mostly progressive."
        else:
            text = f"{100 * share:.0f} % of the frames are combed, {first} field first."
        return Finding(share, "share of frames", text)


def _verdict(before: np.ndarray, frame: np.ndarray, after: np.ndarray) -> str:
    """Return the field shown first (top or bottom), "progressive", or "" if inconclusive."""
    middle, inside = frame[1:-1], frame[:-2] + frame[2:]
    moves = np.abs(before - after)[1:-1] + np.abs(before[1:-1] - middle) + np.abs(after[1:-1] - middle)
    mask = moves > max(4 * FAINT, 0.25 * float(np.percentile(moves, 99)))
    if mask.mean() < 1e-4:
        return ""
    own = 2 * _mean(inside - 2 * middle, mask)
    # row 0 is line 1, of the bottom field
    past = [_mean((inside - 2 * before[1:-1])[row::2], mask[row::2]) for row in (0, 1)]
    future = [_mean((inside - 2 * after[1:-1])[row::2], mask[row::2]) for row in (0, 1)]
    top, bottom = past[0] + future[1], past[1] + future[0]  # the error of each order
    best = min(top, bottom)
    if max(top, bottom) > ORDER * best and (best < WOVEN * own or _comb(frame, mask) > APART):
        return "top" if top < bottom else "bottom"
    return "progressive"


def _mean(values: np.ndarray, mask: np.ndarray) -> float:
    count = np.count_nonzero(mask)
    return float(np.abs(values)[mask].sum() / count) if count else 0.0


def _comb(frame: np.ndarray, mask: np.ndarray) -> float:
    """Return the difference of neighbouring scan lines relative to lines of one field.

    Only pixels at which ``mask`` ``[H - 2, W]`` is true count.
    """
    steps = np.abs(np.diff(frame, axis=0))
    far = float(np.abs(frame[2:] - frame[:-2])[mask].sum())
    return float((steps[:-1] + steps[1:])[mask].sum()) / max(1.0, 2 * far)


def _sharpest(frame: np.ndarray) -> np.ndarray:
    """Return where scan lines differ most from the next."""
    steps = np.abs(np.diff(frame, axis=0))[:-1]
    return steps > max(8.0, float(np.percentile(steps, 95)))
