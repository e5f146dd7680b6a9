"""ComfyUI's face of the pack."""

from ..stereoreel.workflow.node_specs import NODES
from ._comfy import ComfyExtension
from ._schema import node_class
from ._stage_node import StageNode
from .advise import AdviseNode
from .comfort import ComfortNode
from .compare import CompareNode
from .encode import EncodeNode
from .extract import ExtractNode
from .keep import KeepNode
from .order_lab import OrderLabNode
from .preview import PreviewNode

WEB_DIRECTORY = "./web"
BASES = {"extract": ExtractNode, "encode": EncodeNode, "comfort": ComfortNode, "compare": CompareNode, "preview": PreviewNode,
         "keep": KeepNode, "advise": AdviseNode, "orders": OrderLabNode}


class StereoReel(ComfyExtension):
    async def get_node_list(self) -> list[type]:
        return [node_class(node, BASES.get(node.kind, StageNode)) for node in NODES]


async def comfy_entrypoint() -> StereoReel:
    return StereoReel()
