"""Kernels that Triton compiles in place of chains of PyTorch's operations, and the way back from them.

Kernels run on an NVIDIA GPU if Triton is installed and a small trial gives the values of PyTorch's
operations. If not, or if a kernel fails later, these run, and the log says why in one sentence.
STEREOREEL_TRITON=0 turns kernels off.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import subprocess
import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Result = TypeVar("Result")
# what Triton raises besides its own errors, and what the compilers and the driver that it calls do; not
# Exception, of which ComfyUI's cancel is one
FAILURES = (
    AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError, TypeError,
    ValueError, subprocess.SubprocessError,
)  # fmt: skip

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


class Kernels:
    """Kernels for one purpose, of which a trial or a call may turn out that they do not work.

    ``trial`` gets a device and what kernels are compiled for, such as a dtype, and returns whether their
    values there are right.
    """

    def __init__(self, purpose: str, trial: Callable[..., bool]):
        self._purpose, self._trial = purpose, trial
        self._works: dict[tuple, bool] = {}
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def run(
        self,
        device: torch.device,
        case: tuple[Hashable, ...],
        kernels: Callable[[], Result],
        operations: Callable[[], Result],
    ) -> Result:
        """Return what ``kernels`` make on a device, or if they do not work there, what ``operations`` do.

        ``case`` is given to the trial. Kernels that fail must leave what the operations read.
        """
        if self.work(device, *case):
            try:
                return kernels()
            except torch.OutOfMemoryError:
                raise
            except _failures() as error:
                self._refuse(device, case, error)
        return operations()

    def work(self, device: torch.device, *case: Hashable) -> bool:
        """Whether kernels work on a device in a case, by a trial when this is first asked."""
        if device.type != "cuda" or torch.version.hip or os.environ.get("STEREOREEL_TRITON") == "0":
            return False
        with self._lock:
            if (device, case) not in self._works:
                self._try(device, case)
            return self._works[device, case]

    def _try(self, device: torch.device, case: tuple) -> None:
        try:
            importlib.import_module("triton.errors")  # which came with version 3
            right = self._trial(device, *case)
        except torch.OutOfMemoryError:
            raise
        # such as a missing C compiler, or a GPU that Triton does not support
        except _failures() as error:
            self._refuse(device, case, error)
        else:
            self._works[device, case] = right
            if not right:
                self._say("Triton's kernel gave other values")

    def _refuse(self, device: torch.device, case: tuple, error: Exception) -> None:
        self._works[device, case] = False
        if isinstance(error, ModuleNotFoundError) and error.name in ("triton", "triton.errors"):
            self._say("Triton 3 is not installed")
        else:
            first = str(error).strip().splitlines()[:1]
            self._say(f"Triton's kernel failed ({(first or [type(error).__name__])[0].rstrip('.')})")

    def _say(self, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            log.info("%s runs in PyTorch's operations, which are slower, because %s.", self._purpose, reason)


def _failures() -> tuple[type[Exception], ...]:
    try:
        from triton.errors import TritonError
    except FAILURES:
        return FAILURES
    return (*FAILURES, TritonError)
