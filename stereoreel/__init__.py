"""StereoReel's engine: ordinary video in; sharper, smoother, stereoscopic video out, at any length.

The names in ``__all__`` are the Python front (docs/python.md). Each is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import live
    from .front import (
        Clip,
        Headless,
        apply,
        depth,
        frames,
        from_tensor,
        interpolate,
        open,
        shot_switch,
        stereo,
        upscale,
        vsr,
        write,
    )

    __version__: str

__all__ = [
    "Clip", "Headless", "__version__", "apply", "depth", "frames", "from_tensor", "interpolate", "live",
    "open", "shot_switch", "stereo", "upscale", "vsr", "write",
]  # fmt: skip


def __getattr__(name: str):
    if name == "live":
        return import_module(".live", __name__)
    if name == "__version__":
        return import_module(".core.places", __name__).version()
    if name in __all__:
        return getattr(import_module(".front", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
