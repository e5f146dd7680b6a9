"""Rules of the source: import direction, no ComfyUI in the engine, nothing heavy at import."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMFY = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "server", "execution"}
KINDS = {"upscale", "vsr", "interpolate", "depth", "stereo"}
# What each room of the engine may import besides itself; a top-level file, such as the version, is free
# to all. The Python front is on top of them all: no room imports it.
SHARED = {"core", "image"}
ROOMS = {
    "core": {"image"},
    "image": {"core"},
    "nets": set(),
    "models": {*SHARED, "nets"},
    "stages": {*SHARED, "models", "nets"},
    "media": SHARED,
    "sample": {*SHARED, "media"},
    "viewing": {*SHARED, "media", "models", "stages"},
    "workflow": {*SHARED, "media", "models", "stages", "viewing"},
    "live": {*SHARED, "models"},
    "film": {*SHARED, "media", "models", "workflow"},
    "analysis": {*SHARED, "media", "models", "stages", "viewing", "workflow"},
    "cli": {*SHARED, "media", "models", "workflow", "viewing", "film", "analysis", "sample"},
}
EMPTY = re.compile(
    r"\{\}|\[\]|(\w+\.)?((dict|list|set|deque|Counter|OrderedDict|Weak\w+)\(\)|defaultdict\(\w*\))"
)
HEAVY = {"cv2", "transformers", "spandrel", "ray", "torchvision", "scipy", "PIL"}


MOST_PARAMETERS = 7
LONG_SIGNATURES = {  # and why they may be longer
    "image/compiled_enlarging.py:_enlarge": "compiled by numba, which takes plain arrays and numbers",
    "core/options.py:option": "declares a widget; its properties are keywords with defaults",
    "front.py:write": "a public function; settings are keywords with defaults",
    "live/upscaler.py:Upscaler.__init__": "a public class; settings are keywords with defaults",
    "media/read/decode.py:FileSource.__init__": "a public source; settings are keywords with defaults",
    "nets/flashvsr.py:project": "compiled on its own, so that its weights are arguments and not a module's",
    "nets/flashvsr.py:finish": "as project",
    "nodes/_lazy_video.py:LazyVideo.save_to": "ComfyUI's own method",
    "stages/depth/compiled.py:_upsample": "compiled by numba, which takes plain arrays and numbers",
    "stages/stereo/compiled_background.py:_begin": "compiled by numba, which takes plain arrays and numbers",
    "stages/stereo/compiled_background.py:_finish": "as _begin",
    "stages/stereo/compiled_background.py:_shares_of_four": "as _begin",
}


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def every(files: Sequence[Path]):
    """Check a rule for many files in one test; the error names each file that breaks it."""

    def over_all(law: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            broken = []
            for file in files:
                try:
                    law(file)
                except AssertionError as error:
                    broken.append(f"{file.relative_to(ROOT)}: {error}")
            assert not broken, "\n".join(broken)

        test.__name__, test.__doc__ = law.__name__, law.__doc__
        return test

    return over_all


def imports(file: Path):
    """Return (level, dotted name) of every import in a file."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                (node.level, ".".join(filter(None, (node.module, alias.name)))) for alias in node.names
            )


ENGINE = sorted((ROOT / "stereoreel").rglob("*.py"))
PACK = [*ENGINE, *sorted((ROOT / "nodes").glob("*.py")), ROOT / "__init__.py"]


@every(PACK)
def test_imports_go_one_way(file):
    place = file.relative_to(ROOT).parts
    for level, name in imports(file):
        top = name.split(".")[0]
        if place[:2] != ("nodes", "_comfy.py"):
            assert not (level == 0 and top in COMFY), f"only nodes/_comfy.py may import {name}"
        if place[0] != "stereoreel":
            continue
        assert level < len(place), f"{'.' * level}{name} climbs out of the engine"
        assert not (level == 0 and top in ("nodes", "stereoreel")), (
            f"the engine imports itself relatively, not {name}"
        )
        room = place[1]
        if room == "nets":
            assert level <= 1, "a network imports torch, its neighbours, and nothing else of ours"
        if place[1] == "stages" and len(place) > 3 and level == 2:
            assert top not in KINDS, f"kind {place[2]} imports kind {top}"


def rooms_imported(file: Path) -> set[str]:
    """Return the rooms that a file of the engine imports from, except its own."""
    place = file.relative_to(ROOT / "stereoreel").parts
    found = set()
    for level, name in imports(file):
        if level == len(place):  # seen from the engine's top
            found.add(name.split(".")[0])
    return {room for room in found if room == "front" or (ROOT / "stereoreel" / room).is_dir()} - {place[0]}


@every([file for file in ENGINE if file.parent != ROOT / "stereoreel"])
def test_rooms_import_one_way(file):
    room = file.relative_to(ROOT / "stereoreel").parts[0]
    assert rooms_imported(file) <= ROOMS[room]


@every(sorted((ROOT / "nodes").glob("*.py")))
def test_names_that_nodes_import_exist(file):
    """Nodes load only in ComfyUI, where a wrong name would show too late."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            for alias in node.names:
                try:
                    found = import_module(f"{node.module}.{alias.name}")
                except ModuleNotFoundError:
                    found = getattr(import_module(node.module), alias.name)
                assert found is not None


@every(PACK)
def test_command_is_not_loaded_twice(file):
    """``python -m`` runs ``__main__`` under that name; importing it would load it again under its own."""
    assert not any("__main__" in name.split(".") for _, name in imports(file))


def signatures(node: ast.AST, place: str = ""):
    """Return (name, number of parameters besides self) of every function below a node."""
    for child in ast.iter_child_nodes(node):
        inside = place
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inside = f"{place}.{child.name}".lstrip(".")
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not on_tensors_alone(child):
            given = child.args
            named = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            yield inside, len(set(named) - {"self", "cls"}) + bool(given.vararg) + bool(given.kwarg)
        yield from signatures(child, inside)


def on_tensors_alone(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is a kernel or an operation of PyTorch, which take tensors and numbers and no objects."""
    return any(re.match(r"triton\.jit|operation\(", ast.unparse(one)) for one in function.decorator_list)


def test_signatures_stay_short():
    """A function with more parameters takes an object, such as RenderRequest or Observer."""
    found = {}
    for file in PACK:
        place = file.relative_to(ROOT).as_posix().removeprefix("stereoreel/")
        for name, count in signatures(parsed(file)):
            if count > MOST_PARAMETERS:
                found[f"{place}:{name}"] = count
    assert found.keys() == LONG_SIGNATURES.keys()


def test_node_files_are_named_after_their_kind():
    """A file of another name would not be found, and its node would run as a plain stage."""
    from stereoreel.models import catalog
    from stereoreel.workflow.node_specs import NODES

    own = {file.stem: file for file in (ROOT / "nodes").glob("[!_]*.py")}
    kinds = {node.kind for node in NODES}
    assert set(own) <= kinds and kinds - set(own) <= set(catalog.KINDS)
    for kind, file in own.items():
        classes = {node.name for node in parsed(file).body if isinstance(node, ast.ClassDef)}
        assert f"{kind.title()}Node" in classes


# ComfyUI's words: its folders and modules, and the types of its sockets, also in a union of them.
FOLDERS = re.compile(
    r"custom_nodes|(?i:comfy)|upscale_models|diffusion_models|frame_interpolation|geometry_estimation|depthanything"
)
SOCKETS = re.compile(r"(IMAGE|MASK|VIDEO|AUDIO|LATENT|FLOAT|INT|STRING|BOOLEAN|COMBO)(,[A-Z0-9_]+)*")


def strings(file: Path):
    """Return (line, text) of every string in a file, with the parts of f-strings, without docstrings."""
    tree = parsed(file)
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and ast.get_docstring(node) is not None
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.lineno, node.value


@every([file for file in ENGINE if ROOT / "stereoreel" / "workflow" not in file.parents])
def test_only_the_workflow_room_knows_comfyuis_names(file):
    """Sentences may name ComfyUI to the user; a string without a space is a path, a module or a type."""
    for line, text in strings(file):
        if " " not in text.strip():
            assert not FOLDERS.search(text), f"line {line}: {text!r} is a folder or a module of ComfyUI's"
            assert not SOCKETS.fullmatch(text), f"line {line}: {text!r} is the type of a socket"


# Where a kind may be asked for by name: anything else would be a second place that must know it.
NAMING_KINDS = {
    "analysis/advisor/excerpts.py": "depth costs a dozen frames more where it is shown what lies around",
    "analysis/advisor/verdict.py": "advice on the options of each stage",
    "analysis/order_lab/lab.py": "with what Stereo works while orders are compared",
    "analysis/order_lab/options.py": "options of the stages that an order has",
    "analysis/order_lab/figures.py": "orders, a word of its figures",
    "film/identity.py": "encode, a word of a film's description",
    "front.py": "the functions of Python, one for a node",
    "workflow/templates.py": "workflows, of which some are named like a kind",
}


def named(node: ast.AST) -> list[ast.expr]:
    """Return what a piece of source compares with, or looks up by."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return [one for side in sides for one in getattr(side, "elts", [side])]
    return {ast.Dict: lambda: node.keys, ast.Subscript: lambda: [node.slice]}.get(type(node), list)()


def kinds_asked_for(source: str, kinds: set[str]) -> set[tuple[int, str]]:
    """Return (line, kind); depth is also the name of a socket and counts if it is compared with a kind."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        for one in named(node):
            value = getattr(one, "value", None)
            socket = value == "depth" and not (isinstance(node, ast.Compare) and "kind" in ast.unparse(node))
            if isinstance(one, ast.Constant) and value in kinds and not socket:
                found.add((one.lineno, value))
    return found


@every(ENGINE)
def test_kinds_are_known_only_in_their_own_places(file):
    from stereoreel.models import catalog
    from stereoreel.workflow.node_specs import NODES

    place = file.relative_to(ROOT / "stereoreel").as_posix()
    if not place.startswith(("stages/", "workflow/nodes/")) and place not in NAMING_KINDS:
        kinds = {*catalog.KINDS, *(node.kind for node in NODES)}
        assert not kinds_asked_for(file.read_text(encoding="utf-8"), kinds)


@pytest.mark.parametrize(
    "source",
    [
        'if node.kind == "depth": pass',
        'x = "vsr" in kinds',
        'if kind in ("advise", "keep"): pass',
        'TABLE = {"upscale": 1}',
        'options["stereo"] = 2',
    ],
)
def test_kind_check_finds_violations(source):
    assert kinds_asked_for(source, {"depth", "vsr", "advise", "keep", "upscale", "stereo"})
    assert not kinds_asked_for(
        'ORDER = ("vsr", "depth"); made["depth"], {"depth": 1}, "depth" in made', {"depth", "vsr"}
    )


def test_every_kind_has_stages_models_and_a_node():
    from stereoreel.models import catalog
    from stereoreel.workflow.node_specs import NODES

    modules = {file.stem for file in (ROOT / "stereoreel" / "workflow" / "nodes").glob("[!_]*.py")}
    assert modules == {node.kind for node in NODES}
    folders = {file.parent.name for file in (ROOT / "stereoreel" / "stages").glob("*/__init__.py")}
    assert len(catalog.KINDS) == len(folders) and set(catalog.KINDS) == folders
    assert folders <= {node.kind for node in NODES}
    assert folders <= {file.stem for file in (ROOT / "models_config").glob("*.yaml")}


def test_every_room_has_a_docstring():
    folders = {
        path.name
        for path in (ROOT / "stereoreel").iterdir()
        if path.is_dir() and not path.name.startswith("__")
    }
    assert folders == set(ROOMS)
    for room in (ROOT / "stereoreel").rglob("__init__.py"):
        assert ast.get_docstring(parsed(room))


def test_no_import_cycles():
    """Consider imports that run when a module is loaded, not those inside functions or for type checkers."""
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in ENGINE
    }
    graph = {name: set() for name in names}
    for name, file in names.items():
        base = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
        for node in parsed(file).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                module = [*base[: len(base) - node.level + 1], *filter(None, [node.module])]
                for alias in node.names:
                    full = ".".join([*module, alias.name])
                    graph[name].add(full if full in names else ".".join(module))
    while free := [name for name, used in graph.items() if not used & graph.keys() - {name}]:
        for name in free:
            del graph[name]
    assert not graph, f"these import each other: {sorted(graph)}"


def remembered(module: ast.Module) -> list[str]:
    """Return module state: containers that begin empty, globals, and results cached by a path."""
    kept = [node for node in module.body if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value]
    found = [node for node in kept if EMPTY.fullmatch(ast.unparse(node.value))]
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            cached = any("cache" in ast.unparse(one).split("(")[0] for one in node.decorator_list)
            kinds = [ast.unparse(one.annotation) for one in node.args.args if one.annotation]
            found += [node] * (cached and any("Path" in kind for kind in kinds))
        elif isinstance(node, ast.Global):
            found.append(node)
    return [ast.unparse(node) for node in found]


@every(PACK)
def test_no_module_state(file):
    assert not remembered(parsed(file)), "let an object that has an owner keep it"


@pytest.mark.parametrize(
    "code",
    [
        "known = {}",
        "known: dict[str, int] = OrderedDict()",
        "known = weakref.WeakKeyDictionary()",
        "known = []",
        "known = defaultdict(list)",
        "def f():\n    global known",
        "@lru_cache\ndef f(path: Path): pass",
        "@functools.cache\ndef f(path: str | os.PathLike): pass",
    ],
)
def test_state_check_finds_violations(code):
    assert remembered(ast.parse(code))


@every(PACK)
def test_no_broad_except(file):
    """ComfyUI's cancel derives from Exception: a broad except would swallow it."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ExceptHandler):
            names = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
            assert node.type is not None and not any(
                getattr(name, "id", "") in ("Exception", "BaseException") for name in names
            )


def test_declarations_load_nothing_heavy():
    code = (
        "import sys; from stereoreel.workflow.node_specs import NODES; [node.options for node in NODES];"
        "import stereoreel.core.pull, stereoreel.workflow.graph;"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bring their OpenGL")
def test_no_desktop_library_is_needed(tmp_path):
    """Small servers have no libGL: a broken one is found first, so that anything that loads it fails."""
    for name in ("libGL.so.1", "libGLX.so.0", "libEGL.so.1", "libX11.so.6"):
        (tmp_path / name).write_bytes(b"hidden")
    code = (
        "import numpy, stereoreel.cli.main, stereoreel.media.write.encode, stereoreel.media.read.decode;"
        "from stereoreel.image.flow import flow; print(flow(*numpy.zeros((2, 64, 64), numpy.uint8)).shape)"
    )
    hidden = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=hidden)
    assert done.stdout.strip() == "(64, 64, 2)", done.stderr
    asked = subprocess.run(
        [sys.executable, "-c", "import ctypes; ctypes.CDLL('libGL.so.1')"], capture_output=True, env=hidden
    )
    assert asked.returncode, "the broken library hides nothing"


def arrows(page: str) -> set[tuple[str, str]]:
    """Return the edges of a page's Mermaid flowchart."""
    chart = page.partition("```mermaid\n")[2].partition("```")[0]
    found = re.findall(r"^ *(\w+) --> (.+)$", chart, re.MULTILINE)
    return {(source, target) for source, targets in found for target in targets.split(" & ")}


def test_architecture_document_is_current():
    """It names every room, draws the imports that are permitted, and names tests that exist."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert all(f"- **`{room}`**: " in page for room in ROOMS)
    rooms = ROOMS.items()
    assert arrows(page) == {
        (room, target) for room, targets in rooms if room not in SHARED for target in targets - SHARED
    }
    laws = (ROOT / "tests" / "test_laws.py").read_text(encoding="utf-8")
    assert all(f"def {test}" in laws for test in re.findall(r"`(test_\w+_law\w*)", page))
