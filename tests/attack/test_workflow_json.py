"""Odd workflow files run, or are refused with one error that names the node and the input."""

import copy
import json
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stereoreel.cli.main import main
from stereoreel.workflow import graph as workflow
from stereoreel.workflow import orders
from tests.support.media_files import write_video

ROOT = Path(__file__).resolve().parents[2]
API = {file.stem: file for file in sorted((ROOT / "workflows" / "api").glob("*.json"))}
PYTHON = (
    "Traceback",
    "object has no",
    "object is not",
    "unhashable",
    "indices must",
    "not supported between",
    "NoneType",
    "argument must be",
    "invalid literal",
    "could not convert",
    "embedded null",
    "recursion",
    "codec can't",
    "too large to convert",
    "positional",
    "Errno",
    "KeyError",
    "not iterable",
    "unpack",
    "<class",
    "<object",
    "Fraction(",
    "Exceeds the limit",
)
HUGE = 10**400


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "in.mkv"
    write_video(
        path,
        np.random.default_rng(0).integers(0, 255, (5, 16, 32, 3), np.uint8),
        Fraction(25),
        "ffv1",
        "bgr0",
    )
    return path


@pytest.fixture
def graph():
    return orders.api(("extract", "interpolate", "depth", "stereo", "encode"))


def sentence(said: str) -> None:
    assert said and "\n" not in said and "\0" not in said and len(said) < 1500, said
    assert said[0] == said[0].strip() and said.rstrip()[-1] in ".:!`'…", said
    assert not [word for word in PYTHON if word in said], said


def refused(graph, video) -> str:
    """Return the error for a graph that cannot be built."""
    with pytest.raises((ValueError, OSError)) as caught:
        workflow.Assembly(graph, lambda name: video)
    sentence(str(caught.value))
    return str(caught.value)


VALUES = [
    ("2", "multiplier", HUGE),
    ("2", "multiplier", -HUGE),
    ("2", "multiplier", float("inf")),
    ("2", "multiplier", float("nan")),
    ("2", "multiplier", True),
    ("2", "multiplier", "many"),
    ("2", "multiplier", []),
    ("2", "multiplier", {}),
    ("2", "multiplier", None),
    ("2", "multiplier", "9" * 5000),
    ("2", "multiplier", 10**5000),
    ("2", "multiplier", 1.5),
    ("2", "cuts", []),
    ("2", "cuts", {}),
    ("2", "cuts", None),
    ("2", "cuts", True),
    ("2", "cuts", "9" * 5000),
    ("2", "cuts", "1\0"),
    ("2", "target_fps", HUGE),
    ("2", "target_fps", "\ud800"),
    ("2", "fps", HUGE),
    ("2", "fps", 10**5000),
    ("2", "fps", {}),
    ("2", "fps", True),
    ("2", "slow_motion", 2),
    ("2", "slow_motion", []),
    ("4", "divergence", []),
    ("4", "divergence", "1e309"),
    ("4", "divergence", HUGE),
    ("4", "divergence", False),
    ("4", "view", {}),
    ("4", "view", 3),
    ("3", "model", {}),
    ("1", "video", {}),
    ("1", "video", "a\0b"),
    ("1", "start", "x"),
    ("5", "filename_prefix", []),
    ("5", "filename_prefix", "a\0"),
    ("5", "crf", "\n"),
]
LINKS = [
    [],
    ["1"],
    ["1", "x"],
    ["1", True],
    ["1", 1.5],
    ["1", None],
    ["1", -1],
    ["1", HUGE],
    ["1", 2],
    ["1", 0, 0],
    [None, 0],
    [[], 0],
    [{}, 0],
    [True, 0],
    [1.0, 0],
    ["9", 0],
    ["a\nb", 0],
    ["", 0],
    [10**5000, 0],
    ["1", 1],
    ["5", 0],
    ["2", 4],
    [["1", 0]],
    ["2", 0.0],
]


@pytest.mark.parametrize(
    ("node", "name", "value"), VALUES, ids=[f"{name}-{number}" for number, (_, name, _) in enumerate(VALUES)]
)
def test_wrong_value_is_named(node, name, value, graph, video):
    graph[node]["inputs"][name] = value
    said = refused(graph, video)
    assert f"(node {node})" in said and (name in said or name in ("fps", "target_fps", "model", "video")), (
        said
    )


@pytest.mark.parametrize("link", LINKS, ids=range(len(LINKS)))
@pytest.mark.parametrize(
    ("node", "name"), [("3", "clip"), ("4", "depth"), ("4", "divergence"), ("2", "cuts")]
)
def test_wrong_link_is_named(link, node, name, graph, video):
    graph[node]["inputs"][name] = link
    said = refused(graph, video)
    assert (f"(node {node})" in said and name in said) or ("cycle" in said and link in (["5", 0], ["2", 4]))


def test_socket_types_are_distinguished(graph, video):
    graph["3"]["inputs"]["clip"] = ["1", 1]
    assert "clip takes IMAGE or VIDEO, but output fps of Extract Video (node 1) is FLOAT" in refused(
        graph, video
    )
    graph["3"]["inputs"]["clip"] = ["2", 4]
    assert "output cuts of Interpolate Frames (node 2) is STRING" in refused(graph, video)


def test_valid_links_run(graph, video):
    graph["2"]["inputs"]["fps"] = ["1", 1]
    graph["4"]["inputs"]["clip"] = [2, 0]  # numbers as ids are understood
    graph["5"]["inputs"] |= {"depth": ["4", 3], "crf": "20", "stereo_tags": 1}
    assert workflow.Assembly(graph, lambda name: video).sinks[0].clip.info.frames == 10


def test_values_are_checked_before_a_file_is_opened(graph):
    graph["5"]["inputs"]["crf"] = []
    with pytest.raises(ValueError, match=r"Encode Video \(node 5\): crf"):
        workflow.Assembly(graph, lambda name: pytest.fail("a file was opened"))


NODES = [
    None,
    5,
    [],
    "x",
    {},
    {"class_type": "StereoReelDepth"},
    {"class_type": [], "inputs": {}},
    {"class_type": None, "inputs": {}},
    {"class_type": 3, "inputs": {}},
    {"class_type": {}, "inputs": {}},
    {"class_type": "", "inputs": {}},
    {"class_type": "a\nb", "inputs": {}},
    {"class_type": "StereoReelDepth", "inputs": None},
    {"class_type": "StereoReelDepth", "inputs": []},
]


@pytest.mark.parametrize("node", NODES, ids=range(len(NODES)))
def test_invalid_node_is_named(node, graph, video):
    graph["3"] = node
    said = refused(graph, video)
    assert "node 3" in said or "These nodes need ComfyUI" in said


@pytest.mark.parametrize("whole", [None, 5, [], [{}], "x", {}, True, 1.5])
def test_other_json_is_refused(whole, video):
    refused(whole, video)
    with pytest.raises(ValueError, match="API-format"):
        workflow.override(whole, [])


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\0b", "\ud800", "x" * 1000])
def test_unprintable_node_id_is_refused(name, graph, video):
    graph[name] = graph["3"]
    refused(graph, video)


@pytest.mark.parametrize("meta", [None, [], 5, "x", {"title": []}, {"note": None}])
def test_node_metadata_is_ignored(meta, graph, video):
    for node in graph.values():
        node["_meta"] = meta
    assert workflow.Assembly(graph, lambda name: video).sinks


def test_odd_but_valid_ids_run(graph, video):
    renamed = {f"a.b:{node_id} é": copy.deepcopy(node) for node_id, node in graph.items()}
    for node in renamed.values():
        node["inputs"] = {
            name: [f"a.b:{value[0]} é", value[1]] if isinstance(value, list) else value
            for name, value in node["inputs"].items()
        }
    renamed = workflow.override(renamed, ["a.b:2 é.multiplier=3"])
    assert workflow.Assembly(renamed, lambda name: video).sinks[0].clip.info.frames == 15


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


FILES = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "latin-1": ('{"é": 1}'.encode("latin-1"), "not UTF-8"),
    "utf-16": ('{"1": {}}'.encode("utf-16"), "not UTF-8"),
    "noise": (bytes(range(256)), "not UTF-8"),
    "list": (b"[]", "a"),
    "number": (b"5", "not an API-format"),
    "null": (b"null", "not an API-format"),
    "text": (b'"x"', "not an API-format"),
    "no node": (b"{}", "has no nodes"),
    "cut off": (b'{"1": {"class', "is not JSON"),
    "two": (b"{} {}", "is not JSON"),
    "deep": (nested(100_000), "nested"),
    "rather deep": (b'{"1": ' + nested(500) + b"}", "nested"),
    "deep meta": (b'{"1": {"class_type": "x", "inputs": {}, "_meta": ' + nested(200) + b"}}", "nested"),
    "twice": (b'{"1": {"class_type": "x", "class_type": "y", "inputs": {}}}', "'class_type' twice"),
    "two nodes of one id": (
        b'{"1": {"class_type": "x", "inputs": {}}, "1": {"class_type": "x", "inputs": {}}}',
        "'1' twice",
    ),
    "nan": (b'{"1": NaN}', "NaN"),
    "infinity": (b'{"1": -Infinity}', "-Infinity"),
    "digits": (b'{"1": ' + b"9" * 10_000 + b"}", "10000 digits"),
    "canvas": (b'{"nodes": [], "links": []}', "canvas file"),
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("command", ["run", "film"])
def test_other_files_are_refused(what, command, tmp_path, capsys):
    content, said = FILES[what]
    (tmp_path / "graph.json").write_bytes(content)
    assert main([command, str(tmp_path / "graph.json"), "--output", str(tmp_path / "out.mp4")]) == 1
    error = capsys.readouterr().err.strip()
    sentence(error)
    assert (
        said in error
        and "graph.json" in error
        and [path.name for path in tmp_path.iterdir()] == ["graph.json"]
    )


def test_byte_order_mark_is_accepted(graph, tmp_path):
    (tmp_path / "graph.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(graph).encode())
    assert workflow.read(tmp_path / "graph.json") == graph


def test_endless_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("stereoreel.workflow.check.LARGEST", 1000)
    (tmp_path / "graph.json").write_bytes(b" " * 1001)
    with pytest.raises(ValueError, match="larger than"):
        workflow.read(tmp_path / "graph.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{folder}"], "is a folder"),
        (["nowhere.json"], "There is no workflow nowhere.json"),
        (["a\0b"], "NUL"),
        (["x" * 5000], "cannot be read"),
        (["{default}", "--input", "{folder}"], "is a folder"),
        (["{default}", "--input", "a\0b"], "not a valid file name"),
        (["{default}", "--input", "a\nb"], "There is no file"),
        (["{default}", "--output", "a\0b.mp4"], "The output"),
        (["{default}", "--output", "a\nb.mp4"], "The output"),
        (["{default}", "--output", "x" * 300 + ".mp4"], "too long"),
        (["{default}", "--set", ""], "--set takes"),
        (["{default}", "--set", "="], "--set takes"),
        (["{default}", "--set", "."], "--set takes"),
        (["{default}", "--set", ".=1"], "No node is called"),
        (["{default}", "--set", "3.=1"], "no option"),
        (["{default}", "--set", "\0.x=1"], "No node is called"),
        (["{default}", "--set", "3.a\nb=1"], "no option"),
        (["{default}", "--set", "3.clip=[]"], "takes a connection"),
        (["{default}", "--set", "extract.video=a\0b"], "NUL"),
        (["{default}", "--set", "encode.filename_prefix=a\0b"], "NUL"),
        (["{default}", "--set", "encode.filename_prefix=a\nb"], "characters"),
        (["{default}", "--set", "encode.filename_prefix=" + "x" * 300], "too long"),
        (["{default}", "--set", "interpolate.cuts=[]"], "cuts"),
        (["{default}", "--set", "interpolate.target_fps=999"], "make 200 frames of 5"),
        (["{default}", "--set", "vsr.factor=" + "9" * 400], "factor"),
        (["{default}", "--set", "interpolate.multiplier=" + "9" * 5000], "multiplier"),
        (["{default}", "--set", "depth.model=a\nb"], "Unknown depth model"),
        (["{keep}", "--set", "keep.folder=a\nb"], "characters"),
        (["{keep}", "--set", "keep.folder=a\0b"], "NUL"),
    ],
)
def test_odd_command_line_arguments_are_refused(arguments, said, video, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    known = {"{folder}": str(tmp_path), "{default}": str(API["default"]), "{keep}": str(API["keep_depth"])}
    arguments = [known.get(word, word) for word in arguments]
    given = ["--input", str(video)] * ("--input" not in arguments) + ["--output", "out.mp4"] * (
        "--output" not in arguments
    )
    assert main(["run", *given, *arguments]) == 1
    error = capsys.readouterr().err.strip()
    sentence(error)
    assert said in error and not list(tmp_path.iterdir())


ODD = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    HUGE,
    -HUGE,
    float("nan"),
    float("inf"),
    1e308,
    "",
    "x",
    "\0",
    "a\nb",
    "\ud800",
    "9" * 5000,
    "1e309",
    "none",
    "0",
    [],
    ["1"],
    ["1", 0],
    ["2", 0],
    ["3", 1],
    ["1", "x"],
    ["1", -1],
    [1, 0],
    [[]],
    {},
    {"a": 1},
]


def mutated(graph, chance: random.Random):
    """Return a graph with up to four changes anywhere.

    Something is deleted, replaced, renamed or duplicated.
    """
    graph = copy.deepcopy(graph)
    for _ in range(chance.randint(1, 4)):
        inner, depth = graph, chance.randint(0, 3)
        while depth and inner and isinstance(inner, (dict, list)):
            key = chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
            if not isinstance(inner[key], (dict, list)):
                break
            inner, depth = inner[key], depth - 1
        if not inner:
            continue
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key, other, way = chance.choice(keys), chance.choice(keys), chance.randrange(5)
        if way == 0:
            del inner[key]
        elif way == 1:
            inner[key] = copy.deepcopy(inner[other])
        elif way == 2 and isinstance(inner, dict):
            inner[chance.choice(["", "x", "0", "clip", "depth", "fps", "cuts", "a\nb", "é"])] = copy.deepcopy(
                inner[key]
            )
        else:
            inner[key] = copy.deepcopy(chance.choice(ODD))
    return graph


@pytest.mark.parametrize("name", API)
def test_mutated_graphs_are_built_or_refused(name, video):
    """Seeded; each mutant is also written to a file if JSON can hold it."""
    original, chance, built = json.loads(API[name].read_text(encoding="utf-8")), random.Random(name), 0
    for _ in range(150):
        graph = mutated(original, chance)
        try:
            workflow.Assembly(graph, lambda name: video)
            built += 1
        except (ValueError, OSError) as error:
            sentence(str(error))
    assert built or name in ("image_batch", "core_upscaler", "inpaint_holes", "live_upscale")


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_are_read_or_refused(seed, tmp_path):
    chance, path = random.Random(seed), tmp_path / "graph.json"
    for _ in range(60):
        content = bytearray(API[chance.choice(list(API))].read_bytes())
        for _ in range(chance.randint(1, 5)):
            place = chance.randrange(len(content))
            content[place : place + chance.choice([0, 1, 50])] = chance.choice(
                [b"", b"\xff", b"\0", b"[", b"{", b'"', b"}", b",", b"1e999", b"NaN"]
            )
        path.write_bytes(content)
        try:
            workflow.declared(workflow.read(path))
        except (ValueError, OSError) as error:
            sentence(str(error))
