"""An image opens as a clip of one frame and says so."""

import logging
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

import stereoreel
from stereoreel.media.open import one_frame
from stereoreel.media.read.probe import probe
from tests.support.media_files import write_video

SAID = "is an image, so the clip has one frame. Choose a video for more."


def pixels(count: int = 1) -> list[Image.Image]:
    """Grey frames that no format changes much."""
    return [Image.new("RGB", (64, 48), (100 + 20 * number,) * 3) for number in range(count)]


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "gif", "bmp"])
def test_an_image_becomes_one_frame_and_says_so(tmp_path, caplog, suffix):
    path = tmp_path / f"photo.{suffix}"
    pixels()[0].save(path)
    with caplog.at_level(logging.WARNING):
        clip = stereoreel.open(path)
    assert caplog.messages == [f"photo.{suffix} {SAID}"]
    [chunk] = stereoreel.frames(clip)
    assert (clip.info.frames, clip.info.width, clip.info.height) == (1, 64, 48)
    torch.testing.assert_close(chunk, torch.full((1, 48, 64, 3), 100 / 255), atol=0.02, rtol=0)


def test_an_animated_image_and_a_video_say_nothing(tmp_path, caplog):
    first, *others = pixels(3)
    first.save(tmp_path / "moving.gif", save_all=True, append_images=others, duration=100)
    write_video(tmp_path / "one.mp4", np.zeros((1, 48, 64, 3), np.uint8), Fraction(25))
    with caplog.at_level(logging.WARNING):
        assert stereoreel.open(tmp_path / "moving.gif").info.frames == 3
        assert stereoreel.open(tmp_path / "one.mp4").info.frames == 1
    assert not caplog.messages and one_frame(probe(tmp_path / "one.mp4")) == ""
