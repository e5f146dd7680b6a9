"""Units: the frames of each unit equal those of one pull, for all stages, cuts and rates."""

from dataclasses import dataclass

import pytest
import torch

from stereoreel.core import partition
from stereoreel.core.clip import apply
from stereoreel.core.partition import Unit, excerpt, merged_units, units
from stereoreel.core.pull import frames, pull
from stereoreel.core.stage_cache import StageCache
from stereoreel.core.transforms import Recut, Trim, Uncut
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.interpolate import builtin as interpolation


def plan(kind, **given) -> Plan:
    return Plan(kind, {"model": "builtin", **given}, kind)


@dataclass(frozen=True)
class Trail:
    """A running mean, which depends on every previous frame of the shot."""

    label: str = "Trail"
    nets = ()
    joint = True

    def load(self, host):
        return self

    def describe(self, *clips):
        return clips[0]

    def __call__(self, shot, *chunks):
        mean = None
        for parts in zip(*chunks):
            made = []
            for frame in parts[0].split(1, -4):
                mean = frame if mean is None else 0.9 * mean + 0.1 * frame
                made.append(mean)
            yield torch.cat(made, -4)


@pytest.fixture
def film(tensor_clip):
    """Make a texture that slides, a different one in every shot."""

    def make(count, cuts=(), size=(36, 48)):
        shots = []
        for number, (start, stop) in enumerate(zip((0, *cuts), (*cuts, count))):
            still = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(number))
            still = torch.nn.functional.avg_pool2d(still.movedim(-1, 1), 5, 1, 2).movedim(1, -1)
            shots += [still.roll(2 * shift, 2) for shift in range(stop - start)]
        return tensor_clip(torch.cat(shots), cuts=cuts)

    return make


def trail(clip):
    return apply(Trail(), clip)["clip"]


def check(clips, host, group) -> list[Unit]:
    """Check that units cover the film and that each alone gives the frames of the full pull."""
    whole = [torch.cat(parts, -4) for parts in zip(*pull(clips, host))]
    found, stages = units(clips, group), StageCache()
    assert [unit.start for unit in found] == [0, *(unit.stop for unit in found[:-1])]
    assert found[-1].stop == clips[0].info.frames
    for unit in found:
        parts = excerpt(clips, unit, stages)
        made = [torch.cat(chunks, -4) for chunks in zip(*pull(parts, host))]
        assert all(
            part.info.fps == clip.info.fps and part.info.frames == unit.frames
            for part, clip in zip(parts, clips)
        )
        for one, all_of_it in zip(made, whole):
            torch.testing.assert_close(one, all_of_it.narrow(-4, unit.start, unit.frames), atol=0, rtol=0)
    return found


@pytest.mark.parametrize(
    "given",
    [{"multiplier": 2}, {"target_fps": "60"}, {"target_fps": "7"}, {"multiplier": 4, "duplicates": "smooth"}],
    ids=str,
)
def test_units_of_complete_shots_equal_the_pull(given, film, host):
    clip = apply(plan("interpolate", **given), film(40, (9, 11, 12, 30)))["clip"]
    found = check([clip, trail(clip)], host, group=1)
    assert len(found) == len([shot for shot in clip.info.shots if shot[0] < shot[1]])


def test_upscaling_with_neighbours_before_and_interpolation_after(film, host):
    clip = apply(plan("vsr", factor=2), film(24, (10,), size=(24, 32)))["clip"]
    clip = apply(plan("interpolate"), clip)["clip"]
    assert len(check([clip], host, group=1)) == 2


def test_short_shots_share_a_unit(film):
    clip = film(40, (9, 11, 12, 30))
    assert [(unit.start, unit.stop) for unit in units([clip], 12)] == [(0, 12), (12, 30), (30, 40)]
    assert [(unit.start, unit.stop) for unit in units([clip], 1000)] == [(0, 40)]


def test_depth_and_both_views(film, host):
    clip = film(8, (3,), size=(24, 32))
    depth = apply(plan("depth"), clip)["clip"]
    assert len(check([apply(plan("stereo"), clip, depth)["clip"], depth], host, group=1)) == 2


def test_cut_unknown_upstream_ends_no_unit(film, host):
    clip = film(30)
    assert len(units([apply(Recut("10"), trail(clip))["clip"]], 1)) == 1
    assert len(check([trail(apply(Recut("10"), clip)["clip"])], host, 1)) == 2
    forgotten = trail(apply(Uncut(), film(30, (10,)))["clip"])
    assert len(units([forgotten], 1)) == 1


def test_trimmed_film_and_two_clips_with_different_cuts(film, host):
    clip = apply(Trim(5, 33), film(40, (9, 11, 30)))["clip"]
    assert len(check([clip, trail(clip)], host, 1)) == 4
    joined = apply(plan("interpolate"), clip)["clip"]
    once = apply(plan("interpolate"), apply(Recut("none"), clip)["clip"])["clip"]
    assert len(units([joined, once], 1)) == 1


def test_long_shot_is_split_alike_in_a_pull_and_in_units(film, host, monkeypatch):
    monkeypatch.setattr(partition, "LONGEST", 20)
    monkeypatch.setattr(partition, "LEAD", 4)
    clip = apply(plan("interpolate"), film(50, (4, 9, 44)))["clip"]
    clips = [clip, apply(Trail(), clip, trail(clip))["clip"]]
    assert [tuple(unit) for unit in check(clips, host, group=16)] == [
        (0, 8, 0, 8),
        (8, 18, 8, 18),
        (18, 35, 18, 39),
        (35, 53, 31, 57),
        (53, 70, 49, 74),
        (70, 88, 66, 88),
        (88, 100, 88, 100),
    ]
    assert [(one.start, one.stop) for one in merged_units(clips)] == [(0, 35), (35, 53), (53, 70), (70, 100)]


def test_part_of_a_split_shot_sees_its_surroundings(film, host, monkeypatch):
    clip = trail(film(200))
    whole = frames(clip, host)
    monkeypatch.setattr(partition, "LONGEST", 100)
    split = frames(clip, host)
    assert (split - whole)[:100].abs().max() == 0
    assert 0 < (split - whole)[100:].abs().max() < 0.9**partition.LEAD


def test_loop_is_one_unit(film, monkeypatch):
    monkeypatch.setattr(partition, "LONGEST", 10)
    assert len(units([apply(plan("interpolate", loop=True), film(30))["clip"]], 1)) == 1


def test_networks_are_loaded_once_for_all_units(film, host, monkeypatch):
    monkeypatch.setattr(partition, "LONGEST", 10)
    loads = []
    real = interpolation.load
    monkeypatch.setattr(interpolation, "load", lambda *given: loads.append(1) or real(*given))
    clip = apply(plan("interpolate"), film(30))["clip"]
    assert len(frames(clip, host)) == 60 and len(loads) == 1
