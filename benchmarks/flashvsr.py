"""Measure FlashVSR: frame rate, latency, memory, time of each part, and sharing a GPU with a generator.

    python benchmarks/flashvsr.py [--quick] [--json] [--device cuda] [--size 512x512x2 ...] [--compile]
    python benchmarks/flashvsr.py --arithmetic [--size 512x512x2 704x384x2 ...]

Weights are random and created on the device: speed does not depend on them. On a CPU the network is tiny,
and the figures only show that everything runs. A size is that of the source and the factor. "limit" is the
rate that the network's multiplications alone would allow. `--arithmetic` counts the operations and the
memory of a steady chunk of the full network, on any machine, without weights.

The generator stands in for a video model: it loads the GPU for 40 and 50 ms per frame and delivers its
frames in bursts of 12. "serial" waits for each burst and each frame; "overlapped" lets the generator
continue during upscaling. Without a second GPU, a generator that sleeps takes its place ("asleep"). Latency
runs from a frame's arrival to its completion.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
from torch import Tensor

from benchmarks.support.flashvsr_arithmetic import DENSE, arithmetic, show
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.meter import resident
from stereoreel.core.options import options_of, resolve
from stereoreel.image.compute import resolve_dtype
from stereoreel.nets import flashvsr, flashvsr_decoder, flashvsr_projector
from stereoreel.stages.vsr import OPTIONS
from stereoreel.stages.vsr.flashvsr import FlashVSR
from stereoreel.stages.vsr.flashvsr.one_shot import OneShot
from stereoreel.stages.vsr.flashvsr.stream import AHEAD, BEGIN, STEP, enlarge, schedule

Figure = TypeVar("Figure")
SIZES = {"cpu": ["40x40x2"], "cuda": ["512x512x2", "704x384x2"]}
TINY = (flashvsr.Family(256, 2, 96, 32, 64), (24, 32, 256), (16, 12, 8, 8))
FULL = (flashvsr.Family(), (2048, 3072, 1536), (512, 256, 128, 128))
BURST = 12  # frames that the generator delivers at a time


def build(options: argparse.Namespace, factor: float, device: torch.device) -> FlashVSR:
    family, projector, decoder = TINY if device.type == "cpu" else FULL
    given = {
        name: getattr(options, name) for name in ("store", "attention", "compile", "tile", "color", "history")
    }
    settings = resolve(OPTIONS, {**given, "factor": factor})
    dtype = resolve_dtype("auto", device)
    with torch.device(device):
        torch.manual_seed(0)
        dit = flashvsr.WanDiT(family).folded(torch.randn(1, 512, family.text), dtype).eval()
        first = flashvsr_projector.Projector(*projector).to(dtype).stacked().eval()
        last = (
            flashvsr_decoder.TCDecoder(*decoder).joined().to(dtype, memory_format=torch.channels_last).eval()
        )
    return FlashVSR(dit, first, last, settings, device)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def film(width: int, height: int, frames: int, device: torch.device) -> Tensor:
    return torch.rand(frames, height, width, 3, device=device)


def run(stage: FlashVSR, chunks: Iterator[Tensor], width: int, height: int) -> Iterator[tuple[int, float]]:
    """Yield the number of frames of each output chunk and the time at which the device finished them."""
    for out in stage(Shot(0, ClipInfo(width, height, Fraction(25), 0)), chunks):
        event = torch.cuda.Event() if stage.device.type == "cuda" else None
        if event:
            event.record()
            event.synchronize()
        yield len(out), time.perf_counter()


def speed(stage: FlashVSR, width: int, height: int, frames: int) -> dict[str, float]:
    """Return the latency of the first frame after a warm-up, and the steady rate."""
    images = film(width, height, frames, stage.device)
    list(run(stage, images[: BEGIN + 3 * STEP].split(STEP), width, height))
    wait(stage.device)
    begin = time.perf_counter()
    done = list(run(stage, images.split(STEP), width, height))
    gaps = [(later - earlier) / count for (_, earlier), (count, later) in zip(done, done[1:-1])]
    steady = sum(count for count, _ in done[1:]) / (done[-1][1] - done[0][1])
    return {
        "fps": steady,
        "first_frame_s": done[0][1] - begin,
        "frame_ms": 1000 * statistics.median(gaps),
        "frame_ms_worst": 1000 * max(gaps),
    }


def peak(stage: FlashVSR, width: int, height: int) -> float:
    """Return the peak memory of a short film in GiB, including the networks."""
    if stage.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(stage.device)
    list(run(stage, film(width, height, BEGIN + 3 * STEP, stage.device).split(STEP), width, height))
    return (
        torch.cuda.max_memory_allocated(stage.device) if stage.device.type == "cuda" else resident("VmHWM")
    ) / 2**30


def parts(
    work: OneShot, frames: Tensor, measure: Callable[..., tuple[Tensor, Figure]]
) -> dict[str, list[Figure]]:
    """Apply ``measure`` to each part of every chunk of a shot; all chunks but the first have eight frames."""
    found: dict[str, list[Figure]] = {
        name: [] for name in ("enlarge", "project", "denoise", "decode", "color")
    }

    def part(name: str, function: Callable[..., Tensor], *given) -> Tensor:
        result, figure = measure(function, *given)
        found[name].append(figure)
        return result

    waiting = []
    for index, (group, _) in enumerate(schedule(frames.split(STEP))):
        waiting.append(part("enlarge", enlarge, group, *work.size, frames.device))
        latents = part("denoise", work.denoise, index, part("project", work.project, work.seen(waiting[-1])))
        images = torch.cat(waiting)
        pictures = part("decode", work.decode, latents, work.seen(images)[:-AHEAD])
        part("color", work.finished, pictures, images[:-AHEAD])
        waiting = [images[-AHEAD:]]
    return found


def timed(function: Callable[..., Tensor], *given) -> tuple[Tensor, float]:
    """Return the result, and the seconds that the device took."""
    devices = [one.device for one in given if isinstance(one, Tensor)]
    wait(devices[0])
    begin = time.perf_counter()
    result = function(*given)
    wait(devices[0])
    return result, time.perf_counter() - begin


def counted(options: argparse.Namespace, size: str) -> dict:
    """Count the arithmetic of a steady chunk of the full network, untiled, with everything on the device."""
    width, height, factor = parsed(size)
    nowhere = torch.device("meta")
    options = argparse.Namespace(
        **{**vars(options), "store": "device", "attention": "dense", "compile": False, "tile": 0}
    )
    return arithmetic(build(options, factor, nowhere), film(width, height, BEGIN + 3 * STEP, nowhere), parts)


def parsed(size: str) -> tuple[int, int, float]:
    width, height, factor = size.split("x")
    return int(width), int(height), float(factor)


class Generator:
    """Bursts of noise that take as long as a video model's; the time is spent in matrix products on a GPU.

    ``asleep``, or on a CPU, it sleeps instead.
    """

    def __init__(self, device: torch.device, seconds: float, width: int, height: int, asleep: bool):
        self.device, self.seconds, self.size = device, seconds, (width, height)
        self.asleep = asleep or device.type == "cpu"
        if not self.asleep:
            self.stream = torch.cuda.Stream(device)
            self.matrix = torch.randn(4096, 4096, device=device, dtype=torch.bfloat16)
            self.times = max(1, round(seconds * BURST / self._one()))

    def _one(self) -> float:
        """Return the seconds of one product."""
        for count in (5, 100):
            wait(self.device)
            begin = time.perf_counter()
            for _ in range(count):
                self.matrix @ self.matrix
            wait(self.device)
        return (time.perf_counter() - begin) / count

    def start(self) -> Callable[[], Tensor]:
        """Begin a burst; return a function that waits for it."""
        until = time.perf_counter() + self.seconds * BURST
        if self.asleep:
            return lambda: (
                time.sleep(max(0.0, until - time.perf_counter())),
                film(*self.size, BURST, self.device),
            )[1]
        with torch.cuda.stream(self.stream):
            for _ in range(self.times):
                self.matrix @ self.matrix
            images = film(*self.size, BURST, self.device)
            done = self.stream.record_event()
        return lambda: (done.synchronize(), images)[1]


def together(stage: FlashVSR, generator: Generator, bursts: int, overlapped: bool) -> dict[str, float]:
    """Return the frame rate of generator and upscaler as a chain, and the latency of its frames."""
    arrived: list[float] = []
    width, height = generator.size

    def chunks() -> Iterator[Tensor]:
        burst = generator.start()
        for number in range(bursts):
            images = burst().to(stage.device)
            more = number + 1 < bursts
            burst = generator.start() if overlapped and more else burst
            arrived.extend([time.perf_counter()] * BURST)
            yield images
            burst = generator.start() if more and not overlapped else burst

    stage.overlapped = overlapped and stage.device.type == "cuda"
    begin, count, late = time.perf_counter(), 0, []
    for frames, when in run(stage, chunks(), width, height):
        late += [when - arrived[number] for number in range(count, count + frames)]
        count += frames
    late = sorted(late[BEGIN - AHEAD :]) or [0.0]
    stage.overlapped = stage.device.type == "cuda"
    return {
        "fps": count / (when - begin),
        "p50_ms": 1000 * late[len(late) // 2],
        "p99_ms": 1000 * late[min(len(late) - 1, len(late) * 99 // 100)],
    }


def measured(options: argparse.Namespace, size: str, device: torch.device) -> dict:
    width, height, factor = parsed(size)
    stage = build(options, factor, device)
    (tall, wide), inner = stage.sizes(width, height)
    figures = {
        "output": f"{wide}x{tall}",
        **speed(stage, width, height, options.frames),
        "peak_gib": peak(stage, width, height),
    }
    work, rounds = stage.begin(width, height), 1 if options.quick else 4
    found = parts(work, film(width, height, BEGIN + (rounds + 3) * STEP, device), timed)
    stage.idle.append(work.denoise)
    figures["parts_ms"] = {name: 1000 * min(some[3:]) for name, some in found.items()}
    plan = stage.plans[inner]
    print(f"{size}: {plan.line(*inner, None)}")
    print(f"  {figures['fps']:.2f} fps, first frame after {figures['first_frame_s']:.3f} s, "
          f"{figures['frame_ms']:.1f} ms per frame "
          f"(worst {figures['frame_ms_worst']:.1f}), peak {figures['peak_gib']:.1f} GiB")  # fmt: skip
    print(
        "  chunk of 8: " + ", ".join(f"{name} {value:.1f} ms" for name, value in figures["parts_ms"].items())
    )
    if device.type == "cuda":
        figures["limit_fps"] = STEP * DENSE / counted(options, size)["chunk"]["together"][0]
        print(f"  limit {figures['limit_fps']:.0f} fps")
    for milliseconds in options.generator:
        figures[f"generator_{milliseconds}"] = chained(stage, milliseconds, width, height, options.bursts)
    return figures


def chained(stage: FlashVSR, milliseconds: int, width: int, height: int, bursts: int) -> dict:
    second = torch.device("cuda", 1) if torch.cuda.device_count() > 1 else None
    ways = {"serial": (stage.device, False, False), "overlapped": (stage.device, True, False)}
    ways["two devices" if second else "asleep"] = (second or stage.device, True, not second)
    found = {}
    for name, (device, overlapped, asleep) in ways.items():
        found[name] = together(
            stage, Generator(device, milliseconds / 1000, width, height, asleep), bursts, overlapped
        )
        print(f"  generator of {milliseconds} ms, {name:11} {found[name]['fps']:.2f} fps, p50 "
              f"{found[name]['p50_ms']:.0f} ms, "
              f"p99 {found[name]['p99_ms']:.0f} ms")  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", nargs="+", help="WIDTHxHEIGHT of the source, xFACTOR")
    parser.add_argument("--frames", type=int, default=129, help="default: 129")
    parser.add_argument("--bursts", type=int, default=16, help="of 12 frames from the generator; default: 16")
    parser.add_argument(
        "--generator", type=int, nargs="*", default=[40, 50], help="ms per frame; default: 40 50"
    )
    for option in (
        one for one in options_of(OPTIONS) if one.name in ("store", "attention", "tile", "color", "history")
    ):
        parser.add_argument(
            f"--{option.name}",
            type=type(option.default),
            default=option.default,
            choices=option.choices or None,
        )
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--arithmetic", action="store_true", help="count operations instead")
    parser.add_argument("--quick", action="store_true", help="fewer frames and bursts")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.quick or device.type == "cpu":
        options.frames, options.bursts, options.generator = (
            min(options.frames, 57),
            min(options.bursts, 4),
            options.generator[:1],
        )
    with torch.inference_mode():
        if options.arithmetic:
            figures = {size: counted(options, size) for size in options.size or SIZES["cuda"]}
            for size in figures:
                print(f"{size}: a steady chunk of {STEP} frames")
                show(figures[size])
        else:
            figures = {size: measured(options, size, device) for size in options.size or SIZES[device.type]}
    chains = {size: one[key] for size, one in figures.items() for key in one if key.startswith("generator")}
    ratio = {size: chain["overlapped"]["fps"] / chain["serial"]["fps"] for size, chain in chains.items()}
    if options.json:
        print(json.dumps({"device": str(device), **figures, "ratio": ratio}))


if __name__ == "__main__":
    main()
