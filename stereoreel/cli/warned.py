"""Warnings of a command: each once, on a line of its own above the progress bar, and all again at the end."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tqdm import tqdm


class Warned(logging.Handler):
    """While entered, shows what the pack warns of, and collects it in ``lines``.

    ``of_film`` has only what concerns the current one of several films. With ``summary``, leaving prints the
    lines again, because a bar may have run for hours since.
    """

    def __init__(self, summary: bool):
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.of_film: list[str] = []
        self._summary = summary

    def emit(self, record: logging.LogRecord) -> None:
        self._add(record.getMessage())

    def __enter__(self) -> Warned:
        log = logging.getLogger(__package__.split(".")[0])
        with ExitStack() as undo:
            undo.enter_context(warnings.catch_warnings())
            warnings.showwarning = self._show
            log.addHandler(self)
            undo.callback(log.removeHandler, self)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._undo.close()
        if self._summary and self.lines:
            print(summary(self.lines), file=sys.stderr)

    def _show(self, message, category, filename, lineno, file=None, line=None) -> None:
        if category is UserWarning:
            self._add(str(message))
        else:  # of a library, for developers
            print_above(warnings.formatwarning(message, category, filename, lineno, line).rstrip())

    @contextmanager
    def of_one_film(self, lines: list[str]) -> Iterator[None]:
        """Add what is warned of to ``lines`` too; what was said of another film is shown again."""
        before, self.of_film = self.of_film, lines
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)  # otherwise once per line of code
                yield
        finally:
            self.of_film = before

    def _add(self, line: str) -> None:
        if line in self.of_film:
            return
        self.of_film.append(line)
        if line not in self.lines:
            self.lines.append(line)
        print_above(f"warning: {line}")


def print_above(line: str) -> None:
    """Print a line to standard error, above the progress bar if there is one."""
    tqdm.write(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


def summary(lines: list[str]) -> str:
    """Return how many warnings there were, and their lines."""
    if len(lines) == 1:
        return f"1 warning: {lines[0]}"
    return "\n  ".join([f"{len(lines)} warnings:", *lines])
