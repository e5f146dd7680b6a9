"""Depth in windows: the stream equals the published loop over the full clip, in constant memory."""

import gc

import pytest
import torch
from torch import Tensor

from benchmarks.support.depth_scenes import flown_past
from stereoreel.nets.depth_anything import DepthAnything, Family
from stereoreel.stages.depth.windows import AHEAD, SteadyRange, fit, match, samples, stream

TINY_VIDEO = Family(64, 4, 128, False, 37, 32, (16, 32, 32, 64), 32, 32, (0, 1, 2, 3))
KEY_FRAMES = [0, 12, 24, 25, 26, 27, 28, 29, 30, 31]


class Drifting:
    """Output true depth, but every window in a scale and shift of its own."""

    def __init__(self, spread=0.5):
        self.spread, self.windows, self.encoded = spread, 0, 0

    def encode(self, frames):
        self.encoded += len(frames)
        return (frames,)

    def decode(self, features, frames):
        scale, shift = self.of_window(self.windows)
        self.windows += 1
        return features[0][:frames] * scale + shift

    def of_window(self, index):
        if index == 0:
            return 1.0, 0.0
        random = torch.Generator().manual_seed(index)
        scale, shift = (2 * torch.rand(2, generator=random) - 1).tolist()
        return 1 + self.spread * scale, 0.3 * self.spread * shift


class Mixing:
    """Make every frame's depth depend on all others and on their order."""

    def encode(self, frames):
        return frames * 2, frames.mean((-2, -1))

    def decode(self, features, frames):
        maps, means = features
        return (
            maps * (1 + means.std())
            + torch.cumsum(means, 0)[:, None, None] * 0.1
            + means.flip(0)[:, None, None]
        )


def shot(count, height=6, width=9, seed=0):
    return 0.5 + 1.5 * torch.rand(count, height, width, generator=torch.Generator().manual_seed(seed))


def streamed(frames, network, chunk=5, **options):
    parts = list(stream(frames.split(chunk) if len(frames) else (), network, **options))
    return torch.cat(parts) if parts else frames[:0]


def whole_clip(frames, run):
    """Run the published loop over a list of all frames; ``run`` returns a window's depth."""
    count = len(frames)
    padded = list(frames) + [frames[-1]] * ((22 - count % 22) % 22 + 10)
    decided, before, anchors = [], None, None
    for start in range(0, count, 22):
        window = padded[start : start + 32]
        if before is not None:
            window[:10] = [before[index] for index in KEY_FRAMES]
        before, depth = window, run(torch.stack(window)).double()
        if anchors is None:
            decided, anchors = list(depth), [depth[0], depth[12]]
            continue
        seen, wanted = depth[:2].flatten(), torch.stack(anchors).flatten()
        solution = torch.linalg.lstsq(torch.stack([seen, torch.ones_like(seen)], 1), wanted[:, None]).solution
        depth = (depth * solution[0] + solution[1]).clamp(min=0)
        for place in range(8):
            share = place / 7
            decided[place - 8] = decided[place - 8] * (1 - share) + depth[2 + place] * share
        decided += list(depth[10:])
        anchors = [anchors[0], depth[12]]
    return torch.stack(decided[:count]).float()


def test_stream_equals_the_loop_for_every_length():
    frames, network = shot(100), Mixing()
    for count in range(1, 101):
        made = streamed(frames[:count], network)
        expected = whole_clip(frames[:count], lambda window: network.decode(network.encode(window), 32))
        torch.testing.assert_close(
            made, expected, atol=2e-5, rtol=2e-5, msg=lambda text, count=count: f"{count} frames: {text}"
        )


def test_frames_shared_by_windows_may_be_encoded_once():
    torch.manual_seed(0)
    net = DepthAnything(TINY_VIDEO).eval().requires_grad_(False)
    net.head.scratch.output_conv2[2].bias.fill_(0.5)  # random weights must not give zeros alone
    frames = torch.rand(40, 3, 28, 42)
    expected = whole_clip(frames, lambda window: net(window[None])[0])
    assert expected.std() > 1e-3
    torch.testing.assert_close(streamed(frames, net), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("count", [10, 32, 33, 54, 100, 211])
def test_windows_are_aligned_to_the_first(count):
    frames = shot(count)
    torch.testing.assert_close(streamed(frames, Drifting()), frames, atol=1e-4, rtol=0)


def test_metres_are_not_rescaled():
    frames, network = shot(60), Drifting()
    scale, shift = network.of_window(1)
    torch.testing.assert_close(streamed(frames, network, metric=True)[32:46], frames[32:46] * scale + shift)


@pytest.mark.parametrize("chunk", [1, 2, 7, 77])
def test_depth_does_not_depend_on_chunks(chunk):
    frames = shot(77)
    assert torch.equal(streamed(frames, Mixing(), chunk), streamed(frames, Mixing(), 13))


def test_frames_are_encoded_once_and_output_before_the_look_ahead_ends():
    network, read, out = Drifting(), 0, 0

    def source():
        nonlocal read
        for frame in shot(150).split(1):
            read += 1
            yield frame

    for depth in stream(source(), network):
        if read < 150:
            assert read - (out + 1) <= AHEAD <= 32
        out += len(depth)
    assert (out, network.encoded) == (150, 150)


def test_memory_does_not_grow_with_the_shot():
    def peak(count):
        most, network = 0, Mixing()
        for index, _ in enumerate(stream((torch.rand(3, 6, 9) for _ in range(count)), network)):
            if index > 1:
                most = max(most, sum(thing.numel() for thing in gc.get_objects() if type(thing) is Tensor))
        return most

    assert peak(300) == peak(50)


def test_empty_shot_and_flat_shot():
    assert list(stream((), Mixing())) == []
    flat = streamed(torch.full((60, 4, 4), 0.7), Drifting(spread=0.2))
    assert torch.isfinite(flat).all() and (flat - 0.7).abs().max() < 1e-5


def test_stream_never_synchronises_with_the_device():
    """Reading a value fails on ``meta``."""
    frames = torch.empty(60, 8, 10, device="meta")
    assert streamed(frames, Mixing()).shape == frames.shape
    assert SteadyRange()(frames[:3]).shape == (3, 8, 10)


def test_alignment_never_reverses_depth():
    old = torch.rand(2, 8, 8)
    scale, shift = fit(1 - old, old)
    assert scale == 1 and abs((1 - old + shift).mean() - old.mean()) < 1e-6


def test_alignment_ignores_a_third_of_the_picture():
    previous = shot(1, 60, 80)[0]
    current = (previous - 0.1) / 1.07
    current[:, :26] = 4.0
    scale, shift = match(samples(current), samples(previous))
    assert scale.item() == pytest.approx(1.07, abs=1e-4) and shift.item() == pytest.approx(0.1, abs=1e-4)


def parallax_steps(depth):
    """Return the largest change between frames, in pixels, where nothing crosses.

    For 2 % divergence at a width of 1920.
    """
    return ((depth[1:] - depth[:-1]).abs()[:, 82:] * 0.02 * 1920).max().item()


@pytest.mark.parametrize(
    "size", [(6, 8), (40, 40), (70, 60)], ids=["particle", "bird", "a third of the picture"]
)
def test_passing_objects_do_not_move_the_scene(size):
    raw = flown_past(size)
    least, most = raw.flatten(1).min(1).values[:, None, None], raw.flatten(1).max(1).values[:, None, None]
    assert parallax_steps((raw - least) / (most - least)) > 10  # what most tools do
    assert parallax_steps(SteadyRange()(raw)) < 0.2


def test_range_follows_a_lasting_change():
    raw = torch.cat([flown_past((0, 0), 30), 3 * flown_past((0, 0), 1).expand(900, -1, -1)])
    steady = SteadyRange(aligned=True)(raw)
    assert steady[40].min() >= 0 and steady[40].max() == 1
    assert steady[-1].quantile(0.9) < 1 and steady[-1].quantile(0.1) < 0.2
