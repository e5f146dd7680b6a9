"""The bundled workflows: their API files by name, and what their canvas files hold."""

import json
from pathlib import Path

from stereoreel.workflow.templates import canvas_file

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
API = {file.stem: file for file in sorted((WORKFLOWS / "api").glob("*.json"))}


def graph(name: str) -> dict:
    """Return the prompt of a bundled workflow."""
    return json.loads(API[name].read_text(encoding="utf-8"))


def shown(name: str) -> dict:
    """Return what the canvas opens for a bundled workflow."""
    return json.loads((WORKFLOWS / canvas_file(name)).read_text(encoding="utf-8"))
