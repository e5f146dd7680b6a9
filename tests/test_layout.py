"""Two eyes in one frame: what each layout puts where, and the numbers of the halves and of the anaglyph."""

from fractions import Fraction

import pytest
import torch

from stereoreel.clip import ClipInfo
from stereoreel.media.layout import LAYOUTS, file_tag, pack, packed_size


def eyes(height=4, width=6, frames=2):
    return torch.rand(2, frames, height, width, 3, generator=torch.Generator().manual_seed(1))


def test_full_layouts_put_left_first_and_touch_no_pixel():
    left, right = pair = eyes()
    assert torch.equal(pack(pair, "full_sbs"), torch.cat((left, right), 2))
    assert torch.equal(pack(pair, "full_tb"), torch.cat((left, right), 1))
    assert torch.equal(pack(pair, "left"), left)
    assert torch.equal(pack(pair, "right"), right)


def test_half_layouts_average_neighbours_so_that_no_detail_aliases():
    stripes = torch.zeros(2, 1, 4, 4, 3)
    stripes[0, :, :, ::2] = 1  # columns 1 0 1 0: any filter but the mean of two gives stripes or one flat end of the scale
    stripes[1, :, 1::2] = 0.5
    assert torch.equal(pack(stripes, "half_sbs")[0, :, :2], torch.full((4, 2, 3), 0.5))
    assert torch.equal(pack(stripes, "half_tb")[0, 2:], torch.full((2, 4, 3), 0.25))


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_packed_size_is_told_before_the_first_frame(layout, size):
    packed = pack(eyes(*size), layout)
    info = ClipInfo(size[1], size[0], Fraction(25), 2, views=2)
    assert (packed.shape[2], packed.shape[1]) == packed_size(info, layout)
    assert packed.shape[0] == 2 and packed.shape[3] == 3


def test_anaglyph_has_dubois_colours_mixed_in_linear_light():
    white, black = torch.ones(1, 1, 1, 3), torch.zeros(1, 1, 1, 3)
    # Linear light: rows of the left matrix add up to 1.05, -0.148, -0.115; of the right to -0.05, 1.147, 1.115; clamped to 0..1.
    assert pack(torch.stack((white, black)), "anaglyph").flatten().tolist() == pytest.approx([1, 0, 0])
    assert pack(torch.stack((black, white)), "anaglyph").flatten().tolist() == pytest.approx([0, 1, 1])
    gray = torch.full((1, 1, 1, 3), 0.5)  # 0.214041 in linear light; right alone: green 0.214041 x 1.147, blue x 1.115
    red, green, blue = pack(torch.stack((black, gray)), "anaglyph").flatten().tolist()
    assert (red, green, blue) == pytest.approx((0, 0.53264, 0.52575), abs=1e-4)


def test_anaglyph_of_equal_gray_eyes_stays_gray():
    gray = torch.full((2, 1, 2, 2, 3), 0.6)
    assert (pack(gray, "anaglyph") - 0.6).abs().max() < 0.002  # the matrices' rows add up to 1 within 0.001


def test_a_clip_with_one_view_is_packed_as_it_is():
    mono = eyes()[0]
    for layout in LAYOUTS:
        assert pack(mono, layout) is mono
        assert packed_size(ClipInfo(6, 4, Fraction(25), 2), layout) == (6, 4)


def test_depth_and_alpha_channels_survive_packing():
    for channels in (1, 4):
        assert pack(torch.rand(2, 3, 4, 6, channels), "full_sbs").shape == (3, 4, 12, channels)
        assert pack(torch.rand(2, 3, 4, 6, channels), "anaglyph").shape == (3, 4, 6, 3)


def test_every_layout_has_a_tag_of_its_own():
    assert len({file_tag(layout) for layout in LAYOUTS}) == len(LAYOUTS)
    assert file_tag("full_sbs") == "_LRF_Full_SBS"
