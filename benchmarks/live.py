"""Measure a generator and a live upscaler in one process, next to running both one after the other.

    python benchmarks/live.py [--quick] [--json] [--device cuda] [--second cpu] [--size 512]

The figures: frame rate, latency, first frame and jitter. The generator stands in for a video model: it
computes convolutions over its last frame for a given time and delivers bursts. "synchronous": a push waits
for its own frames. "asynchronous": they are due one burst later, and both work at the same time, each on
its own CUDA stream or device.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
from benchmarks.support.image_nets import Compact, RRDBNet, random_net, save
from stereoreel.live import Upscaler
from stereoreel.models.headless import Headless

NETS = {
    "x2plus": (RRDBNet, dict(scale=2, width=64, blocks=23)),
    "compact": (Compact, dict(scale=2, width=64, layers=16)),
    "builtin": None,
}
# fps: the median round; best is compared with both alone at their best
COLUMNS = ("fps", "best", "p50", "p99", "first", "jitter")


class Generator:
    """Bursts ``[T, H, W, 3]`` on a device, by as many convolutions as take ``milliseconds`` per frame."""

    def __init__(self, device: str, size: int, burst: int, milliseconds: float):
        torch.manual_seed(0)
        self.device, self.burst, self.rounds = torch.device(device), burst, 1
        self.weight = torch.randn(32, 32, 3, 3, device=device) / 17
        self.state = torch.rand(1, 32, size, size, device=device)
        for tries in (5, 2):  # again with many rounds, because a single one may be too short
            took = min(self.timed() for _ in range(tries)) / self.rounds
            self.rounds = max(1, round(milliseconds / 1000 * burst / took))

    def timed(self) -> float:
        begin = time.perf_counter()
        self()
        return time.perf_counter() - begin

    def __call__(self) -> torch.Tensor:
        frames = []
        for _ in range(self.burst):
            for _ in range(self.rounds):
                self.state = torch.sin(
                    torch.nn.functional.conv2d(self.state, self.weight, padding=1) + self.state
                )
            frames.append(self.state[0, :3].movedim(0, -1) * 0.5 + 0.5)
        burst = torch.stack(frames)
        if burst.is_cuda:
            torch.cuda.current_stream(burst.device).synchronize()  # makes the time of arrival exact
        return burst


class Loop:
    """One stream from the generator through an upscaler to system RAM, as for a viewer."""

    def __init__(self, generator: Generator, upscaler: Upscaler):
        self.generator, self.upscaler = generator, upscaler
        self.late: list[float] = []
        self.rates: list[float] = []
        self.first = math.nan

    def run(self, bursts: int) -> None:
        arrivals, count, begin = [], 0, time.perf_counter()
        for number in range(bursts + 1):
            if number < bursts:
                frames = self.generator()
                arrivals += [time.perf_counter()] * len(frames)
            filled = self.upscaler.figures.filled
            results = (self.upscaler.push(frames) if number < bursts else self.upscaler.flush()).cpu()
            results, now = results[self.upscaler.figures.filled - filled :], time.perf_counter()
            if len(results) and not count and math.isnan(self.first):
                self.first = 1000 * (now - arrivals[0])
            self.late += [1000 * (now - arrival) for arrival in arrivals[count : count + len(results)]]
            count += len(results)
        self.rates.append(count / (time.perf_counter() - begin))

    def figures(self) -> dict:
        late, steps = sorted(self.late), [abs(b - a) for a, b in zip(self.late, self.late[1:])]
        p50, p99 = (late[math.ceil(share * len(late)) - 1] for share in (0.5, 0.99))
        return dict(
            fps=statistics.median(self.rates),
            best=max(self.rates),
            p50=p50,
            p99=p99,
            first=self.first,
            jitter=statistics.fmean(steps),
        )


def upscalers(name: str, folder: Path, devices: list[str], burst: int) -> dict[str, Upscaler]:
    """Return synchronous and asynchronous upscalers on the generator's device and on a second one, if any."""
    if NETS[name]:
        kind, sizes = NETS[name]
        file = save(random_net(kind, **sizes), folder / "upscale" / f"{name}.pth")
    model, given = (file.name, {"reuse": "off"}) if NETS[name] else ("builtin", {})
    found = {}
    for place, device in zip(("same device", "second device"), devices):
        for way in ("synchronous", "asynchronous"):
            later = dict(constant=True, beside=True, delay=burst) if way == "asynchronous" else {}
            found[f"{place}, {way}"] = Upscaler(model, host=Headless(device, models=folder), **later, **given)
    return found


def alone(work, frames: int, rounds: int) -> float:
    """Return milliseconds per frame, the best of some rounds."""
    took = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - begin) / frames)
    return min(took)


def measured(name: str, size: int, burst: int, bursts: int, rounds: int, options, folder: Path) -> dict:
    generator = Generator(options.device, size, burst, options.generator)
    loops = {
        way: Loop(generator, upscaler)
        for way, upscaler in upscalers(name, folder, [options.device, *options.second], burst).items()
    }
    for loop in loops.values():
        loop.run(1)
        loop.rates.clear()
        loop.late.clear()
    plain, frames = loops["same device, synchronous"].upscaler, generator()
    row = {"size": size, "burst": burst, "generator": alone(generator, burst, rounds)}
    row["upscaler"] = alone(lambda: plain.push(frames).cpu(), burst, rounds)
    for _ in range(rounds):
        for loop in loops.values():
            loop.run(bursts)
    row["serial"] = {
        "ms": row["generator"] + row["upscaler"],
        "fps": 1000 / (row["generator"] + row["upscaler"]),
    }
    row["live"] = {way: loop.figures() for way, loop in loops.items()}
    for loop in loops.values():
        loop.upscaler.close()
    return row


def show(name: str, row: dict) -> None:
    serial = row["serial"]
    print(
        f"\n{name}, {row['size']}x{row['size']} in bursts of {row['burst']}: generator "
        f"{row['generator']:.1f} + upscaler {row['upscaler']:.1f} = "
        f"{serial['ms']:.1f} ms per frame, one after the other {serial['fps']:.1f} fps"
    )
    print(
        f"{'':28}"
        + "".join(f"{column + (' ms' if column not in ('fps', 'best') else ''):>12}" for column in COLUMNS)
        + f"{'of serial':>12}"
    )
    for way, figures in row["live"].items():
        print(
            f"{way:28}"
            + "".join(f"{figures[column]:>12.1f}" for column in COLUMNS)
            + f"{figures['best'] / serial['fps']:>12.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of fewer and smaller bursts")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument(
        "--device", default="cpu", help="of the generator and the first upscalers; default: cpu"
    )
    parser.add_argument(
        "--second",
        nargs="*",
        default=None,
        help="another device for the upscaler; a second GPU is used automatically",
    )
    parser.add_argument(
        "--size",
        type=int,
        default=0,
        help="of the generator's frames; default: 128, on a GPU 512",
    )
    parser.add_argument("--net", nargs="+", choices=NETS, default=list(NETS), help="default: all")
    parser.add_argument(
        "--generator", type=float, default=40.0, help="milliseconds per frame of the generator; default: 40"
    )
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    if options.second is None:
        options.second = (
            ["cuda:1"] if options.device.startswith("cuda") and torch.cuda.device_count() > 1 else []
        )
    size, rows = options.size or (512 if options.device.startswith("cuda") else 128), {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.net:
            slow = name == "x2plus" and options.device == "cpu"
            if options.quick:
                setting = (
                    (size // 4, 4, 2, 1)
                    if slow
                    else (size // 2 if name == "compact" and options.device == "cpu" else size, 12, 1, 1)
                )
            else:
                setting = (size, 4, 3, 1) if slow else (size, 12, 4, 2)
            rows[name] = measured(name, *setting, options, Path(folder))
            show(name, rows[name])
    if not options.second:
        print("\nOne device only; name another one with --second.")
    if options.json:
        found = {
            f"{name}, {way}": (figures, row)
            for name, row in rows.items()
            for way, figures in row["live"].items()
        }
        ratio = {
            name: round(figures["best"] / row["serial"]["fps"], 3) for name, (figures, row) in found.items()
        }
        print(
            json.dumps({"device": options.device, "second": options.second, "results": rows, "ratio": ratio})
        )


if __name__ == "__main__":
    main()
