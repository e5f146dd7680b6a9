"""Order Lab: which order of the stages suits a clip best."""

from ..node import FRAMES, Node, Socket

NODE = Node(
    "StereoReelOrderLab",
    "Order Lab",
    "orders",
    "Measures which order of the stages suits a clip best: runs several orders on a few excerpts, reports "
    "the cost, temporal stability, sharpness and edge accuracy of each, and recommends one. The sheet "
    "shows where they differ most.",
    (Socket("clip", FRAMES, "The unprocessed source."),),
    (
        Socket(
            "report",
            "STRING",
            "A table of all figures, the recommended order, the confidence in it, and the reasons.",
        ),
        Socket("figures", "STRING", "All numbers, as JSON."),
        Socket(
            "sheet",
            "IMAGE",
            "The recommendation, all figures, and crops where the orders differ most, with depth.",
        ),
        Socket(
            "order", "STRING", "The recommended order, in the format of the terminal's workflows --order."
        ),
    ),
    output_node=True,
    module="analysis.order_lab",
    pairs=False,
    aliases=("best order", "benchmark", "compare workflows", "order of stages"),
)
