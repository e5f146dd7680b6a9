"""The order lab: runs orders of stages on excerpts of the user's footage; reports their cost and quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ...core.clip import Clip, ClipInfo
from ...core.excerpt import evenly_spaced
from ...core.host import Host
from ...core.stage_cache import StageCache
from ...core.timeline import position
from ...models.lazy_stage import plans
from ...viewing.report import Report
from ..trial import trial
from .agreement import Agreement, scales
from .cost import Cost
from .figures import figures_of, table
from .options import OrderLabOptions, compared, stage_options
from .places import Gallery, Kept, places
from .reference import Position, Reference
from .runs import STRAIGHT, Order, Window, part_of, windows
from .sheet import sheet
from .stages import LabHost
from .statistics import mean
from .tally import MEASURES, Tally
from .verdict import judge

TIMED = 3  # most excerpts on which orders are timed
MOMENTS = 2  # per excerpt, of which complete frames of all orders are kept until it is done


def measure(clip: Clip, settings: OrderLabOptions, host: Host, given: Sequence[str] = ()) -> Report:
    """Compare orders over a clip.

    ``settings`` are the lab's options, resolved, and ``given`` additional stage options, KIND.OPTION=VALUE.
    Raise ValueError before the first frame if an order cannot run, FileNotFoundError if weights are missing.
    """
    lab = Lab(clip, settings, host, given)
    for window in lab.windows:
        lab.measure(window)
        if window in lab.timed:
            lab.time(window)
    return lab.report()


@dataclass
class Size:
    """The common format of all orders: the largest size, the lowest rate."""

    width: int
    height: int
    fps: Fraction


class Lab:
    """Orders over one clip, excerpt by excerpt; only figures and a few crops of each are kept."""

    def __init__(self, clip: Clip, settings: OrderLabOptions, host: Host, given: Sequence[str] = ()):
        self.clip, self.settings = clip, settings
        self.orders = compared(settings.orders, settings.upscaler)
        self.options = stage_options(settings, given)
        ends = {
            name: trial(kinds, clip, self.options, settings.upscaler).pair
            for name, kinds in self.orders.items()
        }
        self.size = _common([end.info for end in ends.values()])
        self.models = {plan.kind: plan.choose(host)[0].name for plan in plans(*ends.values())}
        self.windows = windows(clip.info, settings.shots, settings.frames, settings.sampling)
        self.timed = [self.windows[place] for place in evenly_spaced(len(self.windows), TIMED)]
        self.stages: StageCache = StageCache()
        self.samples: dict[str, dict[str, list[list[float]]]] = {
            name: defaultdict(list) for name in self.orders
        }
        self.costs: dict[str, list[Cost]] = {name: [] for name in self.orders}
        self.gallery, self.agreement = Gallery(), Agreement(list(self.orders))
        runs = sum(window[1] - window[0] for window in (*self.windows, *self.timed))
        whole = sum(end.info.frames for end in ends.values()) * runs / max(1, clip.info.frames)
        self.host = LabHost(host, self.stages, max(1, round(whole)))

    def measure(self, window: Window) -> None:
        """Measure every order over a window, and keep the crops that differ most."""
        part, size = part_of(self.clip, window), self.size
        moments = _moments(part.info, size.fps)
        shown = _shown(moments)
        frames_shown = tuple(moments[number][0] for number in shown)
        reference = Reference(part, size.height, size.width, replace(self.host, total=0), frames_shown)
        kept = {}
        for number in shown:
            frame, between = moments[number]
            kept[number] = Kept(window[0] + frame, bool(between), reference.shown[frame], {})
        for name, kinds in self.orders.items():
            order = self._order(kinds, part, STRAIGHT)
            tally = Tally(reference, moments, order.stereo_settings.divergence)
            frames = enumerate(order.frames(self.host, size.height, size.width))
            for number, seen in _at_moments(frames, order.pair.info.fps, size.fps, len(moments)):
                tally.see(number, seen)
                self.agreement.see(name, number, seen.depth)
                if number in kept:
                    kept[number].add(name, seen)
            self.host.before += order.pair.info.frames
            for figure, values in tally.finish().items():
                self.samples[name][figure].append(values)
        self.agreement.finish()
        self.gallery.add(
            place for one in kept.values() if len(one.seen) == len(self.orders) for place in places(one)
        )

    def time(self, window: Window) -> None:
        """Run every order over a window as the user would; each excerpt starts with a different order."""
        part, names, first = part_of(self.clip, window), list(self.orders), self.timed.index(window)
        for name in (*names[first:], *names[:first]):
            order = self._order(self.orders[name], part, {})
            cost, frames = order.time(self.host), window[1] - window[0]
            self.costs[name].append(
                Cost({kind: seconds / frames for kind, seconds in cost.seconds.items()}, cost.memory)
            )
            self.host.before += order.pair.info.frames

    def report(self) -> Report:
        seed = self.settings.sampling
        means = {
            name: {one.name: mean(found[one.name], seed) for one in MEASURES}
            for name, found in self.samples.items()
        }
        times = {name: [sum(cost.seconds.values()) for cost in costs] for name, costs in self.costs.items()}
        relief = {name: found["relief"] for name, found in self.samples.items()}
        flips = [*self.agreement.reversed(self.windows), *scales(relief, self.windows)]
        verdict = judge(self.samples, means, times, len(self.windows), seed, flips)
        text = f"{table(self, means)}\n\n{verdict.text}"
        return Report("orders", text, figures_of(self, means, verdict), sheet(self, means, verdict))

    def _order(self, kinds: Sequence[str], part: Clip, stereo: Mapping) -> Order:
        options = {**self.options, "stereo": {**self.options["stereo"], **stereo}}
        return Order(kinds, part, options, self.stages, self.settings.upscaler)


def _common(infos: Sequence[ClipInfo]) -> Size:
    largest = max(infos, key=lambda info: info.width * info.height)
    return Size(largest.width, largest.height, min(info.fps for info in infos))


def _moments(info: ClipInfo, fps: Fraction) -> list[Position]:
    """Return the positions of a rate's frames within a window's frames."""
    count = int(info.duration * fps + Fraction(1, 2))
    return [position(number, 0, info.frames, info, fps) for number in range(count)]


def _shown(moments: Sequence[Position]) -> list[int]:
    """Return the moments to show: one that is a frame of the source, and a later one between two, if any."""
    third, later = len(moments) // 3, moments[len(moments) // 2 :]
    whole = min(
        (number for number, (_, part) in enumerate(moments) if not part),
        key=lambda number: abs(number - third),
    )
    between = next((number for number, (_, part) in enumerate(later, len(moments) // 2) if part), None)
    return [whole] if between is None or between == whole else [whole, between][:MOMENTS]


def _at_moments(frames, own: Fraction, fps: Fraction, count: int):
    """Yield the frames of an order, at its own rate, that are shown at the moments."""
    wanted = {int(number * own / fps + Fraction(1, 2)): number for number in range(count)}
    for index, seen in frames:
        if index in wanted:
            yield wanted[index], seen
