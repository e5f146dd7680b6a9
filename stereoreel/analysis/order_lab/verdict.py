"""The recommended order, its confidence, and the reasons in plain words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from .agreement import Flip
from .runs import Window
from .statistics import Mean, Samples, difference
from .tally import BY_NAME, MEASURES

MATTERS = 0.05  # of a figure: smaller differences are ignored
CHEAPER = 0.1  # of the time; smaller savings are ignored
ENOUGH = 5  # least number of excerpts for a sure verdict
FLATTER = 0.8  # of the relief of the others
SURE, LIKELY, EVEN = "sure", "likely", "a toss-up"
CAUTION = (
    "There is no ground truth for this footage: sharpness, edges and low flicker can reward artefacts, "
    "such as halos, false detail or blur. Look at the sheet before you decide."
)

Figures = Mapping[str, Mapping[str, Samples]]  # by order, by measure


class Against(NamedTuple):
    """What an order does better and worse than another one, beyond chance."""

    better: tuple[str, ...]
    worse: tuple[str, ...]

    @property
    def lead(self) -> int:
        return (len(self.better) > len(self.worse)) - (len(self.better) < len(self.worse))


class Verdict(NamedTuple):
    """The recommended order, the confidence in it, and the reasons.

    ``comparisons`` say what the order does better and worse, by the order it is compared with.
    """

    order: str
    sure: str
    why: str
    against: dict[str, Against]
    flips: tuple[Flip, ...]
    warnings: tuple[str, ...]
    comparisons: dict[str, str]
    cautions: tuple[str, ...]

    @property
    def confidence(self) -> str:
        return f"Confidence: {self.sure}, {self.why}."

    @property
    def lines(self) -> tuple[str, ...]:
        return (
            f"Recommended: {self.order}. {self.confidence}",
            *self.warnings,
            *(f"  against {other}: {text}" for other, text in self.comparisons.items()),
            *self.cautions,
        )

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def reversed_at(self, frame: int) -> set[str]:
        """Return the orders whose depth is reversed against the recommended order's at a frame."""
        return {
            name
            for flip in self.flips
            if flip.deeper is None and self.order in flip.orders
            if any(start <= frame < stop for start, stop in flip.places)
            for name in flip.orders
            if name != self.order
        }


def compare(
    figures: Figures, one: str, other: str, means: Mapping[str, Mapping[str, Mean]], seed: int
) -> Against:
    """Compare two orders by figures whose difference survives 99 of 100 resamples and is noticeable.

    A noticeable difference is neither a small part of the figure nor too small to see.
    """
    better: list[str] = []
    worse: list[str] = []
    for measure in (measure for measure in MEASURES if measure.better):
        apart = difference(figures[one][measure.name], figures[other][measure.name], seed)
        least = max(
            measure.floor, MATTERS * min(abs(means[order][measure.name].mean) for order in (one, other))
        )
        if abs(apart.mean) >= least and apart.low * apart.high > 0:
            (better if apart.mean * measure.better > 0 else worse).append(measure.name)
    return Against(tuple(better), tuple(worse))


def judge(
    figures: Figures,
    means: Mapping[str, Mapping[str, Mean]],
    times: Mapping[str, Sequence[float]],
    places: int,
    seed: int,
    flips: Sequence[Flip] = (),
) -> Verdict:
    """Return the verdict on orders; ``times`` are seconds by excerpt, ``flips`` contradictions about depth.

    An order beats another one if more of its figures are better than worse. Of the unbeaten orders the
    cheapest is recommended; if all are beaten, the cheapest of the best. An order that most others contradict
    about near and far is recommended only if all of them are contradicted. Sure: it beats every other one, on
    ``ENOUGH`` excerpts, and none contradicts it. A toss-up: it beats none.
    """
    orders = list(figures)
    against = {
        one: {other: compare(figures, one, other, means, seed) for other in orders if other != one}
        for one in orders
    }
    leaders = _leaders(against, _outvoted(orders, flips))
    order = _cheapest(leaders, {one: median(times[one]) for one in orders})
    contradicted = any(flip.deeper is None and order in flip.orders for flip in flips)
    sure = _confidence(against[order], places, contradicted)
    return Verdict(
        order,
        sure,
        _why(order, sure, against[order], leaders, places),
        against[order],
        tuple(flips),
        tuple(_warnings(order, flips, places)),
        {other: _compared(order, other, met, means, times) for other, met in against[order].items()},
        (*_flatter(order, against[order], means), CAUTION),
    )


def _leaders(against: Mapping[str, Mapping[str, Against]], outvoted: set[str]) -> list[str]:
    """Return the orders that nothing beats, or else the best; of these, those not ``outvoted`` if any."""
    balance = {one: _beats(against[one]) - _beaten(against[one]) for one in against}
    leaders = [one for one in against if not _beaten(against[one])]
    leaders = leaders or [one for one in against if balance[one] == max(balance.values())]
    return [one for one in leaders if one not in outvoted] or leaders


def _confidence(against: Mapping[str, Against], places: int, contradicted: bool) -> str:
    if not _beats(against):
        return EVEN
    return SURE if _beats(against) == len(against) and places >= ENOUGH and not contradicted else LIKELY


def _beats(against: Mapping[str, Against]) -> int:
    return sum(met.lead > 0 for met in against.values())


def _beaten(against: Mapping[str, Against]) -> int:
    return sum(met.lead < 0 for met in against.values())


def _outvoted(orders: Sequence[str], flips: Sequence[Flip]) -> set[str]:
    """Return the orders that see near and far the other way round than most others, at some excerpt."""
    votes = Counter(
        (name, place)
        for flip in flips
        if flip.deeper is None
        for name in flip.orders
        for place in flip.places
    )
    return {name for (name, _), count in votes.items() if 2 * count > len(orders) - 1}


def _warnings(order: str, flips: Sequence[Flip], places: int) -> Iterator[str]:
    """Say which orders contradict each other about depth; those of the recommended order first."""
    own: dict[tuple[Window, ...], list[str]] = {}
    others = []
    for flip in flips:
        if flip.deeper is not None:
            continue
        if order in flip.orders:
            own.setdefault(flip.places, []).extend(name for name in flip.orders if name != order)
        else:
            others.append(flip)
    against_own = {name for names in own.values() for name in names}
    for where, names in own.items():
        yield (
            f"Warning: near and far are reversed at {_where(where, places)}. There {_listed(names)} "
            f"contradict{'s' * (len(names) == 1)} {order}, so the depth of one side is wrong. Compare the "
            "depth maps before you choose."
        )
    for flip in others:
        if not against_own & set(flip.orders):
            one, other = flip.orders
            excerpts = _where(flip.places, places)
            yield f"Warning: near and far are reversed between {one} and {other} at {excerpts}."
    for flip in flips:
        if flip.deeper is not None and order in flip.orders:
            one, other = flip.orders
            yield (
                f"Warning: the depth of {one} has {flip.deeper:.1f} times the relief of {other} at "
                f"{_where(flip.places, places)}, so their parallax figures cannot be compared there."
            )


def _where(where: Sequence[Window], places: int) -> str:
    frames = ", ".join(f"{start}-{stop - 1}" for start, stop in where)
    return f"{len(where)} of {places} excerpt{'s' * (places != 1)} (frames {frames})"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _cheapest(orders: Sequence[str], seconds: Mapping[str, float]) -> str:
    """Return the first that takes little longer than the fastest."""
    limit = (1 + CHEAPER) * min(seconds[order] for order in orders)
    return next(order for order in orders if seconds[order] <= limit)


def _compared(order: str, other: str, met: Against, means, times) -> str:
    """Describe what an order does better and worse than another one, and its speed."""
    differences = [
        f"{word} in {', '.join(_figures(name, means, order, other) for name in names)}"
        for word, names in (("better", met.better), ("worse", met.worse))
        if names
    ]
    findings = [*(differences or ["no difference beyond chance"]), _speed(times[order], times[other])]
    return f"{'; '.join(findings)}."


def _flatter(order: str, others: Iterable[str], means) -> Iterator[str]:
    relief = sorted(means[other]["relief"].mean for other in others)
    if means[order]["relief"].mean < FLATTER * relief[len(relief) // 2]:
        yield "Its depth is flatter than most, which alone makes parallax stable and holes small."


def _why(order: str, sure: str, against: Mapping[str, Against], leaders: Sequence[str], places: int) -> str:
    if sure == EVEN:
        return "because no difference exceeds chance, and of the unbeaten orders it is about the cheapest"
    if sure == SURE:
        return (
            "because against every other order it is better in more figures than it is worse, beyond chance, "
            f"over {places} excerpts"
        )
    reasons = []
    if any(met.lead < 0 for met in against.values()):
        reasons.append("every order is beaten by another one in some figures, and it comes off best")
    elif even := [other for other, met in against.items() if met.lead == 0]:
        cheapest = ", and none of them is clearly cheaper" if set(even) & set(leaders) else ""
        reasons.append(f"because nothing beats it; it does not beat {', '.join(even)} either{cheapest}")
    elif places >= ENOUGH:
        reasons.append("because it is better than every other order, but they disagree about near and far")
    if places < ENOUGH:
        reasons.append(f"measured on {places} excerpt{'s' * (places != 1)}; {ENOUGH} are needed for {SURE}")
    return ", ".join(reasons)


def _figures(name: str, means, order: str, other: str) -> str:
    here, there = (means[one][name].mean for one in (order, other))
    return f"{name} ({here:.2f} against {there:.2f} {BY_NAME[name].unit})"


def _speed(own: Sequence[float], other: Sequence[float]) -> str:
    """Describe the relative speed, compared per excerpt because other load then affected both."""
    ratios = [there / max(here, 1e-9) for here, there in zip(own, other)]
    ratio = median(ratios)
    if abs(ratio - 1) < CHEAPER or min(ratios) < 1 < max(ratios):
        return "about as fast"
    return f"{ratio:.1f} times as fast" if ratio > 1 else f"{1 / ratio:.1f} times as slow"
