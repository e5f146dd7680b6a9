"""Bad input gives a result or one clear error, and no partial file."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from stereoreel.cli.main import main
from stereoreel.core.clip import apply
from stereoreel.core.pull import frames
from stereoreel.models.lazy_stage import Plan
from tests.support.media_files import tone, truncate, write_video

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = str(ROOT / "workflows" / "api" / "default.json")


def pictures(count: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, height, width, 3), np.uint8)


def run(source: Path, target: Path, *settings: str) -> int:
    return main(
        [
            "run",
            DEFAULT,
            "--input",
            str(source),
            "--output",
            str(target),
            *(word for one in settings for word in ("--set", one)),
        ]
    )


def no_video(folder: Path, what: str) -> Path:
    path = folder / f"{what}.mp4"
    if what == "sound":
        with av.open(str(path), "w") as file:
            stream = file.add_stream("aac", 48000)
            frame = av.AudioFrame.from_ndarray(
                tone(0.5, channels=1).astype(np.float32).reshape(1, -1), "fltp", "mono"
            )
            frame.sample_rate = 48000
            file.mux([*stream.encode(frame), *stream.encode(None)])
    elif what == "text":
        path.write_text("not a video")
    elif what == "empty":
        path.touch()
    elif what == "playlist":
        write_video(folder / "real.mp4", pictures(3, 32, 32), Fraction(25))
        path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{folder}/real.mp4\n")
    return path


@pytest.mark.parametrize("what", ["missing", "text", "empty", "sound", "playlist"])
def test_other_files_are_refused(what, tmp_path, capsys):
    assert run(no_video(tmp_path, what), tmp_path / "out.mp4") == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and f"{what}.mp4" in error and "\n" not in error
    assert not list(tmp_path.glob("out*"))


def test_missing_package_error_names_the_command(tmp_path, monkeypatch, capsys):
    write_video(tmp_path / "in.mkv", pictures(3, 32, 32), Fraction(25), "ffv1", "bgr0")
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert run(tmp_path / "in.mkv", tmp_path / "out.mp4") == 1
    error = capsys.readouterr().err.strip()
    assert (
        "(node 1) needs the package cv2" in error
        and f"pip install -r {ROOT / 'requirements.txt'}" in error
        and "\n" not in error
    )
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(("count", "width", "height"), [(1, 48, 32), (3, 33, 21), (2, 1, 1), (2, 2, 3)])
def test_odd_tiny_and_single_frames(count, width, height, tmp_path):
    write_video(tmp_path / "in.mkv", pictures(count, width, height), Fraction(25), "ffv1", "bgr0")
    assert run(tmp_path / "in.mkv", tmp_path / "out.mkv", "encode.format=ffv1") == 0
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert (file.streams.video[0].width, file.streams.video[0].height) == (4 * width, 2 * height)
        assert sum(1 for _ in file.decode(video=0)) == 2 * count


def test_too_wide_frames_are_refused_before_the_first(tmp_path, capsys):
    write_video(tmp_path / "wide.mkv", pictures(1, 16384, 8), Fraction(25), "ffv1", "bgr0")
    assert run(tmp_path / "wide.mkv", tmp_path / "out.mp4", "vsr.factor=2") == 1
    error = capsys.readouterr().err
    assert "65536" in error and "Traceback" not in error and not list(tmp_path.glob("out*"))
    assert (
        run(
            tmp_path / "wide.mkv",
            tmp_path / "out.mkv",
            "encode.format=ffv1",
            "vsr.factor=1",
            "encode.layout=left",
        )
        == 0
    )


def test_truncated_file_gives_its_frames_and_a_warning(tmp_path, capsys):
    write_video(
        tmp_path / "in.mp4", pictures(30, 64, 48), Fraction(25), container_options={"movflags": "faststart"}
    )
    truncate(tmp_path / "in.mp4", 0.5)
    assert run(tmp_path / "in.mp4", tmp_path / "out.mp4") == 0
    assert "warning: in.mp4 ends early" in capsys.readouterr().err
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert 0 < sum(1 for _ in file.decode(video=0)) < 60


def test_depth_of_another_size_is_resized(tensor_clip, host):
    stereo = Plan("stereo", {}, "Stereo")
    small = tensor_clip(torch.full((3, 5, 9, 1), 0.4))
    whole = tensor_clip(torch.full((3, 32, 48, 1), 0.4))
    made = [frames(apply(stereo, tensor_clip(frames=3), depth)["clip"], host) for depth in (small, whole)]
    torch.testing.assert_close(*made)


def test_unequal_length_error_names_both_lengths(tensor_clip):
    with pytest.raises(ValueError, match=r"Stereo.*7 and 5 frames"):
        apply(Plan("stereo", {}, "Stereo"), tensor_clip(frames=7), tensor_clip(frames=5, channels=1))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_non_finite_frame_is_named(poison, tensor_clip, host):
    images = torch.rand(6, 8, 8, 3)
    images[4, 2, 2, 1] = poison
    with pytest.raises(ValueError, match="frame 4"):
        frames(apply(Plan("upscale", {}, "Upscale"), tensor_clip(images))["clip"], host, 2)
