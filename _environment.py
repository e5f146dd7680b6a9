"""A Python environment beside the pack, made when it is missing: what demo.py and test.py run in."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
FOLDER = ROOT / ".venv"
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def enter(requirements: str) -> None:
    """Go on in ``.venv`` with these requirements and torch installed; a torch that is here already is used."""
    if Path(sys.prefix).resolve() == FOLDER.resolve():
        return
    if sys.version_info < (3, 10):
        sys.exit(f"StereoReel needs Python 3.10 or newer, this is {sys.version.split()[0]}.")
    if not PYTHON.exists():
        print("making .venv ...", flush=True)
        venv.create(FOLDER, with_pip=True, system_site_packages=importlib.util.find_spec("torch") is not None)
    _install(ROOT / requirements)
    sys.exit(subprocess.call([str(PYTHON), *sys.argv]))


def _install(requirements: Path) -> None:
    text = "".join(file.read_text() for file in sorted(ROOT.glob("requirements*.txt")))
    stamp, mark = FOLDER / f".{requirements.stem}", hashlib.sha256(text.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == mark:
        return
    print(f"installing {requirements.name} (torch too, where it is missing) ...", flush=True)
    wanted = ["-r", str(requirements)]
    if subprocess.call([str(PYTHON), "-c", "import torch"], stderr=subprocess.DEVNULL):
        wanted.append("torch")
    if subprocess.call([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]):
        sys.exit("pip could not install what is needed; see its message above (PIP_FIND_LINKS names an offline wheel folder).")
    stamp.write_text(mark)
