"""Measure whole jobs from decoder to encoder, next to an earlier commit and to the `ffmpeg` program.

    python benchmarks/pipeline.py [--before COMMIT] [--quick] [--json]
    python benchmarks/pipeline.py --model H200|4090 [--json]

The plain job decodes the 720p clip, enlarges it x2 by Lanczos and encodes it with x264 at the same preset and
crf: `ffmpeg` does the same. The other jobs are bundled workflows on the sample and on 100 frames of the clip.
All runs are interleaved. For each, the wall time, the CPU seconds and the peak memory of the process, minima
and medians; then, for each job, how far the frames are from those of COMMIT (PSNR, losslessly encoded).
COMMIT is checked out into a git worktree, which is removed again.

`--model` measures nothing: it forecasts the frame rate of the default workflow, 1080p to 4K side by side, on
a GPU from counted operations, bytes and launches, with the arithmetic and what bounds it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.support import CLIPS

CRF, PRESET = 18, "medium"
CLIP = CLIPS / "bigbuckbunny.mp4"
PLAIN = {
    "1": {"class_type": "StereoReelExtract", "inputs": {"video": "clip.mp4", "cuts": False}},
    "2": {
        "class_type": "StereoReelRealESRGAN",
        "inputs": {"clip": ["1", 0], "model": "builtin", "factor": 2.0},
    },
    "3": {
        "class_type": "StereoReelEncode",
        "inputs": {"clip": ["2", 0], "format": "h264", "speed": "balanced", "crf": CRF},
    },
}


@dataclass(frozen=True)
class Job:
    """A workflow, the source that it reads (None: its own), and options that shorten it."""

    name: str
    workflow: str | dict
    source: Path | None = None
    options: tuple[str, ...] = ()


def jobs(quick: bool) -> list[Job]:
    short = ("extract.duration=1",) if quick else ()
    clip = ("extract.duration=0.4",) if quick else ("extract.duration=4",)  # 25 fps
    several = [Job("plain", PLAIN, CLIP, ("extract.duration=1",) if quick else ())]
    several.append(Job("start, sample", "start", None, short))
    if not quick:
        for name in ("default", "clean_source"):
            several += [Job(f"{name}, sample", name, None, short), Job(f"{name}, clip", name, CLIP, clip)]
    return several


@dataclass
class Spent:
    """What the runs of a job took: seconds of wall clock and of CPU, and peak MiB."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)

    def run(self, command: list[str], folder: Path) -> None:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{' '.join(command)} failed:\n{said[-2000:]}")
        self.wall.append(time.perf_counter() - begun)
        self.cpu.append(usage.ru_utime + usage.ru_stime)
        self.peak.append(usage.ru_maxrss / 1024)

    def facts(self) -> dict:
        return {
            "wall_s": {"min": min(self.wall), "median": statistics.median(self.wall)},
            "cpu_s": {"min": min(self.cpu), "median": statistics.median(self.cpu)},
            "peak_mib": max(self.peak),
        }

    def __str__(self) -> str:
        walls = f"{min(self.wall):6.1f} s ({statistics.median(self.wall):.1f})"
        return f"{walls}, CPU {min(self.cpu):6.1f} s, peak {max(self.peak):5.0f} MiB"


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    place = folder / "before"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
    try:
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=True)


def ours(job: Job, folder: Path, output: Path, *more: str) -> list[str]:
    """Return the command that makes a job's file; it is run from the tree that shall make it."""
    workflow = job.workflow
    if isinstance(workflow, dict):
        path = folder / f"{job.name}.json"
        path.write_text(json.dumps(workflow))
        workflow = str(path)
    command = [sys.executable, "-m", "stereoreel", "run", workflow, "--device", "cpu"]
    command += ["--output", str(output), "--overwrite"]
    if job.source:
        command += ["--input", str(job.source)]
    return [*command, *(word for option in (*job.options, *more) for word in ("--set", option))]


def ffmpeg(job: Job, output: Path) -> list[str]:
    """Return the command that does the plain job."""
    length = [option.split("=")[1] for option in job.options if "duration" in option]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *(["-t", length[0]] if length else [])]
    command += ["-i", str(job.source), "-vf", "scale=2*iw:2*ih:flags=lanczos"]
    return [*command, "-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-c:a", "copy", str(output)]


def distance(first: Path, second: Path) -> tuple[float, int]:
    """Return the least PSNR of two files' frames, in dB, and their number."""
    least, count = math.inf, 0
    with av.open(str(first)) as one, av.open(str(second)) as other:
        for here, there in zip(one.decode(video=0), other.decode(video=0), strict=True):
            difference = here.to_ndarray().astype(np.float32) - there.to_ndarray()
            error = float(np.square(difference).mean())
            white = 2 ** max(part.bits for part in here.format.components) - 1
            least = min(least, math.inf if error == 0 else 10 * math.log10(white**2 / error))
            count += 1
    return least, count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", metavar="COMMIT", help="an earlier commit to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; default: 3, with --quick 1")
    parser.add_argument("--only", help="the jobs whose name begins so")
    parser.add_argument("--quick", action="store_true", help="one second of two jobs, once")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--model", choices=("H200", "4090"), help="forecast the frame rate on this GPU")
    options = parser.parse_args()
    if options.model:
        from benchmarks.support.gpu_forecast import forecast

        figures = forecast(options.model)
        if options.json:
            print(json.dumps({**figures, "ratio": {}}))
        return
    found: dict[str, dict] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trees = {"now": ROOT}
        if options.before:
            trees["before"] = stack.enter_context(checkout(options.before, folder))
        for job in jobs(options.quick):
            if options.only and not job.name.startswith(options.only):
                continue
            spent = {name: Spent() for name in trees}
            for _ in range(1 if options.quick else options.rounds):
                for name, tree in trees.items():
                    spent[name].run(ours(job, folder, folder / f"{name}.mp4"), tree)
                if job.workflow is PLAIN:
                    command = ffmpeg(job, folder / "ffmpeg.mp4")
                    spent.setdefault("ffmpeg", Spent()).run(command, folder)
            ratios = {
                f"{name}_over_now": min(one.wall) / min(spent["now"].wall)
                for name, one in spent.items()
                if name != "now"
            }
            found[job.name] = {name: one.facts() for name, one in spent.items()} | {"ratio": ratios}
            for name, one in spent.items():
                print(f"{job.name:22}{name:8}{one}", flush=True)
            print(f"{'':22}" + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()), flush=True)
            if options.before:
                exact = [folder / f"{name}.mkv" for name in trees]
                for path, tree in zip(exact, trees.values()):
                    Spent().run(ours(job, folder, path, "encode.format=ffv1"), tree)
                least, count = distance(*exact)
                found[job.name]["least_psnr_db"] = least
                print(f"{'':22}{count} frames, least PSNR to those before {least:.1f} dB", flush=True)
    if options.json:
        print(json.dumps({"jobs": found, "ratio": {name: one["ratio"] for name, one in found.items()}}))


if __name__ == "__main__":
    main()
