"""Everything that a GPU must show, in one run that fits into a short lease.

    python benchmarks/gpu.py [--minutes 8] [--out gpu.json] [--only PART ...] [--quick] [--json]

Each part is a process with a limit of its own; what it printed and its figures are written after each part,
so that a run that is cut short keeps what it has. Parts that end early leave their time to the others. The
weights are random and of the published sizes: speed does not depend on them. `--quick` does all parts at
tiny sizes, on a CPU too, and only shows that they run.

film: the default from file to file, with the number of times that the host waited for the GPU. plans: what
fits if the GPU had 8, 12 and 24 GB. tests: those of the suite that need a GPU or concern one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

GB = 1 << 30
CAPS = (8, 12, 24)
QUICK_LIMIT = 240.0  # seconds for a part at tiny sizes, on a machine with other work too
SMALL = ("--side", "24", "--speed")
FLASHVSR = ("512x512x2", "704x384x2")  # the second one makes 1408x768


@dataclass(frozen=True)
class Part:
    """The command after ``python``, on a GPU and at tiny sizes, and the part of the time for it."""

    name: str
    command: tuple[str, ...]
    quick: tuple[str, ...]
    share: float


def benchmark(name: str, file: str, *words: str, quick: tuple[str, ...] = (), share: float = 1.0) -> Part:
    command = (f"benchmarks/{file}.py", "--json")
    return Part(name, (*command, *words), (*command, "--quick", *quick), share)


def own(name: str, share: float) -> Part:
    command = ("benchmarks/gpu.py", "--part", name)
    return Part(name, command, (*command, "--quick"), share)


PARTS = (
    own("film", share=2),
    benchmark("flashvsr", "flashvsr", "--size", *FLASHVSR, quick=("--size", "40x40x2"), share=3),
    benchmark("x2plus", "realesrgan", "--net", "x2plus", "--rounds", "3", quick=SMALL),
    benchmark(
        "compact", "realesrgan", "--net", "compact", "--rounds", "3", quick=("--net", "compact", *SMALL)
    ),
    benchmark("span", "vsr", "--models", "span-x2", "--rounds", "2", quick=("--models", "span-x2")),
    benchmark(
        "rife", "interpolate", "--nets", "--size", "1920x1080", "--version", "4.25", "--runs", "3",
        quick=("--nets", "--size", "64x64", "--version", "4.25"),
    ),
    benchmark(
        "depth", "depth", "--nets", "--model", "video-small", "--lines", "518",
        quick=("--nets", "--model", "small"),
    ),
    benchmark("stereo", "stereo", "--device", "cuda", "--size", "1080p", quick=("--size", "720p")),
    benchmark(
        "live", "live", "--device", "cuda", "--size", "512",
        quick=("--size", "32", "--net", "compact", "builtin"),
    ),
    own("plans", share=2),
    Part(
        "tests",
        ("-m", "pytest", "-n", "0", "-q", "-k", "gpu or cuda or device or yuv", "tests/stages", "tests/image",
         "tests/models", "tests/media/test_yuv.py"),
        ("-m", "pytest", "-n", "0", "-q", "tests/media/test_yuv.py"),
        2,
    ),
)  # fmt: skip


def last_json(said: str) -> dict | None:
    """Return the object on the last line, if there is one."""
    lines = said.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def run(part: Part, quick: bool, seconds: float) -> dict:
    """Run a part for at most ``seconds``; return its state, what it printed last, and its figures."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen(
            [sys.executable, *(part.quick if quick else part.command)], cwd=ROOT, stdout=file, stderr=file
        )
        try:
            state = "done" if process.wait(seconds) == 0 else f"failed with {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            state = f"stopped after {seconds:.0f} s"
        file.seek(0)
        said = file.read()
    result = {"state": state, "seconds": time.perf_counter() - begun, "figures": last_json(said)}
    return result if result["figures"] and state == "done" else {**result, "said": said[-4000:]}


def film(quick: bool) -> dict:
    """Make the default from file to file with random networks, and count the host's waits."""
    import torch

    from benchmarks.support import depth_nets, image_nets
    from stereoreel.core.clip import Clip, apply
    from stereoreel.core.meter import Meter
    from stereoreel.core.options import resolve
    from stereoreel.core.pull import pull
    from stereoreel.media.read.decode import FileSource
    from stereoreel.media.write.encode import Writer
    from stereoreel.media.write.options import OPTIONS as ENCODE
    from stereoreel.models.headless import Headless
    from stereoreel.nets import rife
    from stereoreel.sample import FILE
    from stereoreel.stages import depth, interpolate, stereo, upscale
    from stereoreel.stages.depth.depth_anything import DepthAnything
    from stereoreel.stages.depth.stage import DepthStage
    from stereoreel.stages.interpolate.networks import NetworkInterpolator
    from stereoreel.stages.interpolate.rife import RifeNetwork
    from stereoreel.stages.interpolate.stage import InterpolationStage
    from stereoreel.stages.stereo.builtin import ForwardWarp
    from stereoreel.stages.upscale.network import ImageNetwork, read
    from stereoreel.stages.upscale.spandrel import ImageUpscaler

    host = Headless()
    on_gpu = host.device.type == "cuda"
    with tempfile.TemporaryDirectory() as folder:
        saved = image_nets.save(
            image_nets.random_net(image_nets.Compact, scale=2, width=64, layers=2 if quick else 16),
            Path(folder) / "net.pth",
        )
        options = {kind.__name__: resolve(kind.OPTIONS, {}) for kind in (upscale, interpolate, depth, stereo)}
        family = next(one for one in rife.FAMILIES if "4.25" in one.names.split(", "))
        dtype = torch.float16 if on_gpu else torch.float32
        interpolating = options[interpolate.__name__]
        network = RifeNetwork(rife.RIFE(family).eval(), interpolating, dtype)
        nets = depth_nets.random_net(
            depth_nets.TINY_VIDEO if quick else depth_nets.PUBLISHED["video small"][0]
        )
        estimating = resolve(depth.OPTIONS, {"resolution": "native"} if quick else {})
        options[depth.__name__] = estimating
        interpolator = NetworkInterpolator(network, host.device, interpolating)
        stages = [
            (upscale, ImageUpscaler(ImageNetwork(read(saved), host.device), options[upscale.__name__])),
            (interpolate, InterpolationStage(interpolator, interpolating)),
            (depth, DepthStage(DepthAnything(nets, estimating, False, host.device), estimating, host.device)),
            (stereo, ForwardWarp(options[stereo.__name__], host.device)),
        ]
        clip = Clip(FileSource(FILE, duration=Fraction(1, 8) if quick else 0, max_side=64 if quick else 0))
        made = {}
        for kind, stage in stages:
            given = (clip, made["depth"]) if kind is stereo else (clip,)
            recipe = SimpleNamespace(
                label=kind.__name__.rpartition(".")[2],
                describe=lambda *infos, kind=kind: kind.describe(options[kind.__name__], *infos),
                load=lambda host, stage=stage: stage,
            )
            out = apply(recipe, *given)["clip"]
            if kind is depth:
                made["depth"] = out
            else:
                clip = out
        meter, begun, path = Meter(), time.perf_counter(), Path(folder) / "film.mp4"
        with (
            warnings.catch_warnings(record=True) as waits,
            Writer(path, clip.info, resolve(ENCODE, {})) as writer,
        ):
            warnings.simplefilter("always")
            if on_gpu:
                torch.cuda.set_sync_debug_mode("warn")
            for (chunk,) in pull(clip, host, meter=meter):
                writer.write(chunk)
            if on_gpu:
                torch.cuda.set_sync_debug_mode("default")
        seconds = time.perf_counter() - begun
        where = sorted(
            {f"{Path(one.filename).name}:{one.lineno}" for one in waits if "synchron" in str(one.message)}
        )
        return {
            "frames": writer.frames,
            "size": [2 * clip.info.width, clip.info.height],
            "fps": writer.frames / seconds,
            "seconds_of_stages": {label: cost.seconds for label, cost in meter.costs.items()},
            "waits": sum("synchron" in str(one.message) for one in waits),
            "where": where,
            "peak_gpu_gb": torch.cuda.max_memory_allocated() / GB if on_gpu else None,
        }


def plans(quick: bool) -> dict:
    """Return whether FlashVSR and RealESRGAN run, and how fast, in a part of the GPU's memory."""
    import torch

    from benchmarks import flashvsr
    from stereoreel.models.headless import best_device

    device = torch.device(best_device())
    found: dict[str, dict] = {}
    size = (40, 40) if quick or device.type != "cuda" else (704, 384)
    frames = 21 if quick else 45
    for cap in CAPS:
        if device.type == "cuda":
            total = torch.cuda.mem_get_info(device)[1]
            torch.cuda.set_per_process_memory_fraction(min(1.0, cap * GB / total), device)
            torch.cuda.reset_peak_memory_stats(device)
        options = argparse.Namespace(
            store="auto",
            attention="auto",
            compile=False,
            tile=0,
            color="adain",
            history=3,
            device=str(device),
        )
        begun = time.perf_counter()
        try:
            stage = flashvsr.build(options, 2.0, device)
            film = flashvsr.film(*size, frames, device)
            with torch.inference_mode():
                made = sum(map(len, stage(flashvsr.Shot(0, film_info(*size, frames)), iter(film.split(8)))))
            found[f"{cap} GB"] = {"frames": made, "seconds": time.perf_counter() - begun}
        except torch.OutOfMemoryError as error:
            found[f"{cap} GB"] = {"out of memory": str(error)[:200]}
        if device.type == "cuda":
            found[f"{cap} GB"]["peak_gb"] = torch.cuda.max_memory_allocated(device) / GB
            torch.cuda.empty_cache()
    return found


def film_info(width: int, height: int, frames: int):
    from stereoreel.core.clip import ClipInfo

    return ClipInfo(width, height, Fraction(24), frames)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="for all parts together, except with --quick; default: 8"
    )
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="written after each part")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="these parts")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, on a CPU too")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--part", choices=("film", "plans"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps({"film": film, "plans": plans}[options.part](options.quick)))
        return
    end = time.perf_counter() + 60 * options.minutes
    left = [part for part in PARTS if not options.only or part.name in options.only]
    found: dict[str, dict] = {}
    while left:
        part = left[0]
        rest = max(1.0, end - time.perf_counter())
        share = rest * part.share / sum(one.share for one in left)
        found[part.name] = run(part, options.quick, QUICK_LIMIT if options.quick else share)
        left.pop(0)
        options.out.write_text(json.dumps(found, indent=1))
        print(f"{part.name:10}{found[part.name]['seconds']:7.1f} s  {found[part.name]['state']}", flush=True)
    if options.json:
        print(json.dumps({"parts": found, "ratio": {}}))


if __name__ == "__main__":
    main()
