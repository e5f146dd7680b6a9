"""Strength by shot: the table of a plan, what it does to a shot, and how it is found."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

import stereoreel
from stereoreel.core.clip import Clip, ClipInfo, Shot, apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames, look_ahead
from stereoreel.core.transforms import Recut
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages import stereo
from stereoreel.stages.stereo import look_ahead as look_ahead_module
from stereoreel.stages.stereo import parallax, shot_table
from stereoreel.stages.stereo.comfort import STRENGTHS, screen_of
from stereoreel.stages.stereo.look_ahead import excerpts
from stereoreel.stages.stereo.parallax import Courses, Parallax, limits_of
from stereoreel.stages.stereo.shot_table import Course, PlannedShot, Setting, parsed, written

TABLE = "shot,strength,convergence\n0,2,0.5\n40,4,0.25,3,0.5,,\n"
FPS, LENGTH = 25, 60  # of a shot
everywhere = pytest.mark.parametrize("screen", ["phone", "tv", "cinema"])
every_strength = pytest.mark.parametrize("strength", STRENGTHS)


def settings(**options):
    return resolve(stereo.OPTIONS, options)


def test_table_is_read_and_written():
    shots = parsed(TABLE)
    body = Setting(4.0, 0.25)
    assert shots == (
        PlannedShot(0, *[Setting(2.0, 0.5)] * 3),
        PlannedShot(40, body, Setting(3.0, 0.5), body),
    )
    assert parsed(written(shots)) == shots and parsed("") == parsed(" \n") == ()
    assert written(shots[:1]) == "shot,strength,convergence\n0,2.00,0.500\n"  # no ends, no columns for them
    assert parsed("\ufeff0;2".replace(";", ",") + ",0.5\r\n\r\n")[0].body == Setting(2.0, 0.5)


@pytest.mark.parametrize("text", [
    "shot;strength;convergence\n0;2,5;0,25\n40;3;0,5\n",
    "shot\tstrength\tconvergence\r\n0\t2,5\t0,25\r\n40\t3\t0,5\r\n",
    'shot,strength,convergence\n0,"2,5","0,25"\n40,3,"0,5"\n',
    "shot,strength,convergence\r0,2.5,0.25\r40,3,0.5\r",
])  # fmt: skip
def test_tables_of_spreadsheets_are_read(text):
    assert [(shot.start, shot.body) for shot in parsed(text)] == [
        (0, Setting(2.5, 0.25)),
        (40, Setting(3.0, 0.5)),
    ]


@pytest.mark.parametrize(("text", "said"), [
    ("0,2", "Line 1 of the plan is '0,2'. Write the first frame of a shot"),
    ("shot,strength,convergence\n0,2,0.5\nnine,2,0.5", "Line 3 of the plan is 'nine,2,0.5'"),
    ("0,2,0.5\n-4,2,0.5", "Line 2 of the plan is"),
    ("0,2,0.5,1,1,1,1,1", "Line 1 of the plan is"),
    ("0,strong,0.5", "Line 1 of the plan has 'strong'. Write a number between 0 and 40 there."),
    ("0,nan,0.5", "a number between 0 and 40"),
    ("0,2,0.5,-1", "a number between 0 and 40"),
    ("0,2,1e9", "a number between -5 and 6"),
    ("3,2,0.5", "begins with frame 3"),
    ("0,2,0.5\n9,2,0.5\n9,2,0.5", "Line 3 of the plan has frame 9 after frame 9"),
    ("shot,strength,convergence", "holds no shots"),
    ("0,2,0.5\n" + "9" * 5000 + ",2,0.5", "Line 2 of the plan is '999"),
    ("0,2," + "9" * 200000, "Line 1 of the plan is not CSV"),
])  # fmt: skip
def test_bad_tables_are_refused_in_a_sentence(text, said):
    with pytest.raises(ValueError, match=said):
        settings(plan=text)


def course(start: int = 40, frames: int = 100, text: str = TABLE) -> Course:
    return Course(parsed(text), Shot(start, ClipInfo(64, 48, Fraction(FPS), frames)))


def test_shot_eases_from_its_first_setting_within_a_second():
    values = course().take(60)
    strength, plane = values[:, 0], values[:, 1] / values[:, 0]
    assert (strength[0], plane[0]) == (pytest.approx(3), pytest.approx(0.5))
    assert torch.allclose(strength[25:], torch.tensor(4.0)) and torch.allclose(plane[25:], torch.tensor(0.25))
    assert (strength.diff() >= 0).all() and strength[1:26].diff().abs().max() < 0.07


def test_course_does_not_depend_on_chunks_or_on_where_a_part_of_a_shot_begins():
    whole, parts, middle = course().take(60), course(), course(50)
    assert torch.equal(torch.cat([parts.take(count) for count in (1, 7, 52)]), whole)
    assert torch.equal(middle.take(50), whole[10:])


def film(*shots: torch.Tensor) -> tuple[Clip, Clip]:
    """Return frames and depth of a film of shots of depth ``[T, H, W, 1]``."""
    starts = torch.tensor([len(shot) for shot in shots]).cumsum(0)[:-1].tolist()
    depth = torch.cat(shots)
    cut = Recut(", ".join(map(str, starts)) or "none", "Cuts")
    clips = (stereoreel.from_tensor(one, FPS, cuts=False) for one in (depth.expand(-1, -1, -1, 3), depth))
    clip, depth = (apply(cut, one)["clip"] for one in clips)
    return clip, depth


def relief(low: float, high: float, near: float = 0.3, frames: int = LENGTH) -> torch.Tensor:
    """Return a shot that covers a range of depth; the nearest share of it, in its middle, is a plateau."""
    ramp = torch.linspace(0, 1, 128).mul(1 / (1 - near)).clamp(max=1)
    row = torch.cat([ramp, ramp.flip(0)]) * (high - low) + low
    wave = 0.02 * torch.sin(torch.arange(frames) / 9)[:, None, None, None]
    return (row.view(1, 1, -1, 1) + wave).clamp(0, 1).expand(-1, 24, -1, -1).contiguous()


FAR_AWAY = 1 - relief(0, 1, 0.9)  # nearly all of it is as far as its far end
FILM = (relief(0, 1), relief(0.4, 1, 0.9), FAR_AWAY, relief(0, 1, 0.9), relief(0.2, 0.6), relief(0, 0.5))


def parallaxes(pair: Clip, depth: torch.Tensor) -> list[torch.Tensor]:
    """Return the parallax of every shot, in fractions of the width, as the stage renders it."""
    options, found = pair.maker.recipe.settings, []
    for start, stop in pair.info.shots:
        own = Courses(options).of(Shot(start, pair.info))
        part = depth[start:stop]
        found.append(Parallax(options, float(FPS), own)(part, part.expand(-1, -1, -1, 3)) / depth.shape[2])
    return found


@pytest.fixture
def planned():
    """Return a function that plans a film and returns its pair and its parallax."""

    def plan(shots=FILM, **options):
        clip, depth = film(*shots)
        pair = stereoreel.stereo(clip, depth, **options)
        look_ahead([pair], Headless("cpu"), lambda label, text: None)
        return pair, parallaxes(pair, torch.cat(shots))

    return plan


@everywhere
@every_strength
def test_every_shot_uses_what_the_strength_allows_and_no_more(planned, screen, strength):
    pair, shots = planned(screen=screen, strength=strength)
    front, behind = limits_of(pair.maker.recipe.settings)
    used = []
    for shot in shots:
        assert shot.max() <= front * (1 + 1e-6) and shot.min() >= -behind * (1 + 1e-6)
        near, far = (shot.flatten(1).quantile(share, 1) for share in (0.99, 0.01))
        used.append(((near - far) / (front + behind)).mean().item())
    assert sum(used) / len(used) >= 0.8 and min(used) >= 0.5


@everywhere
@every_strength
def test_the_middle_of_the_picture_jumps_no_further_than_the_strength_allows(planned, screen, strength):
    _, shots = planned(screen=screen, strength=strength)
    room = screen_of(screen)
    ends = [[room.degrees(one.median().item() * room.width) for one in (shot[0], shot[-1])] for shot in shots]
    jumps = [abs(after[0] - before[1]) for before, after in zip(ends, ends[1:])]
    assert max(jumps) <= STRENGTHS[strength] * 1.05


def test_jumps_are_larger_where_the_plan_does_not_ease_them(planned):
    pair, _ = planned(strength="strong", screen="phone")
    plan = parsed(pair.maker.recipe.settings.plan)
    assert any(shot.first != shot.body for shot in plan)
    plain = [shot._replace(first=shot.body, last=shot.body) for shot in plan]
    clip, depth = film(*FILM)
    other = stereoreel.stereo(clip, depth, strength="strong", screen="phone", plan=written(plain))
    shots, room = parallaxes(other, torch.cat(FILM)), screen_of("phone")
    middles = [
        [room.degrees(one.median().item() * room.width) for one in (shot[0], shot[-1])] for shot in shots
    ]
    assert max(abs(after[0] - before[1]) for before, after in zip(middles, middles[1:])) > 1.1


def test_stronger_is_stronger_in_every_shot(planned):
    plans = [parsed(planned(strength=one)[0].maker.recipe.settings.plan) for one in STRENGTHS]
    for shots in zip(*plans):
        values = [shot.body.strength for shot in shots]
        assert values == sorted(values) and values[0] < values[2]


def test_fixed_convergence_and_floating_windows_are_respected(planned):
    at_borders = relief(0, 1).flip(2).roll(128, 2)  # near at both sides
    fixed = planned([at_borders], strength="normal", convergence_mode="fixed", convergence=0.2)[0]
    [shot] = parsed(fixed.maker.recipe.settings.plan)
    assert shot.body.convergence == 0.2
    plain, floating = (
        parsed(planned([at_borders], strength="normal", floating_window=on)[0].maker.recipe.settings.plan)[
            0
        ].body
        for on in (False, True)
    )
    assert plain.convergence > floating.convergence and plain.strength < floating.strength


def test_one_plan_serves_every_pull_of_a_clip_and_its_excerpts(tensor_clip, host):
    clip, depth = film(*FILM[:2])
    pair = stereoreel.stereo(clip, depth, strength="normal")
    [part] = select_frames([pair], [3, 70])
    seen = frames(part, host)
    plan = pair.maker.recipe.settings.plan
    assert plan and torch.equal(seen, frames(pair, host)[:, [3, 70]])
    assert pair.maker.recipe.settings.plan is plan


def test_excerpts_are_not_counted_as_shots(host, caplog):
    clip = stereoreel.from_tensor(
        torch.rand(1, 40, 64, 3).expand(9, -1, -1, -1).contiguous(), FPS, cuts=False
    )
    pair = stereoreel.stereo(clip, stereoreel.depth(clip, model="builtin"), strength="normal")
    with caplog.at_level("INFO", "stereoreel.core.meter"):
        frames(pair, host)
    assert [line for line in caplog.messages if "without camera motion" in line] == [
        "Estimate Depth: 1 shot(s) without camera motion: layout prior only"
    ]


def test_a_plan_by_hand_is_obeyed_with_and_without_a_strength(host):
    clip, depth = film(*FILM[:2])
    table = f"0,1.5,0.25\n{LENGTH},3,0.75\n"
    by_hand = frames(stereoreel.stereo(clip, depth, plan=table), host)
    alone = [
        frames(
            stereoreel.stereo(*film(shot), divergence=strength, convergence_mode="fixed", convergence=plane),
            host,
        )
        for shot, strength, plane in zip(FILM, (1.5, 3), (0.25, 0.75))
    ]
    torch.testing.assert_close(by_hand, torch.cat(alone, -4), atol=2e-3, rtol=0)
    assert torch.equal(frames(stereoreel.stereo(clip, depth, plan=table, strength="strong"), host), by_hand)


def test_a_plan_whose_shots_are_not_the_clips_is_refused(host):
    clip, depth = film(*FILM[:2])
    with pytest.raises(ValueError, match="shot at frame 50, but no shot begins there"):
        frames(stereoreel.stereo(clip, depth, plan="0,2,0.5\n50,2,0.5"), host)


def test_strength_needs_a_clip_to_look_ahead_in(host, tensor_clip):
    clip, depth = film(FILM[0])
    pair = apply(Plan("stereo", {"strength": "normal"}, "Stereo"), clip, depth)["clip"]
    with pytest.raises(ValueError, match="Set strength to by hand, or write a plan"):
        frames(pair, host)


def test_many_shots_cost_no_more_with_a_plan_each(host, monkeypatch):
    calls, parse = [], shot_table.parsed
    for module in (parallax, look_ahead_module, stereo):
        monkeypatch.setattr(module, "parsed", lambda text: (calls.append(1) if text else 0) or parse(text))
    counts = []
    for shots in (2, 40):
        clip, depth = film(*[torch.rand(2, 8, 16, 1)] * shots)
        frames(stereoreel.stereo(clip, depth, strength="normal"), host)
        counts.append(len(calls))
        calls.clear()
    assert counts[0] == counts[1]


def test_excerpts_are_few_and_include_both_ends():
    assert excerpts(10, 11, 25.0) == [10]
    assert excerpts(0, 50, 25.0) == [0, 49]
    assert excerpts(100, 300, 25.0) == [100, 199, 299]


def test_the_screen_of_the_device_has_a_plan_of_its_own():
    clip, depth = film(FILM[0])
    pair = stereoreel.stereo(clip, depth, strength="normal")
    look_ahead([pair], Headless("cpu"), lambda label, text: None)
    recipe = pair.maker.recipe
    other = replace(recipe, given={**recipe.given, "screen": "cinema"})
    assert not other.settings.plan and other.look_ahead(Headless("cpu")).startswith(
        "normal on a cinema screen"
    )
    assert other.settings.plan != recipe.settings.plan
