"""Simulate how long a film takes on 1 to 1,000 workers, from measured costs.

    python benchmarks/scale_sim.py                           a two-hour film, 0.5 s per frame
    python benchmarks/scale_sim.py --figures costs.json      with the output of benchmarks/film.py --figures
    python benchmarks/scale_sim.py --seconds 1.2 --unit 60   1.2 s per frame, smaller units

Shots have lengths like those of films, and units follow stereoreel/core/partition.py. Each worker takes the
next unit when it has finished one. Workers start, load models, differ in speed, are sometimes slow for a
unit (stragglers), and die. Long units come first; when none is left, idle workers recompute late ones. The
head detects cuts first, receives every segment over one link, and joins them at the end.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stereoreel.core.partition import GROUP, LEAD, Unit, cover

CREWS = (1, 2, 4, 10, 20, 40, 100, 200, 400, 1000)


@dataclass(frozen=True)
class Costs:
    """Seconds, bytes and probabilities; rates are those of one worker."""

    frame: float = 0.5  # seconds per frame of the finished film, all stages
    bytes: float = 60_000  # per finished frame
    index: float = 300.0  # source frames per second of cut detection, on the head
    start: float = 30.0  # seconds until a worker has loaded its models
    unit: float = 1.5  # seconds per unit besides its frames: seeking, opening the encoder, warm-up of stages
    link: float = 100e6  # bytes per second that the head receives
    join: float = 300e6  # bytes per second of joining
    spread: float = 0.1  # standard deviation of the workers' speeds
    straggler: float = 0.01  # fraction of units that take SLOW times as long
    hours: float = 200.0  # mean time until a worker dies


SLOW, BACK = 4.0, 60.0  # factor of a straggler; seconds until a dead worker is replaced
TRIES = 5  # the median is reported


def shots(frames: int, fps: float, chance: random.Random) -> list[int]:
    """Return the edges of a film's shots: lognormal lengths, median 2.5 s, mean 4 s, some long takes."""
    edges = [0]
    while edges[-1] < frames:
        seconds = chance.lognormvariate(math.log(2.5), 0.97)
        edges.append(min(frames, edges[-1] + max(5, round(min(seconds, 600) * fps))))
    return edges


def simulate(units: list[Unit], costs: Costs, crew: int, chance: random.Random, again: bool = True) -> dict:
    """Return the seconds until the head has the last unit, and how they were spent.

    With ``again``, idle workers recompute late units.
    """
    speed = [max(0.3, chance.gauss(1, costs.spread)) for _ in range(crew)]
    free = [(costs.start * chance.uniform(0.8, 1.2), worker) for worker in range(crew)]
    heapq.heapify(free)
    waiting = sorted(range(len(units)), key=lambda number: units[number].frames)
    done: dict[int, float] = {}  # when the first copy of a unit is complete
    copies = [0] * len(units)
    busy, lost, slow = 0.0, 0, 0
    while free:
        now, worker = heapq.heappop(free)
        late = (
            [number for number, time in done.items() if time > now and copies[number] == 1]
            if again and not waiting
            else []
        )
        if not waiting and not late:
            continue
        number = waiting.pop() if waiting else max(late, key=done.get)
        straggles = chance.random() < costs.straggler
        work = (
            (costs.unit + (units[number].last - units[number].first) * costs.frame)
            / speed[worker]
            * (SLOW if straggles else 1)
        )
        slow, copies[number] = slow + straggles, copies[number] + 1
        death = chance.expovariate(1 / (3600 * costs.hours))
        if death < work:
            lost, busy, copies[number] = lost + 1, busy + death, copies[number] - 1
            if number not in done:
                waiting.append(number)
            heapq.heappush(free, (now + death + BACK + costs.start, worker))
            continue
        busy += work
        done[number] = min(done.get(number, math.inf), now + work)
        heapq.heappush(free, (now + work, worker))
    link = 0.0
    for number in sorted(done, key=done.get):
        link = max(link, done[number]) + units[number].frames * costs.bytes / costs.link
    return {"seconds": link, "busy": min(1.0, busy / (link * crew)), "lost": lost, "stragglers": slow}


def plan(
    costs: Costs, frames: int, fps: float, rate: float, group: int, seed: int, again: bool = True
) -> list[dict]:
    """Simulate a film of ``frames`` source frames, its rate multiplied by ``rate``, with every crew."""
    chance = random.Random(seed)
    units = cover([round(edge * rate) for edge in shots(frames, fps, chance)], group, LEAD)
    serial = frames / costs.index + units[-1].stop * costs.bytes / costs.join
    # one worker of mean speed, without failures
    alone = serial + costs.start + sum(costs.unit + (unit.last - unit.first) * costs.frame for unit in units)
    rows = []
    for crew in CREWS:
        tries = [
            simulate(units, costs, crew, random.Random(f"{seed}-{crew}-{number}"), again)
            for number in range(TRIES)
        ]
        found = sorted(tries, key=lambda one: one["seconds"])[TRIES // 2]
        total = found["seconds"] + serial
        rows.append(
            {
                "workers": crew,
                "hours": total / 3600,
                "speedup": alone / total,
                "efficiency": alone / total / crew,
                **found,
                "serial_hours": serial / 3600,
                "units": len(units),
            }
        )
    return rows


def measured(path: Path) -> dict:
    """Return the figures of benchmarks/film.py as fields of ``Costs``."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {"frame": sum(found["seconds_per_frame"].values()), "bytes": found["bytes_per_frame"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--figures", type=Path, help="output of benchmarks/film.py --figures")
    parser.add_argument("--seconds", type=float, help="per frame of the finished film, on one worker")
    parser.add_argument("--bytes", type=float, help="per frame of the finished film")
    parser.add_argument("--frames", type=int, default=172_800, help="of the source; default: 172800")
    parser.add_argument("--fps", type=float, default=24, help="of the source; default: 24")
    parser.add_argument("--rate", type=float, default=2, help="output frames per source frame; default: 2")
    parser.add_argument("--unit", type=int, default=GROUP, help=f"frames of short shots; default: {GROUP}")
    parser.add_argument("--link", type=float, help="bytes per second that the head receives")
    parser.add_argument("--straggler", type=float, help="fraction of slow units; default: 0.01")
    parser.add_argument("--hours", type=float, help="mean time until a worker dies; default: 200")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument(
        "--no-again", action="store_true", help="do not recompute late units on another worker"
    )
    parser.add_argument("--quick", action="store_true", help="no effect: the simulation takes seconds")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    given = measured(options.figures) if options.figures else {}
    given |= {
        name: value
        for name, value in (
            ("frame", options.seconds),
            ("bytes", options.bytes),
            ("link", options.link),
            ("straggler", options.straggler),
            ("hours", options.hours),
        )
        if value is not None
    }
    costs = replace(Costs(), **given)
    rows = plan(
        costs, options.frames, options.fps, options.rate, options.unit, options.seed, not options.no_again
    )
    if options.json:
        print(
            json.dumps(
                {
                    "costs": vars(costs),
                    "rows": rows,
                    "ratio": {f"{row['workers']} over 1": row["speedup"] for row in rows},
                }
            )
        )
        return
    print(
        f"{costs.frame:.3f} s per frame, {rows[0]['units']} units, "
        f"{rows[0]['serial_hours']:.2f} h on the head alone (cuts, joining)"
    )
    print(f"{'workers':>8}{'hours':>10}{'speed-up':>10}{'efficiency':>12}{'busy':>8}{'lost':>6}{'slow':>6}")
    for row in rows:
        print(
            f"{row['workers']:>8}{row['hours']:>10.2f}{row['speedup']:>10.1f}{row['efficiency']:>12.0%}{row['busy']:>8.0%}"
            f"{row['lost']:>6}{row['stragglers']:>6}"
        )


if __name__ == "__main__":
    main()
