"""Every node the pack has. The canvas, the terminal and the tests read this table; a node's module says all else of it.

Ids, socket names and defaults are public and frozen: sockets are only ever appended, so that saved graphs never break.
"""

from .node import Node
from .nodes import advise, comfort, compare, depth, encode, extract, interpolate, keep, orders, preview, stereo, upscale, vsr

NODES: tuple[Node, ...] = tuple(
    module.NODE for module in (
        extract, vsr, upscale, interpolate, depth, stereo, encode, comfort, preview, compare, keep, advise, orders,
    )
)  # fmt: skip

BY_ID = {node.id: node for node in NODES}
