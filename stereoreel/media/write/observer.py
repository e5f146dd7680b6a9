"""Callbacks for the progress of writing a clip or a film."""

from __future__ import annotations

import logging
from collections.abc import Callable

from torch import Tensor

log = logging.getLogger(__name__)


class Observer:
    """Log messages for the user and ignore the rest; subclasses override the methods they need.

    Methods run on the pull's thread and may raise to end the pull.
    """

    def found(self, label: str, text: str) -> None:
        """Take a sentence about what a stage found by looking ahead."""
        self.say(f"{label}: {text}.")

    def say(self, line: str) -> None:
        """Receive a message for the user."""
        log.info(line)

    def chunk(self, frames: int, shown: Callable[[], tuple[Tensor, ...]]) -> None:
        """Receive the number of frames that will be encoded next.

        ``shown()`` returns their chunks: of the clip, its depth and other clips of the pull.
        """

    def skipped(self, frames: int) -> None:
        """Receive the number of frames of a film that an earlier run has finished."""

    def unit_done(self, figures: Callable[[], dict]) -> None:
        """Receive the event of a finished unit; ``figures()`` is that of ``film.progress.Progress``."""
