"""Loops compiled by numba, which is optional: whether it is there, and how a function is compiled."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any


def enabled() -> bool:
    """Whether numba is installed, works, and is not switched off by STEREOREEL_NUMBA=0."""
    return os.environ.get("STEREOREEL_NUMBA") != "0" and _works()


@lru_cache(1)
def _works() -> bool:
    try:
        import numba
    # not installed, for another numpy, or without a library that it needs
    except (ImportError, OSError):
        return False
    return not getattr(numba.config, "DISABLE_JIT", False)


def compiled(function: Any, signature: str, **options: Any) -> Any:
    """Return a function compiled for one signature, from numba's cache on disk if there is one.

    It holds no lock while it runs.
    """
    from numba import njit

    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return njit(signature, cache=True, **options)(function)
    # no writable directory for the cache, or the cache cannot be read
    except (RuntimeError, OSError, ImportError):
        return njit(signature, **options)(function)
