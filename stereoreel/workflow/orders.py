"""Orders of stages as workflows: the bundled ones, and any other that is typed right."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from ..models import catalog
from .node import Node, Socket
from .node_specs import NODES

BY_KIND = {node.kind: node for node in NODES if node.source or node.kind in catalog.KINDS or node.sink}

BUNDLED: dict[str, tuple[tuple[str, ...], str]] = {
    "default": (
        ("extract", "vsr", "interpolate", "depth", "stereo", "encode"),
        "**Default order: upscale, interpolate, depth, stereo.**\n\nFor noisy or compressed sources: the upscaler cleans first, and everything "
        "after it sees clean frames. Choose your video in *Extract Video* and queue; the sample runs as it is.",
    ),
    "clean_source": (
        ("extract", "interpolate", "upscale", "depth", "stereo", "encode"),
        "**For a clean source: interpolate first, upscale directly before depth.**\n\nMotion is tracked on a quarter of the pixels, "
        "so it is cheaper than the default order; depth still sees the large frames.",
    ),
    "upscale_last": (
        ("extract", "interpolate", "depth", "stereo", "upscale", "encode"),
        "**Upscale last: every other stage at source size.**\n\nEach eye is upscaled by itself at the end: the cheapest order with a light upscaler, "
        "the dearest with a network, which gets both eyes at the higher rate. Depth edges are as coarse as the source.",
    ),
    "depth_first": (
        ("extract", "depth", "vsr", "interpolate", "stereo", "encode"),
        "**Depth first: of the source's own frames.**\n\nThe upscaler cleans before frames are put between, and depth, which never sees what it "
        "makes, moves along with them. *Stereo Pair* puts depth's edges on the large frames. Within 0.25 dB of the default order, or better, in "
        "what was measured, for half of depth's work.",
    ),
    "depth_from_source": (
        ("extract", "interpolate", "depth", "upscale", "stereo", "encode"),
        "**Depth from the source, stereo from the upscaled frames.**\n\nDetail that an upscaler invents cannot confuse depth, and depth costs "
        "source size; *Stereo Pair* puts its edges on the large frames. Try it where upscaling a noisy 720p before depth makes depth worse.",
    ),
}


CHAIN = ("clip", "depth")  # the sockets by which an order's nodes are connected
UPSCALERS = ("vsr", "upscale")  # the kinds that do the same work

# The orders that are worth comparing; "upscaler" stands for either of UPSCALERS.
COMPARED: dict[str, tuple[str, ...]] = {
    "default": ("upscaler", "interpolate", "depth", "stereo"),
    "upscale before depth": ("interpolate", "upscaler", "depth", "stereo"),
    "interpolate after depth": ("upscaler", "depth", "interpolate", "stereo"),
    "upscale last": ("interpolate", "depth", "stereo", "upscaler"),
    "depth from source": ("interpolate", "depth", "upscaler", "stereo"),
    "depth first": ("depth", "upscaler", "interpolate", "stereo"),
}


def api(order: Sequence[str], note: str = "") -> dict[str, dict]:
    """The API-format workflow of an order such as ``("extract", "interpolate", "upscale", "depth", "stereo", "encode")``.

    Words are kinds: ``vsr`` and ``upscale`` are the two upscalers. Raises ValueError where the order cannot
    run, saying what to change.
    """
    check(order)
    graph: dict[str, dict] = {}
    links: dict[str, list] = {}  # where the newest clip and the newest depth come from
    for number, kind in enumerate(order, 1):
        node = BY_KIND[kind]
        wired = [socket for socket in node.inputs if socket.name in links and not socket.instead]
        inputs = {option.name: option.default for option in node.options}
        inputs |= {socket.name: links[socket.name] for socket in wired}
        graph[str(number)] = {"class_type": node.id, "inputs": inputs, "_meta": {"title": node.name}}
        for socket in wired:
            if socket.name != CHAIN[0] and not socket.optional:
                del links[socket.name]  # Stereo's depth: it is in the pair from here on
        links |= {port: [str(number), slot] for slot, port in _made(node, {socket.name for socket in wired})}
    graph["1"]["_meta"]["note"] = note or f"**Order: {' → '.join(order)}.**"
    return graph


def _made(node: Node, wired: Container[str]) -> Iterator[tuple[int, str]]:
    """The clip and depth that a node gives, with their slots: what it only hands on, it gives where it is connected."""
    handed_on = {socket.name for socket in node.inputs if socket.optional and not socket.instead}
    for slot, socket in enumerate(node.outputs):
        if socket.name in CHAIN and (socket.name in wired or socket.name not in handed_on):
            yield slot, socket.name


def depth_input(kind: str) -> Socket | None:
    """Where an order connects a kind to the depth; None where it has no such input."""
    inputs = BY_KIND[kind].inputs
    return next((socket for socket in inputs if socket.name == CHAIN[1] and not socket.instead), None)


def makes_pair(kind: str) -> bool:
    """Whether a kind makes two eyes of a clip, for which it cannot do without the depth."""
    socket = depth_input(kind)
    return socket is not None and not socket.optional


def check(order: Sequence[str]) -> None:
    """ValueError in one sentence where an order cannot run."""
    if unknown := [word for word in order if word not in BY_KIND]:
        raise ValueError(f"There is no stage {', '.join(unknown)}; the stages are: {', '.join(BY_KIND)}.")
    for node in sorted(BY_KIND.values(), key=lambda node: not (node.source or node.sink)):  # the ends first
        if fault := node.misplaced(tuple(order)):
            raise ValueError(fault)
