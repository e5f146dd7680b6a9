"""The import direction of the design, read from the source: the engine never knows ComfyUI, and nothing heavy loads at start."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMFY = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "server", "execution"}
KINDS = {"upscale", "vsr", "interpolate", "depth", "stereo"}
HEAVY = {"cv2", "transformers", "spandrel", "ray", "torchvision", "scipy", "PIL"}


def imports(file: Path):
    """(level, dotted name) of every import in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, ".".join(filter(None, (node.module, alias.name)))) for alias in node.names)


ENGINE = sorted((ROOT / "stereoreel").rglob("*.py"))
PACK = [*ENGINE, *sorted((ROOT / "nodes").glob("*.py")), ROOT / "__init__.py"]


@pytest.mark.parametrize("file", PACK, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file):
    place = file.relative_to(ROOT).parts
    for level, name in imports(file):
        top = name.split(".")[0]
        if place[:2] != ("nodes", "_comfy.py"):
            assert not (level == 0 and top in COMFY), f"only nodes/_comfy.py may import {name}"
        if place[0] != "stereoreel":
            continue
        assert level < len(place), f"{'.' * level}{name} climbs out of the engine"
        assert not (level == 0 and top in ("nodes", "stereoreel")), f"the engine imports itself relatively, not {name}"
        if place[1] == "nets":
            assert level <= 1, "a network imports torch, its neighbours, and nothing else of ours"
        if place[1] in KINDS and level == 2:
            assert top not in KINDS, f"kind {place[1]} imports kind {top}"


@pytest.mark.parametrize("file", PACK, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_eats_a_cancel(file):
    """ComfyUI's cancel derives from Exception: a broad except would swallow it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            names = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
            assert node.type is not None and not any(getattr(name, "id", "") in ("Exception", "BaseException") for name in names)


def test_the_declarations_load_nothing_heavy():
    code = (
        "import sys; from stereoreel.workflow.node_specs import NODES; [node.options for node in NODES]; import stereoreel.core.pull, stereoreel.workflow.graph;"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bring their OpenGL")
def test_no_library_of_a_desktop_is_needed(tmp_path):
    """Small servers have no libGL: here a broken one is found first, so that whatever asks for it fails."""
    for name in ("libGL.so.1", "libGLX.so.0", "libEGL.so.1", "libX11.so.6"):
        (tmp_path / name).write_bytes(b"hidden")
    code = (
        "import numpy, stereoreel.cli.main, stereoreel.media.write.encode, stereoreel.media.read.decode;"
        "from stereoreel.image.flow import flow; print(flow(*numpy.zeros((2, 64, 64), numpy.uint8)).shape)"
    )
    hidden = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=hidden)
    assert done.stdout.strip() == "(64, 64, 2)", done.stderr
    asked = subprocess.run([sys.executable, "-c", "import ctypes; ctypes.CDLL('libGL.so.1')"], capture_output=True, env=hidden)
    assert asked.returncode, "the broken library hides nothing"
