"""The pull: shared inputs, agreeing chunks, two views, early ends, errors and flat memory."""

import gc
import weakref
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from stereoreel.core.clip import Clip, Soundtrack, apply
from stereoreel.core.pull import frames, pull
from stereoreel.core.transforms import Eye, SideBySide, Split, Trim, Uncut
from tests.support.counting import Counting


class Late(Counting):
    """Yield every frame one chunk later, as a stage with look-ahead does."""

    def __call__(self, shot, chunks):
        held = None
        for chunk in chunks:
            if held is not None:
                yield held
            held = chunk
        if held is not None:
            yield held


def test_frames_arrive_in_order(tensor_clip, host):
    images = torch.rand(23, 4, 6, 3)
    got = torch.cat([chunk for (chunk,) in pull(tensor_clip(images), host, chunk_frames=5)])
    assert torch.equal(got, images)


def test_shared_input_is_computed_once(tensor_clip, host):
    shared = Counting(lambda chunk: chunk * 0.5)
    half = apply(shared, tensor_clip(frames=20))["clip"]
    late = apply(Late(None), half)["clip"]
    total = apply(Counting(lambda one, other: one + other), late, half)["clip"]
    doubled = frames(total, host, chunk_frames=3)
    assert shared.seen == 20
    torch.testing.assert_close(doubled, frames(tensor_clip(frames=20), host))


def test_inputs_with_different_chunks_agree_frame_by_frame(tensor_clip, host):
    cut = tensor_clip(frames=20, cuts=(3, 11))  # chunks end at cuts
    plain = tensor_clip(frames=20)
    seen = []
    stage = Counting(lambda one, other: seen.append((len(one), len(other))) or one - other)
    assert not frames(apply(stage, apply(Late(None), cut)["clip"], plain)["clip"], host, chunk_frames=4).any()
    assert all(one == other for one, other in seen) and sum(one for one, _ in seen) == 20


def test_unequal_lengths_are_refused_before_the_first_frame(tensor_clip):
    with pytest.raises(ValueError, match="12 and 9 frames"):
        apply(Counting(None, label="Add"), tensor_clip(frames=12), tensor_clip(frames=9))


def test_early_end_error_names_both_inputs(tensor_clip, host):
    short = tensor_clip(frames=9)
    # it promises more than it has
    short.maker.label, short.maker.info = "Short", short.info.replace(frames=12)
    long = tensor_clip(frames=12)
    long.maker.label = "Long"
    clip = apply(Counting(lambda one, other: one), long, short)["clip"]
    with pytest.raises(ValueError, match="Short ended after 9 of 12 frames but Long has more frames"):
        frames(clip, host, chunk_frames=4)


def test_clip_ends_with_its_file(tensor_clip, host):
    clip = tensor_clip(frames=9)
    clip.maker.info = clip.info.replace(frames=12, cuts=(4, 10))
    assert len(frames(apply(Late(None), clip)["clip"], host, chunk_frames=2)) == 9


def test_error_names_the_failing_stage(tensor_clip, host):
    def fail(chunk):
        raise ValueError("the lens fell off")

    bad = apply(Counting(fail, label="Camera (node 3)"), tensor_clip())["clip"]
    clip = apply(Counting(lambda chunk: chunk, label="Editor (node 4)"), bad)["clip"]
    with pytest.raises(ValueError, match=r"^Camera \(node 3\): the lens fell off$"):
        frames(clip, host)


class Cancelled(Exception):
    """Derive from Exception and have no message, as ComfyUI's does."""


def test_cancel_takes_effect_within_one_chunk_and_is_not_wrapped(tensor_clip, host):
    stage = Counting(lambda chunk: chunk)

    def tick(done, total):
        if stage.seen >= 4:
            raise Cancelled

    host.tick = tick
    with pytest.raises(Cancelled):
        frames(apply(stage, tensor_clip(frames=40))["clip"], host, chunk_frames=2)
    assert stage.seen in (4, 6)  # with more than two cores it is a chunk ahead


def test_closing_a_pull_stops_its_sources(tensor_clip, host):
    clip, closed = tensor_clip(frames=40), []

    def chunks(host, count):
        try:
            yield from torch.rand(40, 4, 4, 3).split(count)
        finally:
            closed.append(True)

    clip.maker.chunks = chunks
    running = pull(apply(Late(None), clip)["clip"], host, chunk_frames=2)
    next(running)
    running.close()
    assert closed


def test_views_are_processed_independently(tensor_clip, host):
    pair = apply(Split(), tensor_clip(size=(8, 16)))["clip"]
    assert pair.info.views == 2 and pair.info.width == 8
    shapes = []
    stage = Counting(lambda chunk: shapes.append(chunk.shape) or chunk.flip(2))
    made = frames(apply(stage, pair)["clip"], host, chunk_frames=3)
    assert made.shape == (2, 7, 8, 8, 3) and all(len(shape) == 4 for shape in shapes)
    left, right = frames(tensor_clip(size=(8, 16)), host).split(8, dim=2)
    assert torch.equal(made[0], left.flip(2)) and torch.equal(made[1], right.flip(2))


def test_splitting_and_joining_views_is_lossless(tensor_clip, host):
    images = torch.rand(5, 6, 12, 3)
    pair = apply(Split(), tensor_clip(images))["clip"]
    assert torch.equal(frames(apply(SideBySide(), pair)["clip"], host), images)
    assert torch.equal(frames(apply(Eye(1), pair)["clip"], host), images[:, :, 6:])


def test_joint_stage_receives_both_views(tensor_clip, host):
    pair = apply(Split(), tensor_clip(size=(8, 16)))["clip"]
    stage = Counting(lambda chunk: chunk, joint=True)
    assert frames(apply(stage, pair)["clip"], host).shape == (2, 7, 8, 8, 3)


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 5), (3, 3), (6, 40)])
def test_trim_keeps_exactly_its_window(tensor_clip, host, start, stop):
    images = torch.rand(7, 4, 4, 3)
    clip = apply(Trim(start, stop), tensor_clip(images, cuts=(1, 4)))["clip"]
    assert clip.info.frames == len(images[start:stop])
    if clip.info.frames:
        assert torch.equal(frames(clip, host, chunk_frames=2), images[start:stop])


def test_trimmed_variable_rate_keeps_its_mean_rate_and_audio(tensor_clip):
    clip = tensor_clip(frames=8)
    times = tuple(Fraction(place, 10) for place in (0, 1, 2, 3)) + tuple(
        Fraction(4, 10) + Fraction(place, 30) for place in range(4)
    )
    clip.maker.info = clip.info.replace(times=times, fps=Fraction(15), audio=Soundtrack(Path("film.mkv")))
    slow, fast = (apply(Trim(start, start + 4), clip)["clip"].info for start in (0, 4))
    assert (slow.fps, slow.duration, slow.audio.duration) == (10, Fraction(4, 10), Fraction(4, 10))
    assert (fast.fps, fast.duration, fast.audio.start) == (30, Fraction(4, 30), Fraction(4, 10))


def test_shots_are_merged_into_one(tensor_clip, host):
    clip = apply(Uncut(), tensor_clip(frames=9, cuts=(2, 5)))["clip"]
    assert clip.info.shots == [(0, 9)]
    assert torch.equal(frames(clip, host, 2), frames(tensor_clip(frames=9), host))


def test_frames_are_released_after_their_last_reader(tensor_clip, host):
    """Memory is O(chunk): of 200 chunks, only a handful are alive at any moment."""
    alive, most = weakref.WeakSet(), 0

    class Box(torch.Tensor):
        pass

    def track(chunk):
        made = chunk.clone().as_subclass(Box)
        alive.add(made)
        return made

    clip = tensor_clip(frames=200, size=(4, 4))
    tracked = apply(Counting(track), clip)["clip"]
    total = apply(
        Counting(lambda one, other: (one + other).as_subclass(torch.Tensor)),
        apply(Late(None), tracked)["clip"],
        tracked,
    )["clip"]
    for _ in pull(total, host, chunk_frames=1):
        gc.collect(0)
        most = max(most, len(alive))
    assert 0 < most <= 8


def test_byte_budget_limits_chunks(host):
    class Huge:
        label = "Huge"

        def __init__(self, info):
            self.info = info

        def chunks(self, host, count):
            assert count == 1
            yield torch.zeros(1, 1, 1, 3)

    from stereoreel.core.clip import ClipInfo

    info = ClipInfo(16384, 8192, Fraction(25), 1)
    assert len(frames(Clip(Huge(info)), host)) == 1
