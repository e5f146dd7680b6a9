"""Trained BasicVSR: BasicSR's files run as in their own package, and beat resizing on real frames."""

import pytest
import torch

from stereoreel.core.clip import apply
from stereoreel.core.pull import frames
from stereoreel.image.resize import resize
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from tests.support.packaged_basicvsr import packaged
from tests.support.trained_weights import BASICVSR, FILES, downloaded

FILE = "BasicVSR_REDS4.pth"


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(-10 * torch.log10((first - second).square().mean()))


def restored(images, name, host, tensor_clip, **options):
    given = {"model": name, "factor": 4.0, "precision": "fp32", **options}
    return frames(apply(Plan("vsr", given, "VSR"), tensor_clip(images))["clip"], host)


def test_files_run_as_their_entries(trained):
    host = trained("vsr", BASICVSR)
    entries = [catalog.choose("vsr", name, host)[0] for name in FILES[BASICVSR]]
    assert sorted(entry.name for entry in entries) == [
        "basicvsr-reds4",
        "basicvsr-vimeo90k-bd",
        "basicvsr-vimeo90k-bi",
    ]
    assert catalog.own_files("vsr", host) == []
    for entry in entries:
        assert type(catalog.load("vsr", entry.name, host).core).__name__ == "BasicVSR"


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_result_is_that_of_the_package(trained, session_folder, tensor_clip, bunny):
    host = trained("vsr", BASICVSR, FILE)
    images = bunny(3, 64, 64)
    made = restored(images, FILE, host, tensor_clip)
    net = packaged(  # restores the frame in the middle
        downloaded(BASICVSR, session_folder)
    )(64, 30).eval()
    state = torch.load(host.weights("vsr", FILE), map_location="cpu", weights_only=True)
    net.load_state_dict(state["params"])
    with torch.inference_mode():
        wanted = net(images.movedim(-1, 1)[None])[0].movedim(0, -1).clamp(0, 1)
    torch.testing.assert_close(made[1], wanted, atol=1e-3, rtol=0)


def test_it_beats_resizing_on_downscaled_frames(trained, tensor_clip, bunny):
    truth = bunny(4, 256, 320)
    small = torch.nn.functional.interpolate(
        truth.movedim(-1, 1), scale_factor=0.25, mode="bicubic", antialias=True
    )
    small = (small.movedim(1, -1).clamp(0, 1) * 255).round() / 255
    made = restored(small, FILE, trained("vsr", BASICVSR, FILE), tensor_clip)
    plain = torch.nn.functional.interpolate(small.movedim(-1, 1), scale_factor=4, mode="bicubic")
    plain = plain.movedim(1, -1).clamp(0, 1)
    assert made.shape == truth.shape
    assert psnr(made, truth) > psnr(plain, truth) + 2
    assert psnr(made, truth) > psnr(resize(small, 256, 320), truth) + 2
    assert (made.mean((0, 1, 2)) - truth.mean((0, 1, 2))).abs().max() < 1 / 255
