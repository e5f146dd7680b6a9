"""Order Lab: in which order the stages suit a clip best."""

from ..node import FRAMES, Node, Socket

NODE = Node(
    "StereoReelOrderLab",
    "Order Lab",
    "orders",
    "Measures in which order the stages suit a clip best: runs orders on a few places of it and tells what each costs, how "
    "steady, sharp and true to edges it is, and which one to take. The sheet shows where they differ most.",
    (Socket("clip", FRAMES, "The source, before anything was done to it."),),
    (
        Socket("report", "STRING", "A table of all figures, the order to take, how sure that is, and why."),
        Socket("figures", "STRING", "Every number, as JSON."),
        Socket("sheet", "IMAGE", "The places where the orders differ most, side by side, with their depth."),
        Socket("order", "STRING", "The order to take, as the terminal's workflows --order takes it."),
    ),
    output_node=True,
    module="analysis.order_lab",
    pairs=False,
)
