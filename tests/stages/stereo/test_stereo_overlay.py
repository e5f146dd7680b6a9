"""The comfort overlay and its figures, against scenes worked out by hand."""

import json
from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.models.headless import Headless
from stereoreel.stages import stereo
from stereoreel.stages.stereo import overlay


def reported(depth, chunk=None, images=None, **options):
    """Return the overlay's tally and images, for a convergence of 0 and 4 % divergence by default."""
    options = {"divergence": 4.0, "convergence_mode": "fixed", "convergence": 0.0, **options}
    stage = overlay.load(resolve(stereo.OPTIONS, options), Headless("cpu"))
    images = torch.full((*depth.shape[:3], 3), 0.5) if images is None else images
    shot, size = (
        Shot(0, ClipInfo(images.shape[2], images.shape[1], Fraction(25), len(images))),
        chunk or len(images),
    )
    made = list(stage(shot, iter(images.split(size)), iter(depth.split(size))))
    return stage.tally, torch.cat([piece["clip"] for piece in made])


def quarter_near(frames=2, at=slice(30, 55)):
    """Return depth with a quarter of the columns at 1, the rest at 0: parallax 4 and 0 pixels of 100."""
    depth = torch.zeros(frames, 20, 100, 1)
    depth[:, :, at] = 1
    return depth


def test_histogram_has_each_parallax_in_every_unit():
    tally, _ = reported(quarter_near(), screen="tv")
    none, near = tally.figures()["histogram"]
    assert (none["percent"], none["share"]) == (0.0, 0.75) and (near["percent"], near["share"]) == (4.0, 0.25)
    assert near["pixels"] == pytest.approx(4) and near["mm"] == pytest.approx(48.72)  # 4 % of 1218 mm
    assert near["degrees"] == pytest.approx(1.274, abs=0.001)  # 2 (atan(111.72 / 4380) - atan(63 / 4380))


@pytest.mark.parametrize(
    ("screen", "convergence", "front", "behind"),
    [
        ("tv", 0.0, 0.25, 0),
        ("phone", 0.5, 0, 0),
        ("cinema", 0.5, 0, 0.75),
        ("vr headset", 0.5, 0.25, 0.75),
        ("none", 0.0, 0.25, 0),
    ],
)
def test_violations_are_shares_of_all_pixels(screen, convergence, front, behind):
    found = reported(quarter_near(), screen=screen, convergence=convergence)[0].figures()
    assert found["beyond_limit"] == {"front": front, "behind": behind}


def test_limited_pair_has_no_violations():
    found = reported(quarter_near(), screen="cinema", convergence=0.5, limit=True)[0].figures()
    assert found["beyond_limit"] == {"front": 0, "behind": 0}


def test_border_violations_are_counted_unless_a_window_floats():
    depth = torch.cat([quarter_near(3, slice(0, 25)), quarter_near(1, slice(40, 65))])
    assert reported(depth)[0].figures()["frames_cut_off"] == {"left": 0.75, "right": 0}
    assert reported(depth.flip(2))[0].figures()["frames_cut_off"] == {"left": 0, "right": 0.75}
    assert reported(depth[:3], floating_window=True)[0].figures()["frames_cut_off"] == {"left": 0, "right": 0}
    assert reported(depth, border=12.0)[0].figures()["frames_cut_off"] == {"left": 0, "right": 0}


def test_overlay_marks_violations():
    # 2 pixels either way
    _, (picture, *_) = reported(quarter_near(1, slice(0, 25)), screen="cinema", convergence=0.5)
    red, _, blue = picture[0, 10]  # comfortable: within 2.2 % in front
    assert blue < red < 0.75
    red, _, blue = picture[0, 60]  # more than 0.5 % behind
    assert blue > 0.85 and red < 0.3
    assert torch.equal(picture[0, 0], torch.tensor(overlay.BORDER))
    assert torch.equal(picture[19, 50], torch.ones(3))  # the screen's plane in the histogram


def test_figures_as_json_and_text():
    tally, _ = reported(quarter_near(), screen="tv")
    json.dumps(tally.figures(), allow_nan=False)
    assert (
        "up to 4.00 % (4.0 px, 48.7 mm, 1.27 degrees)" in tally.text()
        and "25.00 % of the pixels" in tally.text()
    )


@pytest.mark.parametrize("chunk", [1, 2])
def test_figures_and_images_do_not_depend_on_chunks(chunk):
    generator = torch.Generator().manual_seed(0)
    depth, images = (
        torch.rand(5, 6, 10, 1, generator=generator),
        torch.rand(5, 12, 40, 3, generator=generator),
    )
    options = {"images": images, "convergence_mode": "auto", "floating_window": True, "screen": "cinema"}
    (whole, pictures), (cut, cut_pictures) = reported(depth, **options), reported(depth, chunk, **options)
    assert whole.figures() == cut.figures() and torch.equal(pictures, cut_pictures)


def test_overlay_is_described_before_the_first_frame():
    clip = ClipInfo(64, 48, Fraction(25), 10, channels=4)
    assert overlay.describe(resolve(stereo.OPTIONS, {}), clip, clip.replace(channels=1)) == {
        "clip": clip.replace(channels=3)
    }
