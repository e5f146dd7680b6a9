"""Where the pack's own data is: next to the package in a checkout, inside it when it is installed."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent


def data(name: str) -> Path:
    """A folder of the pack, such as ``models_config`` or ``workflows``."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else CHECKOUT / name
