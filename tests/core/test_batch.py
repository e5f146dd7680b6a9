"""IMAGE batches as clips, and batches larger than memory."""

import os
from fractions import Fraction

import pytest
import torch

from stereoreel.core import tensor_source
from stereoreel.core.tensor_source import TensorSource, new_batch
from tests.support.media_files import moving


def all_frames(source, host, chunk=3):
    return torch.cat(list(source.chunks(host, chunk)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_frames_are_unchanged(host, dtype, channels):
    images = torch.rand(7, 6, 10, channels).to(dtype)
    before = images.clone()
    source = TensorSource(images, Fraction(24000, 1001), cuts=False)
    info = source.info
    assert (info.width, info.height, info.frames, info.channels, info.fps) == (
        10,
        6,
        7,
        channels,
        Fraction(24000, 1001),
    )
    frames = all_frames(source, host)
    assert (
        frames.dtype == torch.float32 and torch.equal(frames, before.float()) and torch.equal(images, before)
    )


@pytest.mark.parametrize("chunk", [1, 3, 7, 50])
def test_chunk_length_is_limited(host, chunk):
    sizes = [len(part) for part in TensorSource(torch.rand(7, 4, 4, 3), 25, cuts=False).chunks(host, chunk)]
    assert max(sizes) <= chunk and sum(sizes) == 7


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (2, 4, 4, 2), (4, 4, 3), (1, 2, 4, 4, 3), (2, 0, 4, 3)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="IMAGE batch"):
        TensorSource(torch.zeros(shape), 25)


def test_integer_frames_are_refused():
    with pytest.raises(ValueError, match="floats"):
        TensorSource(torch.zeros(1, 4, 4, 3, dtype=torch.uint8), 25)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_error_names_the_first_non_finite_frame(host, bad, dtype):
    images = torch.rand(9, 4, 4, 3).to(dtype)
    images[5, 1, 2, 0] = images[7] = bad
    with pytest.raises(ValueError, match=r"Depth: frame 5 .* NaN or infinity"):
        all_frames(TensorSource(images, 25, label="Depth"), host)


def test_values_out_of_range_are_clamped(host):
    images = torch.tensor([-0.5, 0.25, 1.5]).reshape(1, 1, 1, 3)
    assert all_frames(TensorSource(images, 25), host).flatten().tolist() == [0, 0.25, 1]
    assert images.min() == -0.5


def test_cuts_are_found():
    other = torch.nn.functional.interpolate(
        torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0)), (96, 160), mode="bicubic"
    )
    scenes = torch.cat(
        [torch.from_numpy(moving(12, 160, 96)) / 255, other.movedim(1, -1).clamp(0, 1).expand(12, -1, -1, -1)]
    )
    assert TensorSource(scenes, 25).info.cuts == (12,)
    assert TensorSource(scenes, 25, cuts=False).info.cuts == ()


def test_small_batch_stays_in_memory(tmp_path):
    made = new_batch((2, 4, 4, 3), torch.float16, tmp_path)
    assert made.shape == (2, 4, 4, 3) and made.dtype == torch.float16
    assert not list(tmp_path.iterdir())


@pytest.fixture
def little_memory(monkeypatch, tmp_path):
    """Act as on a machine with 1 KiB of memory; scratch is on a disk."""
    if tensor_source.on_tmpfs(tmp_path):
        pytest.skip("temporary files lie in memory here")
    monkeypatch.delenv(tensor_source.SCRATCH_VARIABLE, raising=False)
    monkeypatch.setattr(tensor_source, "free_memory", lambda: 1024)
    return tmp_path


@pytest.mark.parametrize("fallocate", [True, False], ids=["fallocate", "zeros"])
def test_large_batch_is_a_temporary_file(little_memory, monkeypatch, fallocate):
    if not fallocate:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    made = new_batch((5, 64, 64, 3), torch.float32, little_memory / "scratch")
    made[:] = torch.arange(5)[:, None, None, None]
    assert made.is_contiguous() and made.mean((1, 2, 3)).tolist() == [0, 1, 2, 3, 4]
    if os.name == "posix":
        assert not list((little_memory / "scratch").iterdir())


def test_scratch_folder_is_configurable(little_memory, monkeypatch):
    monkeypatch.setenv(tensor_source.SCRATCH_VARIABLE, str(little_memory / "fast"))
    new_batch((5, 64, 64, 3), torch.float32, little_memory / "temp")
    assert (little_memory / "fast").is_dir() and not (little_memory / "temp").exists()


def test_too_small_disk_error_has_numbers(little_memory):
    with pytest.raises(OSError, match=r"takes [\d.]+ GiB.*memory.*free.*STEREOREEL_SCRATCH"):
        new_batch((10**6, 1080, 1920, 3), torch.float32, little_memory)
    assert not list(little_memory.iterdir())


def test_tmpfs_is_refused(little_memory):
    if not os.path.isdir("/dev/shm") or not tensor_source.on_tmpfs("/dev/shm"):
        pytest.skip("no tmpfs here")
    with pytest.raises(OSError, match="tmpfs"):
        new_batch((5, 64, 64, 3), torch.float32, "/dev/shm")


def test_failed_allocation_leaves_no_file(little_memory, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space"):
        new_batch((5, 64, 64, 3), torch.float32, little_memory)
    assert not list(little_memory.iterdir())
