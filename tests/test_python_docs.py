"""Every Python snippet of docs/python.md and of the README runs as written."""

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def snippets(page: str) -> list[str]:
    return re.findall(r"^```python\n(.+?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(page: str, **names) -> dict:
    """Run the snippets of a page in turn; return the names that they define."""
    for number, code in enumerate(snippets(page), 1):
        exec(compile(code, f"{page}, snippet {number}", "exec"), names)  # noqa: S102 - our own page
    return names


def test_python_page(folder, capsys):
    made = run("docs/python.md")
    assert sorted(path.name for path in (folder / "look").iterdir()) == [
        "clip.mkv", "mirrored.mp4", "pair.mp4", "pair_depth.mp4", "small.mp4", "steady.mp4", "tv.mp4",
    ]  # fmt: skip
    assert (folder / "sample_3d.mp4").is_file() and (folder / "depth.png").is_file()
    assert made["pair"].info.views == 2 and made["pair"].info.fps == 50
    assert len(made["brightness"]) == made["clip"].info.frames
    said = capsys.readouterr().out
    assert "multiplier: int = 2" in said and "10 of 10 frames" in said


def test_readme(folder):
    shown = []
    run("README.md", generator=iter([torch.rand(1, 32, 48, 3), torch.rand(4, 32, 48, 3)]), show=shown.append)
    assert (folder / "sample_3d.mp4").is_file()
    assert torch.cat(shown).shape == (5, 64, 96, 3)
