"""Kernels that Triton compiles in place of chains of PyTorch's operations, and the way back from them.

A kernel runs on an NVIDIA GPU if Triton is installed and a small trial gives the values of PyTorch's
operations; otherwise these run, and the log says why in one sentence. STEREOREEL_TRITON=0 turns kernels off.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# of this copy of the pack: a second one, under another name, has operations of its own
NAMESPACE = re.sub(r"\W", "_", __name__)
LIBRARY = torch.library.Library(NAMESPACE, "FRAGMENT")


def operation(schema: str) -> Callable[[Callable], Callable]:
    """Make a function that launches kernels an operation of PyTorch, which the arguments it writes to mark.

    It returns nothing. On a CPU only Triton's interpreter runs it; tensors without values stay as they are.
    """

    def register(launch: Callable) -> Callable:
        name = schema.partition("(")[0]
        LIBRARY.define(f"{schema} -> ()")
        for kind in ("CUDA", "CPU"):
            LIBRARY.impl(name, launch, kind)
        LIBRARY.impl(name, _nothing, "Meta")
        return getattr(getattr(torch.ops, NAMESPACE), name)

    return register


def device_of(tensor: Tensor) -> AbstractContextManager:
    """Return a context in which kernels are launched on the GPU of a tensor."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def _nothing(*arguments, **options) -> None:
    pass


def runs(what: str, device: torch.device, trial: Callable[[torch.device], bool]) -> bool:
    """Whether kernels run on a device; ``trial`` returns whether their values there are right."""
    if device.type != "cuda" or torch.version.hip or os.environ.get("STEREOREEL_TRITON") == "0":
        return False
    return _tried(what, torch.device(device.type, device.index or 0), trial)


@lru_cache(64)
def _tried(what: str, device: torch.device, trial: Callable[[torch.device], bool]) -> bool:
    if importlib.util.find_spec("triton") is None:
        reason = "Triton is not installed"
    elif reason := _failure(device, trial):
        pass
    else:
        return True
    log.info("%s runs in PyTorch's operations, which are slower, because %s.", what, reason)
    return False


def _failure(device: torch.device, trial: Callable[[torch.device], bool]) -> str:
    """Return why kernels cannot be used, or nothing."""
    from triton.runtime.errors import TritonError

    try:
        return "" if trial(device) else "Triton's kernel gave other values"
    except torch.OutOfMemoryError:
        raise
    # such as a missing C compiler, or a GPU that Triton does not support
    except (TritonError, RuntimeError, OSError, ImportError, subprocess.CalledProcessError) as error:
        first = str(error).strip().splitlines()[:1]
        return f"Triton's kernel failed ({(first or [type(error).__name__])[0].rstrip('.')})"
