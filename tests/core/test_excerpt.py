"""Excerpts: selected frames equal those of the full clip, for a fraction of the work."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from stereoreel.core.clip import Clip, apply
from stereoreel.core.excerpt import evenly_spaced, select_frames
from stereoreel.core.pull import frames, pull
from stereoreel.core.transforms import Eye, Split, Trim
from stereoreel.media.read.decode import FileSource
from stereoreel.models.lazy_stage import Plan
from stereoreel.viewing.preview import preview_frames, save
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID
from tests.support.counting import Counting
from tests.support.media_files import write_video


def plan(kind, **given) -> Plan:
    return Plan(kind, {"model": "builtin", **given}, kind)


def moving(tensor_clip, count, size=(48, 64), **facts) -> Clip:
    """Make a texture that slides two pixels a frame."""
    still = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(3))
    still = torch.nn.functional.avg_pool2d(still.movedim(-1, 1), 5, 1, 2).movedim(1, -1)
    return tensor_clip(torch.cat([still.roll(2 * shift, 2) for shift in range(count)]), **facts)


def check(clip: Clip, host, numbers) -> None:
    """Check that excerpt frames equal those of the full clip."""
    whole = frames(clip, host)
    seen = frames(select_frames([clip], numbers)[0], host)
    torch.testing.assert_close(seen, whole.index_select(-4, torch.tensor(numbers)), atol=0, rtol=0)


def test_samples_are_spread_over_a_clip():
    assert (
        evenly_spaced(200, 4) == [25, 75, 125, 175]
        and evenly_spaced(3, 8) == [0, 1, 2]
        and evenly_spaced(1, 8) == [0]
    )


def test_cost_depends_on_samples_not_on_length(tensor_clip, host):
    stage = Counting(joint=True)
    clip = apply(stage, apply(plan("interpolate"), moving(tensor_clip, 300))["clip"])["clip"]
    seen = select_frames([clip], evenly_spaced(clip.info.frames, 4))[0]
    assert seen.info.frames == 4 and len(frames(seen, host)) == 4
    assert stage.seen == 4


@pytest.mark.parametrize("given", [
    {"multiplier": 2}, {"multiplier": 3}, {"target_fps": "23.976"}, {"target_fps": "60"}, {"target_fps": "7"},
    {"multiplier": 2, "slow_motion": True}, {"multiplier": 2, "ending": "last frame"},
    {"multiplier": 4, "duplicates": "smooth"}, {"multiplier": 3, "schedule": "20-30: hold; 31-40: blend"},
], ids=str)  # fmt: skip
def test_interpolated_frames_equal_those_of_the_full_clip(given, tensor_clip, host):
    clip = apply(plan("interpolate", **given), moving(tensor_clip, 60, cuts=(17, 41)))["clip"]
    last = clip.info.frames - 1
    check(clip, host, sorted({0, 1, last // 3, last // 2, last // 2 + 1, last - 1, last}))


def test_all_frames_equal_the_full_clip(tensor_clip, host):
    clip = apply(plan("interpolate", target_fps="40"), moving(tensor_clip, 20, cuts=(7,)))["clip"]
    check(clip, host, list(range(clip.info.frames)))


def test_variable_rate(tensor_clip, host):
    clip = moving(tensor_clip, 30)
    steps = [Fraction(1, 25) if index % 3 else Fraction(1, 10) for index in range(30)]
    clip.maker.info = clip.info.replace(times=tuple(sum(steps[:index], Fraction(0)) for index in range(30)))
    check(apply(plan("interpolate", target_fps="30"), clip)["clip"], host, [0, 13, 27, 28, 35])


def test_two_rate_changes_and_a_trim(tensor_clip, host):
    clip = apply(plan("interpolate", target_fps="30"), moving(tensor_clip, 50, cuts=(20,)))["clip"]
    clip = apply(Trim(11, 47), clip)["clip"]
    clip = apply(plan("interpolate", target_fps="24000/1001"), clip)["clip"]
    check(clip, host, [0, 9, 10, 20, clip.info.frames - 1])


def test_manual_cuts(tensor_clip, host):
    node, clip = BY_ID["StereoReelInterpolate"], moving(tensor_clip, 40, cuts=(10,))
    for cuts in ("none", "25"):
        made = build.stage(node, {"clip": clip}, {"model": "builtin", "cuts": cuts}, "3")["clip"]
        check(made, host, [19, 20, 21, 49, 50])


def test_loop_without_its_seam(tensor_clip, host):
    clip = apply(plan("interpolate", loop=True), moving(tensor_clip, 40))["clip"]
    check(clip, host, [0, 1, 35, 78])


def test_shared_input_is_computed_once_and_depth_matches_its_frame(tensor_clip, host):
    shared = Counting(joint=True)
    clip = apply(shared, moving(tensor_clip, 80))["clip"]
    depth = tensor_clip(torch.rand(80, 48, 64, 1, generator=torch.Generator().manual_seed(1)), cuts=(40, 52))
    depth = apply(Counting(lambda depth, frames: depth, joint=True), depth, clip)["clip"]
    stereo = apply(plan("stereo", convergence_mode="fixed"), clip, depth)
    check(stereo["clip"], host, [3, 40, 41, 79])
    shared.seen = 0
    seen = select_frames(
        [apply(Eye(0), stereo["clip"])["clip"], stereo["right_holes"], depth], [3, 40, 41, 79]
    )
    assert sum(len(chunk) for chunks in pull(seen, host) for chunk in chunks) == 3 * 4 and shared.seen == 4


def test_inputs_of_different_rates_meet_at_the_right_frames(tensor_clip, host):
    """Depth at twice the film's rate, next to a clip that was interpolated to that rate."""
    clip = apply(plan("interpolate", multiplier=2), moving(tensor_clip, 30, cuts=(11,)))["clip"]
    depth = tensor_clip(torch.rand(60, 48, 64, 1, generator=torch.Generator().manual_seed(1)))
    check(apply(plan("stereo", convergence_mode="fixed"), clip, depth)["clip"], host, [7, 21, 22, 23, 59])


def test_stateful_stages_see_neighbours_but_not_across_a_cut(tensor_clip, host):
    clip = moving(tensor_clip, 60, cuts=(30,))
    depth = apply(plan("depth"), clip)["clip"]
    enhanced = apply(plan("vsr", factor=1.5), clip)["clip"]
    stereo = apply(plan("stereo", fill="inpaint"), enhanced, depth)["clip"]
    assert frames(select_frames([stereo], [0, 29, 30, 59])[0], host).shape == (2, 4, 72, 96, 3)
    alone = apply(plan("depth"), apply(Trim(30, 60), clip)["clip"])["clip"]
    torch.testing.assert_close(
        frames(select_frames([depth], [30])[0], host),
        frames(select_frames([alone], [0])[0], host),
        atol=0,
        rtol=0,
    )


def test_inputs_that_look_around_differently_are_cut_alike(tensor_clip, host):
    """Depth of the source moves along with the upscaled frames, as in the order depth first."""
    clip = moving(tensor_clip, 60, cuts=(30,))
    depth, large = apply(plan("depth"), clip)["clip"], apply(plan("vsr", factor=1.5), clip)["clip"]
    between = apply(plan("interpolate"), large, depth)
    stereo = apply(plan("stereo"), between["clip"], between["depth"])["clip"]
    assert frames(select_frames([stereo], [7, 41, 90])[0], host).shape == (2, 3, 72, 96, 3)


def test_files_are_seeked_not_read_through(tmp_path, host, real_clip):
    clip = Clip(FileSource(real_clip("bigbuckbunny.mp4"), start=1, duration=3, max_side=320))
    check(apply(plan("upscale", factor=1.5), clip)["clip"], host, [2, 40, clip.info.frames - 1])


def test_file_that_ends_early_is_sampled_to_its_end(tmp_path, host):
    path = tmp_path / "whole.mkv"
    write_video(path, np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8), Fraction(25))
    (tmp_path / "cut.mkv").write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    clip = Clip(FileSource(tmp_path / "cut.mkv", cuts=False))
    seen = select_frames([apply(plan("depth"), clip)["clip"]], evenly_spaced(clip.info.frames, 3))[0]
    assert len(frames(seen, host)) == 3


def test_unequal_lengths_and_frames_out_of_range_are_refused(tensor_clip):
    with pytest.raises(ValueError, match="7 and 9 frames"):
        select_frames([tensor_clip(), tensor_clip(frames=9)], [0])
    with pytest.raises(ValueError, match="between 0 and 6"):
        select_frames([tensor_clip()], [7])


def test_preview_has_frame_number_time_and_images(tensor_clip, host, tmp_path):
    pair = torch.cat([torch.full((50, 32, 48, 3), 0.25), torch.full((50, 32, 48, 3), 0.75)], 2)
    clip = apply(Split(), tensor_clip(pair))["clip"]
    depth = tensor_clip(torch.ones(50, 32, 48, 1))
    made = list(preview_frames(clip, depth, 5, 24, host))
    assert [(look.frame, look.seconds) for look in made] == [
        (5, 0.2),
        (15, 0.6),
        (25, 1.0),
        (35, 1.4),
        (45, 1.8),
    ]
    assert {name: (image.shape, image[0, 0].tolist()) for name, image in made[0].pictures.items()} == {
        "left": ((16, 24, 3), [64] * 3),
        "right": ((16, 24, 3), [191] * 3),
        "depth": ((16, 24, 3), [252, 255, 164]),
    }
    assert [path.name for path in save(made[1], tmp_path, "look").values()] == [
        f"look_000015_{name}.jpg" for name in ("left", "right", "depth")
    ]
    assert set(next(preview_frames(Clip(clip.maker.inputs[0].maker), None, 1, 64, host)).pictures) == {"left"}
