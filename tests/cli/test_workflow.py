"""Workflows in the terminal: bundled files, overrides, lists, cancellation and errors."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stereoreel.cli.interrupt import CtrlC
from stereoreel.cli.main import main
from stereoreel.workflow import graph as workflow
from stereoreel.workflow import orders
from stereoreel.workflow.node_specs import NODES
from stereoreel.workflow.templates import canvas_file
from tests.support.media_files import write_video

ROOT = Path(__file__).resolve().parents[2]
API = {file.stem: file for file in sorted((ROOT / "workflows" / "api").glob("*.json"))}
DEFAULT = str(API["default"])


@pytest.fixture
def small(tmp_path):
    """Write ten moving frames of 48x32 at 25 fps."""
    still = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    return (
        write_video(
            tmp_path / "small.mp4", np.stack([np.roll(still, shift, 1) for shift in range(10)]), Fraction(25)
        )
        or tmp_path / "small.mp4"
    )


def run(graph, source, *settings, output=None) -> int:
    """Run a workflow in the terminal with these settings; return its exit status."""
    words = ["--input", str(source), *(word for one in settings for word in ("--set", one))]
    return main(["run", str(graph), *words, *(["--output", str(output)] if output else [])])


def facts(path):
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        return video.width, video.height, Fraction(video.average_rate), sum(1 for _ in file.decode(video))


@pytest.mark.parametrize("name", orders.BUNDLED)
def test_bundled_workflows_match_their_names(name):
    order, note = orders.BUNDLED[name]
    assert workflow.read(API[name]) == orders.api(order, note)


def test_every_node_is_in_a_bundled_workflow():
    used = {node["class_type"] for file in API.values() for node in workflow.read(file).values()}
    assert used >= {node.id for node in NODES}


@pytest.mark.parametrize("name", orders.BUNDLED)
def test_bundled_workflow_doubles_size_and_rate_and_packs_views(name, small, tmp_path):
    target = tmp_path / "out.mp4"
    assert run(API[name], small, output=target) == 0
    assert facts(target) == (192, 64, Fraction(50), 20)


def test_output_name_is_prefix_and_layout_and_never_reused(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run(DEFAULT, small, "encode.filename_prefix=trip/sea", "encode.layout=half_tb") == 0
    names = sorted(path.name for path in (tmp_path / "output" / "trip").iterdir())
    assert names == ["sea_00001_TB.mp4", "sea_00002_TB.mp4"]


def test_options_are_set_by_kind_or_node(small, tmp_path):
    target = tmp_path / "out.mkv"
    settings = ["encode.format=ffv1", "vsr.factor=1", "3.multiplier=1", "stereo.view=right"]
    assert run(DEFAULT, small, *settings, "depth.model=builtin", output=target) == 0
    assert facts(target) == (96, 32, Fraction(25), 10)


def test_depth_video_is_written_too(small, tmp_path):
    graph = workflow.read(API["default"])
    graph["6"]["inputs"]["depth"] = ["4", 0]
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    assert run(tmp_path / "graph.json", small, output=tmp_path / "out.mp4") == 0
    assert facts(tmp_path / "out_depth.mp4") == (96, 64, Fraction(50), 20)


@pytest.mark.parametrize(("changes", "said"), [
    (["--set", "depth.model=midas"], "Unknown depth model 'midas'"),
    (["--set", "stereo.model=midas"], "model must be one of"),
    (["--set", "depth.colour=1"], "no option colour"),
    (["--set", "lens.zoom=2"], "No node is called 'lens'"),
    (["--set", "vsr.factor"], "KIND.OPTION=VALUE"),
    (["--set", "interpolate.target_fps=fast"], "A frame rate is a number"),
    (["--set", "vsr.factor=7"], "between 1.0 and 4.0"),
    (["--input", "nowhere.mp4"], "nowhere.mp4"),
    (["--set", "stereo.divergence=99"], "Stereo Pair (node 5): divergence"),
    (["--set", "encode.filename_prefix=../../escaped"], "output"),
    (["--set", "encode.format=ffv1"], ".mkv"),
    (["--set", "encode.fps=60"], "this VIDEO runs at 50.000 fps"),
    (["--set", "depth.clip=foo"], "takes a connection"),
    (["--device", "foo"], "Device 'foo' is not available. Available: "),
    (["--device", "cpu:1"], "Device 'cpu:1' is not available. Available: "),
])  # fmt: skip
def test_errors_are_one_line_and_leave_no_file(changes, said, small, tmp_path, capsys):
    target = tmp_path / "out.mp4"
    assert main(["run", DEFAULT, "--input", str(small), "--output", str(target), *changes]) == 1
    error = capsys.readouterr().err
    assert said in error and error.strip().count("\n") == 0
    assert not list(tmp_path.glob("out*"))


def test_ambiguous_option_needs_a_node_id(capsys, tmp_path):
    graph = orders.api(("extract", "upscale", "upscale", "encode"))
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    assert main(["run", str(tmp_path / "graph.json"), "--set", "upscale.factor=1"]) == 1
    assert "Name one by its id" in capsys.readouterr().err


def test_comfyui_only_nodes_are_named(capsys):
    assert main(["run", str(API["image_batch"])]) == 1
    assert "CreateVideo, GetVideoComponents, SaveVideo" in capsys.readouterr().err


def test_input_may_be_the_sample_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        "run",
        "start",
        "--input",
        "sample",
        "--set",
        "extract.duration=0.2",
        "--set",
        "extract.max_side=64",
    ]
    assert main([*words, "--output", "out.mp4"]) == 0
    Path("sample").write_text("no video")
    assert main([*words, "--output", "other.mp4"]) == 1 and "sample" in capsys.readouterr().err


def test_source_is_never_the_output(small, capsys):
    before = small.read_bytes()
    assert main(["run", DEFAULT, "--input", str(small), "--output", str(small)]) == 1
    assert "is a file that this job reads" in capsys.readouterr().err and small.read_bytes() == before


def test_canvas_file_is_refused(capsys):
    assert main(["run", str(ROOT / "workflows" / canvas_file("default"))]) == 1
    assert "Export (API)" in capsys.readouterr().err


def test_cycle_and_dangling_link_raise():
    graph = orders.api(("extract", "upscale", "encode"))
    graph["2"]["inputs"]["clip"] = ["2", 0]
    with pytest.raises(ValueError, match="cycle"):
        workflow.Assembly(graph, Path)
    graph["2"]["inputs"]["clip"] = ["9", 0]
    with pytest.raises(ValueError, match="node 9, which is not in the workflow"):
        workflow.Assembly(graph, Path)


def test_order_without_stages_has_a_name(tmp_path):
    assert main(["workflows", "--order", "extract,encode", "--folder", str(tmp_path)]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"extract_encode.json", "extract_encode.api.json"}


def test_order_is_written_for_canvas_and_api(tmp_path):
    order = "extract,depth,interpolate,stereo,encode"
    assert main(["workflows", "--order", order, "--folder", str(tmp_path)]) == 0
    graph = workflow.read(tmp_path / "depth_interpolate_stereo.api.json")
    assert graph["3"]["inputs"]["depth"] == ["2", 0] and graph["4"]["inputs"]["depth"] == ["3", 1]
    shown = json.loads((tmp_path / "depth_interpolate_stereo.json").read_text())
    assert len(shown["nodes"]) == 6 and shown["version"] == 0.4


@pytest.mark.parametrize("command", ["nodes", "models"])
def test_lists_name_everything(command, capsys):
    assert main([command]) == 0
    printed = capsys.readouterr().out
    names = (
        [node.id for node in NODES]
        if command == "nodes"
        else ["upscale.model=builtin", "depth.model=builtin", "(auto)"]
    )
    assert all(name in printed for name in names)


@pytest.fixture
def terminal():
    """Enable Ctrl-C, here and in children, even if the tests run as a script's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child")
def test_ctrl_c_leaves_nothing(terminal, tmp_path):
    still = np.random.default_rng(0).integers(0, 255, (144, 176, 3), np.uint8)
    write_video(
        tmp_path / "long.mp4", np.stack([np.roll(still, shift, 1) for shift in range(300)]), Fraction(25)
    )
    words = ["--input", str(tmp_path / "long.mp4"), "--output", str(tmp_path / "out.mp4")]
    command = [sys.executable, "-m", "stereoreel", "run", DEFAULT, *words]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not list(tmp_path.glob("out.mp4.*.part")) and time.monotonic() < end:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    error = child.communicate(timeout=60)[1]
    assert child.returncode == 130 and "cancelled" in error and "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4"]


class Deaf:
    """An object with an interrupted destructor, which Python cannot propagate."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_dropped_by_python_is_raised_again(terminal):
    with CtrlC() as ctrl_c:
        ctrl_c.check()
        deaf = Deaf()
        del deaf
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_background_job_ignores_ctrl_c(terminal):
    """A shell starts it with the signal ignored, because the keys are for the foreground job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with CtrlC() as ctrl_c:
        signal.raise_signal(signal.SIGINT)
        ctrl_c.check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_ctrl_c_while_compiling_text(terminal):
    """Named tuples and dataclasses are compiled from text; Python remembers a KeyboardInterrupt there."""
    text = """
import signal, sys
from stereoreel.cli.interrupt import CtrlC
try:
    with CtrlC():
        exec("signal.raise_signal(signal.SIGINT)")
except KeyboardInterrupt:
    sys.exit(130)
"""
    assert subprocess.run([sys.executable, "-c", text], cwd=ROOT).returncode == 130


def test_preview_writes_a_sheet_and_no_video(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run(API["look"], small, "preview.samples=2", "depth.model=builtin") == 0
    sheets = sorted((tmp_path / "output").iterdir())
    assert [path.name for path in sheets] == ["preview_00001.jpg", "preview_00002.jpg"]
    assert capsys.readouterr().out.splitlines()[-1].endswith("preview_00002.jpg")
    sheet = np.asarray(Image.open(sheets[0]).convert("RGB"))
    assert sheet.shape[1] == 1600 and sheet.std() > 10
