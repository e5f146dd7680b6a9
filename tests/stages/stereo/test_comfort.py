"""Comfort: limits worked out by hand, and the options of Stereo that keep them."""

import logging
from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.models.headless import Headless
from stereoreel.stages import stereo
from stereoreel.stages.stereo import builtin, comfort
from stereoreel.stages.stereo.comfort import SCREENS
from stereoreel.stages.stereo.parallax import Parallax, ScreenPlane

EVERYTHING = {
    "screen": "cinema",
    "limit": True,
    "foreground_scale": 0.7,
    "border": 4.0,
    "floating_window": True,
}


def settings(**options):
    return resolve(stereo.OPTIONS, {"convergence_mode": "fixed", "convergence": 0.0, **options})


def pair(frames, depth, chunk=None, **options):
    """Return both views and masks of a shot passed in ``chunk`` frames at a time.

    The convergence is 0, unless options say otherwise.
    """
    shot = Shot(0, ClipInfo(frames.shape[2], frames.shape[1], Fraction(25), len(frames), frames.shape[3]))
    stage, size = builtin.load(None, settings(**options), Headless("cpu")), chunk or len(frames)
    made = list(stage(shot, iter(frames.split(size)), iter(depth.split(size))))
    return [torch.cat([piece[port] for piece in made], -4) for port in ("clip", "left_holes", "right_holes")]


def random_shot(frames=5, height=12, width=80):
    generator = torch.Generator().manual_seed(0)
    depth = (
        torch.rand(frames, 3, 8, 1, generator=generator)
        .repeat_interleave(height // 3, 1)
        .repeat_interleave(width // 8, 2)
    )
    return torch.rand(frames, height, width, 3, generator=generator), depth


# millimetres: 2 d tan(atan(63 / 2 d) +- 0.5 degrees) - 63, and 63 behind at most
@pytest.mark.parametrize(
    ("screen", "front", "behind"),
    [("phone", 5.99, 5.98), ("tv", 38.25, 38.22), ("cinema", 261.82, 63.0), ("vr headset", 34.94, 34.91)],
)
def test_limits_are_one_degree_and_never_diverge(screen, front, behind):
    screen = SCREENS[screen]
    assert screen.front * screen.width == pytest.approx(front, abs=0.02)
    assert screen.behind * screen.width == pytest.approx(behind, abs=0.02)
    assert screen.degrees(screen.front * screen.width) == pytest.approx(1)


def test_one_parallax_in_every_unit():
    # 1218 mm wide: 38.4 of 1920 pixels are 2 %, 24.36 mm; seen from 2190 mm that is nearly 24.36 / 2190 rad
    tv = SCREENS["tv"]
    assert tv.millimetres(38.4 / 1920) == pytest.approx(24.36)
    assert tv.degrees(24.36) == pytest.approx(0.6372, abs=0.001)
    assert tv.degrees(0) == 0 and tv.degrees(-24.36) == pytest.approx(-0.6372, abs=0.001)


def test_divergence_is_logged_in_millimetres(caplog):
    with caplog.at_level(logging.INFO):
        builtin.load(None, settings(divergence=2.0, screen="tv"), Headless("cpu"))
    assert "2 % is 24.4 mm" in caplog.text and "38.2 mm (3.1 %) in front" in caplog.text


def test_soft_clamp_is_smooth_monotone_and_neutral_in_comfort():
    parallax = torch.linspace(-100, 100, 20001, dtype=torch.float64)
    bent = comfort.soft_clamp(parallax, 40.0, 20.0)
    assert -20 <= bent.min() < -19.99 and 39.5 < bent.max() <= 40
    kept = (parallax > -15) & (parallax < 30)
    assert torch.equal(bent[kept], parallax[kept])
    slope = bent.diff() / 0.01
    assert slope.min() >= 0 and slope.max() < 1 + 1e-9 and slope.diff().abs().max() < 0.01


def test_foreground_scale_moves_relief_and_can_be_undone():
    depth = torch.linspace(0, 1, 101)
    scaled = comfort.scale_foreground(depth, 1.0)
    assert (
        scaled[50] == pytest.approx(1 / 3)
        and scaled[0] == 0
        and scaled[-1] == 1
        and (scaled.diff() > 0).all()
    )
    assert (scaled[-1] - scaled[-2]) / 0.01 == pytest.approx(2, rel=0.02)
    assert scaled[1] / 0.01 == pytest.approx(0.5, rel=0.02)
    torch.testing.assert_close(comfort.scale_foreground(scaled, -1.0), depth)


@pytest.mark.parametrize("mode", ["fixed", "auto"])
def test_foreground_scale_keeps_the_zero_parallax_plane(mode):
    depth = torch.full((1, 20, 30, 1), 0.5)
    parallax = Parallax(settings(foreground_scale=1.5, convergence=0.5, convergence_mode=mode), 25.0)(
        depth, torch.zeros(1, 20, 30, 3)
    )
    assert parallax.abs().max() == 0


def test_limit_keeps_a_strong_effect_comfortable_in_a_cinema():
    depth = torch.linspace(0, 1, 200).view(1, 1, 200, 1).expand(1, 4, 200, 1)
    strong = settings(divergence=10.0, convergence=0.5, screen="cinema", limit=True)
    millimetres = Parallax(strong, 25.0)(depth, torch.zeros(1, 4, 200, 3)) / 200 * 12000
    assert 261 < millimetres.max() <= 261.9 and -63.01 <= millimetres.min() < -62.9


def test_limit_keeps_comfortable_parallax():
    frames, depth = random_shot()
    plain, limited = (
        pair(frames, depth, convergence=0.5, **more) for more in ({}, {"screen": "phone", "limit": True})
    )
    assert all(torch.equal(*both) for both in zip(plain, limited))


def test_limit_without_a_screen_is_refused():
    clip = ClipInfo(64, 48, Fraction(25), 10)
    with pytest.raises(ValueError, match="Choose one for screen"):
        stereo.describe(settings(limit=True), clip, clip.replace(channels=1))


@pytest.mark.parametrize("view", ["both", "left", "right"])
def test_protected_borders_show_the_source_without_tears(view):
    frames = torch.rand(1, 8, 300, 3)
    for depth in (0.0, 1.0):
        clip, *holes = pair(
            frames, torch.full((1, 8, 300, 1), depth), divergence=10.0, convergence=0.5, view=view, border=3.0
        )
        assert torch.equal(clip[:, :, :, [0, -1]], frames[None][:, :, :, [0, -1]].expand(2, -1, -1, -1, -1))
        assert holes[0].sum() == holes[1].sum() == 0
        assert not torch.equal(clip[0, :, :, 100:200], clip[1, :, :, 100:200])


def test_border_fades_over_its_width():
    parallax = Parallax(settings(divergence=1.0, border=20.0), 25.0)(
        torch.ones(1, 1, 101, 1), torch.zeros(1, 1, 101, 3)
    )[0, 0]
    assert parallax[0] == parallax[-1] == 0 and (parallax[:21].diff() > 0).all()
    assert torch.allclose(parallax[21:-21], torch.tensor(1.01)) and torch.equal(parallax, parallax.flip(0))


def test_floating_window_is_as_wide_as_the_parallax_at_the_border():
    frames, depth = torch.ones(1, 10, 100, 3), torch.zeros(1, 10, 100, 1)
    depth[:, :, :20] = 1.0  # stands 4 pixels before the screen and is cut off by the left border
    (left, right), *holes = pair(frames, depth, divergence=4.0, floating_window=True)
    assert left[:, :, :4].max() == 0 and left[:, :, 4:].min() == 1 and right.min() == 1
    assert holes[0][:, :, :4].max() == 0
    (left, right), *_ = pair(frames, depth.flip(2), divergence=4.0, floating_window=True)
    assert right[:, :, -4:].max() == 0 and right[:, :, :-4].min() == 1 and left.min() == 1
    swapped, *_ = pair(frames, depth, divergence=4.0, floating_window=True, swap_eyes=True)
    assert swapped[1][:, :, :4].max() == 0 and swapped[0].min() == 1


def test_no_bars_for_far_objects_or_protected_borders():
    frames, depth = torch.ones(1, 10, 100, 3), torch.ones(1, 10, 100, 1)
    for options in ({"convergence": 1.0}, {"border": 10.0}):
        clip, *_ = pair(frames, depth, divergence=4.0, floating_window=True, **options)
        assert clip.min() == 1


def test_bars_move_smoothly_and_keep_alpha():
    frames, depth = torch.ones(40, 10, 100, 4), torch.zeros(40, 10, 100, 1)
    depth[10:, :, :20] = 1.0
    (left, _), *_ = pair(frames, depth, divergence=4.0, floating_window=True)
    covered = (1 - left[..., 0]).sum(2).mean(1)  # pixels, parts of one included
    assert covered[9] == 0 and covered[-1] > 3 and 0 < covered.diff().max() < 0.5
    assert left[..., 3].min() == 1


def test_zero_parallax_plane_moves_smoothly_within_a_shot():
    generator = torch.Generator().manual_seed(0)
    # flickers wildly
    depth = torch.rand(50, 1, 1, 1, generator=generator) * torch.rand(1, 20, 30, 1, generator=generator)
    plane = ScreenPlane(25.0)
    planes = torch.stack([plane.follow(frame) for frame in depth[..., 0]])
    assert planes.diff().abs().max() * 2 / 100 * 1920 < 0.4  # pixels from frame to frame, at 2 % of full HD
    # and never looks ahead
    assert torch.equal(planes[:20], torch.stack([*map(ScreenPlane(25.0).follow, depth[:20, ..., 0])]))


@pytest.mark.parametrize("chunk", [1, 2])
def test_results_do_not_depend_on_chunks(chunk):
    frames, depth = random_shot()
    for options in ({}, EVERYTHING):
        whole, cut = (
            pair(frames, depth, size, divergence=6.0, convergence_mode="auto", **options)
            for size in (None, chunk)
        )
        assert all(torch.equal(*both) for both in zip(whole, cut))


@pytest.mark.parametrize("options", [EVERYTHING, {**EVERYTHING, "view": "left", "foreground_scale": -2.0}])
def test_mirrored_scene_gives_mirrored_views_with_all_options(options):
    frames, depth = random_shot()
    (left, right), *holes = pair(frames, depth, divergence=8.0, convergence=0.4, **options)
    options = {**options, "view": {"left": "right"}.get(options.get("view"), "both")}
    (mirrored_left, mirrored_right), *mirrored_holes = pair(
        frames.flip(2), depth.flip(2), divergence=8.0, convergence=0.4, **options
    )
    torch.testing.assert_close(mirrored_right, left.flip(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(mirrored_left, right.flip(2), rtol=0, atol=1e-6)
    assert torch.equal(mirrored_holes[1], holes[0].flip(2))


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 5)])
def test_smallest_frames(size):
    for kind in (torch.float32, torch.float16):
        clip, *_ = pair(
            torch.rand(2, *size, 3).to(kind), torch.rand(2, *size, 1).to(kind), divergence=10.0, **EVERYTHING
        )
        assert clip.shape == (2, 2, *size, 3) and clip.isfinite().all() and clip.dtype == kind
