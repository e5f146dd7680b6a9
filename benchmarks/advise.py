"""Compare the advisor's forecast of what a film costs with what it does cost.

    python benchmarks/advise.py                       three orders on a moving texture, 160 pixels wide
    python benchmarks/advise.py --quick               one order, a smaller and shorter film
    python benchmarks/advise.py --source FILE         a real film, repeated until it is long enough

A short calibration run forecasts a film several times as long. Calibration and film alternate, each in its
own process. Ratios are predicted over actual. On a machine with other load, "cores" (CPU seconds of all
cores) is more reliable than time. The output states how many times longer the film is than the calibration;
from ten times on, it is a real test.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import av

from benchmarks.memory import film as texture
from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported
from stereoreel.core.meter import resident
from stereoreel.models.headless import Headless
from stereoreel.workflow import graph as workflow

ORDERS = ("default", "clean_source", "upscale_last")
FIGURES = {"time": "seconds", "cores": "work", "memory": "memory", "process": "process", "disk": "disk"}


def looped(clip: Path, path: Path, frames: int, side: int) -> None:
    """Write the start of a clip repeatedly, ``side`` pixels wide, without audio."""
    with av.open(str(path), "w") as file:
        stream, number = file.add_stream("libx264", Fraction(25), options={"crf": "18"}), 0
        while number < frames:
            with av.open(str(clip)) as source:
                for frame in source.decode(video=0):
                    if number == frames:
                        break
                    height = round(frame.height * side / frame.width / 16) * 16
                    if not number:
                        stream.width, stream.height, stream.pix_fmt = side, height, "yuv420p"
                    frame = frame.reformat(side, height, "yuv420p")
                    frame.pts, frame.time_base, number = number, Fraction(1, 25), number + 1
                    frame.pict_type = 0
                    file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def child(what: str, order: str, source: Path, seconds: float, settings: list[str]) -> dict:
    """Return the forecast, or the cost of the film itself, in this process."""
    from stereoreel.analysis.advisor.cost import predict
    from stereoreel.analysis.advisor.footprint import Footprint
    from stereoreel.media.write.render import write
    from stereoreel.media.write.request import RenderRequest

    graph = workflow.override(workflow.read(ROOT / "workflows" / "api" / f"{order}.json"), settings)
    job, host = workflow.Assembly(graph, lambda name: source).sinks[0], Headless()
    begin = resident()
    if what == "predicted":
        begun = time.perf_counter()
        cost = predict(job, host, seconds)
        return {**cost.figures(), "process": begin + cost.memory, "took": time.perf_counter() - begun}
    with tempfile.TemporaryDirectory() as folder:
        footprint, begun, worked = Footprint(host.device), time.perf_counter(), time.process_time()
        paths = write(RenderRequest(job.clip, Path(folder) / "film.mp4", job.settings, depth=job.depth), host)
        return {
            "seconds": time.perf_counter() - begun,
            "work": time.process_time() - worked,
            "memory": footprint.peak,
            "process": begin + footprint.peak,
            "disk": sum(path.stat().st_size for path in paths),
            "frames": job.clip.info.frames,
        }


def in_child(what: str, order: str, source: Path, seconds: float, settings: list[str]) -> dict:
    """Return the result of ``child`` in a new process."""
    command = [sys.executable, __file__, "--child", what, "--orders", order]
    command += ["--source", str(source), "--seconds", str(seconds)]
    command += [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(order: str, source: Path, options: argparse.Namespace) -> dict:
    """Alternate forecasts and films; return both and the ratio of each forecast to the film after it."""
    found: dict[str, list[dict]] = {"predicted": [], "real": []}
    for _ in range(options.rounds):
        for what, runs in found.items():
            runs.append(in_child(what, order, source, options.seconds, options.set))
    predicted, real = found["predicted"], found["real"]
    ratios = {
        name: [one[key] / other[key] for one, other in zip(predicted, real) if other[key]]
        for name, key in FIGURES.items()
    }
    inside = [
        one["seconds_low"] <= other["seconds"] <= one["seconds_high"] for one, other in zip(predicted, real)
    ]
    summary = ", ".join(f"{name} {_range(values)}" for name, values in ratios.items() if values)
    longer = real[0]["frames"] / predicted[0]["measured"]
    print(f"{order}: {real[0]['frames']} frames, {longer:.1f} times as many as the calibration processed in "
          f"{predicted[0]['took']:.1f} s; "
          f"{real[0]['seconds']:.1f} s, {real[0]['process'] / 2**20:.0f} MiB; predicted over actual: "
          f"{summary}; "
          f"within the interval {sum(inside)} of {len(inside)}", flush=True)  # fmt: skip
    return {"order": order, "predicted": predicted, "real": real, "inside": sum(inside), "ratio": ratios}


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low}..{high}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", nargs="+", default=ORDERS, help="names of bundled workflows")
    parser.add_argument("--source", type=Path, help="a film; default: a moving texture")
    parser.add_argument("--frames", type=int, default=800, help="length of the film; default: 800")
    parser.add_argument("--side", type=int, default=160, help="width of the film; default: 160")
    parser.add_argument("--seconds", type=float, default=10, help="length of the calibration; default: 10")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each order; default: 2")
    parser.add_argument("--set", action="append", default=[], metavar="KIND.OPTION=VALUE", help="a widget")
    parser.add_argument("--quick", action="store_true", help="one order, a smaller and shorter film")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--child", choices=("predicted", "real"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(
            json.dumps(child(options.child, options.orders[0], options.source, options.seconds, options.set))
        )
        return
    if options.quick:
        options.orders, options.frames, options.side = ["upscale_last"], 160, 96
        options.seconds, options.rounds = 4, 1
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "film.mp4"
        if options.source:
            looped(options.source, source, options.frames, options.side)
        else:
            texture(source, options.frames, options.side, options.side * 3 // 5 // 16 * 16)
        rows = [compare(order, source, options) for order in options.orders]
    if options.json:
        ratio = {
            f"{row['order']}, {name}": round(sum(values) / len(values), 3)
            for row in rows
            for name, values in row["ratio"].items()
            if values
        }
        print(json.dumps({"runs": rows, "ratio": ratio}))


if __name__ == "__main__":
    main()
