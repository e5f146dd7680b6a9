"""Cut detection: between scenes, also of equal colours; not in flashes, fades, noise and fast pans."""

from functools import cache

import av
import cv2
import numpy as np
import pytest
import torch

from benchmarks.support.scenes import Camera, street
from stereoreel.image.cut_detection import CutDetector, find_cuts, is_cut, score, thumbnail
from stereoreel.image.dissolve_detection import find_shots

WIDTH, HEIGHT, SCENES = 256, 144, 10


@cache
def scene(seed: int, speed: float = 1.0, frames: int = 2) -> torch.Tensor:
    """Render a few frames of one scene with trucking, panning and zooming."""
    camera = Camera(truck=(6 * speed, 0), pan=((-1) ** seed * 7 * speed, 2 * speed), zoom=1 + 0.006 * speed)
    return street(seed, WIDTH, HEIGHT, camera=camera).clip(frames)[0]


def noisy(image: torch.Tensor, sigma: float, seed: int) -> torch.Tensor:
    return (image + sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))).clamp(
        0, 1
    )


def in_the_same_colors(image: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """Return another image with exactly the values of ``palette``, in the image's own order."""
    values = torch.empty(palette.numel())
    values[image.flatten().argsort()] = palette.flatten().sort().values
    return values.view_as(palette)


def non_cuts(seed: int):
    yield from (tuple(scene(seed, speed)) for speed in (1.0, 2.0, 3.0))
    before, after = scene(seed, 2.0)
    yield before, (after * 1.4).clamp(0, 1)
    yield (before * 1.4).clamp(0, 1), after
    yield before, (after * 3).clamp(0, 1)
    yield before, after * 0.7
    yield noisy(before, 0.04, seed), noisy(after, 0.04, seed + 50)
    yield noisy(before, 0.1, seed), noisy(after, 0.1, seed + 50)


def cuts(seed: int):
    here = scene(seed)[0]
    yield from ((here, scene((seed + step) % SCENES)[1]) for step in (1, 2, 3))
    yield here, here.flip(1)
    yield here, in_the_same_colors(scene((seed + 4) % SCENES)[0], here)
    yield here, in_the_same_colors(scene((seed + 5) % SCENES)[0].flip(0), here)


@cache
def pairs(make):
    return [tuple(thumbnail(torch.stack(pair))) for seed in range(SCENES) for pair in make(seed)]


def test_cuts_among_150_pairs_half_of_them_in_equal_colours():
    calm, cut = pairs(non_cuts), pairs(cuts)
    assert len(calm) == 90 and len(cut) == 60
    assert not any(is_cut(*pair) for pair in calm)
    assert all(is_cut(*pair) for pair in cut)


def test_scores_separate_cuts_from_non_cuts():
    calm, cut = (np.array([score(*pair) for pair in pairs(make)[::3]]) for make in (non_cuts, cuts))
    area = np.mean(cut[:, None] > calm)  # probability that a cut scores above a non-cut
    assert area >= 0.99


@pytest.mark.parametrize("pan", [45.0, 80.0, -80.0])
def test_whip_pan_is_no_cut(pan):
    frames = street(3, WIDTH, HEIGHT, camera=Camera(pan=(pan, 0))).clip(4)[0]
    assert find_cuts(thumbnail(frames)) == []


@pytest.mark.parametrize(
    "gain, lift", [(3, 0), (1, 0.4), (0, 1), (0, 0)], ids=["burnt", "lifted", "white", "black"]
)
def test_single_flash_or_black_frame_gives_no_cut(gain, lift):
    frames = scene(6, 0.5, 6).clone()
    frames[3] = (frames[3] * gain + lift).clamp(0, 1)
    assert find_cuts(thumbnail(frames)) == []


def test_fade_through_black_is_one_cut_at_the_second_scene():
    levels = torch.tensor([1, 0.6, 0.3, 0.1, 0, 0, 0, 0.1, 0.4, 0.7, 1])[:, None, None, None]
    frames = torch.cat([scene(1, 0.5, 6), scene(2, 0.5, 5)]) * levels
    assert find_cuts(thumbnail(frames)) in ([7], [8])


def test_noise_on_a_plain_dark_wall_is_no_cut():
    ramp = torch.linspace(0.10, 0.14, WIDTH)[None, None, :, None].expand(8, HEIGHT, WIDTH, 3)
    assert find_cuts(thumbnail(noisy(ramp, 0.04, 1))) == []


def test_cuts_are_first_frames_of_shots():
    frames = torch.cat([scene(7, 1.0, 5), scene(8, 2.0, 4), scene(9, 1.0, 1), scene(7, 1.0, 3)])
    assert find_cuts(thumbnail(frames)) == [5, 9, 10]


def test_sensitivity():
    pictures = thumbnail(torch.stack([scene(1)[0], scene(2)[0]]))
    assert find_cuts(pictures, sensitivity=0.0) == []
    assert find_cuts(pictures, sensitivity=0.5) == find_cuts(pictures, sensitivity=1.0) == [1]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (12, 16), (30, 20)])
def test_tiny_frames_are_compared_as_they_are(size):
    random = np.random.default_rng(4)
    first, second = (random.integers(0, 256, size, dtype=np.uint8) for _ in range(2))
    detector = CutDetector()
    assert not any(detector.feed(picture) for picture in (first, first, first))
    if min(size) > 1:
        assert detector.feed(second)


def test_thumbnail_is_small_grey_and_works_for_depth():
    assert thumbnail(torch.rand(2, 90, 640, 3)).shape == (2, 45, 320)
    assert thumbnail(torch.rand(1, 20, 10, 1)).shape == (1, 20, 10)
    assert (thumbnail(torch.full((1, 400, 500, 3), 0.4)) == 102).all()


def film(path) -> list[np.ndarray]:
    """Return grey thumbnails of every frame, at most 320 pixels wide."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    shrink = min(1, 320 / frames[0].shape[1])
    return [cv2.resize(frame, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) for frame in frames]


@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "carphone_pristine.mp4"])
def test_real_shot_has_no_cut_even_at_four_times_the_speed(real_clip, name):
    frames = film(real_clip(name))
    assert find_cuts(frames) == []
    assert find_cuts(frames[::4]) == []


def test_cuts_between_real_shots_are_found(real_clip):
    rabbit = film(real_clip("bigbuckbunny.mp4"))
    phone = [cv2.resize(frame, (320, 180)) for frame in film(real_clip("carphone_pristine.mp4"))]
    mirrored = [frame[:, ::-1] for frame in rabbit]
    close = [cv2.resize(frame[60:150, 20:180], (320, 180)) for frame in rabbit]
    assert find_cuts([*rabbit[:5], *phone[:4], *mirrored[20:24], *close[24:29], *rabbit[29:33]]) == [
        5,
        9,
        13,
        18,
    ]


def dissolved(first: torch.Tensor, second: torch.Tensor, frames: int, still: int = 6) -> torch.Tensor:
    """Return two moving scenes, the second replacing the first evenly from frame ``still`` on."""
    share = (torch.arange(1, frames + 1) / (frames + 1))[:, None, None, None]
    both = first[still : still + frames] * (1 - share) + second[:frames] * share
    return torch.cat([first[:still], both, second[frames : frames + still]])


@pytest.mark.parametrize("frames", [8, 16, 24])
def test_dissolve_is_one_cut_in_its_middle(frames):
    moving = dissolved(scene(1, 0.25, 30), scene(2, 0.25, 30), frames)
    (start,) = find_shots(thumbnail(moving))
    assert find_cuts(thumbnail(moving)) == []
    assert abs(start - (6 + frames / 2)) <= frames / 4 + 1


def test_fades_flashes_motion_and_titles_are_no_dissolve():
    here = scene(4, 0.5, 30)
    dip = 1 - 0.8 * torch.sin(torch.linspace(0, np.pi, 30))[:, None, None, None]
    lit = here.clone()
    lit[12] = 1
    title = here.clone()
    for index in range(10, 30):
        title[index, 60:80, 40:200] = title[index, 60:80, 40:200].lerp(
            torch.ones(()), min(1, (index - 9) / 8)
        )
    for frames in (here, here * dip, lit, title, scene(5, 3.0, 30)):
        assert find_shots(thumbnail(frames)) == []


@pytest.mark.parametrize("frames", [8, 24, 32, 40])
def test_dissolve_of_stills_is_a_cut_within_an_eighth_of_its_middle(frames):
    one, other = (scene(seed, 0.25, 30)[:1] for seed in (1, 2))
    share = torch.linspace(0, 1, frames + 2)[:, None, None, None]
    still = [one.expand(20, -1, -1, -1), one * (1 - share) + other * share, other.expand(20, -1, -1, -1)]
    (start,) = find_shots(thumbnail(torch.cat(still)))
    assert abs(start - (20 + (frames + 2) / 2)) <= 1 + frames / 8


@pytest.mark.parametrize("seed", [1, 4])
def test_light_and_pictures_that_pass_over_a_still_shot_are_no_dissolve(seed):
    still, column = thumbnail(scene(seed, 0.25, 30))[0].astype(np.float32), np.arange(WIDTH)
    lamp, swing, inset = [], [], []
    for index in range(40):
        beam = np.exp(-(((column - WIDTH * index / 40) / 60) ** 2))
        lamp.append(still * (0.3 + 1.4 * beam))
        swing.append(still * (1 + 0.9 * np.cos(np.pi * column / WIDTH) * np.cos(np.pi * index / 30)))
        share = np.clip(min(index - 5, 35 - index) / 8, 0, 1) * (column < WIDTH / 2)
        inset.append(still * (1 - share) + 200 * share)
    for frames in (lamp, swing, inset):
        assert find_shots(np.clip(frames, 0, 255).astype(np.uint8)) == []


def test_cuts_are_found_next_to_a_dissolve():
    moving = torch.cat([scene(7, 0.5, 5), dissolved(scene(1, 0.25, 30), scene(2, 0.25, 30), 12)])
    found = find_shots(thumbnail(moving))
    assert found[0] == 5 and len(found) == 2 and 11 <= found[1] <= 23


@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "carphone_pristine.mp4"])
def test_real_shot_has_no_dissolve(real_clip, name):
    frames = film(real_clip(name))
    assert find_shots(frames) == find_shots(frames[::4]) == []
