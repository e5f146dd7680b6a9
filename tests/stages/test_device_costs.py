"""What a stage costs a GPU in the steady state: launches, bytes across the bus, allocations, waits."""

import math
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from benchmarks.support import depth_3_nets, depth_nets, image_nets, moge_nets, vsr_nets
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.host_copy import Download, numbers, upload
from stereoreel.image.resize import Resizer, resize
from stereoreel.nets.film_interpolation import FILM
from stereoreel.stages import depth, interpolate, stereo, upscale, vsr
from stereoreel.stages.depth import builtin as builtin_depth
from stereoreel.stages.depth.depth_anything import DepthAnything
from stereoreel.stages.depth.depth_anything_3 import DepthAnything3
from stereoreel.stages.depth.light import SIDE
from stereoreel.stages.depth.moge import MoGe
from stereoreel.stages.depth.stage import DepthStage
from stereoreel.stages.interpolate.builtin import FlowInterpolator
from stereoreel.stages.interpolate.film import FilmNetwork
from stereoreel.stages.interpolate.networks import NetworkInterpolator
from stereoreel.stages.interpolate.overlaid import Overlaid
from stereoreel.stages.interpolate.rife import RifeNetwork
from stereoreel.stages.interpolate.stage import InterpolationStage
from stereoreel.stages.stereo.builtin import ForwardWarp
from stereoreel.stages.upscale import builtin, spandrel
from stereoreel.stages.upscale.network import ImageNetwork, read
from stereoreel.stages.vsr import builtin as builtin_vsr
from stereoreel.stages.vsr.basicvsr import BasicVSRStage
from tests.support import cuda_stand_in as cuda
from tests.support import rife_nets

WIDTH, HEIGHT, TOGETHER = 64, 48, 2  # of the frames of a test, and how many are in a chunk


@pytest.fixture
def device(monkeypatch):
    with cuda.device(monkeypatch) as made:
        made.answer = cuda.usual
        yield made


def on_gpu(device, make):
    """Return a stage that is made with real weights, which then belong to the simulated GPU."""
    with device.away():
        stage = make()
    for net in stage.nets:
        device.moved(net)
    return stage


def resized(device, tmp_path):
    return builtin.LanczosStage(resolve(upscale.OPTIONS, {}), cuda.CUDA)


def upscaled(device, tmp_path, **given):
    with device.away():
        path = image_nets.save(image_nets.random_net(image_nets.Compact, scale=2), tmp_path / "net.pth")
    options = resolve(upscale.OPTIONS, {"factor": 1.5, "batch": TOGETHER, **given})

    def make():
        return spandrel.ImageUpscaler(ImageNetwork(read(path), cuda.CUDA, "fp16"), options)

    return on_gpu(device, make)


def steadied(device, tmp_path):
    return upscaled(device, tmp_path, steady=1.0)


def restored(device, tmp_path):
    options = resolve(vsr.OPTIONS, {"precision": "fp16", "window": 4, "offload": "off"})
    return on_gpu(device, lambda: BasicVSRStage(vsr_nets.small("BasicVSR++"), options, cuda.CUDA, 2))


def fused(device, tmp_path):
    return builtin_vsr.load(None, resolve(vsr.OPTIONS, {"radius": 2}), SimpleNamespace(device=cuda.CUDA))


def interpolated(device, tmp_path):
    options = resolve(interpolate.OPTIONS, {"precision": "fp16", "batch": TOGETHER})

    def make():
        network = RifeNetwork(rife_nets.network(), options, torch.float16)
        return InterpolationStage(Overlaid(NetworkInterpolator(network, cuda.CUDA, options)), options)

    return on_gpu(device, make)


def interpolated_by_flow(device, tmp_path):
    return InterpolationStage(FlowInterpolator("fast"), resolve(interpolate.OPTIONS, {}))


def interpolated_by_film(device, tmp_path):
    options = resolve(interpolate.OPTIONS, {"precision": "fp16", "batch": TOGETHER})

    def make():
        network = FilmNetwork(FILM(filters=4, flow_filters=(4, 8, 8, 16)).eval(), torch.float16)
        return InterpolationStage(Overlaid(NetworkInterpolator(network, cuda.CUDA, options)), options)

    return on_gpu(device, make)


def depth_of(family, **edges):
    def stage(device, tmp_path):
        options = resolve(depth.OPTIONS, {"precision": "fp16", "resolution": "native", **edges})
        with device.away():
            net = depth_nets.random_net(family)
        return on_gpu(
            device, lambda: DepthStage(DepthAnything(net, options, False, cuda.CUDA), options, cuda.CUDA)
        )

    return stage


def depth_of_net(network, made_up, **given):
    """Return what makes the stage of another network."""

    def stage(device, tmp_path):
        options = resolve(depth.OPTIONS, {"precision": "fp16", "resolution": "native", **given})
        with device.away():
            net = made_up()
        return on_gpu(device, lambda: DepthStage(network(net, options), options, cuda.CUDA))

    return stage


def depth_by_motion(device, tmp_path):
    with device.away():
        stage = builtin_depth.load(None, resolve(depth.OPTIONS, {}), SimpleNamespace(device=cuda.CUDA))
        prior = stage._prior

    def on_host(image, near_ground):
        with device.away():  # its weights are real, and stay on the host
            return prior(image, near_ground)

    stage._prior = on_host
    return stage


def pair(device, tmp_path, **options):
    return ForwardWarp(resolve(stereo.OPTIONS, options), cuda.CUDA)


# what makes a stage, the most launches that it may need for a source frame, the chunks after which its
# batches fall alike, and those before the steady state
STAGES = {
    "resize": (resized, 7, 1, 3),
    "upscaler": (upscaled, 30, 1, 4),
    "steady upscaler": (steadied, 400, 1, 5),
    "basicvsr": (restored, 165, 2, 10),
    "builtin vsr": (fused, 500, 1, 6),
    "film": (interpolated_by_film, 110, 1, 6),
    "rife": (interpolated, 45, 1, 4),
    "builtin interpolation": (interpolated_by_flow, 70, 1, 4),
    "depth": (depth_of(depth_nets.TINY, edges="smooth"), 60, 11, 39),
    "video depth": (depth_of(depth_nets.TINY_VIDEO, edges="smooth"), 80, 11, 39),
    "depth anything 3": (
        depth_of_net(
            lambda net, options: DepthAnything3(net, options, True, cuda.CUDA),
            lambda: depth_3_nets.made_up(depth_3_nets.TINY_MONO),
        ),
        85,
        4,
        40,
    ),
    "moge": (
        depth_of_net(
            lambda net, options: MoGe(net, options, cuda.CUDA), lambda: moge_nets.made_up(moge_nets.TINY)
        ),
        85,
        4,
        40,
    ),
    "depth with edges": (depth_of(depth_nets.TINY_VIDEO, edges="snap"), 70, 11, 39),
    "builtin depth": (depth_by_motion, 120, 4, 20),
    "stereo": (pair, 113, 1, 4),
    "stereo, stretched": (partial(pair, fill="stretch"), 110, 1, 4),
    "stereo with a window": (partial(pair, floating_window=True), 200, 1, 4),
    "stereo without kernels": (pair, 1130, 1, 2),
}

PIXELS, THUMBNAIL = WIDTH * HEIGHT, 4 * (1 + SIDE * SIDE)
# bytes for each source frame that cross the bus besides times and flags
CROSSING = {
    # luma, and motion on a grid of two pixels
    "steady upscaler": PIXELS + PIXELS,
    "film": PIXELS,
    "rife": PIXELS,  # luma, in which text is found
    # luma at half the size, and nine bytes for each cell of the motion's grid
    "builtin interpolation": PIXELS // 4 + 9 * PIXELS // 16,
    "depth": THUMBNAIL,  # of which the light is known
    "video depth": THUMBNAIL,
    "depth anything 3": THUMBNAIL,
    "moge": THUMBNAIL,
    "depth with edges": THUMBNAIL,
    # luma and two numbers, and motion to four neighbours on a grid of 4 pixels
    "builtin vsr": PIXELS + 8 + 4 * 4 * PIXELS // 16,
    # small colours down, and their depth up
    "builtin depth": 8 * math.prod(builtin_depth.working_size(HEIGHT, WIDTH)),
}


def chunks(channels=3, smaller=1):
    while True:
        yield torch.rand(TOGETHER, HEIGHT // smaller, WIDTH // smaller, channels, device=cuda.CUDA)


class Taken:
    """Chunks, and how many of them a stage has taken."""

    def __init__(self, given):
        self.count, self.given = 0, given

    def __iter__(self):
        for chunk in self.given:
            self.count += 1
            yield chunk


def cost_of(device, stage, period, warm):
    """Return what ``period`` chunks cost after the first ``warm`` ones."""
    frames = Taken(chunks())
    inputs = [frames, chunks(1, 2)] if isinstance(stage, ForwardWarp) else [frames]
    work = stage(Shot(0, ClipInfo(WIDTH, HEIGHT, Fraction(25), 1000)), *map(iter, inputs))

    def run_until(last):
        while frames.count < last:
            next(work)

    run_until(warm)
    with device.counted() as found:
        run_until(warm + period)
    return found[0]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_never_waits_and_allocates_nothing(name, device, tmp_path, monkeypatch):
    if "without kernels" in name:  # as where Triton is missing
        monkeypatch.setenv("STEREOREEL_TRITON", "0")
    make, most, period, warm = STAGES[name]
    cost, frames = cost_of(device, make(device, tmp_path), period, warm), period * TOGETHER
    print(f"{name}: {cost.a_frame(frames)}")
    assert cost.waits == [] and cost.allocations == 0
    assert 0 < cost.launches <= most * frames
    assert cost.up + cost.down <= (16 + CROSSING.get(name, 0)) * frames


def test_weights_of_a_size_are_sent_once(device):
    frames = torch.rand(1, HEIGHT, WIDTH, 3, device=cuda.CUDA)
    keeping = Resizer()
    with device.counted() as first:
        keeping(frames, HEIGHT * 2, WIDTH)
    with device.counted() as second:
        keeping(frames, HEIGHT * 2, WIDTH)
    with device.counted() as alone:
        resize(frames, HEIGHT * 2, WIDTH)
    assert first[0].up == alone[0].up > 0 == second[0].up
    assert first[0].waits == alone[0].waits == []


def test_blocking_copies_and_read_values_are_counted(device):
    numbers_there = torch.ones(3, device=cuda.CUDA)
    with device.counted() as found:
        torch.tensor([1.0]).to(cuda.CUDA)
        bool(numbers_there.any())
        torch.equal(numbers_there, numbers_there)
        numbers_there.cpu()
        Download(numbers_there).wait()  # nothing was queued after it
    assert len(found[0].waits) == 5


def test_copies_behind_which_work_is_queued_do_not_wait(device):
    there = upload(torch.ones(3), cuda.CUDA)
    with device.counted() as found:
        arriving = Download(there)
        there + numbers([1.0], cuda.CUDA)
        assert bool(arriving.wait()[0])  # the answer of the fixture
    assert found[0].waits == [] and (found[0].up, found[0].down) == (4, 12)


def test_a_value_that_has_not_arrived_is_not_read(device):
    arriving = Download(torch.ones(3, device=cuda.CUDA))
    with pytest.raises(AssertionError, match="before it has arrived"):
        arriving._values[0].item()


def test_memory_that_grows_is_an_allocation(device):
    with device.counted() as found:
        kept = [torch.empty(1000, device=cuda.CUDA) for _ in range(3)]
    del kept
    device.collect()
    with device.counted() as again:
        [torch.empty(1000, device=cuda.CUDA) for _ in range(3)]
    assert (found[0].allocations, again[0].allocations) == (3, 0)
