"""What follows from the device that Encode Video names: Stereo's screen, and what spatial video states."""

import json
import math
from pathlib import Path

import pytest
import torch

import stereoreel
from stereoreel.core.clip import Step, makers_of
from stereoreel.media.write.options import EncodeOptions
from stereoreel.sample import FILE
from stereoreel.stages.stereo.comfort import SCREENS, screen_of
from stereoreel.workflow import graph as workflow
from stereoreel.workflow.watched import baseline_mm, stereo_plans, watched
from tests.support.encoded_files import settings

START = Path(__file__).resolve().parents[2] / "workflows" / "api" / "start.json"


def film(*options):
    graph = workflow.override(json.loads(START.read_text(encoding="utf-8")), options)
    [sink] = workflow.Assembly(graph, lambda name: FILE).sinks
    return sink


def stereo(sink):
    return next(stereo_plans(sink.clip)).settings


def test_screen_of_stereo_follows_the_device():
    assert stereo(film()).screen == "none"
    assert stereo(film("encode.device=tv_3d_sbs")).screen == "tv"
    assert stereo(film("encode.device=meta_quest")).screen == "vr headset"
    assert stereo(film("encode.device=meta_quest", "stereo.screen=cinema")).screen == "cinema"
    limited = stereo(film("encode.device=cardboard", "stereo.screen=device", "stereo.limit=true"))
    assert limited.screen == "phone" and limited.limit
    assert stereo(film("stereo.screen=device", "stereo.limit=true")).screen == "device"
    assert screen_of("device") == screen_of("none") == SCREENS["tv"]


def test_pair_for_a_device_is_limited_as_for_its_screen(tmp_path):
    frames = torch.rand(2, 32, 64, 3, generator=torch.Generator().manual_seed(0))
    clip = stereoreel.from_tensor(frames, 25, cuts=False)
    ramp = torch.linspace(0, 1, 64).expand(2, 32, 64)[..., None].contiguous()
    depth = stereoreel.from_tensor(ramp, 25, cuts=False)

    def written(name, screen, watch_on="none"):
        pair = stereoreel.stereo(clip, depth, divergence=10, screen=screen, limit=True)
        stereoreel.write(pair, tmp_path / name, format="ffv1", layout="full_tb", watch_on=watch_on)
        return torch.cat(list(stereoreel.frames(stereoreel.open(tmp_path / name))), -4)

    headset = written("headset.mkv", "vr headset")
    assert torch.equal(written("device.mkv", "device", "android_xr"), headset)
    assert not torch.equal(written("tv.mkv", "device"), headset)


def test_depth_and_clip_keep_sharing_their_stages():
    clip = stereoreel.from_tensor(torch.rand(2, 32, 64, 3), 25, cuts=False)
    depth = stereoreel.depth(clip)
    pair = stereoreel.stereo(clip, depth)
    seen, other, _ = watched(pair, depth, settings(device="meta_quest"))
    assert other is depth and sum(isinstance(maker, Step) for maker in makers_of([seen, other])) == 2


def test_baseline_is_that_of_the_divergence():
    for divergence, field in [(2, 63.4), (1, 63.4), (4, 60), (2, 31)]:
        baseline = baseline_mm(divergence, field)
        # of an object 2.55 m away, seen by two parallel lenses: its parallax as a share of the width there
        width = 2 * 2550 * math.tan(math.radians(field) / 2)
        assert baseline / width == pytest.approx(divergence / 100)
    assert round(baseline_mm(2, 63.4), 1) == 63.0  # the options' defaults


def test_spatial_video_states_what_stereo_says():
    plain = film("encode.format=mv_hevc").settings
    assert (plain.baseline_mm, plain.spatial_field, plain.disparity_shift) == (63.0, 63.4, 0.0)
    double = film("encode.format=mv_hevc_mp4", "stereo.divergence=4").settings
    assert double.baseline_mm == 126.0
    headset = film("encode.device=apple_vision_pro").settings
    assert headset.spatial_field == 60.0 and headset.baseline_mm == 58.9
    television = film("encode.format=mv_hevc", "stereo.screen=tv").settings
    assert television.spatial_field == 31.1  # degrees, as SCREENS says: 1218 mm at 2190 mm
    by_hand = film("encode.device=apple_vision_pro", "encode.baseline_mm=19.2", "encode.spatial_field=70")
    assert (by_hand.settings.baseline_mm, by_hand.settings.spatial_field) == (19.2, 70.0)
    none = film("encode.device=apple_vision_pro", "encode.spatial_field=0").settings
    assert none.spatial_field == 0 and none.baseline_mm == 63.0
    sphere = film("encode.device=apple_vision_pro", "encode.layout=vr180").settings
    assert sphere.spatial_field == 63.4 and sphere.baseline_mm == 102.0  # the frame fills 90 degrees
    planned = film("encode.device=apple_vision_pro", "stereo.strength=strong", "stereo.divergence=9").settings
    assert planned.baseline_mm == round(baseline_mm(100 * 2 * 34.92 / 2309, 60), 1)  # a degree either way
    other = film("stereo.divergence=4").settings  # h264 states nothing
    assert other.baseline_mm == 63.0 and isinstance(other, EncodeOptions)
