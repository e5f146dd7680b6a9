"""Options that cannot work with any clip are refused before a file is opened."""

from pathlib import Path

import pytest

import stereoreel
from stereoreel.cli.main import main
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import NODES

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
BY_KIND = {node.kind: node for node in NODES}
REFUSED = [
    ("interpolate", {"target_fps": "sixty"}, "target_fps: A frame rate is a number such as 25"),
    ("interpolate", {"target_fps": "0"}, "target_fps: A frame rate must be above 0"),
    ("interpolate", {"schedule": "12 hold"}, "A schedule is written like"),
    ("interpolate", {"cuts": "every second"}, "cuts must be auto, none, or frame numbers"),
    ("interpolate", {"slow_motion": True, "multiplier": 1}, "Slow motion needs a multiplier of at least 2"),
    ("interpolate", {"loop": True, "ending": "last frame"}, "A loop needs a clip of a single shot"),
    ("stereo", {"limit": True, "screen": "none"}, "Stereo's limit needs a screen"),
    ("encode", {"size_mb": 10, "format": "prores"}, "prores does not support a target size"),
    ("encode", {"save_to_temp": True, "resume": "on"}, "Switch off save_to_temp or resume"),
    ("orders", {"orders": "default; sideways"}, "Unknown order or stage 'sideways'"),
    ("orders", {"settings": "depth.shine=1"}, "Unknown option shine"),
]


@pytest.mark.parametrize(("kind", "options", "said"), REFUSED)
def test_options_are_judged_without_a_clip(kind, options, said):
    with pytest.raises(ValueError, match=said):
        build.settings_of(BY_KIND[kind], options)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_defaults_and_single_judged_options_are_accepted(node):
    """A prompt is judged by some of its options; the others have their defaults then."""
    settings = build.settings_of(node, {})
    for name in node.settings.judged:
        assert build.settings_of(node, {name: getattr(settings, name)}) == settings


@pytest.mark.parametrize(("kind", "options", "said"), [one for one in REFUSED if one[0] != "orders"])
def test_the_terminal_refuses_them_before_it_opens_the_video(kind, options, said, tmp_path, capsys):
    words = [word for name, value in options.items() for word in ("--set", f"{kind}.{name}={value}")]
    assert main(["run", str(API / "default.json"), "--input", str(tmp_path / "none.mp4"), *words]) == 1
    error = capsys.readouterr().err
    assert said in error and "none.mp4" not in error and error.strip().count("\n") == 0


@pytest.mark.parametrize(
    "word", ["--orders=default; sideways", "--settings=depth.shine=1", "--set=depth.shine=1"]
)
def test_the_order_lab_refuses_them_before_it_opens_the_video(word, tmp_path, capsys):
    assert main(["orders", str(tmp_path / "none.mp4"), word]) == 1
    error = capsys.readouterr().err
    assert "Unknown" in error and "none.mp4" not in error


def test_python_refuses_them_when_the_stage_is_added():
    clip = stereoreel.open("sample", duration=0.1, cuts=False)
    with pytest.raises(ValueError, match="Interpolate Frames: target_fps: A frame rate is a number"):
        stereoreel.interpolate(clip, target_fps="sixty")


def test_a_temp_folder_exists_only_in_comfyui(tmp_path, capsys, monkeypatch):
    """A file that --output names is written there."""
    monkeypatch.chdir(tmp_path)
    words = ["run", "default", "--set", "encode.save_to_temp=true", "--set", "extract.duration=0.1"]
    words += ["--set", "extract.max_side=64", "--set", "vsr.factor=1"]
    assert main(words) == 1
    assert "save_to_temp needs ComfyUI's temp folder. Name the file with --output" in capsys.readouterr().err
    assert main([*words, "--output", "pair.mp4"]) == 0 and (tmp_path / "pair.mp4").is_file()
    assert not (tmp_path / "output").exists()
