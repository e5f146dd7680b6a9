"""Interpolate: accuracy, exact counts, unchanged source frames, one motion for depth and both views."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from benchmarks.support.scenes import Camera, Layer, Scene, Texture
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot, Soundtrack, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames as pulled
from stereoreel.image.flow import flow, grayscale, warp
from stereoreel.media.read.audio import read_audio
from stereoreel.models.catalog import load
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.interpolate import OPTIONS, describe

WIDTH, HEIGHT, RIM = 320, 192, 24  # what enters at the border is in neither frame


def scene(camera: Camera, *moving: Layer) -> Scene:
    wall = Layer("plane", 0.2, Texture(1), (WIDTH / 2, HEIGHT / 2))
    return Scene(WIDTH, HEIGHT, (wall, *moving), camera)


def walker(dx: float, dy: float) -> Layer:
    return Layer("ellipse", 0.8, Texture(2), (WIDTH / 2, HEIGHT / 2), (50, 60), velocity=(dx, dy))


SCENES = {  # with the decibels that the middle frame must reach, about 2 below what it does
    "pan": (scene(Camera(pan=(7.4, 3.2))), 63.5),
    "zoom": (scene(Camera(zoom=1.05)), 63.5),
    "walker": (scene(Camera(pan=(-2.3, 0.0)), walker(11.7, 4.1)), 38.0),
    "parallax": (scene(Camera(truck=(-24.0, 3.0)), walker(0, 0)), 36.5),
}


@pytest.fixture(scope="module")
def rendered():
    """Return images [3, H, W, 3] and depth [3, H, W, 1] of every scene at 0, one half and 1."""
    made = {}
    for name, (view, _) in SCENES.items():
        views = [view.render(t, samples=2) for t in (0, 0.5, 1)]
        made[name] = (
            torch.stack([one.image for one in views]),
            torch.stack([one.depth for one in views])[..., None],
        )
    return made


def run(images, depth=None, *, chunk=None, fps=25, start=0, info=None, **options) -> dict[str, torch.Tensor]:
    """Run the builtin stage on one shot in chunks; join each output along time."""
    clip = info or ClipInfo(
        images.shape[-2],
        images.shape[-3],
        Fraction(fps),
        images.shape[-4],
        views=2 if images.ndim == 5 else 1,
    )
    stage = load("interpolate", "builtin", Headless("cpu"), **options)
    inputs = [iter(part.split(chunk or part.shape[-4], -4)) for part in (images, depth) if part is not None]
    made = list(stage(Shot(start, clip), *inputs))
    return {port: torch.cat([one[port] for one in made], -4) for port in made[0]}


def inner(image: torch.Tensor) -> torch.Tensor:
    return image[..., RIM:-RIM, RIM:-RIM, :]


def naive(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the mean of both frames, each warped by half its flow, as a baseline."""
    luma = grayscale(torch.stack([first, second]))
    halves = [
        warp(image.numpy(), -0.5 * flow(*pair)) for image, pair in ((first, luma), (second, luma[::-1]))
    ]
    return torch.from_numpy(sum(halves) / 2)


@pytest.mark.parametrize("name", SCENES)
def test_middle_frame_is_near_the_exact_one(rendered, name):
    images, _ = rendered[name]
    reached = psnr(inner(run(images[::2])["clip"][1]), inner(images[1]))
    assert reached > SCENES[name][1]


def test_projection_beats_naive_warping_and_blending(rendered):
    gains = []
    for images, _ in rendered.values():
        first, exact, second = images
        ours, simple, blend = (
            psnr(inner(image), inner(exact))
            for image in (run(images[::2])["clip"][1], naive(first, second), (first + second) / 2)
        )
        gains.append((ours - simple, ours - blend))
    over_naive, over_blend = (sum(column) / len(gains) for column in zip(*gains))
    assert over_naive > 1.5
    assert over_blend > 15


def test_fast_loses_little(rendered):
    images, _ = rendered["walker"]
    assert (
        psnr(inner(run(images[::2], quality="fast")["clip"][1]), inner(images[1])) > SCENES["walker"][1] - 2
    )


@pytest.mark.parametrize("pan", [(56.0, 8.0), (-44.0, 20.0)])
def test_fast_pan_is_followed(pan):
    images = torch.stack([scene(Camera(pan=pan)).render(t).image for t in (0, 0.5, 1)])
    made, exact = (one[40:-40, 80:-80] for one in (run(images[::2])["clip"][1], images[1]))
    assert psnr(made, exact) > 33
    assert psnr(made, exact) > psnr((images[0] + images[2])[40:-40, 80:-80] / 2, exact) + 10


@pytest.mark.parametrize("name", ["pan", "walker"])
def test_motion_is_found_between_a_frame_and_a_flash(rendered, name):
    images, _ = rendered[name]
    first, exact, second = (images + torch.tensor([0, 0.2, 0.4])[:, None, None, None]).clamp(0, 1)
    made, exact = (inner(one) for one in (run(torch.stack([first, second]))["clip"][1], exact))
    assert psnr(made, exact) > psnr(inner((first + second) / 2), exact) + 1


@pytest.mark.parametrize("pan", [(12.0, 2.0), (-21.0, 0.0)])
def test_subtitles_over_a_pan_are_printed_once(pan):
    images = torch.stack([titled(scene(Camera(pan=pan)).render(t, samples=2).image) for t in (0, 0.5, 1)])
    rows = slice(HEIGHT - 60, HEIGHT - 14)
    made, exact = (one[rows, 40:-40] for one in (run(images[::2])["clip"][1], images[1]))
    letters = exact.amin(-1) > 0.9
    assert letters.float().mean() > 0.02
    assert (made[letters].mean(-1) > 0.8).float().mean() > 0.95
    # bright pixels elsewhere are a second print
    far = torch.nn.functional.max_pool2d(letters[None, None].float(), 7, 1, 3)[0, 0] == 0
    assert (made[far].amin(-1) > 0.85).float().mean() < 0.01


def titled(image: torch.Tensor) -> torch.Tensor:
    """Return the image with a line of white text that has a black outline."""
    import cv2

    picture = (image.clamp(0, 1) * 255).byte().numpy().copy()
    for color, thickness in ((0, 5), (255, 2)):
        cv2.putText(
            picture, "Where to?", (56, HEIGHT - 24), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (color,) * 3, thickness,
            cv2.LINE_AA,
        )  # fmt: skip
    return torch.from_numpy(picture).float() / 255


def test_subtitles_brighter_than_white_are_limited_like_the_rest():
    images = torch.stack([titled(scene(Camera(pan=(12.0, 2.0))).render(t).image) for t in (0, 1)])
    images[images > 0.99] = 1.5
    assert run(images)["clip"][1].max() <= 1


def test_credits_that_scroll_are_not_held():
    scene_at = scene(Camera(pan=(-6.0, 0.0)))
    images = torch.stack(
        [torch.roll(titled(scene_at.render(t).image), -round(16 * t) - 20, 0) for t in (0, 0.5, 1)]
    )
    made = run(images[::2])["clip"][1]
    assert psnr(inner(made), inner(images[1])) > psnr(inner(images[0]), inner(images[1])) + 5


def test_depth_stays_on_the_edges_of_its_frames(rendered):
    images, depth = rendered["walker"]
    moved = run(images[::2], depth[::2])["depth"][1]
    blend = (depth[0] + depth[2]) / 2
    assert psnr(inner(moved), inner(depth[1])) > psnr(inner(blend), inner(depth[1])) + 4.5


def test_depth_of_another_size_follows_the_same_motion(rendered):
    images, depth = rendered["walker"]
    small = torch.nn.functional.avg_pool2d(depth[..., 0], 2)[..., None]
    moved = run(images[::2], small[::2])["depth"]
    assert moved.shape == (4, HEIGHT // 2, WIDTH // 2, 1)
    assert psnr(moved[1, 12:-12, 12:-12], small[1, 12:-12, 12:-12]) > 28


def test_views_are_independent_and_a_single_depth_follows_the_left(rendered):
    images, depth = rendered["walker"]
    other, _ = rendered["parallax"]
    both = run(torch.stack([images, other]), depth)
    alone = run(images, depth)
    assert torch.equal(both["clip"][0], alone["clip"])
    assert torch.equal(both["clip"][1], run(other)["clip"])
    assert torch.equal(both["depth"], alone["depth"])
    assert run(torch.stack([images, other]), torch.stack([depth, depth]))["depth"].shape == (
        2,
        6,
        HEIGHT,
        WIDTH,
        1,
    )


def noise(frames: int, height: int = 40, width: int = 56, channels: int = 3) -> torch.Tensor:
    return torch.rand(frames, height, width, channels, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "fps, options, every, source",
    [
        (25, {"multiplier": 4}, 4, 1),
        (24, {"target_fps": "60"}, 5, 2),
        (Fraction(24000, 1001), {"target_fps": "59.94"}, 5, 2),
        (30, {"target_fps": "24"}, 4, 5),
        (60, {"target_fps": "24"}, 2, 5),
    ],
)
def test_source_frames_pass_unchanged(fps, options, every, source):
    images = noise(11)
    clip = run(images, fps=fps, **options)["clip"]
    assert torch.equal(clip[::every], images[::source][: len(clip[::every])])


@pytest.mark.parametrize("chunk", [1, 2, 7])
@pytest.mark.parametrize("options", [{"multiplier": 3}, {"target_fps": "60"}, {"target_fps": "10"}])
def test_chunks_do_not_matter(chunk, options):
    images, depth = noise(9), noise(9, channels=1)
    whole, cut = run(images, depth, **options), run(images, depth, chunk=chunk, **options)
    assert all(torch.equal(whole[port], cut[port]) for port in ("clip", "depth"))


def test_last_frame_is_repeated_for_the_rest_of_its_time():
    images = noise(5)
    clip = run(images, multiplier=4)["clip"]
    assert len(clip) == 20
    assert all(torch.equal(frame, images[-1]) for frame in clip[-4:])
    assert not torch.equal(clip[-5], images[-1])


@pytest.mark.parametrize(
    "options", [{"multiplier": 3}, {"target_fps": "60"}, {"target_fps": "10"}, {"target_fps": "4"}]
)
def test_no_frame_mixes_two_shots(tensor_clip, host, options):
    images = torch.cat([noise(4) / 4, 0.75 + noise(5) / 4, noise(2) / 4])
    clip = apply(
        Plan("interpolate", {"model": "builtin", **options}, "Interpolate"), tensor_clip(images, cuts=(4, 9))
    )["clip"]
    made = pulled(clip, host)
    assert len(made) == clip.info.frames
    for index, (start, stop) in enumerate(clip.info.shots):
        shot = made[start:stop]
        assert ((shot > 0.6) if index == 1 else (shot < 0.4)).all()


def test_frames_between_equal_ones_are_copies():
    images = noise(1).expand(3, -1, -1, -1)
    assert torch.equal(run(images, multiplier=5)["clip"], noise(1).expand(15, -1, -1, -1))


def test_variable_rate_becomes_constant():
    times = tuple(Fraction(n, 100) for n in (0, 4, 8, 20, 24, 36))
    info = ClipInfo(56, 40, Fraction(15), 6, times=times)
    images = noise(6)
    clip = run(images, info=info, target_fps="25")["clip"]
    assert describe(resolve(OPTIONS, {"target_fps": "25"}), info)["clip"] == info.replace(
        times=None, fps=Fraction(25), frames=12
    )
    assert len(clip) == 12
    copies = [any(torch.equal(frame, image) for image in images) for frame in clip]
    assert [index for index, copied in enumerate(copies) if copied] == [0, 1, 2, 5, 6, 9, 10, 11]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (5, 3), (24, 24), (31, 517)])
@pytest.mark.parametrize("channels, dtype", [(3, torch.float32), (4, torch.float16)])
def test_any_size_channels_and_precision(size, channels, dtype):
    images = noise(2, *size, channels).to(dtype)
    depth = noise(2, 3, 7, 1).to(dtype)
    made = run(images, depth)
    assert made["clip"].shape == (4, *size, channels) and made["depth"].shape == (4, 3, 7, 1)
    assert made["clip"].dtype == made["depth"].dtype == dtype
    assert torch.equal(made["clip"][[0, 2]], images)
    assert (
        made["clip"].isfinite().all()
        and made["depth"].isfinite().all()
        and made["clip"].min() >= 0
        and made["clip"].max() <= 1
    )


def test_single_frame_is_repeated():
    assert torch.equal(run(noise(1), multiplier=3)["clip"], noise(1).expand(3, -1, -1, -1))


def described(options: dict, frames: int = 250, **more) -> dict[str, ClipInfo]:
    return describe(
        resolve(OPTIONS, options), ClipInfo(640, 272, Fraction(25), frames, cuts=(1, 100), **more)
    )


def test_output_is_described_before_the_first_frame():
    sound = Soundtrack(Path("film.mp4"))
    doubled = described({}, audio=sound)["clip"]
    assert (doubled.fps, doubled.frames, doubled.cuts, doubled.audio) == (50, 500, (2, 200), sound)
    slower = described({"target_fps": "2"})["clip"]
    assert (slower.frames, slower.cuts, slower.shots) == (20, (0, 8), [(0, 0), (0, 8), (8, 20)])
    depth = ClipInfo(320, 136, Fraction(25), 250, channels=1)
    both = describe(resolve(OPTIONS, {"target_fps": "60"}), ClipInfo(640, 272, Fraction(25), 250), depth)
    assert both["depth"] == depth.replace(fps=Fraction(60), frames=600)


def test_slow_motion_keeps_the_rate_and_warns_about_audio():
    track = Soundtrack(Path("film.mp4"), duration=Fraction(10))
    with pytest.warns(UserWarning, match="audio"):
        slow = described({"slow_motion": True, "multiplier": 4}, audio=track)["clip"]
    assert (slow.fps, slow.frames) == (25, 1000)
    assert slow.audio == replace(track, duration=Fraction(40), pace=Fraction(1, 4))  # for its subtitles
    assert read_audio(slow.audio) is None
    assert len(run(noise(3), slow_motion=True, multiplier=4)["clip"]) == 12


@pytest.mark.parametrize(
    "options, frames",
    [
        ({"slow_motion": True, "multiplier": 1}, 9),
        ({"slow_motion": True, "target_fps": "25"}, 9),
        ({"target_fps": "quick"}, 9),
        ({"target_fps": "1"}, 5),
        ({"multiplier": 0}, 9),
        ({"multiplier": 17}, 9),
        ({"quality": "best"}, 9),
    ],
)
def test_invalid_options_are_refused(options, frames):
    with pytest.raises(ValueError, match=r"^[^.]*\S[^\n]*\.$"):
        described(options, frames)


def test_a_pair_of_depths_for_a_single_view_is_refused():
    depth = ClipInfo(640, 272, Fraction(25), 9, channels=1, views=2)
    with pytest.raises(ValueError, match="two views"):
        describe(resolve(OPTIONS, {}), ClipInfo(640, 272, Fraction(25), 9), depth)
