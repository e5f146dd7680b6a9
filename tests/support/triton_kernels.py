"""Triton's kernels without a GPU: run by its interpreter, and compiled for GPUs that are not here."""

import importlib
import sys
from importlib.util import find_spec, module_from_spec

import pytest


def interpreted(monkeypatch, name):
    """Replace a module of kernels, until the test ends, by one that Triton interprets on the CPU."""
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    spec = find_spec(name)
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)


def compiled(name, kernel, constants, warps=4, generation=89, **types):
    """Return the machine code of a kernel for a generation of NVIDIA's GPUs; ``types`` are Triton's."""
    pytest.importorskip("triton")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(importlib.import_module(name), kernel)
    signature = {**types, **dict.fromkeys(constants, "constexpr")}
    ordered = {one: signature[one] for one in function.arg_names}
    made = triton.compile(
        ASTSource(function, ordered, constants),
        target=GPUTarget("cuda", generation, 32),
        options={"num_warps": warps},
    )
    return made.asm["cubin"]
