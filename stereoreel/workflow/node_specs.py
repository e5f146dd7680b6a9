"""The table of all nodes, read by canvas, terminal and tests; each node is declared in its own module.

Ids, socket names and defaults are public and frozen. Sockets are only appended, so that saved graphs keep
working.
"""

from importlib import import_module

from .node import Node

MODULES = (
    "extract", "vsr", "upscale", "interpolate", "depth", "stereo", "encode",
    "comfort", "preview", "compare", "keep", "advise", "orders", "switch",
)  # fmt: skip
NODES: tuple[Node, ...] = tuple(import_module(f".nodes.{name}", __package__).NODE for name in MODULES)

BY_ID = {node.id: node for node in NODES}
