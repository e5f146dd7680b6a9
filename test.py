"""Run the tests in their own environment; other arguments are passed to pytest.

python test.py                     everything that needs no ComfyUI, in a process per core, at most 4
python test.py -n 0 tests/core     one folder in one process, for a debugger
python test.py --host PATH:PATH    the tests against a ComfyUI, or against several, the newest first

COMFYUI_PYTHON names ComfyUI's Python, COMFYUI_FRONTEND a folder with another frontend than that Python has.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import _environment


def main(arguments: list[str]) -> int:
    """Run pytest once, or once per ComfyUI, and return its status."""
    if arguments[:1] != ["--host"]:
        return _pytest([*_environment.workers(arguments), *arguments])
    folders, options = list(filter(None, "".join(arguments[1:2]).split(os.pathsep))), arguments[2:]
    if not folders:
        sys.exit("COMFYUI is not set; run `make test-host COMFYUI=path`.")
    if wrong := next((folder for folder in folders if not (Path(folder) / "main.py").is_file()), None):
        sys.exit(f"{wrong} holds no ComfyUI; run `make test-host COMFYUI=path`.")
    results = []
    for folder in sorted(folders, key=_version, reverse=True):
        os.environ["COMFYUI"] = folder
        status = _pytest(["-n", "0", "-m", "host", *options])
        results.append((f"ComfyUI {'.'.join(map(str, _version(folder)))}", status))
    for host, status in results:
        print(f"{host}: {'passed' if status == 0 else f'failed (pytest ended with {status})'}")
    return max(status for _, status in results)


def _version(folder: str) -> tuple[int, ...]:
    """Return the version of a ComfyUI, from its own file."""
    try:
        text = (Path(folder) / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return (0,)
    return tuple(map(int, re.findall(r"\d+", text.partition("=")[2])))


def _pytest(arguments: list[str]) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=_environment.ROOT)


if __name__ == "__main__":
    _environment.enter("requirements-dev.txt")
    sys.exit(main(sys.argv[1:]))
