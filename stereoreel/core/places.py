"""Location of the pack's own data: next to the package in a checkout, inside it when installed."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent


def data(name: str) -> Path:
    """Return a folder of the pack, such as ``models_config`` or ``workflows``."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else CHECKOUT / name


def read_yaml(path: Path) -> Any:
    """Return the content of a data file, by libyaml where PyYAML has it, which is eight times as fast."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), loader)


def version() -> str:
    """Return the pack's version, which pyproject.toml declares."""
    project = CHECKOUT / "pyproject.toml"
    declared = re.search(
        r'^name = "stereoreel"\nversion = "(.+)"',
        project.read_text(encoding="utf-8") if project.is_file() else "",
        re.M,
    )
    return declared[1] if declared else importlib.metadata.version("stereoreel")
