"""Resizing and the builtin upscale stage: Pillow's Lanczos at any size, independent of the batch."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.resize import resize
from stereoreel.stages.upscale import OPTIONS, describe
from stereoreel.stages.upscale.builtin import load

SIZES = [
    (20, 30, 40, 60),
    (37, 53, 91, 31),
    (64, 64, 7, 9),
    (1, 1, 5, 5),
    (5, 5, 1, 1),
    (33, 70, 33, 140),
    (2, 300, 3, 17),
    (9, 16, 9, 16),
]


def random_frames(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def by_pillow(frame: torch.Tensor, height: int, width: int, method) -> torch.Tensor:
    planes = [
        Image.fromarray(plane.contiguous().numpy()).resize((width, height), method)
        for plane in frame.unbind(-1)
    ]
    return torch.from_numpy(np.stack(planes, -1))


def upscaled(frames: torch.Tensor, chunk: int, host, **options) -> torch.Tensor:
    info = ClipInfo(frames.shape[2], frames.shape[1], Fraction(25), len(frames), channels=frames.shape[3])
    stage = load(SimpleNamespace(), resolve(OPTIONS, options), host)
    return torch.cat(list(stage(Shot(0, info), iter(frames.split(chunk)))))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", ["lanczos", "bilinear"])
def test_resize_equals_pillow(size, method):
    height, width, new_height, new_width = size
    frame = random_frames(height, width, 3)
    wanted = by_pillow(frame, new_height, new_width, getattr(Image, method.upper()))
    torch.testing.assert_close(
        resize(frame[None], new_height, new_width, method, clamp=False)[0], wanted, atol=1e-5, rtol=0
    )


def test_area_is_the_mean_of_the_covered_pixels():
    frames = random_frames(1, 12, 18, 3)
    torch.testing.assert_close(resize(frames, 4, 3, "area"), frames.view(1, 4, 3, 3, 6, 3).mean((2, 4)))
    halves = resize(torch.tensor([0.0, 0.6, 0.9]).view(1, 1, 3, 1), 1, 2, "area").flatten()
    torch.testing.assert_close(halves, torch.tensor([0.2, 0.8]))


@pytest.mark.parametrize("method", ["lanczos", "bilinear", "area"])
def test_flat_images_and_equal_sizes_are_unchanged(method):
    torch.testing.assert_close(
        resize(torch.full((1, 13, 17, 3), 0.3), 29, 11, method), torch.full((1, 29, 11, 3), 0.3)
    )
    frames = random_frames(2, 13, 17, 3)
    assert resize(frames, 13, 17, method).equal(frames)


def test_input_is_unchanged_and_output_in_range():
    frames = (random_frames(2, 16, 16, 3) > 0.5).float()
    before = frames.clone()
    large = resize(frames, 40, 40)
    assert frames.equal(before) and large.min() >= 0 and large.max() <= 1
    assert resize(frames, 40, 40, clamp=False).max() > 1
    assert resize(frames, 16, 16).data_ptr() != frames.data_ptr()


def test_half_precision_is_kept():
    frames = random_frames(1, 20, 20, 3).half()
    large = resize(frames, 40, 40)
    assert large.dtype == torch.float16
    torch.testing.assert_close(large.float(), resize(frames.float(), 40, 40), atol=1e-3, rtol=0)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(45, 37), (1, 1), (17, 130)])
def test_output_is_as_described_and_independent_of_chunks(host, channels, size):
    frames = random_frames(7, *size, channels)
    info = ClipInfo(size[1], size[0], Fraction(25), 7, channels=channels)
    for factor in (1.0, 1.25, 2.0, 3.75):
        expected = describe(resolve(OPTIONS, {"factor": factor}), info)
        whole = upscaled(frames, 7, host, factor=factor)
        assert whole.shape == (7, expected.height, expected.width, channels)
        assert all(upscaled(frames, chunk, host, factor=factor).equal(whole) for chunk in (1, 2))


def test_sizes_are_rounded_to_the_nearest_pixel():
    expected = describe(resolve(OPTIONS, {"factor": 1.25}), ClipInfo(6, 2, Fraction(25), 1))
    assert (expected.width, expected.height) == (8, 3)


def test_mirroring_commutes(host):
    frames = random_frames(1, 45, 37, 3)
    torch.testing.assert_close(
        upscaled(frames.flip(2), 1, host, factor=2.25), upscaled(frames, 1, host, factor=2.25).flip(2)
    )


def test_channels_do_not_mix(host):
    frames = random_frames(1, 24, 31, 4)
    large = upscaled(frames, 1, host)
    for channel in range(4):
        torch.testing.assert_close(
            large[..., channel : channel + 1], upscaled(frames[..., channel : channel + 1], 1, host)
        )


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="at least 1 pixel"):
        resize(torch.rand(1, 4, 4, 3), 0, 4)
    with pytest.raises(ValueError, match="method must be one of"):
        resize(torch.rand(1, 4, 4, 3), 2, 2, "sinc")
    with pytest.raises(ValueError, match="must be between"):
        resolve(OPTIONS, {"factor": 5})
