"""Measure the peak memory of a workflow for a short and a long film; it must not grow.

python benchmarks/memory.py                  100 and 2000 frames of 720p (takes long)
python benchmarks/memory.py --quick          30 and 90 frames of 320x180
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

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CHILD = """
import sys, torch
torch.set_grad_enabled(False)
from stereoreel.cli.main import main
from stereoreel.core.meter import resident
code = main(sys.argv[1:])
print("PEAK", resident("VmHWM"))
sys.exit(code)
"""


RATE = 48_000  # audio samples per second


def film(path: Path, frames: int, width: int, height: int, sound: bool = False) -> None:
    """Write a moving texture with a cut every hundred frames and, with ``sound``, a click at each cut."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", Fraction(25), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        track = file.add_stream("aac", RATE, layout="mono") if sound else None
        for number in range(frames):
            if number % 100 == 0:
                coarse = random.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
                texture = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]
            file.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(
                        np.ascontiguousarray(np.roll(texture, 3 * number, 1)), format="rgb24"
                    )
                )
            )
            if track:
                file.mux(track.encode(_click(number)))
        for one in (stream, track) if track else (stream,):
            file.mux(one.encode(None))


def _click(number: int) -> av.AudioFrame:
    """Return the audio of one frame."""
    samples = np.zeros((1, RATE // 25), np.float32)
    if number % 100 == 0:
        samples[0, :480] = np.sin(np.arange(480) / 6) * 0.8
    sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    sound.sample_rate, sound.pts, sound.time_base = RATE, number * samples.shape[1], Fraction(1, RATE)
    return sound


def peak(workflow: Path, source: Path, target: Path, settings: tuple[str, ...] = ()) -> tuple[int, float]:
    """Return the peak of resident memory in bytes and the seconds of one run in its own process."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", CHILD, "run", str(workflow)]
    command += ["--input", str(source), "--output", str(target), "--overwrite"]
    command += [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split("PEAK")[1]), time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 2000], help="default: 100 2000")
    parser.add_argument("--size", default="1280x720", help="of the frames; default: 1280x720")
    parser.add_argument("--workflow", default="default", help="name of a bundled workflow")
    parser.add_argument("--set", action="append", default=[], metavar="KIND.OPTION=VALUE", help="a widget")
    parser.add_argument("--quick", action="store_true", help="short, small films")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    if options.quick:
        options.frames, options.size = [30, 90], "320x180"
    width, height = map(int, options.size.split("x"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for frames in options.frames:
            source = Path(folder) / f"{frames}.mp4"
            film(source, frames, width, height)
            memory, seconds = peak(
                ROOT / "workflows" / "api" / f"{options.workflow}.json",
                source,
                Path(folder) / "out.mp4",
                tuple(options.set),
            )
            rows.append({"frames": frames, "peak_mib": round(memory / 2**20), "seconds": round(seconds, 1)})
            print(
                f"{options.workflow}, {width}x{height}, {frames} frames: peak {memory / 2**20:.0f} MiB, "
                f"{seconds:.1f} s",
                flush=True,
            )
    ratio = rows[-1]["peak_mib"] / rows[0]["peak_mib"]
    print(f"{rows[-1]['frames']} frames need {ratio:.2f} times the memory of {rows[0]['frames']}")
    if options.json:
        facts = {"workflow": options.workflow, "set": options.set, "size": options.size, "runs": rows}
        print(json.dumps({**facts, "ratio": {"peak_longest_over_shortest": round(ratio, 3)}}))


if __name__ == "__main__":
    main()
