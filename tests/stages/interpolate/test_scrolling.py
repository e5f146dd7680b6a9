"""Text that scrolls over a picture moves by its own speed between frames."""

import numpy as np
import pytest
import torch

from benchmarks.support import text_scenes
from benchmarks.support.scenes import Camera, street
from benchmarks.support.text_scenes import Overlay, credits, laid, lettered
from stereoreel.image.flow import grayscale
from stereoreel.stages.interpolate.projection import compose, measure, project

WIDTH, HEIGHT = 480, 270
pytestmark = pytest.mark.skipif(text_scenes.font_file() is None, reason="DejaVu Sans is not installed")


def news() -> Overlay:
    line = ("Breaking: the low tide came in at noon and the harbour is closed",)
    return Overlay(*lettered(line, 16.0, outline=1.0), (20.3, 229.5), (-3.3, 0.0))


def three(overlay: Overlay, camera: Camera) -> torch.Tensor:
    """Return a frame, the one in the middle, and the next."""
    frames = street(1, WIDTH, HEIGHT, camera=camera).clip(3, 0.5)[0]
    return laid(frames, [overlay], 2.0, 0.5)[0]


@pytest.mark.parametrize(("overlay", "camera", "speed"), [
    (credits(WIDTH, HEIGHT, 4.33, size=0.13), Camera(), (0, -4.33)),
    (credits(WIDTH, HEIGHT, 2.71, size=0.13), Camera(truck=(0.5, 2.5)), (0, -2.71)),
    (news(), Camera(truck=(3.0, 0.0)), (-3.3, 0)),
] if text_scenes.font_file() else [])  # fmt: skip
def test_speed_is_found_to_a_tenth_of_a_pixel(overlay, camera, speed):
    first, _, second = grayscale(three(overlay, camera))
    (layer,) = [one for one in measure(first, second, "medium").layers if any(one.speed)]
    np.testing.assert_allclose(layer.speed, speed, atol=0.1)


def errors(overlay: Overlay, camera: Camera, strokes: bool = False) -> tuple[float, float]:
    """Return the PSNR of the frame between two, or of the strokes in it, in dB, with and without layers."""
    frames = three(overlay, camera)
    shown = overlay.at(2.5, WIDTH, HEIGHT)[1] > 0.5 if strokes else slice(None)
    first, truth, second = frames.numpy()
    motion = measure(*grayscale(frames[[0, 2]]), "medium")
    made = (
        compose(first, second, project(motion._replace(layers=layers), 0.5)) for layers in (motion.layers, ())
    )
    with_layers, without = (-10 * float(np.log10(np.square(one - truth)[shown].mean())) for one in made)
    return with_layers, without


@pytest.mark.parametrize("camera", [Camera(), Camera(truck=(3.0, 0.0))])
def test_credits_between_frames_are_close_to_the_truth(camera):
    assert errors(credits(WIDTH, HEIGHT, 2.71, size=0.13), camera)[0] >= 35


def test_news_between_frames_does_not_follow_the_picture_behind_it():
    with_layers, without = errors(news(), Camera(truck=(3.0, 0.0)))
    assert with_layers >= 35 and with_layers > without + 6


@pytest.mark.parametrize("camera", [Camera(), Camera(truck=(3.0, 0.0)), Camera(pan=(-2.5, 0.4))])
@pytest.mark.parametrize(("size", "speed"), [(0.09, 4.33), (0.09, 7.2), (0.06, 4.33)])
def test_layers_make_credits_never_worse(size, speed, camera):
    overlay = credits(WIDTH, HEIGHT, speed, size=size)
    for strokes in (False, True):
        with_layers, without = errors(overlay, camera, strokes)
        assert with_layers >= without - 0.25


@pytest.mark.parametrize("camera", [Camera(truck=(3.0, 0.0)), Camera(pan=(-3.0, 0.0)), Camera()])
def test_nothing_scrolls_in_a_scene_without_text(camera):
    frames = street(1, WIDTH, HEIGHT, camera=camera).clip(2)[0]
    assert not [one for one in measure(*grayscale(frames), "medium").layers if any(one.speed)]
