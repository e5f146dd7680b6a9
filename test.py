"""Run the tests in their own environment; other arguments are passed to pytest.

python test.py                     everything that needs no ComfyUI, in a process per core, at most 4
python test.py -n 0 tests/core     one folder in one process, for a debugger
python test.py --host PATH         the tests against the ComfyUI in PATH (COMFYUI_PYTHON names its Python)
"""

import os
import subprocess
import sys

import _environment

if __name__ == "__main__":
    _environment.enter("requirements-dev.txt")
    arguments = sys.argv[1:]
    if arguments[:1] == ["--host"]:
        if len(arguments) < 2 or not arguments[1]:
            sys.exit("COMFYUI is not set; run `make test-host COMFYUI=path`.")
        os.environ["COMFYUI"] = arguments[1]
        arguments = ["-n", "0", "-m", "host", *arguments[2:]]
    sys.exit(
        subprocess.call(
            [sys.executable, "-m", "pytest", *_environment.workers(arguments), *arguments],
            cwd=_environment.ROOT,
        )
    )
