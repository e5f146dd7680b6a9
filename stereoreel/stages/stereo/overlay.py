"""Measure a stereo pair's comfort: parallax histogram, pixels beyond the limits, an overlay per frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from . import StereoOptions
from . import describe as describe_pair
from .comfort import Screen, screen_of
from .parallax import Courses, Parallax, as_rendered, full_width
from .score import Moment, moment
from .window import FloatingWindow, cut_off

# percent of the width: the histogram's range to either side, and one of its bins
REACH, STEP = 10.0, 0.25
BINS = round(2 * REACH / STEP)
# fraction of a frame's pixels ignored as outliers at either end; pixels sampled to find the ends
STRAY, SAMPLES = 0.001, 1 << 16
CUT_OFF = 0.2  # percent of the width in front of a border from which an object counts as cut off
FRONT, BEHIND, BORDER = (1.0, 0.35, 0.1), (0.15, 0.45, 1.0), (1.0, 0.0, 0.8)
FAINT, STRONG = 0.3, 0.8  # share of those colours: at a limit, and beyond it
WORST = 5  # moments that are shown
PLOT = 0.2  # of the picture's height, for the histogram
# share of the pixels beyond the limits that is too much, and of frames with cut-off objects worth a word
MUCH, OFTEN = 0.01, 0.05


def describe(options: StereoOptions, frames: ClipInfo, depth: ClipInfo) -> dict[str, ClipInfo]:
    """Return the info of the overlay, as large as a frame; refuse what Stereo refuses."""
    describe_pair(options, frames, depth)
    return {"clip": frames.replace(channels=3)}


def load(options: StereoOptions, host: Host) -> ComfortOverlay:
    return ComfortOverlay(options, host.device)


class Worst(NamedTuple):
    """A straining moment: its strain, frame, second, and overlay ``[H, W, 3]``."""

    strain: tuple[float, float]
    frame: int
    second: int
    picture: Tensor = torch.empty(0)


class Overlay:
    """Counts parallax and draws it; ``tally`` holds the totals of all frames, ``moments`` each of them.

    ``worst`` are the overlays of the most straining moments, the first of all first; no two are of the same
    second of a shot. An unknown screen, such as ``none``, counts as a television.
    """

    def __init__(self, screen: str, device: torch.device):
        self.nets: list[nn.Module] = []
        self.device, self.tally = device, Tally(screen_of(screen))
        self.moments: list[Moment] = []
        self.worst: list[Worst] = []

    def seen(self, images: Tensor, parallax: Tensor, bars: Tensor, shot: Shot, first: int) -> Tensor:
        """Return overlays ``[T, H, W, 3]`` for parallax ``[T, H, W]`` (NaN: unknown) from frame ``first``.

        ``bars`` ``[T, 2]`` are the pixels covered at the borders. Of a shot with bars, all is of the picture
        alone, in percent of the full width.
        """
        width = full_width(shot)
        borders = (torch.stack([cut_off(frame.nan_to_num(0)) for frame in parallax]) - bars).clamp(min=0)
        pictures = tint(images.to(self.device), parallax, borders, self.tally.screen, width)
        for number, strain in enumerate(self.tally.add(parallax, borders, width)):
            place = first + number
            self.moments.append(moment(place, parallax[number], borders[number], width))
            self._keep_worst(Worst(strain, place, place // max(1, round(shot.info.fps))), pictures[number])
            plot(pictures[number], parallax[number] * (100 / width), self.tally.screen)
        return pictures

    def _keep_worst(self, new: Worst, picture: Tensor) -> None:
        """Keep a frame's overlay if it is among the most straining ones."""
        same = next((one for one in self.worst if one.second == new.second), None)
        if (same or len(self.worst) == WORST) and new.strain <= (same or self.worst[-1]).strain:
            return
        others = [one for one in self.worst if one is not same]
        kept = [*others, new._replace(picture=picture.cpu().clone())]
        self.worst = sorted(kept, key=lambda one: one.strain, reverse=True)[:WORST]


class ComfortOverlay(Overlay):
    """Overlays ``[T, H, W, 3]`` of Stereo's inputs and options; ``screen`` replaces that of the options.

    The third input, if any, is that of ``bar_text.BarText``.
    """

    joint = False

    def __init__(self, options: StereoOptions, device: torch.device, screen: str | None = None):
        super().__init__(screen or options.screen, device)
        self.options, self.courses = options, Courses(options)

    def __call__(
        self, shot: Shot, frames: Iterator[Tensor], depth: Iterator[Tensor], *text: Iterator[Tensor]
    ) -> Iterator[dict[str, Tensor]]:
        fps = float(shot.info.fps)
        options, course, wider = as_rendered(self.options, self.courses, shot)
        parallax_of, window = Parallax(options, fps, course, wider), FloatingWindow(fps)
        place = shot.start
        for images, depths, *places in zip(frames, depth, *text):
            parallax = parallax_of(depths.to(self.device), images, *places)
            bars = window(parallax) if self.options.floating_window else parallax.new_zeros(len(parallax), 2)
            yield {"clip": self.seen(images, parallax, bars, shot, place)}
            place += len(images)


class Tally:
    """Parallax counted over frames; whole numbers, so that no order of adding matters."""

    def __init__(self, screen: Screen):
        self.screen, self.width, self.frames, self.pixels, self.seen = screen, 0, 0, 0, 0
        self.histogram = torch.zeros(BINS, dtype=torch.int64)
        self.beyond = {"front": 0, "behind": 0}  # pixels
        self.cut = {"left": 0, "right": 0}  # frames
        self.nearest, self.farthest = 0.0, 0.0  # percent

    def add(self, parallax: Tensor, borders: Tensor, width: int) -> list[tuple[float, float]]:
        """Count parallax ``[T, H, W]`` (NaN: unknown) and border violations ``[T, 2]``, both in pixels.

        ``width`` is that of a frame, bars included.
        Return each frame's strain: the fraction of pixels beyond the limits, then its largest parallax.
        """
        self.width = width
        return [self._add(frame * (100 / self.width), border) for frame, border in zip(parallax, borders)]

    def _add(self, percent: Tensor, border: Tensor) -> tuple[float, float]:
        known = percent[~percent.isnan()]
        self.frames, self.pixels, self.seen = (
            self.frames + 1,
            self.pixels + percent.numel(),
            self.seen + known.numel(),
        )
        for side, cut in zip(self.cut, border):
            self.cut[side] += int(cut > CUT_OFF / 100 * self.width)
        if not known.numel():
            return 0.0, 0.0
        self.histogram += torch.bincount(bins(known), minlength=BINS).cpu()
        beyond = {
            "front": int((known > 100 * self.screen.front).sum()),
            "behind": int((known < -100 * self.screen.behind).sum()),
        }
        for side, count in beyond.items():
            self.beyond[side] += count
        farthest, nearest = extremes(known)
        self.nearest, self.farthest = max(self.nearest, nearest), min(self.farthest, farthest)
        return sum(beyond.values()) / percent.numel(), max(nearest, -farthest)

    def units(self, percent: float) -> dict[str, float]:
        """Return one parallax in every unit."""
        millimetres = self.screen.millimetres(percent / 100)
        return {
            "percent": percent,
            "pixels": percent / 100 * self.width,
            "mm": millimetres,
            "degrees": self.screen.degrees(millimetres),
        }

    def figures(self) -> dict:
        """Return all results for JSON.

        ``histogram`` holds each bin's lower end in every unit and its share of pixels with known parallax.
        """
        shares = (self.histogram.double() / max(1, self.seen)).tolist()
        ends = (index * STEP - REACH for index in range(BINS))
        return {
            "screen": self.screen.name,
            "frames": self.frames,
            "limits": {
                "front": self.units(100 * self.screen.front),
                "behind": self.units(-100 * self.screen.behind),
            },
            "nearest": self.units(self.nearest),
            "farthest": self.units(self.farthest),
            "beyond_limit": {side: count / max(1, self.seen) for side, count in self.beyond.items()},
            "unknown": 1 - self.seen / max(1, self.pixels),
            "frames_cut_off": {side: count / max(1, self.frames) for side, count in self.cut.items()},
            "histogram": [{**self.units(end), "share": share} for end, share in zip(ends, shares) if share],
            "verdict": self.verdict(),
        }

    def verdict(self) -> str:
        """Say whether the parallax is within the screen's limits and, if not, what to change."""
        name, beyond = self.screen.name, sum(self.beyond.values()) / max(1, self.seen)
        most = max(self.nearest / (100 * self.screen.front), -self.farthest / (100 * self.screen.behind))
        if beyond < STRAY or most <= 1:
            said = f"The parallax is within the limits of a {name} screen."
        else:
            said = (
                f"{100 * beyond:.1f} % of the pixels are beyond the limits of a {name} screen. Reduce the "
                f"parallax to about {math.floor(100 / most)} % of what it is, for example with Stereo's "
                "divergence or strength."
            )
        cut = sum(self.cut.values()) / max(1, self.frames)
        if cut < OFTEN:
            return said
        return f"{said} Side borders cut off objects in front: try Stereo's floating_window."

    def text(self) -> str:
        """The verdict, and the findings in a few lines for people."""
        return "\n".join([self.verdict(), *self.lines()])

    def lines(self) -> list[str]:
        """The findings, and what they are about."""
        return [
            f"{self.frames} frames on a {self.screen.name} screen, parallax in percent of the width, "
            "pixels, mm and degrees:",
            *self.findings(),
        ]

    def findings(self) -> list[str]:
        """Each finding as a word, a colon and a sentence."""
        found, lines = self.figures(), []
        for word, most, side in (("in front", "nearest", "front"), ("behind", "farthest", "behind")):
            lines.append(
                f"{word}: up to {_format(found[most])}; comfortable up to {_format(found['limits'][side])}; "
                f"beyond that {100 * found['beyond_limit'][side]:.2f} % of the pixels"
            )
        left, right = (100 * found["frames_cut_off"][side] for side in ("left", "right"))
        lines.append(
            f"borders: the left one cuts off an object in front in {left:.1f} % of the frames, the right "
            f"one in {right:.1f} %"
        )
        if found["unknown"] >= MUCH:
            lines.append(f"unknown: {100 * found['unknown']:.0f} % of the pixels could not be matched")
        return lines


def _format(units: dict[str, float]) -> str:
    return "{percent:.2f} % ({pixels:.1f} px, {mm:.1f} mm, {degrees:.2f} degrees)".format(
        **{key: abs(value) for key, value in units.items()}
    )


def extremes(values: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest of many values, without the outermost ``STRAY`` on either side."""
    seen = values[:: max(1, values.numel() // SAMPLES)].sort().values
    stray = int(STRAY * (seen.numel() - 1))
    return seen[stray].item(), seen[-1 - stray].item()


def bins(percent: Tensor) -> Tensor:
    """Return the histogram's bin of each parallax; values beyond the range count in the outermost bins."""
    return ((percent + REACH) / STEP).floor().clamp(0, BINS - 1).long()


def tint(images: Tensor, parallax: Tensor, borders: Tensor, screen: Screen, width: int) -> Tensor:
    """Return grey frames, tinted in front of and behind the screen, strongly beyond limits, with borders.

    ``width`` is that of a frame, bars included.
    """
    result = images[..., :3].float().mean(-1, keepdim=True).repeat(1, 1, 1, 3)
    known = parallax.nan_to_num(0)
    for color, share in ((FRONT, known / (screen.front * width)), (BEHIND, -known / (screen.behind * width))):
        mix = torch.where(share > 1, STRONG, share.clamp(0, 1) * FAINT)[..., None]
        result += (result.new_tensor(color) - result) * mix
    edge = max(1, round(0.01 * width))
    for index, columns in enumerate((slice(0, edge), slice(-edge, None))):
        cut = (borders[:, index] > CUT_OFF / 100 * width)[:, None, None, None]
        result[:, :, columns] = torch.where(cut, result.new_tensor(BORDER), result[:, :, columns])
    return result.to(images.dtype)


def plot(frame: Tensor, percent: Tensor, screen: Screen) -> None:
    """Draw a frame's histogram at its bottom, far at the left, with white lines at the screen and limits."""
    height, width = percent.shape
    rows = max(1, round(PLOT * height))
    known = percent[~percent.isnan()]
    shares = torch.bincount(bins(known), minlength=BINS) / max(1, known.numel())
    place = torch.arange(width, device=frame.device) * BINS // width
    level = torch.arange(rows, 0, -1, device=frame.device)[:, None] - 0.5
    middle = place * STEP - REACH + STEP / 2
    near, far = (middle > 100 * screen.front)[:, None], (middle < -100 * screen.behind)[:, None]
    bar = torch.where(
        near, frame.new_tensor(FRONT), torch.where(far, frame.new_tensor(BEHIND), frame.new_full((3,), 0.8))
    )
    area = frame[height - rows :]
    area *= 0.25
    area.copy_(torch.where((level < shares.sqrt()[place] * rows)[..., None], bar, area))
    for value in (0.0, 100 * screen.front, -100 * screen.behind):
        area[:, min(width - 1, max(0, int((value + REACH) / (2 * REACH) * width)))] = 1.0
