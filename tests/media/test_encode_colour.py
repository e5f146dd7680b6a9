"""Colours of encoded files: standard codes, their tags, and the accuracy when read back."""

import re
import subprocess
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stereoreel.core.clip import Clip, ClipInfo, Color, Light
from stereoreel.media.colour import KNOWS_2020
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write.options import extension
from stereoreel.media.write.picture import Pictures
from stereoreel.media.write.presets import presets
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from tests.support.encoded_files import encode, read, settings
from tests.support.media_files import to_yuv, write_video

# those for films, not for previews
FORMATS = tuple(name for name, entry in presets().items() if not entry.limits and entry.extension)


@pytest.mark.parametrize(
    "color",
    [Color(), Color(6, 6, 6), Color(5, 6, 5), Color(9, 14, 9)],
    ids=["709", "601-525", "601-625", "2020"],
)
@pytest.mark.parametrize("name", FORMATS)
def test_flat_patches_within_2_of_255_and_correct_tags(tmp_path, name, color):
    if color.matrix == 9 and name != "ffv1" and int(av.__version__.split(".")[0]) < KNOWS_2020:
        pytest.skip(f"PyAV {av.__version__} has no BT.2020 matrix; a warning says so")
    levels = torch.tensor([0, 64, 191, 255]) / 255
    patches = torch.cartesian_prod(levels, levels, levels).reshape(8, 8, 3)
    picture = patches.repeat_interleave(48, 0).repeat_interleave(48, 1).expand(3, -1, -1, -1)
    facts, frames = read(
        encode(tmp_path, picture, format=name, info=ClipInfo(384, 384, Fraction(25), 3, color=color)), color
    )
    assert np.abs(frames[-1, 24::48, 24::48] - patches.numpy()).max() * 255 < 2.5
    tags = (
        (color.primaries, color.transfer, 0, 2)
        if name == "ffv1"
        else (color.primaries, color.transfer, color.matrix, 1)
    )
    assert facts["color"] == facts["frame_color"] == tags


@pytest.mark.parametrize("color", [Color(), Color(6, 6, 6), Color(9, 14, 9)], ids=["709", "601", "2020"])
@pytest.mark.parametrize("name", FORMATS)
def test_colour_bars_within_one_level(tmp_path, host, name, color):
    if color.matrix == 9 and name != "ffv1" and int(av.__version__.split(".")[0]) < KNOWS_2020:
        pytest.skip(f"PyAV {av.__version__} has no BT.2020 matrix; a warning says so")
    # 100 % and 75 %
    bars = torch.stack([torch.cartesian_prod(*[torch.tensor([0.0, level])] * 3) for level in (1, 191 / 255)])
    picture = bars.repeat_interleave(64, 0).repeat_interleave(32, 1).expand(2, -1, -1, -1)
    path = encode(tmp_path, picture, format=name, info=ClipInfo(256, 128, Fraction(25), 2, color=color))
    found = torch.cat(list(FileSource(path, cuts=False).chunks(host, 2)))[-1, 32::64, 16::32]
    assert (found - bars).abs().max() * 255 < 1.01


@pytest.mark.parametrize("pix_fmt, bits", [("yuv444p", 8), ("yuv444p10le", 10)])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_encoder_receives_standard_codes(matrix, pix_fmt, bits):
    if matrix == 9 and int(av.__version__.split(".")[0]) < KNOWS_2020:
        pytest.skip(f"PyAV {av.__version__} has no BT.2020 matrix; a warning says so")
    levels = torch.tensor([0, 64, 128, 191, 255])
    patches = torch.cartesian_prod(levels, levels, levels)[None]
    pictures = Pictures((125 * 16, 16), Color(matrix, matrix, matrix), pix_fmt)
    picture = (patches / 255).repeat_interleave(16, 0).repeat_interleave(16, 1)
    frame = pictures.frame(pictures.quantize(picture), 0, Fraction(1, 25))
    planes = [
        np.frombuffer(plane, np.uint8 if bits == 8 else np.uint16).reshape(16, -1)[8, 8:2000:16]
        for plane in frame.planes
    ]
    wrong = np.abs(np.stack(planes, -1) - to_yuv(patches[0].numpy(), matrix, False, bits))
    assert wrong.max() <= 1 and wrong.mean() < 0.1  # swscale's rounding
    assert not wrong[[0, -1]].any()  # black and white


@pytest.mark.parametrize("pix_fmt, white", [("yuv444p", 255), ("yuv444p10le", 65280), ("gbrp16le", 65535)])
def test_light_beyond_white_is_white(pix_fmt, white):
    picture = torch.tensor([1, 1.5, 1e9, torch.inf, -torch.inf, -0.5, torch.nan, 0.2]).view(1, 8, 1)
    levels = Pictures((8, 4), Color(), pix_fmt).quantize(picture.expand(4, 8, 3))[0, :, 0]
    assert levels.tolist() == [white] * 4 + [0] * 3 + [round(0.2 * white)]


@pytest.mark.parametrize("transfer", [16, 18], ids=["PQ", "HLG"])
@pytest.mark.parametrize("name", ["hevc", "av1", "prores", "hevc_444", "ffv1"])
def test_ten_bit_hdr_keeps_its_levels_and_tags(tmp_path, host, name, transfer):
    if int(av.__version__.split(".")[0]) < KNOWS_2020:
        pytest.skip(f"PyAV {av.__version__} has no BT.2020 matrix; a warning says so")
    gray = np.repeat(np.linspace(0, 255, 16).astype(np.uint8), 16)[None, None, :, None]
    source = write_video(
        tmp_path / "source.mp4",
        np.broadcast_to(gray, (8, 64, 256, 3)),
        25,
        codec="libx265",
        pix_fmt="yuv420p10le",
        matrix=9,
        color=(9, transfer, 9),
        options={"x265-params": "lossless=1:log-level=error"},
    )
    clip = FileSource(source, cuts=False)
    before = torch.cat(list(clip.chunks(host, 8)))
    path = encode(tmp_path, before, info=clip.info, format=name, crf=1)
    assert read(path)[0]["color"][:2] == (9, transfer)
    after = FileSource(path, cuts=False)
    assert after.info.color == Color(9, transfer, 9)
    assert (torch.cat(list(after.chunks(host, 8))) - before).abs().max() * 1023 < 3


def test_ffv1_is_lossless_for_every_8_and_10_bit_level(tmp_path):
    levels = torch.cat((torch.arange(1024) / 1023, torch.arange(256) / 255)).reshape(1, 20, 64, 1)
    frames = read(encode(tmp_path, levels.expand(-1, -1, -1, 3), format="ffv1"))[1]
    assert np.array_equal(np.round(frames.flatten()[:3072] * 1023), np.arange(1024).repeat(3))
    assert np.array_equal(np.round(frames.flatten()[3072:] * 255), np.arange(256).repeat(3))


# HDR10's static metadata

FRACTIONS = [Fraction(text) for text in (".68", ".32", ".265", ".69", ".15", ".06", ".3127", ".329")]
DISPLAY_P3 = Light(tuple(FRACTIONS), (Fraction("0.005"), Fraction(1000)), (1203, 401))
X265_P3 = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1203,401"
)


def hdr(path, words=X265_P3):
    picture = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, None, :, None], (4, 64, 64, 3))
    return write_video(
        path,
        picture,
        25,
        codec="libx265",
        pix_fmt="yuv420p10le",
        color=(9, 16, 9),
        options={"x265-params": f"log-level=error:{words}"},
    )


def near(light, wanted):
    pairs = zip((*light.primaries, *light.luminance), (*wanted.primaries, *wanted.luminance), strict=True)
    return light.levels == wanted.levels and all(
        abs(a - b) <= max(Fraction(2, 65536), b / 4000) for a, b in pairs
    )


@pytest.mark.parametrize("name", ["hevc", "hevc_444", "av1"])
@pytest.mark.parametrize("given", [{}, {"size_mb": 0.05}], ids=["quality", "size"])
def test_hdr10_display_and_light_levels_are_kept(tmp_path, host, name, given):
    clip = Clip(FileSource(hdr(tmp_path / "source.mp4"), cuts=False))
    assert clip.info.color == Color(9, 16, 9, DISPLAY_P3)
    (path,) = write(
        RenderRequest(clip, tmp_path / "film.mp4", settings(format=name, speed="fast", **given)), host
    )
    found = FileSource(path, cuts=False).info.color
    assert (found.primaries, found.transfer, found.matrix) == (9, 16, 9) and near(found.light, DISPLAY_P3)


@pytest.mark.parametrize("name", ["hevc", "av1"])
def test_light_levels_without_a_display_are_kept(tmp_path, host, name):
    clip = Clip(FileSource(hdr(tmp_path / "source.mp4", "max-cll=1203,401"), cuts=False))
    (path,) = write(RenderRequest(clip, tmp_path / "film.mp4", settings(format=name, speed="fast")), host)
    assert FileSource(path, cuts=False).info.color.light == Light(levels=(1203, 401))


@pytest.mark.parametrize("name", ["h264", "prores", "ffv1"])
def test_formats_without_hdr10_metadata_keep_the_tags(tmp_path, host, name):
    clip = Clip(FileSource(hdr(tmp_path / "source.mp4"), cuts=False))
    (path,) = write(
        RenderRequest(clip, tmp_path / f"film{extension(settings(format=name))}", settings(format=name)), host
    )
    found = FileSource(path, cuts=False).info.color
    assert found == Color(9, 16, 9)
    assert (
        FileSource(encode(tmp_path, torch.rand(2, 64, 64, 3), format="hevc"), cuts=False).info.color
        == Color()
    )


@pytest.mark.parametrize("name", ["h264", "hevc"])
def test_chroma_is_read_from_where_it_was_written(tmp_path, name, host):
    """Untagged, readers look for it half a pixel to the left, and every generation moves it further."""
    coarse = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    picture = F.interpolate(coarse, (72, 96), mode="bicubic").clamp(0, 1).movedim(1, -1)
    path = encode(tmp_path, picture.expand(3, -1, -1, -1), format=name, crf=4)
    [found] = FileSource(path, cuts=False).chunks(host, 3)
    error = float((found[0].float() - picture[0]).square().mean())
    assert error < 1e-4 or int(av.__version__.split(".")[0]) < KNOWS_2020  # 40 dB; untagged, 30 dB


def test_all_encoders_of_h264_and_h265_name_the_place_of_chroma():
    """Those of graphics cards too; AV1 has no code for the middle, ProRes none at all."""
    for name, entry in presets().items():
        for one in (entry, *entry.hardware):
            if re.search("264|265|hevc", one.codec) and re.match("yuv420|nv12|p010", one.pix_fmt):
                assert one.options.get("chroma_sample_location") == "center", (name, one.codec)


@pytest.mark.parametrize("name", ["h264", "hevc", "mv_hevc_8bit"])
def test_ffmpeg_reads_that_chroma_lies_in_the_middle(tmp_path, name):
    path = encode(
        tmp_path, torch.rand(2, 3, 64, 96, 3) if "mv" in name else torch.rand(3, 64, 96, 3), format=name
    )
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "verbose", "-i", str(path), "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    [stream, *_] = [line for line in said.splitlines() if "Video:" in line]
    assert re.search(r"yuv420p(10le)?\([^)]*center", stream), stream
