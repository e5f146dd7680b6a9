"""Source Advisor: what a clip is like and what to do with it."""

from ..node import FRAMES, Node, Socket

NODE = Node(
    "StereoReelAdvise",
    "Source Advisor",
    "advise",
    "Looks at a few pieces of a clip, tells what it is like (noise, compression, true resolution, repeats, motion), what "
    "to do with it and what that costs on this machine. Its page, dropped on the canvas, opens the recommended workflow.",
    (Socket("clip", FRAMES, "The source, before anything was done to it."),),
    (
        Socket("report", "STRING", "What it is like, what to do and why, what it costs, and an alternative."),
        Socket("figures", "STRING", "The same in numbers, as JSON."),
        Socket("page", "IMAGE", "All of it on one page, with four frames."),
        Socket("workflow", "STRING", "The recommended workflow, as a file for the canvas holds it."),
    ),
    output_node=True,
    module="analysis.advisor",
    pairs=False,
)
