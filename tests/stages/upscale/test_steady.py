"""The stabiliser of single-image upscalers: less flicker, without loss, ghosts or lag."""

import math
from dataclasses import replace

import pytest
import torch

from benchmarks.support.flicker_scenes import (
    ALL,
    BALL,
    FRAMES,
    HEIGHT,
    MOVING,
    SCENES,
    WIDTH,
    background,
    flickering,
    seen,
    source,
    steadied,
    steady,
    truth,
    upscaled,
)
from benchmarks.support.scenes import Layer, Texture
from stereoreel.analysis.metrics import flicker, psnr, sharpness, tof, warping_error
from stereoreel.image.resize import resize
from stereoreel.stages.upscale import filters
from stereoreel.stages.upscale.steady import Steady


@pytest.mark.parametrize("sigma", [1, 2])
@pytest.mark.parametrize("name", ["still", "object"])
def test_flicker_of_still_parts_is_at_least_halved(name, sigma):
    where = background(name) if name == "object" else None
    plain = flicker(upscaled(name, sigma), where)
    assert plain > 3 / 255, "it flickers visibly"
    assert flicker(steady(name, sigma), where) <= 0.5 * plain


@pytest.mark.parametrize("sigma", [0, 2])
@pytest.mark.parametrize("name", MOVING)
def test_flicker_of_moving_parts_falls_by_a_quarter(name, sigma):
    before, after = upscaled(name, sigma), steady(name, sigma)
    motion, inside = seen(name)
    rms = [math.sqrt(warping_error(frames, motion, inside)) for frames in (before, after)]
    assert rms[1] <= 0.75 * rms[0]
    assert tof(after, truth(name)) <= tof(before, truth(name)) + 0.01


@pytest.mark.parametrize("sigma", [0, 2])
@pytest.mark.parametrize("name", ALL)
def test_stabilising_costs_no_fidelity_or_sharpness(name, sigma):
    before, after = upscaled(name, sigma), steady(name, sigma)
    assert psnr(after, truth(name)) >= psnr(before, truth(name)) - 0.1
    assert sharpness(after, truth(name)) >= 0.97 * sharpness(before, truth(name))


@pytest.mark.parametrize("sigma", [0, 2])
@pytest.mark.parametrize("network", ["lanczos", "denoising", "sharpening"])
def test_stable_upscalers_lose_nothing(network, sigma):
    for name in ("still", "creep", "zoom", "object", "fade"):
        before, after = upscaled(name, sigma, network), steady(name, sigma, network)
        assert psnr(after, truth(name)) >= psnr(before, truth(name)) - 0.1, name
        assert sharpness(after, truth(name)) >= 0.98 * sharpness(before, truth(name)), name
        if name == "still":
            assert flicker(after) <= flicker(before) + 1e-4


@pytest.mark.parametrize("contrast", [4, 40, None])
@pytest.mark.parametrize("speed", [3.0, 22.0])
def test_no_ghost_behind_a_small_object(contrast, speed):
    """Where it was one or two frames ago, the worst pixel is no worse than without stabilisation."""
    texture = (
        Texture(77) if contrast is None else lambda u, v: torch.full((*u.shape, 3), 0.5 + contrast / 255)
    )
    ball = replace(BALL, texture=texture, velocity=(speed, 2.0))
    scene = replace(SCENES["still"], layers=(Layer("plane", 0.1, Texture(55, finest=12.0)), ball))
    frames, masks = scene.clip(FRAMES)[0], [scene.render(t).layer == 1 for t in range(FRAMES)]
    small = resize(frames, HEIGHT // 2, WIDTH // 2, "area")
    before = flickering(small)
    after = steadied(small, before)
    for t in range(2, FRAMES):
        left = (masks[t - 1] | masks[t - 2]) & ~masks[t]
        errors = [(large[t] - frames[t])[left].abs() for large in (before, after)]
        assert (
            errors[1].max() <= errors[0].max() + 2 / 255
            and errors[1].square().mean() <= errors[0].square().mean()
        )


def test_brightness_does_not_lag():
    for light in (torch.linspace(1, 0.3, FRAMES), torch.tensor([1, 1, 1, 0.6, 1, 1, 1, 1.0])):
        frames = truth("still") * light[:, None, None, None]
        small = resize(frames, HEIGHT // 2, WIDTH // 2, "area")
        after = steadied(small, flickering(small))
        coarse = [resize(part, HEIGHT // 16, WIDTH // 16, "area") for part in (after, frames)]
        assert (coarse[0] - coarse[1]).abs().max() < 4 / 255
        assert ((coarse[0] - coarse[1]).mean((1, 2, 3)).abs() < 0.5 / 255).all()


def test_undetected_cut_leaves_no_ghost():
    cut = FRAMES // 2
    alone = steadied(source("cut", 1)[cut:], upscaled("cut", 1)[cut:])
    assert psnr(steady("cut", 1)[cut], truth("cut")[cut]) >= psnr(alone[0], truth("cut")[cut]) - 0.02
    assert (steady("cut", 1)[cut] - upscaled("cut", 1)[cut]).abs().quantile(0.999) < 6 / 255


def test_repeated_frames_repeat_the_result_without_blur():
    small, large = source("pan", 1), upscaled("pan", 1)
    twice = steadied(small.repeat_interleave(2, 0), large.repeat_interleave(2, 0))
    assert twice[::2].equal(twice[1::2]) and twice[::2].equal(steady("pan", 1))
    held = small[:1] + 1e-6 * torch.arange(4)[:, None, None, None]  # not quite equal
    assert torch.allclose(steadied(held, large[:1].expand(4, -1, -1, -1))[3], large[0], atol=2e-5)


def test_strength():
    small, large = source("still", 1), upscaled("still", 1)
    assert steadied(small, large, 0).equal(large)
    values = [flicker(steadied(small, large, strength)) for strength in (0, 0.3, 0.6, 1)]
    assert values == sorted(values, reverse=True) and values[2] < 0.75 * values[0]


def test_first_frame_passes_and_inputs_are_unchanged():
    small, large = source("truck", 1).clone(), upscaled("truck", 1).clone()
    assert steadied(small, large)[0].equal(large[0])
    assert small.equal(source("truck", 1)) and large.equal(upscaled("truck", 1))


def test_known_motion_is_used():
    """True motion gives at least as good results as estimated motion."""
    small, large, step = source("truck", 0), upscaled("truck", 0), Steady()
    back = [SCENES["truck"].motion(t, t - 1)[0][::2, ::2].numpy() / 2 for t in range(1, FRAMES)]
    given = torch.stack([step(*pair, motion) for *pair, motion in zip(small, large, [None, *back])])
    motion, inside = seen("truck")
    assert warping_error(given, motion, inside) <= 1.02 * warping_error(steady("truck", 0), motion, inside)
    assert psnr(given, truth("truck")) >= psnr(large, truth("truck"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_stabilised_in_float32(dtype):
    small, large = source("still", 2)[..., :3].to(dtype), upscaled("still", 2).to(dtype)
    after = steadied(small, large)
    assert after.dtype == dtype
    assert flicker(after) <= 0.5 * flicker(large)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "sizes",
    [((1, 1), (2, 2)), ((9, 7), (9, 7)), ((40, 30), (100, 75)), ((61, 48), (31, 20)), ((2, 64), (3, 90))],
)
def test_any_ratio_and_channel_count(sizes, channels):
    random = torch.Generator().manual_seed(1)
    step = Steady()
    for _ in range(3):
        source, large = (
            torch.rand(*size, count, generator=random) for size, count in zip(sizes, (channels, 3))
        )
        after = step(source, large.movedim(-1, 0).contiguous().movedim(0, -1))
        assert after.shape == large.shape and after.isfinite().all() and after.min() >= 0 and after.max() <= 1


def test_motion_of_a_large_source_is_estimated_at_a_smaller_size(monkeypatch):
    monkeypatch.setattr("stereoreel.stages.upscale.steady.SEEN_PIXELS", 60 * 100)
    after = steadied(source("pan", 1), upscaled("pan", 1))
    motion, inside = seen("pan")
    assert warping_error(after, motion, inside) < 0.7 * warping_error(upscaled("pan", 1), motion, inside)
    assert psnr(after, truth("pan")) >= psnr(upscaled("pan", 1), truth("pan"))


def test_torch_path_equals_opencv(monkeypatch):
    """OpenCV's kernels and torch's agree, except for the 32nds of a pixel at which OpenCV samples."""
    monkeypatch.setattr("stereoreel.stages.upscale.filters._by_opencv", lambda image: False)
    for name in ("still", "zoom"):
        after = steadied(source(name, 1), upscaled(name, 1))
        assert (after - steady(name, 1)).abs().quantile(0.99) < 2 / 255 and psnr(after, steady(name, 1)) > 50


@pytest.mark.parametrize("name", ["truck", "object", "still", "fade"])
def test_frames_of_a_gpu_are_those_of_the_host(monkeypatch, name):
    small, large = source(name, 2), upscaled(name, 2)
    here = steady(name, 2)
    monkeypatch.setattr(filters, "_by_opencv", lambda image: False)
    there = Steady(1.0)
    begun = [one for some in small.split(3) for one in there.begin(some)]
    found = torch.stack([there(*pair) for pair in zip(begun, large)])
    assert psnr(found, here) >= 50
    assert psnr(here, large) < 45, "it changes them"


def test_repeated_frames_of_a_gpu_keep_their_result():
    small, large = source("truck", 2)[:2].repeat_interleave(2, 0), upscaled("truck", 2)[:4]
    there = Steady(1.0)
    begun = [one for some in small.split(1) for one in there.begin(some)]
    found = [there(*pair) for pair in zip(begun, large)]
    assert bool((found[0] == found[1]).all()) and bool((found[2] == found[3]).all())
    assert not bool((found[1] == found[2]).all())
