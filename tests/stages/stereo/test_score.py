"""The comfort score: its verdicts, and that it orders stimuli as published studies do."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

import stereoreel
from stereoreel.core.clip import ClipInfo, apply
from stereoreel.core.options import resolve
from stereoreel.core.transforms import Recut
from stereoreel.stages import stereo
from stereoreel.stages.stereo.comfort import SCREENS, STRENGTHS, Screen
from stereoreel.stages.stereo.curves import CUT, LEFT, MIDDLE, RIGHT, Curves
from stereoreel.stages.stereo.score import BORDERLINE, FIRM, SAFE, UNSAFE, Moment, Score, moment, score
from stereoreel.viewing import comfort

TV = SCREENS["tv"]
NOTHING = Moment(0, 0.0, 0.0, 0.0, 0.0)


def at(degrees: float, screen: Screen = TV, frame: int = 0) -> Moment:
    """Return a frame whose one end is at a vergence from the screen, and its middle half-way there."""
    half = math.atan(63 / 2 / screen.distance) + math.radians(degrees) / 2
    place = (2 * screen.distance * math.tan(half) - 63) / screen.width
    return NOTHING._replace(frame=frame, far=min(0.0, place), near=max(0.0, place), middle=place / 2)


def points(*moments: Moment, screen: Screen = TV, cuts=()) -> float:
    return score(moments, cuts, screen).exact


def distant(metres: float) -> Screen:
    """Return a screen that fills as much of the view at any distance, narrow enough for a degree behind."""
    return Screen("test", 300 * metres, 1000 * metres)


@pytest.mark.parametrize("side", [1, -1])
def test_small_conflicts_cost_little_and_larger_ones_more_and_more(side):
    """Howarth and Underwood 2011: none up to a threshold; Lambooij et al. 2009: minor up to a degree."""
    values = [points(at(side * degrees)) for degrees in (0.1, 0.3, 0.6, 1, 1.5, 2, 3)]
    assert values == sorted(values, reverse=True) and len(set(values)) == len(values)
    assert values[1] > 98 and values[2] > 90 and values[3] > 69 and values[5] < 30


def test_directions_are_ordered_as_by_shibata():
    """Shibata et al. 2011, at 0.4, 0.77 and 10 m."""
    for degrees in (0.7, 1.0, 1.3):
        front = [points(at(degrees, distant(one)), screen=distant(one)) for one in (0.4, 0.77, 10)]
        behind = [points(at(-degrees, distant(one)), screen=distant(one)) for one in (0.4, 0.77, 10)]
        assert (
            front == sorted(front, reverse=True) and front[0] > front[2]
        )  # the same angle is worse far away
        assert front[0] < behind[0] and front[2] > behind[2]


def test_behind_a_cinema_screen_the_eyes_must_not_diverge():
    cinema = SCREENS["cinema"]
    assert score([at(-0.23, cinema)], (), cinema).verdict("uncrossed") == BORDERLINE  # 60 of 63 mm
    assert score([NOTHING._replace(far=-0.007)], (), cinema).verdict("uncrossed") == UNSAFE
    assert score([NOTHING._replace(near=0.007)], (), cinema).verdict("crossed") == SAFE


def test_larger_jumps_at_cuts_cost_more_and_only_at_cuts():
    """Fast changes of vergence strain more than slow ones: Kim, Kane and Banks 2014."""

    def jump(degrees: float, cuts=(1,)) -> float:
        return points(NOTHING, NOTHING._replace(frame=1, middle=TV.limits(degrees)[0]), cuts=cuts)

    values = [jump(degrees) for degrees in (0.2, 0.5, 1.0, 2.0, 3.0)]
    assert values == sorted(values, reverse=True) and len(set(values)) == 5
    assert jump(3.0, cuts=()) == 100 and values[-1] < 60


def test_verdicts_at_their_limits():
    for degrees, wanted in ((0.74, SAFE), (0.76, BORDERLINE), (1.0, BORDERLINE), (1.02, UNSAFE)):
        assert score([at(degrees)], (), TV).verdict("crossed") == wanted
        assert score([at(-degrees)], (), TV).verdict("uncrossed") == wanted
    cut = NOTHING._replace(border=TV.front)
    for count, wanted in ((1, SAFE), (3, BORDERLINE), (4, UNSAFE)):
        frames = [cut] * count + [NOTHING] * (10 - count)
        assert score(frames, (), TV).verdict("window") == wanted


@pytest.mark.parametrize("name", FIRM)
def test_score_and_verdicts_agree_and_each_strain_takes_from_the_score(name):
    """Any strain, alone or with others at each verdict's end: 80 is safe, 60 borderline, less unsafe."""
    for others in ({}, *({one: ends[level] for one, ends in FIRM.items()} for level in (0, 1))):
        found = []
        for strain in np.linspace(0, 3, 301):
            strains = {**dict.fromkeys(FIRM, 0.0), **others, name: float(strain)}
            for weight in (0.95, 1.1):
                one = Score(strains, dict.fromkeys(FIRM, weight))
                verdicts = {one.verdict(each) for each in strains}
                wanted = next(each for each in (UNSAFE, BORDERLINE, SAFE) if each in verdicts)
                at = SAFE if one.points >= 80 else BORDERLINE if one.points >= 60 else UNSAFE
                assert one.overall == at == wanted and one.figures()["verdict"] == wanted
                assert not one.worst or one.verdict(one.worst) == wanted
            found.append(one.exact)
        assert all(before > after for before, after in pairwise(found[1:]))


def test_few_bad_moments_count():
    """A twentieth of the frames far beyond the limit is not safe, however quiet the rest."""
    film = [at(3.0, frame=number) for number in range(4)] + [
        at(0.2, frame=number) for number in range(4, 100)
    ]
    assert score(film, (), TV).verdict("crossed") == UNSAFE


def test_a_moment_holds_percentiles_of_known_parallax():
    parallax = torch.linspace(-2, 2, 401).repeat(10, 1)
    parallax[:5] = torch.nan
    found = moment(7, parallax, torch.tensor([0.0, 3.0]), 401)
    assert found.frame == 7 and found.border == pytest.approx(3 / 401)
    assert [one * 401 for one in found[1:4]] == pytest.approx([-1.96, 0, 1.96], abs=0.02)
    assert moment(1, torch.full((2, 9), torch.nan), torch.zeros(2), 9) == Moment(1, 0, 0, 0, 0)


@pytest.mark.parametrize(("strain", "options", "said"), [
    (at(2.0), {"divergence": 4.0}, "front of the screen. Set Stereo's divergence to 1.5, or its strength to"),
    (at(2.0), {"convergence_mode": "fixed"}, "Set Stereo's convergence higher, or its mode to auto."),
    (at(-2.0), {"convergence_mode": "fixed"}, "Set Stereo's convergence lower, or its mode to auto."),
    (at(-2.0), {"strength": "strong", "plan": "0,1,0"}, "Set Stereo's strength to normal."),
    (at(-2.0), {"strength": "gentle", "plan": "0,1,0"}, "Edit the shot in Stereo's plan."),
    (at(-2.0), None, "Reduce the parallax to about 37 % of what it is."),
    (at(0.6), {"divergence": 3.0}, "parallax in front of the screen, within what is safe. Set"),
    (NOTHING._replace(border=0.1), {}, "cut off in front of the screen. Switch Stereo's floating_window on."),
    (at(0.1), {}, "Nothing about it costs a point."),
])  # fmt: skip
def test_advice_names_what_costs_most_and_what_to_set(strain, options, said):
    settings = options if options is None else resolve(stereo.OPTIONS, options)
    assert said in score([strain], (), TV).advice(settings)


def measured(clip, host, **options):
    return comfort.report(clip, resolve(comfort.OPTIONS, options), host, "Comfort")


@pytest.fixture
def film(tensor_clip):
    """Return frames and depth of two shots of 30 frames: a ramp of depth, and one that is mostly near."""
    ramp = torch.linspace(0, 1, 160).expand(30, 24, 160)[..., None]
    depth = torch.cat([ramp * 0.5, ramp.mul(4).clamp(max=1)])
    return tuple(
        apply(Recut("30", "Cuts"), stereoreel.from_tensor(one.contiguous(), 25, cuts=False))["clip"]
        for one in (depth.expand(-1, -1, -1, 3), depth)
    )


def test_score_falls_with_strength(film, host):
    found = [
        measured(stereoreel.stereo(*film, screen="tv", **options), host, samples=4).figures["score"]["points"]
        for options in (*({"divergence": one} for one in (1, 2.5, 4, 6, 10)),)
    ]
    assert found == sorted(found, reverse=True) and len(set(found)) >= 4
    by_strength = [
        measured(stereoreel.stereo(*film, screen="tv", strength=one), host, samples=4).figures["score"][
            "points"
        ]
        for one in STRENGTHS
    ]
    assert by_strength == sorted(by_strength, reverse=True) and len(set(by_strength)) == 3


def test_report_samples_both_sides_of_cuts_and_has_curves_and_worst_moments(film, host):
    pair = stereoreel.stereo(*film, strength="strong", screen="tv", divergence=9)
    found = measured(pair, host, samples=3)
    assert [one[0] for one in found.figures["worst"]["moments"]] == [10, 29, 30, 50]
    assert list(found.figures["worst"]["jumps"]) == [30] and 1 < len(found.figures["worst"]["frames"]) <= 5
    assert found.figures["plan"].startswith("shot,strength,convergence\n0,")
    assert "Comfort score" in found.text and "What costs most" in found.text
    assert found.image.height > measured(pair, host, samples=1).image.height


def test_cuts_are_counted_in_all_of_the_film_where_there_are_more_than_samples():
    info = ClipInfo(64, 48, Fraction(25), 1000, cuts=tuple(range(10, 1000, 10)))
    frames = comfort.sampled(info, 12)
    assert len(frames) <= 36 and sum(cut - 1 in frames for cut in info.cuts if cut in frames) >= 12
    assert comfort.sampled(ClipInfo(64, 48, Fraction(25), 5), 12) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("cuts", [3, 1499])
def test_cuts_do_not_hide_the_curve(cuts):
    info = ClipInfo(64, 48, Fraction(25), 3000, cuts=tuple(range(2, 2 + 2 * cuts, 2)))
    curves = Curves([Moment(number, -0.01, 0.01, 0.02, 0.0) for number in range(3000)], info, SCREENS["tv"])
    seen = np.asarray(curves.draw(1400))
    assert (seen == MIDDLE).all(-1).sum() > 1000


def test_times_are_rounded_to_whole_minutes():
    info = ClipInfo(64, 48, Fraction(25), 3000)
    assert Curves([], info, SCREENS["tv"]).caption(2999) == "2:00.0, frame 2999"


def test_frames_of_a_varying_rate_stand_at_their_times():
    """A cut after the first ten of twenty frames, when a quarter of the time is over."""
    times = [Fraction(place) for place in range(10)] + [Fraction(10 + 3 * place) for place in range(10)]
    info = ClipInfo(64, 48, Fraction(1), 20, cuts=(10,), times=tuple(times))
    curves = Curves([Moment(number, -0.01, 0.01, 0.02, 0.0) for number in range(20)], info, TV)
    seen = np.asarray(curves.draw(1400))
    [column, _] = np.flatnonzero((seen == CUT).all(-1).sum(0) > 100)
    assert column == pytest.approx(LEFT + 9.5 / 37 * (1400 - LEFT - RIGHT), abs=2)


def test_the_last_shot_ends_with_the_plot_even_if_it_is_a_frame():
    info = ClipInfo(64, 48, Fraction(25), 3, cuts=(1, 2))
    curves = Curves([Moment(number, -0.01, 0.01, 0.02, 0.0) for number in range(3)], info, TV)
    seen = np.asarray(curves.draw(1400))
    assert (seen[:, 1400 - RIGHT + 3 :] == seen[0, 0]).all()
