"""Measure what rendering a film in units costs, and what a second worker gains.

    python benchmarks/film.py                   the default workflow, 900 frames of 320x180
    python benchmarks/film.py --quick           300 frames, without depth
    python benchmarks/film.py --waiting         one and two Ray workers; each frame waits 150 ms, as for a GPU
    python benchmarks/film.py --long 10000      memory, open files, timestamps and audio of a long film, 96x64
    python benchmarks/film.py --index           speed of cut detection in 720p

`run` and `film` alternate. `--figures FILE` writes the input of benchmarks/scale_sim.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median
from zlib import crc32

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

from benchmarks.memory import film as write_source
from stereoreel.core.meter import Meter, resident
from stereoreel.film import FilmSettings, film, job_folder
from stereoreel.film.worker import Worker
from stereoreel.media.write.observer import Observer
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from stereoreel.workflow import graph as workflow

DEFAULT = ROOT / "workflows" / "api" / "default.json"
WAIT = 0.15  # seconds per frame
CHEAP = {
    "1": {"class_type": "StereoReelExtract", "inputs": {"video": ""}},
    "2": {"class_type": "StereoReelRealESRGAN", "inputs": {"clip": ["1", 0], "model": "builtin"}},
    "3": {
        "class_type": "StereoReelInterpolate",
        "inputs": {"clip": ["2", 0], "model": "builtin", "quality": "fast"},
    },
    "4": {
        "class_type": "StereoReelStereo",
        "inputs": {"clip": ["3", 0], "depth": ["3", 0], "model": "builtin"},
    },
    "5": {"class_type": "StereoReelEncode", "inputs": {"clip": ["4", 0], "speed": "fast"}},
}


class Waiting(Worker):
    """A worker that waits for its frames, as for a GPU."""

    def make(self, number: int, unit: list[int]):
        time.sleep(WAIT * (unit[1] - unit[0]))
        return super().make(number, unit)


class AfterUnits(Observer):
    """Call a function with the figures after each unit."""

    def __init__(self, measure: Callable[[Callable[[], dict]], None]):
        self.unit_done = measure


def sink(graph: dict, source: Path) -> workflow.Output:
    return workflow.Assembly(graph, lambda name: source).sinks[0]


def once(graph: dict, source: Path, target: Path, units: bool) -> tuple[float, float, Meter, int]:
    """Return the seconds, CPU seconds, costs and bytes of one run."""
    target.unlink(missing_ok=True)
    job, meter, begun, worked = sink(graph, source), Meter(), time.perf_counter(), time.process_time()
    make = film if units else write
    make(RenderRequest(job.clip, target, job.settings, depth=job.depth), Headless(), meter=meter)
    return time.perf_counter() - begun, time.process_time() - worked, meter, target.stat().st_size


def units_against_run(graph: dict, source: Path, folder: Path, rounds: int) -> dict:
    """Alternate ``run`` and ``film``; return the times of both and the figures for ``scale_sim.py``."""
    times, cores, frames = {False: [], True: []}, {False: [], True: []}, sink(graph, source).clip.info.frames
    for _ in range(rounds):
        for units in (False, True):
            seconds, worked, meter, size = once(graph, source, folder / f"out{units}.mp4", units)
            times[units].append(seconds)
            cores[units].append(worked)
    stages = {label: cost.seconds / max(1, frames) for label, cost in meter.costs.items()}
    return {
        "frames": frames,
        "run_seconds": min(times[False]),
        "film_seconds": min(times[True]),
        "run_median": median(times[False]),
        "film_median": median(times[True]),
        "run_cores": min(cores[False]),
        "film_cores": min(cores[True]),
        "seconds_per_frame": stages,
        "bytes_per_frame": size / frames,
        "ratio": {
            "film over run, time": min(times[True]) / min(times[False]),
            "film over run, work": min(cores[True]) / min(cores[False]),
        },
    }


def workers(source: Path, folder: Path, rounds: int) -> dict:
    """Compare one and two workers on the same film, from the moment all of them are at work."""
    from stereoreel.film.cluster import Cluster

    found = {}
    shots = {"clip": ["1", 0], "cuts": ", ".join(map(str, range(12, 240, 12)))}
    made = {**CHEAP, "3": {**CHEAP["3"], "inputs": {**CHEAP["3"]["inputs"], **shots}}}
    del made["2"]
    for count in (1, 2) * rounds:
        with Cluster("local", workers=count, worker=Waiting) as cluster:
            job, first = sink(made, source), []
            crew = cluster.crew(made, source, "cpu")
            request = RenderRequest(job.clip, folder / f"{count}.mp4", job.settings)
            film(
                request,
                Headless("cpu"),
                FilmSettings(crew=crew, group=24),
                AfterUnits(
                    lambda figures, first=first: first.append(
                        (time.perf_counter(), figures()["frames"], len(figures()["workers"]))
                    )
                ),
            )
        begun, at_first, _ = next(one for one in first if one[2] == count)  # all are at work
        ended, all_of_it, _ = first[-1]
        found.setdefault(count, []).append((all_of_it - at_first) / (ended - begun))
    best = {count: max(rates) for count, rates in found.items()}
    return {"fps_one": best[1], "fps_two": best[2], "ratio": {"two workers over one": best[2] / best[1]}}


def long(frames: int, folder: Path) -> dict:
    """Return resident memory and open files over a long film, and whether video and audio are exact."""
    source, target, seen = folder / "long.mp4", folder / "out.mp4", []
    write_source(source, frames, 96, 64, sound=True)
    job = sink(workflow.override(workflow.read(DEFAULT), ["encode.speed=fast"]), source)
    handles = Path("/proc/self/fd")
    observer = AfterUnits(lambda figures: seen.append((resident(), len(os.listdir(handles)))))
    film(RenderRequest(job.clip, target, job.settings), Headless("cpu"), observer=observer)
    shown = sorted(time for time, _ in packets(target, "video"))
    exact = shown == [Fraction(number) / job.clip.info.fps for number in range(job.clip.info.frames)]
    before, after = packets(source, "audio"), packets(target, "audio")
    off = max(abs(one - other) for (one, _), (other, _) in zip(before, after))
    intact = [one for _, one in before] == [one for _, one in after]
    early, late = seen[len(seen) // 10], seen[-1]
    return {
        "frames": job.clip.info.frames,
        "units": len(seen),
        "MiB_early": early[0] / 2**20,
        "MiB_late": late[0] / 2**20,
        "files_early": early[1],
        "files_late": late[1],
        "times_exact": exact,
        "sound_whole": intact,
        "sound_off_ms": float(1000 * off),
        "job_left": job_folder(target).exists(),
        "ratio": {"memory late over early": late[0] / early[0]},
    }


def packets(path: Path, kind: str) -> list[tuple[Fraction, int]]:
    """Return the time and a checksum of each packet."""
    import av

    with av.open(str(path)) as file:
        found = [packet for packet in file.demux(getattr(file.streams, kind)[0]) if packet.size]
        return [(packet.pts * Fraction(packet.time_base), crc32(bytes(packet))) for packet in found]


def index(folder: Path) -> dict:
    """Return the frames of 720p per second of cut detection, and its CPU milliseconds; the best of three."""
    from stereoreel.media.read import cuts
    from stereoreel.media.read.probe import probe

    source, times, cores = folder / "index.mp4", [], []
    write_source(source, 500, 1280, 720)
    facts = probe(source)
    for number in range(3):
        begun, worked = time.perf_counter(), time.process_time()
        cuts.index_shots(facts, (number, 500), 0.5)
        times.append((time.perf_counter() - begun) / (500 - number))
        cores.append((time.process_time() - worked) / (500 - number))
    return {"fps": 1 / min(times), "core_ms": 1000 * min(cores)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shorter, and without depth")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--waiting", action="store_true", help="compare two Ray workers with one")
    parser.add_argument("--long", type=int, metavar="FRAMES", help="check a film of this length")
    parser.add_argument("--index", action="store_true", help="measure cut detection")
    parser.add_argument("--figures", type=Path, help="also write the result to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.long:
            found = long(options.long, folder)
        elif options.index:
            found = index(folder)
        else:
            write_source(
                folder / "in.mp4",
                *((240, 96, 64) if options.waiting else (300 if options.quick else 900, 320, 180)),
            )
            graph = CHEAP if options.quick else workflow.read(DEFAULT)
            both = lambda: units_against_run(graph, folder / "in.mp4", folder, 1 if options.quick else 2)  # noqa: E731
            found = (
                workers(folder / "in.mp4", folder, 1 if options.quick else 2) if options.waiting else both()
            )
    if options.figures:
        options.figures.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
