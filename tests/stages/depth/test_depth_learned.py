"""The learned prior: small, mirrored as its frame is, the same at any size, and better than height alone."""

import copy

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks.support.depth_scenes import rank_correlation
from benchmarks.support.scenes import street
from stereoreel.nets.depth_prior import DepthPrior
from stereoreel.stages.depth import learned


@pytest.fixture(scope="module")
def prior():
    return learned.LearnedPrior()


def frame(seed: int = 2):
    picture, truth = street(seed, 320, 192).clip(1)
    return np.ascontiguousarray(picture[0].numpy()), truth[0, ..., 0]


def test_a_mirrored_frame_has_the_mirrored_depth(prior):
    image, _ = frame()
    mirrored = prior(np.ascontiguousarray(image[:, ::-1]), 0.5)[:, ::-1]
    np.testing.assert_allclose(mirrored, prior(image, 0.5), atol=1e-4)


@pytest.mark.parametrize("size", [(640, 384), (160, 96), (322, 190)])
def test_depth_does_not_depend_on_the_size_of_the_frame(prior, size):
    image, _ = frame()
    found = cv2.resize(prior(cv2.resize(image, size, interpolation=cv2.INTER_AREA), 0.5), (320, 192))
    assert np.corrcoef(found.ravel(), prior(image, 0.5).ravel())[0, 1] > 0.97


def test_near_ground_weighs_the_height(prior):
    image, _ = frame()
    steep, level = prior(image, 1.0), prior(image, 0.0)
    assert (steep[-1] - steep[0]).mean() > (level[-1] - level[0]).mean() + 0.8


@pytest.mark.parametrize("shape", [(9, 16), (200, 30), (1, 1)])
def test_any_shape_has_a_depth(prior, shape):
    found = prior(np.full((*shape, 3), 0.5, np.float32), 0.5)
    assert found.shape == shape and np.isfinite(found).all()


def test_scenes_that_it_never_saw(prior):
    import torch

    found = []
    for seed in range(1, 7):
        image, truth = frame(seed)
        found.append(rank_correlation(torch.from_numpy(prior(image, 0.5)), truth))
    assert np.mean(found) > 0.5, found


def test_the_network_is_small(prior):
    assert sum(part.numel() for part in prior._net.parameters()) < 3e6
    assert learned.WEIGHTS.stat().st_size < 12e6


def test_folded_normalisation_is_the_same_function():
    plain = DepthPrior()
    plain.load_state_dict(load_file(learned.WEIGHTS))
    plain.eval()
    folded = copy.deepcopy(plain).folded()
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
    pictures = torch.rand(2, 3, 48, 80, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(folded(pictures), plain(pictures), atol=1e-5, rtol=0)
