"""Shot Switch: noisy shots from one branch of the workflow, clean ones from another."""

from ..node import CLIP_OUT, DEPTHS, FRAMES, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    source = call.clip("source") if call.inputs.get("source") is not None else None
    clips = call.clip("noisy"), call.clip("clean")
    return {"clip": call.node.engine.switch(*clips, source, call.settings, call.name)}


NODE = Node(
    "StereoReelShotSwitch",
    "Shot Switch",
    "switch",
    "Treat each shot as it needs: noisy and compressed shots come from one branch of the workflow, the "
    "others from another one. Each branch has its own upscaler, options and order, and computes only its "
    "own shots.",
    (
        Socket("noisy", DEPTHS, "Frames, depth or pairs as they should be in noisy and compressed shots."),
        Socket("clean", DEPTHS, "The same for all other shots, of the same size and rate."),
        Socket(
            "source",
            FRAMES,
            "The unprocessed frames, which are measured. IMAGE batches need it; of a VIDEO, it is by default "
            "the clip that both branches begin with.",
            optional=True,
        ),
    ),
    (CLIP_OUT,),
    module="analysis.shot_switch",
    build=build,
    aliases=("switch", "by shot", "per scene", "scene switch", "noisy shots", "if noisy", "merge branches"),
    group="Quality",
)
