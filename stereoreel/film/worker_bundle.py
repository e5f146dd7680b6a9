"""Prepare what a head sends to its workers: the workflow with resolved models, and the code."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..core.clip import Clip
from ..core.places import CHECKOUT, PACKAGE, data
from ..models.catalog import KINDS
from ..models.headless import Headless
from ..models.lazy_stage import plans
from ..workflow.graph import Graph
from ..workflow.node_specs import BY_ID


def pinned(graph: Graph, clips: Sequence[Clip], host: Headless) -> Graph:
    """Return the workflow with ``auto`` replaced by the model that it selects on this machine."""
    chosen = {plan.label: plan.choose(host)[0].name for plan in plans(*clips)}
    result = {}
    for node_id, node in graph.items():
        declared = BY_ID[node["class_type"]]
        name = chosen.get(f"{declared.name} (node {node_id})") if declared.kind in KINDS else None
        result[node_id] = {**node, "inputs": {**node["inputs"], **({"model": name} if name else {})}}
    return result


def packed(folder: Path) -> Path:
    """Copy what a worker needs: the engine, the model descriptions, and pyproject.toml if it exists."""
    for source, name in ((PACKAGE, "stereoreel"), (data("models_config"), "models_config")):
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    if (CHECKOUT / "pyproject.toml").is_file():
        shutil.copy(CHECKOUT / "pyproject.toml", folder)
    return folder
