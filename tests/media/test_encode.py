"""Encoded files, read back: size, rate, frames, metadata; and that failures leave no file."""

import os
import re
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from av.video.format import VideoFormat

from stereoreel.core.clip import ClipInfo, Soundtrack
from stereoreel.media.write.encode import Writer, output_size
from stereoreel.media.write.options import extension, preset
from stereoreel.media.write.presets import presets
from tests.support.encoded_files import encode, gray, read, settings
from tests.support.media_files import moving

# those for films, not for previews
FORMATS = tuple(name for name, entry in presets().items() if not entry.limits and entry.extension)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(25, 2)])
def test_size_rate_and_frame_count_are_exact(tmp_path, name, fps):
    levels = torch.arange(20, 220, 20)  # apart enough that no codec takes two frames for one
    facts, frames = read(
        encode(tmp_path, (levels / 255)[:, None, None, None].expand(-1, 48, 64, 3), fps, format=name)
    )
    assert frames.shape == (10, 48, 64, 3)
    assert facts["codec"] == name.removeprefix("mv_").split("_")[0]
    assert facts["rate"] == fps
    tolerance = Fraction(1, 1000) if name == "ffv1" else Fraction(1, 10**6)  # Matroska counts milliseconds
    assert abs(facts["duration"] - 10 / fps) <= tolerance
    assert all(abs(time - index / fps) <= tolerance for index, time in enumerate(facts["times"]))
    assert [round(float(frame.mean()) * 255) for frame in frames] == pytest.approx(levels.tolist(), abs=1)


PRIORITIES = """
import os, subprocess, sys, torch
from fractions import Fraction
from pathlib import Path
from stereoreel.core.clip import ClipInfo
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.options import OPTIONS
from stereoreel.core.options import resolve

settings = resolve(OPTIONS, {"format": sys.argv[2]})
with Writer(Path(sys.argv[1]), ClipInfo(64, 64, Fraction(25), 30), settings) as writer:
    writer.write(torch.rand(30, 64, 64, 3))
    threads = map(int, os.listdir("/proc/self/task"))
    print(*sorted(set(map(os.sched_getscheduler, threads))), flush=True)
    subprocess.run([sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"])
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_getscheduler") or not os.path.exists("/proc/self/task"),
    reason="this system does not list threads",
)
def test_av1_leaves_no_thread_under_the_real_time_scheduler(tmp_path):
    """SVT-AV1 requests it if permitted, which is only as root, so elsewhere this cannot fail."""
    path = tmp_path / f"film{extension(settings(format='av1'))}"
    made = subprocess.run(
        [sys.executable, "-c", PRIORITIES, str(path), "av1"], capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == ["0", "0"], made.stderr


@pytest.mark.parametrize("name", FORMATS)
def test_odd_sizes_grow_to_even_by_repeating_the_edge(tmp_path, name):
    frames = torch.from_numpy(moving(3, 65, 27)) / 255
    written = read(encode(tmp_path, frames, format=name, crf=1))[1]
    width, height = output_size(ClipInfo(65, 27, Fraction(25), 3), settings(format=name))
    assert written.shape == (3, height, width, 3)
    halved = VideoFormat(presets()[name].pix_fmt, 16, 16)  # what shares chroma samples in twos
    assert (width, height) == (65 + (halved.chroma_width(16) < 16), 27 + (halved.chroma_height(16) < 16))
    assert np.abs(written[:, :27, :65] - frames.numpy()).mean() * 255 < 6
    # not black, which would differ by about 100
    assert np.abs(written[:, :, -1] - written[:, :, 64]).mean() * 255 < 8


def test_depth_is_grey_and_alpha_is_dropped(tmp_path):
    depth = (torch.arange(64) / 63).expand(2, 48, 64)[..., None]
    frames = read(encode(tmp_path, depth, format="ffv1"))[1]
    assert np.abs(frames - depth.numpy()).max() <= 0.51 / 1023
    transparent = torch.cat((torch.full((1, 48, 64, 3), 0.5), torch.zeros(1, 48, 64, 1)), -1)
    assert read(encode(tmp_path, transparent, format="ffv1"))[1].mean() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("name", ["h264", "ffv1"])
def test_variable_rate_keeps_its_times(tmp_path, name):
    times = tuple(Fraction(tick, 90_000) for tick in (0, 3003, 6006, 15015, 18018, 18018, 45000))
    info = ClipInfo(64, 48, 7 / Fraction(48003, 90_000), 7, times=times)
    found = read(encode(tmp_path, gray(7), info=info, format=name))[0]["times"]
    assert len(found) == 7 and found == sorted(set(found))
    assert max(abs(a - b) for a, b in zip(found, times)) <= Fraction(1, 900)


def test_single_frame(tmp_path):
    facts, frames = read(encode(tmp_path, gray(1), Fraction(24000, 1001)))
    assert len(frames) == 1 and abs(facts["duration"] - Fraction(1001, 24000)) < Fraction(1, 10**6)


def test_quality_and_speed_reach_the_codec(tmp_path):
    frames = torch.rand(4, 64, 64, 3)
    sizes = [encode(tmp_path, frames, crf=crf, speed="fast").stat().st_size for crf in (5, 35)]
    assert sizes[0] > 3 * sizes[1]


@pytest.mark.parametrize("name", ["h264", "prores", "ffv1"])
def test_metadata_is_read_back(tmp_path, name):
    workflow = '{"1": {"class_type": "Ümlaut"}}'
    given = {"prompt": workflow, "workflow": "{}"}
    facts, _ = read(encode(tmp_path, gray(2), format=name, metadata=given))
    found = {key.lower(): value for key, value in facts["metadata"].items()}
    assert (found["prompt"], found["workflow"]) == (workflow, "{}")


def test_index_is_first(tmp_path):
    data = encode(tmp_path, gray(5)).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


# What a failure leaves


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("name", ["h264", "ffv1"])
def test_failure_leaves_no_file_and_keeps_the_previous_one(tmp_path, name, failure):
    path = tmp_path / f"film{extension(settings(format=name))}"
    path.write_text("the film of yesterday")
    with (
        pytest.raises(failure),
        Writer(path, ClipInfo(64, 48, Fraction(25), 30), settings(format=name)) as writer,
    ):
        for chunk in gray(30).split(5):
            writer.write(chunk)
            if writer.frames == 20:
                assert len(list(tmp_path.glob(f"{path.name}.*.part"))) == 1
                raise failure
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "the film of yesterday"


def test_final_name_appears_when_the_file_is_complete(tmp_path):
    path = tmp_path / "new" / "film.mp4"
    with Writer(path, ClipInfo(64, 48, Fraction(25), 10), settings()) as writer:
        writer.write(gray(10))
        assert [re.sub(r"[0-9a-f]{8}", "*", name) for name in os.listdir(path.parent)] == ["film.mp4.*.part"]
    assert os.listdir(path.parent) == ["film.mp4"]


def test_no_frames_is_an_error(tmp_path):
    with (
        pytest.raises(ValueError, match="no frame"),
        Writer(tmp_path / "film.mp4", ClipInfo(64, 48, Fraction(25), 0), settings()),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_too_large_frames_are_refused_before_the_first(tmp_path):
    info = ClipInfo(16386, 16, Fraction(25), 1)
    with (
        pytest.raises(ValueError, match=r"h264 does not support frames of 16386 x 16.*hevc"),
        Writer(tmp_path / "film.mp4", info, settings()),
    ):
        pytest.fail("the block must not be entered")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("width", [1, 16, 62])
def test_narrow_frames_do_not_reach_x265(tmp_path, width):
    with pytest.raises(ValueError, match="hevc does not support frames"):
        encode(tmp_path, gray(1, 64, width), format="hevc")
    assert os.listdir(tmp_path) == []


def test_missing_audio_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        encode(tmp_path, gray(2), audio=Soundtrack(tmp_path / "gone.mp4"))
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a file's size cannot be limited there")
@pytest.mark.parametrize("name", ["h264", "prores", "ffv1", "webp"])
def test_full_disk_is_named_and_leaves_no_file(tmp_path, name):
    script = f"""
import resource, sys
from fractions import Fraction
from pathlib import Path
import torch
from stereoreel.core.clip import ClipInfo
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.options import OPTIONS
from stereoreel.core.options import resolve
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    settings = resolve(OPTIONS, dict(format="{name}"))
    with Writer(Path(sys.argv[1]), ClipInfo(64, 64, Fraction(25), 60), settings) as writer:
        for _ in range(60):
            writer.write(torch.rand(1, 64, 64, 3))
except OSError as error:
    print(error)
"""
    target = tmp_path / f"film{extension(settings(format=name))}"
    run = subprocess.run(
        [sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"There is no room for {target}: the disk is full")
    assert os.listdir(tmp_path) == []


# The presets


@pytest.mark.parametrize("name", presets())
def test_presets_exist_in_this_build(name):
    entry = preset(settings(format=name))
    assert entry.pix_fmt in [known.name for known in av.Codec(entry.codec, "w").video_formats]
    assert entry.audio is None or av.Codec(entry.audio.codec, "w")
