"""Exact time: frame counts, positions and ownership when the rate changes, by tables and by rule."""

from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.core.timeline import gaps, output_count, output_edge, output_range, parse_fps, position
from stereoreel.stages.interpolate import OPTIONS, describe
from stereoreel.stages.interpolate.pairs import Moment, Schedule, output_frames

FILM, NTSC60 = Fraction(24000, 1001), Fraction(60000, 1001)


def info(frames: int, fps, **more) -> ClipInfo:
    return ClipInfo(64, 48, Fraction(fps), frames, **more)


@pytest.mark.parametrize(
    "given, rate",
    [
        ("24000/1001", FILM),
        ("23.976", FILM),
        (23.976, FILM),
        ("23.98", FILM),
        ("29.97", Fraction(30000, 1001)),
        (59.94, NTSC60),
        ("119.88", Fraction(120000, 1001)),
        ("25", Fraction(25)),
        (24, Fraction(24)),
        ("24.0", Fraction(24)),
        (60.0, Fraction(60)),
        ("30", Fraction(30)),
        ("12.5", Fraction(25, 2)),
        (" 60 ", Fraction(60)),
        (Fraction(2997, 100), Fraction(2997, 100)),
    ],
)
def test_rate_is_parsed_exactly(given, rate):
    assert parse_fps(given) == rate


@pytest.mark.parametrize(
    "given", ["", "fast", "0", "-24", "24/0", "1e9999999", "nan", "inf", float("nan"), "5000", "24/1/2", None]
)
def test_invalid_rates_are_refused(given):
    with pytest.raises(ValueError, match=r"^A frame rate .*\.$"):
        parse_fps(given)


@pytest.mark.parametrize(
    "fps, fps_out, table",
    [
        (24, 60, [(0, 0), (0, "2/5"), (0, "4/5"), (1, "1/5"), (1, "3/5"), (2, 0)]),
        (FILM, NTSC60, [(0, 0), (0, "2/5"), (0, "4/5"), (1, "1/5"), (1, "3/5"), (2, 0)]),
        (
            25,
            60,
            [
                (0, 0),
                (0, "5/12"),
                (0, "5/6"),
                (1, "1/4"),
                (1, "2/3"),
                (2, "1/12"),
                (2, "1/2"),
                (2, "11/12"),
                (3, "1/3"),
            ],
        ),
        (30, 24, [(0, 0), (1, "1/4"), (2, "1/2"), (3, "3/4"), (5, 0)]),
        (60, 24, [(0, 0), (2, "1/2"), (5, 0), (7, "1/2")]),
        (24, 72, [(0, 0), (0, "1/3"), (0, "2/3"), (1, 0)]),
    ],
)
def test_positions_of_output_frames(fps, fps_out, table):
    clip = info(1000, fps)
    assert [position(j, 0, 1000, clip, Fraction(fps_out)) for j in range(len(table))] == [
        (i, Fraction(t)) for i, t in table
    ]


@pytest.mark.parametrize(
    "frames, fps, fps_out, count",
    [
        (10_000, 24, 60, 25_000),
        (10_000, FILM, NTSC60, 25_000),
        (10_000, 25, 60, 24_000),
        (250, 25, 50, 500),
        (132, 25, 60, 317),
        (300, 30, 24, 240),
        (301, 30, 24, 241),
        (100, 60, 24, 40),
        (1, 60, 24, 0),
        (2, 60, 24, 1),
        (7, 25, 175, 49),
        (3600, FILM, 24, 3604),
    ],
)
def test_frame_count(frames, fps, fps_out, count):
    assert output_count(info(frames, fps), Fraction(fps_out)) == count


def test_an_hour_keeps_every_exact_frame():
    clip = info(86_400, FILM)
    every_fifth = [position(j, 0, 86_400, clip, NTSC60) for j in range(0, 200_000, 5)]
    assert every_fifth == [(2 * k, 0) for k in range(40_000)]


@pytest.mark.parametrize("fps_out", [24, 25, 50, 60, 75, 8, 3])
def test_shots_own_all_output_frames_and_stay_inside(fps_out):
    clip = info(97, 25, cuts=(1, 2, 9, 40, 96))
    owned = [output_range(*shot, clip, Fraction(fps_out)) for shot in clip.shots]
    assert [j for one in owned for j in one] == list(range(output_count(clip, Fraction(fps_out))))
    for (start, stop), one in zip(clip.shots, owned):
        assert all(start <= position(j, start, stop, clip, Fraction(fps_out))[0] < stop for j in one)


def test_multiplier_multiplies_the_frames_of_every_shot():
    clip = info(20, FILM, cuts=(3, 4, 11))
    assert [output_range(*shot, clip, FILM * 3) for shot in clip.shots] == [
        range(3 * a, 3 * b) for a, b in clip.shots
    ]


# with long frames, of which the last is the second; 48 hundredths in all
UNEVEN = tuple(Fraction(n, 100) for n in (0, 4, 8, 20, 24, 36))


def test_variable_rate_is_resampled_at_its_true_times():
    clip = info(6, 15, times=UNEVEN, cuts=(4,))
    assert [position(j, 0, 6, clip, Fraction(50)) for j in range(20)][:12] == [
        (0, 0),
        (0, Fraction(1, 2)),
        (1, 0),
        (1, Fraction(1, 2)),
        (2, 0),
        (2, Fraction(1, 6)),
        (2, Fraction(1, 3)),
        (2, Fraction(1, 2)),
        (2, Fraction(2, 3)),
        (2, Fraction(5, 6)),
        (3, 0),
        (3, Fraction(1, 2)),
    ]
    assert [output_range(*shot, clip, Fraction(50)) for shot in clip.shots] == [range(0, 12), range(12, 24)]


def test_times_that_begin_late_or_outlast_the_rate_still_fill_the_clip():
    late = info(6, 15, times=tuple(time + 7 for time in UNEVEN))
    assert [position(j, 0, 6, late, Fraction(50)) for j in range(20)] == [
        position(j, 0, 6, late.replace(times=UNEVEN), Fraction(50)) for j in range(20)
    ]
    short = info(6, 20, times=UNEVEN, cuts=(5,))
    assert [output_edge(edge, short, Fraction(50)) for edge in (0, 5, 6)] == [0, 18, 24]


@pytest.mark.parametrize("times", [None, UNEVEN])
@pytest.mark.parametrize("fps_out", [2, 5, 7, 15, 24, 50, 60])
@pytest.mark.parametrize("cuts", [(), (1,), (2, 5), (1, 2, 3, 4, 5)])
def test_walk_follows_the_rule(times, fps_out, cuts):
    clip = info(6, 15, times=times, cuts=cuts)
    for start, stop in clip.shots:
        walked = [
            (gap.left, t)
            for gap in gaps(Shot(start, clip), iter(range(start, stop)), Fraction(fps_out))
            for t in gap.times
        ]
        assert walked == [
            position(j, start, stop, clip, Fraction(fps_out))
            for j in output_range(start, stop, clip, Fraction(fps_out))
        ]


def test_walk_reads_no_further_than_the_right_neighbour():
    taken = []
    walk = gaps(Shot(0, info(100, 25)), (taken.append(frame) or frame for frame in range(100)), Fraction(50))
    assert next(walk) == (0, 1, [0, Fraction(1, 2)])
    assert taken == [0, 1]


LONG = 10_000  # frames


@pytest.mark.parametrize(
    "fps, fps_out, count, ended, exact, last",
    [
        (24, "60", 25_000, 24_998, 5_000, (9_998, "4/5")),
        ("23.976", "59.94", 25_000, 24_998, 5_000, (9_998, "4/5")),
        (25, "60", 24_000, 23_998, 2_000, (9_998, "3/4")),
        (30, "24", 8_000, 8_000, 2_000, (9_998, "3/4")),
        (60, "24", 4_000, 4_000, 2_000, (9_997, "1/2")),
        (25, "50", 20_000, 19_999, 10_000, (9_999, 0)),
        (24, "23.976", 9_990, 9_990, 10, (9_998, "989/1000")),
    ],
)
def test_long_clip_keeps_its_duration_and_every_exact_frame(fps, fps_out, count, ended, exact, last):
    """Compare with counts worked out by hand.

    ``count`` is the number of frames if the duration stays, ``ended`` if the last frame ends the clip,
    ``exact`` how many fall on a source frame, and ``last`` the position of the last one before the hold.
    """
    clip = info(LONG, parse_fps(fps))
    kept, end = (
        describe(resolve(OPTIONS, {"target_fps": fps_out, "ending": ending}), clip)["clip"]
        for ending in ("keep duration", "last frame")
    )
    assert (kept.frames, end.frames, kept.fps) == (count, ended, parse_fps(fps_out))
    assert abs(kept.duration - clip.duration) <= 1 / kept.fps / 2
    places = [divmod(j * clip.fps / kept.fps, 1) for j in range(count)]
    held = [(LONG - 1, 0)] * (count - ended)
    assert [position(j, 0, LONG, clip, kept.fps) for j in range(count)] == places[:ended] + held
    assert sum(part == 0 for _, part in places) == exact and places[ended - 1] == (last[0], Fraction(last[1]))


def test_long_variable_rate_clip_keeps_its_true_times():
    """Frames last 2, 2 and 4 sixtieths in turn: at 60 fps there are 2, 2 and 4 steps between them."""
    times = tuple(Fraction(8 * (n // 3) + (0, 2, 4)[n % 3], 60) for n in range(LONG))
    end = 2 * times[-1] - times[-2]  # the last frame lasts as long as the one before it
    clip = info(LONG, LONG / end, times=times)
    steps = [
        (n, Fraction(step, (2, 2, 4)[n % 3])) for n in range(LONG - 1) for step in range((2, 2, 4)[n % 3])
    ]
    made = describe(resolve(OPTIONS, {"target_fps": "60"}), clip)["clip"]
    assert (made.frames, made.times, len(steps)) == (26_668, None, 26_664)
    held = [(LONG - 1, 0)] * 4
    assert [position(j, 0, LONG, clip, Fraction(60)) for j in range(made.frames)] == steps + held
    ending = describe(resolve(OPTIONS, {"target_fps": "60", "ending": "last frame"}), clip)["clip"]
    assert ending.frames == len(steps) + 1


@pytest.mark.parametrize(
    "options, count, seconds",
    [
        ({"multiplier": 4}, 40_000, Fraction(5000, 3)),
        ({"target_fps": "60"}, 25_000, Fraction(3125, 3)),
        ({"multiplier": 5, "ending": "last frame"}, 49_996, Fraction(12499, 6)),
        ({"target_fps": "24000/1001", "multiplier": 1}, None, None),
    ],
)
def test_slow_motion_plays_longer_at_the_same_rate(options, count, seconds):
    options = resolve(OPTIONS, {"slow_motion": True, **options})
    if count is None:
        with pytest.raises(ValueError, match="Slow motion needs"):
            describe(options, info(LONG, 24))
        return
    slow = describe(options, info(LONG, 24))["clip"]
    assert (slow.frames, slow.fps, slow.duration) == (count, 24, seconds)


@pytest.mark.parametrize(
    "fps_out, table",
    [
        (
            60,
            [
                (0, 1, 0),
                (0, 1, "2/5"),
                (0, 1, "4/5"),
                (1, 2, "1/5"),
                (1, 2, "3/5"),
                (2, 0, 0),
                (2, 0, "2/5"),
                (2, 0, "4/5"),
            ],
        ),
        (
            72,
            [
                (0, 1, 0),
                (0, 1, "1/3"),
                (0, 1, "2/3"),
                (1, 2, 0),
                (1, 2, "1/3"),
                (1, 2, "2/3"),
                (2, 0, 0),
                (2, 0, "1/3"),
                (2, 0, "2/3"),
            ],
        ),
        (16, [(0, 1, 0), (1, 2, "1/2")]),
    ],
)
def test_loop_interpolates_from_its_last_frame_to_its_first(fps_out, table):
    assert around(info(3, 24), fps_out) == [(left, right, Fraction(t)) for left, right, t in table]


def test_long_loop_has_no_seam():
    """Check that all steps are equal, including the one from the end to the beginning."""
    walked = around(info(LONG, 25), 60)
    assert len(walked) == 24_000
    assert walked == [
        (left, (left + 1) % LONG, t) for left, t in (divmod(Fraction(5 * j, 12), 1) for j in range(24_000))
    ]


def around(clip: ClipInfo, fps_out: int) -> list[tuple[int, int, Fraction]]:
    """Return both frame numbers and the fraction between them, for every output frame of a loop."""
    moments = (
        Moment(number, torch.full((1, 1, 1, 3), number / clip.frames)) for number in range(clip.frames)
    )
    walked = output_frames(Shot(0, clip), moments, Fraction(fps_out), Schedule(""), smooth=False, loop=True)
    count = output_count(clip, Fraction(fps_out))
    return [(one.left.number, one.right.number, one.t) for one in list(walked)[:count]]
