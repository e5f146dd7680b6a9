"""Differences between rows that differ in one thing only, scene by scene, and verdicts from them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .cells import Row
from .effects import Effect, mean_effect

SUPPORTED, REFUTED, DEPENDS, OPEN = "supported", "refuted", "depends", "inconclusive"
KEY = ("scene", "lines", "source", "upscaler", "depth", "order")


@dataclass(frozen=True)
class Verdict:
    """The conditions in which a claim holds (``yes``), fails (``no``) or is undecided (``open``).

    ``word`` is ``DEPENDS`` if there are some of the first two, ``SUPPORTED`` or ``REFUTED`` if there are only
    such, else ``OPEN``.
    """

    word: str
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.word in (SUPPORTED, REFUTED) or not (self.yes or self.no):
            return self.word
        parts = (("holds", self.yes), ("fails", self.no), ("inconclusive", self.open))
        return f"{self.word}: " + "; ".join(f"{name} for {', '.join(some)}" for name, some in parts if some)


def judged(effects: Mapping[str, Effect], least: float) -> Verdict:
    """Return whether every measured condition has a gain of at least ``least``.

    Yes: the mean reaches ``least``, and the interval lies above 0. No: the interval lies below ``least``.
    """
    return verdict({name: _gain(effect, least) for name, effect in effects.items()})


def vanishing(effects: Mapping[str, Effect], least: float) -> Verdict:
    """Return whether the gain is less than ``least``: the opposite of ``judged``."""
    answers = {name: _gain(effect, least) for name, effect in effects.items()}
    return verdict({name: None if answer is None else not answer for name, answer in answers.items()})


def both(*verdicts: Verdict) -> Verdict:
    """Return one verdict on several kinds of evidence."""
    answers = {
        name: answer
        for verdict in verdicts
        for answer, names in ((True, verdict.yes), (False, verdict.no), (None, verdict.open))
        for name in names
    }
    return verdict(answers)


def _gain(effect: Effect, least: float) -> bool | None:
    if not effect.count:
        return None
    if effect.low > 0 and effect.mean >= least:
        return True
    return False if effect.high < least else None


def verdict(answers: Mapping[str, bool | None]) -> Verdict:
    """Return the verdict for the answers under all conditions; None is undecided."""
    yes, no, unknown = (
        tuple(name for name, answer in answers.items() if answer is wanted) for wanted in (True, False, None)
    )
    word = DEPENDS if yes and no else OPEN if unknown or not (yes or no) else SUPPORTED if yes else REFUTED
    return Verdict(word, yes, no, unknown)


class Rows:
    """The rows of a study, their means and their differences."""

    def __init__(self, rows: Iterable[Row], seed: int = 0):
        self.rows, self.seed = list(rows), seed
        self._by_key = {_key(row): row for row in self.rows}

    def where(self, **wanted) -> list[Row]:
        """Return the rows with these values; a tuple allows any of its members."""
        return [
            row
            for row in self.rows
            if all(_fits(getattr(row, name), value) for name, value in wanted.items())
        ]

    def values(self, name: str) -> list:
        """Return all values of a column, in order of appearance."""
        return list(dict.fromkeys(getattr(row, name) for row in self.rows))

    def mean(self, score: str, **wanted) -> Effect:
        """Return the mean of a score over scenes."""
        scenes = defaultdict(list)
        for row in self.where(**wanted):
            scenes[row.scene].append(row.scores.get(score, math.nan))
        return self._effect([float(np.mean(some)) for some in scenes.values()], f"{score} {wanted}")

    def gain(self, score: str, of: Mapping, over: Mapping, relative: bool = False, **wanted) -> Effect:
        """Return the gain in a score of rows with the values ``of`` over otherwise equal rows with ``over``.

        Rows are paired, with one mean per scene. ``relative`` returns percent of the mean of ``over`` across
        scenes, so that a scene in which it is almost zero does not dominate.
        """
        scenes = defaultdict(list)
        for row in self.where(**{**wanted, **of}):
            other = self._by_key.get(_key(row, **over))
            if other is not None and score in row.scores and score in other.scores:
                scenes[row.scene].append((row.scores[score], other.scores[score]))
        pairs = [np.mean(some, 0) for some in scenes.values()]
        unit = float(np.mean([b for _, b in pairs])) / 100 if relative and pairs else 1.0
        values = [float(a - b) / unit for a, b in pairs]
        return self._effect(values, f"{score} {of} {over} {relative} {wanted}")

    def _effect(self, values: list[float], name: str) -> Effect:
        return mean_effect(values, self.seed, name)


def _key(row: Row, **changed) -> tuple:
    return tuple(changed.get(name, getattr(row, name)) for name in KEY)


def _fits(value, wanted) -> bool:
    return value in wanted if isinstance(wanted, tuple) else value == wanted
