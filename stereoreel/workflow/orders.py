"""Orders of stages as workflows: the bundled ones, and any other with matching socket types."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from ..models import catalog
from .node import Node, Socket
from .node_specs import NODES

BY_KIND = {node.kind: node for node in NODES if node.source or node.kind in catalog.KINDS or node.sink}

BUNDLED: dict[str, tuple[tuple[str, ...], str]] = {
    "default": (
        ("extract", "vsr", "interpolate", "depth", "stereo", "encode"),
        "**Default order: upscale, interpolate, depth, stereo.**\n\n"
        "For noisy or compressed sources: the upscaler denoises first, so every later stage sees "
        "clean frames. Choose your video in *Extract Video* and queue; the sample runs without "
        "changes.",
    ),
    "clean_source": (
        ("extract", "interpolate", "upscale", "depth", "stereo", "encode"),
        "**For a clean source without RIFE: interpolate first, upscale directly before depth.**\n\n"
        "Motion is estimated on a quarter of the pixels, so this is cheaper than the default order; "
        "depth still sees the upscaled frames. RIFE finds motion better in upscaled frames: with it, "
        "use the default order.",
    ),
    "upscale_last": (
        ("extract", "interpolate", "depth", "stereo", "upscale", "encode"),
        "**Upscale last: all other stages run at source size.**\n\n"
        "The left and right views are upscaled independently at the end: the cheapest order with a "
        "light upscaler, the most expensive with a neural network, which processes both views at the "
        "higher rate. Depth edges are as coarse as the source.",
    ),
    "depth_first": (
        ("extract", "depth", "vsr", "interpolate", "stereo", "encode"),
        "**Depth first: estimated on the source's own frames.**\n\n"
        "The upscaler denoises before interpolation, and depth, which never sees interpolated frames, "
        "is warped along with them. *Stereo Pair* aligns depth edges with the upscaled frames. In our "
        "measurements within 0.25 dB of the default order, or better, for half the depth computation.",
    ),
    "depth_from_source": (
        ("extract", "interpolate", "depth", "upscale", "stereo", "encode"),
        "**Depth from the source, stereo from the upscaled frames.**\n\n"
        "Detail that an upscaler hallucinates cannot confuse depth, and depth runs at source size; "
        "*Stereo Pair* aligns its edges with the upscaled frames. Try it if upscaling a noisy 720p "
        "source before depth makes depth worse.",
    ),
}


CHAIN = ("clip", "depth")  # the sockets by which an order's nodes are connected
UPSCALERS = ("vsr", "upscale")  # the kinds that do the same work

# The orders to compare; "upscaler" stands for either of UPSCALERS.
COMPARED: dict[str, tuple[str, ...]] = {
    "default": ("upscaler", "interpolate", "depth", "stereo"),
    "upscale before depth": ("interpolate", "upscaler", "depth", "stereo"),
    "interpolate after depth": ("upscaler", "depth", "interpolate", "stereo"),
    "upscale last": ("interpolate", "depth", "stereo", "upscaler"),
    "depth from source": ("interpolate", "depth", "upscaler", "stereo"),
    "depth first": ("depth", "upscaler", "interpolate", "stereo"),
}


def api(order: Sequence[str], note: str = "") -> dict[str, dict]:
    """Return the API-format workflow of an order: ``("extract", "upscale", "depth", "stereo", "encode")``.

    Words are kinds: ``vsr`` and ``upscale`` are the two upscalers. Raise ValueError, saying what to change,
    if the order cannot run.
    """
    check(order)
    graph: dict[str, dict] = {}
    links: dict[str, list] = {}  # the outputs that hold the latest clip and the latest depth
    for number, kind in enumerate(order, 1):
        node = BY_KIND[kind]
        wired = [socket for socket in node.inputs if socket.name in links and not socket.instead]
        inputs: dict[str, float | str | list] = {option.name: option.default for option in node.options}
        inputs |= {socket.name: links[socket.name] for socket in wired}
        graph[str(number)] = {"class_type": node.id, "inputs": inputs, "_meta": {"title": node.name}}
        for socket in wired:
            if socket.name != CHAIN[0] and not socket.optional:
                del links[socket.name]  # Stereo has used the depth
        links |= {port: [str(number), slot] for slot, port in _outputs(node, {one.name for one in wired})}
    graph["1"]["_meta"]["note"] = note or f"**Order: {' → '.join(order)}.**"
    return graph


def _outputs(node: Node, wired: Container[str]) -> Iterator[tuple[int, str]]:
    """Yield the slots of a node's clip and depth outputs; one that passes an input on needs that input."""
    passed_on = {socket.name for socket in node.inputs if socket.optional and not socket.instead}
    for slot, socket in enumerate(node.outputs):
        if socket.name in CHAIN and (socket.name in wired or socket.name not in passed_on):
            yield slot, socket.name


def depth_input(kind: str) -> Socket | None:
    """Return the socket that takes the depth in an order; None if the kind has none."""
    inputs = BY_KIND[kind].inputs
    return next((socket for socket in inputs if socket.name == CHAIN[1] and not socket.instead), None)


def makes_pair(kind: str) -> bool:
    """Whether a kind renders two views of a clip, which requires depth."""
    socket = depth_input(kind)
    return socket is not None and not socket.optional


def check(order: Sequence[str]) -> None:
    """Raise ValueError if an order cannot run."""
    if unknown := [word for word in order if word not in BY_KIND]:
        raise ValueError(f"Unknown stage: {', '.join(unknown)}. Available: {', '.join(BY_KIND)}.")
    for node in sorted(BY_KIND.values(), key=lambda node: not (node.source or node.sink)):  # the ends first
        if fault := node.misplaced(tuple(order)):
            raise ValueError(fault)
