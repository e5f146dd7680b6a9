"""A circle stays round, whether pixels become square or keep their shape, in every container."""

import subprocess
import warnings
from fractions import Fraction

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
import torch

from stereoreel.core.clip import Clip, apply
from stereoreel.core.transforms import Fit, SquarePixels
from stereoreel.film import FilmSettings, film
from stereoreel.media.extract_options import ExtractOptions
from stereoreel.media.open import from_clip, open_file
from stereoreel.media.read.probe import probe
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.media.write.stream_copy import copy_video
from stereoreel.models.lazy_stage import Plan
from tests.media import workshop
from tests.support.encoded_files import settings

WIDTH, HEIGHT, RADIUS = 180, 144, 50
ASPECTS = {
    "8:9": Fraction(8, 9),
    "16:15": Fraction(16, 15),
    "10:11": Fraction(10, 11),
    "64:45": Fraction(64, 45),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return workshop.Workshop(tmp_path_factory.mktemp("shapes"))


def disc(shop, name: str, aspect: Fraction, frames: int = 6, *options):
    """Return a file whose pixels have a shape, with a disc that is round on the screen."""
    frame = np.full((HEIGHT, WIDTH, 3), 16, np.uint8)
    axes = round(RADIUS / float(aspect) * 8), RADIUS * 8
    cv2.ellipse(frame, (WIDTH * 4, HEIGHT * 4), axes, 0, 0, 360, (235, 235, 235), -1, cv2.LINE_AA, 3)
    path = shop.folder / name
    workshop.run(
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", 25, "-i", "pipe:"),
        *("-vf", f"setsar={aspect.numerator}/{aspect.denominator}", *options),
        *("-c:v", "libx264", "-crf", 8, "-pix_fmt", "yuv420p", path),
        feed=frame.tobytes() * frames,
    )
    return path


def as_players_show(path) -> np.ndarray:
    """Return the first frame with square pixels, as ffmpeg scales it by the shape that the file states."""
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-frames:v", "1", "-vf"),
        *("scale=trunc(iw*sar/2)*2:ih,setsar=1,format=gray", "-f", "image2pipe", "-c:v", "png", "pipe:"),
    ]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    return cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_GRAYSCALE)


def roundness(gray: np.ndarray) -> float:
    """Return the width of the disc over its height, by the spread of its light."""
    light = np.clip(gray.astype(float) - 30, 0, None)
    y, x = np.mgrid[: gray.shape[0], : gray.shape[1]]
    spread = [np.sqrt((light * (axis - (light * axis).sum() / light.sum()) ** 2).sum()) for axis in (x, y)]
    return spread[0] / spread[1]


def opened(path, pixels="keep", **more):
    return open_file(path, ExtractOptions(cuts=False, pixel_aspect=pixels, **more), "Extract")


def written(clip, path, host, **options):
    return write(RenderRequest(clip, path, settings(speed="fast", **options)), host)[0]


@pytest.mark.parametrize("aspect", ASPECTS.values(), ids=ASPECTS)
def test_square_pixels_by_default(aspect, shop, host, tmp_path):
    clip = opened(disc(shop, f"{aspect.numerator}.mp4", aspect), "square")
    assert clip.info.width == 2 * round(WIDTH * aspect / 2) and clip.info.pixel_aspect == 1
    target = written(clip, tmp_path / "square.mp4", host)
    assert probe(target).aspect == 1
    assert roundness(as_players_show(target)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("format", ["h264", "hevc", "av1", "prores", "ffv1"])
@pytest.mark.parametrize("aspect", [Fraction(8, 9), Fraction(64, 45)], ids=str)
def test_a_kept_shape_is_written(format, aspect, shop, host, tmp_path):
    clip = opened(disc(shop, "kept.mp4", aspect))
    assert (clip.info.width, clip.info.height, clip.info.pixel_aspect) == (WIDTH, HEIGHT, aspect)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suffix = {"prores": ".mov", "ffv1": ".mkv"}.get(format, ".mp4")
        target = written(clip, tmp_path / f"kept{suffix}", host, format=format)
    assert probe(target).coded == (WIDTH, HEIGHT)
    assert probe(target).aspect == pytest.approx(aspect, rel=0.005)
    assert roundness(as_players_show(target)) == pytest.approx(1, abs=0.01)
    assert opened(target, "square").info.width == 2 * round(WIDTH * aspect / 2)


def test_every_stage_keeps_the_shape(shop, host, tmp_path):
    clip = opened(disc(shop, "stages.mp4", Fraction(8, 9)))
    large = apply(Plan("upscale", {"model": "builtin", "factor": 2}, "Upscale"), clip)["clip"]
    depth = apply(Plan("depth", {"model": "builtin"}, "Depth"), large)["clip"]
    pair = apply(Plan("stereo", {"model": "builtin", "divergence": 0.0}, "Stereo"), large, depth)["clip"]
    small = apply(Fit(270), pair)["clip"]
    assert {one.info.pixel_aspect for one in (large, depth, pair, small)} == {Fraction(8, 9)}
    left = written(small, tmp_path / "left.mp4", host, layout="left")
    assert roundness(as_players_show(left)) == pytest.approx(1, abs=0.01)
    for format, suffix in (("h264", "mp4"), ("ffv1", "mkv")):
        target = written(small, tmp_path / f"pair.{suffix}", host, format=format, layout="full_sbs")
        shown = as_players_show(target)
        assert roundness(shown[:, : shown.shape[1] // 2]) == pytest.approx(1, abs=0.01)


def test_resizing_to_another_shape_adapts(shop):
    info = opened(disc(shop, "resized.mp4", Fraction(64, 45))).info
    assert info.stretched(256, 144).pixel_aspect == 1
    assert info.stretched(360, 288).pixel_aspect == Fraction(64, 45)
    assert info.replace(pixel_aspect=Fraction(1)).stretched(90, 144).pixel_aspect == 1


@pytest.mark.parametrize(("format", "suffix"), [("webp", ".webp"), ("gif", ".gif")])
def test_images_get_square_pixels_and_say_so(format, suffix, shop, host, tmp_path):
    clip = opened(disc(shop, "image.mp4", Fraction(64, 45)))
    with pytest.warns(
        UserWarning, match=f"{format} files have square pixels, so the frames are scaled to 256"
    ):
        target = written(clip, tmp_path / f"image{suffix}", host, format=format)
    frame = torch.cat(list(opened(target).maker.chunks(host, 9)))[0, ..., 0].numpy() * 255
    assert frame.shape == (HEIGHT, 256)
    assert roundness(frame) == pytest.approx(1, abs=0.01)


def test_turned_frames_have_turned_pixels(shop, host, tmp_path):
    upright = disc(shop, "upright.mp4", Fraction(8, 9))
    turned = shop.folder / "turned.mp4"
    workshop.run("-display_rotation", 90, "-i", upright, "-c", "copy", turned)
    clip = opened(turned)
    assert (clip.info.width, clip.info.height, clip.info.pixel_aspect) == (HEIGHT, WIDTH, Fraction(9, 8))
    assert roundness(as_players_show(written(clip, tmp_path / "a.mp4", host))) == pytest.approx(1, abs=0.01)
    square = opened(turned, "square")
    assert roundness(as_players_show(written(square, tmp_path / "b.mp4", host))) == pytest.approx(1, abs=0.01)


def test_a_clip_with_kept_pixels_becomes_square_in_a_second_extract(shop):
    clip = apply(Fit(90), opened(disc(shop, "second.mp4", Fraction(64, 45))))["clip"]
    assert from_clip(clip, ExtractOptions(), "E").info.pixel_aspect == 1
    assert from_clip(clip, ExtractOptions(), "E").info.width == 128
    assert from_clip(clip, ExtractOptions(pixel_aspect="keep"), "E").info.pixel_aspect == Fraction(64, 45)


def test_a_film_in_units_has_the_shape_too(shop, host, tmp_path):
    clip = opened(disc(shop, "film.mp4", Fraction(16, 15), 40))
    for format, suffix in (("h264", "mp4"), ("ffv1", "mkv"), ("prores", "mov")):
        target = tmp_path / f"film.{suffix}"
        film(RenderRequest(clip, target, settings(format=format)), host, FilmSettings(group=10))
        assert probe(target).aspect == pytest.approx(Fraction(16, 15), rel=0.005)
        assert roundness(as_players_show(target)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("format", "suffix"), [("h264", ".mp4"), ("prores", ".mov"), ("ffv1", ".mkv")])
def test_a_copy_has_the_shape_too(format, suffix, shop, host, tmp_path):
    first = written(
        opened(disc(shop, "copied.mp4", Fraction(64, 45))), tmp_path / f"first{suffix}", host, format=format
    )
    container = {".mkv": "matroska"}.get(suffix, suffix[1:])
    copy = copy_video(first, tmp_path / f"copy{suffix}", container, {"comment": "a"})
    assert probe(copy).aspect == probe(first).aspect
    assert roundness(as_players_show(copy)) == pytest.approx(1, abs=0.01)


def test_squaring_a_clip_is_what_reading_it_square_gives(shop, host):
    path = disc(shop, "twice.mp4", Fraction(64, 45))
    kept = apply(SquarePixels(), Clip(opened(path).maker))["clip"]
    assert kept.info.replace(audio=None) == opened(path, "square").info.replace(audio=None)
