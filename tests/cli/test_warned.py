"""Warnings of film and run stand on lines of their own, once each, and again at the end."""

import json

import pytest

from stereoreel.cli.main import main
from tests.media.workshop import run

GRAPH = {
    "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mkv", "cuts": False}},
    "2": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "speed": "fast"}},
}


@pytest.fixture
def film(tmp_path):
    """Two short recordings one after the other, with teletext that nothing can hold; and a workflow."""
    graph, video = tmp_path / "graph.json", tmp_path / "film.ts"
    graph.write_text(json.dumps(GRAPH))
    parts = []
    for begin in (0, 3600):
        part = tmp_path / f"{begin}.ts"
        picture = (
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=96x64:r=25:d=1",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
        )
        run(*picture, "-output_ts_offset", begin, part)
        parts.append(part.read_bytes())
    video.write_bytes(b"".join(parts))
    return [str(graph), "--input", str(video), "--output", str(tmp_path / "out.mp4"), "--device", "cpu"]


@pytest.mark.parametrize("command", ["run", "film"])
def test_a_warning_has_its_own_line_and_is_repeated_at_the_end(command, film, capsys):
    assert main([command, *film]) == 0
    printed = capsys.readouterr().err
    lines = [line.strip() for line in printed.replace("\r", "\n").splitlines()]
    said = [line for line in lines if "jumps in its clock" in line]
    assert len(said) == 2 and said[0].startswith("warning: film.ts has jumps")
    assert said[1] == said[0].replace("warning", "1 warning", 1) == lines[-1]


def test_warnings_are_in_the_figures(film, capsys):
    assert main(["film", *film, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert ["jumps in its clock" in warning for warning in json.loads(line)["warnings"]] == [True]
