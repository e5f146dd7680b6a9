"""Two views in layers of HEVC: the bits of headers and boxes, and what FFmpeg makes of the files."""

import struct
import warnings
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
import torch

import stereoreel
from stereoreel.core.clip import Clip, ClipInfo, Color, Light, Samples, Soundtrack, apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.transforms import Split
from stereoreel.media.bits import BitReader, BitWriter
from stereoreel.media.layouts.atoms import bodies
from stereoreel.media.layouts.vr180 import sphere_side
from stereoreel.media.multiview import nal_units, parameter_sets, spatial
from stereoreel.media.multiview import views as stream_views
from stereoreel.media.multiview.parameter_sets import PictureFormat
from stereoreel.media.read.clock import Clock
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write import layers, options
from stereoreel.media.write.codec import codec_options, configure
from stereoreel.media.write.encode import output_size
from stereoreel.media.write.picture import Pictures
from stereoreel.media.write.presets import presets
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from tests.media.workshop import decoded_by_ffmpeg
from tests.support.encoded_files import BT709, encode, heard, rgb, settings
from tests.support.media_files import moving, tone, write_video

FORMATS = options.LAYERED
# the video parameter sets of x265, and the same with two views, which FFmpeg decodes
VPS = "40010c01ffff02200000030090000003000003001e959809"
VPS_8 = "40010c01ffff01600000030090000003000003001e959809"
TWO_VIEWS_8 = (
    "40010c11ffff01600000030090000003000003001e959815bf1e2000"
    "0454383010000005fc00000300000300f4680200024500f2d14acd48"
)
TWO_VIEWS = "40010c11ffff02200000030090000003000003001e959815bf1e2000045429c010001029128a566a40"


def noise(frames=12, height=128, width=128, seed=0):
    """Return two views in which x265 sees cuts, at other places in each.

    Below 128 pixels x265 gives other bytes in every run.
    """
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, frames, height // 8, width // 8, 3, generator=random)
    still = torch.arange(frames) // 5 % 2 == 0
    coarse[0, still], coarse[1, ~still] = 0.25, 0.75
    return coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)


def decoded(path, **given):
    """Return every frame's samples and time; with ``view_ids="-1"`` both views of a frame, left first."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = given
        return [
            (frame.pts * Fraction(frame.time_base), frame.to_ndarray()) for frame in container.decode(stream)
        ]


def both(path):
    frames = decoded(path, view_ids="-1")
    assert [time for time, _ in frames[::2]] == [time for time, _ in frames[1::2]]
    return frames[::2], frames[1::2]


def plain(view, fps=25, cuts=(), **given):
    """Encode one view [N, H, W, 3] with PyAV alone; return the samples of the decoded frames."""
    chosen = settings(**given)
    entry = presets()[chosen.format]
    info = ClipInfo(view.shape[2], view.shape[1], Fraction(fps), len(view))
    clock, pictures = Clock(info), Pictures((info.width, info.height), info.color, entry.pix_fmt)
    encoder = av.CodecContext.create(entry.codec, "w")
    encoder.options = codec_options(info, chosen, entry)
    configure(encoder, entry, pictures, clock, None)
    kinds, packets = layers.FrameTypes(info.fps, cuts), []
    for index, picture in enumerate(view):
        frame = pictures.frame(pictures.quantize(picture), clock.tick(index), clock.unit)
        frame.pict_type = kinds.take(index)
        packets += encoder.encode(frame)
    stream = b"".join(bytes(packet) for packet in [*packets, *encoder.encode(None)])
    with av.open(BytesIO(stream), format="hevc") as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def same(found, wanted):
    return len(found) == len(wanted) and all(
        np.array_equal(one[1], other) for one, other in zip(found, wanted)
    )


# Bits and boxes


def test_bits_are_read_as_written():
    writer = BitWriter()
    values = [*range(70), 2**16, 2**31]
    for value in values:
        writer.ue(value)
    writer.u(48, 3)  # 00 00 00 00 00 03
    unit = writer.unit(b"\x40\1")
    assert b"\0\0\0" not in unit and b"\0\0\1" not in unit and b"\0\0\2" not in unit
    reader = BitReader(unit[2:])
    assert [reader.ue() for _ in values] == values and reader.u(48) == 3 and reader.u(1) == 1
    with pytest.raises(ValueError, match="8 does not fit into 3 bits"):
        writer.u(3, 8)


@pytest.mark.parametrize(
    "plain, pictures, wanted",
    [
        (VPS, PictureFormat(64, 64, 1, 2, 2), TWO_VIEWS),
        (VPS_8, PictureFormat(64, 72, 1, 0, 0, (0, 0, 0, 4)), TWO_VIEWS_8),
    ],
    ids=["10 bits", "8 bits"],
)
def test_video_parameter_set_has_the_expected_bytes(plain, pictures, wanted):
    found = parameter_sets.two_views(bytes.fromhex(plain), pictures)
    assert found.hex() == wanted
    with pytest.raises(ValueError, match="layers already"):
        parameter_sets.two_views(found, pictures)


def test_profile_of_the_second_layer_is_apples():
    # as in the video parameter set of Apple's encoder, for 8 bits
    assert f"{parameter_sets.MULTIVIEW_MAIN:022x}" == "0602000000bf8000000000"


def test_message_on_the_views_is_apples():
    # as in the hvcC that Apple's encoder writes
    assert parameter_sets.reference_displays().hex() == "4e01b004040d002080"


def test_unit_changes_only_its_layer():
    for kind in (0, 19, 33, 63):
        unit = bytes((kind << 1, 1)) + b"body"
        for layer in (1, 32, 63):
            moved = nal_units.moved(unit, layer)
            assert (nal_units.kind(moved), nal_units.layer(moved), moved[2:]) == (kind, layer, b"body")
            assert nal_units.moved(moved, 0) == unit


def test_boxes_have_the_expected_bytes():
    filmed = spatial.Spatial(19_240, 200, 63_400)
    eyes = (
        "0000000d" + b"stri".hex() + "00000000" + "03",
        "0000000d" + b"hero".hex() + "00000000" + "01",
        "00000018" + b"cams".hex() + "00000010" + b"blin".hex() + "00000000" + "00004b28",
        "00000018" + b"cmfy".hex() + "00000010" + b"dadj".hex() + "00000000" + "000000c8",
    )
    assert spatial.extended_usage(filmed).hex() == (
        "0000005a" + b"vexu".hex() + "00000052" + b"eyes".hex() + "".join(eyes)
    )
    assert spatial.field_of_view(filmed).hex() == "0000000c" + b"hfov".hex() + "0000f7a8"
    half = spatial.extended_usage(spatial.Spatial(half_sphere=True, disparity=-200))
    assert b"cams" not in half and b"dadj" + bytes(4) + struct.pack(">i", -200) in half
    assert half.endswith(
        bytes.fromhex("00000018") + b"proj" + struct.pack(">I", 16) + b"prji" + bytes(4) + b"hequ"
    )


def test_records_hold_both_layers(tmp_path):
    inside = entry_of(encode(tmp_path, noise(2), format="mv_hevc"))
    assert list(inside)[:2] == [b"hvcC", b"lhvC"] and list(inside)[-2:] == [b"vexu", b"hfov"]
    base = spatial.parameter_sets(inside[b"hvcC"])
    assert list(base) == [nal_units.VPS, nal_units.SPS, nal_units.PPS, nal_units.PREFIX_SEI]
    assert all(len(units) == 1 and nal_units.layer(units[0]) == 0 for units in base.values())
    assert inside[b"lhvC"][:6].hex() == "01f000fccf02"
    second = spatial.parameter_sets(inside[b"hvcC"][:22] + inside[b"lhvC"][5:])
    assert second == {kind: [nal_units.moved(base[kind][0], 1)] for kind in (nal_units.SPS, nal_units.PPS)}


# what mp4ff, an independent parser, reads in the same files, field by field
HEAD = {  # of hvcC: version, profile, compatibility, constraints, level 1, one layer, 4:2:0, depth, lengths
    10: "01 02 20000000 900000000000 1e f000 fc fd fa fa 0000 0f 04",
    8: "01 01 60000000 900000000000 1e f000 fc fd f8 f8 0000 0f 04",
}
TREE = {  # the path of each box and its body after the version; None: seen in other tests
    "hvcC": None,
    "lhvC": None,
    "colr": None,
    "vexu/eyes/stri": "03",
    "vexu/eyes/hero": "01",
    "vexu/eyes/cams/blin": "0000f618",  # 63000 micrometres
    "vexu/eyes/cmfy/dadj": "00000000",
    "hfov": "0000f7a8",  # 63400 thousandths of a degree
}


@pytest.mark.parametrize("name, depth", [("mv_hevc", 10), ("mv_hevc_8bit", 8), ("mv_hevc_mp4", 10)])
def test_sample_description_has_the_expected_fields(tmp_path, name, depth):
    inside = entry_of(encode(tmp_path, noise(2), format=name))
    assert inside[b"hvcC"][:23].hex() == HEAD[depth].replace(" ", "")
    found = {name.decode(): body for name, body in inside.items() if name != b"btrt"}
    assert list(found) == list(dict.fromkeys(path.split("/")[0] for path in TREE))
    for path, wanted in TREE.items():
        boxes, body = inside, b""
        for part in path.split("/"):
            body = boxes[part.encode()]
            boxes = bodies(body) if part in ("vexu", "eyes", "cams", "cmfy") else {}
        assert wanted is None or body.hex() == ("" if path == "hfov" else "00000000") + wanted, path


def entry_of(path):
    """Return the boxes of a file's video sample description."""
    found = bodies(path.read_bytes())[b"moov"]
    for name in (b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        found = bodies(found)[name]
    return bodies(bodies(found[8:])[b"hvc1"][78:])


# Files


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "frames, fps, cuts",
    [
        (1, 25, ()),
        (2, 25, ()),
        (7, 2, ()),
        (23, 3, (4, 5, 17)),
        (61, 25, (30,)),
        (12, Fraction(1, 2), ()),
    ],
)
def test_both_views_equal_plain_encodes(tmp_path, name, frames, fps, cuts):
    views = noise(frames)
    info = ClipInfo(128, 128, Fraction(fps), frames, views=2, cuts=cuts)
    path = encode(tmp_path, views, info=info, format=name, speed="fast")
    wanted = [plain(view, fps, cuts, format=name, speed="fast") for view in views]
    left, right = both(path)
    assert same(left, wanted[0]) and same(right, wanted[1])
    assert same(decoded(path), wanted[0])  # a player that knows nothing of layers
    assert [time for time, _ in left] == [index / Fraction(fps) for index in range(frames)]


def test_every_frame_is_decoded_from_every_key_frame(tmp_path):
    frames, cuts = 40, (7, 8, 30)
    info = ClipInfo(128, 128, Fraction(5), frames, views=2, cuts=cuts)
    path = encode(tmp_path, noise(frames), info=info, format="mv_hevc", speed="fast")
    whole = decoded(path, view_ids="-1")
    with av.open(str(path)) as container:
        keys = [packet.pts for packet in container.demux(video=0) if packet.size and packet.is_keyframe]
        tick = container.streams.video[0].time_base
    # two seconds apart, and at each cut
    assert [round(key * tick * 5) for key in keys] == [0, 7, 8, 18, 28, 30]
    for key in keys:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {"view_ids": "-1"}
            container.seek(key, stream=stream)
            found = [frame.to_ndarray() for frame in container.decode(stream)]
        assert same(whole[-len(found) :], found) and len(found) == 2 * (frames - round(key * tick * 5))


def test_ffmpeg_reads_what_the_file_states(tmp_path):
    given = {"baseline_mm": 19.24, "spatial_field": 63.4, "disparity_shift": 2.0}
    stated = decoded_by_ffmpeg(encode(tmp_path, noise(2), format="mv_hevc", **given))
    assert "hevc (Main 10) (hvc1" in stated and "(multilayer)" in stated
    assert "primary eye: left, baseline: 19240" in stated and "horizontal_field_of_view: 63.400" in stated
    assert "number of reference displays: 1" in stated and "view: left" in stated
    assert "horizontal_disparity_adjustment: 0.0200" in stated
    plain_ones = decoded_by_ffmpeg(encode(tmp_path, noise(2), format="mv_hevc_8bit", stereo_tags=False))
    assert "hevc (Main) (hvc1" in plain_ones and "(multilayer)" in plain_ones
    assert "baseline" not in plain_ones and "field_of_view" not in plain_ones


def test_vr180_is_half_equirectangular(tmp_path):
    path = encode(tmp_path, noise(2), format="mv_hevc", layout="vr180", spatial_field=50.0)
    inside = entry_of(path)
    assert bodies(bodies(inside[b"vexu"])[b"proj"])[b"prji"] == bytes(4) + b"hequ"
    assert inside[b"hfov"] == struct.pack(">I", 180_000)
    left, right = both(path)
    side = sphere_side(128)
    assert left[0][1].shape == (side * 3 // 2, side) and not np.array_equal(left[0][1], right[0][1])


def test_odd_sizes_repeat_the_edge_of_each_view(tmp_path):
    views = noise(3, 72, 88)[:, :, :67, :81]
    info = ClipInfo(81, 67, Fraction(25), 3, views=2)
    assert output_size(info, settings(format="mv_hevc")) == (82, 68)
    padded = torch.nn.functional.pad(views.movedim(-1, 2).flatten(0, 1), (0, 1, 0, 1), "replicate")
    padded = padded.unflatten(0, (2, 3)).movedim(2, -1)
    left, right = both(encode(tmp_path, views, format="mv_hevc"))
    assert left[0][1].shape == (68 * 3 // 2, 82)
    for found, view in zip((left, right), padded):
        luma = found[0][1][:68] / 4 - 16  # of 219, BT.709
        assert np.abs(luma / 219 - (view[0] @ torch.tensor([0.2126, 0.7152, 0.0722])).numpy()).mean() < 0.02


def test_hdr_is_stated_and_read_back(tmp_path):
    light = Light((), (), (1203, 401))
    color = Color(9, 16, 9, light)
    info = ClipInfo(128, 128, Fraction(25), 3, views=2, color=color)
    path = encode(tmp_path, noise(3), info=info, format="mv_hevc")
    found = FileSource(path, cuts=False).info
    assert found.color == color and (found.width, found.height, found.frames) == (128, 128, 3)


def test_audio_and_metadata_are_kept(tmp_path):
    sound = torch.from_numpy(tone(1.0))
    path = encode(
        tmp_path, noise(25), format="mv_hevc", audio=Samples(sound, 48000), metadata={"prompt": "a {}"}
    )
    with av.open(str(path)) as container:
        assert container.metadata["prompt"] == "a {}"
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    assert np.abs(heard(path)[:48000]).max() > 0.1
    assert len(both(path)[1]) == 25


@pytest.mark.parametrize("name", FORMATS)
def test_subtitles_and_chapters_are_kept(tmp_path, host, name):
    source = write_video(
        tmp_path / "source.mp4",
        moving(50, 128, 128),
        25,
        audio=[(tone(2.0), 48000, "aac", "stereo")],
        subtitles=[(0.4, 0.9, "in front"), (1.0, 1.8, "behind")],
        chapters=[(0, 1.0, "one"), (1.0, 2.0, "two")],
    )
    clip = stereoreel.from_tensor(noise(50), 25, cuts=False)
    clip.maker.inputs[0].maker.info = clip.info.replace(audio=Soundtrack(source), views=1, width=256)
    pair = apply(Split(), clip.maker.inputs[0])["clip"]
    (path,) = write(
        RenderRequest(pair, tmp_path / f"film{presets()[name].extension}", settings(format=name)), host
    )
    with av.open(str(path)) as container:
        types = [stream.type for stream in container.streams]
        assert types == ["video", "audio", "subtitle", "data"]  # the last holds the chapters
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["one", "two"]
        words = [packet for packet in container.demux(subtitles=0) if packet.size > 2]
        times = [round(float(packet.pts * packet.time_base), 3) for packet in words]
    assert times == [0.4, 1.0] and b"behind" in bytes(words[1])
    assert len(both(path)[1]) == 50


@pytest.mark.parametrize(
    "width, height", [(64, 64), (66, 34), (720, 576), (1920, 1080), (1998, 1080), (3840, 2160), (4096, 2304)]
)
def test_every_even_size_has_two_views(tmp_path, width, height):
    """The picture is coded in blocks of 8 pixels and cropped; both layers must say so."""
    views = torch.zeros(2, 2, height, width, 3)
    views[0, ..., : width // 2, :], views[1, ..., width // 2 :, :] = 0.5, 0.9
    path = encode(tmp_path, views, format="mv_hevc_mp4", speed="fast")
    left, right = both(path)
    assert left[0][1].shape == right[0][1].shape == (height * 3 // 2, width) and len(left) == 2
    for found, view in zip((left, right), views):
        luma = (found[0][1][:height] / 4 - 16) / 219
        assert np.abs(luma - view[0, ..., 0].numpy()).mean() < 0.02
    assert FileSource(path, cuts=False).info.views == 2


def test_variable_times_are_kept(tmp_path):
    times = (Fraction(0), Fraction(1, 25), Fraction(1, 5), Fraction(11, 50))
    info = ClipInfo(128, 128, Fraction(25), 4, views=2, times=times)
    left, _ = both(encode(tmp_path, noise(4), info=info, format="mv_hevc"))
    assert [time for time, _ in left] == list(times)


@pytest.mark.parametrize("name", FORMATS)
def test_size_is_shared_by_both_views(tmp_path, host, tensor_clip, name):
    packed = torch.cat(tuple(noise(40, 128, 192)), 2)
    clip = apply(Split(), tensor_clip(packed))["clip"]
    chosen = settings(format=name, size_mb=0.15, speed="fast")
    (path,) = write(RenderRequest(clip, tmp_path / "film.mov", chosen), host)
    assert 0.97 <= path.stat().st_size / 150_000 <= 1
    left, right = both(path)
    assert len(left) == len(right) == 40
    # each half came from its own half of the packed copy
    assert abs(np.mean(left[0][1][:128]) - np.mean(right[0][1][:128])) > 20


def test_encoders_out_of_step_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(layers.FrameTypes, "take", lambda self, index: av.video.frame.PictureType.NONE)
    with pytest.raises(ValueError, match=r"did not code the same sequence.*Choose another format"):
        encode(tmp_path, noise(30), format="mv_hevc")
    assert not list(tmp_path.iterdir())


def test_clips_and_layouts_without_two_layers_are_refused():
    pair, mono = (ClipInfo(64, 64, Fraction(25), 2, views=views) for views in (2, 1))
    with pytest.raises(ValueError, match=r"mv_hevc stores two views, but the clip has one.*Stereo Pair"):
        options.check(mono, settings(format="mv_hevc"))
    with pytest.raises(ValueError, match=r"not as half_sbs\. Set layout to mv_hevc"):
        options.check(pair, settings(format="mv_hevc", layout="half_sbs"))
    with pytest.raises(
        ValueError, match=r"layout mv_hevc needs a format with layers.*mv_hevc or mv_hevc_8bit"
    ):
        options.check(pair, settings(format="hevc", layout="mv_hevc"))
    for layout in options.IN_LAYERS:
        options.check(pair, settings(format="mv_hevc", layout=layout))
        assert settings(format="mv_hevc", layout=layout).file_tag(2) == "_MV-HEVC"
    options.check(mono, settings(layout="mv_hevc"))  # one view is written unchanged


# Reading


def pixels(source, host, frames=5):
    return torch.cat(list(source.chunks(host, frames)), -4)


@pytest.mark.parametrize("name", FORMATS)
def test_file_of_two_layers_is_a_clip_of_two_views(tmp_path, host, name):
    info = ClipInfo(128, 128, Fraction(25), 23, views=2, cuts=(9,))
    path = encode(tmp_path, noise(23), info=info, format=name)
    source = FileSource(path, cuts=False)
    assert (source.info.views, source.info.width, source.info.frames) == (2, 128, 23)
    found = pixels(source, host)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"view_ids": "-1"}
        wanted = torch.from_numpy(np.stack([rgb(frame, BT709) for frame in container.decode(stream)]))
    for number, view in enumerate(found):
        assert (view - wanted[number::2]).abs().max() < 0.01 < (view - wanted[1 - number :: 2]).abs().mean()
    assert torch.equal(pixels(source.part(11, 20), host, 4), found[:, 11:20])
    half = FileSource(path, cuts=False, max_side=64)
    assert pixels(half, host).shape == (2, 23, 64, 64, 3)


def test_stream_whose_base_layer_is_the_right_view_is_read_left_first(tmp_path, host):
    path = encode(tmp_path, noise(4), format="mv_hevc")
    before, data = pixels(FileSource(path, cuts=False), host), path.read_bytes()
    # left_view_id and right_view_id: 1, 010 and 010, 1
    swapped = bytes.fromhex("4e01b004040d002080"), bytes.fromhex("4e01b004040a802080")
    assert data.count(swapped[0]) == 1
    assert stream_views.views_of(bytes.fromhex(head(data))) == (0, 1)
    path.write_bytes(data.replace(*swapped))
    assert torch.equal(pixels(FileSource(path, cuts=False), host), before.flip(0))


def head(data):
    at = data.index(b"hvcC")
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")].hex()


def test_two_views_are_written_again_in_another_layout(tmp_path, host):
    path = encode(tmp_path, noise(6), format="mv_hevc", crf=0)
    clip = Clip(FileSource(path, cuts=False))
    (made,) = write(RenderRequest(clip, tmp_path / "film.mkv", settings(format="ffv1")), host)
    packed = pixels(FileSource(made, cuts=False), host)
    both_views = pixels(clip.maker, host)
    assert packed.shape == (6, 128, 256, 3)
    assert (packed - torch.cat(tuple(both_views), 2)).abs().max() < 0.002


def test_damaged_file_gives_its_frames_or_one_sentence(tmp_path, host):
    data = encode(tmp_path, noise(8), format="mv_hevc").read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "damaged.mov"
    for number in range(60):
        broken = bytearray(data)
        index = data.index(b"stsd")
        reach = (index, index + 600) if number % 2 else (0, len(data))  # every second one in the headers
        for place in random.integers(*reach, 1 + number % 5):
            broken[place] ^= 1 << random.integers(8)
        path.write_bytes(broken[: len(broken) if number % 3 else random.integers(len(broken))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                source = FileSource(path, cuts=False)
                found = pixels(source, host)
            except (ValueError, OSError) as error:
                assert str(error).endswith(".") and "\n" not in str(error)
            else:
                assert found.shape[-4] <= source.info.frames and found.ndim == 3 + source.info.views


def test_no_bytes_make_the_parameter_sets_unreadable():
    random = np.random.default_rng(0)
    whole = bytes.fromhex(TWO_VIEWS)
    record = b"\1" + bytes(21) + bytes((1, 0xA0, 0, 1, 0, len(whole))) + whole
    assert stream_views.views_of(record) == stream_views.views_of(nal_units.SEPARATOR + whole) == (0, 1)
    assert (
        stream_views.views_of(b"") is None
        and stream_views.views_of(nal_units.SEPARATOR + bytes.fromhex(VPS)) is None
    )
    for data in (record, nal_units.SEPARATOR + whole):
        for length in range(len(data)):
            stream_views.views_of(data[:length])
        for _ in range(3000):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 3):
                broken[place] = random.integers(256)
            found = stream_views.views_of(bytes(broken))
            assert found is None or found[0] != found[1]


def test_excerpts_have_frames_of_both_views(tmp_path):
    path = encode(tmp_path, noise(24), format="mv_hevc")
    clip = Clip(FileSource(path, cuts=False))
    whole = torch.cat(list(stereoreel.frames(clip)), -4)
    places = [0, 1, 2, 3, 10, 20]
    (chosen,) = select_frames([clip], places)
    assert torch.equal(torch.cat(list(stereoreel.frames(chosen)), -4), whole[:, places])
