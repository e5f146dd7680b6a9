"""Damage in a media file costs only the damaged part: not the film, and not memory."""

import logging
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from stereoreel.core.clip import Clip, ClipInfo, Samples
from stereoreel.core.pull import frames
from stereoreel.media.read.audio import read_audio
from stereoreel.media.read.clock import Clock
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.frames import in_memory
from stereoreel.media.read.probe import probe
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from tests.attack.media_mutants import elements
from tests.support.encoded_files import packets, settings
from tests.support.media_files import moving, tone, write_video

HOUR = 3600


def copied(path, host, **chosen):
    """Write a complete clip; return the file."""
    target = path.with_name("out.mkv" if chosen.get("format") == "ffv1" else "out.mp4")
    write(RenderRequest(Clip(FileSource(path, cuts=False)), target, settings(**chosen)), host)
    return target


def pictures(path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def overwrite(path, at: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)


def sounds(path) -> list[tuple[int, int]]:
    """Return the places and sizes of the packets of the first audio stream in a file."""
    return places(path, "audio")


def places(path, kind: str) -> list[tuple[int, int]]:
    """Return the places of the packets of a type's first stream; some demuxers point at the header before."""
    content = path.read_bytes()
    with av.open(str(path)) as file:
        return [
            (content.index(bytes(packet), packet.pos), packet.size)
            for packet in file.demux(**{kind: 0})
            if packet.size
        ]


def spoil(path, frames, fill: bytes = b"\0") -> None:
    """Overwrite the packets of some frames, in the file's order."""
    for at, size in [places(path, "video")[index] for index in frames]:
        overwrite(path, at, fill * size)


def test_avi_with_dropped_frames_is_complete(tmp_path, host):
    path = write_video(
        tmp_path / "in.avi",
        moving(10),
        25,
        "mpeg4",
        options={"g": "4"},
        audio=[(tone(0.4), 48000, "libmp3lame", "stereo")],
    )
    facts = probe(path)
    assert (facts.frames, facts.missing) == (10, 0)
    assert len(frames(Clip(FileSource(path, cuts=False)), host)) == 10


@pytest.mark.parametrize("last", [3 * HOUR, 10**7, 10**12])
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("in.mkv", "ffv1", "bgr0"), ("in.mp4", "libx264", "yuv420p"), ("in.nut", "ffv1", "bgr0")],
)
def test_absurd_timestamp_costs_the_times_and_no_frame(last, name, codec, pix_fmt, tmp_path, host):
    times = [Fraction(i, 25) for i in range(7)] + [Fraction(last)]
    try:
        path = write_video(tmp_path / name, moving(8), 25, codec, pix_fmt, times=times)
    except (av.error.FFmpegError, OverflowError):
        pytest.skip("the container cannot say that")
    facts = probe(path)
    assert facts.frames == 8 and not facts.times and facts.duration < 60
    assert pictures(copied(path, host)) == 8


def test_frame_of_an_hour_keeps_its_times(tmp_path, host):
    times = [Fraction(1001 * i, 30000) for i in range(10)]
    times[-1] += HOUR * Fraction(19, 10)
    path = write_video(tmp_path / "in.mkv", moving(10), 25, "ffv1", "bgr0", times=times)
    with av.open(str(copied(path, host))) as file:
        shown = [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]
    assert shown == pytest.approx([float(time) for time in times], abs=0.001)


@pytest.mark.parametrize("step", [Fraction(1, 90_000), Fraction(1, 900_000), Fraction(1, 7)])
def test_clock_fits_the_container(step, host):
    times = tuple(i * step for i in range(9)) + (HOUR * 2 + Fraction(1, 7),)
    clock = Clock(ClipInfo(64, 48, Fraction(25), 10, times=times))
    assert 16 * HOUR * 2 / clock.unit < 1 << 31
    assert clock.seconds(clock.tick(9)) == pytest.approx(times[-1], abs=0.001 * 10)


def test_last_good_frame_is_kept(tmp_path, host):
    path = write_video(tmp_path / "in.mp4", moving(4), 25, options={"g": "4", "bf": "2"})
    spoil(path, [1, 2, 3], b"\xff")
    with pytest.warns(UserWarning, match="could not be decoded"):
        assert len(frames(Clip(FileSource(path, cuts=False)), host)) == 4


def test_file_without_decodable_frames_is_named(tmp_path, host):
    path = write_video(tmp_path / "in.mkv", moving(6), 25, "mjpeg", "yuvj420p")
    source = FileSource(path, cuts=False)
    spoil(path, range(6))
    with pytest.raises(ValueError, match=r"in\.mkv has no frame in this part that can be decoded\. Check"):
        frames(Clip(source), host)


def test_missing_part_of_a_film_is_no_error(tmp_path, host):
    path = write_video(tmp_path / "in.mkv", moving(40), 25, "mjpeg", "yuvj420p")
    source, late = FileSource(path, cuts=False), FileSource(path, start=Fraction(12, 25), cuts=False)
    spoil(path, range(10, 40))
    with pytest.warns(UserWarning, match="ends early"):
        assert list(source.part(12, 40).chunks(host, 3)) == []
    with pytest.raises(ValueError, match=r"in\.mkv has no frame in this part"):
        frames(Clip(late), host)


@pytest.mark.parametrize("format", ["h264", "ffv1"])
@pytest.mark.parametrize("damaged", [5, 100])
def test_invalid_audio_packets_are_dropped(format, damaged, tmp_path, host, caplog):
    path = write_video(tmp_path / "in.mkv", moving(10), 25, audio=[(tone(0.4), 48000, "aac", "stereo")])
    kept = sounds(path)
    for at, size in kept[:damaged]:
        overwrite(path, at, b"\xff" * size)
    with caplog.at_level(logging.WARNING):
        target = copied(path, host, format=format)
    assert pictures(target) == 10
    assert "Corrupt audio packets of in.mkv were dropped." in caplog.text


def test_wild_timestamp_does_not_end_the_audio(tmp_path, host):
    path = write_video(tmp_path / "in.mkv", moving(50), 25, audio=[(tone(2), 48000, "aac", "stereo")])
    content, whole = path.read_bytes(), len(sounds(path))
    blocks = [one for one in elements("mkv", content) if one.kind == "a3" and content[one.body] == 0x82]
    overwrite(path, blocks[len(blocks) // 2].body + 1, b"\x7f\xff")  # milliseconds after its cluster
    assert len(packets(copied(path, host))[0]) == whole - 1


def test_audio_a_year_later_takes_no_memory(tmp_path):
    path = write_video(
        tmp_path / "in.mkv",
        moving(10),
        25,
        "ffv1",
        "bgr0",
        audio=[(tone(0.4), 48000, "flac", "stereo"), (tone(0.4), 48000, "flac", "stereo", 10**7)],
    )
    source = FileSource(path, cuts=False)
    wild = path.with_name("wild.mkv")  # packets of the second audio stream, in the first one's track
    with av.open(str(path)) as old, av.open(str(wild), "w") as new:
        video, sound = (
            new.add_stream_from_template(stream, opaque=True)
            for stream in (old.streams.video[0], old.streams.audio[0])
        )
        for packet in old.demux(old.streams.video[0], *old.streams.audio):
            if packet.dts is not None:
                packet.stream = video if packet.stream.type == "video" else sound
                new.mux(packet)
    waveform, rate = read_audio(FileSource(wild, cuts=False).info.audio)
    assert waveform.shape[-1] < 2 * rate
    assert torch.equal(waveform[..., : rate // 4], read_audio(source.info.audio)[0][..., : rate // 4])


def test_audio_that_changes_midway_continues(tmp_path, host):
    parts = [
        write_video(
            tmp_path / f"{rate}.ts",
            moving(10),
            25,
            start=start,
            audio=[(tone(0.4, rate, channels), rate, "mp2", layout, start)],
        )
        for rate, channels, layout, start in ((48000, 2, "stereo", 0), (44100, 1, "mono", Fraction(2, 5)))
    ]
    path = tmp_path / "in.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = FileSource(path, cuts=False)
    waveform, rate = read_audio(source.info.audio)
    assert all(
        waveform[..., int(begin * rate) : int((begin + 0.2) * rate)].abs().max() > 0.1 for begin in (0.1, 0.5)
    )
    assert pictures(copied(path, host)) == source.info.frames


def test_late_stream_is_not_damage(tmp_path, host):
    silent = write_video(tmp_path / "silent.mpg", moving(20), 25, "mpeg1video").read_bytes()
    heard = write_video(
        tmp_path / "heard.mpg", moving(20), 25, "mpeg1video", audio=[(tone(0.8), 48000, "mp2", "stereo")]
    ).read_bytes()
    padding = (b"\0\0\1\xbe\xff\xff" + b"\xff" * 65535) * 100  # as much as is read before a file is open
    path = tmp_path / "in.mpg"
    path.write_bytes(silent + padding + heard + padding + silent)
    assert probe(path).frames == 60
    assert pictures(copied(path, host)) == 60


@pytest.mark.parametrize("format", ["h264", "ffv1"])
@pytest.mark.parametrize(
    "codec", [b"alac", b"ec-3", b"mp4a", b"Opus", b"fLaC", b"QDM2", b"\xff\xff\xff\xff", b"\0\0\0\0"]
)
@pytest.mark.parametrize(
    "numbers",
    [b"\0\2\0\x10\0\0\0\0\xbb\x80\0\0", b"\0\0\0\0\0\0\0\0\0\0\0\0", b"\xff" * 12],
    ids=["true", "zero", "huge"],
)
def test_wrong_audio_header_costs_only_the_audio(codec, numbers, format, tmp_path, host):
    path = write_video(
        tmp_path / "in.mov",
        moving(6),
        25,
        "mjpeg",
        "yuvj420p",
        audio=[(tone(0.2), 48000, "pcm_s16le", "stereo")],
    )
    entry = path.read_bytes().index(b"sowt")
    overwrite(path, entry, codec)
    overwrite(path, entry + 20, numbers)  # channels, bits, and at the end the rate
    overwrite(path, path.read_bytes().index(b"chan"), b"free")
    read_audio(FileSource(path, cuts=False).info.audio)
    assert pictures(copied(path, host, format=format)) == 6


def test_nan_in_the_audio_costs_a_piece_of_it(tmp_path, host):
    path = write_video(tmp_path / "in.mkv", moving(50), 25, audio=[(tone(2), 48000, "pcm_f32le", "stereo")])
    pieces = sounds(path)
    at, size = pieces[len(pieces) // 2]
    overwrite(path, at, struct.pack("<f", float("nan")) * (size // 4))
    target = copied(path, host)
    assert pictures(target) == 50
    assert len(packets(target)[0]) > 85  # of 94


def test_non_finite_samples_are_silent(tmp_path, host):
    path = write_video(tmp_path / "in.mkv", moving(10), 25, "ffv1", "bgr0")
    waveform = torch.from_numpy(tone(0.4))
    waveform[:, 5000] = float("nan")
    target = tmp_path / "out.mp4"
    write(
        RenderRequest(Clip(FileSource(path, cuts=False)), target, settings(), audio=Samples(waveform, 48000)),
        host,
    )
    assert pictures(target) == 10


@pytest.mark.parametrize(
    "too_much", [lambda: torch.empty(1 << 50), lambda: np.empty(1 << 55)], ids=["torch", "numpy"]
)
def test_too_large_frames_error_names_their_size(too_much, tmp_path):
    facts = probe(write_video(tmp_path / "in.mkv", moving(1), 25, "ffv1", "bgr0"))
    with (
        pytest.raises(
            ValueError, match=r"in\.mkv has frames of 64 x 48, which do not fit in memory\. Set max_side"
        ),
        in_memory(facts),
    ):
        too_much()


def test_other_errors_are_not_changed(tmp_path):
    facts = probe(write_video(tmp_path / "in.mkv", moving(1), 25, "ffv1", "bgr0"))
    with pytest.raises(RuntimeError, match="size of tensor"), in_memory(facts):
        torch.ones(2) + torch.ones(3)
