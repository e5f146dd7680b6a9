"""Playback on the canvas: the file itself if browsers decode it, otherwise a small H.264 copy."""

from fractions import Fraction

import av
import pytest
import torch

from stereoreel.viewing.browser_copy import browser_copy, playable, summary
from tests.support.encoded_files import encode, gray
from tests.support.media_files import ramp, tone, write_video


@pytest.mark.parametrize(
    ("name", "plays"),
    [("h264", True), ("webp", True), ("gif", True), ("h264_444", False), ("hevc", False), ("prores", False),
     ("ffv1", False)],
)  # fmt: skip
def test_playable_formats(tmp_path, name, plays):
    assert playable(encode(tmp_path, gray(), format=name)) == plays


def test_copy_is_small_short_and_has_audio(tmp_path, host):
    source = write_video(
        tmp_path / "source.mkv", ramp(80, 1922, 54), Fraction(2), audio=[(tone(40), 48000, "flac", "stereo")]
    )
    source = source or tmp_path / "source.mkv"
    copy = browser_copy(source, tmp_path / "copy.mp4", host)
    assert playable(copy)
    with av.open(str(copy)) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        assert video.width == 960 and sum(1 for _ in file.decode(video)) == 60
        assert float(audio.duration * audio.time_base) == pytest.approx(30, abs=0.1)


def test_cancelled_copy_leaves_no_file(tmp_path, host):
    source = encode(tmp_path, torch.rand(40, 48, 64, 3), format="ffv1")
    host.tick = lambda done, total: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        browser_copy(source, tmp_path / "copy.mp4", host)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [source.name]


@pytest.mark.parametrize(
    ("name", "facts"),
    [("h264", "10 frames · 64x48 · 25 fps · 0.4 s"), ("webp", "10 frames · 64x48 · 25 fps · 0.4 s"),
     ("ffv1", "10 frames · 64x48 · 25 fps · 0.4 s")],
)  # fmt: skip
def test_summary_states_the_facts_of_the_file(tmp_path, name, facts):
    path = encode(tmp_path, torch.rand(10, 48, 64, 3), format=name)
    assert summary(path).startswith(facts) and summary(path).endswith(f"B · {path.name}")
