"""Measure how fast the terminal ends after Ctrl-C while two busy loops load the cores, and what it leaves.

    python benchmarks/cancel.py                  every phase, four presses each (15 minutes)
    python benchmarks/cancel.py --quick          one press in each of a few phases
    python benchmarks/cancel.py --only import    the phases of that name

Each press comes at a random, seeded moment after the phase begins: at the start of the process, or when a
file with a certain name appears. Latency runs from the signal to the end of the process. Needs POSIX and
the clip bigbuckbunny.mp4 in the folder that STEREOREEL_CLIPS names (default: ../shared/clips).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import av

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.support import CLIPS

CLIP = CLIPS / "bigbuckbunny.mp4"  # 720p
DEFAULT = str(ROOT / "workflows" / "api" / "default.json")
BUSY, PATIENCE = 2, 180  # loops that load the cores; seconds to wait for a mark or an end
HUGE = 6 << 30  # bytes of a file to hash; sparse
SET = "--set"
RUN = ("run", DEFAULT, "--input", "{clip}", "--output", "out.mp4")
FILM = ("film", *RUN[1:])
ENCODE = ("run", "encode.json", "--output", "out.mp4")


class Phase(NamedTuple):
    """A command, the file that marks the phase (empty: the start), and when to press after it, in seconds."""

    name: str
    command: tuple[str, ...]
    mark: str = ""
    within: tuple[float, float] = (0, 10)
    kept: tuple[str, ...] = ()  # files that may remain, besides the sources
    quick: bool = False


PHASES = (
    Phase("import", RUN, within=(0.1, 3), quick=True),
    Phase("sample", ("run", DEFAULT, "--output", "out.mp4"), "output", (0, 12), quick=True),
    Phase("index", ("film", *ENCODE[1:], "--plan", SET, "extract.video=long.mp4"), within=(2, 4)),
    Phase("cuts", ("film", DEFAULT, "--input", "long.mp4", "--output", "out.mp4", "--plan"), within=(9, 20)),
    Phase("weights", ("film", "network.json", "--output", "out.mp4"), within=(4, 12), kept=("out.mp4.job",)),
    Phase("first chunk", RUN, "*.part", (0, 3), quick=True),
    Phase("mid-run", RUN, "*.part", (5, 25)),
    Phase("network", ("run", "network.json", "--output", "out.mp4"), "*.part", (0, 25), quick=True),
    Phase("finishing", ENCODE, "*.part", (5, 14)),
    Phase("slow encoder", (*ENCODE, SET, "encode.speed=best", SET, "encode.format=hevc"), "*.part", (2, 14)),
    Phase("second pass", (*ENCODE, SET, "encode.size_mb=3"), "*.part/*-2.*.part", (0, 1)),
    Phase("units", FILM, "out.mp4.job/*/units/*", (0, 20), ("out.mp4.job",)),
    Phase("join", ("film", *ENCODE[1:]), "out.mp4.*.part", (0, 0.1), ("out.mp4.job",)),
    Phase("hashing", ("fetch", "realesrgan-x2plus", "--folder", "huge"), within=(4, 9), quick=True),
    Phase("orders", ("orders", "{clip}", "--output", "orders"), within=(4, 40)),
    Phase("advise", ("advise", "{clip}", "--output", "advice"), within=(4, 14)),
)  # fmt: skip


class Press(NamedTuple):
    phase: str
    after: float
    latency: float
    status: int
    left: list[str]
    stderr: str

    @property
    def right(self) -> bool:
        return self.status in (0, 130, 143) and not self.left and "Traceback" not in self.stderr


def sources(folder: Path) -> None:
    """Write the inputs of the phases: a long film, two workflows, a large network, a huge weight file."""
    from benchmarks.support.image_nets import RRDBNet, random_net, save

    looped(CLIP, folder / "long.mp4", 300)
    extract = {"class_type": "StereoReelExtract", "inputs": {"video": str(CLIP), "cuts": False}}
    network = {"class_type": "StereoReelRealESRGAN", "inputs": {"clip": ["1", 0], "model": "net.safetensors"}}
    encode = {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "layout": "left"}}
    of_network = {"1": extract, "2": network, "3": {**encode, "inputs": {"clip": ["2", 0]}}}
    for name, graph in {"encode": {"1": extract, "3": encode}, "network": of_network}.items():
        (folder / f"{name}.json").write_text(json.dumps(graph))
    (folder / "models" / "upscale").mkdir(parents=True)
    save(random_net(RRDBNet, scale=2, width=64, blocks=23), folder / "models" / "upscale" / "net.safetensors")
    (folder / "huge").mkdir()
    with open(folder / "huge" / "RealESRGAN_x2plus.pth", "wb") as file:
        file.truncate(HUGE)


def looped(source: Path, target: Path, times: int) -> None:
    """Repeat the video stream of a film without encoding it again."""
    with av.open(str(source)) as film:
        packets = [packet for packet in film.demux(film.streams.video[0]) if packet.size]
        length = max(packet.pts for packet in packets) + packets[0].duration
        with av.open(str(target), "w") as file:
            stream = file.add_stream_from_template(film.streams.video[0])
            for _ in range(times):
                for packet in packets:
                    packet.stream = stream
                    file.mux(packet)
                    packet.pts, packet.dts = packet.pts + length, packet.dts + length


def press(phase: Phase, folder: Path, number: signal.Signals, chance: random.Random) -> Press:
    """Start the phase's command in a folder, send the signal, and record how it ends."""
    known = listed(folder)
    command = [sys.executable, "-m", "stereoreel", *(word.format(clip=CLIP) for word in phase.command)]
    with tempfile.TemporaryFile("w+") as errors:
        streams = {"stdout": subprocess.DEVNULL, "stderr": errors}
        child = subprocess.Popen(command, cwd=folder, env=environment(), **streams)
        end = time.monotonic() + PATIENCE
        while phase.mark and not any(folder.glob(phase.mark)):
            if child.poll() is not None or time.monotonic() > end:
                break
            time.sleep(0.01)
        after = chance.uniform(*phase.within)
        time.sleep(after)
        begun = time.monotonic()
        child.send_signal(number)
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
        latency = time.monotonic() - begun
        errors.seek(0)
        text = errors.read()
    new = sorted(path.relative_to(folder) for path in listed(folder) - known)
    done = child.returncode == 0
    kept = (*phase.kept, "output")
    left = [str(path) for path in new if not done and path.parts[0] not in kept]
    left += [str(path) for path in new if path.suffix == ".part" and path.parts[0] not in phase.kept]
    for name in {path.parts[0] for path in new}:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    return Press(phase.name, after, latency, child.returncode, left, text)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "STEREOREEL_MODELS": "models"}


def listed(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def measured(phases: list[Phase], presses: int, seed: int, number: signal.Signals, show: bool) -> dict:
    """Press in every phase a number of times, while the cores are busy."""
    chance, found = random.Random(seed), {}
    signal.signal(number, signal.default_int_handler)  # children of a script's background job would ignore it
    with tempfile.TemporaryDirectory() as name:
        sources(Path(name))
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
        try:
            for phase in phases:
                found[phase.name] = [press(phase, Path(name), number, chance) for _ in range(presses)]
                if show:
                    print(line(phase.name, found[phase.name]), flush=True)
        finally:
            for loop in busy:
                loop.kill()
    every = [one for some in found.values() for one in some]
    wrong = [{**one._asdict(), "stderr": one.stderr[-2000:]} for one in every if not one.right]
    latencies = {name: [round(one.latency, 2) for one in some] for name, some in found.items()}
    seconds = [one.latency for one in every]
    return {"latency": latencies, "worst": max(seconds), "median": median(seconds), "wrong": wrong}


def line(name: str, some: list[Press]) -> str:
    wrong = "".join(
        f"\n    after {one.after:.2f} s: status {one.status}, left {one.left}, printed\n{one.stderr[-1500:]}"
        for one in some
        if not one.right
    )
    pressed = ", ".join(f"{one.latency:.2f}{'' if one.status else ' (had finished)'}" for one in some)
    return f"{name:<14} {max(one.latency for one in some):6.2f} s at most: {pressed}{wrong}"


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--quick", action="store_true", help="one press in each of a few phases")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--only", action="append", metavar="PHASE", help="a phase by name; repeatable")
    parser.add_argument("--presses", type=int, help="per phase; default: 4, with --quick 1")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the presses")
    parser.add_argument("--term", action="store_true", help="SIGTERM instead of Ctrl-C")
    options = parser.parse_args()
    wanted = options.only or [phase.name for phase in PHASES if phase.quick or not options.quick]
    phases = [phase for phase in PHASES if phase.name in wanted]
    presses = options.presses or (1 if options.quick else 4)
    number = signal.SIGTERM if options.term else signal.SIGINT
    found = measured(phases, presses, options.seed, number, not options.json)
    words = f"at most {found['worst']:.2f} s, median {found['median']:.2f} s, {len(found['wrong'])} wrong"
    print(json.dumps(found) if options.json else words)


if __name__ == "__main__":
    main()
