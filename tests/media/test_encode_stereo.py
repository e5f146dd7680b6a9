"""Two views in files: size, order, and the metadata of each format."""

import os

import av
import pytest
import torch

from stereoreel.core.clip import Samples, apply
from stereoreel.core.transforms import Split
from stereoreel.media.layouts.layout import file_tag
from stereoreel.media.write.render import free_path, write
from stereoreel.media.write.request import RenderRequest
from tests.support.encoded_files import encode, packets, read, settings
from tests.support.hearing import Hearing


@pytest.mark.parametrize(
    "layout, size",
    [
        ("full_sbs", (128, 48)),
        ("half_sbs", (64, 48)),
        ("full_tb", (64, 96)),
        ("half_tb", (64, 48)),
        ("anaglyph", (64, 48)),
        ("left", (64, 48)),
        ("right", (64, 48)),
        ("cross_eyed", (128, 48)),
        ("interlaced_rows", (64, 48)),
        ("vr180", (224, 112)),
    ],
)
def test_layouts_have_their_size_and_views(tmp_path, layout, size):
    pair = torch.stack((torch.full((3, 48, 64, 3), 0.25), torch.full((3, 48, 64, 3), 0.75)))
    frames = read(encode(tmp_path, pair, layout=layout))[1]
    assert (frames.shape[2], frames.shape[1]) == size
    first, last = {"left": (0.25, 0.25), "right": (0.75, 0.75), "cross_eyed": (0.75, 0.25)}.get(
        layout, (0.25, 0.75)
    )
    if layout not in ("anaglyph", "interlaced_rows", "vr180"):
        assert frames[0, 4, 4].mean() == pytest.approx(first, abs=0.01)
        assert frames[0, -4, -4].mean() == pytest.approx(last, abs=0.01)


@pytest.mark.parametrize(
    "name, layout, marked",
    [
        ("h264", "half_sbs", True),
        ("hevc", "half_tb", True),
        ("h264", "full_sbs", True),
        ("av1", "full_tb", True),
        ("prores", "vr180", True),
        ("h264", "cross_eyed", False),
        ("h264", "anaglyph", False),
        ("ffv1", "half_tb", True),
        ("ffv1", "left", False),
    ],
)
def test_stereo_metadata(tmp_path, name, layout, marked):
    pair = torch.rand(2, 2, 48, 64, 3)
    facts = read(encode(tmp_path, pair, format=name, layout=layout))[0]
    assert (facts["stereo"], facts["vr180"]) == (marked, layout == "vr180")
    assert not read(encode(tmp_path, pair, format=name, layout=layout, stereo_tags=False))[0]["stereo"]
    assert not read(encode(tmp_path, pair[0], format=name, layout=layout))[0]["stereo"]


@pytest.mark.parametrize(
    "layout, code",
    [
        ("full_sbs", 1),
        ("half_sbs", 1),
        ("full_tb", 3),
        ("half_tb", 3),
        ("checkerboard", 5),
        ("interlaced_rows", 7),
        ("interlaced_columns", 9),
        ("anaglyph", 10),
        ("anaglyph_gray", 10),
        ("cross_eyed", 11),
        ("vr180", 1),
    ],
)
def test_matroska_stereo_mode(tmp_path, layout, code):
    data = encode(tmp_path, torch.rand(2, 1, 48, 64, 3), format="ffv1", layout=layout).read_bytes()
    at = data.index(b"\x53\xb8\x81")  # StereoMode, one byte
    assert data[at + 3] == code


@pytest.mark.parametrize("name", ["h264", "h264_444"])
@pytest.mark.parametrize(
    "layout, arrangement", [("half_sbs", 3), ("half_tb", 4), ("full_sbs", None), ("checkerboard", None)]
)
def test_only_half_layouts_have_frame_packing(tmp_path, name, layout, arrangement):
    with av.open(str(encode(tmp_path, torch.rand(2, 1, 48, 64, 3), format=name, layout=layout))) as container:
        packet = bytes(next(container.demux(video=0)))
    found, at = None, 0
    # each unit after its length: 6 is a message to the player, 45 the one about frame packing
    while at < len(packet):
        unit = packet[at + 4 : at + 4 + int.from_bytes(packet[at : at + 4], "big")]
        # its size; then in bits: 1 (an id of 0), 0 (not cancelled), 7 of the arrangement
        if unit[0] & 31 == 6 and unit[1] == 45:
            found = (unit[3] & 63) << 1 | unit[4] >> 7
        at += 4 + len(unit)
    assert found == arrangement


# Two files


@pytest.fixture
def pair(tensor_clip):
    """Return a clip with a darker left view."""
    return apply(
        Split(),
        tensor_clip(torch.cat((torch.full((7, 48, 64, 3), 0.25), torch.full((7, 48, 64, 3), 0.75)), 2)),
    )["clip"]


def test_each_view_has_its_own_file_with_audio(tmp_path, host, pair):
    chosen = settings(layout="two_files")
    path = free_path(tmp_path, "film", file_tag("two_files"), ".mp4")
    sound = Samples(torch.rand(1, 4000), 8000)
    paths = write(RenderRequest(pair, path, chosen, audio=sound), host)
    assert (
        [file.name for file in paths]
        == ["film_00001_L.mp4", "film_00001_R.mp4"]
        == sorted(os.listdir(tmp_path))
    )
    for file, level in zip(paths, (0.25, 0.75)):
        facts, frames = read(file)
        assert frames.shape == (7, 48, 64, 3) and not facts["stereo"]
        assert frames.mean() == pytest.approx(level, abs=0.01)
        assert packets(file)[0]


def test_depth_with_two_files_and_with_one_view(tmp_path, host, pair, tensor_clip):
    chosen = settings(layout="two_files", format="ffv1")
    depth = tensor_clip(torch.rand(7, 48, 64, 1))
    paths = write(RenderRequest(pair, tmp_path / "film.mkv", chosen, depth=depth), host)
    assert [file.name for file in paths] == ["film.mkv", "film_R.mkv", "film_depth.mkv"]
    flat = tensor_clip(torch.rand(7, 48, 64, 3))
    paths = write(RenderRequest(flat, tmp_path / "flat.mkv", chosen), host)
    assert [file.name for file in paths] == ["flat.mkv"]


def test_existing_right_view_is_not_overwritten(tmp_path):
    (tmp_path / "film_00001_R.mp4").touch()
    assert free_path(tmp_path, "film", "_L", ".mp4").name == "film_00002_L.mp4"


def test_cancel_leaves_neither_view(tmp_path, host, pair):
    def watch(frames, shown):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(
            RenderRequest(pair, tmp_path / "film.mp4", settings(layout="two_files")),
            host,
            Hearing(chunk=watch),
        )
    assert os.listdir(tmp_path) == []
