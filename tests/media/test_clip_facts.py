"""The line of facts about a clip: ordinary ones always, others where they are there."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from stereoreel.core import clip as graph
from stereoreel.core.clip import Clip, Color, Samples
from stereoreel.core.tensor_source import TensorSource
from stereoreel.core.transforms import Recolored, Split
from stereoreel.media.clip_facts import clip_facts, duration
from stereoreel.media.extract_options import ExtractOptions
from stereoreel.media.open import file_clip
from stereoreel.sample import FILE
from tests.media import workshop, zoo


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return workshop.Workshop(tmp_path_factory.mktemp("facts"))


def facts(path, **options):
    return clip_facts(file_clip(path, ExtractOptions(cuts=False, **options), "Extract"))


def test_the_sample():
    assert facts(FILE)[:5] == ["100 frames", "640x272", "25 fps", "4 s", "stereo sound"]
    half = facts(FILE, select_every_nth=2, skip_first_frames=24, max_side=320)
    assert half[:4] == ["38 frames", "320x136", "12.5 fps", "3.04 s"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-an",), ["75 frames", "128x96", "25 fps", "3 s", "no sound"]),
        (("-c:a", "aac", "-ac", 6), ["75 frames", "128x96", "25 fps", "3 s", "5.1 sound"]),
        (
            ("-vf", "setsar=8/9", "-an"),
            ["75 frames", "114x96", "25 fps", "3 s", "no sound", "pixels 8:9 made square"],
        ),
        (
            ("-flags", "+ildct+ilme", "-x264-params", "tff=1", "-an"),
            ["75 frames", "128x96", "25 fps", "3 s", "no sound", "deinterlaced"],
        ),
    ],
)  # fmt: skip
def test_files(options, expected, shop):
    assert facts(shop.made("facts.mp4", *zoo.X264, *options)) == expected


def test_what_is_not_ordinary(shop):
    turned = shop.copied(
        "turned.mp4", shop.made("upright.mp4", *zoo.X264, "-an"), before=("-display_rotation", 90)
    )
    assert "96x128" in facts(turned) and "rotated 270°" in facts(turned)
    varying = facts(zoo.ZOO["pause-20.mp4"].make(shop))
    assert varying[:3] == ["75 frames", "128x96", "about 25 fps"] and "varying rate" in varying
    kept = facts(shop.made("kept.mp4", *zoo.X264, "-an", "-vf", "setsar=8/9"), pixel_aspect="keep")
    assert kept[1] == "128x96" and kept[-1] == "pixels 8:9"


def test_clips_without_a_file():
    images, sound = torch.rand(1, 8, 32, 3), Samples(torch.zeros(1, 800), 8000)
    clip = Clip(TensorSource(images, Fraction(24000, 1001), cuts=False, label="T", audio=sound))
    assert clip_facts(clip) == ["1 frame", "32x8", "23.976 fps", "0.0417 s", "mono sound"]
    pair = graph.apply(Split(), clip)["clip"]
    assert clip_facts(pair)[1] == "16x8 per view"
    hdr = graph.apply(Recolored(replace(Color(), transfer=16)), clip)["clip"]
    assert clip_facts(hdr)[-1] == "HDR (PQ)"


def test_durations():
    assert [duration(Fraction(value)) for value in (Fraction(4, 3), 10, 75, 3599.6, 3725)] == [
        "1.33 s", "0:10", "1:15", "1:00:00", "1:02:05",
    ]  # fmt: skip
