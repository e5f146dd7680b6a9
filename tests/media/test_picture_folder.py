"""Numbered pictures as an output: exact values, one folder or none, audio, layouts, and films in units."""

import json
import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import stereoreel
from stereoreel.cli.main import main
from stereoreel.core.clip import ClipInfo, Color
from stereoreel.media.clip_facts import clip_facts
from stereoreel.media.read.picture_note import read_note
from stereoreel.media.read.probe import probe
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.options import EncodeOptions
from tests.support.films import graph, hashes, make, run, source
from tests.support.media_files import write_video

FORMATS = ("png", "png16", "exr", "exr32")


@pytest.fixture(scope="module")
def noise():
    """Five frames of every 16-bit level ``[5, 48, 64, 3]``."""
    return np.random.default_rng(0).integers(0, 65536, (5, 48, 64, 3)).astype(np.uint16)


@pytest.fixture
def pictures(tmp_path, noise):
    (tmp_path / "source").mkdir()
    for number, frame in enumerate(noise, 1):
        cv2.imwrite(str(tmp_path / "source" / f"{number:05}.png"), frame[..., ::-1])
    return stereoreel.open(tmp_path / "source", picture_fps=29.97, cuts=False)


def read(folder) -> np.ndarray:
    files = sorted(folder.glob("*.png"))
    assert [file.name for file in files] == [f"{number:05}.png" for number in range(1, len(files) + 1)]
    return np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[..., ::-1] for file in files])


def frames_of(clip) -> np.ndarray:
    return torch.cat(list(stereoreel.frames(clip))).numpy()


def test_sixteen_bits_survive_both_ways(tmp_path, pictures, noise):
    assert stereoreel.write(pictures, tmp_path / "out", format="png16") == [tmp_path / "out"]
    assert np.array_equal(read(tmp_path / "out"), noise)
    again = stereoreel.open(tmp_path / "out", cuts=False)
    assert (again.info.fps, again.info.frames) == (Fraction(30000, 1001), 5)
    assert np.array_equal(np.rint(frames_of(again) * 65535), noise)
    assert not (tmp_path / "out" / "audio.wav").exists()


def test_eight_bits_are_rounded(tmp_path, pictures, noise):
    stereoreel.write(pictures, tmp_path / "out", format="png")
    assert np.array_equal(read(tmp_path / "out"), np.rint(noise / 257))


@pytest.mark.parametrize(("format", "error"), [("exr", 2**-11), ("exr32", 2**-20)])
def test_exr_holds_light_beyond_white(tmp_path, format, error):
    light = torch.linspace(0.001, 30, 2 * 16 * 24 * 3).reshape(2, 16, 24, 3)
    shown = torch.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    path = tmp_path / "out"
    info = ClipInfo(24, 16, Fraction(25), 2)
    with Writer(path, info, EncodeOptions(format=format)) as writer:
        writer.write(shown)
    stored = frames_of(stereoreel.open(path, linear_light="unchanged", cuts=False))
    np.testing.assert_allclose(stored, light.numpy(), rtol=error)
    np.testing.assert_allclose(frames_of(stereoreel.open(path, cuts=False)), shown.numpy(), rtol=error)
    linear = stereoreel.open(path, linear_light="unchanged", cuts=False)
    stereoreel.write(linear, tmp_path / "again", format=format)
    for name in ("00001.exr", "00002.exr"):
        assert (path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_depth_is_stored_as_it_is(tmp_path):
    depth = torch.rand(2, 16, 24, 1)
    with Writer(
        tmp_path / "out", ClipInfo(24, 16, Fraction(25), 2, 1), EncodeOptions(format="exr32")
    ) as writer:
        writer.write(depth)
    stored = frames_of(stereoreel.open(tmp_path / "out", linear_light="unchanged", cuts=False))
    np.testing.assert_allclose(stored, depth.expand(2, 16, 24, 3), atol=1e-6)


def test_audio_is_a_wave_file_and_is_read_again(tmp_path):
    clip = stereoreel.open("sample", duration=1, max_side=64, cuts=False)
    stereoreel.write(clip, tmp_path / "out", format="png")
    with av.open(str(tmp_path / "out" / "audio.wav")) as sound:
        [stream] = sound.streams
        seconds = float(stream.duration * stream.time_base)
    assert stream.codec_context.name == "pcm_s24le"
    assert seconds == pytest.approx(1, abs=0.01)
    again = stereoreel.open(tmp_path / "out", start=0.2, cuts=False)
    stereoreel.write(again, tmp_path / "again.mp4")
    assert probe(tmp_path / "again.mp4").audio_streams == 1
    (tmp_path / "out" / "00007.png").unlink()
    with pytest.warns(UserWarning, match="lacks 1 numbers: 7"):
        assert stereoreel.open(tmp_path / "out", cuts=False).info.audio is None


def test_hdr_is_tagged_and_refused_by_exr(tmp_path):
    frames = torch.rand(1, 16, 16, 3)
    pq = Color(9, 16, 9)
    for color in (Color(), pq):
        path = tmp_path / str(color.transfer)
        info = ClipInfo(16, 16, Fraction(24), 1, color=color)
        with Writer(path, info, EncodeOptions(format="png16")) as writer:
            writer.write(frames)
        assert probe(path).color == color
    assert b"cICP" in (tmp_path / "16" / "00001.png").read_bytes()
    assert Image.open(tmp_path / "1" / "00001.png").info.keys() <= {"dpi", "aspect"}
    clip = stereoreel.open(tmp_path / "16", cuts=False)
    with pytest.raises(ValueError, match=r"not computed from HDR video\. Choose png16"):
        stereoreel.write(clip, tmp_path / "light", format="exr")


def test_the_first_png_opens_on_the_canvas(tmp_path):
    notes = {"prompt": json.dumps({"1": "é"}), "workflow": "{}", "other": "x"}
    info = ClipInfo(16, 16, Fraction(24), 2)
    with Writer(tmp_path / "out", info, EncodeOptions(format="png"), metadata=notes) as writer:
        writer.write(torch.rand(2, 16, 16, 3))
    first, second = (Image.open(tmp_path / "out" / f"0000{number}.png") for number in (1, 2))
    first.load()
    assert {name: first.text[name] for name in ("prompt", "workflow")} == {
        name: notes[name] for name in ("prompt", "workflow")
    }
    assert "prompt" not in second.info and read_note(tmp_path / "out").tags == notes


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_appears_with_all_pictures_or_not_at_all(tmp_path, format):
    info, path = ClipInfo(16, 16, Fraction(24), 6), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), Writer(path, info, EncodeOptions(format=format)) as writer:
        writer.write(torch.rand(3, 16, 16, 3))
        raise KeyboardInterrupt
    writer._thread.shutdown()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_replaced(tmp_path, pictures, overwrite):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for name in ("out", "file", "source"):
        with pytest.raises(
            (FileExistsError, ValueError), match=r"already exists|is a file that this job reads"
        ):
            stereoreel.write(pictures, tmp_path / name, format="png", overwrite=overwrite)
    for name in ("film.mp4", "film.png", "%05d", "f.####"):
        with pytest.raises(ValueError, match="writes a folder of pictures, numbered from 00001"):
            stereoreel.write(pictures, tmp_path / name, format="png")
    assert (tmp_path / "out" / "mine.txt").read_text() == (tmp_path / "file").read_text() == "keep"
    assert len(os.listdir(tmp_path / "source")) == 5


def test_layouts_and_depth_have_folders_of_their_own(tmp_path):
    flow = graph(format="png", layout="two_files")
    made = make(source(tmp_path / "film.mp4"), tmp_path / "shot_L", flow)
    assert [path.name for path in made] == ["shot_L", "shot_R"]
    assert len(read(made[0])) == len(read(made[1])) == probe(made[0]).frames == 84
    assert (made[0] / "audio.wav").is_file()


@pytest.mark.parametrize("format", ["png16", "exr"])
def test_film_equals_a_run_and_resumes(tmp_path, format):
    video, target = source(tmp_path / "film.mp4"), tmp_path / "film"

    def until(frames, total):
        if frames >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(video, target, graph(format=format), tick=until)
    assert not target.exists()
    said = []
    assert make(video, target, graph(format=format), said=said, keep=True) == [target]
    assert any("Resuming:" in line and "Resuming: 0" not in line for line in said)
    assert hashes(target) == run(video, tmp_path / "run", graph(format=format))
    names = sorted(path.name for path in target.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "run").iterdir())
    for name in names:
        if name != "stereoreel.json":
            assert (target / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name
    assert make(video, target, graph(format=format), said=said) == [target]
    assert "already complete" in said[-1]
    (target / names[3]).unlink()
    with pytest.raises(FileExistsError, match="folders are never replaced"):
        make(video, target, graph(format=format))


def test_the_terminal_reads_and_writes_pictures(tmp_path, pictures, noise, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flow = {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "x", "cuts": False}},
        "2": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "format": "png16"}},
    }
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    command = ["run", "flow.json", "--input", "source/%05d.png", "--set", "extract.picture_fps=12"]
    assert main([*command, "--output", "out"]) == 0
    assert np.array_equal(read(tmp_path / "out"), noise) and probe(tmp_path / "out").fps == 12
    assert main(command) == 0 and capsys.readouterr().out.split()[-1] == "output/video/StereoReel_00001"
    assert main(command) == 0 and capsys.readouterr().out.split()[-1] == "output/video/StereoReel_00002"
    assert main(["film", *command[1:], "--output", "film"]) == 0
    assert np.array_equal(read(tmp_path / "film"), noise)
    assert main([*command, "--output", "out", "--overwrite"]) == 1
    assert "folders are never replaced" in capsys.readouterr().err


def test_a_folder_says_its_layout_and_its_sound(tmp_path):
    write_video(tmp_path / "film.mkv", np.zeros((4, 48, 128, 3), np.uint8))
    pair = stereoreel.open(tmp_path / "film.mkv", packing="full_sbs", cuts=False)
    stereoreel.write(pair, tmp_path / "film", format="png", layout="half_tb")
    again = stereoreel.open(tmp_path / "film", cuts=False)
    assert (again.info.views, again.info.width, again.info.height) == (2, 64, 48)
    sounding = source(tmp_path / "film.mp4")
    stereoreel.write(stereoreel.open(sounding, duration=0.2), tmp_path / "heard", format="png")
    assert "stereo sound" in clip_facts(stereoreel.open(tmp_path / "heard"))
