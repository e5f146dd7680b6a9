"""One order of stages over a clip, with its intermediate results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..core.clip import Clip
from ..workflow.build import stage
from ..workflow.orders import BY_KIND, COMPARED, check, depth_input, makes_pair


class Trial(NamedTuple):
    """Result of an order: the final stereo ``pair``, and the ``frames`` and ``depth`` that Stereo used."""

    pair: Clip
    frames: Clip
    depth: Clip


def trial(
    order: Sequence[str] | str,
    clip: Clip,
    options: Mapping[str, Mapping] | None = None,
    upscaler: str = "vsr",
    make: Callable[..., Mapping] = stage,
) -> Trial:
    """Build an order of kinds, or one of ``orders.COMPARED`` by name, over a clip; nothing is computed.

    ``options`` are those of each kind that differ from the values of ``orders.api``. Orders contain neither
    extract nor encode, and one ``stereo``. ``make`` creates the clips of each stage, called as
    ``build.stage`` is. Raise ValueError if the order cannot run.
    """
    names = COMPARED[order] if isinstance(order, str) else order
    kinds = [upscaler if name == "upscaler" else name for name in names]
    check(("extract", *kinds, "encode"))
    depth: Clip | None = None
    pair_inputs: tuple[Clip, Clip] | None = None
    for number, kind in enumerate(kinds, 1):
        moves_depth = depth is not None and depth_input(kind) and any(map(makes_pair, kinds[number:]))
        takes_depth = makes_pair(kind) or moves_depth
        if makes_pair(kind) and depth is not None:
            pair_inputs = clip, depth
        inputs = {"clip": clip, **({"depth": depth} if takes_depth else {})}
        result = make(BY_KIND[kind], inputs, (options or {}).get(kind, {}), str(number))
        clip = result.get("clip", clip)
        depth = result.get("depth", depth)
    if pair_inputs is None:
        raise ValueError(
            "This order has no stereo, so there is no stereo pair to compare. Put stereo after depth."
        )
    return Trial(clip, *pair_inputs)
