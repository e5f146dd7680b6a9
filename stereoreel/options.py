"""Options of stages: each is declared once, and the canvas, the terminal and the checks read that declaration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import SimpleNamespace

YES, NO = ("true", "on", "yes", "1"), ("false", "off", "no", "0")


@dataclass(frozen=True)
class Option:
    """One setting: its name, default, and what it does in words a user understands.

    The default's type is the option's type. ``choices`` closes a string, unless it is ``open``: then they are suggestions, and whoever
    uses the value checks it. ``low``, ``high`` and ``step`` bound a number. The canvas shows ``advanced`` ones only when asked to.
    """

    name: str
    default: bool | int | float | str
    text: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    open: bool = False
    advanced: bool = False

    def check(self, value):
        """The value in the option's type; ValueError in one sentence when it does not fit."""
        value = self._typed(value)
        if self.choices and not self.open and value not in self.choices:
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}.")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise ValueError(f"{self.name} must lie between {self.low} and {self.high}, not {value}.")
        return value

    def _typed(self, value):
        kind = type(self.default)
        if kind is bool:
            word = str(value).lower()
            if word not in (*YES, *NO):
                raise ValueError(f"{self.name} must be true or false, not {value!r}.")
            return word in YES
        try:
            typed = kind(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{self.name} must be a {kind.__name__}, not {value!r}.") from None
        if kind is float and not isfinite(typed):
            raise ValueError(f"{self.name} must be a finite number, not {value!r}.")
        if kind is int and float(value) != typed:
            raise ValueError(f"{self.name} must be a whole number, not {value!r}.")
        return typed


DOWNLOAD = Option("download", False, "Fetch weights that are missing when this runs; auto then takes the best model, here or not.")
LIVE = (
    Option("live", "", "Name of a live session, for a graph that is run again and again: each IMAGE goes on where the one before it under this name "
           "ended. Empty: every run stands for itself.", advanced=True),
    Option("live_mode", "constant delay", "What a live run gives: one frame for each that came, as late as the model needs and the first ones plain "
           "resizes; or whatever is ready, which may be nothing.", choices=("constant delay", "as ready"), advanced=True),
)


def agree(first: SimpleNamespace, second: SimpleNamespace, *names: str) -> bool:
    """Whether two sets of options have the same values under these names."""
    return all(getattr(first, name) == getattr(second, name) for name in names)


def resolve(options: Iterable[Option], given: Mapping) -> SimpleNamespace:
    """Every option with its given or default value, checked; ValueError names an option that does not exist."""
    options = tuple(options)
    if unknown := set(given) - {option.name for option in options}:
        known = ", ".join(option.name for option in options)
        raise ValueError(f"There is no option {', '.join(sorted(unknown))} here; the options are: {known}.")
    return SimpleNamespace(**{option.name: option.check(given.get(option.name, option.default)) for option in options})
