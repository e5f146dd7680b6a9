"""Two views in one frame: the positions in each layout, half layouts and anaglyphs."""

import math
from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import ClipInfo
from stereoreel.media.layouts.layout import LAYOUTS, WITH_DEPTH, file_tag, pack, packed_size, panes
from stereoreel.media.layouts.vr180 import half_sphere, sphere_side


def eyes(height=4, width=6, frames=2):
    return torch.rand(2, frames, height, width, 3, generator=torch.Generator().manual_seed(1))


def test_full_layouts_are_left_first_and_lossless():
    left, right = pair = eyes()
    assert torch.equal(pack(pair, "full_sbs"), torch.cat((left, right), 2))
    assert torch.equal(pack(pair, "full_tb"), torch.cat((left, right), 1))
    assert torch.equal(pack(pair, "left"), left)
    assert torch.equal(pack(pair, "right"), right)


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout not in WITH_DEPTH])
def test_panes_are_the_packed_frame_in_parts(layout):
    pair = eyes()
    for clip in (pair, pair[0]):
        assert torch.equal(torch.cat(panes(clip, layout, turn=1), 2), pack(clip, layout, turn=1))


def test_cross_eyed_is_right_first():
    left, right = pair = eyes()
    assert torch.equal(pack(pair, "cross_eyed"), torch.cat((right, left), 2))


@pytest.mark.parametrize(
    "layout, picture",
    [
        ("interlaced_rows", ["LLLLL", "rrrrr", "LLLLL"]),
        ("interlaced_columns", ["LrLrL", "LrLrL", "LrLrL"]),
        ("checkerboard", ["LrLrL", "rLrLr", "LrLrL"]),
    ],
)
def test_interlaced_layouts_begin_with_the_left_view(layout, picture):
    left, right = pair = eyes(3, 5)
    packed = pack(pair, layout)
    for y, row in enumerate(picture):
        for x, eye in enumerate(row):
            assert torch.equal(packed[:, y, x], (left if eye == "L" else right)[:, y, x])


def test_wiggle_alternates_views():
    left, right = pair = eyes()
    for turn, view in enumerate((left, right, left)):
        assert torch.equal(pack(pair, "wiggle", turn=turn), view)


@pytest.mark.parametrize("depth_size", [(4, 6), (2, 3), (1, 1)])
def test_rgbd_has_the_image_left_and_grey_depth_right(depth_size):
    left, _ = pair = eyes()
    depth = torch.full((2, *depth_size, 1), 0.25)
    for picture in (left, pair):  # of a pair, the left eye
        packed = pack(picture, "rgbd", depth=depth)
        assert torch.equal(packed[:, :, :6], left)
        assert torch.allclose(packed[:, :, 6:], torch.tensor(0.25))
    assert torch.allclose(
        pack(left, "half_rgbd", depth=depth)[:, :, :3], (left[:, :, ::2] + left[:, :, 1::2]) / 2
    )


def test_rgbd_depth_is_aligned_with_the_image():
    depth = torch.rand(2, 4, 6, 1)
    assert torch.equal(
        pack(eyes(), "rgbd", depth=torch.stack((depth, 1 - depth)))[:, :, 6:], depth.expand(-1, -1, -1, 3)
    )
    with pytest.raises(ValueError, match="Connect a depth clip to the depth input"):
        pack(eyes(), "rgbd")


def test_layers_are_side_by_side_at_even_widths():
    left, right = pair = eyes(4, 7)
    packed = pack(pair, "mv_hevc")
    assert torch.equal(packed[:, :, :7], left) and torch.equal(packed[:, :, 8:15], right)
    assert torch.equal(packed[:, :, [7, 15]], packed[:, :, [6, 14]])


def test_half_layouts_average_neighbours():
    stripes = torch.zeros(2, 1, 4, 4, 3)
    # columns 1 0 1 0: any filter but the mean of two gives stripes or one flat end of the scale
    stripes[0, :, :, ::2] = 1
    stripes[1, :, 1::2] = 0.5
    assert torch.equal(pack(stripes, "half_sbs")[0, :, :2], torch.full((4, 2, 3), 0.5))
    assert torch.equal(pack(stripes, "half_tb")[0, 2:], torch.full((2, 4, 3), 0.25))


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_packed_size_is_described_before_the_first_frame(layout, size):
    packed = pack(eyes(*size), layout, depth=torch.rand(2, 3, 3, 1))
    info = ClipInfo(size[1], size[0], Fraction(25), 2, views=2)
    assert (packed.shape[2], packed.shape[1]) == packed_size(info, layout)
    assert packed.shape[0] == 2 and packed.shape[3] == 3


def test_dubois_anaglyph_is_mixed_in_linear_light():
    white, black = torch.ones(1, 1, 1, 3), torch.zeros(1, 1, 1, 3)
    # Linear light: rows of the left matrix add up to 1.05, -0.148, -0.115; of the right to -0.05, 1.147,
    # 1.115; clamped to 0..1.
    assert pack(torch.stack((white, black)), "anaglyph").flatten().tolist() == pytest.approx([1, 0, 0])
    assert pack(torch.stack((black, white)), "anaglyph").flatten().tolist() == pytest.approx([0, 1, 1])
    # 0.214041 in linear light; right alone: green 0.214041 x 1.147, blue x 1.115
    gray = torch.full((1, 1, 1, 3), 0.5)
    red, green, blue = pack(torch.stack((black, gray)), "anaglyph").flatten().tolist()
    assert (red, green, blue) == pytest.approx((0, 0.53264, 0.52575), abs=1e-4)


def test_anaglyph_of_equal_grey_views_is_grey():
    gray = torch.full((2, 1, 2, 2, 3), 0.6)
    assert (pack(gray, "anaglyph") - 0.6).abs().max() < 0.002  # the matrices' rows add up to 1 within 0.001


@pytest.mark.parametrize(
    "layout, wanted",
    [  # left (.2, .4, .6), right (.9, .7, .5); luma of BT.601
        ("anaglyph_color", (0.2, 0.7, 0.5)),
        ("anaglyph_half_color", (0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6, 0.7, 0.5)),
        (
            "anaglyph_gray",
            (0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6, *[0.299 * 0.9 + 0.587 * 0.7 + 0.114 * 0.5] * 2),
        ),
    ],
)
def test_classic_anaglyphs_use_the_published_mixtures(layout, wanted):
    pair = torch.tensor([[0.2, 0.4, 0.6], [0.9, 0.7, 0.5]]).reshape(2, 1, 1, 1, 3)
    assert pack(pair, layout).flatten().tolist() == pytest.approx(wanted, abs=1e-6)


# VR180


@pytest.mark.parametrize("field", [60.0, 90.0, 120.0])
@pytest.mark.parametrize("size", [(64, 64), (48, 96), (97, 51)])
def test_half_sphere_keeps_directions(size, field):
    height, width = size
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    side = sphere_side(width, field)
    sphere = half_sphere(torch.stack((x / width, y / height, torch.ones_like(x)), -1)[None], field)[0]
    assert sphere.shape == (side, side, 3)
    focal = width / 2 / math.tan(math.radians(field / 2))
    seen = 0
    for row in range(0, side, 5):
        for column in range(0, side, 5):
            aside, up = ((place + 0.5) / side * math.pi - math.pi / 2 for place in (column, row))
            ray = math.cos(up) * math.sin(aside), math.sin(up), math.cos(up) * math.cos(aside)
            across, down = (
                width / 2 + focal * ray[0] / ray[2] - 0.5,
                height / 2 + focal * ray[1] / ray[2] - 0.5,
            )
            direction = sphere[row, column].tolist()
            if 0 <= across <= width - 1 and 0 <= down <= height - 1:
                assert direction == pytest.approx((across / width, down / height, 1), abs=2e-4)
                seen += 1
            elif not (-1 < across < width and -1 < down < height):
                assert direction == [0, 0, 0]
    assert seen > 10


def test_half_sphere_keeps_central_detail_up_to_the_decoders_limit():
    # half of pi times the width, in steps of 16
    assert [sphere_side(width) for width in (1920, 960, 2)] == [3024, 1520, 16]
    assert sphere_side(3840) == sphere_side(7680) == 4096
    assert sphere_side(1920, 60) > sphere_side(1920, 90) > sphere_side(1920, 120)
    assert packed_size(ClipInfo(1920, 1080, Fraction(25), 1, views=2), "vr180") == (6048, 3024)


def test_fine_frame_in_a_half_sphere_does_not_alias(monkeypatch):
    monkeypatch.setattr("stereoreel.media.layouts.vr180.LARGEST", 64)
    stripes = (torch.arange(512) % 2).float()[None, None, :, None].expand(1, 256, 512, 3)
    assert (half_sphere(stripes)[0, 28:36, 28:36] - 0.5).abs().max() < 0.1


def test_single_view_is_packed_unchanged():
    mono = eyes()[0]
    for layout in set(LAYOUTS) - set(WITH_DEPTH):
        assert pack(mono, layout) is mono
        assert packed_size(ClipInfo(6, 4, Fraction(25), 2), layout) == (6, 4)


def test_depth_and_alpha_channels_survive_packing():
    for channels in (1, 4):
        assert pack(torch.rand(2, 3, 4, 6, channels), "full_sbs").shape == (3, 4, 12, channels)
        assert pack(torch.rand(2, 3, 4, 6, channels), "anaglyph").shape == (3, 4, 6, 3)


def test_layout_tags_are_unique():
    assert len({file_tag(layout) for layout in LAYOUTS}) == len(LAYOUTS)
    assert file_tag("full_sbs") == "_LRF_Full_SBS"
    assert [file_tag(layout, views=1) for layout in ("full_sbs", "wiggle", "rgbd", "half_rgbd")] == [
        "",
        "",
        "_RGBD",
        "_HRGBD",
    ]
