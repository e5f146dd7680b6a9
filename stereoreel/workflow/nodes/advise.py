"""Source Advisor: measures a clip and recommends a workflow for it."""

from ..node import FRAMES, Node, Socket

NODE = Node(
    "StereoReelAdvise",
    "Source Advisor",
    "advise",
    "Measures a few excerpts of a clip (noise, compression, true resolution, repeats, motion) and "
    "recommends a workflow, with its cost on this machine. To open that workflow, drop the page on the "
    "canvas.",
    (Socket("clip", FRAMES, "The unprocessed source."),),
    (
        Socket(
            "report",
            "STRING",
            "The findings, the recommendation and its reasons, its cost, and an alternative.",
        ),
        Socket("figures", "STRING", "All numbers, as JSON."),
        Socket("page", "IMAGE", "The report on one page, with four frames."),
        Socket("workflow", "STRING", "The recommended workflow, in the canvas's file format."),
    ),
    output_node=True,
    module="analysis.advisor",
    pairs=False,
    aliases=("analyze video", "video quality", "recommend", "noise", "compression", "which upscaler"),
)
