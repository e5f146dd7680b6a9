"""Audio, subtitles and chapters of encoded files: copied exactly if possible, in time, and no longer."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from stereoreel.core.clip import Samples, Soundtrack
from tests.support.encoded_files import alike, encode, gray, heard, packets
from tests.support.media_files import ramp, tone, write_video


def film(path, audio, frames=50, **more):
    return write_video(path, ramp(frames), 25, audio=audio, **more)


@pytest.mark.parametrize("name", ["h264", "hevc", "av1", "prores", "ffv1"])
def test_audio_of_all_tracks_is_copied_exactly(tmp_path, name):
    source = film(
        tmp_path / "source.mp4",
        [
            (tone(2, channels=6), 48000, "aac", "5.1"),
            (tone(2, 44100), 44100, "aac", "stereo"),
            (tone(2, channels=6), 48000, "ac3", "5.1(side)"),
        ],
    )
    result = encode(tmp_path, gray(50), format=name, audio=Soundtrack(source))
    for before, after in zip(packets(source), packets(result), strict=True):
        assert [data for *_, data in after] == [data for *_, data in before]
        assert max(abs(a[0] - b[0]) for a, b in zip(after, before)) <= Fraction(1, 1000)


@pytest.mark.parametrize("name", ["h264", "prores", "ffv1"])
@pytest.mark.parametrize(
    "codec, suffix",
    [
        ("aac", "mp4"),
        ("ac3", "mp4"),
        ("aac", "ts"),
        ("libopus", "mkv"),
        ("flac", "mkv"),
        ("pcm_s16le", "mkv"),
    ],
)
@pytest.mark.parametrize("start", [Fraction(0), Fraction(1, 2)])
def test_audio_stays_synchronous(tmp_path, name, codec, suffix, start):
    clicks = np.zeros((2, 96000), np.float32)
    moments = [28800, 67200, 86400]  # 0.6, 1.4 and 1.8 s
    for moment in moments:
        clicks[:, moment : moment + 64] = np.sin(np.arange(64) * np.pi / 8)
    source = film(tmp_path / f"source.{suffix}", [(clicks, 48000, codec, "stereo")])
    result = encode(tmp_path, gray(50 - int(25 * start)), format=name, audio=Soundtrack(source, start))
    line = np.abs(heard(result))
    for moment in moments:
        middle = moment + 32 - round(start * 48000)
        loud = np.flatnonzero(line[middle - 4800 : middle + 4800] > 0.3) - 4800
        # 1.5 ms: Matroska counts milliseconds, on the way in and on the way out
        assert abs(np.mean([loud[0], loud[-1]])) < 72


@pytest.mark.parametrize("name, codec", [("h264", "aac"), ("prores", "pcm_s24le"), ("ffv1", "opus")])
def test_unsupported_audio_is_encoded_with_its_channels_and_rate(tmp_path, name, codec):
    source = film(tmp_path / "source.mkv", [(tone(2, channels=6), 48000, "libopus", "5.1")])
    result = encode(tmp_path, gray(50), format=name, audio=Soundtrack(source))
    with av.open(str(result)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.codec.canonical_name, stream.rate, stream.layout.nb_channels) == (
            codec,
            48000,
            6,
        )
    assert alike(tone(2)[0][4800:-4800], heard(result)[4800:91200]) > 0.99


@pytest.mark.parametrize("name", ["h264", "prores", "ffv1"])
@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_audio_ends_with_the_video(tmp_path, name, codec):
    source = film(tmp_path / "source.mkv", [(tone(2), 48000, codec, "stereo")])
    (track,) = packets(encode(tmp_path, gray(20), format=name, audio=Soundtrack(source)))
    packet = Fraction(4608, 48000)  # the largest packet of FLAC
    assert Fraction(4, 5) - Fraction(1, 1000) <= max(end for _, end, _ in track) < Fraction(4, 5) + packet


def test_window_copies_the_packets_heard_in_it(tmp_path):
    source = film(tmp_path / "source.mp4", [(tone(2), 48000, "aac", "stereo")])
    (before,) = packets(source)
    (after,) = packets(encode(tmp_path, gray(25), audio=Soundtrack(source, Fraction(1, 2), Fraction(1))))
    inside = [data for begin, end, data in before if end > Fraction(1, 2) and begin < Fraction(3, 2)]
    assert [data for *_, data in after][-len(inside) :] == inside
    # the one before, for the codec to start from; players do not output it
    assert len(after) <= len(inside) + 1


def test_late_audio_stays_late(tmp_path):
    source = film(tmp_path / "source.mp4", [(tone(1.5), 48000, "aac", "stereo", 0.5)])
    for name in ("h264", "ffv1"):
        line = heard(encode(tmp_path, gray(50), format=name, audio=Soundtrack(source)))
        assert np.flatnonzero(np.abs(line) > 0.05)[0] / 48000 == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", ["h264", "prores", "ffv1"])
def test_samples_become_a_track(tmp_path, name):
    wave = tone(3, 44100)
    result = encode(tmp_path, gray(50), format=name, audio=Samples(torch.from_numpy(wave), 44100))
    assert alike(wave[0, 4410:83790], heard(result)[4410:83790]) > 0.99
    assert max(end for _, end, _ in packets(result)[0]) == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize("channels", range(1, 9))
def test_samples_keep_their_channels_apart(tmp_path, channels):
    wave = torch.zeros(channels, 24000)
    wave[channels - 1] = torch.from_numpy(tone(0.5)[0])  # only the last one is audible
    with av.open(str(encode(tmp_path, gray(12), format="ffv1", audio=Samples(wave, 48000)))) as container:
        sound = np.concatenate(
            [frame.to_ndarray().reshape(-1, channels) for frame in container.decode(audio=0)]
        )
    assert [np.abs(line).max() > 1000 for line in sound.T] == [False] * (channels - 1) + [True]


def test_no_audio_gives_no_track(tmp_path):
    source = film(tmp_path / "source.mp4", ())
    for audio in (None, Soundtrack(source)):
        assert packets(encode(tmp_path, gray(5), audio=audio)) == []


@pytest.mark.parametrize("suffix, name", [("mp4", "h264"), ("mov", "prores"), ("mkv", "ffv1")])
def test_subtitles_and_chapters_move_with_the_window(tmp_path, suffix, name):
    source = film(
        tmp_path / f"source.{suffix}",
        [(tone(2), 48000, "aac", "stereo")],
        subtitles=[(0.1, 0.3, "gone"), (0.4, 0.9, "begun"), (1.2, 1.6, "whole")],
        chapters=[(0, 0.4, "one"), (0.4, 1.0, "two"), (1.0, 2.0, "three")],
    )
    result = encode(tmp_path, gray(35), format=name, audio=Soundtrack(source, Fraction(1, 2)))
    lines = [
        (float(begin), float(end), data)
        for begin, end, data in packets(result, "subtitle")[0]
        if len(data) > 2
    ]
    assert [data[-5:] for *_, data in lines] == [b"begun", b"whole"]
    assert [time for line in lines for time in line[:2]] == pytest.approx([0, 0.4, 0.7, 1.1], abs=0.002)
    with av.open(str(result)) as container:
        found = [
            (chapter["start"] * Fraction(chapter["time_base"]), chapter["metadata"]["title"])
            for chapter in container.chapters()
        ]
    assert found == [(0, "two"), (Fraction(1, 2), "three")]
