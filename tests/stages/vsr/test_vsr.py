"""The builtin VSR stage: less noise and flicker than Lanczos, without loss or ghosts, in any chunks."""

from fractions import Fraction
from itertools import islice
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from benchmarks.support.coded_clips import coded
from benchmarks.support.scenes import street
from benchmarks.support.vsr_scenes import MOVES, enhanced, lanczos, large, noisy, small
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.resize import resize
from stereoreel.stages.vsr import OPTIONS, describe
from stereoreel.stages.vsr.builtin import load


@pytest.mark.parametrize("move", MOVES)
def test_noise_falls_by_three_decibels_more_than_lanczos(host, move):
    frames = noisy(small(move))
    assert psnr(enhanced(frames, host), large(move)) >= psnr(lanczos(frames), large(move)) + 3


def test_every_frame_gains_at_the_ends_of_the_shot_too(host):
    frames = noisy(small("truck"))
    better, plain = enhanced(frames, host), lanczos(frames)
    gains = [psnr(a, truth) - psnr(b, truth) for a, b, truth in zip(better, plain, large("truck"))]
    assert min(gains) >= 2.5


def test_flicker_of_still_parts_is_less_than_half(host):
    frames = noisy(small("still"))
    assert enhanced(frames, host).std(0).mean() <= 0.45 * lanczos(frames).std(0).mean()


@pytest.mark.parametrize("move", MOVES)
def test_clean_film_loses_nothing(host, move):
    frames = small(move)
    assert psnr(enhanced(frames, host), large(move)) >= psnr(lanczos(frames), large(move)) - 0.1


def test_clean_real_footage_loses_nothing(host, real_clip):
    with av.open(str(real_clip("bigbuckbunny.mp4"))) as container:
        decoded = islice(container.decode(video=0), 40, 46)
        images = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in decoded]
    frames = torch.stack(images).float() / 255
    truth, seen = resize(frames, 360, 640, "area"), resize(frames, 180, 320, "area")
    assert psnr(enhanced(seen, host), truth) >= psnr(lanczos(seen), truth) - 0.1
    assert psnr(enhanced(noisy(seen), host), truth) >= psnr(lanczos(noisy(seen)), truth) + 2


@pytest.mark.parametrize(
    "name, gain",
    [
        ("mjpeg 10", 0.5),
        ("mjpeg 3", 0),
        ("mpeg2 12", 0.2),
        ("mpeg2 3", 0),
        ("x264 28", -0.01),
        ("x264 36", -0.01),
    ],
)
def test_compressed_footage_gains_or_passes(host, real_clip, name, gain):
    with av.open(str(real_clip("bigbuckbunny.mp4"))) as container:
        decoded = islice(container.decode(video=0), 40, 46)
        images = np.stack([frame.to_ndarray(format="rgb24")[200:520, 400:880] for frame in decoded])
    frames, truth = coded(images, name), torch.from_numpy(images) / 255
    better = enhanced(frames, host, factor=1)
    assert psnr(better, truth) >= psnr(frames, truth) + gain
    if gain > 0:
        flicker = [(one - truth).diff(dim=0).square().mean() for one in (better, frames)]
        assert flicker[0] < 0.9 * flicker[1]


def test_thin_fast_bars_and_disocclusions_lose_nothing_in_mild_noise(host):
    frames = noisy(small("fast"), 4 / 255)
    scene = street(list(MOVES).index("fast") + 1, 448, 256, camera=MOVES["fast"])
    bars = scene.render(3).layer >= 7
    hidden = ~scene.motion(3, 2)[1]
    better, plain, truth = enhanced(frames, host)[3], lanczos(frames)[3], large("fast")[3]
    assert psnr(better, truth, bars) >= psnr(plain, truth, bars) - 0.15
    assert psnr(better, truth, hidden) >= psnr(plain, truth, hidden)


def test_black_bars_do_not_hide_the_noise(host):
    frames, truth = noisy(small("pan")), large("pan").clone()
    frames[:, :20] = frames[:, -20:] = truth[:, :40] = truth[:, -40:] = 0
    assert psnr(enhanced(frames, host), truth) >= psnr(lanczos(frames), truth) + 2


def test_odd_frame_leaves_no_ghost(host):
    frames = noisy(small("still"))
    frames[3] = noisy(small("zoom"))[3]
    better, plain = enhanced(frames, host), lanczos(frames)
    assert psnr(better[3], large("zoom")[3]) >= psnr(plain[3], large("zoom")[3]) - 0.1
    assert all(psnr(better[i], large("still")[i]) >= psnr(plain[i], large("still")[i]) + 2 for i in (2, 4))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_pixel_that_is_no_number_spreads_to_no_other_frame(host, value):
    frames = noisy(small("still"))
    frames[3, 20, 30] = value
    better = enhanced(frames, host)
    assert better[:3].isfinite().all() and better[4:].isfinite().all()
    assert better[3].isfinite().float().mean() > 0.99


def test_repeated_frames_are_equal_and_count_once(host):
    frames = noisy(small("pan")).repeat_interleave(2, 0)
    better = enhanced(frames, host, radius=2)
    assert psnr(better[1::2], large("pan")) >= psnr(lanczos(frames[1::2]), large("pan")) + 2
    held = frames[:1].expand(5, -1, -1, -1)
    assert enhanced(held, host).equal(lanczos(held))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("radius", [1, 3])
def test_result_does_not_depend_on_chunks(host, channels, radius):
    gray = noisy(small("truck"))[:, :48, :61]
    frames = torch.cat([gray, gray[..., :1]], -1)[..., :channels]
    before = frames.clone()
    whole = enhanced(frames, host, len(frames), radius=radius, factor=1.5)
    assert whole.shape == (len(frames), 72, 92, channels) and frames.equal(before)
    assert all(enhanced(frames, host, chunk, radius=radius, factor=1.5).equal(whole) for chunk in (1, 2, 4))


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (9, 9), (30, 23)])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_tiny_and_short_clips(host, size, frames):
    expected = describe(resolve(OPTIONS, {}), ClipInfo(size[1], size[0], Fraction(25), frames))
    assert enhanced(torch.rand(frames, *size, 3), host, 1).shape == (
        frames,
        expected.height,
        expected.width,
        3,
    )


def test_alpha_is_denoised_with_its_image(host):
    matte = (small("still")[..., :1] > 0.5).float()
    frames = torch.cat([noisy(small("still")), noisy(matte, 0.05)], -1)
    assert (
        psnr(enhanced(frames, host)[..., 3:], lanczos(matte))
        >= psnr(lanczos(frames)[..., 3:], lanczos(matte)) + 1.5
    )


def test_strength(host):
    frames = noisy(small("pan"))
    assert enhanced(frames, host, strength=0).equal(lanczos(frames))
    results = [psnr(enhanced(frames, host, strength=strength), large("pan")) for strength in (0, 0.3, 1)]
    assert results == sorted(results)


def test_latency_equals_the_radius(host):
    stage, taken = load(SimpleNamespace(), resolve(OPTIONS, {"radius": 2}), host), []

    def source():
        for index in range(8):
            taken.append(index)
            yield noisy(small("pan"))[index % 6][None]

    info = ClipInfo(224, 128, Fraction(25), 8)
    made = 0
    for chunk in stage(Shot(0, info), source()):
        made += len(chunk)
        assert len(taken) <= made + 2
    assert made == 8
