"""An image opens as a clip of one frame and says so."""

import logging
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, ImageSequence

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


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, suffix, orientation):
    path, exif = tmp_path / f"photo.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    y, x = np.mgrid[0:32, 0:48]
    image = Image.fromarray(np.stack([5 * x, 7 * y, 0 * x + 99], -1).astype(np.uint8))
    image.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {"quality": 97}))
    [chunk] = stereoreel.frames(stereoreel.open(path))
    wanted = torch.from_numpy(np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB")))
    torch.testing.assert_close(chunk[0] * 255, wanted.float(), atol=4, rtol=0)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("P", "png"), ("1", "png"), ("RGB", "tiff"), ("L", "tiff"), ("CMYK", "tiff")]
    + [("RGB", "ppm"), ("L", "jpg"), ("RGB", "bmp"), ("RGB", "jp2")],
)
def test_every_kind_of_pixel_is_read_as_by_pillow(tmp_path, mode, suffix):
    path = tmp_path / f"photo.{suffix}"
    y, x = np.mgrid[0:32, 0:48]
    Image.fromarray(np.stack([5 * x, 7 * y, 0 * x + 99], -1).astype(np.uint8)).convert(mode).save(path)
    [chunk] = stereoreel.frames(stereoreel.open(path))
    wanted = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
    torch.testing.assert_close(chunk[0] * 255, wanted.float(), atol=2, rtol=0)


DELAYS = [100, 200, 100, 50, 100]


def noisy(count: int, alpha: bool) -> list[Image.Image]:
    levels = np.random.default_rng(3).integers(0, 256, (count, 20, 30, 4 if alpha else 3)).astype(np.uint8)
    return [Image.fromarray(frame) for frame in levels]


def composed(path) -> torch.Tensor:
    """Return the frames of an animated image as Pillow shows them, over black."""
    with Image.open(path) as image:
        frames = [frame.convert("RGBA") for frame in ImageSequence.Iterator(image)]
    black = Image.new("RGBA", frames[0].size, (0, 0, 0, 255))
    layers = [np.array(Image.alpha_composite(black, frame).convert("RGB")) for frame in frames]
    return torch.from_numpy(np.stack(layers)).float()


@pytest.mark.parametrize("suffix", ["webp", "apng", "gif", "avif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_animations_equal_pillow(tmp_path, suffix, alpha):
    path = tmp_path / f"moving.{suffix}"
    first, *others = noisy(5, alpha)
    how = {"webp": {"lossless": True, "exact": True}, "avif": {"quality": 100, "subsampling": "4:4:4"}}
    how |= {"apng": {"format": "PNG"}}
    delays = 100 if suffix == "avif" else DELAYS
    first.save(path, save_all=True, append_images=others, duration=delays, **how.get(suffix, {}))
    clip = stereoreel.open(path, cuts=False)
    frames = torch.cat(list(stereoreel.frames(clip)))
    assert clip.info.frames == 5 and frames.shape == (5, 20, 30, 3)
    if suffix == "avif":
        assert clip.info.fps == 10
    else:
        shown = [clip.info.time(frame) for frame in range(5)]
        assert shown == [Fraction(time, 1000) for time in (0, 100, 300, 400, 450)]
    if not (suffix == "avif" and alpha):  # its alpha is a stream of its own
        torch.testing.assert_close(frames * 255, composed(path), atol=6 if suffix == "avif" else 1, rtol=0)


@pytest.mark.parametrize("suffix", ["webp", "gif", "apng"])
def test_delays_of_zero_are_those_of_browsers(tmp_path, suffix):
    first, *others = noisy(4, False)
    how = {"format": "PNG"} if suffix == "apng" else {}
    first.save(tmp_path / f"fast.{suffix}", save_all=True, append_images=others, duration=0, **how)
    clip = stereoreel.open(tmp_path / f"fast.{suffix}", cuts=False)
    assert (clip.info.fps, clip.info.frames) == (10, 4)
    assert sum(len(chunk) for chunk in stereoreel.frames(clip)) == 4


def test_a_webp_is_read_from_its_middle_and_a_truncated_one_is_refused(tmp_path):
    path = tmp_path / "moving.webp"
    first, *others = noisy(5, False)
    first.save(path, save_all=True, append_images=others, duration=40, lossless=True)
    frames = torch.cat(list(stereoreel.frames(stereoreel.open(path, start=0.1, cuts=False))))
    torch.testing.assert_close(frames * 255, composed(path)[3:])
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(ValueError, match=r"moving\.webp has no frame .* Check that the file is complete"):
        stereoreel.open(path)


def test_the_packs_own_webp_is_read(tmp_path):
    clip = stereoreel.open("sample", duration=0.5, max_side=64)
    path = stereoreel.write(clip, tmp_path / "loop.webp")[0]
    again = stereoreel.open(path, cuts=False)
    assert (again.info.frames, again.info.fps) == (clip.info.frames, clip.info.fps)
