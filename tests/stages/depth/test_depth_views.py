"""Depth for viewers: colours, the histogram and its line; nothing is drawn unless it is read."""

from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import Clip, ClipInfo, Shot, apply
from stereoreel.core.pull import frames, pull
from stereoreel.sample import clip as sample
from stereoreel.stages.depth import views
from stereoreel.stages.depth.views import (
    BAR,
    BEFORE,
    BEHIND,
    BOTTOM,
    INK,
    LEFT,
    RIGHT,
    TOP,
    Colors,
    Histogram,
    column,
)
from stereoreel.stages.stereo.parallax import ScreenPlane
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID

DEPTH = BY_ID["StereoReelDepth"]
LIGHT = torch.tensor([0.2126, 0.7152, 0.0722])  # luma of BT.709
SMALL = ClipInfo(60, 40, Fraction(25), 6, channels=1)


def run(view, depth: torch.Tensor, start: int = 0, chunk: int = 2) -> torch.Tensor:
    return torch.cat(list(view(Shot(start, SMALL), iter(depth.split(chunk, dim=-4)))))


def histogram(depth: torch.Tensor, **options) -> torch.Tensor:
    """Return the drawing for one frame ``[H, W]``, as integers."""
    return run(Histogram(ScreenPlane, **options), depth[None, ..., None])[0].mul(255).round().int()


def two_levels(low: float, high: float, share: float) -> torch.Tensor:
    """Return a frame of which ``share`` is at ``high``."""
    frame = torch.full((40, 60), low)
    frame.view(-1)[: round(share * frame.numel())] = high
    return frame


def is_color(picture: torch.Tensor, color: tuple) -> torch.Tensor:
    return (picture == torch.tensor(color)).all(-1)


def bars(picture: torch.Tensor) -> dict[int, int]:
    """Return the heights in pixels of the bars that exist, by place."""
    plot = picture[TOP:BOTTOM, LEFT:RIGHT]
    drawn = (is_color(plot, BEHIND) | is_color(plot, BEFORE)).sum(0)
    # the line may hide a part of one
    return {bar: int(height) for bar, height in enumerate(drawn.view(-1, BAR).amax(1)) if height}


def line(picture: torch.Tensor) -> float:
    """Return the depth at which the plane is marked."""
    place = (
        is_color(picture[TOP - 20 : BOTTOM - 1, LEFT - 2 : RIGHT + 2], INK).all(0).nonzero().float().mean()
        + LEFT
        - 1.5
    )
    return float((place - LEFT) / (RIGHT - LEFT))


def words(depth: torch.Tensor) -> str:
    return views.measure(depth, ScreenPlane(25.0)).words()


def test_colours_are_brighter_for_nearer_depth_and_end_warm():
    ramp = torch.linspace(0, 1, 1001).view(1, 1, -1, 1)
    colors = run(Colors(), ramp)[0, 0]
    light = colors @ LIGHT
    assert (light.diff() > -1e-3).all() and light[0] < 0.01 and light[-1] > 0.9
    assert colors[800, 0] > 3 * colors[800, 2], "near is warm"
    assert colors.diff(dim=0).abs().max() < 0.01, "no steps in a smooth depth"


def test_colours_are_opencvs():
    cv2 = pytest.importorskip("cv2")
    grey = torch.arange(256, dtype=torch.uint8).view(1, -1)
    expected = torch.from_numpy(cv2.applyColorMap(grey.numpy(), cv2.COLORMAP_INFERNO)[..., ::-1].copy())
    assert torch.equal(run(Colors(), grey[None, ..., None] / 255)[0].mul(255).round().byte(), expected)


def test_colours_of_two_views_inverted_depth_and_nan():
    depth = torch.rand(2, 6, 40, 60, 1)
    both = torch.cat(list(Colors()(Shot(0, SMALL), iter([depth]))), 1)
    assert both.shape == (2, 6, 40, 60, 3) and torch.equal(both[1], run(Colors(), depth[1]))
    torch.testing.assert_close(run(Colors(inverted=True), 1 - depth[0]), both[0], atol=2e-3, rtol=0)
    broken = depth[0].clone()
    broken[0, 0, 0], broken[0, 0, 1] = float("nan"), float("inf")
    colors = run(Colors(), broken)
    assert colors.isfinite().all() and colors[0, 0, 0].max() < 0.1 and colors[0, 0, 1].min() > 0.5


def test_bars_are_at_their_depth_and_the_line_between_them():
    picture = histogram(two_levels(0.2, 0.7, 0.36))
    found = bars(picture)
    assert list(found) == [int(0.2 * views.BARS), int(0.7 * views.BARS)]
    low, high = found.values()
    assert low == BOTTOM - TOP and high / low == pytest.approx((0.36 / 0.64) ** 0.5, abs=0.01)
    assert line(picture) == pytest.approx(0.45, abs=0.002)
    before = is_color(picture[TOP:BOTTOM], BEFORE).any(0).nonzero()
    assert before.min() > column(0.45) and is_color(picture[TOP:BOTTOM], BEHIND).any(
        0
    ).nonzero().max() < column(0.45)


def test_ends_of_the_range_are_drawn():
    assert list(bars(histogram(two_levels(0.0, 1.0, 0.5)))) == [0, views.BARS - 1]
    assert list(bars(histogram(torch.full((40, 60), 0.5)))) == [views.BARS // 2]


def test_captions_are_correct():
    frame = torch.linspace(0, 1, 2400).view(40, 60)
    assert words(frame) == "nearest 2 %: 0.98 · farthest 2 %: 0.02 · 50 % of the image in front of the screen"
    assert words(two_levels(0.25, 0.75, 0.1)).startswith("nearest 2 %: 0.75 · farthest 2 %: 0.25 · 10 % of")
    assert words(two_levels(0.25, 0.75, 0.01)).startswith(
        "nearest 2 %: 0.25 · farthest 2 %: 0.25 · 1 % of"
    ), "a speck is not the near end"


def test_nan_pixels_are_excluded_and_reported():
    frame = two_levels(0.2, 0.7, 0.36)
    frame = torch.cat([frame, torch.full_like(frame, float("nan"))])
    assert words(frame).endswith("36 % of the image in front of the screen · 50 % is unknown")
    assert bars(histogram(frame)) == bars(histogram(frame[:40]))
    assert "unknown" in words(torch.full((4, 4), float("nan"))) and not bars(
        histogram(torch.full((4, 4), float("nan")))
    )


def test_inverted_depth_gives_the_same_histogram():
    frame = two_levels(0.21, 0.72, 0.36)
    one, other = histogram(frame), histogram(1 - frame, inverted=True)
    assert list(bars(one)) == list(bars(other)) and line(one) == pytest.approx(line(other), abs=0.002)


def test_line_marks_the_zero_parallax_plane(tensor_clip, host):
    """With a single level of depth the plane is there; it moves slowly within a shot."""
    levels = torch.tensor([0.2, 0.2, 0.6, 0.6, 0.6, 0.6])
    depth = tensor_clip(levels.view(-1, 1, 1, 1).expand(-1, 40, 60, 1).contiguous(), cuts=(2,))
    pictures = frames(apply(Histogram(ScreenPlane), depth)["clip"], host).mul(255).round().int()
    assert [round(line(picture), 2) for picture in pictures] == [0.2, 0.2, 0.6, 0.6, 0.6, 0.6], (
        "each shot starts from its own plane"
    )
    drifting = tensor_clip(levels.view(-1, 1, 1, 1).expand(-1, 40, 60, 1).contiguous())
    pictures = frames(apply(Histogram(ScreenPlane), drifting)["clip"], host).mul(255).round().int()
    screen = ScreenPlane(25.0)
    expected = [float(screen.follow(level.expand(40, 60))) for level in levels]
    assert [line(picture) for picture in pictures] == pytest.approx(expected, abs=0.002)
    assert expected[-1] < 0.3


def test_views_do_not_depend_on_chunks_and_two_views_are_joined():
    depth = torch.rand(6, 40, 60, 1)
    view = Histogram(ScreenPlane)
    assert torch.equal(run(view, depth, chunk=1), run(view, depth, chunk=5))
    pair = depth.unflatten(2, (2, 30)).permute(2, 0, 1, 3, 4)
    assert run(view, pair).shape == (6, views.HEIGHT, views.WIDTH, 3)
    assert bars(run(view, pair)[3].mul(255).round().int()) == bars(run(view, depth)[3].mul(255).round().int())


def view_clips(clip: Clip, **options) -> dict:
    return build.stage(DEPTH, {"clip": clip}, {"model": "builtin", **options}, "5")


def test_node_outputs_both_views_and_unchanged_depth(tensor_clip, host):
    clip = tensor_clip(frames=6, cuts=(3,))
    outputs = view_clips(clip)
    names = ["depth", "colors", "histogram", "text"]
    assert list(outputs) == [socket.name for socket in DEPTH.outputs] == names
    infos = {
        name: (one.info.width, one.info.height, one.info.channels, one.info.frames, one.info.cuts)
        for name, one in outputs.items()
    }
    assert infos == {
        "depth": (48, 32, 1, 6, (3,)),
        "colors": (48, 32, 3, 6, (3,)),
        "histogram": (960, 540, 3, 6, (3,)),
        "text": (48, 32, 1, 6, (3,)),
    }
    alone = frames(outputs["depth"], host)
    together = [torch.cat(chunks) for chunks in zip(*pull(list(outputs.values()), host))]
    assert torch.equal(alone, together[0]) and torch.equal(together[1], run(Colors(), alone))
    inverted = view_clips(clip, invert="true")
    torch.testing.assert_close(frames(inverted["colors"], host), together[1], atol=3e-3, rtol=0)


def test_depth_is_estimated_once_for_all_outputs(tensor_clip, host):
    """The frames are read once; a second estimate would read them again."""
    clip = tensor_clip(frames=6)
    read, source = [], clip.maker.chunks

    def counting(*given):
        for chunk in source(*given):
            read.append(len(chunk))
            yield chunk

    clip.maker.chunks = counting
    list(pull(list(view_clips(clip).values()), host))
    assert sum(read) == 6


def test_unread_views_are_not_drawn(tensor_clip, host, monkeypatch):
    from PIL import ImageDraw

    def refuse(*given):
        raise AssertionError("a histogram was drawn")

    monkeypatch.setattr(ImageDraw, "Draw", refuse)
    outputs = view_clips(tensor_clip(frames=3))
    frames(outputs["depth"], host)
    frames(outputs["colors"], host)
    with pytest.raises(AssertionError, match="was drawn"):
        frames(outputs["histogram"], host)


def test_depth_of_the_sample():
    """The pillar in front is nearest, the sky farthest."""
    _, depth = sample.render(10, 160, 90)
    colors = run(Colors(), depth[None])[0]
    assert (
        colors[2, 5].max() < 0.02
        and (colors @ LIGHT).flatten()[depth.argmax()] > (colors @ LIGHT).max() - 0.01
    )
    assert words(depth[..., 0]).split(" · ")[1] == "farthest 2 %: 0.00"
