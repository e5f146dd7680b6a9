"""Ctrl-C and SIGTERM at any moment: the right status, one line, no partial file, no source changed."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stereoreel.cli.interrupt import Cancelled, CtrlC
from tests.support.media_files import write_video

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = str(ROOT / "workflows" / "api" / "default.json")
ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143}
SOON = 20  # seconds that an end may take on a loaded machine; benchmarks/cancel.py measures what it takes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for one child")


@pytest.fixture(autouse=True)
def heard():
    """Enable the signals in children, even if the tests run as a script's background job."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "long.mp4"
    still = np.random.default_rng(0).integers(0, 255, (72, 96, 3), np.uint8)
    write_video(path, np.stack([np.roll(still, shift, 1) for shift in range(400)]), Fraction(25))
    return path


class Child:
    """The terminal's command in its own folder; standard error goes to a file."""

    def __init__(self, folder: Path, *words: str, python: tuple[str, ...] = (), ignoring: int | None = None):
        self.said = folder.parent / f"{folder.name}.said"
        command = [sys.executable, *python, "-m", "stereoreel", *map(str, words)]
        before = ignoring and signal.signal(ignoring, signal.SIG_IGN)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self.said.open("wb") as said:
            streams = {"stdout": subprocess.DEVNULL, "stderr": said}
            self.process = subprocess.Popen(command, cwd=folder, env=environment, **streams)
        if ignoring:
            signal.signal(ignoring, before)

    @property
    def text(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")

    def has_imported(self, module: str) -> bool:
        """Python reports each finished import if started with ``-X importtime``."""
        return any(line.rpartition("|")[2].strip() == module for line in self.text.splitlines())

    def until(self, reached) -> None:
        end = time.monotonic() + 120
        while not reached():
            assert self.process.poll() is None and time.monotonic() < end, self.text[-2000:]
            time.sleep(0.01)

    def ends(self, *numbers: int) -> str:
        """Send the signals in turn; return the output, after a check of the exit status.

        Python handles pending signals in numerical order, lowest first, so each status is right.
        """
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(0.01)
        assert self.process.wait(SOON) in {ENDS[number] for number in numbers}, self.text[-2000:]
        assert "Traceback" not in self.text and "Exception ignored" not in self.text, self.text[-2000:]
        return self.text


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def run_of(source: Path) -> tuple:
    return "run", DEFAULT, "--input", source, "--output", "out.mp4"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("package", ["torch._C", "torch.nn.modules", "torch"])
def test_signal_during_imports_ends_in_one_line(folder, number, package):
    child = Child(folder, "nodes", python=("-X", "importtime"))
    child.until(lambda: child.has_imported(package))
    last = [line for line in child.ends(number).splitlines() if "import time:" not in line]
    assert last == ["cancelled"]


PRESSES = [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT,) * 3, (signal.SIGTERM, signal.SIGINT)]


@pytest.mark.parametrize("numbers", PRESSES)
def test_run_leaves_no_file(folder, source, numbers):
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    child = Child(folder, *run_of(source))
    child.until(lambda: any(".part" in name for name in names(folder)))
    assert "cancelled" in child.ends(*numbers)
    assert names(folder) == [] and hashlib.sha256(source.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("number", ENDS)
def test_sized_file_leaves_no_folder(folder, source, number):
    child = Child(folder, *run_of(source), "--set", "encode.size_mb=1")
    child.until(lambda: any(".part" in name for name in names(folder)))
    child.ends(number)
    assert names(folder) == []


@pytest.mark.parametrize("number", ENDS)
def test_film_keeps_no_partial_unit(folder, source, number):
    child = Child(folder, "film", DEFAULT, "--input", source, "--output", "out.mp4")
    child.until(lambda: any(".part" in name for name in names(folder / "out.mp4.job")))
    child.ends(number)
    assert (folder / "out.mp4.job").is_dir() and not (folder / "out.mp4").exists()
    assert not any(".part" in name for name in names(folder))


REPORTS = [("orders", "stereoreel.analysis.order_lab.lab"), ("advise", "stereoreel.analysis.advisor.page")]


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("command, imported", REPORTS)
def test_reports_are_complete_or_absent(folder, source, command, imported, number):
    child = Child(folder, command, source, "--output", "found", python=("-X", "importtime"))
    child.until(lambda: child.has_imported(imported))
    assert "cancelled" in child.ends(number)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("number", ENDS)
def test_file_being_hashed_is_kept(folder, number):
    (folder / "huge").mkdir()
    with open(folder / "huge" / "RealESRGAN_x2plus.pth", "wb") as file:
        file.truncate(64 << 30)  # sparse; minutes of hashing
    child = Child(folder, "fetch", "realesrgan-x2plus", "--folder", "huge")
    child.until(lambda: (folder / "huge" / ".RealESRGAN_x2plus.pth.lock").exists())
    assert "cancelled" in child.ends(number)
    assert (folder / "huge" / "RealESRGAN_x2plus.pth").stat().st_size == 64 << 30


@pytest.mark.parametrize("number", [*ENDS, signal.SIGHUP] if hasattr(signal, "SIGHUP") else ENDS)
def test_ignored_signals_stay_ignored(folder, source, number):
    child = Child(folder, *run_of(source), "--set", "extract.duration=0.1", ignoring=number)
    child.until(lambda: any(".part" in name for name in names(folder)))
    child.process.send_signal(number)
    assert child.process.wait(120) == 0 and names(folder) == ["out.mp4"]


def test_second_signal_does_not_stop_clean_up():
    cleaned = []
    with pytest.raises(Cancelled) as ended, CtrlC():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            cleaned.append(True)
    assert cleaned and ended.value.status == 143


def test_second_signal_does_not_stop_a_closing_generator():
    cleaned = []

    def frames():
        try:
            yield
        finally:
            signal.raise_signal(signal.SIGINT)
            cleaned.append(True)

    with pytest.raises(Cancelled), CtrlC():
        made = frames()
        next(made)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            made.close()
    assert cleaned


def test_swallowed_signal_works_the_second_time():
    with CtrlC():
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(Cancelled):
            signal.raise_signal(signal.SIGINT)
