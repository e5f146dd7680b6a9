"""YUV made and read where the frames are, against swscale's conversions and FFmpeg's own decoder."""

from contextlib import closing
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from av.video.reformatter import VideoReformatter

from stereoreel.core.clip import Color
from stereoreel.media import colour
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.device_rgb import PlaneBlock, PlaneReader
from stereoreel.media.read.frames import Damage
from stereoreel.media.read.rgb import RgbConverter
from stereoreel.media.write import device_planes
from stereoreel.media.write.device_planes import DevicePlanes, HostPlanes
from stereoreel.media.write.picture import Pictures
from stereoreel.media.yuv import LUMA, PlaneFormat, from_planes, to_planes
from tests.support import cuda_stand_in as cuda

SIZE = (46, 62)
FORMATS = (
    *(f"yuv{chroma}p{bits}" for chroma in (420, 422, 444) for bits in ("", "10le")),
    "nv12",
    "p010le",
)
MATRICES = (1, 4, 5, 7, 9)  # of H.273
FACTS = SimpleNamespace(
    rotation=0, views=None, alpha=False, pictures=(), is_float=False, bit_depth=8, full_range=False,
    color=colour.BT709,
)  # fmt: skip
every_format = pytest.mark.parametrize("name", FORMATS)


def pictures(seed=0):
    """Return noise, in which every filter and rounding shows, and smooth colours."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=random)
    smooth = F.interpolate(coarse, SIZE, mode="bicubic", align_corners=False).clamp(0, 1)[0]
    return torch.rand(*SIZE, 3, generator=random), smooth.movedim(0, -1)


def codes(frame, form):
    """Return the codes of a frame's planes."""
    kind = np.uint8 if form.bits == 8 else np.uint16
    shapes = form.shapes(*SIZE)
    return [
        np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : np.prod(shape[1:])].astype(int)
        >> form.shift
        for plane, shape in zip(frame.planes, shapes)
    ]


@every_format
@pytest.mark.parametrize("matrix", MATRICES)
def test_planes_equal_swscales_within_one_code(name, matrix):
    writer = Pictures(SIZE[::-1], Color(1, 1, matrix), name)
    form, space = PlaneFormat.named(name), colour.SWSCALE_MATRIX[matrix]
    for picture in pictures():
        wanted = codes(writer.frame(writer.quantize(picture), 0, Fraction(1, 25)), form)
        found = codes(DevicePlanes(picture, space, form, name).frame(), form)
        assert max(int(np.abs(one - other).max()) for one, other in zip(wanted, found)) <= 1
        # no offset of chroma by part of a pixel, which would stay below one code in smooth colours
        assert max(abs(float((one - other).mean())) for one, other in zip(wanted, found)) < 0.25


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("parts", [(SIZE[1],), (20, 42)], ids=len)
def test_compiled_planes_equal_swscales(matrix, parts, monkeypatch):
    """In frames higher than what a core takes at a time; what is no number or out of range is as before."""
    pytest.importorskip("numba")
    for one in pictures():
        picture = torch.cat([one * 1.2 - 0.1, one.flip(0), one, one]).contiguous()
        picture[5, 7] = torch.nan
        writer = Pictures((SIZE[1], len(picture)), Color(1, 1, matrix), "yuv420p")
        panes = [pane.contiguous() for pane in picture.split(parts, 1)]
        both = []
        for numba in "01":
            monkeypatch.setenv("STEREOREEL_NUMBA", numba)
            monkeypatch.setattr(device_planes, "LARGE", 0)
            levels = writer.quantize(*panes)
            assert isinstance(levels, HostPlanes) == (numba == "1")
            both.append(writer.frame(levels, 0, Fraction(1, 25)).to_ndarray().astype(int))
        apart = both[1] - both[0]
        assert np.abs(apart).max() <= 1 and abs(apart.mean()) < 0.02
        assert np.square(apart).mean() < 255**2 / 10**6  # 60 dB


@every_format
@pytest.mark.parametrize("full", [False, True])
def test_colours_equal_swscales_within_rounding(name, full):
    form = PlaneFormat.named(name)
    for matrix in MATRICES:
        space = colour.SWSCALE_MATRIX[matrix]
        values = to_planes(pictures()[1], space, form, full)
        frame = av.VideoFrame(*SIZE[::-1], name)
        for plane, given in zip(frame.planes, form.planes(values, *SIZE)):
            numbers = given.reshape(len(given), -1).numpy()
            np.frombuffer(plane, numbers.dtype).reshape(len(given), -1)[:, : numbers.shape[1]] = numbers
        deep = form.bits > 8
        arguments = colour.to_rgb(Color(1, 1, matrix), full)
        rgb = VideoReformatter().reformat(frame, format=colour.RGB_16 if deep else colour.RGB_8, **arguments)
        kind, white = (np.uint16, colour.white_of_16_bits(form.bits, full)) if deep else (np.uint8, 255)
        planes = [np.frombuffer(memoryview(plane), kind).reshape(SIZE[0], -1) for plane in rgb.planes]
        green, blue, red = (plane[:, : SIZE[1]] / white for plane in planes)
        found = torch.empty(*SIZE, 3)
        from_planes(values, space, form, full, found)
        apart = np.abs(np.clip(np.stack([red, green, blue], -1), 0, 1) - found.numpy()).max()
        assert apart <= (0.25 if deep else 0.75) / 255


def test_every_matrix_is_known():
    assert set(colour.SWSCALE_MATRIX.values()) <= LUMA.keys()


@pytest.mark.parametrize("name", ["rgb24", "yuva420p", "yuv411p", "gbrp10le", "pal8", "gray", "yuv420p10be"])
def test_other_formats_are_left_to_swscale(name):
    assert PlaneFormat.named(name) is None


def test_grey_and_alpha():
    picture = pictures()[0]
    form = PlaneFormat.named("yuv420p")
    grey, thrice = picture[..., :1], picture[..., :1].expand(-1, -1, 3)
    apart = to_planes(grey, 1, form).int() - to_planes(thrice, 1, form).int()
    assert apart.abs().max() <= 1
    with_alpha = torch.cat([picture, picture[..., :1]], -1)
    assert to_planes(with_alpha, 1, form).equal(to_planes(picture, 1, form))


def decoded(path, planes):
    """Return a file's frames through its planes, or as on a CPU."""
    source = FileSource(path, cuts=False)
    convert = RgbConverter(source.facts, source._size)
    reader = PlaneReader(source.facts, source._size) if planes else None
    with closing(source._blocks(4, Damage(), False, convert, reader)) as blocks:
        made = [
            source._turned(reader.rgb(block, torch.device("cpu")))
            if isinstance(block, PlaneBlock)
            else source._finished(block)
            for block in blocks
        ]
        return torch.cat(made)


@pytest.mark.parametrize(
    ("name", "coder"), [("yuv420p", "ffv1"), ("yuv422p10le", "ffv1"), ("yuv444p", "ffv1")]
)
def test_a_file_decodes_to_the_same_colours(name, coder, tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream(coder, rate=25)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], name
        form = PlaneFormat.named(name)
        for seed in range(6):
            frame = DevicePlanes(pictures(seed)[1], 1, form, name).frame()
            frame.pts = seed
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    plain, found = (decoded(path, planes) for planes in (False, True))
    assert found.shape == plain.shape == (6, *SIZE, 3)
    assert float((found - plain).abs().max()) <= 0.75 / 255


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuvj420p"])
@pytest.mark.parametrize("place", ["left", "center", "topleft", "bottom"])
def test_chroma_is_read_from_where_a_file_has_it(name, place, tmp_path):
    """Wrong by half a pixel, saturated edges differ by half of the range."""
    path = tmp_path / "clip.mp4"
    noise = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(0)).round()
    form = PlaneFormat.named(name)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], name
        stream.options = {"chroma_sample_location": place, "qp": "0"}
        stream.color_range = 2 if "j" in name else 1
        frame = DevicePlanes(noise, 1, form, name).frame()
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    plain, found = (decoded(path, planes) for planes in (False, True))
    inside = (slice(None), slice(4, -4), slice(4, -4))
    assert float((found - plain)[inside].abs().max()) <= 0.75 / 255


def test_filters_that_are_not_known_are_left_to_swscale(monkeypatch):
    """Such as those of a frame whose two fields it keeps apart."""
    reader = PlaneReader(FACTS, SIZE[::-1])
    frame = av.VideoFrame(*SIZE[::-1], "yuv420p")
    assert reader.form_of(frame) == PlaneFormat.named("yuv420p")
    monkeypatch.setattr(colour, "PRECISE", 1)  # another filter
    assert PlaneReader(FACTS, SIZE[::-1]).form_of(frame) is None


def test_without_the_hardware_ffmpeg_decodes(sample_file):
    source = FileSource(sample_file, cuts=False, most=3)

    def frames(hardware):
        convert = RgbConverter(source.facts, source._size)
        return torch.cat(list(source._blocks(1, Damage(), False, convert, None, hardware)))

    plain = frames("")
    assert len(plain) == 3
    for hardware in ("cuda", "no such device"):
        assert frames(hardware).equal(plain)


def test_the_bus_carries_the_planes_only(monkeypatch):
    """Decoded planes up, encoded planes down: pinned, never waited for, with no new memory."""
    height, width = 48, 64
    form = PlaneFormat.named("yuv420p")
    with cuda.device(monkeypatch) as device:
        device.answer = cuda.usual
        reader = PlaneReader(FACTS, (width, height))
        writer = Pictures((2 * width, height), colour.BT709, "yuv420p")

        def one_frame():
            block = PlaneBlock(reader.empty(1, form, True), form)
            [frame] = reader.rgb(block, cuda.CUDA)
            return writer.quantize(torch.cat([frame, frame], 1))

        waiting = [one_frame() for _ in range(3)]

        def some():
            for _ in range(4):
                waiting.append(one_frame())
                waiting.pop(0)._values.wait()

        some()
        with device.counted() as found:
            some()
        planes = form.count(height, width), form.count(height, 2 * width)
        assert (found[0].up, found[0].down) == (4 * planes[0], 4 * planes[1])
        assert found[0].waits == [] and found[0].allocations == 0
        assert found[0].launches <= 117 * 4
        print(found[0].a_frame(4))
