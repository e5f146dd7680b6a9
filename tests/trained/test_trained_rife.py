"""Trained RIFE: found by `auto`, detected by its tensors; frames that exist stay as they are, cuts hold."""

import pytest
import torch

from benchmarks.support import text_scenes
from benchmarks.support.scenes import Camera, street
from benchmarks.support.text_scenes import credits, laid, subtitle
from stereoreel.core.clip import apply
from stereoreel.core.pull import frames
from stereoreel.models import catalog, weights
from stereoreel.models.lazy_stage import Plan
from stereoreel.nets import rife
from tests.support.trained_weights import RIFE


@pytest.fixture
def host(trained):
    return trained("interpolate", RIFE)


@pytest.fixture
def doubled(host, tensor_clip):
    def run(images, cuts=(), **options):
        given = {"model": "flownet.pkl", "multiplier": 2, "precision": "fp32", **options}
        clip = tensor_clip(images, cuts=cuts)
        return frames(apply(Plan("interpolate", given, "Interpolate"), clip)["clip"], host)

    return run


def psnr(first, second) -> float:
    return float(-10 * torch.log10((first - second).square().mean()))


def test_auto_finds_it_and_its_tensors_name_the_version(host):
    entry, _ = catalog.choose("interpolate", "auto", host)
    assert entry.name == "rife-flownet" and entry.license == "MIT"
    state = weights.read(host.weights("interpolate", "flownet.pkl"))
    assert "4.25" in rife.detect(rife.clean(state)).names


def test_existing_frames_pass_through_and_new_ones_lie_between(doubled, bunny):
    truth = bunny(9, 160, 192)[::4]
    made = doubled(truth[::2])
    assert len(made) == 4
    assert torch.equal(made[0], truth[0]) and torch.equal(made[2], truth[2])
    repeated = max(psnr(truth[0], truth[1]), psnr(truth[2], truth[1]))
    assert psnr(made[1], truth[1]) > max(repeated + 2, psnr((truth[0] + truth[2]) / 2, truth[1]) + 1)
    assert (made[1].mean((0, 1)) - truth[1].mean((0, 1))).abs().max() < 1 / 255


def test_cuts_hold(doubled, bunny):
    images = torch.cat([bunny(1, 96, 128), 1 - bunny(1, 96, 128, first=20)])
    made = doubled(images, cuts=(1,))
    assert len(made) == 4
    assert torch.equal(made[1], made[0]) and torch.equal(made[3], made[2])


def test_half_precision_on_a_cpu_equals_single_to_50_decibels(doubled, bunny):
    images = bunny(3, 192, 256)[::2]
    exact, half = (doubled(images, precision=precision)[1] for precision in ("fp32", "bf16"))
    assert not torch.equal(exact, half) and psnr(exact, half) >= 50
    assert (exact - half).abs().max() < 0.1


def test_builtin_is_within_one_and_a_half_decibels(doubled, bunny):
    frames_seen = bunny(9, 256, 384)
    for truth in (frames_seen[:3], frames_seen[::4]):
        trained, builtin = (
            psnr(doubled(truth[::2], model=name)[1], truth[1]) for name in ("flownet.pkl", "builtin")
        )
        assert builtin > trained - 1.5


@pytest.mark.skipif(text_scenes.font_file() is None, reason="DejaVu Sans is not installed")
@pytest.mark.parametrize(("text", "camera"), [
    ("credits", Camera()), ("credits", Camera(truck=(3.0, 0.0))), ("subtitle", Camera(truck=(9.0, 0.0))),
])  # fmt: skip
def test_text_over_a_picture_that_moves_is_close_to_the_truth(text, camera, doubled):
    overlay = credits(480, 270, 4.33, size=0.13) if text == "credits" else subtitle(480, 270, kind="plain")
    images, opacity = laid(street(1, 480, 270, camera=camera).clip(3, 0.5)[0], [overlay], 2.0, 0.5)
    made = doubled(images[::2])
    assert torch.equal(made[0], images[0]) and psnr(made[1], images[1]) >= 35
    assert psnr(made[1][opacity[1] > 0.5], images[1][opacity[1] > 0.5]) >= (34 if text == "credits" else 38)
