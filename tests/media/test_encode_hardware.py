"""Hardware encoders, without the hardware: their options are valid, and the fallback works."""

import logging
import sys
from dataclasses import replace
from fractions import Fraction

import av
import av.error
import numpy as np
import pytest
import torch

from stereoreel.core.clip import ClipInfo, Samples
from stereoreel.media.read.clock import Clock
from stereoreel.media.write import hardware as cards
from stereoreel.media.write.codec import Rate, codec_options, configure
from stereoreel.media.write.options import preset
from stereoreel.media.write.picture import Pictures
from stereoreel.media.write.presets import Preset, Quality, presets
from tests.support.encoded_files import encode, gray, packets, read, settings

ENTRIES = [(name, entry) for name, software in presets().items() for entry in software.hardware]
HERE = [(name, entry) for name, entry in ENTRIES if entry.codec in av.codecs_available]
INFO = ClipInfo(640, 480, Fraction(25), 10)


def ids(value):
    return value.codec if isinstance(value, Preset) else ""


def opening(name, entry, options):
    """Return FFmpeg's answer to these options, which it reads before it looks for a graphics card."""
    context = av.CodecContext.create(entry.codec, "w")
    configure(context, entry, Pictures((640, 480), INFO.color, entry.pix_fmt), Clock(INFO), None)
    context.options = options
    try:
        context.open()
    except av.error.FFmpegError as error:
        return error
    return None


@pytest.mark.parametrize("speed", ["fast", "balanced", "best"])
@pytest.mark.parametrize("crf", [-1, 0, 63])
@pytest.mark.parametrize("name, entry", HERE, ids=ids)
def test_encoder_knows_every_value(name, entry, crf, speed):
    for rate in (None, Rate(1_000_000)):
        options = codec_options(INFO, settings(format=name, crf=crf, speed=speed), entry, rate)
        assert not isinstance(opening(name, entry, options), av.error.ArgumentError), options


@pytest.mark.parametrize("name, entry", HERE, ids=ids)
def test_encoder_has_every_option(name, entry):
    for rate in (None, Rate(1_000_000)):
        for option in codec_options(INFO, settings(format=name), entry, rate):
            assert isinstance(opening(name, entry, {option: "nonsense"}), av.error.ArgumentError), option


@pytest.mark.parametrize("name, entry", HERE, ids=ids)
def test_encoder_accepts_its_pixel_format(name, entry):
    codec = av.Codec(entry.codec, "w")
    assert entry.pix_fmt in [known.name for known in codec.video_formats]
    software = av.video.format.VideoFormat(preset(settings(format=name)).pix_fmt)
    mine = av.video.format.VideoFormat(entry.pix_fmt)
    assert mine.components[0].bits == software.components[0].bits
    assert (mine.chroma_width(16), mine.chroma_height(16)) == (
        software.chroma_width(16),
        software.chroma_height(16),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="which encoders a build has differs")
def test_linux_wheels_include_nvidia_intel_and_amd():
    if int(av.__version__.split(".")[0]) < 18:
        pytest.skip(f"PyAV {av.__version__} has fewer")
    assert {entry.codec for _, entry in HERE} == {
        f"{codec}_{card}" for codec in ("h264", "hevc", "av1") for card in ("nvenc", "qsv", "amf")
    }


def test_quality_scale_of_every_encoder():
    for name, entry in ENTRIES:
        for option in ("qp_i", "cq", "global_quality"):
            values = [
                float(codec_options(INFO, settings(format=name, crf=crf), entry).get(option, 0))
                for crf in (10, 20, 40)
            ]
            assert values == sorted(values, reverse=entry.crf.step < 0)
        assert min(values) >= 0


# What happens where there is none


@pytest.mark.parametrize("name", ["h264", "hevc", "av1", "prores", "h264_444"])
def test_software_fallback_is_logged(tmp_path, caplog, name):
    if any(
        not cards.refusal(INFO, settings(format=name), entry, (640, 480))
        for entry in presets()[name].hardware
    ):
        pytest.skip("this machine has a card that encodes it")
    with caplog.at_level(logging.INFO):
        asked = encode(
            tmp_path, gray(5, 64, 64), format=name, hardware=True, audio=Samples(gray(1)[0, :1, :, 0], 8000)
        )
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.startswith(f"No hardware encoder for {name} (") and message.endswith(
        f"); using {presets()[name].codec}."
    )
    assert "\n" not in message
    assert all(f"{entry.codec}: " in message for entry in presets()[name].hardware)
    assert len(read(asked)[1]) == 5 and packets(asked)[0]
    with caplog.at_level(logging.INFO):
        plain = asked.rename(tmp_path / "asked").read_bytes()
        assert (
            encode(
                tmp_path, gray(5, 64, 64), format=name, audio=Samples(gray(1)[0, :1, :, 0], 8000)
            ).read_bytes()
            == plain
        )


@pytest.fixture
def card(monkeypatch):
    """Provide a preset whose third encoder opens, software that stands in for a card.

    The first encoder is missing and the second refuses the frames.
    """
    plain = replace(presets()["h264"], crf=None, speeds=None, passes=None, options={}, pix_fmt="nv12")
    cards = (
        replace(plain, codec="h264_of_tomorrow"),
        replace(plain, options={"x264-params": "nonsense", "preset": "none such"}),
        replace(plain, crf=Quality(("qmin", "qmax"), default=9, best=0, worst=51, first=2, step=2)),
    )
    entry = replace(presets()["h264"], hardware=cards)
    monkeypatch.setitem(presets(), "h264", entry)


def test_first_working_encoder_is_used(tmp_path, caplog, card):
    entry = cards.chosen(INFO, settings(hardware=True), (640, 480))
    assert codec_options(INFO, settings(hardware=True), entry) == {"qmin": "20", "qmax": "20"}
    with caplog.at_level(logging.INFO):
        path = encode(tmp_path, gray(10), hardware=True, audio=Samples(gray(1)[0, :1, :, 0], 8000))
    assert [record.getMessage() for record in caplog.records] == ["Encoding with libx264."]
    facts, frames = read(path)
    assert [round((float(frame.mean()) * 255 - 8) / 2) for frame in frames] == list(range(10))
    assert facts["color"] == facts["frame_color"] == (1, 1, 1, 1) and packets(path)[0]


@pytest.mark.parametrize("name, pix_fmt", [("h264", "nv12"), ("hevc", "p010le")])
def test_hardware_pixel_format_holds_the_same_colours(name, pix_fmt):
    picture = torch.rand(48, 64, 3, generator=torch.Generator().manual_seed(1))
    planes = []
    for form in (presets()[name].pix_fmt, pix_fmt):
        pictures = Pictures((64, 48), INFO.color, form)
        frame = pictures.frame(pictures.quantize(picture), 0, Fraction(1, 25))
        frame = frame.reformat(format=presets()[name].pix_fmt)
        depth = np.uint8 if pix_fmt == "nv12" else np.uint16
        lines = (
            np.frombuffer(plane, depth).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes
        )
        planes.append(np.concatenate([line.flatten().astype(int) for line in lines]))
    assert np.abs(planes[0] - planes[1]).max() <= 1
