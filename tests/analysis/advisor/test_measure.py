"""What the advisor measures is true, for synthetic faults and for the real clips."""

import functools
import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from benchmarks.support.scenes import Camera, street
from stereoreel.analysis.advisor.measure import measure
from stereoreel.core.clip import Clip, apply
from stereoreel.media.read.decode import FileSource
from tests.support.counting import Counting
from tests.support.media_files import lose, write_video


def opened(path):
    return Clip(FileSource(path, cuts=False))


@functools.cache
def shown(seconds_apart=1.0, frames=16, speed=3.0):
    """Return a moving street as uint8 ``[N, H, W, 3]``."""
    scene = street(3, 256, 160, camera=Camera(pan=(speed, 0), truck=(speed, 0)))
    return (scene.clip(frames, seconds_apart)[0].numpy() * 255 + 0.5).astype(np.uint8)


def as_clip(tensor_clip, frames, **facts):
    return tensor_clip(torch.from_numpy(np.ascontiguousarray(frames)).float() / 255, **facts)


def weave(fields, first):
    """Weave frames from two fields of different times; with ``first`` 0 the top field comes first."""
    early, late = fields[0::2].copy(), fields[1::2]
    early[:, 1 - first :: 2] = late[:, 1 - first :: 2]
    return early


@pytest.mark.parametrize(("first", "name"), [(0, "top"), (1, "bottom")])
def test_interlacing_names_the_first_field(first, name, tensor_clip, host):
    found = measure(as_clip(tensor_clip, weave(shown(0.5, 32), first)), host).findings["interlaced"]
    assert found.value == 1 and f"{name} field first" in found.text


def test_progressive_material_with_fine_stripes_is_not_interlaced(tensor_clip, host):
    rows, columns = np.mgrid[0:96, 0:160]
    stripes = [128 + 100 * (-1.0) ** rows * np.sin((columns + 4 * index) / 9) for index in range(10)]
    for frames in (shown(), np.repeat(np.stack(stripes)[..., None], 3, -1).astype(np.uint8)):
        found = measure(as_clip(tensor_clip, frames), host).findings["interlaced"]
        assert found.value == 0 and found.sure


def test_interlacing_of_a_file_is_measured_as_coded(tmp_path, host):
    path = write_video(
        tmp_path / "woven.mkv", weave(shown(0.5, 24), 0), options={"x264-params": "tff=1:crf=18"}
    )
    assert measure(opened(path), host).findings["interlaced"].value == 1


def test_pulldown_is_recognised(tensor_clip, host):
    film, frames = shown(1.0, 12, 4.0), []
    for a, b, c, d in film.reshape(3, 4, *film.shape[1:]):
        frames += [a, b, *weave(np.stack([b, c, c, d]), 0), d]
    found = measure(as_clip(tensor_clip, np.stack(frames)), host, window=15).findings["interlaced"]
    assert "3:2" in found.text and 0.3 < found.value < 0.5


@pytest.mark.parametrize(
    ("cadence", "share", "rate"),
    [
        ((0, 1, 2, 3, 3), Fraction(1, 5), 24),
        ((0, 0), Fraction(1, 2), 15),
        ((0, 0, 1, 1, 1), Fraction(3, 5), 12),
        ((0, 1), 0, 30),
    ],
)
@pytest.mark.parametrize("coded", [False, True])
def test_repeated_frames_are_counted_exactly(cadence, share, rate, coded, tensor_clip, tmp_path, host):
    new = 1 + max(cadence)
    frames = shown(1.0, 24)[[new * turn + place for turn in range(24 // new) for place in cadence]]
    clip = as_clip(tensor_clip, frames, fps=Fraction(30))
    if coded:
        clip = opened(write_video(tmp_path / "cadence.mp4", frames, 30, options={"crf": "26"}))
    found = measure(clip, host).findings["duplicates"]
    assert found.value == float(share) and f"{rate} " in found.text


def test_undecodable_frames_are_reported_and_not_counted_as_repeats(tmp_path, host):
    path = write_video(tmp_path / "damaged.mov", shown(1.0, 24), 25, codec="png", pix_fmt="rgb24")
    lose(path, range(5, 24, 4))
    found = measure(opened(path), host)
    assert found.damaged == 5 and "24 sampled, 5 of them corrupt" in found.text()
    assert found.findings["duplicates"].value == 0 and found.findings["duplicates"].sure


def test_still_image_is_recognised(tensor_clip, host):
    still = np.repeat(shown(frames=1), 10, 0).astype(np.float32)
    noisy = np.clip(still + np.random.default_rng(0).normal(0, 4, still.shape), 0, 255)
    for frames in (still, noisy):
        found = measure(as_clip(tensor_clip, frames), host).findings["duplicates"]
        assert found.value == 0 and not found.sure and "still" in found.text


def test_motion_is_in_pixels_of_the_clip(tensor_clip, host):
    scene = street(3, 768, 96, camera=Camera(pan=(6, 0)))
    found = measure(tensor_clip(scene.clip(5)[0]), host).findings
    assert found["motion"].value == pytest.approx(6, rel=0.1)
    assert found["large_motion"].value == pytest.approx(6, rel=0.2)


def test_flicker_is_distinguished_from_noise_and_motion(tensor_clip, host):
    steady = shown(frames=12, speed=2).astype(np.float32)
    random = np.random.default_rng(0)
    pumping = steady + 6 * (-1.0) ** np.arange(12)[:, None, None, None]
    blobs = np.kron(random.normal(0, 8, (12, 20, 32)), np.ones((8, 8)))[..., None]
    values = [
        measure(as_clip(tensor_clip, np.clip(frames, 0, 255)), host).findings["flicker"].value
        for frames in (steady, steady + random.normal(0, 8, steady.shape), pumping, steady + blobs)
    ]
    assert values[0] < 1 and values[1] < 1.5 and values[2] == pytest.approx(12, rel=0.25) and values[3] > 4


def test_cuts_are_taken_from_the_clip_or_estimated(tensor_clip, host):
    two = np.concatenate([shown(frames=6), shown(frames=6)[:, ::-1, ::-1]])
    found = [
        measure(as_clip(tensor_clip, two, fps=Fraction(6), cuts=cuts), host).findings["cuts"]
        for cuts in ((), (6,))
    ]
    assert found[0].value == pytest.approx(60 * 6 / 11) and found[1].value == 30 and "1 cut" in found[1].text


@pytest.mark.parametrize("size", [(1, 16, 16), (2, 16, 16), (3, 17, 40), (1, 100, 60)])
def test_small_and_short_clips_are_measured(size, tensor_clip, host):
    measured = measure(tensor_clip(torch.rand(*size, 3)), host)
    assert measured.seen == size[0] and all(str(found.text) for found in measured.findings.values())
    json.dumps(measured.figures(), allow_nan=False)


def test_only_samples_are_decoded(tensor_clip, host):
    counting = Counting()
    clip = apply(counting, tensor_clip(frames=200))["clip"]
    measured = measure(clip, host, samples=4, window=5)
    assert measured.seen == counting.seen == 20


def test_file_is_not_searched_for_cuts(tmp_path, host):
    source = FileSource(
        write_video(tmp_path / "short.mp4", shown(frames=8)), tick=lambda done, total: pytest.fail("searched")
    )
    assert measure(Clip(source), host).seen == 8


def test_720p_clip_has_540_lines(measured_clip):
    found = measured_clip("bigbuckbunny.mp4").findings
    assert found["noise"].value < 1 and found["interlaced"].value == 0 and found["flicker"].value < 1
    assert found["resolution"].value == pytest.approx(540, rel=0.1) and "540" in found["resolution"].text


def test_every_25th_frame_of_the_720p_clip_is_repeated(real_clip, host):
    from stereoreel.analysis.advisor.motion import Cuts
    from stereoreel.analysis.advisor.repeats import Repeats
    from stereoreel.analysis.advisor.windows import sample_spans, windows

    clip, repeats, cuts = opened(real_clip("bigbuckbunny.mp4")), Repeats(), Cuts()
    for window in windows(clip, host, sample_spans(132, 20, 4)):
        repeats.add(window)
        cuts.add(window)
    found = repeats.findings(clip.info)["duplicates"]
    assert found.value == 1 / 25 and "true rate is 24 fps" in found.text and cuts.found == 0


def test_small_clip_is_native_and_slightly_noisy(measured_clip):
    found = measured_clip("carphone_pristine.mp4").findings
    assert 0.3 < found["noise"].value < 2 and found["resolution"].value == 144
    assert found["interlaced"].value == 0 and found["duplicates"].value == 0
