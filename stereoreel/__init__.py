"""StereoReel's engine: ordinary video in, sharper, smoother, stereoscopic video out, in memory that does not grow with the film."""

import os

# Torch's threads spin while they wait for each other; beside a decoder and an encoder that costs up to twenty times the work.
# Read when torch is loaded, so it has no effect where torch is there already, as in ComfyUI.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str):
    """``live`` and the version, loaded when asked for."""
    if name == "live":
        from importlib import import_module

        return import_module(".live", __name__)
    if name == "__version__":
        from .core.places import version

        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
