"""Bars of files: found with the cuts, at any pixel format, rotation and size; kept, cropped or ignored."""

import json

import numpy as np
import pytest
import torch

from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip
from stereoreel.core.file_cache import FileCache
from stereoreel.core.pull import frames
from stereoreel.core.tensor_source import TensorSource
from stereoreel.film import cuts
from stereoreel.film.identity import claim, digest
from stereoreel.film.identity import described as identity_of
from stereoreel.image.bars import Margins
from stereoreel.media.clip_facts import clip_facts
from stereoreel.media.extract_options import ExtractOptions
from stereoreel.media.open import from_clip, open_file
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write.options import OPTIONS as EncodeOptions
from tests.support.letterbox import Barred, barred, margins_of
from tests.support.media_files import turn, write_video

WIDTH, HEIGHT = 320, 180
WIDE, ALMOST = margins_of(2.39, WIDTH, HEIGHT), margins_of(1.85, WIDTH, HEIGHT)
SHOTS = [
    Barred(WIDE, 9, level=6, noise=2, seed=1),
    Barred(ALMOST, 7, seed=2),
    Barred(WIDE, 8, seed=3, text=True),
]
CUTS, STARTS = (9, 16), (0, 9, 16)


def film() -> np.ndarray:
    return np.concatenate([barred(shot, WIDTH, HEIGHT) for shot in SHOTS])


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("bars") / "film.mp4", film(), 25)


def options(**given) -> ExtractOptions:
    return ExtractOptions(**given)


def test_bars_and_cuts_of_a_film_are_found_in_one_pass(video):
    info = FileSource(video).info
    assert info.cuts == CUTS
    assert info.bars == tuple(Bars(start, *shot.margins) for start, shot in zip(STARTS, SHOTS))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "rgb24"])
def test_bars_do_not_depend_on_the_pixel_format(pix_fmt, tmp_path):
    codec = {"rgb24": "libx264rgb"}.get(pix_fmt, "libx264")
    path = write_video(tmp_path / "one.mkv", film()[:9], 25, codec=codec, pix_fmt=pix_fmt)
    assert FileSource(path).info.bars == (Bars(0, *WIDE),)


def test_a_part_has_the_bars_of_its_frames(video):
    later = FileSource(video, start=0.4).info  # frame 10
    assert later.bars == (Bars(0, *ALMOST), Bars(6, *WIDE))
    assert FileSource(video, every=2).info.bars == (Bars(0, *WIDE), Bars(5, *ALMOST), Bars(8, *WIDE))
    small = FileSource(video, max_side=WIDTH // 2).info
    assert small.bars[0] == Bars(0, *(-(-side // 2) for side in WIDE))
    assert FileSource(video, look=False).info.bars == FileSource(video, cuts=False).info.bars == ()


def test_crop_takes_what_is_picture_in_any_shot(video, host):
    clip = open_file(video, options(bars="crop"), "Extract")
    top, bottom, _, _ = ALMOST
    height = (HEIGHT - top - bottom) // 2 * 2
    assert (clip.info.width, clip.info.height) == (WIDTH, height)
    whole = frames(open_file(video, options(bars="off"), "Extract"), host)
    assert torch.equal(frames(clip, host), whole[:, top : top + height])
    assert clip.info.bars[0] == Bars(0, WIDE.top - top, WIDE.bottom - bottom - (HEIGHT - top - bottom) % 2)
    alone = open_file(video, options(bars="crop", cuts=False, duration=0.3), "Extract")
    assert alone.info.height == (HEIGHT - WIDE.top - WIDE.bottom) // 2 * 2 and not alone.info.bars


def test_off_gives_every_stage_the_full_frame(video):
    assert open_file(video, options(bars="off"), "Extract").info.bars == ()
    part = open_file(video, options(duration=0.3), "Extract")
    assert part.info.bars and from_clip(part, options(bars="off"), "Extract").info.bars == ()
    assert from_clip(part, options(bars="crop"), "Extract").info.height < HEIGHT


def test_the_canvas_says_which_bars_were_found(video):
    (said,) = [fact for fact in clip_facts(Clip(FileSource(video))) if "bars" in fact]
    sizes = [f"{WIDTH}x{HEIGHT - shot.margins.top - shot.margins.bottom}" for shot in SHOTS[1::-1]]
    assert said == f"picture {' or '.join(sizes)} within bars"


def test_a_job_stores_bars_with_the_cuts(video, tmp_path):
    source, files = FileSource(video), FileCache()
    cuts.write(tmp_path / "job", [Clip(source)])
    cuts.read(tmp_path / "job", files)
    again = FileSource(video, files=files)
    assert again.searched and again.info.bars == source.info.bars
    record = json.loads((tmp_path / "job" / "cuts.json").read_text())
    for broken in (record[0][:-1], [*record[0][:-1], [[0, 1, 2]]], [*record[0][:-1], [[0, -1, 0, 0, 0]]]):
        (tmp_path / "job" / "cuts.json").write_text(json.dumps([broken]))
        cuts.read(tmp_path / "job", files := FileCache())
        assert not FileSource(video, files=files).searched


def test_bars_are_part_of_a_jobs_identity_but_not_of_what_a_finished_film_is_known_by(video, host):
    def identity(**given):
        clip = Clip(FileSource(video, **given))
        return identity_of([clip], EncodeOptions(), host)

    kept, off, plain = identity(), identity(bars="off"), identity(look=False)
    assert digest(kept) != digest(off) != digest(plain)
    assert claim(kept) == claim(plain) != claim(off)


def test_an_image_batch_has_bars_too(host):
    info = TensorSource(torch.from_numpy(film()).float() / 255, 25).info
    assert info.cuts == CUTS and info.bars[:2] == (Bars(0, *WIDE), Bars(9, *ALMOST))


@pytest.mark.parametrize(
    ("degrees", "bars"), [(90, (60, 64, 0, 0)), (270, (64, 60, 0, 0)), (180, (0, 0, 64, 60))]
)
def test_bars_of_a_rotated_film_are_where_they_are_shown(degrees, bars, tmp_path):
    tall = Barred(Margins(0, 0, 60, 64), 6, seed=5)
    path = write_video(tmp_path / "turned.mp4", barred(tall, WIDTH, HEIGHT), 25)
    turn(path, degrees)
    assert FileSource(path).info.bars == (Bars(0, *bars),)
