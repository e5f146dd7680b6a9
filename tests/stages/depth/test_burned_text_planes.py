"""Depth under burned-in text is flat, whatever the model."""

import dataclasses
from fractions import Fraction
from functools import lru_cache

import pytest
import torch

from benchmarks.support import text_scenes
from benchmarks.support.scenes import street
from benchmarks.support.text_scenes import Exact, laid, subtitle
from stereoreel.core.clip import ClipInfo, Shot, apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.partition import LEAD
from stereoreel.core.pull import frames as pull_frames
from stereoreel.image.burned_text.finder import lookahead
from stereoreel.models import catalog
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.depth.burned_text import BEFORE, TextMask, TextPlanes

WIDTH, HEIGHT, FRAMES = 480, 270, 24
INFO = ClipInfo(WIDTH, HEIGHT, Fraction(25), FRAMES)
pytestmark = pytest.mark.skipif(text_scenes.font_file() is None, reason="DejaVu Sans is not installed")


@lru_cache(maxsize=1)
def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return frames with a subtitle in frames 3 to 21, its opacity, and the depth beneath."""
    frames, depth = text_scenes.moving(1, "sideways", FRAMES)
    return *laid(frames, [subtitle(WIDTH, HEIGHT, first=3, last=22)]), depth


def flattened(depth: torch.Tensor, chunk: int = 7, invert: bool = False, shot=None) -> torch.Tensor:
    stage = TextPlanes(Exact(depth), invert)
    return torch.cat(list(stage(shot or Shot(0, INFO), iter(scene()[0].split(chunk)))))


def test_strokes_lie_on_one_plane_in_front_of_what_they_cover():
    _, opacity, depth = scene()
    made, levels = flattened(depth), []
    for place in range(3, 22):
        strokes = made[place, ..., 0][opacity[place] > 0.5]
        levels.append(strokes.median())
        # pixels of parallax at a divergence of 2 %
        assert ((strokes - levels[-1]).abs() * 0.02 * WIDTH <= 0.1).float().mean() >= 0.95
        beneath = depth[place, ..., 0][opacity[place] > 0.5]
        assert (beneath <= levels[-1]).float().mean() >= 0.95
        assert levels[-1] <= depth[:, 190:, 80:400].max() + BEFORE + 1e-5  # of the lines' surroundings
    assert max(levels) - min(levels) < 0.02


def test_depth_without_text_is_that_of_the_model():
    depth = scene()[2]
    made = flattened(depth)
    for place in (0, 2, 22, 23):
        assert torch.equal(made[place], depth[place])
    assert torch.equal(made[:, :150], depth[:, :150])


def test_chunks_do_not_matter():
    depth = scene()[2]
    assert torch.equal(flattened(depth, 1), flattened(depth, FRAMES))


def test_inverted_depth_has_the_same_planes():
    depth = scene()[2]
    torch.testing.assert_close(1 - flattened(1 - depth, invert=True), flattened(depth), atol=1e-5, rtol=0)


def test_live_depth_does_not_wait_for_text():
    depth = scene()[2]
    shot = Shot(0, INFO, lambda: False)
    assert torch.equal(flattened(depth, shot=shot), depth)


@pytest.mark.parametrize("frame", [(WIDTH, HEIGHT + 60), (WIDTH + 80, HEIGHT)])
def test_text_at_the_edge_of_the_picture_lies_on_one_plane_next_to_bars_only(frame):
    depth = scene()[2]
    images, _ = text_scenes.moving(1, "sideways", FRAMES)
    text = subtitle(WIDTH, HEIGHT)
    at_the_side = frame[0] > WIDTH
    place = (
        (-2.7, 180.4)
        if at_the_side
        else (text.place[0], HEIGHT - text.opacity.shape[0] / text_scenes.FINE + 6.4)
    )
    made, opacity = laid(images, [dataclasses.replace(text, place=place)])
    planes = []
    for shot in (Shot(0, INFO, frame=frame), Shot(0, INFO)):
        flat = torch.cat(list(TextPlanes(Exact(depth), False)(shot, iter(made.split(7)))))[10, ..., 0]
        strokes = flat[opacity[10] > 0.5]
        planes.append(((strokes - strokes.median()).abs() * 0.02 * WIDTH <= 0.1).float().mean())
    assert planes[0] >= 0.95 > planes[1]


class Repeated:
    """A depth model that needs memory, and repeats some maps."""

    joint, nets = False, ()

    def __init__(self, maps):
        self.maps = maps

    def memory(self, info):
        return 1000

    def __call__(self, shot, frames):
        for place, _ in enumerate(frames):
            yield self.maps[place % len(self.maps)].clone()[None]


@pytest.mark.parametrize(("fps", "width", "height", "off"), [
    (5, 64, 36, 0.0), (25, 64, 36, 0.0), (60, 64, 36, 0.0), (25, 2048, 1028, 1 / 65535),
])  # fmt: skip
def test_memory_counts_the_depth_that_waits(fps, width, height, off):
    info, maps, held = ClipInfo(width, height, Fraction(fps), 56), torch.rand(3, height, width, 1), []
    stage = TextPlanes(Repeated(maps), False)
    work = stage(Shot(0, info), (torch.zeros(1, height, width, 3) for _ in range(lookahead(fps) + 20)))
    for place, depth in enumerate(work):
        held.append(sum(one.nbytes for one in work.gi_frame.f_locals["depths"]))
        assert (depth[0] - maps[place % 3]).abs().max() <= off
    assert len(held) == lookahead(fps) + 20
    assert max(held) <= stage.memory(info) - 1000 < 1.2 * max(held)
    assert stage.memory(info, info) == stage.memory(info)  # of a mask


def test_option_off_leaves_the_model_alone():
    host = Headless("cpu")
    assert isinstance(catalog.load("depth", "builtin", host), TextPlanes)
    assert not isinstance(catalog.load("depth", "builtin", host, burned_text="off"), TextPlanes)


def test_mask_is_white_on_text():
    frames, opacity, _ = scene()
    mask = torch.cat(list(TextMask()(Shot(0, INFO), iter(frames.split(5)))))[..., 0] > 0.5
    truth = opacity > 0.5
    assert (mask & truth).sum() / (mask | truth).sum() >= 0.8 and mask.shape == (FRAMES, HEIGHT, WIDTH)


@pytest.mark.parametrize("slower", [1, 2])
def test_excerpt_shows_the_text_of_its_last_frame(slower, tensor_clip, host):
    """The frames before it that show that it is text depend on the rate."""
    images, opacity, _ = scene()
    text = apply(TextMask(), tensor_clip(images.repeat_interleave(slower, 0), fps=25 * slower))["clip"]
    seen = pull_frames(select_frames([text], [22 * slower - 1])[0], host)[0, ..., 0] > 0.5
    truth = opacity[21] > 0.5
    assert (seen & truth).sum() / (seen | truth).sum() >= 0.8


@lru_cache(maxsize=1)
def passing() -> torch.Tensor:
    """Return 110 frames of a still that passes by."""
    wide = street(1, 560, 180).clip(1)[0][0]
    return torch.stack([wide[:, 2 * place : 2 * place + 320] for place in range(110)])


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60, 120])
def test_text_next_to_the_edge_of_an_excerpt_or_a_part_is_flat_at_every_rate(fps):
    begins, edge = 51, 52
    frames, opacity = laid(passing(), [subtitle(320, 180, first=begins)])
    info = ClipInfo(320, 180, Fraction(fps), len(frames))
    depth = torch.linspace(0, 0.5, 180)[:, None, None].expand(len(frames), 180, 320, 1)

    def texts(start: int, stop: int) -> torch.Tensor:
        """Return where depth is flat in the frames ``[start, stop)``, computed from them alone."""
        stage = TextPlanes(Exact(depth[start:stop]), False)
        shot = Shot(0, info.replace(frames=stop - start))
        made = torch.cat(list(stage(shot, iter(frames[start:stop].split(8)))))
        return (made != depth[start:stop])[..., 0]

    whole = texts(0, len(frames))
    assert not whole[:begins].any() and whole[begins][opacity[begins] > 0.5].float().mean() > 0.9
    before, after = Plan("depth", {"model": "builtin"}, "Depth").context(info)
    for place, first, last in (
        (begins, begins - before, begins + after + 1),  # an excerpt
        (begins, 0, edge + LEAD),  # the part before the edge, whose last frame shows the text first
        (edge, edge - LEAD, len(frames)),  # the part after it
    ):
        made = texts(first, last)[place - first]
        shared = (made & whole[place]).sum() / (made | whole[place]).sum()
        assert shared >= 0.9, (place, first, last)
