"""Who hears of a clip being written, or of a film being made."""

from __future__ import annotations

import logging
from collections.abc import Callable

from torch import Tensor

log = logging.getLogger(__name__)


class Observer:
    """Logs what a user should read and ignores the rest; a subclass overrides the methods it needs.

    Methods run on the thread of the pull, and may raise to end it.
    """

    def say(self, line: str) -> None:
        """Receive a sentence for the user."""
        log.info(line)

    def chunk(self, chunks: tuple[Tensor, ...]) -> None:
        """Receive the chunks of the clip, its depth and other clips of the pull, before they are encoded."""

    def skipped(self, frames: int) -> None:
        """Receive the number of a film's frames that an earlier run has finished."""

    def unit_done(self, figures: Callable[[], dict]) -> None:
        """Hear that a unit of a film is finished; ``figures()`` are those of ``film.progress.Progress``."""
