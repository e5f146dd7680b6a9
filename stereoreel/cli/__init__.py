"""The command line: one module per command."""

import ctypes
import os
import sys

M_ARENA_MAX = -8  # of glibc's malloc.h
ARENAS = 2


def passive_waiting() -> None:
    """Make torch's threads sleep while they wait for each other; call it before torch is imported.

    Otherwise they spin, which next to a decoder and an encoder costs up to twenty times the work.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share_heaps() -> None:
    """Let glibc's threads share the memory that they have freed; call it before threads start.

    Otherwise each keeps its own, up to a hundred megabytes for a stage. ``MALLOC_ARENA_MAX`` overrides it.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt:
            mallopt(M_ARENA_MAX, ARENAS)
