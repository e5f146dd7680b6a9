"""Progress bars on standard error: frames of a run, bytes of a transfer, units of a film."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from ..core.meter import Meter
from ..media.write.observer import Observer
from .interrupt import CtrlC
from .warned import print_above


class SayingMeter(Meter):
    """Prints what stages say."""

    def say(self, label: str, text: str) -> None:
        print_above(f"{label}: {text}.")


class FrameBar:
    """Frames, rate and time left, and with a ``meter`` the stage that is running.

    Without a ``total`` each tick provides its own. ``label`` says what they belong to.
    """

    def __init__(self, ctrl_c: CtrlC, total: int | None = None, *, meter: Meter | None = None,
                 silent: bool = False, label: str = ""):  # fmt: skip
        self._bar = tqdm(desc=label or None, total=total, unit="frame", dynamic_ncols=True, disable=silent)
        self._ctrl_c, self._total, self._meter = ctrl_c, total, meter

    def tick(self, done: int, total: int) -> None:
        """Update the bar, as a host's tick; raise after Ctrl-C."""
        self._ctrl_c.check()
        if not total:
            return
        if self._total is None:
            self._bar.total = total
        if self._meter:
            self._bar.set_postfix_str(self._meter.now, refresh=False)
        self._bar.update(done - self._bar.n)

    def restart(self) -> None:
        """Count from zero, for the next part of the work."""
        self._bar.reset()

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()


class ByteBar:
    """Bytes, rate and time left of a transfer; nothing is shown before the first byte."""

    def __init__(self, file: str):
        self._file = file
        self._bar: tqdm | None = None

    def tick(self, done: int, total: int) -> None:
        """Update the bar, as a download's tick; ``total`` is 0 if it is unknown."""
        if self._bar is None and done:
            self._bar = tqdm(
                desc=self._file, total=total or None, initial=done, unit="B", unit_scale=True,
                dynamic_ncols=True, file=sys.stderr,
            )  # fmt: skip
        if self._bar is not None:
            self._bar.n = done
            self._bar.refresh() if done == total else self._bar.update(0)

    def __enter__(self) -> ByteBar:
        return self

    def __exit__(self, *error) -> None:
        if self._bar is not None:
            self._bar.close()


class FilmBar(FrameBar, Observer):
    """Progress of a film's frames.

    ``as_json`` prints a line of figures, with the film's ``warnings`` so far, after each unit instead,
    ``metrics`` writes them. The frames of ``remote`` units, which other machines compute, are counted when
    the unit arrives.
    """

    def __init__(self, ctrl_c: CtrlC, total: int, *, as_json: bool = False, remote: bool = False,
                 metrics: Metrics | None = None, warnings: Sequence[str] = (), label: str = ""):  # fmt: skip
        super().__init__(ctrl_c, total, silent=as_json, label=label)
        self._as_json, self._remote, self._metrics, self._warnings = as_json, remote, metrics, warnings

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        print_above(line)

    def unit_done(self, figures: Callable[[], dict]) -> None:
        """Report the figures in the requested forms."""
        from ..film.progress import as_json

        now = figures()
        if self._remote:
            self.tick(now["frames"], now["frames_total"])
        if self._as_json:
            print(as_json({**now, "warnings": list(self._warnings)}), flush=True)
        if self._metrics and (fault := self._metrics.write(now)):
            self._metrics = None
            self.say(f"Metrics are no longer written: {fault}")


class Metrics:
    """A text file for Prometheus, rewritten after each unit; replaces nothing else without ``overwrite``."""

    def __init__(self, path: Path, overwrite: bool):
        self._path, self._overwrite = path, overwrite

    def write(self, figures: dict) -> OSError | None:
        """Write the figures; return the error if that fails, because the film continues without them."""
        from ..film.progress import free_for_metrics, write_prometheus

        try:
            if not self._overwrite and not free_for_metrics(self._path):
                raise FileExistsError(
                    f"{self._path} is no longer a metrics file of StereoReel. Choose another --metrics."
                )
            write_prometheus(self._path, figures)
        except OSError as error:
            return error
        return None
