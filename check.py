"""Check what a change most often breaks, in about three minutes: format, lint, types and the fast tests.

python check.py            other arguments go to pytest
"""

import subprocess
import sys

import _environment

CHECKS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "fast tests": ["pytest", "-q", "-m", "fast"],
}


def failed(arguments: list[str]) -> list[str]:
    """Run every check, also after one that fails; return the names of those that fail."""
    found = []
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        more = [*_environment.workers(arguments), *arguments] if command[0] == "pytest" else []
        if subprocess.call([sys.executable, "-m", *command, *more], cwd=_environment.ROOT):
            found.append(name)
    return found


if __name__ == "__main__":
    _environment.enter("requirements-dev.txt")
    if names := failed(sys.argv[1:]):
        sys.exit(f"failed: {', '.join(names)}")
