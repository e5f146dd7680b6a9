"""The order lab's options: which orders are compared, on how much of the clip, and with what each stage works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace

from ...core.options import Option, resolve
from ...models import catalog
from ...workflow.orders import UPSCALERS

ANY_UPSCALER = "upscaler"  # in an order: the one that is chosen


def _like(kind: str, name: str, own: str, text: str = "") -> Option:
    """A stage's option under a name of the lab's."""
    option = next(option for option in catalog.options(kind) if option.name == name)
    return replace(option, name=own, text=text or option.text, advanced=False)


OPTIONS = (
    Option("orders", "all", "all compares: default; upscale before depth; interpolate after depth; upscale last; depth from source; depth first. Or "
           "name some of them, and orders of your own such as interpolate, depth, stereo, upscale; with semicolons between them."),
    Option("upscaler", "vsr", "Which upscaler the orders have: Video Super Resolution, or RealESRGAN Upscale.", choices=UPSCALERS),
    *(_like(kind, "model", f"{kind}_model", f"The model of {node}; as there.") for kind, node in {
        "vsr": "Video Super Resolution", "upscale": "RealESRGAN Upscale", "interpolate": "Interpolate Frames", "depth": "Estimate Depth"}.items()),
    _like("vsr", "factor", "factor"),
    _like("interpolate", "multiplier", "multiplier"),
    _like("depth", "resolution", "depth_resolution"),
    Option("shots", 5, "At how many places of the clip the orders are tried; below five the answer is never called sure.", 1, 50, 1),
    Option("frames", 8, "How many frames of the source are tried at each place; more is surer and slower.", 2, 90, 1),
    Option("sampling", 0, "Which places: 0 takes the middles of equal parts of the clip, any other number others. The same number gives the same "
           "figures, but for time and memory.", 0, 2**31 - 1, 1),
    Option("settings", "", "More options of stages, such as stereo.divergence=3; depth.edges=smooth; vsr.download=true."),
)  # fmt: skip


def stage_options(settings: SimpleNamespace, given: Iterable[str] = ()) -> dict[str, dict]:
    """The options of every kind that are set, with ``KIND.OPTION=VALUE`` from ``given`` last; ValueError where one does not exist or fit."""
    options = {kind: {} for kind in catalog.KINDS}
    for kind in UPSCALERS:
        options[kind] = {"model": getattr(settings, f"{kind}_model"), "factor": settings.factor}
    options["interpolate"] = {"model": settings.interpolate_model, "multiplier": settings.multiplier}
    options["depth"] = {"model": settings.depth_model, "resolution": settings.depth_resolution}
    for setting in (*filter(str.strip, settings.settings.split(";")), *given):
        address, equals, value = setting.partition("=")
        kind, dot, name = address.strip().partition(".")
        if not (equals and dot) or kind not in options:
            raise ValueError(f"An option of a stage is set as KIND.OPTION=VALUE with one of {', '.join(options)}, not {setting.strip()!r}.")
        options[kind][name] = value.strip()
    for kind, chosen in options.items():
        _check(kind, resolve(catalog.options(kind), chosen))
    return options


def _check(kind: str, settings: SimpleNamespace) -> None:
    for name in ("loop", "slow_motion"):
        if getattr(settings, name, False):
            raise ValueError(f"Orders are compared at the same moments of the clip; leave {kind}.{name} off here, and set it in the workflow.")


def compared(text: str, upscaler: str) -> dict[str, tuple[str, ...]]:
    """The orders that a text names, as kinds by name; ValueError says what to change where it names none, or one that cannot run."""
    from ...workflow.orders import COMPARED

    found: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        words = [word.strip() for word in entry.split(",")]
        if entry == "all":
            found |= COMPARED
        elif all(_named(word) in COMPARED for word in words):
            found |= {_named(word): COMPARED[_named(word)] for word in words}
        else:
            kinds = tuple(words[words[0] == "extract": len(words) - (words[-1] == "encode")])
            found[", ".join(kinds)] = kinds
    found = {name: tuple(upscaler if kind == ANY_UPSCALER else kind for kind in kinds) for name, kinds in found.items()}
    for kinds in found.values():
        _check_order(kinds, COMPARED)
    if len(found) < 2:
        raise ValueError("Name at least two orders to compare, such as default; upscale last.")
    return found


def _named(word: str) -> str:
    return " ".join(word.replace("_", " ").split())


def _check_order(kinds: tuple[str, ...], known: Iterable[str]) -> None:
    from ...workflow.orders import check, makes_pair

    if unknown := [kind for kind in kinds if kind not in catalog.KINDS]:
        raise ValueError(f"There is no stage or order called {', '.join(unknown)}; orders are {'; '.join(known)}; "
                         f"stages are {', '.join((ANY_UPSCALER, *catalog.KINDS))}.")
    check(("extract", *kinds, "encode"))
    if not any(map(makes_pair, kinds)):
        raise ValueError(f"The order {', '.join(kinds)} has no stereo, so there is no pair to compare; put stereo behind depth.")
