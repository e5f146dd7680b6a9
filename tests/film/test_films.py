"""Many films with one command: names, links, failures, cancellation, and what is never taken or replaced."""

import json
import os
import shutil
import subprocess
import unicodedata
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image

from stereoreel.cli.interrupt import Cancelled
from stereoreel.cli.main import main
from stereoreel.film import run as film_run
from stereoreel.film.batch import Naming, name_outputs
from tests.support.films import source

GRAPH = {
    "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "cuts": False}},
    "2": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "speed": "fast"}},
}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / "film.mp4", shots=(4, 3), sound=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Enter a folder with a workflow and an empty folder ``in``."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("graph.json").write_text(json.dumps(GRAPH))
    return tmp_path


@pytest.fixture
def put(video, folder):
    """Return a function that puts copies of the film there."""

    def put(*names: str) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(video, folder / name)

    return put


def films(*given, to="out", command="film") -> int:
    given = given or ("in",)
    return main([command, "graph.json", "--input", *map(str, given), "--output", to, "--device", "cpu"])


def tree(path="out") -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in Path(path).rglob("*") if file.is_file())


def counted(path) -> int:
    """Return the number of frames that FFmpeg itself decodes."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "framecrc", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sum(not line.startswith("#") for line in text.splitlines())


def summary(path="sum.json") -> dict[str, dict]:
    return {Path(film["input"]).name: film for film in json.loads(Path(path).read_text())["films"]}


def test_folder_is_mirrored_and_the_same_command_finds_it_complete(put, capsys):
    put("in/shot 10.mp4", "in/shot 2.mp4", "in/day one/Take.mov.mp4")
    assert films() == 0
    assert tree() == ["day one/Take.mov.mp4", "shot 10.mp4", "shot 2.mp4"]
    assert all(counted(Path("out", name)) == 7 for name in tree())
    said = capsys.readouterr()
    assert [Path(line).name for line in said.out.splitlines()] == [
        "Take.mov.mp4",
        "shot 2.mp4",
        "shot 10.mp4",
    ]
    assert "3 of 3 · shot 10.mp4" in said.err and "3 of 3 films are complete." in said.err
    before = {name: Path("out", name).stat().st_mtime_ns for name in tree()}
    assert films() == 0
    assert capsys.readouterr().err.count("is already complete") == 3
    assert before == {name: Path("out", name).stat().st_mtime_ns for name in tree()}


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["in/*.mp4"], ["a.mp4", "b.mp4"]),
        (["in/**/*.mp4"], ["a.mp4", "b.mp4", "sub/c.mp4"]),
        (["in/a.mp4", "in/sub/c.mp4"], ["a.mp4", "sub/c.mp4"]),  # as a shell expands a pattern
        (["in/*"], ["a.mp4", "b.mp4", "sub/c.mp4"]),
        (["in/[ab].mp4"], ["a.mp4", "b.mp4"]),
        (["take [2]/*.mp4"], ["a.mp4", "b.mp4"]),
        (["take [2]/**/[ac].mp4"], ["a.mp4", "sub/c.mp4"]),
        (["in/sub", "other"], ["in/sub/c.mp4", "other/a.mp4"]),
    ],
    ids=str,
)
def test_patterns_and_several_inputs(put, given, made):
    put("in/a.mp4", "in/b.mp4", "in/sub/c.mp4", "other/a.mp4")
    shutil.copytree("in", "take [2]")
    assert films(*given) == 0
    assert tree() == made


def test_file_whose_name_looks_like_a_pattern_is_that_file(put):
    put("in/[ab].mp4", "in/a.mp4")
    assert films("in/[ab].mp4", to="out.mp4") == 0
    assert counted("out.mp4") == 7 and not Path("out").exists()


def test_workflow_may_follow_the_input(put):
    put("in/a.mp4")
    assert main(["film", "--input", "in/a.mp4", "graph.json", "--output", "out.mp4", "--device", "cpu"]) == 0
    assert counted("out.mp4") == 7


def test_names_that_differ_in_their_suffix_are_decided_before_the_first_film(put):
    put("in/a.mkv", "in/a.mp4", "in/A.MOV")
    assert films() == 0
    assert tree() == ["A_mov.mp4", "a.mp4", "a_mkv.mp4"]
    Path("out/a.mp4").unlink()
    assert films() == 0 and tree() == ["A_mov.mp4", "a.mp4", "a_mkv.mp4"]


def test_film_keeps_the_name_that_it_has_when_another_appears(put, capsys):
    put("in/a.mkv")
    assert films() == 0 and tree() == ["a.mp4"]
    put("in/a.mp4", "in/a.avi")
    assert films("in", "--summary", "sum.json") == 0
    assert {name: Path(one["output"]).name for name, one in summary().items()} == {
        "a.avi": "a_avi.mp4", "a.mkv": "a.mp4", "a.mp4": "a_mp4.mp4",
    }  # fmt: skip
    assert summary()["a.mkv"]["state"] == "complete"


def test_film_keeps_a_name_with_its_suffix_whatever_appears_or_goes(put):
    put("in/a.mkv", "in/a.mp4")
    assert films() == 0 and tree() == ["a.mp4", "a_mkv.mp4"]
    put("in/a_mkv.mp4")
    assert films("in", "--summary", "sum.json") == 0
    assert {name: (Path(one["output"]).name, one["state"]) for name, one in summary().items()} == {
        "a.mkv": ("a_mkv.mp4", "complete"), "a.mp4": ("a.mp4", "complete"),
        "a_mkv.mp4": ("a_mkv_mp4.mp4", "made"),
    }  # fmt: skip
    Path("in/a.mp4").unlink()
    assert films("in", "--summary", "sum.json") == 0
    assert summary()["a.mkv"]["state"] == summary()["a_mkv.mp4"]["state"] == "complete"


def test_names_are_unique_whatever_else_is_written():
    def depth(path):
        return [path.with_name(f"{path.stem}_depth{path.suffix}")]

    def made(*names, also=depth):
        films = {Path(name): Path(name) for name in names}
        return [path.as_posix() for path in name_outputs(films, Path("o"), Naming(".mp4", also))]

    assert made("a.mp4", "a_depth.mp4") == ["o/a.mp4", "o/a_depth_mp4.mp4"]
    assert made("a.mp4", "a_depth.mp4", also=lambda path: []) == ["o/a.mp4", "o/a_depth.mp4"]
    assert made("a.mkv", "a.mp4", "a_mkv.mkv") == ["o/a_mkv_2.mp4", "o/a.mp4", "o/a_mkv.mp4"]
    composed = "é.mp4"
    apart = unicodedata.normalize("NFD", composed)
    assert len({unicodedata.normalize("NFC", name) for name in made(composed, apart)}) == 2
    [long] = made(f"{'ü' * 120}.mkv")
    assert len(long[2:].encode()) <= 200 and long.endswith(".mp4")


def test_what_is_no_film_is_left_out_with_a_line(put, folder, capsys):
    put("in/a.mp4", "in/no suffix", "in/.hidden.mp4", "in/b.mp4.0123abcd.part")
    Path("in/notes.txt").write_text("hello")
    Path("in/fake.mp4").write_text("a text\n" * 900)
    Image.new("RGB", (64, 48)).save("in/cover.jpg")
    Image.new("RGB", (64, 48)).save("in/cover.tiff")
    assert films("in", "--summary", "sum.json") == 0
    assert tree() == ["a.mp4", "no suffix.mp4"]
    said = capsys.readouterr().err
    for name, why in {"notes.txt": "not a video", "fake.mp4": "not a video", "cover.jpg": "an image"}.items():
        assert f"{name}: it is {why}." in said
        assert summary()[name]["state"] == "left out"
    assert "hidden" not in said and ".part" not in said


def test_failed_film_is_reported_and_the_others_are_made(put, video, capsys):
    put("in/a.mp4", "in/z.mp4")
    Path("in/cut.mp4").write_bytes(video.read_bytes()[:900])
    Path("in/empty.mov").touch()
    os.symlink("nowhere", "in/gone.mp4")
    assert films("in", "--summary", "sum.json") == 1
    assert tree() == ["a.mp4", "z.mp4"]
    said = capsys.readouterr().err
    assert "2 of 5 films are complete.\n3 failed:\n" in said and "then run the same command." in said
    assert "The link leads to no file" in said
    found = summary()
    assert {name: one["state"] for name, one in found.items()} == {
        "a.mp4": "made", "z.mp4": "made", "cut.mp4": "failed", "empty.mov": "failed", "gone.mp4": "failed",
    }  # fmt: skip
    assert "not a readable video" in found["cut.mp4"]["error"]
    assert found["a.mp4"]["frames"] == 7 and found["a.mp4"]["files"] == [str(Path("out/a.mp4"))]
    put("in/cut.mp4")
    Path("in/gone.mp4").unlink()
    Path("in/empty.mov").unlink()
    assert films("in", "--summary", "sum.json") == 0
    assert {name: one["state"] for name, one in summary().items()} == {
        "a.mp4": "complete", "z.mp4": "complete", "cut.mp4": "made",
    }  # fmt: skip


def test_film_that_is_found_twice_is_made_once(put, capsys):
    put("in/b.mp4", "in/sub/c.mp4")
    os.link("in/b.mp4", "in/d.mp4")
    os.symlink("b.mp4", "in/a.mp4")
    os.symlink("sub", "in/linked")
    assert films("in", "in/b.mp4", "in/sub") == 0
    assert tree() == ["b.mp4", "sub/c.mp4"]
    said = capsys.readouterr().err
    assert "a.mp4: it is the same file as" in said and "d.mp4: it is the same file as" in said
    assert "linked: it is a link to a folder" in said


@pytest.mark.parametrize("name", ["new\nline.mp4", "🎬 é 日本.mp4", f"{'x' * 240}.mp4", b"\xff.mp4"])
def test_odd_names_become_files(put, name, capsys):
    try:
        put(os.fsdecode(name))
    except OSError:
        pytest.skip("the file system has no such names")
    Path(os.fsdecode(name)).rename(Path("in", os.fsdecode(name)))
    assert films("in", "--summary", "sum.json") == 0
    [made] = tree()
    assert made.isprintable() or "\udcff" in made
    assert counted(Path("out", made)) == 7


def test_results_and_jobs_in_the_input_folder_are_no_inputs(put, capsys):
    put("in/a.mkv", "in/sub/b.mkv")
    job, kept = Path("in/c.mp4.job/0123456789ab"), "in/keep/ba9876543210"
    (job / "units").mkdir(parents=True)
    (job / "job.json").write_text("{}")
    put(f"{job}/units/00000.0.mp4", f"{kept}/0-7.mp4")
    for _ in range(2):
        assert films("in", to="in") == 0
        assert films("in/**/*", to="in") == 0
    films_there = {"a.mkv", "a.mp4", "sub/b.mkv", "sub/b.mp4"}
    there = {name for name in tree("in") if "0123456789" not in name and "9876543210" not in name}
    assert there == films_there
    assert "in/a.mp4: StereoReel made it." in capsys.readouterr().err


def test_output_folder_inside_the_input_folder_is_not_searched(put):
    put("in/a.mkv", "in/out/mine.mp4")
    for _ in range(2):
        assert films("in", to="in/out") == 0
        assert tree("in") == ["a.mkv", "out/a.mp4", "out/mine.mp4"]


def test_no_film_is_replaced(put, capsys):
    put("in/a.mp4", "in/b.mkv")
    before = Path("in/a.mp4").read_bytes()
    for words in ([], ["--overwrite"]):
        assert films("in", *words, to="in") == 1
        assert "is a film that this command reads" in capsys.readouterr().err
    assert tree("in") == ["a.mp4", "b.mkv"] and Path("in/a.mp4").read_bytes() == before
    Path("out").mkdir()
    Path("out/b.mp4").write_text("mine")
    assert films("in") == 1
    assert Path("out/b.mp4").read_text() == "mine" and "already exists" in capsys.readouterr().err
    assert tree() == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["in", "--output", "out.mp4"],
            "--input in is a folder, but --output out.mp4 names one file. Name a folder",
        ),
        (["in", "--output", "graph.json"], "but --output graph.json names one file"),
        (["in/*", "--output", "out.mp4"], "--input names several films, but --output out.mp4 names one file"),
        (["empty", "--output", "out"], "There is no video in empty. Check the name."),
        (["in/*.xyz", "--output", "out"], "There is no video in in/*.xyz. Check the name."),
        (["in", "--output", "out", "--summary", "mine.txt"], "mine.txt is not a summary of StereoReel"),
        (["in", "--output", "out", "--summary", "in/a.mp4"], "is a file that this job reads"),
        (["in", "--output", "out", "--set", "encode.format=betamax"], "format must be one of"),
        (["in", "--output", "out", "--device", "abacus"], "abacus"),
        (["in/a.mp4", "--output", "out.mp4", "--summary", "s.json"], "--summary is for several films"),
    ],
    ids=str,
)
def test_refused_before_the_first_film(put, words, said, capsys):
    put("in/a.mp4", "in/b.mp4")
    Path("empty").mkdir()
    Path("mine.txt").write_text("mine")
    before = tree(".")
    assert main(["film", "graph.json", "--input", *words]) == 1
    assert said in capsys.readouterr().err and tree(".") == before


def test_cancelled_command_says_how_to_go_on(put, capsys, monkeypatch):
    put("in/a.mp4", "in/b.mp4", "in/c.mp4")
    real, begun = film_run.join, []

    def cancelled(job, request, *more):
        begun.append(request.path.name)
        if begun == ["a.mp4", "b.mp4"]:
            raise Cancelled
        return real(job, request, *more)

    monkeypatch.setattr(film_run, "join", cancelled)
    assert films("in", "--summary", "sum.json") == 130
    said = capsys.readouterr().err
    assert "1 of 3 films is complete." in said or "1 of 3 films are complete." in said
    assert "Run the same command again to continue." in said
    assert [one["state"] for one in summary().values()] == ["made", "cancelled", "pending"]
    assert films("in", "--summary", "sum.json") == 0
    assert "Resuming: 1 of 1 units" in capsys.readouterr().err
    assert [one["state"] for one in summary().values()] == ["complete", "made", "made"]
    assert tree() == ["a.mp4", "b.mp4", "c.mp4"]


def test_film_that_vanishes_or_grows_meanwhile_fails_alone(put, capsys, monkeypatch):
    put("in/a.mp4", "in/b.mp4", "in/c.mp4")
    real = film_run.compute_missing

    def meanwhile(job, crew, observer):
        real(job, crew, observer)
        if "a.mp4" in str(job.root):
            Path("in/b.mp4").unlink()
        elif "c.mp4" in str(job.root):
            with Path("in/c.mp4").open("ab") as file:
                file.write(b"\0\0\0\x08free")

    with monkeypatch.context() as patched:
        patched.setattr(film_run, "compute_missing", meanwhile)
        assert films("in", "--summary", "sum.json") == 1
    assert [path for path in tree() if ".job/" not in path] == ["a.mp4"]
    assert "There is no file" in summary()["b.mp4"]["error"]
    assert "c.mp4 changed while it was read" in summary()["c.mp4"]["error"]
    put("in/b.mp4")
    assert films("in") == 0
    assert counted("out/b.mp4") == counted("out/c.mp4") == 7


def test_json_ends_with_the_summary(put, capsys):
    put("in/a.mp4", "in/b.mp4")
    assert films("in", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("units") for line in lines] == [1, 1, None]
    assert lines[-1]["complete"] == 2 and [film["state"] for film in lines[-1]["films"]] == ["made", "made"]


def test_input_that_does_not_exist_fails_alone(put, capsys):
    put("in/a.mp4", "in/z.mp4")
    assert films("gone", "in") == 1
    assert tree() == ["in/a.mp4", "in/z.mp4"]
    assert "gone: There is no file gone. Check the name." in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user without all rights")
def test_folder_that_cannot_be_read_is_a_fault(put, capsys):
    put("in/a.mp4", "in/sub/b.mp4")
    Path("in/sub").chmod(0)
    try:
        assert films() == 1
    finally:
        Path("in/sub").chmod(0o755)
    assert tree() == ["a.mp4"] and "in/sub: Permission denied" in capsys.readouterr().err


def test_workflow_takes_a_folder_and_an_index(put, capsys):
    put("in/shot 2.mp4", "in/shot 10.mp4")
    words = ["run", "graph.json", "--set", "extract.folder=in", "--set", "encode.filename_prefix=x/%source%"]
    assert main([*words, "--set", "extract.index=1"]) == 0
    assert counted("output/x/shot 10_00001.mp4") == 7
    assert main([*words, "--set", "extract.index=2"]) == 1
    assert "has videos 0 to 1 and none at index 2. To begin again, set index to 0." in capsys.readouterr().err
    assert main([*words, "--set", "extract.folder=nowhere"]) == 1
    assert "There is no folder nowhere. Create it, or choose another." in capsys.readouterr().err


@pytest.mark.parametrize("prefix", ["%source%", "%source%/%source%_%source%", "folder of %source%/film"])
def test_long_source_names_are_shortened_where_file_systems_end(put, prefix):
    put(f"in/{'ü' * 122}.mp4", f"in/{'ü' * 121}ö.mp4")
    for index in (0, 1):
        words = ["run", "graph.json", "--set", "extract.folder=in", "--set", f"extract.index={index}"]
        assert main([*words, "--set", f"encode.filename_prefix={prefix}"]) == 0
    made = [path for path in tree("output") if counted(f"output/{path}") == 7]
    assert len(made) == 2 and len({path.replace("00002", "00001") for path in made}) == 2
    assert all(len(part.encode()) <= 220 for path in made for part in path.split("/"))


def test_plan_lists_the_units_of_each_film_and_makes_nothing(put, folder, capsys):
    put("in/a.mp4", "in/b.mkv")
    before = tree(".")
    assert films("in", "--plan") == 0
    lines = capsys.readouterr().out.splitlines()
    first, second = Path("out/a.mp4"), Path("out/b.mp4")
    assert lines[::2] == [f"1 of 2 · a.mp4 -> {first}", f"2 of 2 · b.mkv -> {second}"]
    assert all("frames 0 to 6" in line for line in lines[1::2]) and tree(".") == before


def test_run_takes_a_folder_too(put, capsys):
    put("in/a.mp4", "in/sub/b.mkv")
    assert films("in", command="run") == 0
    assert tree() == ["a.mp4", "sub/b.mp4"]
    assert films("in", command="run") == 1 and "already exists" in capsys.readouterr().err


def test_warning_belongs_to_its_film(put, video, capsys):
    put("in/a.mp4", "in/c.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video), "-c", "copy", "whole.ts"]
    subprocess.run(command, check=True)
    Path("in/b.ts").write_bytes(Path("whole.ts").read_bytes()[: -2 * 188])
    assert films("in", "--summary", "sum.json", "--json") == 0
    said = capsys.readouterr()
    *units, _ = map(json.loads, said.out.splitlines())
    assert [bool(unit["warnings"]) for unit in units] == [False, True, False]
    found = summary()
    assert found["a.mp4"]["warnings"] == found["c.mp4"]["warnings"] == []
    [warning] = found["b.ts"]["warnings"]
    assert f"warning: {warning}" in said.err.splitlines()


def test_numbered_pictures_are_one_film_unless_films_are_with_them(put, capsys):
    Path("in/frames").mkdir()
    for number in range(1, 4):
        Image.new("RGB", (32, 32), (80 * number, 0, 0)).save(f"in/frames/{number:03}.png")
    for place, given in enumerate(("in/frames", "in/frames/*.png", "in/frames/%03d.png")):
        assert films(given, to=f"{place}.mp4") == 0
        assert counted(f"{place}.mp4") == 3
    for _ in range(2):  # the film of the pictures may lie next to them
        assert films("in/frames", to="in/frames/out.mp4") == 0
    Path("in/frames/out.mp4").unlink()
    put("in/frames/film.mp4")
    assert films("in/frames") == 0
    assert tree() == ["film.mp4"]


@pytest.mark.parametrize("name", ["out/../out/a.mp4", "out/a.mp4.job", "{here}/out/a.mp4"])
def test_summary_is_no_film_and_no_job(put, name, capsys):
    put("in/a.mp4", "in/b.mp4")
    assert films("in", "--summary", name.format(here=Path.cwd())) == 1
    assert "is the name of a film or of its job" in capsys.readouterr().err
    assert not Path("out").exists()


def test_input_replaces_the_folder_of_the_workflow(put):
    graph = json.loads(json.dumps(GRAPH))
    graph["1"]["inputs"] |= {"folder": "sample", "index": 2}
    Path("graph.json").write_text(json.dumps(graph))
    put("in/a.mp4", "in/b.mp4")
    assert films() == 0
    assert tree() == ["a.mp4", "b.mp4"]
