"""Stereo boxes in MP4: read back by our parser and by FFmpeg, with the rest of the file unchanged."""

import json
import shutil
import struct
import subprocess
import sys
import tracemalloc

import av
import numpy as np
import pytest
import torch

from stereoreel.core.clip import Soundtrack
from stereoreel.media.layouts import atoms
from stereoreel.media.layouts.boxes import Stereo, marked, read_stereo, stereo_boxes, write_stereo
from tests.support.encoded_files import encode, gray, packets, read
from tests.support.media_files import tone, write_video

SBS, TB, VR180 = Stereo("left_right"), Stereo("top_bottom"), Stereo("left_right", vr180=True)


def film(path, faststart=False, codec="libx264", pix_fmt="yuv420p", frames=12):
    picture = np.random.default_rng(0).integers(0, 255, (frames, 48, 64, 3), np.uint8)
    flags = {"movflags": "faststart"} if faststart else {}
    return write_video(
        path,
        picture,
        25,
        codec=codec,
        pix_fmt=pix_fmt,
        audio=[(tone(0.5), 48000, "aac", "stereo")],
        container_options=flags,
    )


def everything(path):
    """Return every packet of every stream with its times, in the file's order, and every frame."""
    with av.open(str(path)) as container:
        coded = [
            (packet.stream_index, packet.pts, packet.dts, packet.duration, bytes(packet))
            for packet in container.demux()
            if packet.size
        ]
    with av.open(str(path)) as container:
        return coded, [frame.to_ndarray(format="rgb48le").tobytes() for frame in container.decode(video=0)]


def side_data(path):
    """Return FFmpeg's reading of the boxes: the arrangement, and the crop of the sphere at each side."""
    with av.open(str(path)) as container:
        found = next(container.decode(video=0)).side_data
        arrangement = struct.unpack_from("=i", bytes(found["STEREO3D"]))[0] if "STEREO3D" in found else None
        bounds = struct.unpack_from("=i3i4I", bytes(found["SPHERICAL"])) if "SPHERICAL" in found else None
    return arrangement, bounds


@pytest.mark.parametrize("faststart", [False, True], ids=["index last", "index first"])
@pytest.mark.parametrize("stereo, arrangement", [(SBS, 1), (TB, 2), (VR180, 1)])
@pytest.mark.parametrize(
    "codec, suffix, pix_fmt",
    [
        ("libx264", "mp4", "yuv420p"),
        ("libx265", "mp4", "yuv420p"),
        ("libsvtav1", "mp4", "yuv420p10le"),
        ("prores_ks", "mov", "yuv422p10le"),
    ],
)
def test_players_read_them_and_packets_are_unchanged(
    tmp_path, codec, suffix, pix_fmt, stereo, arrangement, faststart
):
    path = film(tmp_path / f"film.{suffix}", faststart, codec, pix_fmt, frames=4)
    assert read_stereo(path) is None
    before = everything(path)
    write_stereo(path, stereo)
    assert read_stereo(path) == stereo
    stereo_type, sphere = side_data(path)
    assert stereo_type == arrangement
    # Equirectangular tile (2), not turned, cut off at left, top, right, bottom as FFmpeg counts.
    assert sphere == ((2, 0, 0, 0, 0x40000000, 0, 0x40000000, 0) if stereo.vr180 else None)
    assert everything(path) == before


def test_index_is_first_without_unused_bytes(tmp_path):
    for faststart in (False, True):
        path = film(tmp_path / "film.mp4", faststart)
        size = path.stat().st_size
        write_stereo(path, SBS)
        with open(path, "rb") as file:
            found = atoms.scan(file)
        assert [box.kind for box in found] == [b"ftyp", b"moov", b"free", b"mdat"]
        assert found[-1].stop == path.stat().st_size == size + len(stereo_boxes(SBS))


def test_marking_again_replaces_the_boxes(tmp_path):
    path = film(tmp_path / "film.mp4")
    before = everything(path)
    write_stereo(path, SBS)
    once = path.read_bytes()
    for stereo in (VR180, TB, SBS):  # longer, shorter, as before
        write_stereo(path, stereo)
        assert read_stereo(path) == stereo and everything(path) == before
    assert path.read_bytes() == once


def test_boxes_have_the_specified_bytes():
    assert stereo_boxes(TB) == bytes.fromhex("0000000d 73743364 00000000 01")
    assert stereo_boxes(SBS) == bytes.fromhex("0000000d 73743364 00000000 02")
    svhd = bytes.fromhex("00000017 73766864 00000000") + b"StereoReel\0"
    prhd = bytes.fromhex("00000018 70726864 00000000 00000000 00000000 00000000")
    equi = bytes.fromhex("0000001c 65717569 00000000 00000000 00000000 40000000 40000000")
    proj = bytes.fromhex("0000003c 70726f6a") + prhd + equi
    assert stereo_boxes(VR180)[13:] == bytes.fromhex("0000005b 73763364") + svhd + proj


# Films larger than what can be made here: the index of one, and holes where its frames would be


def index_of(frames_at, kind=b"stco"):
    """Return the body of an index with frames at these places."""
    table = (
        struct.pack(">II", 0, len(frames_at))
        + np.array(frames_at, ">u4" if kind == b"stco" else ">u8").tobytes()
    )
    entry = atoms.make(b"avc1", bytes(78) + atoms.make(b"avcC", b"\1"))
    stbl = atoms.make(
        b"stbl", atoms.make(b"stsd", struct.pack(">II", 0, 1) + entry) + atoms.make(kind, table)
    )
    hdlr = atoms.make(b"hdlr", bytes(8) + b"vide" + bytes(13))
    return atoms.make(b"trak", atoms.make(b"mdia", hdlr + atoms.make(b"minf", stbl)))


def big(path, frames_at, size, kind=b"stco"):
    """Write a file with a hole of ``size`` bytes, with words where its index, at the end, places frames."""
    with open(path, "wb") as file:
        file.write(atoms.make(b"ftyp", b"isom0000") + struct.pack(">I4sQ", 1, b"mdat", size))
        for number, at in enumerate(frames_at):
            file.seek(at)
            file.write(b"frame %d" % number)
        file.truncate(16 + size)
        file.seek(0, 2)
        file.write(atoms.make(b"moov", index_of(frames_at, kind)))
    return path


def frames_of(path):
    """Return the bytes at the places of the index, and the type of table that names them."""
    with open(path, "rb") as file:
        index = next(box for box in atoms.scan(file) if box.kind == b"moov")
        inside = atoms.read(file, index)
        for parent in (b"trak", b"mdia", b"minf", b"stbl"):
            inside = atoms.bodies(inside)[parent]
        kind = b"stco" if b"stco" in atoms.bodies(inside) else b"co64"
        places = np.frombuffer(atoms.bodies(inside)[kind][8:], ">u4" if kind == b"stco" else ">u8")
        found = []
        for place in places:
            file.seek(int(place))
            found.append(file.read(7))
    return found, kind


@pytest.mark.parametrize("kind", [b"stco", b"co64"])
def test_index_is_correct_after_moving_several_blocks(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(atoms, "BLOCK", 1000)
    path = big(tmp_path / "film.mp4", (100, 90_000), 100_003, kind=kind)
    write_stereo(path, SBS)
    assert frames_of(path) == ([b"frame 0", b"frame 1"], kind)
    write_stereo(path, VR180)
    write_stereo(path, TB)
    assert frames_of(path) == ([b"frame 0", b"frame 1"], kind)


@pytest.mark.parametrize(
    "kind, last, wide", [(b"stco", 2**32 - 2000, False), (b"stco", 2**32 - 20, True), (b"co64", 2**40, True)]
)
def test_offsets_beyond_4_gib_use_64_bits(kind, last, wide):
    body = index_of((100, last), kind)
    new = marked(atoms.Box(b"moov", last + 1000, last + 1008, last + 1008 + len(body)), body, SBS, first=16)
    assert len(new) == 8 + len(body) + len(stereo_boxes(SBS)) + (8 if wide and kind == b"stco" else 0)
    table = new[new.rindex(b"co64" if wide else b"stco") + 12 :]
    assert struct.unpack(">QQ" if wide else ">II", table) == (100 + len(new), last + len(new))


def test_large_file_is_not_loaded_into_memory(tmp_path):
    path = big(tmp_path / "film.mp4", (100, 100_000_000), 2**27)
    tracemalloc.start()
    write_stereo(path, SBS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frames_of(path)[0] == [b"frame 0", b"frame 1"]
    assert peak < 2**25


# What is refused


def test_incomplete_mp4_is_refused_and_unchanged(tmp_path):
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"no box at all, only words")
    pieces = write_video(
        tmp_path / "pieces.mp4",
        np.zeros((5, 48, 64, 3), np.uint8),
        25,
        container_options={"movflags": "frag_keyframe+empty_moov"},
    )
    matroska = encode(tmp_path, gray(2), format="ffv1")
    for path in (noise, pieces, matroska):
        data = path.read_bytes()
        with pytest.raises(ValueError, match="not an unfragmented MP4"):
            write_stereo(path, SBS)
        assert path.read_bytes() == data
        assert read_stereo(path) is None


def test_truncated_file_is_read_to_its_end(tmp_path):
    path = film(tmp_path / "film.mp4", faststart=True)
    write_stereo(path, VR180)
    data = path.read_bytes()
    index = data.index(b"mdat")
    for length in (*range(0, index, 37), index + 100):
        path.write_bytes(data[:length])
        assert read_stereo(path) == (VR180 if length >= index - 12 else None)


# The encoder


@pytest.mark.parametrize(
    "name, layout, stereo",
    [
        ("h264", "full_sbs", SBS),
        ("prores", "half_sbs", SBS),
        ("h264", "full_tb", TB),
        ("hevc", "half_tb", TB),
        ("h264", "vr180", VR180),
        ("h264", "cross_eyed", None),
        ("prores", "anaglyph", None),
        ("h264", "left", None),
        ("h264", "checkerboard", None),
        # the stream says so itself: FFmpeg 9 stops at frames that are marked twice
        ("h264", "half_sbs", None),
        ("h264_444", "half_tb", None),
    ],
)
def test_encoder_marks_the_layout(tmp_path, name, layout, stereo):
    path = encode(tmp_path, torch.rand(2, 2, 48, 64, 3), format=name, layout=layout)
    assert read_stereo(path) == stereo
    assert 0 < path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")


@pytest.mark.parametrize("name", ["h264", "hevc", "prores"])
def test_marking_changes_no_video_or_audio_packet(tmp_path, name):
    source = film(tmp_path / "source.mp4")
    pair = torch.rand(2, 12, 48, 64, 3)
    made = [
        everything(encode(tmp_path, pair, format=name, stereo_tags=tags, audio=Soundtrack(source)))
        for tags in (True, False)
    ]
    assert made[0] == made[1]
    tagged = encode(tmp_path, pair, format=name, audio=Soundtrack(source), metadata={"prompt": "{}"})
    copied, original = ([data for *_, data in packets(file)[0]] for file in (tagged, source))
    # the last one begins after the picture ends
    assert copied == original[: len(copied)] and len(copied) >= len(original) - 1
    assert {key.lower(): value for key, value in read(tagged)[0]["metadata"].items()}["prompt"] == "{}"


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="there is no ffprobe")
def test_ffprobe_reads_them(tmp_path):
    path = encode(tmp_path, torch.rand(2, 2, 48, 64, 3), layout="vr180")
    run = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {data["side_data_type"]: data for data in json.loads(run.stdout)["streams"][0]["side_data_list"]}
    assert listed["Stereo 3D"]["type"] == "side by side"
    assert listed["Spherical Mapping"]["projection"] == "tiled equirectangular"


@pytest.mark.skipif(sys.platform == "win32", reason="a file's size cannot be limited there")
def test_disk_full_at_the_end_leaves_no_file(tmp_path):
    import resource

    pair = torch.rand(2, 4, 48, 64, 3)
    plain = encode(tmp_path, pair, stereo_tags=False)
    size = plain.stat().st_size
    plain.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, before[1]))
    try:
        with pytest.raises(OSError, match=r"There is no room for .*film\.mp4"):
            encode(tmp_path, pair)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
