"""The pack's ComfyUI nodes."""

from importlib import import_module
from pkgutil import iter_modules

from ..stereoreel.workflow.node import Node
from ..stereoreel.workflow.node_specs import NODES
from ._comfy import ComfyExtension
from ._schema import node_class
from ._stage_node import StageNode

WEB_DIRECTORY = "./web"


class StereoReel(ComfyExtension):
    async def get_node_list(self) -> list[type]:
        return [node_class(node, face(node)) for node in NODES]


def face(node: Node) -> type:
    """Return the class that runs a node: ``DepthNode`` of ``depth.py`` for depth, else ``StageNode``."""
    if node.kind not in {module.name for module in iter_modules(__path__)}:
        return StageNode
    return getattr(import_module(f".{node.kind}", __package__), f"{node.kind.title()}Node")


async def comfy_entrypoint() -> StereoReel:
    return StereoReel()
