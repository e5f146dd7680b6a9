"""The bundled sample: exact depth, a standard file, and its contact sheet."""

import math
from fractions import Fraction

import av
import pytest
import torch
from PIL import Image

from stereoreel.core.excerpt import evenly_spaced
from stereoreel.image.page import BACKGROUND, contact_sheet, to_image
from stereoreel.media import colour
from stereoreel.sample import clip as sample
from stereoreel.sample.shapes import Ball

SMALL = {"width": 160, "height": 68}


@pytest.fixture(scope="module")
def decoded(sample_file):
    """Return all frames: small as RGB, and as decoded."""
    with av.open(str(sample_file)) as container:
        frames = list(container.decode(video=0))
    small = [
        torch.from_numpy(frame.reformat(160, 68, "rgb24", src_colorspace="ITU709").to_ndarray()).float()
        for frame in frames
    ]
    return torch.stack(small) / 255, frames


def psnr(a, b):
    return -10 * math.log10((a - b).square().mean().item())


def test_rendering_is_bit_identical():
    first, second = sample.render(60, **SMALL), sample.render(60, **SMALL)
    assert all(torch.equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("frame", [0, 49, 50, 99])
def test_image_and_depth_use_the_range_from_0_to_1(frame):
    image, depth = sample.render(frame, **SMALL)
    assert image.shape == (68, 160, 3) and depth.shape == (68, 160, 1)
    assert 0 <= image.min() < 0.15 and 0.85 < image.max() <= 1
    assert depth.min() == 0 and 0.5 < depth.max() <= 1
    assert 0.35 < image.mean() < 0.7


def test_depths_are_those_of_the_rendered_frames():
    for frame, depth in zip(range(2), sample.depths(**SMALL)):
        assert torch.equal(depth, sample.render(frame, **SMALL)[1])


def test_ground_depth_matches_trigonometry():
    _, camera = sample.view(70)
    depth = sample.render(70, **SMALL)[1][-1, 80, 0]
    below = math.atan(33.5 / (camera.focal * 160)) - camera.pitch
    along = camera.origin[1] / math.sin(below) * math.cos(below + camera.pitch)
    assert depth.item() == pytest.approx(sample.NEAR / along, rel=1e-3)


@pytest.mark.parametrize("frame", [5, 40, 55, 90])
def test_nearer_balls_hide_farther_ones(frame):
    scene, camera = sample.view(frame)
    depth = sample.render(frame, **SMALL)[1][..., 0]
    right, up, forward = (torch.tensor(axis) for axis in camera.axes)
    seen = 0
    for ball in (shape for shape in scene.shapes if isinstance(shape, Ball)):
        away = torch.tensor(ball.center) - torch.tensor(camera.origin)
        z = (away @ forward).item()
        column = round((away @ right).item() / z * camera.focal * 160 + 79.5)
        row = round(-(away @ up).item() / z * camera.focal * 160 + 33.5)
        if z > 0 and 0 <= column < 160 and 0 <= row < 68:
            seen += 1
            assert depth[row, column] > sample.NEAR / z
    assert seen >= 3


def test_the_truck_of_the_first_shot_moves_points_by_their_depth():
    """The next frame is the other view of this one, because only depth decides how far points move."""
    step = sample.view(11)[1].origin[0] - sample.view(10)[1].origin[0]
    image, depth = sample.render(11, **SMALL)
    other, other_depth = sample.render(10, **SMALL, eye=-step * sample.FOCAL * 160 / sample.NEAR)
    torch.testing.assert_close(depth, other_depth, rtol=0, atol=1e-5)
    torch.testing.assert_close(image, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize("frame", [20, 80])
def test_depth_warps_one_view_into_the_other(frame):
    eye = 12.0
    image, depth = sample.render(frame, 320, 136)
    right, right_depth = sample.render(frame, 320, 136, eye)
    x = torch.arange(320.0) + eye * depth[..., 0]
    grid = torch.stack(
        [(2 * x + 1) / 320 - 1, ((2 * torch.arange(136.0) + 1) / 136 - 1)[:, None].expand(136, 320)], -1
    )[None]
    fetched, there = (
        torch.nn.functional.grid_sample(v.permute(2, 0, 1)[None], grid, align_corners=False)[0]
        for v in (right, right_depth)
    )
    visible = ((there[0] - depth[..., 0]).abs() < 0.004) & (x < 318)
    assert visible.float().mean() > 0.88
    # mirrors and highlights are not bound to the depth
    assert psnr(fetched.permute(1, 2, 0)[visible], image[visible]) > 29
    unmoved = psnr(right[visible], image[visible])
    assert psnr(fetched.permute(1, 2, 0)[visible], image[visible]) > unmoved + 8


def test_the_file_is_four_seconds_of_bt709_with_stereo_sound(sample_file):
    with av.open(str(sample_file)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.average_rate) == (640, 272, Fraction(25))
        context = video.codec_context
        assert (video.codec.canonical_name, context.pix_fmt) == ("h264", "yuv420p")
        tags = context.colorspace, context.color_primaries, context.color_trc, context.color_range
        assert [int(tag) for tag in tags] == [1, 1, 1, 1]
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
        assert times == [Fraction(index, 25) for index in range(100)]
        assert (audio.codec.canonical_name, audio.layout.name, audio.rate) == ("aac", "stereo", 48000)
        assert abs(audio.duration * audio.time_base - 4) < Fraction(1024, 48000)


def test_audio_is_clean_and_fades_out(sample_file):
    with av.open(str(sample_file)) as container:
        sound = torch.cat([torch.from_numpy(frame.to_ndarray()) for frame in container.decode(audio=0)], 1)
    assert abs(sound.shape[1] - 4 * 48000) <= 2048
    assert 0.2 < sound.abs().max() < 1
    assert sound.diff(dim=1).abs().max() < 0.15  # no click
    assert sound[:, -480:].abs().max() < 0.01
    assert (sound[0] - sound[1]).abs().mean() > 0.005


@pytest.mark.parametrize("frame", [0, 49, 50, 60, 99])
def test_shipped_file_shows_the_rendered_frames(decoded, frame):
    rendered, _ = sample.render(frame)
    source = av.VideoFrame.from_ndarray((rendered * 255).round().byte().numpy(), "rgb24")
    source = source.reformat(format="yuv420p", **colour.from_rgb(colour.BT709))
    shipped, expected = (torch.from_numpy(one.to_ndarray()) / 255 for one in (decoded[1][frame], source))
    assert psnr(shipped, expected) > 40
    pixels = decoded[1][frame].reformat(format="rgb24", **colour.to_rgb(colour.BT709, False)).to_ndarray()
    shown = torch.from_numpy(pixels).float() / 255
    assert psnr(shown, rendered) > 34
    assert (shown - rendered).mean((0, 1)).abs().max() < 1 / 255  # a wrong matrix or range would tint it


def test_shipped_file_plays_the_rendered_sound(sample_file):
    with av.open(str(sample_file)) as container:
        heard = torch.cat([torch.from_numpy(one.to_ndarray()) for one in container.decode(audio=0)], 1)
    melody = sample.melody()
    assert psnr(heard[:, : melody.shape[1]], melody) > 40


def test_one_cut_in_the_middle(decoded):
    change = (decoded[0][1:] - decoded[0][:-1]).abs().mean((1, 2, 3))
    assert change.argmax() == sample.CUT - 1
    assert change[sample.CUT - 1] > 4 * change.topk(2).values[1]
    assert change.min() > 0.001  # the camera never stands still


def test_cancelled_rendering_keeps_the_previous_file(tmp_path):
    def cancel(done, total):
        assert (done, total) in ((0, 0), (1, 100))  # while a frame is rendered, or after it
        raise KeyboardInterrupt

    (tmp_path / "sample.mp4").touch()
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        sample.write_sample(tmp_path / "sample.mp4", cancel)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("sample.mp4", 0)]
    assert torch.get_num_threads() == threads


def test_contact_sheet_shows_every_frame():
    colors = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]
    sizes = [(64, 27), (640, 272), (30, 300)]
    row = [
        ("a label much too long for its narrow column " * 4, Image.new("RGB", size, color))
        for size, color in zip(sizes, colors)
    ]
    sheet = contact_sheet([row, row[:1]], "Title", width=600)
    assert sheet.width == 600
    found = {color for _, color in sheet.getcolors(1 << 20)}
    assert found >= {BACKGROUND, *colors}
    with pytest.raises(ValueError, match="needs a picture"):
        contact_sheet([], "Title")


@pytest.mark.parametrize("total, count, frames", [(100, 4, [12, 37, 62, 87]), (3, 4, [0, 1, 2]), (1, 1, [0])])
def test_frames_are_picked_evenly(total, count, frames):
    assert evenly_spaced(total, count) == frames


@pytest.mark.parametrize("channels, color", [(1, (128, 128, 128)), (3, (128, 0, 255)), (4, (128, 0, 255))])
def test_frame_as_an_image(channels, color):
    frame = torch.tensor([0.5, 0.0, 1.0, 1.0])[:channels].expand(4, 6, channels)
    picture = to_image(frame)
    assert picture.size == (6, 4) and picture.getpixel((0, 0)) == color
