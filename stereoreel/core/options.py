"""Options of stages: declared once, and read by the canvas, the terminal and the checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from math import isfinite, log10
from numbers import Real
from typing import ClassVar, TypeVar

YES, NO = ("true", "on", "yes", "1"), ("false", "off", "no", "0")
LONGEST_SHOWN = 60  # characters of a value in a message
LONGEST_LINE = 1000  # characters of a path in a message
HUGE = 10**LONGEST_SHOWN
Only = tuple[str, tuple[str, ...]]  # another option, and the values of it with which an option has an effect


@dataclass(frozen=True)
class Option:
    """One setting: its name, its default, and a text for users.

    The default's type is the option's type. ``choices`` closes a string, unless it is ``open``: then they are
    suggestions, and the code that uses the value checks it. ``low``, ``high`` and ``step`` bound a number.
    The canvas shows ``advanced`` ones only on request, and one with ``only`` if the option that it names has
    one of its values; without values, if that option is not at its default. The value of ``model`` is the
    arch that runs, or ``given`` if a connected socket replaces the model. ``word`` is what the canvas shows
    instead of the default, such as auto for -1. If it ``counts``, the canvas can count it up after each run.
    ``lines``: a text of several lines.
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
    only: Only | None = None
    word: str = ""
    counts: bool = False
    lines: bool = False

    def check(self, value):
        """Return the value in the option's type. Raise ValueError if it does not fit."""
        value = self._typed(value)
        if self.choices and not self.open and value not in self.choices:
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, not {shown(value)}.")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise ValueError(f"{self.name} must be between {self.low} and {self.high}, not {shown(value)}.")
        return value

    def _typed(self, value):
        kinds = {bool: self._switch, int: self._whole, float: self._number, str: self._text}
        return kinds[type(self.default)](value)

    def _switch(self, value) -> bool:
        if isinstance(value, Real) and value in (0, 1):
            return bool(value)
        word = value.lower() if isinstance(value, str) else ""
        if word not in (*YES, *NO):
            raise ValueError(f"{self.name} must be true or false, not {shown(value)}.")
        return word in YES

    def _number(self, value) -> float:
        if not is_number(value):
            raise ValueError(f"{self.name} must be a number, not {shown(value)}.")
        try:
            typed = float(value)
        except (ValueError, OverflowError):
            raise ValueError(f"{self.name} must be a number, not {shown(value)}.") from None
        if not isfinite(typed):
            raise ValueError(f"{self.name} must be a finite number, not {shown(value)}.")
        return typed

    def _whole(self, value) -> int:
        try:
            typed = int(value) if is_number(value) else None
        except (ValueError, OverflowError):
            typed = None
        if typed is None or (typed != value and not isinstance(value, str)):
            raise ValueError(f"{self.name} must be a whole number, not {shown(value)}.")
        return typed

    def _text(self, value) -> str:
        if not is_number(value) or (isinstance(value, int) and abs(value) >= HUGE):
            raise ValueError(f"{self.name} must be text, not {shown(value)}.")
        typed = str(value)
        if "\0" in typed or not is_unicode(typed):
            raise ValueError(
                f"{self.name} contains a NUL or an incomplete character: {shown(typed)}. Remove it."
            )
        return typed


def is_number(value) -> bool:
    """Whether a value is a number, or text that may be one; true and false are neither."""
    return isinstance(value, (Real, str)) and not isinstance(value, bool)


def is_unicode(text: str) -> bool:
    """Whether a text can be a file name.

    Of lone surrogates, only those that stand for bytes are valid (PEP 383).
    """
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: str) -> str:
    """Return a text for messages: unchanged or shortened, with control characters written out."""
    if len(text) > LONGEST_LINE:
        return shown(text)
    control = any(ord(letter) < 32 or ord(letter) == 127 for letter in text)
    return text if text and is_unicode(text) and not control else repr(text)


def shown(value) -> str:
    """Return a value for messages: as JSON, on one line, shortened."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, int) and abs(value) >= HUGE:
        return f"a number of {int(log10(abs(value))) + 1} digits"
    written = repr(value)
    return written if len(written) <= LONGEST_SHOWN else f"{written[:LONGEST_SHOWN]}…"


OptionsType = TypeVar("OptionsType", bound="Options")


@dataclass(frozen=True)
class Options:
    """The options of a stage or a node, declared as fields created by ``option`` and held as values.

    ``resolve`` creates the instances, ``options_of`` describes the fields for the canvas, the terminal and
    the help pages, and ``dataclasses.replace`` changes a value. ``judged`` names the fields that the canvas
    checks with ``check`` when a prompt is queued; it shows an error next to each of them.
    """

    judged: ClassVar[tuple[str, ...]] = ()

    def unchanged(self, name: str) -> bool:
        """Whether an option is at its default."""
        return getattr(self, name) == next(one.default for one in fields(self) if one.name == name)

    def completed(self: OptionsType) -> OptionsType:
        """Return the options with those set that follow from others."""
        return self

    def check(self) -> None:
        """Raise ValueError if these values cannot work, whatever the clip is."""


Value = TypeVar("Value", bool, int, float, str)


def option(
    default: Value,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: tuple[str, ...] = (),
    open: bool = False,
    advanced: bool = False,
    only: Only | None = None,
    word: str = "",
    counts: bool = False,
    lines: bool = False,
) -> Value:
    """Declare a field of ``Options``; the arguments are those of ``Option``, its name is the field's."""
    return field_of(
        Option("", default, text, low, high, step, choices, open, advanced, only, word, counts, lines)
    )


def field_of(declared: Option):
    """Declare a field with the default, range and text of an option that several classes share."""
    return field(default=declared.default, metadata={"option": declared})


@cache
def options_of(declaring: type[Options]) -> tuple[Option, ...]:
    """Return the declarations of a class of options, in the order of its fields."""
    return tuple(replace(one.metadata["option"], name=one.name) for one in fields(declaring))


DOWNLOAD = Option(
    "download",
    False,
    "Download missing weights at run time. `auto` then also considers models not yet downloaded.",
    advanced=True,
)
LIVE = Option(
    "live",
    "",
    "Name of a live session, for a graph that runs repeatedly: each IMAGE continues from the previous "
    "one under this name. Empty: runs are independent.",
    advanced=True,
)
LIVE_MODE = Option(
    "live_mode",
    "constant delay",
    "Output of a live run. `constant delay`: one output per input; plain resizes until the model catches "
    "up. `as ready`: the frames that are finished, possibly none.",
    choices=("constant delay", "as ready"),
    only=("live", ()),
)


@dataclass(frozen=True)
class ModelOptions(Options):
    """Options of a stage with models in the catalogue, which adds the choices of ``model``."""

    model: str = option(
        "auto",
        "Model to run. `auto` selects the best one with its weights present, or else `builtin`, which needs "
        "none.",
    )


def agree(first: Options, second: Options, *names: str) -> bool:
    """Whether two sets of options have the same values under these names."""
    return all(getattr(first, name) == getattr(second, name) for name in names)


def resolve(
    settings: type[OptionsType], given: Mapping, declared: Iterable[Option] | None = None
) -> OptionsType:
    """Return the options with their given or default values.

    Raise ValueError if one does not exist, does not fit or is refused by ``Options.check``. ``declared``
    replaces the declarations of the class if the choices are known only at run time.
    """
    if declared is None:
        declared = options_of(settings)  # type: ignore[arg-type]  # mypy seeks a class's hash in its instances
    declared = tuple(declared)
    if unknown := set(given) - {one.name for one in declared}:
        known = ", ".join(one.name for one in declared)
        named = ", ".join(sorted(map(one_line, unknown)))
        raise ValueError(f"Unknown option {named}. Available: {known}.")
    values = {one.name: one.check(given.get(one.name, one.default)) for one in declared}
    resolved = settings(**values).completed()
    resolved.check()
    return resolved
