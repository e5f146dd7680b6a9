"""The stereo warp's three implementations, torch, numba and GPU, give equal results."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from stereoreel.stages.stereo import gaps, warp

ROOT = Path(__file__).resolve().parents[3]
SIZES = [(1, 1), (3, 2), (40, 7), (12, 1000), (90, 333)]


def eye(size, left, channels=3, seed=0, strength=20.0, image_type=torch.float32):
    """Return a view to render from random colours.

    Its parallax has steps, slants, ties and thin objects, and moves some pixels out of the frame.
    """
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, max(1, size[0] // 4), max(1, size[1] // 9), generator=generator)
    steps = (F.interpolate(coarse, size, mode="nearest") * 5).round() / 5
    slants = F.interpolate(coarse.flip(3), size, mode="bilinear")
    near = torch.where(
        torch.rand(size, generator=generator) < 0.02,
        1.0,
        torch.where(slants[0, 0] > 0.5, slants[0, 0], steps[0, 0]),
    )
    image = torch.rand(*size, channels, generator=generator).to(image_type)
    return warp.Eye(
        image,
        near * strength - 5,
        0.5,
        left,
        torch.empty_like(image),
        image.new_empty(size),
        torch.empty(size, dtype=torch.int32),
    )


def rendered(one, way):
    """Return what is written for a view."""
    one = one._replace(
        **{name: torch.empty_like(getattr(one, name)) for name in ("picture", "holes", "source")}
    )
    way([one])
    return one


def numba_way():
    pytest.importorskip("numba", reason="numba is not installed; it is optional")
    from stereoreel.stages.stereo import compiled

    return compiled.move_rows


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [3, 4])
def test_numba_equals_torch(size, left, channels):
    way = numba_way()
    for strength in (0.0, 7.3, 20.0, 300.0):
        one = eye(size, left, channels, strength=strength)
        expected, found = rendered(one, warp.move_rows), rendered(one, way)
        assert torch.equal(found.holes, expected.holes) and torch.equal(found.source, expected.source)
        torch.testing.assert_close(found.picture, expected.picture, rtol=0, atol=1e-6)


def test_numba_accepts_non_finite_parallax():
    one = eye((30, 50), False)
    one.parallax[::3, 10:20], one.parallax[1::3, 5], one.parallax[2::3, 7] = torch.nan, torch.inf, -torch.inf
    assert rendered(one, numba_way()).picture.isfinite().all()


def test_numba_needs_no_cache_folder(tmp_path):
    pytest.importorskip("numba", reason="numba is not installed; it is optional")
    program = (
        "import torch, sys; sys.path.insert(0, sys.argv[1]); import numba.core.caching as caching; "
        "caching.CacheImpl._locator_classes = [];"
        # as where no folder can be written
        "from stereoreel.stages.stereo.warp import compiled; print(compiled().__module__)"
    )
    environment = {**os.environ, "STEREOREEL_NUMBA": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "stereoreel_stereo_compiled", done.stderr


def test_numba_cache_is_shared_by_terminal_and_comfyui(tmp_path):
    """The file is a module of another name in ComfyUI; each finds what the other has compiled."""
    pytest.importorskip("numba", reason="numba is not installed; it is optional")
    (tmp_path / "custom_nodes").mkdir()
    shutil.copytree(
        ROOT / "stereoreel",
        tmp_path / "custom_nodes" / "stereoreel",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    program = (
        "import importlib, sys; sys.path[:0] = sys.argv[2:]; "
        "print(sum(importlib.import_module(sys.argv[1])._warp.stats.cache_hits.values()))"
    )
    hits = [
        subprocess.run(
            [sys.executable, "-c", program, f"{name}.stages.stereo.compiled", place],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        ).stdout
        for name, place in [("stereoreel", tmp_path / "custom_nodes"), ("custom_nodes.stereoreel", tmp_path)]
    ]
    assert [int(count) for count in hits] == [0, 1]


def test_numba_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("STEREOREEL_NUMBA", "0")
    assert warp.compiled() is None


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("image_type", [torch.float32, torch.float16])
def test_gpu_path_gives_the_same(size, left, image_type):
    for strength in (0.0, 7.3, 20.0, 300.0):
        one = eye(size, left, strength=strength, image_type=image_type)
        expected, found = (
            rendered(one, warp.move_rows),
            rendered(one, lambda eyes: warp.move_rows(eyes, wait=False)),
        )
        assert torch.equal(found.holes, expected.holes) and torch.equal(found.source, expected.source)
        torch.testing.assert_close(
            found.picture, expected.picture, rtol=0, atol=1e-6 if image_type == torch.float32 else 1e-3
        )


def test_gpu_path_never_synchronises():
    """Tensors without values: reading one raises."""
    one = eye((20, 30), True)
    one = one._replace(
        **{name: part.to("meta") for name, part in one._asdict().items() if isinstance(part, torch.Tensor)}
    )
    with pytest.raises((RuntimeError, NotImplementedError)):
        warp.move_rows([one])
    warp.move([one, one._replace(left=False)])


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("fill", [gaps.fill_listed, gaps.fill_scanned])
def test_holes_end_at_the_row_and_an_empty_row_shows_itself(fill, left):
    source = torch.tensor([[-1, 1, -1, -1], [-1, -1, -1, -1], [-1, -1, 10, 11]], dtype=torch.int32)
    column = torch.arange(4.0).flip(0) if left else torch.arange(4.0)
    fill(source, source < 0, column.expand(3, 4).contiguous(), column, left)
    assert source.tolist() == [[1, 1, 1, 1], [4, 5, 6, 7], [10, 10, 10, 11]]


@pytest.mark.parametrize("way", ["torch", "numba"])
def test_result_does_not_depend_on_bands_and_threads(way, monkeypatch):
    monkeypatch.setenv("STEREOREEL_NUMBA", "0")
    if way == "numba":
        numba_way()
        monkeypatch.setenv("STEREOREEL_NUMBA", "1")
    whole = rendered(eye((90, 333), True), warp.move)
    for pixels in (1, 5000, 20000):
        monkeypatch.setattr(warp, "CPU_BAND", pixels)
        cut = rendered(eye((90, 333), True), warp.move)
        assert all(torch.equal(*parts) for parts in zip(whole[4:], cut[4:]))
