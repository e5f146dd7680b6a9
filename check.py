"""Check what a change most often breaks, in about three minutes: format, lint, types and the fast tests."""

import subprocess
import sys

import _environment

FAST = [  # the laws hold for every stage; the other rooms take longer
    "tests/test_architecture.py",
    "tests/test_laws.py",
    "tests/test_schema.py",
    "tests/core",
    "tests/image",
    "tests/live",
    "tests/media",
    "tests/models",
    "tests/nets",
    "tests/stages/interpolate",
    "tests/stages/upscale",
    "tests/viewing",
]
CHECKS = {
    "format": ["ruff", "format", "--no-cache", "--check", "."],
    "lint": ["ruff", "check", "--no-cache", "."],
    "types": ["mypy"],
    "fast tests": ["pytest", "-q", "-m", "not zoo", *_environment.workers([]), *FAST],
}


def failed() -> list[str]:
    """Run every check, even if one fails; return the names of those that fail."""
    found = []
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        if subprocess.call([sys.executable, "-m", *command], cwd=_environment.ROOT):
            found.append(name)
    return found


if __name__ == "__main__":
    _environment.enter("requirements-dev.txt")
    if names := failed():
        sys.exit(f"failed: {', '.join(names)}")
