"""Progress of a film: frames, rate, time left, cost per stage, rate per worker; as JSON or for Prometheus."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from pathlib import Path

from ..core.files import save_text
from .job import Job, UnitRecord

METRICS = "# TYPE stereoreel_film_"  # the beginning of a Prometheus file
RECENT = 20  # units over which the rate is averaged


class Progress:
    """Figures of a job; call ``unit`` for every computed unit."""

    def __init__(self, job: Job):
        self.job, self._begun = job, time.monotonic()
        self.before = sum(result.unit.frames for result in job.records.values())
        self._times: list[tuple[float, int]] = [(self._begun, 0)]
        self.workers: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # frames, seconds
        self.failed = 0

    def unit(self, record: UnitRecord) -> None:
        self._times = [*self._times[-RECENT:], (time.monotonic(), self._times[-1][1] + record.unit.frames)]
        worker = self.workers[record.worker or "here"]
        worker[0] += record.unit.frames
        worker[1] += record.seconds

    def figures(self) -> dict:
        """Return plain numbers; ``fps`` and ``seconds_left`` are based on the last units."""
        records, total = self.job.records.values(), self.job.units[-1].stop
        done, size = (
            sum(one.unit.frames for one in records),
            sum(file["bytes"] for one in records for file in one.files),
        )
        (then, first), (now, last) = self._times[0], self._times[-1]
        rate = (last - first) / (now - then) if now > then else 0.0
        stages: dict[str, list[float]] = {}
        for one in records:
            for label, spent in one.costs.items():
                stages[label] = [a + b for a, b in zip(stages.get(label, [0.0, 0.0]), spent)]
        return {
            "units": len(self.job.records),
            "units_total": len(self.job.units),
            "units_failed": self.failed,
            "frames": done,
            "frames_total": total,
            "fps": rate,
            "seconds_left": (total - done) / rate if rate else None,
            "bytes": size,
            "bytes_expected": round(size * total / done) if done else None,
            "stages": {
                label: {"seconds": seconds, "frames": round(frames)}
                for label, (seconds, frames) in stages.items()
            },
            "workers": {
                name: {"frames": round(frames), "fps": frames / max(seconds, 1e-9)}
                for name, (frames, seconds) in self.workers.items()
            },
        }


def as_json(figures: dict) -> str:
    return json.dumps(figures)


def free_for_metrics(path: Path) -> bool:
    """Whether the path is free, or a metrics file written earlier."""
    if not path.is_file() or path.is_symlink():
        return not os.path.lexists(path)
    with open(path, "rb") as file:
        return file.read(len(METRICS)) in (b"", METRICS.encode())


def write_prometheus(path: Path, figures: dict) -> None:
    """Write a text file for the node exporter, atomically."""
    lines = []
    for name in (
        "units",
        "units_total",
        "units_failed",
        "frames",
        "frames_total",
        "fps",
        "seconds_left",
        "bytes",
        "bytes_expected",
    ):
        if figures[name] is not None:
            lines += [f"{METRICS}{name} gauge", f"stereoreel_film_{name} {figures[name]}"]
    for kind, label, value in (("stages", "stage", "seconds"), ("workers", "worker", "fps")):
        lines.append(f"{METRICS}{label}_{value} gauge")
        lines += [
            f"stereoreel_film_{label}_{value}{{{label}={json.dumps(name)}}} {one[value]}"
            for name, one in figures[kind].items()
        ]
    save_text(path, "\n".join(lines) + "\n", replace=True)
