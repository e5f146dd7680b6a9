"""Red-cyan anaglyphs by tables equal the formula."""

import pytest
import torch

from stereoreel.media.layouts.anaglyph import DUBOIS, dubois


def exact(left, right):
    """Compute Dubois' mixture in double precision, with the sRGB curve by its formula."""

    def linear(color):
        return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)

    matrices = torch.tensor(DUBOIS, dtype=torch.float64).mT
    light = (linear(left.double()) @ matrices[0] + linear(right.double()) @ matrices[1]).clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("brightest", [(1, 1, 1), (0.1, 0.1, 0.1), (1, 0.03, 0.03), (0.03, 0.03, 1)])
def test_dubois_is_within_a_fifth_of_an_8_bit_level_of_the_formula(brightest):
    eyes = torch.rand(2, 2, 300, 400, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor(brightest)
    assert (dubois(*eyes) - exact(*eyes)).abs().max() < 0.2 / 255


def test_out_of_range_colours_are_clipped_and_nan_is_black():
    strange, plain = (
        torch.tensor([[[[1.5, torch.inf, 7e9]]], [[[-1, -torch.inf, torch.nan]]]]),
        torch.tensor([[[[1.0, 1, 1]]], [[[0.0, 0, 0]]]]),
    )
    for other in (strange.flip(0), strange):
        assert torch.equal(
            dubois(strange, other), dubois(plain, plain if other is strange else plain.flip(0))
        )


def test_no_frames_give_no_frames():
    assert dubois(*torch.empty(2, 0, 4, 6, 3)).shape == (0, 4, 6, 3)
