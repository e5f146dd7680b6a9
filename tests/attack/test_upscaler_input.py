"""Input of Upscaler.push: arrays, tensors and lists of frames work; errors name anything else."""

import numpy as np
import pytest
import torch

from stereoreel.live import PostProcessor, Upscaler

FRAMES = np.random.default_rng(0).random((2, 8, 12, 3), np.float32)
BYTES = (FRAMES * 255).round().astype(np.uint8)
NAN = np.where(FRAMES.max() == FRAMES, np.nan, FRAMES)


@pytest.fixture
def upscaler():
    with Upscaler("builtin", device="cpu", cuts="none") as made:
        yield made


TAKEN = {
    "array": FRAMES,
    "list of tensors": list(torch.from_numpy(FRAMES)),
    "list of arrays": list(FRAMES),
    "tuple": tuple(FRAMES),
    "list of batches": [FRAMES[:1], FRAMES[1:]],
    "mixed batches": [FRAMES[0], torch.from_numpy(FRAMES[1:])],
    "float64": FRAMES.astype(np.float64),
    "other byte order": FRAMES.astype(">f4"),
    "negative strides": FRAMES[::-1][::-1],
    "not contiguous": np.asfortranarray(FRAMES),
    "with gradients": torch.tensor(FRAMES, requires_grad=True),
}


@pytest.mark.parametrize("what", TAKEN)
def test_all_frame_types_equal_a_tensor(what, upscaler):
    wanted = upscaler.push(torch.from_numpy(FRAMES))
    made = upscaler.push(TAKEN[what])
    assert isinstance(made, torch.Tensor) and torch.equal(made, wanted) and not made.requires_grad


def test_uint8_is_0_to_255_and_arrays_are_unchanged(upscaler):
    before = BYTES.copy()
    assert torch.equal(upscaler.push(BYTES), upscaler.push(torch.from_numpy(BYTES).float() / 255))
    assert torch.equal(upscaler.push([BYTES[0], BYTES[1]]), upscaler.push(BYTES)) and np.array_equal(
        BYTES, before
    )


REFUSED = {
    "None": (None, TypeError, "not None"),
    "text": ("x", TypeError, "not str"),
    "number": (3, TypeError, "not int"),
    "dict": ({}, TypeError, "not dict"),
    "iterator": (iter([FRAMES[0]]), TypeError, "not list_iterator"),
    "no frames": ([], ValueError, "the list of frames is empty"),
    "list of None": ([None], TypeError, "not None"),
    "list of lists": ([[1.0]], TypeError, "not list"),
    "int64 array": (BYTES.astype(np.int64), TypeError, "array of int64"),
    "bool tensor": (torch.ones(1, 8, 8, 3) > 0, TypeError, "torch.bool"),
    "int32 tensor": (torch.ones(1, 8, 8, 3, dtype=torch.int32), TypeError, "torch.int32"),
    "objects": (FRAMES.astype(object), TypeError, "object"),
    "complex": (FRAMES.astype(complex), TypeError, "complex128"),
    "sparse": (torch.rand(1, 8, 8, 3).to_sparse(), TypeError, "sparse"),
    "meta": (torch.rand(1, 8, 8, 3, device="meta"), TypeError, "meta"),
    "one frame": (FRAMES[0], ValueError, r"not \[8, 12, 3\]"),
    "two channels": (FRAMES[..., :2], ValueError, r"not \[2, 8, 12, 2\]"),
    "no rows": (FRAMES[:, :0], ValueError, r"not \[2, 0, 12, 3\]"),
    "no axis": (np.array(1.0), ValueError, r"not \[\]"),
    "three views": (np.zeros((3, 2, 8, 8, 3)), ValueError, r"not \[3, 2"),
    "NaN": (NAN, ValueError, "NaN"),
    "infinity": (FRAMES * np.inf, ValueError, "NaN or infinity"),
    "two sizes": ([FRAMES[0], FRAMES[1, :4]], ValueError, "of one form"),
    "two dtypes": ([FRAMES[0], BYTES[1]], ValueError, "of one form"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_input_is_refused_and_the_next_push_works(what, upscaler):
    frames, kind, said = REFUSED[what]
    with pytest.raises(kind, match=said) as caught:
        upscaler.push(frames)
    assert str(caught.value).startswith("upscale: ") and "\n" not in str(caught.value)
    assert upscaler.push(FRAMES).shape == (2, 16, 24, 3)


def test_empty_push(upscaler):
    assert upscaler.push(FRAMES[:0]).shape == (0, 16, 24, 3)


def test_post_processor_accepts_the_same():
    processor = PostProcessor("cpu", model="builtin")
    assert processor(list(FRAMES))["video"].shape == (2, 16, 24, 3)
    with pytest.raises(TypeError, match="not None"):
        processor(None)
    processor.cleanup()
