"""The forecast of a film's cost, extrapolated from excerpts: proportion, bounds and clean-up."""

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stereoreel.analysis.advisor.cost import predict
from stereoreel.analysis.advisor.excerpts import spans
from stereoreel.analysis.advisor.footprint import growth, missing_chunk_bytes
from stereoreel.core.clip import Clip, apply
from stereoreel.core.meter import Meter
from stereoreel.core.options import resolve
from stereoreel.core.pull import MOST_FRAMES, pull
from stereoreel.core.transforms import Trim
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write.options import OPTIONS
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from stereoreel.workflow.graph import Output
from tests.support.counting import Counting
from tests.support.media_files import moving, write_video


def job(clip, depth=None, **settings):
    return Output("Encode", "encode", clip, depth, resolve(OPTIONS, {"speed": "fast", **settings}))


@pytest.fixture
def clock(monkeypatch):
    """Provide a clock that advances only when a stage turns it."""
    now = SimpleNamespace(seconds=1000.0)
    for name in ("perf_counter", "monotonic", "process_time"):
        monkeypatch.setattr(time, name, lambda: now.seconds)
    return now


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Redirect temporary files."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


class Laborious(Counting):
    """Take 10 ms a frame, and half a second for the first."""

    def __init__(self, clock, each=0.01, first=0.5, label="Labour"):
        super().__init__(label=label)
        self.clock, self.each, self.first = clock, each, first
        self.work = self.labour

    def labour(self, chunk):
        self.clock.seconds += self.each * chunk.shape[-4] + self.first
        self.first = 0
        return chunk


@pytest.mark.parametrize("frames", [1, 7, 100, 1000])
def test_time_is_proportional_and_one_off_work_counts_once(frames, clock, tensor_clip, host):
    stage = Laborious(clock)
    cost = predict(
        job(apply(stage, tensor_clip(frames=frames, cuts=range(60, frames, 60)))["clip"]), host, seconds=2
    )
    assert cost.seconds == pytest.approx(0.5 + 0.01 * frames, rel=0.01)
    if frames > 8:  # a film that is rendered at once needs no distinction
        assert cost.fixed == pytest.approx(0.5, rel=0.01)
        assert cost.stages["Labour"] == pytest.approx(10, rel=0.01)
    assert cost.seconds_low < cost.seconds < cost.seconds_high
    assert (cost.frames, cost.measured) == (frames, stage.seen)
    assert clock.seconds - 1000 < 3


def test_shared_stage_counts_once(clock, tensor_clip, host):
    stage = Laborious(clock, first=0)
    shared = apply(stage, tensor_clip(frames=300))["clip"]
    depth = apply(Counting(work=lambda chunk: chunk[..., :1], label="Depth"), shared)["clip"]
    assert predict(job(shared, depth), host, seconds=1).seconds == pytest.approx(3, rel=0.01)


def test_uneven_shots_widen_the_interval(clock, tensor_clip, host):
    frames = torch.zeros(800, 32, 48, 3)
    frames[400:] = 1

    class Uneven(Laborious):
        def labour(self, chunk):
            self.clock.seconds += 0.03 * float(chunk.mean()) * len(chunk)
            return super().labour(chunk)

    even, uneven = (
        predict(job(apply(kind(clock), tensor_clip(frames, cuts=(400,)))["clip"]), host, seconds=4)
        for kind in (Laborious, Uneven)
    )
    assert uneven.seconds_low < 0.5 + 0.025 * 800 < uneven.seconds_high
    assert uneven.seconds_high / uneven.seconds > 1.1 * even.seconds_high / even.seconds


def test_excerpts_are_within_shots_and_spread(tensor_clip):
    cuts = (5, 6, 90, 300, 310, 320, 500)
    info = tensor_clip(frames=600, cuts=cuts).info
    for frames in (2, 10, 60, 200, 400):
        found = spans(info, frames)
        assert len(found) >= 2
        assert 0.5 * frames <= sum(stop - start for start, stop in found) <= frames + len(found)
        assert found[0][0] < 200 and found[-1][1] > 400
        assert all(one[1] <= other[0] for one, other in pairwise(found))
    assert all(not any(start < cut < stop for cut in cuts) for start, stop in spans(info, 60))
    assert spans(info, 590) == [(0, 600)]


def test_stages_see_one_shot_at_a_time(tensor_clip, host):
    cuts = tuple(range(9, 400, 9))
    shots = torch.bucketize(torch.arange(400), torch.tensor(cuts), right=True)
    images = (shots / 255).view(-1, 1, 1, 1).expand(-1, 32, 48, 3)
    seen = []

    class Watching(Counting):
        def __call__(self, shot, *chunks):
            seen.append(set())
            for chunk in chunks[0]:
                seen[-1] |= set((chunk * 255).round().unique().tolist())
                yield chunk

    predict(job(apply(Watching(), tensor_clip(images, cuts=cuts))["clip"]), host, seconds=0.5)
    assert len(seen) > 2 and all(len(shots) == 1 for shots in seen)


def test_memory_includes_what_a_stage_holds(tensor_clip, host):
    def hold(megabytes):
        def work(chunk):
            return chunk + torch.ones(megabytes * 250_000)[-1] * 0

        return predict(job(apply(Counting(work), tensor_clip(frames=60))["clip"]), host, seconds=1).memory

    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    hold(1)
    assert hold(400) - hold(1) == pytest.approx(400e6, rel=0.15)


def test_memory_includes_the_encoders_look_ahead(tensor_clip, host):
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    clip = tensor_clip(torch.zeros(1, 1, 1, 3).expand(500, 360, 640, 3))
    settings = job(clip).settings
    fast, best = (
        growth([clip], job(clip, speed=speed).settings, 4, host, float("inf")) for speed in ("fast", "best")
    )
    assert best > 30 * 640 * 360 * 1.5  # x264's preset slow looks 50 frames ahead
    assert best > 1.2 * fast > 0
    assert growth([clip], settings, 200, host, float("inf")) == 0


class Singly(Counting):
    """Yield frames one by one, however they arrive."""

    def __call__(self, shot, chunks):
        for chunk in chunks:
            yield from chunk.split(1)


def test_memory_includes_full_chunks(tensor_clip, host):
    def graph(frames):
        enlarged = apply(Counting(lambda chunk: chunk, label="Whole"), tensor_clip(frames=frames))["clip"]
        return [apply(Singly(label="One by one"), apply(Trim(0, frames), enlarged)["clip"])["clip"]]

    def lacking(excerpt, film):
        meter = Meter()
        list(pull(graph(excerpt), host, meter=meter))
        return [
            made / (2 * graph(film)[0].info.frame_bytes) for made in missing_chunk_bytes(graph(film), meter)
        ]

    # of the source, and of the one stage that follows it; a view holds nothing of its own
    assert lacking(8, 200) == [MOST_FRAMES - 8] * 2
    assert lacking(8, 20) == [20 - 8] * 2
    assert lacking(MOST_FRAMES + 8, 200) == [0, 0]


@pytest.mark.parametrize("repeats", [1, 20])
def test_disk_of_a_repeating_clip(repeats, tmp_path, tensor_clip, host):
    images = torch.from_numpy(moving(40, 96, 64)).float() / 255
    clip = tensor_clip(images.repeat(repeats, 1, 1, 1), cuts=range(40, 40 * repeats, 40))
    cost = predict(job(clip), host, seconds=0.5)
    write(RenderRequest(clip, tmp_path / "whole.mp4", job(clip).settings), host)
    assert cost.disk == pytest.approx((tmp_path / "whole.mp4").stat().st_size, rel=0.25)


def test_file_with_audio(tmp_path, host):
    shots = [moving(30, 96, 64)[:, :, :: -1 if number % 2 else 1] for number in range(60)]
    sound = 0.3 * np.random.default_rng(0).standard_normal((2, 1800 * 1920))
    path = write_video(
        tmp_path / "in.mp4", np.concatenate(shots), 25, audio=[(sound, 48000, "aac", "stereo")]
    )
    clip = Clip(FileSource(path))
    cost = predict(job(clip), host, seconds=0.5)  # far less than the film takes
    write(RenderRequest(clip, tmp_path / "whole.mp4", job(clip).settings), host)
    assert cost.measured < 1800
    assert cost.disk == pytest.approx((tmp_path / "whole.mp4").stat().st_size, rel=0.25)


def test_requested_size_is_forecast(tensor_clip, host):
    assert predict(job(tensor_clip(frames=200), size_mb=1), host, seconds=0.5).disk == 1_000_000


@pytest.mark.parametrize("layout", ["full_sbs", "two_files", "rgbd"])
def test_disk_includes_all_files(layout, tensor_clip, tmp_path, host):
    class Pair(Counting):
        def describe(self, clip):
            return clip.replace(views=2)

    pair = apply(Pair(lambda chunk: torch.stack([chunk, chunk])), tensor_clip(frames=80))["clip"]
    luma = Counting(work=lambda chunk: chunk[..., :1], label="Depth")
    depth = apply(luma, tensor_clip(frames=80, channels=1))["clip"]
    made = job(pair, depth, layout=layout)
    cost = predict(made, host, seconds=0.2)
    files = write(RenderRequest(pair, tmp_path / "whole.mp4", made.settings, depth=made.depth), host)
    assert cost.disk == pytest.approx(sum(path.stat().st_size for path in files), rel=0.25)


def test_no_file_is_left(folder, tensor_clip, host):
    predict(job(tensor_clip(frames=50)), host, seconds=0.2)
    assert not list(folder.iterdir())


class Cancelled(Exception):
    pass


@pytest.mark.parametrize("after", [1, 5, 12])
def test_cancel_leaves_no_file(after, folder, tensor_clip, tmp_path):
    ticks = []

    def tick(done, total):
        ticks.append((done, total))
        if len(ticks) == after:
            assert list(folder.iterdir())
            raise Cancelled

    with pytest.raises(Cancelled):
        predict(job(tensor_clip(frames=500)), Headless("cpu", models=tmp_path, on_tick=tick), seconds=1)
    assert not list(folder.iterdir())
    assert all(done <= total for done, total in ticks)


def test_forecast_as_text_and_figures(clock, tensor_clip, host):
    cost = predict(job(apply(Laborious(clock, first=0.2), tensor_clip(frames=1000))["clip"]), host, seconds=2)
    assert (
        "about 10 s (" in cost.text()
        and " to 12 s) for 1000 frames" in cost.text()
        and "Labour takes 100 % of the time" in cost.text()
    )
    assert cost.figures()["seconds"] == cost.seconds and cost.figures()["stages"]["Labour"] == pytest.approx(
        10, rel=0.01
    )
