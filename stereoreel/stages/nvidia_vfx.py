"""NVIDIA's RTX video effects, through the proprietary package nvidia-vfx.

The user installs it; StereoReel never does. It is imported when used.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from enum import Enum
from types import ModuleType

import torch
from torch import Tensor

from ..models.machine import INSTALL

# a frame whose maximum is at most BLACK is black; that is wrong if the maximum of its source is at least LIT
BLACK, LIT = 2 / 255, 32 / 255


class BrokenResult(RuntimeError):
    """An effect returned an image that is black, or not finite, without reporting an error."""


def effects() -> ModuleType:
    """Return the package; raise RuntimeError if it is not installed or does not load."""
    try:
        import nvvfx
    except ImportError as error:
        raise RuntimeError(
            f"NVIDIA's effects need the package nvidia-vfx ({error}). "
            f"To use them, {INSTALL.format('nvidia-vfx')}."
        ) from None
    except OSError as error:  # one of its libraries
        raise RuntimeError(
            f"nvidia-vfx cannot load its libraries ({error}). Update NVIDIA's driver, or "
            "choose another model."
        ) from None
    return nvvfx


def level(of: type[Enum], name: str) -> Enum:
    """Return a member of one of the package's enums; raise RuntimeError if the package is too old."""
    try:
        return of[name]
    except KeyError:
        raise RuntimeError(
            f"This nvidia-vfx has no {name}. Install a newer one ({INSTALL.format('-U nvidia-vfx')})."
        ) from None


class Effect:
    """One effect on one device, closed when the object is freed.

    Results are copied, because the effect writes everything into the same buffer. ``begin`` creates the
    package's effect, given a device index; ``sizes`` are its properties that set the image sizes.
    """

    def __init__(self, name: str, device: torch.device, begin: Callable, **sizes: int):
        self.name, self.device, self.proven = name, device, False
        try:
            with self._here():
                self.effect = begin(device=index(device))
                for size, pixels in sizes.items():
                    setattr(self.effect, size, pixels)
                self.effect.load()
        except (RuntimeError, ValueError, OSError) as error:
            said = str(error).strip().split("\n")[0]
            raise RuntimeError(
                f"{name} does not start on this machine ({said}). Update NVIDIA's driver and nvidia-vfx, or "
                "choose another model."
            ) from error
        weakref.finalize(self, self.effect.close).atexit = False

    def run(self, method: str, *given: Tensor | float) -> Tensor:
        """Run the effect on images ``[3, H, W]``, float32, 0..1; raise BrokenResult if that fails."""
        with self._here():
            stream = torch.cuda.current_stream(self.device).cuda_stream if self.device.type == "cuda" else 0
            result = torch.from_dlpack(getattr(self.effect, method)(*given, stream_ptr=stream).image).clone()
        if not bool(result.isfinite().all()):
            raise BrokenResult(
                f"{self.name} returned NaN or infinity. Update NVIDIA's driver and nvidia-vfx, or choose "
                "another model."
            )
        if not self.proven and all(bool(one.amax() >= LIT) for one in given if isinstance(one, Tensor)):
            if bool(result.amax() <= BLACK):
                raise BrokenResult(
                    f"{self.name} returned a black frame; some drivers fail silently this way. Update "
                    "NVIDIA's driver and nvidia-vfx, run on another GPU, or choose another model."
                )
            self.proven = True
        return result

    def _here(self):
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()


def index(device: torch.device) -> int:
    """Return the package's index of a device."""
    if device.type != "cuda":
        return 0
    return torch.cuda.current_device() if device.index is None else device.index


def planes(frame: Tensor, device: torch.device) -> Tensor:
    """Return the colours of a frame ``[H, W, C]`` as the effects take them: ``[3, H, W]``, float32."""
    return frame[..., :3].to(device, torch.float32).movedim(-1, 0).contiguous()
