"""Hole filling, against scenes with exact views at every time."""

from fractions import Fraction

import pytest
import torch

from benchmarks.support.scenes import Camera, Layer, Scene, Texture, street
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.models.headless import Headless
from stereoreel.stages import stereo
from stereoreel.stages.stereo import builtin
from stereoreel.stages.stereo.temporal import REACH

WIDTH, HEIGHT = 320, 180


def stage(fill, **options):
    options = {"divergence": 3.0, "convergence_mode": "fixed", "convergence": 0.0, "fill": fill, **options}
    return builtin.load(None, resolve(stereo.OPTIONS, options), Headless("cpu"))


def pair(frames, depth, fill, chunk=None, **options):
    """Return clip and both masks of a shot passed in ``chunk`` frames at a time."""
    shot = Shot(0, ClipInfo(frames.shape[2], frames.shape[1], Fraction(25), len(frames), frames.shape[3]))
    size = chunk or len(frames)
    made = list(stage(fill, **options)(shot, iter(frames.split(size)), iter(depth.split(size))))
    return [torch.cat([piece[port] for piece in made], -4) for port in ("clip", "left_holes", "right_holes")]


def walker(frames=16):
    """Return a scene of a still camera, a still wall and a box that moves by 3 pixels a frame."""
    wall = Layer("plane", 0.1, Texture(1), (WIDTH / 2, HEIGHT / 2))
    box = Layer("box", 0.8, Texture(2), (120, 90), (30, 50), velocity=(3.0, 0.0))
    scene = Scene(WIDTH, HEIGHT, (wall, box), divergence=3.0)
    return scene, *scene.clip(frames)


def revealed(scene, eye, t, frames):
    """Return the holes of a view that a frame within reach shows."""
    shown = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for other in range(max(0, t - REACH), min(frames, t + REACH + 1)):
        shown |= scene.trace(t, eye, other, 0.0)[2]
    return shown & scene.holes(eye, t)


@pytest.mark.parametrize(
    "camera",
    [Camera(truck=(3.0, 0.0)), Camera(truck=(-2.0, 0.5), pan=(1.5, 0.0), zoom=1.003)],
    ids=["truck", "all"],
)
def test_temporal_fill_gains_3_db(camera):
    scene = street(2, WIDTH, HEIGHT, camera=camera, divergence=6.0)
    frames, depth = scene.clip(14)
    (stretched, *holes), (inpainted, *_) = (
        pair(frames, depth, fill, divergence=6.0) for fill in ("stretch", "inpaint")
    )
    for index, eye in enumerate((0.5, -0.5)):
        for t in (3, 9):
            truth, where = (
                scene.render(t, eye).image,
                revealed(scene, eye, t, 14) & (holes[index][t, ..., 0] > 0),
            )
            assert where.sum() > 500
            assert psnr(inpainted[index, t], truth, where) > psnr(stretched[index, t], truth, where) + 3


def test_only_holes_change():
    _, frames, depth = walker(10)
    plain, *masks = pair(frames, depth, "stretch")
    for fill in ("blend", "inpaint", "background"):
        clip, *same = pair(frames, depth, fill)
        assert all(torch.equal(*both) for both in zip(masks, same))
        kept = (torch.stack(masks) == 0).expand_as(clip)
        assert torch.equal(clip[kept], plain[kept]) and not torch.equal(clip, plain)


def test_nothing_is_filled_if_nothing_is_revealed():
    scene = street(3, WIDTH, HEIGHT, divergence=3.0)
    frames, depth = (part.expand(6, -1, -1, -1) for part in scene.clip(1))
    for inpainted, continued in zip(pair(frames, depth, "inpaint"), pair(frames, depth, "background")):
        assert torch.equal(inpainted, continued)


def test_frames_of_other_brightness_are_not_used():
    _, frames, depth = walker(4)
    lit = frames * 0.4 + torch.tensor([0.4, 0.0, 0.6, 0.2]).view(4, 1, 1, 1)
    for light, taken in ((frames, True), (lit, False)):
        inpainted, continued = (pair(light, depth, fill)[0] for fill in ("inpaint", "background"))
        assert torch.equal(inpainted, continued) != taken


def test_fill_is_stable_on_a_still_background():
    _, frames, depth = walker(14)
    found = {}
    for fill in ("stretch", "inpaint"):
        clip, left, _ = pair(frames, depth, fill, view="left")
        inside = (left[1:] > 0) & (left[:-1] > 0)  # holes in two frames running
        # no later frame, and none at all, shows what the box and the frame's border hide
        inside[-4:], inside[:, :, :20] = False, False
        found[fill] = clip[0].diff(dim=0)[inside.expand(-1, -1, -1, 3)].square().mean().sqrt()
    assert found["inpaint"] < 0.01 < found["stretch"]


def test_blended_rows_streak_less_and_are_as_accurate():
    scene = street(2, WIDTH, HEIGHT, divergence=6.0)
    frames, depth = scene.clip(1)
    (stretched, *_), (blended, left, _) = (
        pair(frames, depth, fill, divergence=6.0, view="left") for fill in ("stretch", "blend")
    )
    below = (left[0, 1:, :, 0] > 0) & (left[0, :-1, :, 0] > 0)
    rough = [clip[0, 0].diff(dim=0)[below].abs().mean() for clip in (stretched, blended)]
    assert rough[1] < 0.9 * rough[0]
    truth, hidden = scene.render(eye=1.0).image, scene.holes(1.0)
    assert psnr(blended[0, 0], truth, hidden) > psnr(stretched[0, 0], truth, hidden)


def test_background_is_calmer_than_the_other_fills_and_not_less_accurate():
    scores = {}
    for fill in ("stretch", "blend", "background"):
        errors, flicker = [], []
        for seed in (1, 3, 4, 5):
            scene = street(seed, WIDTH, HEIGHT, camera=Camera(truck=(2.0, 0.3)), divergence=6.0)
            frames, depth = scene.clip(3)
            _, right = pair(frames, depth, fill, divergence=6.0, view="right")[0]
            truth = torch.stack([scene.render(t, -1.0).image for t in range(3)])
            hidden = torch.stack([scene.holes(-1.0, t) for t in range(3)])
            errors.append((right - truth)[hidden].square().mean())
            both = hidden[1:] & hidden[:-1]
            flicker.append((right.diff(dim=0) - truth.diff(dim=0))[both].square().mean())
        scores[fill] = torch.stack([torch.stack(errors).mean(), torch.stack(flicker).mean()])
    (stretch, blend, background) = scores.values()
    assert background[0] < 1.02 * blend[0] and background[0] < stretch[0], scores
    assert background[1] < 0.95 * blend[1], scores


def test_no_foreground_is_in_the_background():
    """A green box before a wall of red and blue shades: nothing green appears in its holes."""
    wall = torch.rand(64, 96, 3, generator=torch.Generator().manual_seed(2))
    wall[..., 1] = 0
    depth = torch.zeros(64, 96, 1)
    depth[16:48, 40:60] = 1
    frames = torch.where(depth > 0, torch.tensor([0.0, 1.0, 0.0]), wall)
    clip, left, right = pair(frames[None], depth[None], "background", divergence=10.0)
    for view, holes in zip(clip[:, 0], (left[0], right[0])):
        hidden = holes[..., 0] > 0
        assert hidden.sum() > 100 and view[hidden][:, 1].max() < 0.1
        assert view[hidden][:, 0].min() > 0.05, "a mean of the wall, not black"


@pytest.mark.parametrize("size", [(90, 160), (37, 53)])
@pytest.mark.parametrize("view", ["left", "right"])
def test_compiled_background_equals_the_plain_one(monkeypatch, size, view):
    pytest.importorskip("numba")
    frames, depth = street(6, size[1], size[0], divergence=8.0).clip(1)
    clips = []
    for compiled in "01":
        monkeypatch.setenv("STEREOREEL_NUMBA", compiled)
        clips.append(pair(frames, depth, "background", divergence=8.0, view=view)[0])
    torch.testing.assert_close(*clips, rtol=0, atol=2e-6)


@pytest.mark.parametrize("fill", ["blend", "background"])
def test_fill_of_a_mirrored_scene_is_mirrored(fill):
    _, frames, depth = walker(2)
    (left, _), *_ = pair(frames, depth, fill)
    (_, right), *_ = pair(frames.flip(2), depth.flip(2), fill)
    torch.testing.assert_close(right.flip(2), left, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fill", ["blend", "inpaint", "background"])
@pytest.mark.parametrize("chunk", [1, 7])
def test_fills_do_not_depend_on_chunks(fill, chunk):
    scene = street(4, 96, 64, camera=Camera(truck=(3.0, 0.0)))
    frames, depth = scene.clip(16)
    whole, cut = (
        pair(frames, depth[:, ::2, ::2], fill, size, divergence=8.0, floating_window=True)
        for size in (None, chunk)
    )
    assert all(torch.equal(*both) for both in zip(whole, cut))


def test_latency_is_as_declared():
    frames, depth, taken = torch.rand(20, 30, 40, 3), torch.rand(20, 30, 40, 1), []
    counted = (taken.append(1) or frame for frame in frames.split(1))
    shot = Shot(0, ClipInfo(40, 30, Fraction(25), 20))
    for number, _ in enumerate(stage("inpaint")(shot, counted, iter(depth.split(1))), 1):
        assert len(taken) <= number + REACH <= number + 16
    assert number == 20


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 5), (20, 30)])
@pytest.mark.parametrize("fill", ["blend", "inpaint", "background"])
@pytest.mark.parametrize("channels", [3, 4])
def test_smallest_frames(size, fill, channels):
    frames, depth = torch.rand(3, *size, channels), torch.rand(3, *size, 1)
    clip, *_ = pair(frames.half(), depth.half(), fill, divergence=10.0)
    assert clip.shape == (2, 3, *size, channels) and clip.isfinite().all() and clip.dtype == torch.float16
