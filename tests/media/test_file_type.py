"""Files by container and codec: what is in them, and copies of them under other tags."""

from fractions import Fraction

import av
import numpy as np
import pytest

from stereoreel.core.clip import Clip, apply
from stereoreel.core.options import resolve
from stereoreel.core.transforms import Trim
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write.file_type import CONTAINERS, DEEP, FileType, file_type
from stereoreel.media.write.options import OPTIONS
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.media.write.stream_copy import copy_video
from tests.support.media_files import moving, tone, write_video

ALL = [(container, codec) for container, held in CONTAINERS.items() for codec in held]
RATE = Fraction(24000, 1001)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "source.mkv"
    sound = tone(1.5, 44100), 44100, "flac", "stereo"
    chapters = [(0, 0.6, "one"), (0.6, 1.2, "two")]
    return write_video(path, moving(30, 64, 64), RATE, audio=[sound], chapters=chapters)


def saved(source, folder, host, type: FileType, frames=(3, 27), **tags):
    clip = apply(Trim(*frames), Clip(FileSource(source)))["clip"]
    path = folder / f"film{type.extension}"
    settings = resolve(OPTIONS, {"format": type.codec})
    write(RenderRequest(clip, path, settings, metadata=tags, overwrite=True, entry=type.entry), host)
    return path


def facts(path) -> dict:
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        found = {
            "container": file.format.name,
            "rate": video.average_rate,
            "codec": video.codec.canonical_name,
            "pix_fmt": video.codec_context.pix_fmt,
            "color": (video.codec_context.color_trc, video.codec_context.colorspace),
            "start": video.start_time,
            "sounds": [
                (stream.codec.canonical_name, stream.codec_context.sample_rate, stream.channels)
                for stream in file.streams.audio
            ],
        }
        if hasattr(file, "chapters"):  # not in older PyAV
            found["chapters"] = [
                (round(float(one["start"] * one["time_base"]), 1), one["metadata"]["title"])
                for one in file.chapters()
            ]
        tags = {name.lower(): text for name, text in file.metadata.items()}
        found["tags"] = {name: text for name, text in tags.items() if name in ("prompt", "note")}
        frames = [(frame.pts * frame.time_base, frame.to_ndarray()) for frame in file.decode(video)]
    with av.open(str(path)) as file:
        heard = [frame.to_ndarray() for frame in file.decode(audio=0)]
    return {**found, "times": [time for time, _ in frames], "frames": frames, "heard": heard}


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize(("container", "codec"), ALL)
def test_container_codec_and_depth_are_those_asked_for(tmp_path, source, host, container, codec, bits):
    type = file_type(container, codec, native=bits)
    found = facts(saved(source, tmp_path, host, type))
    name = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}[container]
    assert name in found["container"] and found["codec"] == codec and found["rate"] == RATE
    assert len(found["frames"]) == 24
    assert ("10le" in found["pix_fmt"]) == (bits == 10 or codec in DEEP)
    ((sound, rate, channels),) = found["sounds"]
    assert channels == 2
    assert (sound, rate) == {
        "webm": ("opus", 48000),
        "mkv": ("flac" if codec == "ffv1" else "aac", 44100),
        "mp4": ("aac", 44100),
        "mov": ("pcm_s24le" if codec == "prores" else "aac", 44100),
    }[container]


@pytest.mark.parametrize("frames", [(3, 27), (0, 1), (0, 2)])
@pytest.mark.parametrize(("container", "codec"), ALL)
def test_copy_is_the_same_film_under_other_tags(tmp_path, source, host, container, codec, frames):
    type = file_type(container, codec)
    path = saved(source, tmp_path, host, type, frames, prompt="1")
    copy = copy_video(path, tmp_path / f"copy{type.extension}", type.entry.container, {"note": "[2]"})
    first, second = facts(path), facts(copy)
    assert (first.pop("tags"), second.pop("tags")) == ({"prompt": "1"}, {"note": "[2]"})
    pairs = list(zip(first.pop("frames"), second.pop("frames"), strict=True))
    assert len(pairs) == frames[1] - frames[0]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in pairs)
    sound, other = np.hstack(first.pop("heard")), np.hstack(second.pop("heard"))
    length = min(sound.shape[1], other.shape[1])  # MP4 states it to the sample, or to the packet
    assert np.array_equal(sound[:, :length], other[:, :length]) and sound.shape[1] - length <= 1
    assert first == second
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("container", ["mkv", "webm"])
def test_a_slice_in_matroska_has_its_sound_to_the_sample(tmp_path, source, host, container):
    """A reader that joins slices puts the audio at the beginning of each, whatever its first time is."""
    path = saved(source, tmp_path, host, file_type(container), (6, 30))
    heard, rate = np.hstack(facts(path)["heard"])[0], 48000 if container == "webm" else 44100
    place = np.arange(len(heard)) / rate + 6 / float(RATE)
    wanted = 0.5 * np.sin(2 * np.pi * 220 * place)
    assert abs(len(heard) / rate - 1.001) < 0.03
    middle = slice(rate // 4, rate // 2)
    assert np.corrcoef(heard[middle], wanted[middle])[0, 1] > 0.99


def test_copy_may_replace_its_own_source(tmp_path, source, host):
    path = saved(source, tmp_path, host, file_type(), prompt="1")
    before = facts(path)
    copy_video(path, path, "mp4", {"note": "2"})
    after = facts(path)
    assert after["tags"] == {"note": "2"} and after["times"] == before["times"]


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ({}, ("mp4", "h264", 8)),
        ({"suffix": ".webm"}, ("webm", "av1", 8)),
        ({"suffix": ".MKV"}, ("mkv", "h264", 8)),
        ({"suffix": ".tmp"}, ("mp4", "h264", 8)),
        ({"suffix": ".mp4", "container": "mkv"}, ("mkv", "h264", 8)),
        ({"suffix": ".mp4", "codec": "ffv1"}, ("mkv", "ffv1", 10)),
        ({"codec": "prores"}, ("mov", "prores", 10)),
        ({"codec": "h265", "native": 10}, ("mp4", "hevc", 10)),
        ({"native": 12}, ("mp4", "h264", 10)),
        ({"native": 10, "bits": 8}, ("mp4", "h264", 8)),
    ],
)
def test_auto_follows_the_other_word_then_the_suffix(words, made):
    type = file_type(**words)
    assert (type.container, type.codec, type.bits) == made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"container": "avi"}, "cannot write avi files. Choose auto, mp4, mkv, webm"),
        ({"codec": "vp9"}, "cannot write the codec vp9. Choose auto, h264"),
        ({"container": "webm", "codec": "h264"}, "webm files cannot hold h264. Choose av1"),
        ({"codec": "ffv1", "bits": 8}, "10 bits a sample, not 8"),
        ({"crf": 60}, "crf of h264 is 0 to 51, not 60"),
        ({"codec": "av1", "crf": float("nan")}, "crf of av1 is 0 to 63"),
        ({"speed": "warp"}, "Unknown encoder preset 'warp'"),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_sentence(words, said):
    with pytest.raises(ValueError, match=said):
        file_type(**words)


def test_quality_and_effort_reach_the_encoder(tmp_path, source, host):
    def size(**words):
        return saved(source, tmp_path, host, file_type(**words)).stat().st_size

    assert size(crf=40.0) < size(crf=23.5) < size(crf=5)
    assert size(speed="ultrafast") != size()
    assert size(container="mkv", codec="av1", crf=50) < size(container="mkv", codec="av1", crf=10)


def test_av1_of_quality_0_is_lossless(tmp_path, host):
    """To the decoded samples, which half as many colours as pixels do not change."""
    source = write_video(
        tmp_path / "noise.mkv", np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)
    )
    clip = Clip(FileSource(source))
    lossless, fine = (file_type("mkv", codec, crf=0.0) for codec in ("av1", "h264"))
    made = []
    for type in (lossless, fine):
        path = tmp_path / f"{type.codec}.mkv"
        settings = resolve(OPTIONS, {"format": type.codec})
        write(RenderRequest(clip, path, settings, entry=type.entry), host)
        with av.open(str(path)) as file:
            made.append([frame.to_ndarray() for frame in file.decode(video=0)])
    assert all(np.array_equal(one, other) for one, other in zip(*made, strict=True))


def test_a_file_serves_for_what_takes_no_more_effort():
    usual = file_type()
    assert usual.serves(file_type(speed="ultrafast")) and not file_type(speed="ultrafast").serves(usual)
    assert not usual.serves(file_type(crf=30)) and not usual.serves(file_type("mkv"))
    assert not usual.serves(file_type(bits=10))
