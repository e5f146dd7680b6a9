"""Files for devices: each is read back and compared with the limits that its makers publish."""

import warnings
from dataclasses import fields, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import pytest
import torch
from av.video.frame import PictureType

import stereoreel
from stereoreel.core.clip import ClipInfo
from stereoreel.core.options import resolve
from stereoreel.media.layouts.atoms import bodies
from stereoreel.media.layouts.layout import file_tag
from stereoreel.media.write import options
from stereoreel.media.write.devices import NONE, CodecLimits, FrameLimits, devices, kind
from stereoreel.media.write.encode import output_size
from stereoreel.media.write.fit_to_device import placed
from stereoreel.media.write.fit_to_file import fit_to_file
from stereoreel.media.write.presets import presets
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.viewing.comfort import ComfortOptions
from tests.media.workshop import decoded_by_ffmpeg
from tests.support.encoded_files import settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = tuple(devices())
SIZES = [
    (64, 64),
    (640, 272),
    (853, 480),
    (1280, 720),
    (1920, 1080),
    (3840, 1608),
    (4096, 2304),
    (2160, 3840),
]
RATES = [Fraction(24000, 1001), Fraction(25), Fraction(50), Fraction(60)]


def noise(height, width, frames=4):
    """Return two views ``[2, N, H, W, 3]`` that no codec compresses well."""
    random = torch.Generator().manual_seed(0)
    return torch.rand(2, frames, height, width, 3, generator=random)


def flat(height, width, frames=4):
    """Return a red left view and a blue right one."""
    views = torch.zeros(2, frames, height, width, 3)
    views[0, ..., 0] = views[1, ..., 2] = 0.8
    return views


def made(folder, host, name, views, fps=25, **given):
    """Write a file for a device; return it."""
    chosen = settings(device=name, speed="fast", **given)
    path = folder / f"film{options.extension(chosen)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scaled frames
        clip = stereoreel.from_tensor(views, fps, cuts=False)
        [path] = write(RenderRequest(clip, path, chosen), host)
    return path


def entry_of(path):
    """Return the boxes of a file's video sample description."""
    found = bodies(path.read_bytes())[b"moov"]
    for name in (b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        found = bodies(found)[name]
    [body] = bodies(found[8:]).values()
    return bodies(body[78:])


def level_of(inside):
    """Return the level in the configuration record of H.264 or HEVC, and whether its tier is the high one."""
    if b"avcC" in inside:
        return inside[b"avcC"][3] / 10, False
    return inside[b"hvcC"][12] / 30, bool(inside[b"hvcC"][1] & 0x20)


def facts_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(packet.size, packet.is_keyframe) for packet in container.demux(stream) if packet.size]
        context = stream.codec_context
        return context.name, (context.width, context.height), container.metadata, packets


# The entries


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_names_its_source(name):
    one = devices()[name]
    stated = {"options", *(part for part in ("shape", "panel") if getattr(one, part))}
    for limits in (one.limits, *one.codecs.values()):
        assert isinstance(limits, (FrameLimits, CodecLimits))
        stated |= {field.name for field in fields(limits) if getattr(limits, field.name)}
    assert stated == set(one.sources) and all(len(source) > 10 for source in one.sources.values())
    assert one.title and one.text.endswith(".") and one.copy
    assert resolve(ComfortOptions, {"device": name}).screen == one.screen
    assert resolve(ComfortOptions, {"device": name, "screen": "cinema"}).screen == "cinema"


@pytest.mark.parametrize("name", NAMES)
def test_device_sets_what_is_at_its_default_and_nothing_else(name):
    plain, chosen = settings(), settings(device=name)
    changed = {key for key, value in vars(plain).items() if vars(chosen)[key] != value}
    assert changed <= {"device", *devices()[name].options}
    assert all(getattr(chosen, key) == value for key, value in devices()[name].options.items())
    by_hand = settings(device=name, format="ffv1", layout="full_tb", crf=3)
    assert (by_hand.format, by_hand.layout, by_hand.crf) == ("ffv1", "full_tb", 3)
    assert settings(device=NONE) == plain


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("width, height", SIZES)
def test_frames_of_any_size_are_made_to_fit(name, fps, width, height):
    chosen, device = settings(device=name), devices()[name]
    entry = presets()[chosen.format]
    info = ClipInfo(width, height, fps, 10, views=2)
    canvas, inner = placed(info, chosen, device, entry)
    size = output_size(info.replace(width=canvas[0], height=canvas[1]), chosen)
    limits, codec = device.limits, device.of_codec(entry.codec)
    pixels = -(-size[0] // 16) * -(-size[1] // 16) * 256
    assert size[0] <= (limits.width or 1 << 20) and size[1] <= (limits.height or 1 << 20)
    assert pixels <= (codec.picture or 1 << 40) and pixels * fps <= (codec.rate or 1 << 40)
    assert inner[0] <= canvas[0] and inner[1] <= canvas[1]
    # to the pixel that even sizes need
    assert abs(inner[0] * height - inner[1] * width) <= 2 * max(width, height)
    if device.shape:
        assert canvas[0] * device.shape[1] == canvas[1] * device.shape[0]
    elif not device.panel and (width, height) != inner:
        # no even width more would fit
        larger = inner[0] + 2, 2 * round((inner[0] + 2) * height / width / 2)
        size = output_size(info.replace(width=larger[0], height=larger[1]), chosen)
        assert not (device.limits.holds(*size) and codec.holds(*size, fps))


def test_frames_that_fit_are_not_touched():
    clip = stereoreel.from_tensor(noise(72, 128), 25, cuts=False)
    for name in (NONE, "meta_quest", "tv_3d_tb", "youtube_3d", "apple_vision_pro"):
        chosen = settings(device=name)
        if name != "tv_3d_tb":
            assert fit_to_file(clip, chosen) == (clip, [])
    larger = stereoreel.from_tensor(noise(72, 128), 25, cuts=False)
    fitted, losses = fit_to_file(larger, settings(device="tv_3d_tb"))
    assert (fitted.info.width, fitted.info.height) == (128, 72) and not losses


def test_help_page_says_where_each_file_goes():
    page = (ROOT / "web" / "docs" / "StereoReelEncode.md").read_text(encoding="utf-8")
    for name, device in devices().items():
        start, end = f"| `{name}` | `{device.options['format']}`", f"| {device.copy} |"
        [row] = [line for line in page.splitlines() if line.startswith(start) and line.endswith(end)]
        for codec in device.codecs.values():
            assert not codec.bits or f"{codec.bits // 1000} Mbit/s" in row
        assert not device.limits.width or f"{device.limits.width} x {device.limits.height}" in row


# Files


@pytest.mark.parametrize("name", NAMES)
def test_file_is_what_the_device_plays(tmp_path, host, name):
    device, chosen = devices()[name], settings(device=name)
    codec = device.of_codec(presets()[chosen.format].codec)
    path = made(tmp_path, host, name, noise(136, 240))
    found, size, tags, _ = facts_of(path)
    inside, printed = entry_of(path), decoded_by_ffmpeg(path)
    assert kind(found) == kind(presets()[chosen.format].codec)
    assert tags["stereoreel_device"] == name
    level, high = level_of(inside)
    if codec.level:
        assert level <= float(codec.level) and (not high or codec.tier == "high")
    if device.limits.width:
        assert size[0] <= device.limits.width and size[1] <= device.limits.height
    STATED[name](size, inside, printed)
    assert chosen.file_tag(2) == file_tag("mv_hevc" if b"lhvC" in inside else chosen.layout)


def _layers(size, inside, printed):
    assert size == (240, 136) and "(multilayer)" in printed and "baseline: 63000" in printed
    assert {b"hvcC", b"lhvC", b"vexu", b"hfov"} <= set(inside)


def _full(size, inside, printed):
    assert size == (480, 136) and inside[b"st3d"][4] == 2 and "side by side" in printed


def _television(arrangement):
    def check(size, inside, printed):
        assert size[0] * 9 == size[1] * 16 and arrangement in printed and b"st3d" not in inside

    return check


def _panel(size, inside, printed):
    assert size == (1920, 1080) and "yuv444p" in printed and b"st3d" not in inside


def _sphere(size, inside, printed):
    assert size[0] == 2 * size[1] and inside[b"st3d"][4] == 2
    projection = bodies(bodies(inside[b"sv3d"])[b"proj"])[b"equi"]
    assert projection[4:].hex() == "00000000" * 2 + "40000000" * 2


def _anaglyph(size, inside, printed):
    assert size == (240, 136) and "yuv444p" in printed


def _crossed(size, inside, printed):
    assert size == (480, 136) and b"st3d" not in inside


STATED = {
    "apple_vision_pro": _layers,
    "meta_quest": _full,
    "android_xr": _layers,
    "tv_3d_sbs": _television("side by side"),
    "tv_3d_tb": _television("top and bottom"),
    "passive_3d": _panel,
    "youtube_3d": _full,
    "youtube_vr180": _sphere,
    "cardboard": _full,
    "anaglyph_glasses": _anaglyph,
    "cross_eyed": _crossed,
}


@pytest.mark.parametrize(
    "name, size, fps, units", [("tv_3d_sbs", (288, 512), 15, 4), ("meta_quest", (200, 360), 60, 1)]
)
def test_bit_rate_stays_within_the_limit_at_every_moment(tmp_path, host, name, size, fps, units):
    """Also of several units in a row, each of which begins with a full buffer."""
    codec = devices()[name].of_codec(presets()[settings(device=name).format].codec)
    path = made(tmp_path, host, name, noise(*size, 60), fps, crf=0)
    sizes = [8 * size for size, _ in facts_of(path)[3]] * units
    total = [0, *accumulate(sizes)]
    rate, buffer = 1000 * codec.bits / fps, 1000 * codec.buffer
    worst = max(
        total[stop] - total[start] - (stop - start) * rate
        for start in range(len(sizes))
        for stop in range(start + 1, len(total))
    )
    assert worst <= buffer and len(sizes) == 60 * units
    assert sum(sizes) > 0.8 * rate * len(sizes)  # the limit was needed


def test_level_limits_how_many_frames_are_referred_to(tmp_path, host):
    """At this size x264's slow preset refers to five frames, which takes level 5."""
    clip = stereoreel.from_tensor(flat(1080, 1920, 2), 24, cuts=False)
    request = RenderRequest(clip, tmp_path / "film.mp4", settings(device="tv_3d_sbs", speed="best"))
    [path] = write(request, host)
    assert facts_of(path)[1] == (1920, 1080) and level_of(entry_of(path))[0] == 4.1
    plain = replace(request, path=tmp_path / "plain.mp4", settings=replace(request.settings, device=NONE))
    assert level_of(entry_of(write(plain, host)[0]))[0] == 5.0


def test_size_in_megabytes_keeps_the_bit_rate(tmp_path, host):
    path = made(tmp_path, host, "cardboard", noise(68, 120, 25), 25, size_mb=1.0)
    assert level_of(entry_of(path))[0] <= 4.0 and path.stat().st_size <= 1_000_000


def test_youtube_has_a_key_frame_every_half_second(tmp_path, host):
    path = made(tmp_path, host, "youtube_3d", flat(48, 64, 60), 24)
    keys = [key for _, key in facts_of(path)[3]]
    places = [place for place, key in enumerate(keys) if key]
    assert max(later - earlier for earlier, later in zip(places, [*places[1:], 60])) <= 12
    with av.open(str(path)) as container:
        kinds = "".join(PictureType(frame.pict_type).name for frame in container.decode(video=0))
    assert "BBB" not in kinds and "B" in kinds


@pytest.mark.parametrize("name, axis", [("tv_3d_tb", 1), ("tv_3d_sbs", 2)])
def test_bars_are_alike_in_both_halves_of_a_television(tmp_path, host, name, axis):
    """A set that stretches either half must find the picture at the same place in both."""
    path = made(tmp_path, host, name, flat(128, 320))
    with av.open(str(path)) as container:
        frame = torch.from_numpy(next(container.decode(video=0)).to_ndarray(format="rgb24")).float()[None]
    left, right = frame.chunk(2, axis)
    red, blue = left[0, ..., 0] > 100, right[0, ..., 2] > 100
    assert (red == blue).float().mean() > 0.97 and 0.5 < red.float().mean() < 0.9
    edges = red.flip(0).float().mean(1) - red.float().mean(1)
    assert not red[0].any() and edges.abs().max() < 0.1  # in the middle


def test_rows_of_a_passive_screen_are_the_views_in_turn(tmp_path, host):
    path = made(tmp_path, host, "passive_3d", flat(108, 192))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert frame.shape == (1080, 1920, 3)
    assert (frame[::2, :, 0] > 150).all() and (frame[1::2, :, 2] > 150).all()
    assert (frame[::2, :, 2] < 60).all() and (frame[1::2, :, 0] < 60).all()


def test_one_view_is_not_enlarged_for_a_passive_screen():
    clip = stereoreel.from_tensor(flat(24, 32)[0], 25, cuts=False)
    assert fit_to_file(clip, settings(device="passive_3d")) == (clip, [])


def test_large_frames_are_scaled_and_the_warning_says_so(tmp_path, host):
    clip = stereoreel.from_tensor(noise(24, 3000, 2), 25, cuts=False)
    request = RenderRequest(clip, tmp_path / "film.mp4", settings(device="cardboard", speed="fast"))
    assert request.choice == (
        "For cardboard phone: h264, full_sbs, 1920 x 8 pixels, for the comfort of a phone screen."
    )
    with pytest.warns(
        UserWarning, match=r"For cardboard phone, the frames are scaled from 3000 x 24 to 960 x 8"
    ):
        [path] = write(request, host)
    assert facts_of(path)[1] == (1920, 8)


def test_rate_that_a_device_does_not_play_is_refused(tmp_path, host):
    with pytest.raises(ValueError, match=r"3D television.*at most 60 frames.*has 120.*target_fps to 60"):
        made(tmp_path, host, "tv_3d_sbs", noise(32, 64), 120)
    assert not list(tmp_path.iterdir())


def test_youtube_takes_any_rate(tmp_path, host):
    path = made(tmp_path, host, "youtube_3d", flat(32, 64, 12), 120)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 120


def test_a_clock_that_is_a_little_fast_is_not_refused(tmp_path, host):
    """As in films of phones, whose average is taken."""
    made(tmp_path, host, "tv_3d_sbs", flat(32, 64), Fraction(60021, 1000))
    with pytest.raises(ValueError, match=r"has 61"):
        made(tmp_path, host, "tv_3d_tb", flat(32, 64), 61)


def test_python_names_the_device_and_the_suffix_follows(tmp_path):
    clip = stereoreel.from_tensor(noise(64, 128), 25, cuts=False)
    [path] = stereoreel.write(clip, tmp_path / "film.mov", watch_on="apple_vision_pro", speed="fast")
    assert "(multilayer)" in decoded_by_ffmpeg(path)
    with pytest.raises(ValueError, match=r"mv_hevc writes \.mov files"):
        stereoreel.write(clip, tmp_path / "film.mp4", watch_on="apple_vision_pro")
    with pytest.raises(ValueError, match="device must be one of none, apple_vision_pro"):
        stereoreel.write(clip, tmp_path / "film.mp4", watch_on="a toaster")


@pytest.mark.parametrize("name", devices())
def test_every_device_supports_a_size(name):
    """So that the canvas need not judge the two together when a prompt is queued."""
    assert settings(device=name, size_mb=5).size_mb == 5
