"""The order lab's options: which orders are compared, on how much of the clip, and with what each stage
works.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...core.options import ModelOptions, Only, Options, field_of, option, shown
from ...models import catalog
from ...workflow.orders import BUNDLED, COMPARED, UPSCALERS, check, makes_pair

ALL, ANY_UPSCALER = "all", "upscaler"  # all of COMPARED; in an order: the upscaler that is chosen


def _like(kind: str, name: str, text: str = "", only: Only | None = None):
    """An advanced field that is declared as a stage's option is."""
    declared = next(option for option in catalog.options(kind) if option.name == name)
    return field_of(replace(declared, text=text or declared.text, advanced=True, only=only))


@dataclass(frozen=True)
class OrderLabOptions(Options):
    """Options of the Order Lab."""

    orders: str = option(
        "all",
        "all compares: default; upscale before depth; interpolate after depth; upscale last; depth "
        "from source; depth first. Or name some of them or bundled workflows, such as default, clean_source. "
        "Separate orders of your own with semicolons: default; interpolate, depth, stereo, upscale.",
    )
    upscaler: str = option(
        "vsr",
        "Which upscaler the orders have: Video Super Resolution, or RealESRGAN Upscale.",
        choices=UPSCALERS,
    )
    vsr_model: str = _like(
        "vsr", "model", "The model of Video Super Resolution; as there.", ("upscaler", ("vsr",))
    )
    upscale_model: str = _like(
        "upscale", "model", "The model of RealESRGAN Upscale; as there.", ("upscaler", ("upscale",))
    )
    interpolate_model: str = _like("interpolate", "model", "The model of Interpolate Frames; as there.")
    depth_model: str = _like("depth", "model", "The model of Estimate Depth; as there.")
    factor: float = _like("vsr", "factor")
    multiplier: int = _like("interpolate", "multiplier")
    depth_resolution: str = _like("depth", "resolution")
    shots: int = option(
        5,
        "At how many places of the clip the orders are tried; below five the answer is never called sure.",
        low=1,
        high=50,
        step=1,
    )
    frames: int = option(
        8,
        "How many frames of the source are tried at each place; more is surer and slower.",
        low=2,
        high=90,
        step=1,
    )
    sampling: int = option(
        0,
        "Which places: 0 takes the middles of equal parts of the clip, any other number others. The same "
        "number gives the same figures, but for time and memory.",
        low=0,
        high=2**31 - 1,
        step=1,
        advanced=True,
    )
    settings: str = option(
        "",
        "More options of stages, such as stereo.divergence=3; depth.edges=smooth; vsr.download=true.",
        advanced=True,
    )

    judged = ("orders", "settings")

    def check(self) -> None:
        compared(self.orders, self.upscaler)
        stage_options(self)


OPTIONS = OrderLabOptions


def stage_options(settings: OrderLabOptions, given: Iterable[str] = ()) -> dict[str, dict]:
    """Return the options that are set, by kind, with ``KIND.OPTION=VALUE`` from ``given`` last.

    Raise ValueError if an option does not exist or its value is invalid.
    """
    options: dict[str, dict] = {kind: {} for kind in catalog.KINDS}
    for kind in UPSCALERS:
        options[kind] = {"model": getattr(settings, f"{kind}_model"), "factor": settings.factor}
    options["interpolate"] = {"model": settings.interpolate_model, "multiplier": settings.multiplier}
    options["depth"] = {"model": settings.depth_model, "resolution": settings.depth_resolution}
    for setting in (*filter(str.strip, settings.settings.split(";")), *given):
        address, equals, value = setting.partition("=")
        kind, dot, name = address.strip().partition(".")
        if not (equals and dot) or kind not in options:
            raise ValueError(
                f"{setting.strip()!r} does not set an option of a stage. Write KIND.OPTION=VALUE, "
                f"with one of the kinds {', '.join(options)}."
            )
        options[kind][name] = value.strip()
    for kind, chosen in options.items():
        _check(kind, catalog.settings_of(kind, chosen))
    return options


def _check(kind: str, settings: ModelOptions) -> None:
    for name in ("loop", "slow_motion"):
        if getattr(settings, name, False):
            raise ValueError(
                f"Orders are compared at the same times of the clip, which {kind}.{name} changes; "
                f"leave {kind}.{name} off, and set it in the workflow."
            )


def compared(text: str, upscaler: str) -> dict[str, tuple[str, ...]]:
    """Return the orders that a text names, as kinds by name; raise ValueError if one cannot run.

    Semicolons separate entries. An entry is a list of names, or an order of kinds. Letter case, and the
    choice between spaces, hyphens and underscores in names, do not matter. An order counts once, under its
    first name.
    """
    found: dict[tuple[str, ...], str] = {}
    for entry in text.split(";"):
        for name, kinds in _orders(entry).items():
            found.setdefault(tuple(upscaler if kind == ANY_UPSCALER else kind for kind in kinds), name)
    for kinds in found:
        _check_order(kinds)
    if len(found) < 2:
        raise ValueError("Name at least two different orders to compare, such as default; upscale last.")
    return {name: kinds for kinds, name in found.items()}


def _orders(entry: str) -> dict[str, tuple[str, ...]]:
    """Return the orders of one entry, by name."""
    known = named_orders()
    words = [_named(word) for word in entry.split(",") if word.strip()]
    kinds = tuple(words[words[:1] == ["extract"] : len(words) - (words[-1:] == ["encode"])])
    if kinds and set(kinds) <= {ANY_UPSCALER, *catalog.KINDS}:
        return {", ".join(kinds): kinds}
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        if word != ALL and word not in known:
            raise ValueError(_unknown(word, known))
        found |= COMPARED if word == ALL else {word: known[word]}
    return found


def named_orders() -> dict[str, tuple[str, ...]]:
    """Return the orders that have a name: those worth comparing, and those of the bundled workflows."""
    bundled = {
        _named(name): tuple(ANY_UPSCALER if kind in UPSCALERS else kind for kind in order[1:-1])
        for name, (order, _) in BUNDLED.items()
    }
    return {**bundled, **COMPARED}


def _unknown(word: str, known: Iterable[str]) -> str:
    if word in catalog.KINDS:
        return (
            f"{shown(word)} is a stage, not an order. Separate orders of stages from the names of orders "
            "with semicolons: default; depth, stereo, upscale."
        )
    stages = ", ".join((ANY_UPSCALER, *catalog.KINDS))
    return f"Unknown order or stage {shown(word)}. Orders: {'; '.join(known)}. Stages: {stages}."


def _named(word: str) -> str:
    """Return a name as orders and kinds are called: ``Clean_Source`` is ``clean source``."""
    return " ".join(word.replace("_", " ").replace("-", " ").lower().split())


def _check_order(kinds: tuple[str, ...]) -> None:
    check(("extract", *kinds, "encode"))
    if not any(map(makes_pair, kinds)):
        raise ValueError(
            f"The order {', '.join(kinds)} has no stereo, so there is no pair to compare. Put stereo after "
            "depth."
        )
