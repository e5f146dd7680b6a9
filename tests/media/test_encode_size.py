"""Files of a given size: accuracy, and unchanged audio, text, time and colour."""

import os
from fractions import Fraction

import numpy as np
import pytest
import torch

from stereoreel.core.clip import Clip, ClipInfo, Samples, Soundtrack, apply
from stereoreel.core.transforms import Split
from stereoreel.media.layouts.boxes import Stereo, read_stereo
from stereoreel.media.write.codec import Rate
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.options import extension
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.media.write.sized import SizedWriter
from tests.support.encoded_files import packets, read, settings
from tests.support.hearing import Hearing
from tests.support.media_files import moving, tone, write_video


@pytest.fixture
def film(tensor_clip):
    return tensor_clip(pictures())


def pictures():
    """Return forty moving frames, simple ones first, with unpredictable noise that grows."""
    frames = torch.from_numpy(moving(40, 192, 128)) / 255
    noise = torch.rand(frames.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    return (frames + noise * torch.linspace(0, 0.4, 40)[:, None, None, None]).clamp(0, 1)


def with_sound(clip: Clip, source) -> Clip:
    clip.maker.info = clip.info.replace(audio=Soundtrack(source))
    return clip


@pytest.mark.parametrize(
    "name, megabytes",
    [("h264", 0.1), ("h264", 0.3), ("h264_444", 0.2), ("hevc", 0.08), ("hevc", 0.25), ("av1", 0.3)],
)
def test_size_is_within_three_percent_and_no_larger(tmp_path, host, film, name, megabytes):
    (path,) = write(
        RenderRequest(film, tmp_path / "film.mp4", settings(format=name, size_mb=megabytes, speed="fast")),
        host,
    )
    assert 0.97 <= path.stat().st_size / (megabytes * 1e6) <= 1
    assert os.listdir(tmp_path) == ["film.mp4"]
    facts, frames = read(path)
    assert len(frames) == 40 and facts["rate"] == 25 and facts["duration"] == Fraction(40, 25)
    assert facts["color"] == facts["frame_color"] == (1, 1, 1, 1)


def test_av1_is_reproducible_if_asked(tmp_path, film):
    """Otherwise the size depends on the timing of SVT-AV1's threads, and no estimate of the rate is exact."""
    files = []
    for run in range(4):
        rate = Rate(640_000, reproducible=True)
        chosen = settings(format="av1", speed="fast")
        with Writer(tmp_path / f"{run}.mp4", film.info, chosen, rate=rate) as writer:
            writer.write(pictures())
        files.append(writer.path.read_bytes())
    assert len(set(files)) == 1


def test_audio_counts_and_all_streams_are_copied(tmp_path, host, film):
    source = write_video(
        tmp_path / "source.mp4",
        moving(40),
        25,
        audio=[(tone(1.6), 48000, "aac", "stereo")],
        subtitles=[(0.1, 0.3, "line")],
        chapters=[(0, 0.4, "one")],
    )
    chosen = settings(size_mb=0.15, speed="fast")
    (path,) = write(
        RenderRequest(with_sound(film, source), tmp_path / "film.mp4", chosen, metadata={"prompt": "{}"}),
        host,
    )
    assert 0.97 <= path.stat().st_size / 150_000 <= 1
    assert [packets(path, kind) for kind in ("audio", "subtitle")] == [
        packets(source, kind) for kind in ("audio", "subtitle")
    ]
    assert read(path)[0]["metadata"]["prompt"] == "{}"


def test_views_are_marked_and_the_depth_file_keeps_its_quality(tmp_path, host, film, tensor_clip):
    pair = apply(Split(), film)["clip"]
    depth = tensor_clip(torch.rand(40, 16, 16, 1))
    chosen = settings(size_mb=0.1, speed="fast", layout="full_tb")
    path, far = write(RenderRequest(pair, tmp_path / "film.mp4", chosen, depth=depth), host)
    assert 0.97 <= path.stat().st_size / 100_000 <= 1 and read_stereo(path) == Stereo("top_bottom")
    (alone,) = write(
        RenderRequest(depth, tmp_path / "alone.mp4", settings(speed="fast", layout="full_tb")), host
    )
    assert far.read_bytes() == alone.read_bytes()


def test_variable_rate_keeps_its_times(tmp_path, host):
    times = tuple(Fraction(tick, 90_000) for tick in (0, 3003, 6006, 15015, 18018, 22022, 45000))
    info = ClipInfo(64, 48, 7 / Fraction(48003, 90_000), 7, times=times)
    with SizedWriter(tmp_path / "film.mp4", info, settings(size_mb=0.05), tick=lambda *_: None) as writer:
        writer.write(torch.rand(7, 48, 64, 3))
    assert read(tmp_path / "film.mp4")[0]["times"] == list(times)


def test_unneeded_size_is_not_filled(tmp_path, host, tensor_clip):
    (path,) = write(
        RenderRequest(
            tensor_clip(torch.full((10, 48, 64, 3), 0.5)),
            tmp_path / "film.mp4",
            settings(size_mb=5, speed="fast"),
        ),
        host,
    )
    assert path.stat().st_size < 5e6 and len(read(path)[1]) == 10


def test_audio_larger_than_the_size_is_kept_with_a_warning(tmp_path, host, film):
    sound = Samples(torch.rand(8, 48000 * 2) - 0.5, 48000)
    with pytest.warns(
        UserWarning,
        match=r"film\.mp4 takes 0\.\d\d MB instead of 0\.04 MB, of which 0\.\d\d MB are its audio",
    ):
        (path,) = write(
            RenderRequest(film, tmp_path / "film.mp4", settings(size_mb=0.04, speed="fast"), audio=sound),
            host,
        )
    assert packets(path)[0] and len(read(path)[1]) == 40


@pytest.mark.parametrize(
    "given, said",
    [
        ({"format": "prores"}, r"prores does not support a target size\. Choose one of h264, hevc, av1"),
        ({"format": "gif"}, "gif does not support a target size"),
        ({"size_mb": 0.001}, "Set size_mb to 0.006 or more"),
    ],
)
def test_impossible_sizes_are_refused_before_the_first_frame(tmp_path, host, film, given, said):
    with pytest.raises(ValueError, match=said):
        chosen = settings(**{"size_mb": 1, **given})
        hearing = Hearing(chunk=lambda *_: pytest.fail("a frame was computed"))
        write(RenderRequest(film, tmp_path / f"film{extension(chosen)}", chosen), host, hearing)
    with pytest.raises(ValueError, match="hevc does not support frames of 16 x 16"):
        info = ClipInfo(16, 16, Fraction(25), 10)
        SizedWriter(
            tmp_path / "film.mp4", info, settings(format="hevc", size_mb=1), tick=lambda *_: None
        ).__enter__()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("late", [False, True], ids=["while pulling", "while encoding again"])
def test_cancel_leaves_no_file(tmp_path, host, film, late):
    class Stopped(Exception):
        pass

    ticks = []

    def tick(done, total):
        ticks.append(done)
        if not late or ticks.count(total) > 1:
            raise Stopped

    host._on_tick = tick
    with pytest.raises(Stopped):
        write(RenderRequest(film, tmp_path / "film.mp4", settings(size_mb=0.2, speed="fast")), host)
    assert os.listdir(tmp_path) == []


def test_intermediate_copy_costs_no_visible_quality(tmp_path, host, film):
    """A sized file is as accurate as one of the same size by constant quality."""
    (path,) = write(RenderRequest(film, tmp_path / "film.mp4", settings(crf=26)), host)
    (sized,) = write(
        RenderRequest(film, tmp_path / "sized.mp4", settings(size_mb=path.stat().st_size / 1e6)), host
    )
    errors = [np.sqrt(np.mean((read(file)[1] - pictures().numpy()) ** 2)) for file in (path, sized)]
    assert errors[1] < 1.05 * errors[0]
