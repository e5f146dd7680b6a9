"""Run the default workflow on the sample or a clip, and show the result and its cost.

    python demo.py [clip.mp4]

Writes to output/: the stereoscopic video, a contact sheet, and a table of time and memory per stage.
"""

import sys
from pathlib import Path

import _environment

ROOT, OUTPUT = Path(__file__).resolve().parent, Path("output")


def main(clip: Path | None, ctrl_c) -> None:
    from stereoreel.cli.demo_sheet import ChainSheet
    from stereoreel.cli.main import costs
    from stereoreel.cli.paths import find_video
    from stereoreel.cli.progress import FrameBar
    from stereoreel.core.meter import Meter
    from stereoreel.media.layouts.layout import file_tag
    from stereoreel.media.write.options import extension
    from stereoreel.media.write.render import write
    from stereoreel.media.write.request import RenderRequest
    from stereoreel.models.headless import Headless
    from stereoreel.workflow import graph as workflow

    OUTPUT.mkdir(exist_ok=True)
    source = find_video("sample", clip)
    job = workflow.Assembly(workflow.read(ROOT / "workflows/api/default.json"), lambda name: source).sinks[0]
    frames, depth = job.clip.maker.inputs  # what the Stereo node reads
    video = OUTPUT / f"demo{file_tag(job.settings.layout)}{extension(job.settings)}"
    sheet, meter = ChainSheet(source, job.clip.info, f"StereoReel: {source.name}"), Meter(memory=True)
    with FrameBar(ctrl_c, job.clip.info.frames, meter=meter) as bar:
        request = RenderRequest(job.clip, video, job.settings, overwrite=True)
        write(request, Headless(on_tick=bar.tick), sheet, also=(depth, frames), meter=meter)
    sheet.save(OUTPUT / "demo_sheet.png")
    table = costs(meter)
    (OUTPUT / "demo_costs.txt").write_text(table + "\n")
    print(f"\n{table}\n\n{video}\n{OUTPUT / 'demo_sheet.png'}\n{OUTPUT / 'demo_costs.txt'}")


if __name__ == "__main__":
    _environment.enter("requirements.txt")
    from stereoreel.cli import passive_waiting
    from stereoreel.cli.interrupt import CtrlC, leave, listen

    listen()
    passive_waiting()
    try:
        with CtrlC() as ctrl_c:
            main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, ctrl_c)
    except KeyboardInterrupt as error:
        print("cancelled; no partial video was left", file=sys.stderr)
        leave(getattr(error, "status", 130))
