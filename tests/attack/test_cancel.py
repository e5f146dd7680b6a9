"""Cancel on the canvas: long work checks often, and helper threads end too."""

import threading
from contextlib import closing
from fractions import Fraction

import numpy as np
import pytest
import torch

from benchmarks.support.image_nets import Compact, RRDBNet, random_net, save
from stereoreel.core import cancel
from stereoreel.core.clip import Clip, apply
from stereoreel.core.files import sha256
from stereoreel.core.options import resolve
from stereoreel.core.pull import pull
from stereoreel.core.tensor_source import TensorSource
from stereoreel.image.compute import parallel_map
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.prefetch import ahead
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.options import OPTIONS
from stereoreel.models import catalog
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.sample.clip import write_sample
from stereoreel.stages.stereo.warp import CPU_BAND
from tests.support.media_files import write_video

FRAMES = 12


class Stop(Exception):
    """Derive from Exception, as ComfyUI's interrupt does."""


@pytest.fixture(autouse=True)
def always_asked(monkeypatch):
    """Ask the host at every check, however soon after the previous one."""
    monkeypatch.setattr(cancel, "OFTEN", 0)


class Pressed:
    """A tick that counts questions and raises from the ``last`` question on."""

    def __init__(self, last: float = float("inf")):
        self.asked, self.last, self.done = 0, last, 0

    def __call__(self, done: int, total: int) -> None:
        self.asked += 1
        self.done = max(self.done, done)
        if self.asked >= self.last:
            raise Stop


def film(channels: int = 3, height: int = 48, width: int = 64) -> Clip:
    still = torch.rand(height, width, channels, generator=torch.Generator().manual_seed(0))
    frames = torch.stack([still.roll(shift, 1) for shift in range(FRAMES)])
    return Clip(TensorSource(frames, Fraction(25), cuts=False))


def made_by(kind: str, host: Headless, model: str = "builtin") -> Clip:
    # stereo warps rows of many small frames at a time; these frames fill a band each
    size = (CPU_BAND // 512, 512)
    inputs = (film(3, *size), film(1, *size)) if kind == "stereo" else (film(),)
    return next(iter(apply(Plan(kind, {"model": model}, kind), *inputs).values()))


def run(clip: Clip, host: Headless) -> None:
    with closing(pull(clip, host, chunk_frames=FRAMES)) as chunks:
        for _ in chunks:
            pass


@pytest.fixture
def one_thread():
    """Compute on one thread: others do not ask the host, nor can it while they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", ["upscale", "vsr", "interpolate", "depth", "stereo"])
def test_stages_check_at_least_once_a_frame(kind, tmp_path, one_thread):
    pressed = Pressed()
    host = Headless("cpu", tmp_path, pressed)
    run(made_by(kind, host), host)
    assert pressed.asked >= FRAMES


NETS = [(Compact, {"layers": 4}), (RRDBNet, {"blocks": 2})]


@pytest.mark.parametrize("net", NETS, ids=["compact", "esrgan"])
def test_networks_check_before_every_layer_and_stop(net, tmp_path, one_thread):
    (tmp_path / "upscale").mkdir()
    save(random_net(net[0], **net[1]), tmp_path / "upscale" / "net.safetensors")
    every = Pressed()
    host = Headless("cpu", tmp_path, every)
    run(made_by("upscale", host, "net.safetensors"), host)
    assert every.asked >= 2 * FRAMES
    pressed = Pressed(FRAMES)
    host = Headless("cpu", tmp_path, pressed)
    with pytest.raises(Stop):
        run(made_by("upscale", host, "net.safetensors"), host)
    assert pressed.asked == pressed.last  # nothing continues after it


def test_no_hooks_remain_after_a_pull(tmp_path):
    (tmp_path / "upscale").mkdir()
    save(random_net(Compact), tmp_path / "upscale" / "net.safetensors")
    stage = catalog.load("upscale", "net.safetensors", Headless("cpu", tmp_path))

    class Loaded:
        label = "loaded"

        def describe(self, info):
            return info.replace(width=info.width * 2, height=info.height * 2)

        def load(self, host):
            return stage

    before = hooks(stage)
    run(apply(Loaded(), film())["clip"], Headless("cpu", tmp_path))
    assert hooks(stage) == before


def hooks(stage) -> int:
    return sum(len(module._forward_pre_hooks) for net in stage.nets for module in net.modules())


@pytest.fixture
def long(tmp_path):
    still = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    frames = np.stack([np.roll(still, shift, 1) for shift in range(200)])
    write_video(tmp_path / "long.mp4", frames, Fraction(25))
    return tmp_path / "long.mp4"


def test_counting_frames_is_cancelled(long):
    with pytest.raises(Stop):
        FileSource(long, cuts=False, tick=Pressed(2))


def test_cut_search_is_cancelled_early(long):
    pressed = Pressed(10)
    FileSource(long, cuts=False)  # counted: what follows is the search alone
    with pytest.raises(Stop):
        print(FileSource(long, tick=pressed).info)
    assert pressed.done <= 16


def test_rendering_the_sample_is_cancelled_early(tmp_path):
    pressed = Pressed(1)
    with pytest.raises(Stop):
        write_sample(tmp_path / "sample.mp4", pressed)
    assert pressed.done <= 1 and not list(tmp_path.iterdir())


def test_hashing_is_cancelled(tmp_path):
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 40)  # sparse; hours of hashing
    with cancel.polling(Pressed(3)), pytest.raises(Stop):
        sha256(tmp_path / "huge")


def test_parallel_work_stops_with_its_caller(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    begun, ended = [], threading.Semaphore(0)

    def endless(item):
        begun.append(item)
        try:
            while True:
                cancel.check()
        finally:
            ended.release()

    with cancel.polling(Pressed(5)), pytest.raises(Stop):
        parallel_map(endless, range(100))
    for _ in begun:
        assert ended.acquire(timeout=60)
    assert len(begun) <= 4


def test_prefetch_thread_stops_within_an_item():
    closed = []

    def items():
        try:
            yield 1
            while True:
                cancel.check()
        finally:
            closed.append(True)

    with closing(ahead(items())) as made:
        assert next(made) == 1
    assert closed


@pytest.mark.parametrize("format", ["h264", "hevc", "av1"])
def test_completing_a_file_is_cancelled(format, tmp_path):
    """The encoder still holds frames, and the complete file has to be moved for its index."""
    pressed, settings = Pressed(), resolve(OPTIONS, {"format": format})
    made = Writer(tmp_path / "film.mp4", film().info, settings)
    with pytest.raises(Stop), cancel.polling(pressed), made as writer:
        for _ in range(4):
            writer.write(torch.rand(FRAMES, 240, 320, 3))
        pressed.last = 0
    assert not list(tmp_path.iterdir())
