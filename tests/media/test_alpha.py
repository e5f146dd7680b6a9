"""Transparent files are shown over a colour as by ffmpeg's overlay, and never their hidden colours."""

import subprocess
import warnings

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from stereoreel.core.clip import apply
from stereoreel.core.transforms import EveryNth, Fit, Recut, Trim
from stereoreel.film import FilmSettings, film
from stereoreel.media.clip_facts import clip_facts
from stereoreel.media.extract_options import ExtractOptions
from stereoreel.media.open import open_file
from stereoreel.media.read.cuts import thumbnails
from stereoreel.media.read.probe import probe
from stereoreel.media.read.transparency import parse_color
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.lazy_stage import Plan
from tests.media import workshop, zoo
from tests.support.encoded_files import settings

COLORS = {"black": (0, 0, 0), "#20c040": (32, 192, 64), "orange": (255, 165, 0)}
FILES = {
    "prores.mov": zoo.TRANSPARENT["alpha-prores.mov"],
    "vp9.webm": zoo.TRANSPARENT["alpha-vp9.webm"],
    "vp8.webm": zoo.TRANSPARENT["alpha-vp8.webm"],
    "png.mov": zoo.TRANSPARENT["alpha-png.mov"],
    "rle.mov": zoo.TRANSPARENT["alpha-rle.mov"],
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "gbrap"),
    "deep.mov": ("-c:v", "png", "-pix_fmt", "rgba64be"),
    "bare.apng": ("-c:v", "apng"),
    "bare.gif": ("-vf", zoo.PALETTE, "-c:v", "gif"),
    "one.png": ("-frames:v", 1),
}
DECODERS = {"vp9.webm": ("-c:v", "libvpx-vp9"), "vp8.webm": ("-c:v", "libvpx")}
SCENE = (  # a red disc with a soft edge; what is hidden outside of it is green
    "color=c=red:s=96x64:r=25:d=0.4,format=rgba,"
    "geq=r='if(lt(hypot(X-48,Y-32),40),255,0)':g='if(lt(hypot(X-48,Y-32),40),40,255)':b=20:"
    "a='clip((24+N-hypot(X-48,Y-32))*16+128,0,255)'"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return workshop.Workshop(tmp_path_factory.mktemp("alpha"))


def made(shop, name):
    path = shop.folder / name
    if not path.exists():
        workshop.run("-f", "lavfi", "-i", SCENE, *FILES[name], "-an", path)
    return path


def overlaid(path, color, scale="null") -> np.ndarray:
    """Return the frames ``[N, H, W, 3]`` that ffmpeg shows over a colour."""
    size = probe(path).coded
    red, green, blue = COLORS[color]
    ground = f"color=c=0x{red:02x}{green:02x}{blue:02x}:s={size[0]}x{size[1]}:r=25,format=gbrp"
    graph = f"{ground}[g];[0:v]format=gbrap[v];[g][v]overlay=format=gbrp:shortest=1,{scale}"
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *DECODERS.get(path.name, ()), "-i", str(path)),
        *(
            "-filter_complex",
            graph,
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "rgb24",
            "-f",
            "rawvideo",
            "pipe:",
        ),
    ]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    width, height = (48, 32) if scale != "null" else size
    return np.frombuffer(shown, np.uint8).reshape(-1, height, width, 3)


def frames(path, host, **options):
    clip = open_file(path, ExtractOptions(cuts=False, **options), "Extract")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = torch.cat(list(clip.maker.chunks(host, 4))).numpy() * 255
    return found, [str(one.message) for one in caught], clip


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("name", FILES)
def test_frames_are_those_of_ffmpegs_overlay(name, color, shop, host):
    path = made(shop, name)
    expected = overlaid(path, color)
    found, said, clip = frames(path, host, background=color)
    assert found.shape == (len(expected), 64, 96, 3)
    assert np.abs(found - expected).max() <= 3 and np.abs(found - expected).mean() < 0.7
    [sentence] = said
    assert sentence.startswith(f"Extract has transparent parts, which are shown over {color}. ")
    assert clip_facts(clip)[-1] == f"transparent parts over {color}"
    corner, disc = found[:, :6, :6], found[:, 28:36, 44:52]
    assert np.abs(corner - COLORS[color]).max() <= 2 and disc[..., 0].min() > 230


@pytest.mark.parametrize("name", ["prores.mov", "vp9.webm", "rle.mov"])
def test_a_smaller_frame_mixes_no_hidden_colour_in(name, shop, host):
    path = made(shop, name)
    found, *_ = frames(path, host, max_side=48)
    assert np.abs(found - overlaid(path, "black", "scale=48:32:flags=bicubic")).max() <= 8
    assert found[..., 1].max() < 60


def test_opaque_files_say_nothing(shop, host):
    for name, options in {
        "opaque.gif": ("-c:v", "gif"),
        "opaque.mov": ("-c:v", "png", "-pix_fmt", "rgba"),
    }.items():
        path = shop.made(name, *options, "-an")
        found, said, clip = frames(path, host, background="orange")
        assert said == [] and not any("transparent" in fact for fact in clip_facts(clip))
        assert found.min() < 30


def test_padding_of_raw_avi_is_no_alpha(shop, host):
    path = shop.made(
        "padded.avi",
        "-vf",
        "format=rgba,colorchannelmixer=aa=0",
        "-c:v",
        "rawvideo",
        "-pix_fmt",
        "bgra",
        "-an",
    )
    assert frames(path, host)[0].max() > 200


def test_cuts_do_not_see_hidden_colours(shop):
    path = shop.folder / "hidden.mov"
    hidden = "geq=r='if(lt(N,25),255,0)':g='if(lt(N,25),0,255)':b=0:a=0"
    workshop.run("-f", "lavfi", "-i", f"color=s=96x64:r=25:d=2,format=rgba,{hidden}", "-c:v", "png", path)
    assert open_file(path, ExtractOptions(), "E").info.cuts == ()
    assert not any(gray.any() for gray in thumbnails(probe(path), 0, 50))


def test_colours_are_named_as_in_css():
    assert parse_color("#20c040") == (32 / 255, 192 / 255, 64 / 255) and parse_color("White") == (1, 1, 1)
    with pytest.raises(ValueError, match="background must be a colour such as black"):
        ExtractOptions(background="nothing").check()


def alpha_of(path) -> np.ndarray:
    """Return the opacity of a file's frames ``[N, H, W]``, 0..255, as ffmpeg reads it."""
    width, height = probe(path).coded
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-fps_mode", "passthrough"]
    command += ["-vf", "format=gbrap,alphaextract", "-pix_fmt", "gray", "-f", "rawvideo", "pipe:"]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(shown, np.uint8).reshape(-1, height, width)


def kept(path, host, target, *stages, **options):
    """Write a file with its transparency after stages; return it and what was said."""
    clip = open_file(path, ExtractOptions(cuts=False, background="transparent"), "Extract")
    for stage in stages:
        clip = apply(stage, clip)["clip"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write(RenderRequest(clip, target, settings(speed="fast", **options)), host)
    return target, [str(one.message) for one in caught]


def test_transparency_is_kept_in_prores(shop, host, tmp_path):
    path = made(shop, "prores.mov")
    target, said = kept(path, host, tmp_path / "kept.mov", format="prores_4444")
    assert said == [] and probe(target).transparent
    assert np.abs(alpha_of(target).astype(int) - alpha_of(path)).max() <= 2
    for color in COLORS:
        assert np.abs(overlaid(target, color).astype(int) - overlaid(path, color)).mean() < 1.5


def test_transparency_follows_the_frames_through_stages(shop, host, tmp_path):
    """Size, part and every second frame change; the opacity is that of the same places and frames."""
    path = made(shop, "png.mov")
    double = Plan("upscale", {"model": "builtin", "factor": 2}, "Upscale")
    target, said = kept(
        path, host, tmp_path / "large.mov", Trim(1, 9), double, EveryNth(2), Fit(96), format="prores_4444"
    )
    found, expected = alpha_of(target).astype(int), alpha_of(path)[1:9:2]
    assert said == [] and found.shape == expected.shape
    assert np.abs(found - expected).max() <= 4


def test_an_animated_image_keeps_transparency(shop, host, tmp_path):
    target, said = kept(made(shop, "png.mov"), host, tmp_path / "kept.webp", format="webp", crf=0)
    with Image.open(target) as image:
        found = np.asarray(image.convert("RGBA"))[..., 3]
    assert said == [] and np.abs(found.astype(int) - alpha_of(made(shop, "png.mov"))[0]).max() <= 2


def test_an_animated_image_with_a_clear_border_keeps_it(host, tmp_path):
    """The encoder cuts frames to their opaque rectangle, and nothing else in the file tells of the rest."""
    (tmp_path / "frames").mkdir()
    for number in range(3):
        picture = Image.new("RGBA", (64, 48))
        picture.paste((40 * number, 200, 90, 255), (16, 8, 48, 40))
        picture.save(tmp_path / "frames" / f"{number}.png")
    target, said = kept(tmp_path / "frames", host, tmp_path / "kept.webp", format="webp", crf=0)
    with Image.open(target) as image:
        image.seek(1)
        found = np.asarray(image.convert("RGBA"))
    assert said == [] and found[..., 3].min() == 0 and found[24, 32, 3] == 255
    assert (found[:6, :, 3] == 0).all()


def test_what_cannot_be_kept_is_black_and_said(shop, host, tmp_path):
    path = made(shop, "png.mov")
    target, said = kept(path, host, tmp_path / "film.mp4", format="h264")
    assert said == ["Transparency is not kept, because h264 files hold none; transparent parts are black."]
    assert frames(target, host)[0][:, :6, :6].max() < 6
    faster = Plan("interpolate", {"model": "builtin", "multiplier": 2}, "Interpolate")
    target, said = kept(path, host, tmp_path / "faster.mov", faster, format="prores_4444")
    assert said == [
        "Transparency is not kept, because a stage has changed the frames; transparent parts are black."
    ]
    assert not probe(target).alpha and frames(target, host)[0][:, :6, :6].max() < 6


def test_a_film_in_units_keeps_transparency(shop, host, tmp_path):
    path = made(shop, "rle.mov")
    clip = open_file(path, ExtractOptions(cuts=False, background="transparent"), "Extract")
    clip = apply(Recut("4, 7"), clip)["clip"]
    target = tmp_path / "film.mov"
    film(RenderRequest(clip, target, settings(format="prores_4444")), host, FilmSettings(group=4))
    assert np.abs(alpha_of(target).astype(int) - alpha_of(path)).max() <= 2
