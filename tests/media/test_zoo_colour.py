"""Colours, tags and side data are those that ffmpeg reads in the source, also in the written file."""

import subprocess
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest

from stereoreel.core.clip import Clip
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from tests.media import workshop
from tests.media.zoo import words
from tests.support.encoded_files import settings
from tests.support.films import make, run

WIDTH, HEIGHT, FRAMES = 128, 96, 3
CLOSE = 36  # dB

QUICK = {"bt601.mp4", "bt709-full.mp4", "pq.mp4", "rgb.mkv"}
WRITTEN = {"bt601.mp4", "bt709-full.mkv", "pq.mp4", "hlg.webm", "rgb.mkv", "jpeg.avi", "smpte240.mkv"}
UNTAGGED = {"raw-uyvy.avi"}  # AVI has no tags of colour
X264, X265 = (
    "-c:v libx264 -preset ultrafast -crf 8",
    "-c:v libx265 -preset ultrafast -crf 8 -x265-params log-level=none",
)
VP9, AV1 = "-c:v libvpx-vp9 -crf 8 -b:v 0 -cpu-used 8 -deadline realtime", "-c:v libsvtav1 -preset 12 -crf 8"
PQ, HLG = "bt2020nc smpte2084 bt2020", "bt2020nc arib-std-b67 bt2020"

# file: codec, pixel format, range, and matrix, transfer and primaries as they are tagged
COLOURS = {
    "bt601.mp4": (X264, "yuv420p", "tv", "smpte170m smpte170m smpte170m"),
    "pal.mp4": (X264, "yuv420p", "tv", "bt470bg bt470bg bt470bg"),
    "bt709.mp4": (X264, "yuv420p", "tv", "bt709 bt709 bt709"),
    "bt709-full.mp4": (X264, "yuv420p", "pc", "bt709 bt709 bt709"),
    "bt709-full.mkv": (X264, "yuv444p", "pc", "bt709 bt709 bt709"),
    "bt601-full.mov": (X264, "yuv422p", "pc", "smpte170m smpte170m smpte170m"),
    "bt2020.mp4": (X265, "yuv420p", "tv", "bt2020nc bt709 bt2020"),
    "deep-709.mp4": (X265, "yuv420p10le", "tv", "bt709 bt709 bt709"),
    "deep-full.mkv": (X265, "yuv444p10le", "pc", "bt709 bt709 bt709"),
    "pq.mp4": (X265, "yuv420p10le", "tv", PQ),
    "hlg.mp4": (X265, "yuv420p10le", "tv", HLG),
    "twelve.mkv": (X265, "yuv422p12le", "tv", PQ),
    "hlg.webm": (VP9 + " -profile:v 2", "yuv420p10le", "tv", HLG),
    "bt709.webm": (VP9, "yuv420p", "tv", "bt709 bt709 bt709"),
    "pq-av1.mkv": (AV1, "yuv420p10le", "tv", PQ),
    "smpte240.mkv": ("-c:v ffv1", "yuv444p", "tv", "smpte240m smpte240m smpte240m"),
    "prores.mov": ("-c:v prores_ks -profile:v 3", "yuv422p10le", "tv", "bt709 bt709 bt709"),
    "mpeg2.mpg": ("-c:v mpeg2video -q:v 1", "yuv420p", "tv", "smpte170m smpte170m smpte170m"),
    "jpeg.avi": ("-c:v mjpeg -q:v 1", "yuvj420p", "pc", "bt470bg bt709 bt709"),
    "jpeg-444.mov": ("-c:v mjpeg -q:v 1", "yuvj444p", "pc", "bt470bg bt709 bt709"),
    "rgb.mkv": ("-c:v ffv1", "gbrp", "", ""),
    "rgb-deep.mkv": ("-c:v ffv1", "gbrp16le", "", ""),
    "rgb-x264.mkv": ("-c:v libx264rgb -qp 0", "bgr24", "", ""),
    "rgb-x265.mkv": (X265, "gbrp10le", "", ""),
    "png.mov": ("-c:v png", "rgb24", "", ""),
    "png-deep.mov": ("-c:v png", "rgb48be", "", ""),
    "rle.mov": ("-c:v qtrle", "rgb24", "", ""),
    "raw.avi": ("-c:v rawvideo", "bgr24", "", ""),
    "raw-uyvy.avi": ("-c:v rawvideo", "uyvy422", "tv", "smpte170m smpte170m smpte170m"),
    "utvideo.avi": ("-c:v utvideo", "gbrp", "", ""),
    "grey.mkv": ("-c:v ffv1", "gray", "", ""),
    "palette.gif": ("-c:v gif", "rgb8", "", ""),
}


def painted() -> bytes:
    """Smooth frames of all hues, rgb24: sharp edges would compare how chroma is enlarged."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frames = [
        np.stack([x * 2, y * 255 / HEIGHT, 127 + 110 * np.sin((x + y + 9 * number) / 30)], -1)
        for number in range(FRAMES)
    ]
    return np.clip(frames, 16, 235).astype(np.uint8).tobytes()


def made(path, codec: str, pix_fmt: str, span: str, tags: str, *options):
    """Write the frames with ffmpeg, converted to the colours that the tags describe."""
    matrix, transfer, primaries = tags.split() or ("", "", "")
    convert = f":out_color_matrix={matrix}:out_range={span}" if matrix else ""
    stated = f",setparams=range={span}:colorspace={matrix}:color_trc={transfer}:color_primaries={primaries}"
    workshop.run(
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", 25, "-i", "pipe:"),
        "-vf",
        f"scale=flags=accurate_rnd+full_chroma_int{convert},format={pix_fmt}{stated if matrix else ''}",
        *(*words(codec), *options, path),
        feed=painted(),
    )
    return path


def shown(path, matrix: str = "auto") -> np.ndarray:
    """All frames as ffmpeg converts them to RGB, [N, H, W, 3] in 0..1."""
    flags = f"scale=in_color_matrix={matrix}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-vf",
        f"{flags},format=rgb48le",
    ]
    done = subprocess.run([*command, "-f", "rawvideo", "pipe:"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<u2").reshape(-1, HEIGHT, WIDTH, 3) / 65535


def decibels(one, other) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(one) - np.asarray(other)) ** 2) + 1e-12))


def specimen(name: str):
    return pytest.param(name, marks=() if name in QUICK else pytest.mark.zoo)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("colours")


def file(folder, name: str):
    return folder / name if (folder / name).exists() else made(folder / name, *COLOURS[name])


def tags_of(path) -> dict[str, int]:
    """What the first frame states, in the code points of H.273."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    tags = {"primaries": frame.color_primaries, "transfer": frame.color_trc, "matrix": frame.colorspace}
    return {name: tag for name, tag in tags.items() if tag not in (0, 2)}


@pytest.mark.parametrize("name", [specimen(name) for name in COLOURS])
def test_colours_are_those_of_ffmpeg(name, folder, host):
    path = file(folder, name)
    source = FileSource(path, cuts=False)
    (frames,) = source.chunks(host, FRAMES)
    assert decibels(frames.numpy(), shown(path)) >= CLOSE
    assert tags_of(path).items() <= vars(source.info.color).items()
    assert tags_of(path) or not COLOURS[name][3] or name in UNTAGGED


def test_untagged_colours_are_those_of_their_size(folder, host):
    """ffmpeg takes every untagged file for BT.601; players take HD for BT.709, and so do we."""
    for height, matrix in ((HEIGHT, "bt601"), (720, "bt709")):
        path = folder / f"untagged-{height}.mp4"
        workshop.run("-i", file(folder, "rgb.mkv"), "-vf", f"scale=-2:{height}:out_color_matrix={matrix}",
                     *words(X264), "-pix_fmt", "yuv420p", path)  # fmt: skip
        (frames,) = FileSource(path, cuts=False, max_side=WIDTH).chunks(host, FRAMES)
        assert decibels(frames.numpy(), shown(file(folder, "rgb.mkv"))) >= CLOSE


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_written_colours_are_those_of_the_source(name, folder, host, tmp_path):
    path, target = file(folder, name), tmp_path / "written.mp4"
    write(
        RenderRequest(Clip(FileSource(path, cuts=False)), target, settings(format="hevc", speed="fast")), host
    )
    assert decibels(shown(path), shown(target)) >= CLOSE
    assert tags_of(path).items() <= tags_of(target).items()


# Not as ffmpeg copies them: LEFT, and title and language of the video stream, in which tools state
# how the source was encoded.
TAGS = {
    "title": "A day; = at # the sea",
    "artist": "Ann",
    "date": "2021-05-04",
    "genre": "Nature",
    "copyright": "CC0",
    "description": "Waves",
    "creation_time": "2021-05-04T10:11:12.000000Z",
}
LEFT = {"comment": '{"workflow": 1}', "location": "+48.1+011.5/"}  # other tools' workflows; a private place
CHAPTERS = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1200
title=One
[CHAPTER]
TIMEBASE=1/1000
START=1200
END=3000
title=Zwei é
"""


def stated(path) -> tuple[dict[str, str], list[tuple[float, str]]]:
    """The tags and chapters of a file, as ffmpeg prints them."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "ffmetadata", "pipe:1"]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    head, *parts = text.replace("\\", "").split("[CHAPTER]\n")
    tags = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    chapters = [dict(line.split("=", 1) for line in part.splitlines() if "=" in line) for part in parts]
    begins = [float(Fraction(one["TIMEBASE"]) * int(one["START"])) for one in chapters]
    return tags, [(begin, one["title"]) for begin, one in zip(begins, chapters)]


@pytest.mark.parametrize(
    "suffix, format, target",
    [("mp4", "h264", "mp4"), ("mkv", "h264", "mp4"), ("mov", "ffv1", "mkv"), ("mkv", "prores", "mov")],
)
def test_tags_and_chapters_are_those_of_the_source(suffix, format, target, tmp_path):
    notes, source = tmp_path / "notes.txt", tmp_path / f"source.{suffix}"
    notes.write_text(CHAPTERS, encoding="utf-8")
    given = [word for name, text in {**TAGS, **LEFT}.items() for word in ("-metadata", f"{name}={text}")]
    moving = ("-movflags", "use_metadata_tags") if suffix == "mov" else ()
    original = workshop.Workshop(tmp_path).original
    workshop.run("-i", original, "-i", notes, *given, "-map", "0", "-map_chapters", "1", *words(X264),
                 *words("-c:a aac -metadata:s:a:0 language=ita"), *moving, source)  # fmt: skip
    graph = {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "cuts": False}},
        "2": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "format": format}},
    }
    path, film = tmp_path / f"run.{target}", tmp_path / f"film.{target}"
    run(source, path, graph)
    make(source, film, graph)
    wanted, chapters = stated(source)
    for result in (path, film):
        tags, found = stated(result)
        tags = {name.lower(): text for name, text in tags.items()}
        assert {name: tags.get(name) for name in TAGS} == {
            name: {key.lower(): text for key, text in wanted.items()}.get(name) for name in TAGS
        }
        assert not tags.keys() & LEFT.keys()
        assert found == chapters and len(found) == 2
        with av.open(str(result)) as container:
            assert container.streams.audio[0].language == "ita"


@pytest.mark.parametrize("format", ["hevc", "av1"])
def test_mastering_display_and_light_levels_are_those_of_the_source(format, folder, host, tmp_path):
    source, target = tmp_path / "hdr.mkv", tmp_path / "written.mp4"
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    made(source, f"{X265}:{display}:max-cll=1203,401:hdr10=1", "yuv420p10le", "tv", PQ)
    clip = Clip(FileSource(source, cuts=False))
    write(RenderRequest(clip, target, settings(format=format, speed="fast")), host)
    assert hdr(target) == hdr(source)
    assert hdr(source)["CONTENT_LIGHT_LEVEL"] == (1203, 401)


def hdr(path) -> dict[str, tuple]:
    """The numbers of a first frame's static HDR metadata."""
    with av.open(str(path)) as container:
        data = next(container.decode(video=0)).side_data
        display = np.frombuffer(bytes(data["MASTERING_DISPLAY_METADATA"]), np.int32)[:20].reshape(-1, 2)
        light = np.frombuffer(bytes(data["CONTENT_LIGHT_LEVEL"]), np.uint32)
    # AV1 counts in other fractions
    numbers = tuple(round(float(one / other), 3) for one, other in display)
    return {"MASTERING_DISPLAY_METADATA": numbers, "CONTENT_LIGHT_LEVEL": tuple(int(one) for one in light)}


def test_a_turned_video_is_upright_as_ffmpeg_shows_it(folder, host, tmp_path):
    turned = tmp_path / "turned.mp4"
    workshop.run("-display_rotation:v:0", 90, "-i", file(folder, "bt709.mp4"), "-c", "copy", turned)
    target = tmp_path / "written.mp4"
    write(RenderRequest(Clip(FileSource(turned, cuts=False)), target, settings(format="h264")), host)
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (HEIGHT, WIDTH) and "DISPLAYMATRIX" not in frame.side_data
    assert decibels(shown(turned), shown(target)) >= CLOSE
