"""Trained upscalers as ncnn keeps them: recognised, sharp, true in colour, without seams, steady."""

import pytest
import torch

from stereoreel.core.clip import apply
from stereoreel.core.pull import frames
from stereoreel.image.resize import resize
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.upscale import network
from tests.support.trained_weights import ESRGAN, FILES, SPAN

NETWORKS = {  # architecture, scale and tags by file
    "REALESRGAN_ANIMAVIDEOV3_UP2X": ("Compact", 4, ["64nf", "16nc"]),
    "REALESRGAN_ANIMAVIDEOV3_UP3X": ("Compact", 4, ["64nf", "16nc"]),
    "REALESRGAN_ANIMAVIDEOV3_UP4X": ("Compact", 4, ["64nf", "16nc"]),
    "REALESRGAN_X4PLUSANIME_UP4X": ("ESRGAN", 4, ["64nf", "6nb"]),
    "REALESRGAN_X4PLUS_UP4X": ("ESRGAN", 4, ["64nf", "23nb"]),
    "2xHFA2kSPAN_27k": ("SPAN", 2, ["48nf"]),
    "4xSPANkendata": ("SPAN", 4, ["48nf"]),
    "ClearReality4x": ("SPAN", 4, ["48nf"]),
    "spanx2_ch48": ("SPAN", 2, ["48nf"]),
    "spanx2_ch52": ("SPAN", 2, ["52nf"]),
    "spanx4_ch48": ("SPAN", 4, ["48nf"]),
    "spanx4_ch52": ("SPAN", 4, ["52nf"]),
}
ANIME = "REALESRGAN_ANIMAVIDEOV3_UP4X"


def wheel(name: str):
    return ESRGAN if f"{name}.bin" in FILES[ESRGAN] else SPAN


@pytest.fixture
def having(trained):
    """Return a host that has a model's two files."""
    return lambda name: trained("upscale", wheel(name), f"{name}.bin", f"{name}.param")


@pytest.fixture
def upscaled(having, tensor_clip):
    def run(images, name=ANIME, cuts=(), **options):
        given = {"model": f"{name}.bin", "factor": 2.0, "precision": "fp32", **options}
        clip = tensor_clip(images, cuts=cuts)
        return frames(apply(Plan("upscale", given, "Upscale"), clip)["clip"], having(name))

    return run


def sharpness(images: torch.Tensor) -> float:
    """Return the mean difference of horizontal neighbours, in levels."""
    return float(255 * (images[..., 1:, :] - images[..., :-1, :]).abs().mean())


@pytest.mark.parametrize("name", NETWORKS)
def test_network_is_recognised_by_its_graph(name, having):
    """Loading also compares the network with the graph itself, on a small image."""
    host = having(name)
    found = network.read(host.weights("upscale", f"{name}.bin"))
    assert (found.architecture.id, found.scale, found.tags) == NETWORKS[name]


@pytest.mark.parametrize("name", [ANIME, "spanx2_ch48", "REALESRGAN_X4PLUSANIME_UP4X"])
def test_frames_are_sharp_and_true_in_colour(name, upscaled, bunny):
    small = resize(bunny(1, 192, 256), 48, 64).clamp(0, 1)
    made = upscaled(small, name)
    plain = resize(small, 96, 128)
    assert made.shape == (1, 96, 128, 3) and made.min() >= 0 and made.max() <= 1
    assert sharpness(made) > 1.05 * sharpness(plain)
    back = resize(made, 48, 64)
    assert (back - small).abs().mean() < 6 / 255
    assert (made.mean((0, 1, 2)) - plain.mean((0, 1, 2))).abs().max() < 4 / 255


def test_stage_equals_plain_spandrel(upscaled, having, bunny):
    images = bunny(1, 64, 80)
    made = upscaled(images, factor=4.0)
    found = network.read(having(ANIME).weights("upscale", f"{ANIME}.bin"))
    with torch.inference_mode():
        wanted = found(images.movedim(-1, 1)).movedim(1, -1)
    assert (made.mean((0, 1, 2)) - wanted.mean((0, 1, 2))).abs().max() < 1 / 255
    torch.testing.assert_close(made, wanted, atol=2 / 255, rtol=0)


def test_tiles_leave_no_seams(upscaled, bunny):
    images = bunny(1, 160, 176)
    whole, tiled = upscaled(images), upscaled(images, tile=96)
    assert not torch.equal(whole, tiled), "one tile was enough"
    assert (whole - tiled).abs().max() < 1 / 255


def test_as_many_frames_and_equal_ones_are_equal(upscaled, bunny):
    first, second = bunny(2, 64, 80)
    images = torch.stack([first, first, second, second, first])
    made = upscaled(images)
    assert len(made) == 5
    assert torch.equal(made[0], made[1]) and torch.equal(made[2], made[3])
    torch.testing.assert_close(made[4], made[0], atol=1e-5, rtol=0)


def test_steady_takes_flicker_away_and_keeps_the_picture(upscaled, bunny):
    """Flicker is how much more neighbouring frames differ than those of the true film."""
    noise = torch.randn(6, 48, 64, 3, generator=torch.Generator().manual_seed(0)) / 255
    truth = bunny(1, 96, 128).expand(6, -1, -1, -1)
    images = (resize(truth, 48, 64) + noise).clamp(0, 1)
    plain, steady = upscaled(images), upscaled(images, steady=1.0)
    flicker = [float((made[1:] - made[:-1]).abs().mean()) for made in (plain, steady)]
    errors = [float((made - truth).square().mean()) for made in (plain, steady)]
    assert flicker[1] < 0.8 * flicker[0]
    assert errors[1] < 1.01 * errors[0]


def test_steady_holds_nothing_across_a_cut(upscaled, bunny):
    images = torch.cat([bunny(2, 64, 80), 1 - bunny(2, 64, 80)])
    cut = upscaled(images, cuts=(2,), steady=1.0)
    torch.testing.assert_close(cut[2:], upscaled(images[2:], steady=1.0), atol=1e-5, rtol=0)


def test_files_under_their_tools_names_run_as_entries(having):
    host = having("spanx2_ch48")
    assert catalog.choose("upscale", "spanx2_ch48.bin", host)[0].name == "span-x2"
    host = having(ANIME)
    path = host.weights("upscale", f"{ANIME}.bin")
    for suffix in (".bin", ".param"):
        copied = path.with_name(f"realesr-animevideov3-x4{suffix}")
        copied.write_bytes(path.with_suffix(suffix).read_bytes())
    entry, _ = catalog.choose("upscale", "realesr-animevideov3", host)
    assert entry.file == "realesr-animevideov3-x4.bin"
    assert catalog.load("upscale", "realesr-animevideov3", host).network.scale == 4
