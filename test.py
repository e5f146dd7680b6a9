"""Run the tests in their own environment; arguments are passed to pytest.

python test.py                     all tests that do not need ComfyUI
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
            sys.exit("The path of ComfyUI is missing. Run make test-host COMFYUI=path.")
        os.environ["COMFYUI"] = arguments[1]
        arguments = ["-m", "host", *arguments[2:]]
    sys.exit(subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=_environment.ROOT))
