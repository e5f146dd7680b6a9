"""Measures of frames against a real film: structural similarity, and flicker of the error."""

import pytest
import torch

from benchmarks.support.real_film import STABLE, error_flicker, halved, ssim


def test_ssim_of_equal_frames_is_one_and_of_flat_ones_is_the_formula():
    frames = torch.rand(2, 40, 50, 3, generator=torch.Generator().manual_seed(0))
    assert ssim(frames, frames) == pytest.approx(1)
    dark, light = torch.full((1, 30, 30, 3), 0.2), torch.full((1, 30, 30, 3), 0.6)
    wanted = (2 * 0.2 * 0.6 + STABLE[0]) / (0.2**2 + 0.6**2 + STABLE[0])
    assert ssim(dark, light) == pytest.approx(wanted, abs=1e-5)


def test_ssim_of_an_inverted_picture_is_negative_where_means_agree():
    frames = torch.rand(1, 40, 50, 3, generator=torch.Generator().manual_seed(0))
    assert -1 < ssim(frames, 1 - frames) < -0.9


def test_flicker_is_what_changes_in_the_error():
    truth = torch.rand(4, 8, 8, 3)
    assert error_flicker(truth + 0.1, truth) == pytest.approx(0, abs=1e-4)
    changing = truth + torch.tensor([0.0, 1.0, 0.0, 1.0]).view(-1, 1, 1, 1) / 255
    assert error_flicker(changing, truth) == pytest.approx(1, abs=1e-4)


def test_halved_frames_have_steps_of_8_bits():
    frames = halved(torch.rand(1, 8, 8, 3))
    assert frames.shape == (1, 4, 4, 3) and torch.equal((frames * 255).round(), frames * 255)
