"""Every node of the pack: the table that canvas, terminal and tests read. A node's module says all else of it.

Ids, socket names and defaults are public and frozen: sockets are only ever appended, so that saved graphs
never break.
"""

from importlib import import_module

from .node import Node

MODULES = (
    "extract", "vsr", "upscale", "interpolate", "depth", "stereo", "encode",
    "comfort", "preview", "compare", "keep", "advise", "orders",
)  # fmt: skip
NODES: tuple[Node, ...] = tuple(import_module(f".nodes.{name}", __package__).NODE for name in MODULES)

BY_ID = {node.id: node for node in NODES}
