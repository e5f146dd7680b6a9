"""Text that is half on a bar stays whole: both eyes show its letters as the film does."""

from functools import lru_cache

import pytest
import torch

from benchmarks.support import text_scenes
from benchmarks.support.text_scenes import FINE, Overlay, laid, subtitle
from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.options import resolve
from stereoreel.core.partition import excerpt, units
from stereoreel.core.pull import frames, pull
from stereoreel.core.tensor_source import TensorSource
from stereoreel.stages.stereo.bar_text import BarText
from stereoreel.viewing import comfort
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID

WIDTH, HEIGHT, COUNT = 320, 180, 18
FIRST, LAST = 3, 15  # frames that show the text
BARS = {
    "letterbox": Bars(0, 24, 24),
    "pillarbox": Bars(0, 0, 0, 40, 40),
    "window": Bars(0, 20, 20, 24, 24),
}
BLACK = 16 / 255
pytestmark = pytest.mark.skipif(text_scenes.font_file() is None, reason="DejaVu Sans is not installed")


@lru_cache(maxsize=1)
def moving():
    return text_scenes.moving(1, "sideways", COUNT, WIDTH, HEIGHT)


def scene():
    images, depth = moving()
    return images.clone(), depth


@lru_cache(maxsize=8)
def film(around: str, kind: str = "outlined", speed: float = 0.0):
    """Return frames with a subtitle over the edge of a bar, its letters ``[T, H, W]``, and the depth."""
    bars = BARS[around]
    images, depth = scene()
    for bar in _parts(images, bars):
        bar.fill_(BLACK)
    text = subtitle(WIDTH, HEIGHT, "Latin", kind)
    x, y = text.place
    if around == "pillarbox":
        x = bars.left - 30.7
    else:
        y = HEIGHT - bars.bottom - text.opacity.shape[0] / FINE / 2 - 9.6
    over = Overlay(text.grey, text.opacity, (x, y), (speed, 0.0), FIRST, LAST)
    made, opacity = laid(images, [over])
    return made, (opacity > 0.95) & (made[..., 0] > 0.6), depth


def _parts(images, bars):
    """Return views of the bars of frames."""
    return [part for part in (
        images[:, : bars.top], images[:, HEIGHT - bars.bottom :] if bars.bottom else images[:, :0],
        images[:, :, : bars.left], images[:, :, WIDTH - bars.right :] if bars.right else images[:, :, :0],
    ) if part.numel()]  # fmt: skip


def clip_of(images, bars=None):
    source = TensorSource(images, 25, cuts=False, label="Frames")
    source.info = source.info.replace(bars=() if bars is None else (bars,))
    return Clip(source)


def pair_of(around, images, depth, **options):
    inputs = {"clip": clip_of(images, BARS[around]), "depth": clip_of(depth)}
    return build.stage(BY_ID["StereoReelStereo"], inputs, options, "")


def changed(pair, images, letters):
    """Return the share of the letters' pixels that either eye shows otherwise than the film."""
    apart = (pair - images).abs().amax(-1) > 0.02
    return float((apart & letters).sum() / (2 * letters.sum()))


@pytest.mark.parametrize(("around", "near", "options"), [
    ("letterbox", 0.0, {}), ("letterbox", 1.0, {}), ("letterbox", 0.5, {"view": "left"}),
    ("letterbox", 0.0, {"strength": "strong"}), ("letterbox", 1.0, {"fill": "inpaint"}),
    ("pillarbox", 0.0, {"floating_window": True}), ("pillarbox", 1.0, {"swap_eyes": True}),
    ("pillarbox", 0.0, {"strength": "strong", "floating_window": True}),
    ("pillarbox", 0.0, {"view": "right"}),
    ("window", 0.0, {"fill": "inpaint", "floating_window": True}), ("window", 1.0, {}),
])  # fmt: skip
def test_letters_are_equal_in_both_eyes(around, near, options, host):
    images, letters, depth = film(around)
    hand = {"divergence": 4.0, "convergence_mode": "fixed", "convergence": near}
    if "strength" in options:
        options = {**options, "plan": f"0,4,{near}"}
    made = pair_of(around, images, depth, **{**hand, **options})
    pair = frames(made["clip"], host)
    assert changed(pair, images, letters) <= 0.005
    untreated = frames(apply(made["clip"].maker.recipe, *made["clip"].maker.inputs[:2])["clip"], host)
    assert changed(untreated, images, letters) > 0.05
    # a floating window follows slowly
    for frame in range(FIRST) if "floating_window" in options else (0, FIRST - 1, LAST, COUNT - 1):
        assert torch.equal(pair[:, frame], untreated[:, frame])


@pytest.mark.parametrize("kind", ["plain", "boxed", "shaded"])
def test_all_looks_are_held_while_they_show(kind, host):
    images, letters, _ = film("letterbox", kind)
    places = frames(apply(BarText(), clip_of(images, BARS["letterbox"]))["clip"], host)[..., 0]
    inside = letters.clone()
    for bar in _parts(inside[..., None], BARS["letterbox"]):
        bar.fill_(False)
    assert (places[inside] == 1).float().mean() >= 0.99
    assert not places[:FIRST].any() and not places[LAST:].any()
    assert torch.equal(places[FIRST : LAST - 1], places[FIRST + 1 : LAST])  # calm


def test_chunks_do_not_matter(host):
    images, _, depth = film("letterbox")
    made = [
        torch.cat([chunk for (chunk,) in pull(pair_of("letterbox", images, depth)["clip"], host, size)], 1)
        for size in (1, 7, COUNT)
    ]
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])


def test_units_show_what_the_full_pull_shows(host):
    images, _, depth = film("letterbox")
    clip = clip_of(images, BARS["letterbox"])
    clip.maker.info = clip.info.replace(cuts=(9,))
    made = build.stage(BY_ID["StereoReelStereo"], {"clip": clip, "depth": clip_of(depth)}, {}, "")["clip"]
    whole = frames(made, host)
    parts = [excerpt([made], unit)[0] for unit in units([made], group=1)]
    assert len(parts) == 2 and torch.equal(torch.cat([frames(part, host) for part in parts], 1), whole)


def test_excerpt_holds_the_text_of_its_last_frame(host):
    images, _, _ = film("letterbox")
    text = apply(BarText(), clip_of(images, BARS["letterbox"]))["clip"]
    seen = frames(select_frames([text], [LAST - 1])[0], host)
    assert seen.any() and torch.equal(seen[0], frames(text, host)[LAST - 1])


@pytest.mark.parametrize("what", ["no text", "in the bar", "in the picture", "scrolling"])
def test_nothing_else_is_held(what, host):
    bars = BARS["letterbox"]
    images, _, _ = film("letterbox", speed=2.5 if what == "scrolling" else 0.0)
    images = images.clone()
    if what != "scrolling":
        plain, _ = scene()
        for bar in _parts(plain, bars):
            bar.fill_(BLACK)
        text = subtitle(WIDTH, HEIGHT)
        line = text.opacity[: text.opacity.shape[0] // 2], text.grey[: text.opacity.shape[0] // 2]
        y = {"no text": -1000.0, "in the bar": HEIGHT - 15.5, "in the picture": 110.0}[what]
        images, _ = laid(plain, [Overlay(line[1], line[0], (text.place[0], y))])
    assert not frames(apply(BarText(), clip_of(images, bars))["clip"], host).any()


def test_comfort_counts_the_picture_around_text_as_it_is_rendered(host):
    """It bends towards the screen there, so that not all of it is equally far."""
    images, _, depth = film("letterbox")

    def nearest(images):
        pair = pair_of(
            "letterbox",
            images,
            torch.zeros_like(depth),
            divergence=4.0,
            convergence_mode="fixed",
            convergence=1.0,
        )["clip"]
        found = comfort.report(pair, resolve(comfort.OPTIONS, {"samples": 0}), host, "Comfort").figures
        return [moment[-1] for moment in found["worst"]["moments"]]

    shown, without = nearest(images), nearest(scene()[0])
    assert without == pytest.approx([min(without)] * COUNT) and without[0] < 0
    assert all(
        (there > 0.9 * away) == (FIRST <= frame < LAST)
        for frame, (there, away) in enumerate(zip(shown, without))
    )
