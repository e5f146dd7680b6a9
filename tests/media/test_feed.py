"""A file's planes on their way to an encoder: exact, in the right place, and only where they need no RGB."""

import subprocess
from dataclasses import replace
from types import SimpleNamespace

import av
import imageio_ffmpeg
import numpy as np
import pytest
import torch

from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, Color, apply
from stereoreel.core.pull import pull
from stereoreel.core.transforms import Crop, EveryNth, Recolored, Recut, SideBySide, Split, Trim
from stereoreel.film import FilmSettings, film
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write.feed import Feed
from stereoreel.media.write.observer import Observer
from stereoreel.media.write.options import preset
from stereoreel.media.write.picture import Pictures
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from tests.support.encoded_files import settings

WIDTH, HEIGHT, FRAMES = 96, 64, 4


def stored(path, pix_fmt="yuv420p", place="left", frames=FRAMES, size=(WIDTH, HEIGHT), **colour):
    """Write a file of smooth colours and fine noise, far from black and white."""
    rng = np.random.default_rng(0)
    deep = 4 if "10" in pix_fmt else 1
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.options = {"chroma_sample_location": place, "qp": "0"}
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, colour.get("range", 1)
        for number in range(frames):
            frame = av.VideoFrame(*size, pix_fmt)
            for plane, base in zip(frame.planes, (120, 110, 140)):
                kind = np.uint16 if deep == 4 else np.uint8
                rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
                y, x = np.mgrid[: plane.height, : rows.shape[1]]
                wave = 30 * np.sin((x + 2 * number) / 5) + 25 * np.cos(y / 4 + x / 9)
                rows[:] = deep * (base + wave + rng.normal(0, 2, wave.shape)).round()
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def enlarged(path, factor=2.0, **options):
    return apply(upscale(factor, **options), Clip(FileSource(path, cuts=False)))["clip"]


def upscale(factor=2.0, **options) -> Plan:
    return Plan("upscale", {"model": "builtin", "factor": factor, **options}, "Upscale")


def planes_of(frame: av.VideoFrame) -> list[np.ndarray]:
    kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    rows = [np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1) for plane in frame.planes]
    return [row[:, : plane.width].astype(float) for row, plane in zip(rows, frame.planes)]


def through_planes(clip, name, host) -> list[list[np.ndarray]]:
    """Return the planes of each frame that the encoder gets."""
    feed = Feed.of([clip], settings(format=name), host)
    assert feed.planes
    return [
        planes_of(feed.planes.frame(values))
        for (chunk,) in pull(feed.clips, host)
        for values in chunk.flatten(1)
    ]


def through_rgb(clip, name, host) -> list[list[np.ndarray]]:
    pictures = Pictures(
        (clip.info.width, clip.info.height), clip.info.color, preset(settings(format=name)).pix_fmt
    )
    return [
        planes_of(pictures.frame(pictures.quantize(frame), 0, 1 / clip.info.fps))
        for (chunk,) in pull(clip, host)
        for frame in chunk
    ]


def by_zimg(path, clip, place, name) -> list[list[np.ndarray]]:
    """Return the planes that zimg, another resizer, makes in 16 bits, at the scale of the format."""
    form = preset(settings(format=name)).pix_fmt
    bits, kind = (10 if "10" in form else 8), form.split("p")[0] + "p16le"
    width, height = clip.info.width, clip.info.height
    scale = (
        f"zscale=w={width}:h={height}:filter=lanczos:param_a=3:dither=none:chromalin={place}:chromal=center"
    )
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-vf",
        f"{scale},format={kind}",
    ]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    frame = av.VideoFrame(width, height, form)
    shapes = [(plane.height, plane.width) for plane in frame.planes]
    codes = np.frombuffer(raw, np.uint16).reshape(clip.info.frames, -1) / (1 << (16 - bits))
    edges = np.cumsum([high * wide for high, wide in shapes])[:-1]
    return [[plane.reshape(shape) for plane, shape in zip(np.split(one, edges), shapes)] for one in codes]


def apart(one, other, edge=8) -> list[float]:
    """Return the mean squared error of each plane, in codes, away from the edges."""
    inside = (slice(edge, -edge or None),) * 2
    return [
        float(np.mean([np.square(a[inside] - b[inside]).mean() for a, b in zip(first, second)]))
        for first, second in zip(zip(*one, strict=True), zip(*other, strict=True), strict=True)
    ]


@pytest.mark.parametrize(
    ("pix_fmt", "place", "name", "factor"),
    [
        ("yuv420p", "left", "h264", 2.0),
        ("yuv420p", "center", "h264", 2.0),
        ("yuv420p", "topleft", "h264", 3.0),
        ("yuv420p", "left", "hevc", 2.0),
        ("yuv420p10le", "topleft", "hevc", 2.0),
        ("yuv422p10le", "left", "prores", 1.5),
        ("yuv444p", "left", "h264", 2.0),
        ("yuv444p", "left", "h264_444", 1.25),
    ],
)
def test_planes_are_as_exact_as_rounding_allows(pix_fmt, place, name, factor, tmp_path, host):
    """Chroma in another place, wrong by an eighth of a sample, would differ by some 10 codes squared."""
    path = stored(tmp_path / "clip.mp4", pix_fmt, place)
    clip = enlarged(path, factor)
    wanted = by_zimg(path, clip, place, name)
    found, before = through_planes(clip, name, host), through_rgb(clip, name, host)
    assert len(found) == FRAMES
    errors, errors_before = apart(found, wanted), apart(before, wanted)
    print(pix_fmt, place, name, factor, np.round(errors, 3), np.round(errors_before, 3))
    assert max(errors) < 1 / 12 + 0.05  # of rounding, and of zimg's own arithmetic
    assert all(error < earlier for error, earlier in zip(errors, errors_before))


@pytest.mark.parametrize(
    ("place", "pix_fmt"), [("left", "yuv420p"), ("topleft", "yuv420p"), ("left", "yuv422p10le")]
)
def test_unchanged_frames_keep_their_luma_and_move_their_chroma(place, pix_fmt, tmp_path, host):
    path = stored(tmp_path / "clip.mp4", pix_fmt, place)
    clip, name = Clip(FileSource(path, cuts=False)), "prores" if "422" in pix_fmt else "h264"
    found, wanted = through_planes(clip, name, host), by_zimg(path, clip, place, name)
    luma, *chroma = apart(found, wanted)
    assert luma == 0
    assert max(chroma) < 0.2  # by 6 taps; at the place before, more than 5


def test_planes_that_are_right_already_stay_as_they_are(tmp_path, host):
    path = stored(tmp_path / "clip.mp4", place="center")
    clip = apply(Trim(1, 3), Clip(FileSource(path, cuts=False)))["clip"]
    found = through_planes(clip, "h264", host)
    with av.open(str(path)) as file:
        decoded = [planes_of(frame) for frame in file.decode(video=0)][1:3]
    assert apart(found, decoded, edge=0) == [0, 0, 0]


def test_chosen_frames_are_those_of_rgb(tmp_path, host):
    clip = Clip(FileSource(stored(tmp_path / "clip.mp4", frames=12), cuts=False))
    for recipe in (Trim(2, 11), EveryNth(2), Recut("2")):
        clip = apply(recipe, clip)["clip"]
    clip = apply(Trim(1, 4), apply(upscale(), clip)["clip"])["clip"]
    found, before = through_planes(clip, "h264", host), through_rgb(clip, "h264", host)
    assert len(found) == len(before) == 3
    assert apart(found, before)[0] < 3  # frames next to each other differ by hundreds


def barred(source: FileSource) -> FileSource:
    source.info = source.info.replace(bars=(Bars(0, 8, 8),))
    return source


def turned(source: FileSource) -> FileSource:
    source.facts = replace(source.facts, rotation=180)
    return source


def downscaled(source: FileSource) -> FileSource:
    return FileSource(source.facts.path, cuts=False, max_side=64)


SOURCES = {
    "full range": {"range": 2},
    "full range of 10 bits": {"pix_fmt": "yuv420p10le", "range": 2},
    "more bits than the encoder has": {"pix_fmt": "yuv420p10le"},
}
CHANGED = {"bars": barred, "rotated": turned, "downscaled by swscale": downscaled}
STAGES = {
    "another stage": (Plan("vsr", {"model": "builtin"}, "VSR"),),
    "two stages": (upscale(), upscale()),
    "downscaled by a stage": (upscale(fit="width", pixels=WIDTH // 2),),
    "odd size": (upscale(1.02),),
    "another matrix": (upscale(), Recolored(Color(6, 6, 6))),
    "crop": (upscale(), Crop(0, 0, WIDTH, HEIGHT)),
    "packed views": (Split(), SideBySide()),
}
ENCODERS = {
    "full range of 10 bits": {"format": "hevc"},
    "hardware": {"hardware": True},
    "preview": {"format": "gif"},
    "pictures": {"format": "png"},
    "RGB": {"format": "ffv1"},
}


@pytest.mark.parametrize(
    "why", [*{**SOURCES, **CHANGED, **STAGES, **ENCODERS}, "a GPU", "two clips", "two views"]
)
def test_frames_that_need_rgb_get_it(why, tmp_path, host):
    source = FileSource(stored(tmp_path / "clip.mp4", **SOURCES.get(why, {})), cuts=False)
    clip = Clip(CHANGED.get(why, lambda source: source)(source))
    for recipe in STAGES.get(why, (Split(),) if why == "two views" else (upscale(),)):
        clip = apply(recipe, clip)["clip"]
    clips = [clip, clip] if why == "two clips" else [clip]
    chosen = settings(**{"format": "h264", **ENCODERS.get(why, {})})
    feed = Feed.of(clips, chosen, SimpleNamespace(device=torch.device("cuda")) if why == "a GPU" else host)
    assert feed.planes is None and feed.clips == clips


class Seen(Observer):
    def __init__(self):
        self.frames, self.pictures = 0, []

    def chunk(self, frames, shown):
        self.frames += frames
        self.pictures.append(shown()[0])


def test_a_file_has_the_tags_frames_and_pictures_of_rgb(tmp_path, host, monkeypatch):
    clip = enlarged(stored(tmp_path / "clip.mp4"))
    made = []
    for name in ("planes", "rgb"):
        if name == "rgb":
            monkeypatch.setattr(Feed, "of", lambda clips, *_: Feed(list(clips)))
        seen = Seen()
        write(RenderRequest(clip, tmp_path / f"{name}.mp4", settings(format="h264", crf=0)), host, seen)
        with av.open(str(tmp_path / f"{name}.mp4")) as file:
            stream = file.streams.video[0]
            context = stream.codec_context
            facts = [context.pix_fmt, context.width, context.height, context.colorspace, context.color_range]
            frames = [planes_of(frame) for frame in file.decode(stream)]
        made.append((facts, stream.frames, stream.duration, frames, torch.cat(seen.pictures)))
    (*one, frames, pictures), (*other, frames_before, pictures_before) = made
    assert one == other and seen.frames == FRAMES
    assert apart(frames, frames_before)[0] < 3
    assert pictures.shape == pictures_before.shape == (FRAMES, 2 * HEIGHT, 2 * WIDTH, 3)
    assert float((pictures - pictures_before).square().mean()) < 2e-4


def test_units_equal_one_pull(tmp_path, host):
    """Also where the part of the file does not begin with a key frame."""
    path = stored(tmp_path / "clip.mp4", frames=24)
    clip = apply(upscale(), apply(Recut("7, 15"), Clip(FileSource(path, cuts=False)))["clip"])["clip"]
    chosen = settings(format="h264", crf=0)
    write(RenderRequest(clip, tmp_path / "one.mp4", chosen), host)
    film(RenderRequest(clip, tmp_path / "film.mp4", chosen), host, FilmSettings(group=8))
    one, other = (
        [planes_of(frame) for frame in av.open(str(tmp_path / name)).decode(video=0)]
        for name in ("one.mp4", "film.mp4")
    )
    assert len(one) == len(other) == 24 and apart(one, other, edge=0)[0] < 1


def test_a_file_of_a_given_size_is_made_of_planes(tmp_path, host):
    clip = enlarged(stored(tmp_path / "clip.mp4", frames=30))
    request = RenderRequest(clip, tmp_path / "film.mp4", settings(format="h264", size_mb=0.1))
    assert Feed.of(request.clips, request.settings, host).planes
    write(request, host)
    assert 0.09e6 < request.path.stat().st_size <= 0.1e6


def test_a_stream_that_changes_goes_on_at_the_first_size(tmp_path, host):
    """Its later frames have twice the size and other chroma."""
    parts = [
        stored(tmp_path / "one.264", frames=3),
        stored(tmp_path / "two.264", "yuv444p", "center", frames=3, size=(2 * WIDTH, 2 * HEIGHT)),
    ]
    path = tmp_path / "clip.264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = enlarged(path)
    found, before = through_planes(clip, "h264", host), through_rgb(clip, "h264", host)
    assert len(found) == len(before) == clip.info.frames == 6
    assert apart(found[3:], before[3:])[0] < 10  # RGB clips some of these colours


@pytest.mark.parametrize("kinds", [("yuv420p", "yuv422p"), ("yuv422p", "yuv420p"), ("yuv444p", "yuv422p")])
def test_a_stream_that_changes_its_subsampling_goes_on_in_its_colours(kinds, tmp_path, host):
    parts = [stored(tmp_path / f"{kind}.264", kind, "center", frames=3) for kind in kinds]
    path = tmp_path / "clip.264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = enlarged(path)
    found, before = through_planes(clip, "h264", host), through_rgb(clip, "h264", host)
    assert len(found) == len(before) == 6
    assert max(apart(found[3:], before[3:])) < 15  # hundreds, if chroma were read at another size


def test_a_cancel_ends_within_a_chunk(tmp_path):
    done = []

    def tick(count, total):
        done.append(count)
        if count >= 2:
            raise KeyboardInterrupt

    host = Headless("cpu", on_tick=tick)
    clip = enlarged(stored(tmp_path / "clip.mp4", frames=100))
    target = tmp_path / "film.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(RenderRequest(clip, target, settings(format="h264")), host)
    assert not target.exists() and max(done) < 40
