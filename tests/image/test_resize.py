"""Enlarging by whole factors, by OpenCV or compiled, equals Pillow and the matrices that do any size."""

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

import stereoreel.image.resize as resizing
from stereoreel.image.polyphase import SHORTEST, Polyphase
from stereoreel.image.resize import METHODS, resize

FACTORS = list(itertools.product((1, 2, 3, 4), repeat=2))


def frames(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(math.prod(shape)))


@pytest.mark.parametrize("factors", FACTORS, ids=str)
def test_whole_factors_equal_pillow(factors):
    given = frames(1, 19, 27, 3)
    height, width = 19 * factors[0], 27 * factors[1]
    planes = [
        Image.fromarray(plane.numpy(), "F").resize((width, height), Image.Resampling.LANCZOS)
        for plane in given[0].unbind(-1)
    ]
    wanted = torch.from_numpy(np.stack(planes, -1))
    torch.testing.assert_close(resize(given, height, width, clamp=False)[0], wanted, atol=2e-6, rtol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(80, 99), (160, 33), (40, 132)], ids=str)
def test_whole_factors_equal_the_matrices(method, size):
    """Five channels are too many for OpenCV's passes, which each of them alone takes."""
    given = frames(2, 40, 33, 5)
    each = torch.cat([resize(channel, *size, method) for channel in given.split(1, -1)], -1)
    torch.testing.assert_close(resize(given, *size, method), each, atol=1e-6, rtol=0)


@pytest.mark.parametrize("factors", FACTORS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_compiled_loops_equal_opencvs_passes(factors, method, monkeypatch):
    """Also in frames higher than what a core takes at a time, and where filters reach beyond both ends."""
    pytest.importorskip("numba")
    for shape, clamp in (((2, 150, SHORTEST, 3), True), ((1, SHORTEST, 33, 1), False)):
        given = 1.5 * frames(*shape) - 0.25
        size = shape[1] * factors[0], shape[2] * factors[1]
        monkeypatch.setattr(resizing, "LARGE", 10**9)
        wanted = resize(given, *size, method, clamp)
        monkeypatch.setattr(resizing, "LARGE", 0)
        found = resize(given, *size, method, clamp)
        torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)
        assert torch.equal(found[-1:], resize(given[-1:], *size, method, clamp))


def test_each_size_goes_the_way_that_serves_it():
    assert Polyphase.serves(720, 1440, 3) and Polyphase.serves(SHORTEST, 4 * SHORTEST, 1)
    for source, target, channels in (
        (720, 1080, 3), (720, 360, 3), (720, 720, 3), (20, 100, 3), (SHORTEST - 1, 2 * SHORTEST - 2, 3),
        (720, 1440, 5),
    ):  # fmt: skip
        assert not Polyphase.serves(source, target, channels)


def test_half_precision_and_views_of_other_tensors():
    given = frames(2, 24, 64, 4)
    view = given[:, :, 10:42, :3]
    assert torch.equal(resize(view, 48, 64), resize(view.contiguous(), 48, 64))
    half = resize(given.half(), 48, 128)
    assert half.dtype == torch.float16
    assert (half.float() - resize(given.half().float(), 48, 128)).abs().max() < 1e-3
