"""Live: a stage kept alive between calls, fed frame by frame or in bursts while a generator is running."""

from .registry import Sessions
from .session import MODES, Session
from .upscaler import PostProcessor, Upscaler

__all__ = ["MODES", "PostProcessor", "Session", "Sessions", "Upscaler"]
