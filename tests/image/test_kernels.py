"""Kernels that do not work: PyTorch's operations run instead, and the log says why, once."""

import json
import subprocess
import sys

import pytest
import torch

from stereoreel.core import cancel
from stereoreel.image.fused import Kernels

GPU = torch.device("cuda", 7)
INSTEAD = "Warp runs in PyTorch's operations, which are slower, because"


def failing(error):
    def fail(*given):
        raise error

    return fail


def out_of_resources():
    errors = pytest.importorskip("triton.runtime.errors")
    return errors.OutOfResources(300_000, 232_448, "shared memory")


def not_compiled():
    errors = pytest.importorskip("triton.compiler.errors")
    return errors.CompilationError("a = b", None, "b is not defined")


FAILURES = {
    "no compiler": lambda: RuntimeError("Failed to find C compiler.\nSet CC."),
    "gcc fails": lambda: subprocess.CalledProcessError(1, ["gcc", "main.c"]),
    "too little shared memory": out_of_resources,
    "not compiled": not_compiled,
    "not for this GPU": lambda: ValueError("type fp8e4nv not supported in this architecture"),
    "another version": lambda: AttributeError("module 'triton.language' has no attribute 'static_range'"),
    "an assertion without words": AssertionError,
    "a broken cache": lambda: json.JSONDecodeError("Expecting value", "", 0),
    "from C++": lambda: IndexError("map::at"),
    "no disk": lambda: OSError(28, "No space left on device"),
}


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
def test_a_trial_that_fails_is_explained_once(caplog, error):
    error = error()
    kernels = Kernels("Warp", failing(error))
    with caplog.at_level("INFO", "stereoreel.image.fused"):
        for case in (torch.float16, torch.float32, torch.float16):
            assert kernels.run(GPU, (case,), failing(SystemExit), lambda: "operations") == "operations"
    [said] = caplog.messages
    first = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
    assert said == f"{INSTEAD} Triton's kernel failed ({first})."


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
def test_a_kernel_that_fails_after_its_trial_is_not_called_again(caplog, error):
    """Kernels are compiled for every size, so a large frame may fail where the trial did not."""
    called = []

    def fail():
        called.append(1)
        raise error()

    kernels = Kernels("Warp", lambda device: True)
    with caplog.at_level("INFO", "stereoreel.image.fused"):
        for _ in range(2):
            assert kernels.run(GPU, (), fail, lambda: "operations") == "operations"
    assert len(called) == 1 and len(caplog.messages) == 1
    assert caplog.messages[0].startswith(INSTEAD)


def test_other_values_are_not_used(caplog):
    kernels = Kernels("Warp", lambda device, good: good)
    with caplog.at_level("INFO", "stereoreel.image.fused"):
        made = [kernels.run(GPU, (good,), lambda: 1, lambda: 2) for good in (True, False, True)]
    assert made == [1, 2, 1]
    assert caplog.messages == [f"{INSTEAD} Triton's kernel gave other values."]


@pytest.mark.parametrize("missing", ["triton", "triton.errors"])
def test_triton_may_be_missing_or_old(monkeypatch, caplog, missing):
    monkeypatch.delitem(sys.modules, "triton.errors", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with caplog.at_level("INFO", "stereoreel.image.fused"):
        assert not Kernels("Warp", lambda device: True).work(GPU)
    assert caplog.messages == [f"{INSTEAD} Triton 3 is not installed."]


@pytest.mark.parametrize("error", [cancel.Stopped, torch.OutOfMemoryError, KeyboardInterrupt])
def test_what_is_no_failure_passes_through(error):
    kernels = Kernels("Warp", lambda device: True)
    with pytest.raises(error):
        kernels.run(GPU, (), failing(error("stop")), lambda: None)
    assert kernels.run(GPU, (), lambda: 1, lambda: 2) == 1
    with pytest.raises(error):
        Kernels("Warp", failing(error("stop"))).work(GPU)


def test_kernels_are_switched_off(monkeypatch):
    monkeypatch.setenv("STEREOREEL_TRITON", "0")
    assert not Kernels("Warp", lambda device: True).work(GPU)
