"""NVIDIA's effects, against a stand-in with the documented interface, and the real ones if installed."""

import gc
import sys
from enum import IntEnum
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.resize import resize
from stereoreel.models import catalog
from stereoreel.models.headless import Headless
from stereoreel.stages.interpolate import OPTIONS as TIMES
from stereoreel.stages.interpolate import nvidia as generation
from stereoreel.stages.vsr import LEVELS, OPTIONS, builtin, describe
from stereoreel.stages.vsr import nvidia as resolution
from tests.support import nvvfx_stand_in

ENTRY = SimpleNamespace()
REAL = Headless()


@pytest.fixture
def nvvfx(monkeypatch):
    module = nvvfx_stand_in.package()
    monkeypatch.setitem(sys.modules, "nvvfx", module)
    return module


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvvfx", None)


def film(count: int = 5, height: int = 20, width: int = 36, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(1))


def shot(frames: torch.Tensor) -> Shot:
    views, (count, height, width, channels) = frames.ndim - 3, frames.shape[-4:]
    return Shot(0, ClipInfo(width, height, Fraction(25), count, channels=channels, views=views))


def enlarged(frames: torch.Tensor, host: Headless, chunk: int = 2, **options) -> torch.Tensor:
    stage = resolution.load(ENTRY, resolve(OPTIONS, options), host)
    with torch.inference_mode():
        return torch.cat(list(stage(shot(frames), iter(frames.split(chunk)))))


def between(
    frames: torch.Tensor, host: Headless, depth: torch.Tensor | None = None, chunk: int = 2, **options
) -> dict[str, torch.Tensor]:
    stage = generation.load(ENTRY, resolve(TIMES, options), host)
    inputs = [iter(clip.split(chunk, -4)) for clip in (frames, depth) if clip is not None]
    with torch.inference_mode():
        made = list(stage(shot(frames), *inputs))
    return {port: torch.cat([chunk[port] for chunk in made], -4) for port in made[0]}


@pytest.mark.parametrize("factor", [1.0, 1.25, 2.0, 3.25, 4.0])
@pytest.mark.parametrize(("width", "height"), [(36, 20), (33, 19), (64, 32), (9, 11)])
def test_output_size_is_exact(nvvfx, host, factor, width, height):
    frames = film(2, height, width)
    info = describe(resolve(OPTIONS, {"factor": factor}), shot(frames).info)
    made = enlarged(frames, host, factor=factor)
    assert made.shape == (2, info.height, info.width, 3) and made.min() >= 0 and made.max() <= 1


def test_position_is_kept_if_the_effect_rounds_the_size(nvvfx, host):
    ramp = torch.linspace(0, 1, 34)[None, None, :, None].expand(1, 18, 34, 3).contiguous()
    made = enlarged(ramp, host, factor=2.25)[0, 4:-4, 4:-4]
    assert nvvfx.journal[1] == ("ULTRA", (34, 18), (80, 48))
    assert (made - resize(ramp, 41, 77)[0, 4:-4, 4:-4]).mean().abs() < 0.1 / 77, "moved by a tenth of a pixel"


def test_frames_are_copied_out_of_the_shared_buffer(nvvfx, host):
    frames = film(height=24, width=40)
    expected = frames.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(enlarged(frames, host), expected)
    assert torch.equal(enlarged(frames, host, chunk=5), expected)


def test_alpha_is_upscaled_separately(nvvfx, host):
    frames = film(height=24, width=40, channels=4)
    made = enlarged(frames, host)
    assert torch.equal(made[..., 3:], resize(frames[..., 3:], 48, 80)) and torch.equal(
        made[..., :3], enlarged(frames[..., :3], host)
    )


@pytest.mark.parametrize("level", LEVELS)
def test_levels_exist_in_the_package(nvvfx, host, level):
    made = enlarged(film(1, 24, 40), host, level=level)
    name, source, asked = nvvfx.journal[1]
    assert made.shape == (1, 48, 80, 3)
    assert name == level.upper().replace(" ", "_") and source == (40, 24)
    assert asked == ((40, 24) if level.startswith(("denoise", "deblur")) else (80, 48))


def test_one_effect_per_stage_is_closed_with_it(nvvfx, host):
    enlarged(film(), host, chunk=1)
    gc.collect()
    assert [what for what, *_ in nvvfx.journal].count("made") == 1 and nvvfx.journal[-1] == ("closed", 0)


BROKEN = [(torch.zeros_like, "black frame"), (lambda made: made / 0, "NaN or infinity")]


@pytest.mark.parametrize(("spoil", "said"), BROKEN)
def test_silent_driver_failure_of_frame_generation_is_reported_at_the_first_frame(nvvfx, host, spoil, said):
    nvvfx.Effect.spoil = staticmethod(spoil)
    with pytest.raises(RuntimeError, match=f"{said}.*[Cc]hoose another model"):
        between(film(), host)


@pytest.mark.parametrize(("spoil", "said"), BROKEN)
@pytest.mark.parametrize("level", ["ultra", "denoise high"])
def test_builtin_upscaler_takes_over_from_a_driver_that_fails_silently(
    nvvfx, host, spoil, said, level, caplog
):
    frames = film()
    frames[0] = 0  # nothing to see in the first frame
    nvvfx.Effect.spoil = staticmethod(spoil)
    options = resolve(OPTIONS, {"level": level, "factor": 1.5})
    with torch.inference_mode():
        plain = builtin.load(ENTRY, options, host)(shot(frames), iter(frames.split(2)))
        assert torch.equal(enlarged(frames, host, level=level, factor=1.5), torch.cat(list(plain)))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert said in caplog.text and "Using the builtin upscaler" in caplog.text
    gc.collect()
    assert nvvfx.journal[-1] == ("closed", 0)


def test_effect_that_fails_later_is_an_error(nvvfx, host):
    """Not in the test image, which has other colours: frames already returned cannot be changed."""
    nvvfx.Effect.spoil = staticmethod(lambda made: made / 0 if made[0].sum() == made.sum() else made)
    frames = film()
    frames[3, ..., 1:] = 0
    with pytest.raises(RuntimeError, match="NaN or infinity"):
        enlarged(frames, host)


def test_film_may_begin_black(nvvfx, host):
    frames = film()
    frames[:2] = 0
    assert enlarged(frames, host)[:2].max() == 0 and between(frames, host)["clip"][1].max() == 0


def test_failed_start_error_has_a_remedy(nvvfx, host):
    def load(self):
        raise RuntimeError("NVCV error -64\nat line 12")

    nvvfx.Effect.load = load
    with pytest.raises(
        RuntimeError,
        match=r"NVIDIA RTX Video Super Resolution does not start on this machine \(NVCV error -64\)\. Update",
    ):
        enlarged(film(), host)


def test_missing_package_error_says_how_to_install_it(absent, host):
    for module, options in ((resolution, OPTIONS), (generation, TIMES)):
        with pytest.raises(RuntimeError, match=r"package nvidia-vfx .*python -m pip install nvidia-vfx"):
            module.load(ENTRY, resolve(options, {}), host)


def test_package_without_frame_generation_is_too_old(nvvfx, host):
    del nvvfx.VideoFrameGeneration
    with pytest.raises(RuntimeError, match=r"needs nvidia-vfx 0\.2 or newer"):
        between(film(), host)


def test_package_without_a_level_is_too_old(nvvfx, host):
    nvvfx.VideoSuperRes.QualityLevel = IntEnum("QualityLevel", {"HIGH": 3})
    with pytest.raises(RuntimeError, match=r"This nvidia-vfx has no STREAMING_ULTRA\. Install a newer one"):
        enlarged(film(), host, level="streaming ultra")


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, [0.5]),
        ({"multiplier": 3}, [1 / 3, 2 / 3]),
        ({"target_fps": "40"}, [5 / 8, 1 / 4, 7 / 8, 1 / 2]),
    ],
)
def test_frames_are_interpolated_at_the_requested_times(nvvfx, host, options, times):
    frames = film(4)
    made = between(frames, host, **options)
    asked = [fact[1] for fact in nvvfx.journal if fact[0] == "MEDIUM"]
    assert asked[: len(times)] == pytest.approx(times)
    assert torch.equal(made["clip"][0], frames[0]) and made["confidence"].min() == 1
    first = torch.lerp(frames[0], frames[1], asked[0])
    assert torch.allclose(made["clip"][1], first, atol=1e-6)


def test_frames_do_not_depend_on_chunks(nvvfx, host):
    frames = film(6)
    assert torch.equal(between(frames, host, chunk=1)["clip"], between(frames, host, chunk=6)["clip"])


def test_fast_uses_the_low_mode(nvvfx, host):
    between(film(2), host, quality="fast")
    assert any(fact[0] == "LOW" for fact in nvvfx.journal)


def test_alpha_depth_and_both_views_follow(nvvfx, host):
    eyes, depth = torch.stack([film(3, 64, 96, 4), film(3, 64, 96, 4).flip(2)]), film(3, 64, 96, 1)
    made = between(eyes, host, depth)
    assert (
        made["clip"].shape == (2, 6, 64, 96, 4)
        and made["depth"].shape == (6, 64, 96, 1)
        and made["confidence"].shape == (2, 6, 64, 96, 1)
    )
    assert torch.allclose(made["clip"][:, 1], (eyes[:, 0] + eyes[:, 1]) / 2, atol=1e-6)
    assert made["confidence"][:, 1].min() < 1, "noise cannot be trusted"


def test_package_is_found_without_importing_it(nvvfx):
    from stereoreel.models.machine import installed

    assert "nvidia-vfx" in installed()


@pytest.mark.skipif(
    not catalog.present(catalog.models("vsr")["nvidia-rtx-vsr"], REAL),
    reason="NVIDIA's effects do not run here: "
    + "; ".join(catalog.lacking(catalog.models("vsr")["nvidia-rtx-vsr"], REAL)),
)
@pytest.mark.parametrize("level", ["ultra", "denoise high"])
def test_real_upscaler_gives_the_same_image_sharper(level):
    rows, columns = torch.meshgrid(torch.arange(180) / 9, torch.arange(320) / 11, indexing="ij")
    frames = (
        (0.5 + 0.4 * torch.sin(rows) * torch.cos(columns))[None, ..., None].expand(2, -1, -1, 3).contiguous()
    )
    made = enlarged(frames, REAL, level=level, factor=2.25).float().cpu()
    assert made.shape == (2, 405, 720, 3) and (made - resize(frames, 405, 720)).abs().mean() < 0.03


@pytest.mark.skipif(
    not catalog.present(catalog.models("interpolate")["nvidia-rtx-frame-generation"], REAL),
    reason="NVIDIA's frame generation does not run here: "
    + "; ".join(catalog.lacking(catalog.models("interpolate")["nvidia-rtx-frame-generation"], REAL)),
)
def test_real_frame_generation_moves_a_bar_half_way():
    frames = torch.full((2, 288, 512, 3), 0.3)
    frames[0, :, 200:240], frames[1, :, 208:248] = 0.9, 0.9
    made = between(frames, REAL)["clip"][1].float().cpu()
    lit = (made[:, :, 0].mean(0) > 0.6).nonzero().flatten()
    assert abs(int(lit[0]) - 204) <= 2 and abs(int(lit[-1]) - 243) <= 2
