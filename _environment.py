"""The Python environment of demo.py, check.py and test.py, created in the pack's folder if it is missing."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
FOLDER = ROOT / ".venv"
MOST_WORKERS = 4  # of pytest
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def enter(requirements: str) -> None:
    """Restart in ``.venv`` with these requirements and torch; an installed torch is reused."""
    if Path(sys.prefix).resolve() == FOLDER.resolve():
        return
    if sys.version_info < (3, 10):
        sys.exit(f"StereoReel needs Python 3.10 or newer, this is {sys.version.split()[0]}.")
    if not PYTHON.exists():
        _make()
    _install(ROOT / requirements)
    sys.exit(_ended([str(PYTHON), *sys.argv]))


def workers(arguments: list[str]) -> list[str]:
    """Return pytest-xdist's options: a process per core, unless the arguments choose otherwise."""
    if any(word.startswith(("-n", "--numprocesses", "--pdb")) for word in arguments):
        return []
    return ["-n", str(min(MOST_WORKERS, os.cpu_count() or 1)), "--dist", "worksteal"]


def _ended(command: list[str]) -> int:
    """Run a command and return its status; pass Ctrl-C and SIGTERM on and wait until it has cleaned up."""
    with subprocess.Popen(command) as child:

        def pass_on(number: int, frame) -> None:
            if os.name != "nt" and child.poll() is None:  # Windows sends Ctrl-C to both
                child.send_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, pass_on)
        return child.wait()


def _make() -> None:
    """Create the environment completely or not at all; it can import this Python's torch."""
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit("This Python cannot create environments. On Debian and Ubuntu, install python3-venv.")
    print("creating .venv ...", flush=True)
    complete = False
    try:
        venv.create(FOLDER, with_pip=True)
        if torch := importlib.util.find_spec("torch"):
            packages = sysconfig.get_path(
                "purelib", "nt" if os.name == "nt" else "posix_prefix", {"base": FOLDER, "platbase": FOLDER}
            )
            (Path(packages) / "torch_already_here.pth").write_text(str(Path(torch.origin).parents[1]) + "\n")
        complete = True
    finally:
        if not complete:
            shutil.rmtree(FOLDER, ignore_errors=True)


def _install(requirements: Path) -> None:
    text = "".join(file.read_text() for file in sorted(ROOT.glob("requirements*.txt")))
    stamp, mark = FOLDER / f".{requirements.stem}", hashlib.sha256(text.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == mark:
        return
    print(f"installing {requirements.name} (and torch, if it is missing) ...", flush=True)
    here = subprocess.run(
        [str(PYTHON), "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True
    )
    version = here.stdout.strip().partition("+")[0]  # package indexes do not have the build after the plus
    torch = f"torch=={version}" if version else "torch"  # torchvision must match the installed torch
    wanted = ["-r", str(requirements), torch]
    if subprocess.call(
        [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    ):
        sys.exit(
            "pip could not install the requirements; see its message above. "
            "To install offline, point PIP_FIND_LINKS at a directory of wheels."
        )
    stamp.write_text(mark)
