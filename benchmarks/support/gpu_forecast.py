"""Forecast the frame rate of the default workflow on a GPU that is not here, from counted operations.

Every stage runs on the simulated GPU of the tests at its real size, with networks of the published sizes.
An operation takes as long as its arithmetic or its memory traffic, whichever is longer.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.support.depth_nets import PUBLISHED, on_meta
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.media import colour
from stereoreel.media.layouts.arrangement import arranged
from stereoreel.media.write.picture import Pictures
from stereoreel.media.yuv import PlaneFormat, from_planes
from stereoreel.nets import rife
from stereoreel.sample import FILE
from stereoreel.stages import depth, interpolate, stereo
from stereoreel.stages.depth.depth_anything import DepthAnything
from stereoreel.stages.depth.stage import DepthStage
from stereoreel.stages.interpolate.networks import NetworkInterpolator
from stereoreel.stages.interpolate.rife import RifeNetwork
from stereoreel.stages.interpolate.stage import InterpolationStage
from stereoreel.stages.stereo.builtin import ForwardWarp
from tests.support import cuda_stand_in as cuda

WIDTH, HEIGHT, RATE = 1920, 1080, 2  # of the source, and output frames for each of its frames
LAUNCH = 6e-6  # seconds of the launching thread for an operation of PyTorch that is not part of a graph
WITHOUT_NETWORK = ("decode", "stereo", "pack and convert")
YUV = PlaneFormat.named("yuv420p")


@dataclass(frozen=True)
class Gpu:
    """Published figures: half-precision operations a second (of which ``reached``), bytes a second of its
    memory and of the bus one way, and pixels a second of its HEVC encoder (None: it has none)."""

    name: str
    peak: float
    memory: float
    bus: float
    encoder: float | None
    cores: int  # of the processor beside it
    reached: float = 0.8

    def seconds(self, operations: list[tuple[float, float]]) -> float:
        return sum(max(work / (self.reached * self.peak), moved / self.memory) for work, moved in operations)


GPUS = {
    "H200": Gpu("H200", 990e12, 4.8e12, 50e9, None, 16),
    "4090": Gpu("RTX 4090", 165e12, 1.008e12, 25e9, 7680 * 4320 * 60, 16),
}


@dataclass
class Figure:
    """What a stage needs for one frame of the finished film."""

    operations: list[tuple[float, float]] = field(default_factory=list)
    launches: float = 0.0
    up: float = 0.0
    down: float = 0.0
    frames: float = 1.0  # of the finished film, that all this is for
    known: float | None = None  # seconds, where an arithmetic or a publication of its own says so


class Counted(TorchDispatchMode):
    """Count what each operation of the simulated device computes and moves; recorded graphs apart."""

    def __init__(self, device: cuda.Device):
        super().__init__()
        self.device = device
        self.operations: list[tuple[float, float]] = []
        self.recorded: list[tuple[float, float]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        launches, recording = self.device.launches, self.device.recording is not None
        result = function(*args, **kwargs)
        if not recording and self.device.launches == launches:
            return result
        given, made = ([one for one in tree_leaves(some) if isinstance(one, Tensor)] for some in (
            (args, kwargs), result
        ))  # fmt: skip
        known = {one.untyped_storage()._cdata for one in given}
        fresh = [one for one in made if one.untyped_storage()._cdata not in known]
        if recording and not fresh and not function._schema.is_mutable:
            return result  # a view
        count = flop_registry.get(getattr(function, "_overloadpacket", None))
        work = count(*args, **kwargs, out_val=result) if count else 0
        moved = sum(one.numel() * one.element_size() for one in (*given, *made))
        (self.recorded if recording else self.operations).append((work, moved))
        return result


def of_stage(device: cuda.Device, run: Callable[[], object], warm: int, steps: int, frames: float) -> Figure:
    """Count ``steps`` steps after the first ``warm`` ones, which make ``frames`` finished frames."""
    with Counted(device) as counted:
        for _ in range(warm):
            run()
        counted.operations.clear()
        replays = device.replays
        with device.counted() as found:
            for _ in range(steps):
                run()
    [cost] = found
    graphs = counted.recorded * (device.replays - replays)
    return Figure(counted.operations + graphs, cost.launches, cost.up, cost.down, frames)


def flash_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend as PyTorch does on a GPU, without a matrix of weights; the simulated one cannot choose so."""
    return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]


def films(width: int, height: int, channels: int = 3, dtype=torch.float16) -> Iterator[Tensor]:
    while True:
        yield torch.empty(1, height, width, channels, dtype=dtype, device=cuda.CUDA)


def _shot(width: int, height: int) -> Shot:
    return Shot(0, ClipInfo(width, height, Fraction(24), 10_000))


def counted_stages() -> dict[str, Figure]:
    """Return the figure of every stage after super resolution, and of both conversions."""
    width, height = 2 * WIDTH, 2 * HEIGHT
    figures = {}
    with pytest.MonkeyPatch.context() as patch, cuda.device(patch) as device:
        device.answer = cuda.usual
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", flash_attention)

        def decode() -> Tensor:
            values = torch.empty(YUV.count(HEIGHT, WIDTH), dtype=torch.uint8, pin_memory=True)
            frame = torch.empty(HEIGHT, WIDTH, 3, device=cuda.CUDA)
            from_planes(values.to(cuda.CUDA, non_blocking=True), 1, YUV, False, frame)
            return frame

        figures["decode"] = of_stage(device, decode, 1, 1, RATE)
        options = resolve(interpolate.OPTIONS, {"precision": "fp16"})
        family = next(one for one in rife.FAMILIES if "4.25" in one.names.split(", "))
        with device.away(), torch.device("meta"):
            net = RifeNetwork(rife.RIFE(family).eval(), options, torch.float16)
        device.moved(net.net)
        stage = InterpolationStage(NetworkInterpolator(net, cuda.CUDA, options), options)
        work = stage(_shot(width, height), films(width, height))
        figures["interpolate (RIFE 4.25)"] = of_stage(device, lambda: next(work), 16, 8, 8)

        options = resolve(depth.OPTIONS, {"precision": "fp16"})
        with device.away():
            video = DepthAnything(on_meta(PUBLISHED["video small"][0]), options, False, cuda.CUDA)
        device.moved(video.net)
        work = DepthStage(video, options, cuda.CUDA)(_shot(width, height), films(width, height))
        figures["depth (Video Depth Anything small)"] = of_stage(device, lambda: next(work), 24, 22, 22)

        near = films(width, height, 1)
        pair = ForwardWarp(resolve(stereo.OPTIONS, {}), cuda.CUDA)(
            _shot(width, height), films(width, height), near
        )
        figures["stereo"] = of_stage(device, lambda: next(pair), 1, 1, 1)

        writer = Pictures((2 * width, height), colour.BT709, "yuv420p")
        views = torch.empty(2, 1, height, width, 3, dtype=torch.float16, device=cuda.CUDA)
        figures["pack and convert"] = of_stage(
            device, lambda: writer.quantize(arranged(views, "full_sbs")), 1, 1, 1
        )
    return figures


def super_resolution(gpu: Gpu) -> tuple[str, Figure]:
    """Return the upscaler that ``auto`` selects there, and its figure."""
    if gpu.encoder is not None:  # a card with RTX Video: 1.12 ms for 1280x704, as published
        return "upscale (RTX VSR)", Figure(frames=RATE, known=1.12e-3 * WIDTH * HEIGHT / (1280 * 704))
    from benchmarks import flashvsr

    options = Namespace(color="adain", history=3)
    with torch.no_grad():
        work, _, seconds = flashvsr.counted(options, f"{WIDTH}x{HEIGHT}x2")["chunk"]["together"]
    return "upscale (FlashVSR)", Figure([(work, 0)], 60, frames=8 * RATE, known=seconds)


def software_encoder() -> float:
    """Return the pixels a second that a core of this machine encodes with x264 at its preset medium."""
    with av.open(str(FILE)) as source:
        frames = [frame.reformat(1280, 720, "yuv420p") for frame, _ in zip(source.decode(video=0), range(24))]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 1280, 720, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 24), {"preset": "medium", "crf": "18"}
    begun = time.process_time()
    for number, frame in enumerate(frames):
        frame.pts, frame.pict_type = number, 0
        encoder.encode(frame)
    encoder.encode(None)
    return len(frames) * 1280 * 720 / (time.process_time() - begun)


def forecast(name: str) -> dict:
    """Print the arithmetic for the default at 1080p to 4K side by side; return it."""
    gpu = GPUS[name]
    upscaler, first = super_resolution(gpu)
    figures = {upscaler: first, **counted_stages()}
    print(
        f"{gpu.name}: {gpu.peak / 1e12:.0f} Tflop/s, of which {gpu.reached:.0%}; memory "
        f"{gpu.memory / 1e12:.1f} TB/s, bus {gpu.bus / 1e9:.0f} GB/s, {LAUNCH * 1e6:.0f} us for a launch"
    )
    print(
        f"For each frame of {4 * WIDTH}x{2 * HEIGHT}, side by side, two for each frame of {WIDTH}x{HEIGHT}:"
    )
    rows, spent, host, up, down = {}, 0.0, 0.0, 0.0, 0.0
    for stage, one in figures.items():
        seconds = (gpu.seconds(one.operations) if one.known is None else one.known) / one.frames
        launches = one.launches / one.frames
        spent, host = spent + seconds, host + launches * LAUNCH
        up, down = up + one.up / one.frames, down + one.down / one.frames
        work = sum(work for work, _ in one.operations) / one.frames
        moved = sum(moved for _, moved in one.operations) / one.frames
        rows[stage] = {
            "gpu_ms": 1000 * seconds,
            "launches": launches,
            "tflop": work / 1e12,
            "gb": moved / 1e9,
        }
        print(
            f"  {stage:36}{work / 1e12:7.2f} Tflop {moved / 1e9:7.2f} GB {launches:7.0f} launches "
            f"{1000 * seconds:7.2f} ms"
        )
    pixels = 8 * WIDTH * HEIGHT
    if gpu.encoder is None:
        core = software_encoder()
        encoder, how = gpu.cores * core, f"x264 on {gpu.cores} cores, {core / 1e6:.0f} Mpixel/s each, as here"
    else:
        encoder, how = gpu.encoder, "its HEVC encoder, 8K at 60 a second"
    limits = {
        "operations on the GPU": spent,
        "launches by one thread": host,
        "bus up": up / gpu.bus,
        "bus down": down / gpu.bus,
        f"encoder ({how})": pixels / encoder,
    }
    for what, seconds in limits.items():
        print(f"  {what:70}{1000 * seconds:8.2f} ms, at most {1 / seconds:7.1f} a second")
    slowest = max(limits, key=lambda what: limits[what])
    slow_stage = max(rows, key=lambda stage: rows[stage]["gpu_ms"])
    rate = 1 / limits[slowest]
    own = sum(row["gpu_ms"] for stage, row in rows.items() if stage not in WITHOUT_NETWORK)
    print(f"  of the operations, those of stages with a network {own:.2f} of {1000 * spent:.2f} ms")
    print(
        f"Forecast: {rate:.1f} finished frames a second, bound by {slowest}; on the GPU most by {slow_stage}."
    )
    return {"gpu": gpu.name, "fps": rate, "bound_by": slowest, "stages": rows, "networks_ms": own,
            "limits_ms": {what: 1000 * seconds for what, seconds in limits.items()}}  # fmt: skip
