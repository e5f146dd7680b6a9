"""Looping previews, wiggle images, and RGB with depth: contents and duration."""

import logging
import os
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from stereoreel.core.clip import ClipInfo, Soundtrack, apply
from stereoreel.core.transforms import Split
from stereoreel.media.layouts.layout import file_tag
from stereoreel.media.write.encode import Writer, output_size
from stereoreel.media.write.options import extension
from stereoreel.media.write.render import free_path, write
from stereoreel.media.write.request import RenderRequest
from tests.support.encoded_files import encode, gray, packets, read, settings
from tests.support.hearing import Hearing
from tests.support.media_files import ramp, tone, write_video

PREVIEWS = ("webp", "gif")
TICK = {"webp": 1, "gif": 10}  # milliseconds that the format counts in


def looped(path):
    """Return the loop count (0: for ever), every frame ``[H, W, 3]`` in 0..1, and its milliseconds."""
    with Image.open(path) as image:
        pictures = [
            (np.array(picture.convert("RGB")) / 255, picture.info["duration"])
            for picture in ImageSequence.Iterator(image)
        ]
        return image.info["loop"], [picture for picture, _ in pictures], [shown for _, shown in pictures]


def pair(frames=24, height=48, width=64):
    return torch.stack(
        (torch.full((frames, height, width, 3), 0.2), torch.full((frames, height, width, 3), 0.8))
    )


@pytest.mark.parametrize("name", PREVIEWS)
@pytest.mark.parametrize(
    "fps, frames",
    [
        (Fraction(24000, 1001), 48),
        (Fraction(25), 25),
        (Fraction(30), 31),
        (Fraction(60), 60),
        (Fraction(12), 5),
    ],
)
def test_preview_lasts_as_long_as_the_film(tmp_path, name, fps, frames):
    levels = [67 * frame % 200 + 20 for frame in range(frames)]
    film = (torch.tensor(levels) / 255)[:, None, None, None].expand(-1, 48, 64, 3)
    loop, pictures, shown = looped(encode(tmp_path, film, fps, format=name))
    assert loop == 0
    assert abs(sum(shown) - frames / fps * 1000) <= TICK[name] / 2
    most = {"webp": 30, "gif": 15}[name]
    every = -(-fps // most)
    assert len(pictures) == -(-frames // every)
    begins = np.cumsum([0, *shown[:-1]])
    assert (
        max(abs(begin - 1000 * index * every / fps) for index, begin in enumerate(begins)) <= TICK[name] / 2
    )
    # the film's own at that moment
    assert [picture.mean() * 255 for picture in pictures] == pytest.approx(levels[::every], abs=2)


@pytest.mark.parametrize("name", PREVIEWS)
def test_colours_of_a_preview(tmp_path, name):
    patches = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [0.25, 0.5, 0.75]])
    picture = patches[None, None].repeat_interleave(32, 2).expand(2, 48, -1, -1)
    _, pictures, _ = looped(encode(tmp_path, picture, 5, format=name, crf=0))
    assert np.abs(pictures[0][24, 16::32] - patches.numpy()).max() * 255 < 5


@pytest.mark.parametrize("name, side", [("webp", 640), ("gif", 480)])
@pytest.mark.parametrize("layout", ["wiggle", "full_sbs"])
def test_preview_is_small(tmp_path, name, side, layout):
    frames = torch.rand(2, 1, 100, 2000, 1).expand(-1, -1, -1, -1, 3)
    with Image.open(encode(tmp_path, frames, format=name, layout=layout)) as image:
        assert image.size == output_size(
            ClipInfo(2000, 100, Fraction(25), 1, views=2), settings(format=name, layout=layout)
        )
        assert max(image.size) == side


@pytest.mark.parametrize("name", PREVIEWS)
def test_preview_and_work_end_after_ten_seconds(tmp_path, host, tensor_clip, name):
    seen = []
    clip = tensor_clip(torch.rand(40, 1, 1, 1).expand(-1, 16, 16, 3), fps=2)
    path = tmp_path / f"film.{name}"
    write(
        RenderRequest(clip, path, settings(format=name)),
        host,
        Hearing(chunk=lambda frames, shown: seen.append(frames)),
    )
    assert sum(looped(path)[2]) == 10_000
    assert sum(seen) < 40


@pytest.mark.parametrize("name", PREVIEWS)
def test_variable_rate_keeps_its_times(tmp_path, name):
    times = tuple(Fraction(tick, 1000) for tick in (0, 100, 400, 500, 900))
    info = ClipInfo(64, 48, 5 / Fraction(1000, 1000), 5, times=times)
    path = encode(tmp_path, torch.from_numpy(ramp(50)[::10]) / 255, info=info, format=name)
    *_, milliseconds = looped(path)
    assert milliseconds[:4] == [100, 300, 100, 400]


@pytest.mark.parametrize("name", PREVIEWS)
def test_preview_of_a_single_frame(tmp_path, name):
    with Image.open(encode(tmp_path, gray(1), format=name, metadata={"workflow": "{}"})) as image:
        assert image.size == (64, 48) and np.abs(np.array(image.convert("RGB")) - 8.0).max() <= 2


@pytest.mark.parametrize("name", PREVIEWS)
def test_audio_and_text_are_dropped_silently(tmp_path, caplog, name):
    source = write_video(
        tmp_path / "source.mkv",
        ramp(50),
        25,
        audio=[(tone(2), 48000, "aac", "stereo")] * 2,
        subtitles=[(0.1, 0.3, "line")],
        chapters=[(0, 0.4, "one")],
    )
    with caplog.at_level(logging.INFO):
        path = encode(tmp_path, gray(50), format=name, audio=Soundtrack(source))
    assert caplog.records == [] and abs(sum(looped(path)[2]) - 2000) <= TICK[name] / 2


@pytest.mark.parametrize("frames", [1, 5])
def test_workflow_in_a_webp(tmp_path, frames):
    notes = {"workflow": '{"nodes": ["\\u00dc"]}', "prompt": '{"1": 2}', "extra": "7"}
    with Image.open(encode(tmp_path, torch.rand(frames, 48, 64, 3), format="webp", metadata=notes)) as image:
        assert image.n_frames == frames
        assert dict(text.split(":", 1) for text in image.getexif().values()) == notes


def test_failed_preview_leaves_no_file(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        Writer(tmp_path / "film.webp", ClipInfo(64, 48, Fraction(25), 30), settings(format="webp")) as writer,
    ):
        writer.write(gray(5))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


# Wiggle


@pytest.mark.parametrize("name", ["h264", "ffv1", "webp", "gif"])
@pytest.mark.parametrize("fps", [8, 24, 50])
def test_wiggle_shows_each_view_for_an_eighth_of_a_second(tmp_path, name, fps):
    path = encode(tmp_path, pair(2 * fps), fps, format=name, layout="wiggle")
    if name in PREVIEWS:
        _, pictures, shown = looped(path)
        eyes = [
            eye
            for picture, length in zip(pictures, shown)
            for eye in [picture.mean() > 0.5] * round(length / 10)
        ]
        moment = 0.01
    else:
        facts, pictures = read(path)
        assert len(pictures) == 2 * fps and not facts["stereo"]
        eyes, moment = [picture.mean() > 0.5 for picture in pictures], 1 / fps
    turns = np.flatnonzero(np.diff([not eyes[0], *eyes, not eyes[-1]]))
    lengths = np.diff(turns)[:-1] * moment
    assert not eyes[0]  # the left one begins
    assert 0.1 <= lengths.min() <= lengths.max() <= 0.2


# Image and depth side by side


@pytest.mark.parametrize("layout, width", [("rgbd", 128), ("half_rgbd", 64)])
@pytest.mark.parametrize("views", [1, 2])
def test_rgbd_is_one_file_with_image_and_depth(tmp_path, host, tensor_clip, layout, width, views):
    frames = torch.cat((torch.full((7, 48, 64, 3), 0.25), torch.full((7, 48, 64, 3), 0.9)), 2)
    clip = apply(Split(), tensor_clip(frames))["clip"] if views == 2 else tensor_clip(frames[:, :, :64])
    depth = tensor_clip((torch.arange(7) / 7)[:, None, None, None].expand(-1, 24, 32, 1))
    chosen = settings(layout=layout, format="ffv1")
    path = free_path(tmp_path, "film", file_tag(layout, views), extension(chosen))
    assert write(RenderRequest(clip, path, chosen, depth=depth), host) == [path]
    assert os.listdir(tmp_path) == [
        {"rgbd": "film_00001_RGBD.mkv", "half_rgbd": "film_00001_HRGBD.mkv"}[layout]
    ]
    found = read(path)[1]
    assert found.shape == (7, 48, width, 3)
    assert np.abs(found[:, :, : width // 2] - 0.25).max() < 1e-3
    assert np.abs(found[:, :, width // 2 :] - (np.arange(7) / 7)[:, None, None, None]).max() < 1e-3


def test_rgbd_keeps_audio_and_names_missing_inputs(tmp_path, host, tensor_clip):
    source = write_video(tmp_path / "source.mp4", ramp(7), 25, audio=[(tone(0.3), 48000, "aac", "stereo")])
    clip = tensor_clip(torch.rand(7, 48, 64, 3))
    clip.maker.info = clip.info.replace(audio=Soundtrack(source))
    path = tmp_path / "film.mp4"
    with pytest.raises(ValueError, match=r"rgbd shows depth next to the frame\. Connect a depth"):
        write(RenderRequest(clip, path, settings(layout="rgbd")), host)
    assert not path.exists()
    write(
        RenderRequest(clip, path, settings(layout="rgbd"), depth=tensor_clip(torch.rand(7, 48, 64, 1))), host
    )
    assert packets(path)[0] == packets(source)[0][:-1]  # all that is heard within 7 frames
    with av.open(str(path)) as container:
        assert container.streams.video[0].width == 128
