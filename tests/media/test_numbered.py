"""Numbered pictures as a clip: order, gaps, full precision, linear light, and one job for equal pictures."""

import shutil
import subprocess
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

import stereoreel
from stereoreel.core.numbered import holds_pictures, numbered
from stereoreel.media.extract_options import ExtractOptions
from stereoreel.media.paths import confine
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.probe import fingerprint, probe
from tests.support.films import graph, hashes, make, run, source

NAMES = {"png": "%05d.png", "tiff": "x%d.tiff"}


@pytest.fixture(scope="module")
def noise():
    """Five frames of every 16-bit level ``[5, 48, 64, 3]``."""
    return np.random.default_rng(0).integers(0, 65536, (5, 48, 64, 3)).astype(np.uint16)


def save(folder, frames, name="%05d.png", first=1):
    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(frames, first):
        assert cv2.imwrite(str(folder / (name % number)), frame[..., ::-1])
    return folder / name


def ffmpeg(*arguments) -> bytes:
    run = subprocess.run([get_ffmpeg_exe(), "-v", "error", *map(str, arguments)], capture_output=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def frames_of(path, host, **options):
    source = FileSource(path, cuts=False, **options)
    return torch.cat(list(source.chunks(host, 2))).numpy()


@pytest.mark.parametrize("kind", NAMES)
def test_sixteen_bits_are_read_exactly(tmp_path, host, noise, kind):
    path = save(tmp_path / "frames", noise, NAMES[kind])
    for named in (path, path.parent, path.parent / f"*.{kind}"):
        read = frames_of(named, host)
        assert np.array_equal(np.rint(read * 65535), noise) and np.abs(read * 65535 - noise).max() < 0.02


def test_ten_bit_dpx_equals_ffmpeg(tmp_path, host, noise):
    path = save(tmp_path / "png", noise)
    ffmpeg("-i", path, "-pix_fmt", "gbrp10le", tmp_path / "f.%04d.dpx")
    raw = ffmpeg("-i", tmp_path / "f.%04d.dpx", "-f", "rawvideo", "-pix_fmt", "gbrp10le", "-")
    wanted = np.frombuffer(raw, "<u2").reshape(5, 3, 48, 64)[:, [2, 0, 1]].transpose(0, 2, 3, 1)
    assert np.abs(frames_of(tmp_path / "f.####.dpx", host) * 1023 - wanted).max() < 0.01


def test_exr_keeps_its_range_and_gets_the_curve_of_displays(tmp_path, host):
    light = np.linspace(-0.5, 40, 3 * 48 * 64 * 3, dtype="<f4").reshape(3, 48, 64, 3)
    planes = np.ascontiguousarray(light.transpose(0, 3, 1, 2)[:, [1, 2, 0]])  # green, blue, red
    (tmp_path / "raw").write_bytes(planes.tobytes())
    raw = ["-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-s", "64x48", "-i", tmp_path / "raw"]
    ffmpeg(*raw, "-compression", "zip16", tmp_path / "%d.exr")
    assert np.array_equal(frames_of(tmp_path / "%d.exr", host, linear_light="unchanged"), light)
    shown = frames_of(tmp_path / "%d.exr", host)
    curve = np.where(light > 0.0031308, 1.055 * np.abs(light) ** (1 / 2.4) - 0.055, 12.92 * light)
    bright = np.abs(light) <= 0.0031308
    assert np.allclose(shown[light >= 0], curve[light >= 0], atol=1e-5)
    assert np.allclose(shown[bright], 12.92 * light[bright], atol=1e-6) and shown.min() < -0.7
    info = FileSource(tmp_path / "%d.exr", cuts=False, linear_light="unchanged").info
    assert info.color.transfer == 8
    half = frames_of(tmp_path / "%d.exr", host, max_side=32)
    assert half.shape == (3, 24, 32, 3) and half.max() > 4


def test_numbers_that_are_no_numbers_become_finite(tmp_path, host):
    values = np.array([np.nan, np.inf, -np.inf, 0.5], "<f4")
    planes = np.broadcast_to(values, (3, 16, 4)).astype("<f4")
    (tmp_path / "raw").write_bytes(planes.tobytes())
    ffmpeg(
        "-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-s", "4x16", "-i", tmp_path / "raw", tmp_path / "1.exr"
    )
    read = frames_of(tmp_path / "1.exr", host, linear_light="unchanged")[0, 0, :, 0]
    assert read.tolist() == [0.0, 65504.0, -65504.0, 0.5]


def test_order_is_that_of_the_numbers(tmp_path, host):
    for number in (1, 2, 9, 10, 100):
        Image.new("RGB", (16, 16), (number,) * 3).save(tmp_path / f"{number}.png")
    with pytest.warns(UserWarning, match=r"lacks 95 numbers: 3 to 8, 11 to 99\. Its pictures follow"):
        read = frames_of(tmp_path, host)
    assert np.rint(read[:, 0, 0, 0] * 255).tolist() == [1, 2, 9, 10, 100]
    assert [file.name for file in numbered(tmp_path / "?.png").files] == ["1.png", "2.png", "9.png"]
    assert [file.name for file in numbered(tmp_path / "%03d.png").files] == ["100.png"]


def test_a_constant_step_is_no_gap(tmp_path, recwarn):
    save(tmp_path, np.zeros((3, 16, 16, 3), np.uint8), "a%d.png")
    for number in (2, 3):
        (tmp_path / f"a{number}.png").rename(tmp_path / f"b{number}.png")
    for number, new in ((2, 11), (3, 21)):
        (tmp_path / f"b{number}.png").rename(tmp_path / f"a{new}.png")
    assert not numbered(tmp_path).gaps and FileSource(tmp_path, cuts=False).info.frames == 3
    assert not recwarn


def test_rate_window_and_middle(tmp_path, host, noise):
    path = save(tmp_path / "frames", noise)
    assert probe(path).fps == 24
    clip = stereoreel.open(path, picture_fps=29.97, start=0.05, cuts=False)
    assert (clip.info.fps, clip.info.frames) == (Fraction(30000, 1001), 3)
    part = FileSource(path, cuts=False).part(3, 4)
    assert np.array_equal(np.rint(next(part.chunks(host, 9)).numpy() * 65535), noise[3:4])
    again = stereoreel.media.open.from_clip(
        stereoreel.open(path, picture_fps=29.97, cuts=False),
        ExtractOptions(cuts=False),
        "Extract",
    )
    assert again.info.fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("make_folder", "error", "words"),
    [
        (
            lambda at: (at / "a_1.png", at / "b_1.png", at / "a_2.png", at / "b_2.png"),
            ValueError,
            "sequences",
        ),
        (lambda at: (at / "1.png", at / "2.jpg"), ValueError, r"formats, \.png and \.jpg"),
        (lambda at: (at / "text.txt",), IsADirectoryError, "is a folder without pictures"),
    ],
)
def test_a_folder_that_is_no_clip_is_refused(tmp_path, make_folder, error, words):
    for file in make_folder(tmp_path):
        file.touch()
    with pytest.raises(error, match=words):
        probe(tmp_path)


def test_other_sizes_and_missing_pictures_are_refused(tmp_path, noise):
    path = save(tmp_path / "frames", noise)
    cv2.imwrite(str(path.parent / "00004.png"), noise[3, :20])
    with pytest.raises(ValueError, match=r"00004\.png has 64 x 20 pixels, but 00001\.png has 64 x 48"):
        probe(path)
    with pytest.raises(FileNotFoundError, match=r"No picture in .* matches x%d\.png"):
        probe(path.with_name("x%d.png"))
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        probe(tmp_path / "other" / "%d.png")
    frame = Image.new("RGB", (16, 16))
    frame.save(tmp_path / "1.webp", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")])
    with pytest.raises(ValueError, match=r"1\.webp is an animation\. Open it alone"):
        probe(tmp_path / "*.webp")
    with pytest.raises(ValueError, match="several placeholders"):
        probe(path.with_name("%d_%d.png"))


@pytest.mark.parametrize(("first", "shown"), [(1, [1, 2, 2, 4]), (3, [2, 4])])
def test_a_corrupt_picture_repeats_the_one_before(tmp_path, host, noise, first, shown):
    """Also in a part that begins with it, so that units of a film equal the whole."""
    path = save(tmp_path / "frames", noise)
    corrupt = path.parent / "00004.png"
    corrupt.write_bytes(corrupt.read_bytes()[:60])
    source = FileSource(path, cuts=False).part(first, 5)
    with pytest.warns(UserWarning, match=f"1 of {len(shown)} frames could not be decoded"):
        read = torch.cat(list(source.chunks(host, 2))).numpy()
    assert np.array_equal(np.rint(read * 65535), noise[shown])


def test_pictures_of_several_depths_are_one_clip(tmp_path, host, noise):
    path = save(tmp_path / "frames", noise)
    Image.new("L", (64, 48), 255).save(path.parent / "00002.png")  # as programs save white frames
    read = frames_of(path, host)
    assert (read[1] == 1).all() and np.array_equal(np.rint(read[2:] * 65535), noise[2:])


def test_linked_pictures_stay_inside_the_roots(tmp_path, noise):
    (tmp_path / "input").mkdir()
    path = save(tmp_path / "input" / "frames", noise)
    outside = tmp_path / "secret.png"
    shutil.copy(path.parent / "00001.png", outside)
    assert confine(path, [tmp_path / "input"]) == path
    try:
        (path.parent / "00006.png").symlink_to(outside)
    except OSError:
        pytest.skip("this user may not make symbolic links")
    for named in (path, path.parent, path.parent / "../frames/*.png"):
        with pytest.raises(PermissionError, match="outside the permitted folders"):
            confine(named, [tmp_path / "input"])
    with pytest.raises(PermissionError):
        confine(path, [tmp_path / "output"])


def test_a_changed_picture_is_another_clip(tmp_path, noise):
    path = save(tmp_path / "frames", noise)
    before = fingerprint(path)
    assert fingerprint(path) == before and holds_pictures(path.parent)
    save(path.parent, noise[::-1][:1], first=3)
    assert fingerprint(path) != before


def test_film_equals_a_run_and_resumes(tmp_path):
    ffmpeg("-i", source(tmp_path / "film.mp4", sound=False), tmp_path / "f_%04d.png")
    pictures, target = tmp_path / "f_%04d.png", tmp_path / "film.mkv"
    done = []

    def until(frames, total):
        done.append(frames)
        if frames >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(pictures, target, graph(format="ffv1"), tick=until)
    said = []
    assert make(pictures, target, graph(format="ffv1"), said=said, keep=True) == [target]
    assert any("Resuming:" in line and "Resuming: 0" not in line for line in said)
    assert hashes(target) == run(pictures, tmp_path / "run.mkv", graph(format="ffv1"))
    assert make(pictures, target, graph(format="ffv1"), said=said) == [target]
    assert "already complete" in said[-1]
