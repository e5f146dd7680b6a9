"""Stages at work at the same time: the frames, order and errors of taking turns, and no thread left."""

import gc
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from stereoreel.core import cancel, pipeline
from stereoreel.core.clip import apply
from stereoreel.core.meter import Meter
from stereoreel.core.per_eye import gathered
from stereoreel.core.pipeline import Handed, launched
from stereoreel.core.pull import DEEP, frames, pull
from stereoreel.core.transforms import Crop
from stereoreel.models.lazy_stage import Plan
from tests.support import cuda_stand_in
from tests.support.counting import Counting
from tests.support.lookahead import in_turn

SOON = 20  # seconds; only a fault waits so long


@pytest.fixture(autouse=True)
def four_cores():
    """Let stages compute at the same time on any machine; no test leaves a thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)
    gc.collect()
    assert not stage_threads()


def stage_threads():
    return [one for one in threading.enumerate() if one.name.startswith("stereoreel-stage")]


def failing(chunks, message, before=None):
    """Return the work of a stage that fails after some chunks."""
    seen = []

    def work(chunk):
        seen.append(chunk.shape)
        if len(seen) > chunks:
            if before:
                before()
            raise ValueError(message)
        return chunk

    return work


def stage(work, clip, label="Stage", **facts):
    return apply(Counting(work, label=label, **facts), clip)["clip"]


def all_of(clips, host, meter=None):
    return [torch.cat(chunks, -4) for chunks in zip(*pull(clips, host, 3, meter))]


def test_frames_equal_those_of_stages_in_turn(tensor_clip, host):
    """The default workflow: the interpolated frames feed depth and, after its look-ahead, the stereo pair."""
    clip = tensor_clip(frames=14, size=(32, 64), cuts=(5,))
    for kind, options in (("vsr", {"factor": 2.0}), ("interpolate", {"multiplier": 2})):
        clip = apply(Plan(kind, {"model": "builtin", **options}, kind), clip)["clip"]
    depth = apply(Plan("depth", {"model": "builtin"}, "depth"), clip)["clip"]
    pair = apply(Plan("stereo", {"model": "builtin"}, "stereo"), clip, depth)
    clips = [pair["clip"], pair["left_holes"], depth]
    for one, other in zip(all_of(clips, host), all_of(clips, host, in_turn())):
        assert one.shape[-4] == 28 and torch.equal(one, other)


def test_two_stages_compute_at_the_same_time(tensor_clip, host):
    both = threading.Barrier(2)

    def meet(chunk):
        both.wait(SOON)  # raises if the other stage does not come
        return chunk

    # the first chunk of the first stage and the last of the second one have no partner
    alone, others = iter([lambda chunk: chunk]), iter([meet] * 3)
    first = stage(lambda chunk: next(alone, meet)(chunk), tensor_clip(frames=8), "First")
    second = stage(lambda chunk: next(others, lambda last: last)(chunk), first, "Second")
    assert len(frames(second, host, 2)) == 8


def test_each_stage_is_at_most_one_chunk_ahead_of_its_reader(tensor_clip, host):
    first = Counting(lambda chunk: chunk, label="First")
    second = Counting(lambda chunk: chunk, label="Second")
    clip = apply(second, apply(first, tensor_clip(frames=40))["clip"])["clip"]
    running = pull(clip, host, 2)
    next(running)
    wait_until(lambda: (second.seen, first.seen) == (4, 6))
    time.sleep(0.1)  # long enough to run ahead
    assert (second.seen, first.seen) == (4, 6)
    running.close()


@pytest.mark.parametrize("place", [0, 20, DEEP])
def test_stage_with_a_thread_anywhere_in_a_deep_chain(tensor_clip, host, place):
    clip = tensor_clip(frames=30, size=(2, 2))
    for number in range(DEEP + 2):
        clip = (
            stage(lambda chunk: chunk * 0.5, clip)
            if number == place
            else apply(Crop(0, 0, 2, 2), clip)["clip"]
        )
    [found], [wanted] = all_of([clip], host), all_of([clip], host, in_turn())
    assert len(found) == 30 and torch.equal(found, wanted)


def wait_until(done):
    end = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_failure_comes_after_the_frames_before_it(tensor_clip, host):
    camera = stage(failing(3, "the lens fell off"), tensor_clip(frames=20), "Camera (node 3)")
    clip = stage(lambda chunk: chunk, camera)
    done = 0
    with pytest.raises(ValueError, match=r"^Camera \(node 3\): the lens fell off$"):
        for (chunk,) in pull(clip, host, 2):
            time.sleep(0.02)  # the failure waits
            done += len(chunk)
    assert done == 6


def test_first_failure_in_order_of_frames_is_raised(tensor_clip, host):
    """The first stage fails at a later frame, but sooner."""
    failed = threading.Event()

    first = stage(failing(1, "of frame 1", failed.set), tensor_clip(frames=4), "First")
    second = stage(failing(0, "of frame 0", lambda: failed.wait(SOON)), first, "Second")
    with pytest.raises(ValueError, match=r"^Second: of frame 0$"):
        frames(second, host, 1)


class Cancelled(Exception):
    """Derive from Exception and have no message, as ComfyUI's does."""


def test_cancel_stops_every_stage_in_the_middle_of_a_chunk(tensor_clip, host):
    began, threads = threading.Barrier(3), set()

    def endless(chunk):
        began.wait(SOON)
        while True:
            cancel.check()
            time.sleep(0.001)

    def tick(done, total):
        threads.add(threading.current_thread())
        if began.n_waiting == 2:
            began.wait(SOON)
            raise Cancelled

    host.tick = tick
    clips = [stage(endless, tensor_clip(), f"Endless {number}") for number in range(2)]
    with pytest.raises(Cancelled):
        all_of(clips, host)
    assert threads == {threading.current_thread()} and not stage_threads()


@pytest.mark.parametrize("end", ["close", "forget"])
def test_pull_that_is_not_finished_leaves_no_thread(end, tensor_clip, host):
    running = pull(stage(lambda chunk: chunk, tensor_clip(frames=40)), host, 1)
    next(running)
    assert len(stage_threads()) == 1
    if end == "close":
        running.close()
    del running
    gc.collect()
    assert not stage_threads()


def test_stages_run_without_gradients_on_all_cores(tensor_clip, host):
    seen = set()

    def look(chunk):
        seen.add((torch.is_inference_mode_enabled(), torch.get_num_threads(), threading.current_thread()))
        return chunk

    frames(stage(look, tensor_clip()), host, 1)
    [(inference, cores, thread)] = seen
    assert inference and cores == 4 and thread is not threading.current_thread()


def test_stages_that_share_a_network_take_turns(tensor_clip, host):
    net, busy, most = torch.nn.Conv2d(1, 1, 1), [], []

    def work(chunk):
        busy.append(1)
        time.sleep(0.005)
        most.append(len(busy))
        busy.pop()
        return chunk

    clips = [
        apply(Counting(work, label=str(n), nets=[torch.nn.Sequential(net)]), tensor_clip())["clip"]
        for n in range(2)
    ]
    all_of(clips, host)
    assert max(most) == 1


def test_two_cores_take_turns(tensor_clip, host):
    torch.set_num_threads(2)
    threads = set()
    frames(stage(lambda chunk: threads.add(threading.current_thread()) or chunk, tensor_clip()), host, 1)
    assert threads == {threading.current_thread()}


def test_long_chains_take_turns(tensor_clip, host):
    """Otherwise every stage would hold a chunk."""
    clip, threads = tensor_clip(), set()
    for number in range(pipeline.MOST_STAGES + 1):
        clip = stage(lambda chunk: threads.add(threading.current_thread()) or chunk, clip, str(number))
    frames(clip, host, 1)
    assert threads == {threading.current_thread()}


def test_no_more_stages_compute_than_allowed(tensor_clip, host, monkeypatch):
    monkeypatch.setattr(pipeline, "STAGES_AT_ONCE", 2)
    lock, busy, most = threading.Lock(), 0, 0

    def work(chunk):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.005)
        with lock:
            busy -= 1
        return chunk

    assert len(all_of([stage(work, tensor_clip(), str(n)) for n in range(5)], host)) == 5
    assert most == 2


def test_time_of_stages_at_the_same_time_is_counted_once(tensor_clip, host):
    def work(chunk):
        time.sleep(0.02)
        return chunk

    meter = Meter()
    all_of([stage(work, tensor_clip(frames=12), str(n)) for n in range(2)], host, meter)
    apart = sum(cost.seconds for cost in meter.costs.values())
    assert apart >= 0.16 and meter.elapsed < 0.8 * apart
    assert meter.now == ""


FORGETFUL = """
import torch
torch.set_num_threads(4)
from stereoreel.core.clip import Clip, apply
from stereoreel.core.pull import pull
from stereoreel.core.tensor_source import TensorSource
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
clip = Clip(TensorSource(torch.rand(40, 8, 8, 3), 25, cuts=False))
running = pull(apply(Plan("upscale", {"model": "builtin"}, "Upscale"), clip)["clip"], Headless("cpu"), 1)
next(running)
"""


def test_python_ends_with_a_pull_that_is_not_finished():
    subprocess.run([sys.executable, "-c", FORGETFUL], check=True, timeout=120)


@pytest.mark.parametrize(("device", "lengths"), [("cpu", {1}), ("meta", {4, 3})])
def test_stages_on_a_gpu_keep_the_length_of_chunks(device, lengths, tensor_clip, host):
    """A stage that yields single frames feeds the next one in batches, on any device but a CPU."""

    class Single(Counting):
        def __call__(self, shot, chunks):
            for chunk in chunks:
                yield from chunk.split(1)

    host.device = torch.device(device)
    single, seen = apply(Single(None), tensor_clip(frames=11, cuts=(4,)))["clip"], set()
    made = frames(stage(lambda chunk: seen.add(len(chunk)) or chunk, single), host, 4)
    assert len(made) == 11 and seen == lengths


def test_joined_chunks_hold_the_same_frames():
    images = torch.rand(2, 7, 4, 6, 1)
    given = [{"clip": part, "holes": 1 - part} for part in images.split((1, 3, 1, 1, 1), 1)]
    made = list(gathered(iter(given), lambda: 3))
    assert [one["clip"].shape[1] for one in made] == [4, 3]
    assert torch.equal(torch.cat([one["clip"] for one in made], 1), images)
    assert torch.equal(torch.cat([one["holes"] for one in made], 1), 1 - images)


@pytest.mark.parametrize("told", [True, False])
def test_chunk_on_a_gpu_waits_for_the_stream_that_computes_it(told, monkeypatch):
    with cuda_stand_in.device(monkeypatch):
        with torch.cuda.stream(torch.cuda.Stream()):
            chunk = torch.empty(2, 4, 6, 3, device=cuda_stand_in.CUDA).add_(1)
            handed = Handed(chunk, launched(chunk.device) if told else None)
            del chunk
        if not told:
            with pytest.raises(AssertionError, match="does not wait"):
                handed.taken().add_(1)
            return
        handed.taken().add_(1)
        del handed  # its memory returns to the other stream, which raises if this one may still use it
        torch.empty(1, device=cuda_stand_in.CUDA)


def test_stages_on_a_gpu_share_a_stream_if_they_share_a_network(monkeypatch):
    """Only the host takes turns: the GPU may still be busy with the one stage's work as the other begins."""
    with cuda_stand_in.device(monkeypatch):
        made = pipeline.Pipeline(cuda_stand_in.CUDA)
        for nets in ({1}, {2}, {1, 3}):
            work = SimpleNamespace(label="", owns=lambda nets=nets: frozenset(nets))
            pipeline.StageThread(made, work)
        streams = []
        for thread in made.threads:
            with thread.stream():
                streams.append(torch.cuda.current_stream())
        assert streams[2] is streams[0] and streams[1] is not streams[0]
