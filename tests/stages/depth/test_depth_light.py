"""Depth holds through fades, flashes and black frames."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from benchmarks.support.depth_scenes import MOVES
from benchmarks.support.scenes import street
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.stages.depth import DepthOptions
from stereoreel.stages.depth.builtin import DepthStage
from stereoreel.stages.depth.light import FLASH, MIDDLE, WAIT, SteadyLight, match

COUNT, WIDTH = 64, 1280  # parallax is that of frames this wide
DIVERGENCE = 0.02


def ramp(first, last, start, stop):
    """Return the share of light by frame, which changes from ``first`` to ``last``."""
    return np.interp(np.arange(COUNT), [start, stop], [first, last])


DARKER = {
    "in": ramp(0, 1, 0, 20),
    "out": ramp(1, 0, 43, 62),
    "dip": np.minimum(1, ramp(1, 0, 28, 36) + ramp(0, 1, 42, 50)),
}


def changed(frames, kind, white=False):
    if kind == "flash":
        lit = frames.clone()
        lit[30:32] = (lit[30:32] + torch.tensor([0.85, 0.5])[:, None, None, None]).clamp(0, 1)
        return lit
    share = torch.tensor(DARKER[kind], dtype=torch.float32)[:, None, None, None]
    faded = frames * share + (1 - share) * white
    return (faded * 255).round() / 255


def estimated(frames, chunk=9):
    info = ClipInfo(frames.shape[2], frames.shape[1], Fraction(25), len(frames))
    stage = DepthStage(DepthOptions(), torch.device("cpu"))
    return torch.cat([*stage(Shot(0, info), iter(frames.split(chunk)))])[..., 0]


def pixels(depth):
    """Return the range of parallax of every frame, in pixels."""
    ends = np.percentile(depth.flatten(1).numpy(), (5, 95), axis=1)
    return (ends[1] - ends[0]) * WIDTH * DIVERGENCE


@pytest.fixture(scope="module")
def carphone(request):
    path = request.config.rootpath.parent / "shared" / "clips" / "carphone_pristine.mp4"
    if not path.is_file():
        pytest.skip("shared/clips is not here")
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame, _ in zip(file.decode(video=0), range(COUNT))]
    return torch.from_numpy(np.stack(frames)).float() / 255


@pytest.fixture(scope="module")
def steady(carphone):
    return estimated(carphone)


@pytest.mark.parametrize(
    "kind, white", [("in", False), ("out", True), ("dip", False), ("dip", True), ("flash", False)]
)
def test_depth_of_a_real_shot_holds_while_its_light_changes(kind, white, carphone, steady):
    plain, made = steady, estimated(changed(carphone, kind, white))
    own = np.abs(np.diff(pixels(plain))).max()
    assert np.abs(np.diff(pixels(made))).max() <= own + 0.2
    away = (made - plain).abs().mean((1, 2)) * WIDTH * DIVERGENCE
    assert away.max() < (1.2 if kind == "in" else 0.5), (
        "a first frame that is faint is judged in another light"
    )


def test_a_flash_does_not_reverse_depth():
    frames, _ = street(3, 160, 96, camera=MOVES["sideways"]).clip(40)
    plain, made = estimated(frames), estimated(changed(frames, "flash"))
    for one, other in zip(plain.numpy(), made.numpy()):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.85


def texture(count, seed=0):
    return torch.rand(count, 3, 24, 32, generator=torch.Generator().manual_seed(seed))


def through(pictures, chunk=3):
    """Return the pictures given to an estimator, and what it says of every frame: their numbers."""
    light = SteadyLight(pictures.split(chunk))
    dark = [*light.dark()]
    given = []

    def numbered():
        for number, picture in enumerate(light.pictures()):
            given.append(picture)
            yield torch.tensor(float(number))

    return given, [*dark, *map(float, light.every(numbered()))]


def test_pictures_in_ordinary_light_are_unchanged():
    pictures = texture(1).repeat(20, 1, 1, 1)
    given, found = through(pictures)
    assert torch.equal(torch.cat(given), pictures) and found == [*map(float, range(20))]


@pytest.mark.parametrize("chunk", [1, 4, 60])
@pytest.mark.parametrize("black", [0, 5, WAIT, WAIT + 20])
def test_every_frame_has_depth_once_however_long_it_is_dark(black, chunk):
    pictures = torch.cat([torch.zeros(black, 3, 24, 32), texture(1).repeat(6, 1, 1, 1)])
    pictures = torch.cat([pictures, torch.zeros(black, 3, 24, 32), pictures[-6:]])
    _, found = through(pictures, chunk)
    assert len(found) == len(pictures)
    assert found[:black][: max(0, black - WAIT)] == [MIDDLE] * max(0, black - WAIT)
    assert found[black : black + 6] == [*map(float, range(6))]


@pytest.mark.parametrize("count", [1, WAIT, WAIT + 3])
def test_a_black_shot_has_depth(count):
    given, found = through(torch.zeros(count, 3, 24, 32))
    assert len(found) == count and len(given) == 1


def test_a_flash_gives_way_to_the_frame_before_it():
    pictures = texture(1).repeat(12, 1, 1, 1)
    pictures[5 : 5 + FLASH] = 1
    given, found = through(pictures)
    assert len(found) == 12 and all(torch.equal(picture[0], pictures[0]) for picture in given)


def test_light_that_stays_returns_slowly():
    pictures = texture(1).repeat(300, 1, 1, 1)
    pictures[20:] *= 0.5
    given, _ = through(pictures)
    assert (given[21] - pictures[0]).abs().max() < 0.03 and torch.equal(given[-1][0], pictures[-1])


def test_gain_is_measured_where_a_tenth_shows_something_else():
    old = np.random.default_rng(0).random(1024).astype(np.float32)
    new = 0.4 * old + 0.1
    new[:100] = 0.9
    gain, level = match(new, old)
    assert gain == pytest.approx(2.5, rel=0.02) and level == pytest.approx(-0.25, abs=0.02)
