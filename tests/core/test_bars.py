"""Stages see the picture only: its bars come back as they were, at screen depth."""

from fractions import Fraction

import pytest
import torch

from stereoreel.core.bars import Bars
from stereoreel.core.clip import apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.partition import excerpt, units
from stereoreel.core.pull import frames, pull
from stereoreel.core.transforms import Crop, EveryNth, Fit, Recut, SideBySide, Trim
from stereoreel.models.lazy_stage import Plan
from tests.support.moving_texture import HEIGHT, WIDTH, scene

TOP, BOTTOM, LEFT = 6, 5, 4
GREY = 0.0625


def barred(images, top=TOP, bottom=BOTTOM, left=0, right=0, level=GREY):
    """Return frames with bars, which hold a ramp so that none of them is taken for another."""
    result = images.clone()
    bars = torch.full_like(images[:1], level)
    for place, frame in enumerate(result):
        height, width = frame.shape[:2]
        inside = frame[top : height - bottom, left : width - right].clone()
        frame.copy_(bars[0] + 0.01 * place)
        frame[top : height - bottom, left : width - right] = inside
    return result


@pytest.fixture
def letterboxed(tensor_clip):
    """Return a clip of two shots with bars of different size, and its frames."""
    images = torch.cat([barred(scene(6, seed=1)), barred(scene(5, seed=2), 3, 3, LEFT, LEFT)])
    clip = tensor_clip(images, cuts=(6,))
    clip.maker.info = clip.info.replace(bars=(Bars(0, TOP, BOTTOM), Bars(6, 3, 3, LEFT, LEFT)))
    return clip, images


def stage(kind, *clips, **options):
    return apply(Plan(kind, {"model": "builtin", **options}, kind), *clips)


def picture(images, scale=1):
    """Return the pictures of the two shots."""
    first, second = images[..., :6, :, :, :], images[..., 6:, :, :, :]
    top, bottom, left = TOP * scale, BOTTOM * scale, LEFT * scale
    return first[..., top : HEIGHT * scale - bottom, :, :], second[..., 3 * scale : -3 * scale, left:-left, :]


@pytest.mark.parametrize("kind", ["upscale", "vsr"])
def test_upscaling_sees_the_picture_only_and_bars_come_back_enlarged(kind, letterboxed, tensor_clip, host):
    clip, images = letterboxed
    large = stage(kind, clip)["clip"]
    made = frames(large, host, 4)
    assert large.info.bars == (Bars(0, 2 * TOP, 2 * BOTTOM), Bars(6, 6, 6, 2 * LEFT, 2 * LEFT))
    for found, alone in zip(picture(made, 2), picture(images)):
        assert torch.equal(found, frames(stage(kind, tensor_clip(alone))["clip"], host, 4))
    for place, frame in enumerate(made):
        grey = images[place, 0, 0]
        rows = 2 * (TOP if place < 6 else 3)
        assert (frame[:rows] - grey).abs().max() < 1e-6 and (frame[-6:] - grey).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "size"), [({"fit": "height", "pixels": 54}, (54, 78)), ({"factor": 1.25}, (45, 65))]
)
def test_upscaling_to_any_size_keeps_the_place_of_the_picture(options, size, letterboxed, host):
    clip, _ = letterboxed
    large = stage("upscale", clip, **options)["clip"]
    made = frames(large, host)
    plain = frames(stage("upscale", apply_without_bars(clip), **options)["clip"], host)
    assert made.shape[1:3] == size == (large.info.height, large.info.width)
    middle = slice(18, 28)  # the edge of the picture is another, and its place is rounded to a pixel
    assert (made[:6, middle, 12:-12] - plain[:6, middle, 12:-12]).abs().mean() < 0.02


def apply_without_bars(clip):
    from stereoreel.core.transforms import Unbarred

    return apply(Unbarred(), clip)["clip"]


def test_depth_continues_the_edge_of_the_picture(letterboxed, tensor_clip, host):
    clip, images = letterboxed
    made = frames(stage("depth", clip)["clip"], host)
    for found, alone in zip(picture(made), picture(images)):
        assert torch.equal(found, frames(stage("depth", tensor_clip(alone))["clip"], host))
    assert torch.equal(made[:6, :TOP], made[:6, TOP : TOP + 1].expand(-1, TOP, -1, -1))
    assert torch.equal(made[6:, :, :LEFT], made[6:, :, LEFT : LEFT + 1].expand(-1, -1, LEFT, -1))


def test_both_eyes_show_the_bars_of_the_source(letterboxed, host):
    clip, images = letterboxed
    made = stage("stereo", clip, stage("depth", clip)["clip"], divergence=6.0)
    pair, holes = frames(made["clip"], host), frames(made["left_holes"], host)
    for eye in pair:
        assert torch.equal(eye[:6, :TOP], images[:6, :TOP]) and torch.equal(
            eye[:6, -BOTTOM:], images[:6, -BOTTOM:]
        )
        assert torch.equal(eye[6:, :, :LEFT], images[6:, :, :LEFT])
    assert not torch.equal(pair[0], pair[1])
    assert not holes[:6, :TOP].any() and not holes[6:, :, -LEFT:].any()


@pytest.mark.parametrize("options", [
    {"divergence": 6.0, "convergence_mode": "fixed"}, {"strength": "strong"}, {"plan": "0,6,0.5"},
    {"divergence": 9.0, "limit": True, "screen": "phone", "convergence_mode": "fixed"},
])  # fmt: skip
def test_bars_at_the_sides_belong_to_the_width_of_the_effect(options, tensor_clip, host):
    images, side, depth = scene(4, seed=2), 6, torch.full((4, HEIGHT, WIDTH, 1), 1.0)
    depth[:, :, : WIDTH // 2] = 0.0
    pairs = []
    for bars in ((), (Bars(0, 0, 0, side, side),)):
        clip = tensor_clip(barred(images, 0, 0, side, side))
        clip.maker.info = clip.info.replace(bars=bars)
        made = apply(
            Plan("stereo", options, "stereo").over([clip, tensor_clip(depth)]), clip, tensor_clip(depth)
        )
        pairs.append(frames(made["clip"], host)[:, :, :, WIDTH // 4 : WIDTH // 2 - side])
    assert pairs[0].numel()
    torch.testing.assert_close(*pairs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options", [{}, {"multiplier": 3}, {"target_fps": "60"}, {"target_fps": "10"}, {"slow_motion": True},
                {"ending": "last frame"}]
)  # fmt: skip
def test_interpolated_frames_show_the_bars_of_the_frame_before_them(options, letterboxed, host):
    clip, images = letterboxed
    made = stage("interpolate", clip, stage("depth", clip)["clip"], **options)
    moved, depth = made["clip"], made["depth"]
    result, (cut,) = frames(moved, host, 3), moved.info.cuts
    fps = Fraction(options.get("target_fps", clip.info.fps * options.get("multiplier", 2)))
    assert moved.info.bars == depth.info.bars == (Bars(0, TOP, BOTTOM), Bars(cut, 3, 3, LEFT, LEFT))
    for number, frame in enumerate(result):
        first, last = (0, 5) if number < cut else (6, 10)
        source = min(max(int(number * clip.info.fps / fps), first), last)
        assert torch.equal(frame[:3], images[source, :3]), number
    assert frames(depth, host).shape[0] == len(result)


@pytest.mark.parametrize("chunk", [1, 2, 7])
@pytest.mark.parametrize("kind", ["upscale", "vsr", "interpolate", "depth", "stereo"])
def test_chunk_law_with_bars(kind, chunk, letterboxed, host):
    clip, _ = letterboxed
    inputs = [clip, stage("depth", clip)["clip"]] if kind in ("interpolate", "stereo") else [clip]
    clips = list(stage(kind, *inputs).values())
    some, whole = (list(zip(*pull(clips, host, size))) for size in (chunk, 11))
    for one, other in zip(some, whole, strict=True):
        assert torch.equal(torch.cat(one, -4), torch.cat(other, -4))


def test_a_pair_with_bars_is_processed_in_both_views(letterboxed, host):
    clip, _ = letterboxed
    pair = stage("stereo", clip, stage("depth", clip)["clip"])["clip"]
    made = frames(stage("interpolate", stage("upscale", pair)["clip"])["clip"], host)
    assert made.shape == (2, 22, 2 * HEIGHT, 2 * WIDTH, 3)
    assert torch.equal(made[0, :, :6], made[1, :, :6])


def test_transforms_keep_bars_where_they_are(letterboxed):
    clip, _ = letterboxed

    def bars(recipe):
        return apply(recipe, clip)["clip"].info.bars

    second = Bars(0, 3, 3, LEFT, LEFT)
    assert bars(Trim(6, 9)) == (second,) and bars(Trim(0, 6)) == (Bars(0, TOP, BOTTOM),)
    assert bars(Trim(4, 9)) == (Bars(0, TOP, BOTTOM), second._replace(start=2))
    assert bars(EveryNth(4)) == (Bars(0, TOP, BOTTOM), second._replace(start=2))
    assert bars(Recut("3")) == clip.info.bars
    assert bars(Crop(2, 4, WIDTH - 4, HEIGHT - 8)) == (Bars(0, 2, 1), Bars(6, 0, 0, 2, 2))
    assert bars(Fit(WIDTH // 2)) == (Bars(0, 3, 3), Bars(6, 2, 2, 2, 2))
    assert bars(SideBySide()) == ()


def test_a_shot_whose_bars_change_is_cut_off_nowhere(letterboxed, host):
    clip, images = letterboxed
    whole = apply(Recut("none"), clip)["clip"]
    made = frames(stage("interpolate", whole, multiplier=1)["clip"], host)
    assert torch.equal(made, images)
    assert stage("upscale", whole)["clip"].info.bars == (Bars(0, 6, 6),)


@pytest.mark.parametrize("kind", ["upscale", "interpolate"])
def test_excerpts_and_units_show_what_the_full_pull_shows(kind, letterboxed, host):
    clip, _ = letterboxed
    result = stage(kind, clip)["clip"]
    whole = frames(result, host)
    (some,) = select_frames([result], [1, 2, len(whole) - 1])
    assert torch.equal(frames(some, host), whole[[1, 2, -1]])
    parts = [excerpt([result], unit)[0] for unit in units([result], group=1)]
    assert len(parts) == 2 and torch.equal(torch.cat([frames(part, host) for part in parts]), whole)
    assert [part.info.bars for part in parts] == [
        (result.info.bars[0],),
        (result.info.bars[1]._replace(start=0),),
    ]


@pytest.mark.parametrize("top, bottom", [(17, 17), (35, 0), (0, 35)])
def test_a_picture_of_one_or_two_rows_has_stereo_from_a_much_smaller_depth(top, bottom, tensor_clip, host):
    clip = tensor_clip(barred(scene(3), top, bottom))
    clip.maker.info = clip.info.replace(bars=(Bars(0, top, bottom),))
    depth = tensor_clip(torch.rand(3, 3, 4, 1))
    made = apply(Plan("stereo", {}, "Stereo"), clip, depth)["clip"]
    assert frames(made, host).shape == (2, 3, HEIGHT, WIDTH, 3)
