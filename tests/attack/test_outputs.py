"""No command overwrites a file that it reads, that exists, or that another process writes."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stereoreel.cli.main import main
from stereoreel.core import files
from stereoreel.core.lock import LOCK_PREFIX
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from tests.support.films import graph, sink, source
from tests.support.hearing import Hearing

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "film.mp4"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / SOURCE, shots=(4, 3))


@pytest.fixture
def folder(video, tmp_path, monkeypatch):
    """Enter a folder with a source and a workflow that names it, and nothing else."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, SOURCE)
    made = graph(format="h264")
    made["2"]["inputs"].update(multiplier=1, cuts="4")
    Path("graph.json").write_text(json.dumps(made))
    return tmp_path


def encode(**options) -> None:
    made = json.loads(Path("graph.json").read_text())
    made["4"]["inputs"].update(options)
    Path("graph.json").write_text(json.dumps(made))


def everything() -> dict[str, bytes | str]:
    """Return every file, link and folder below the current folder."""
    return {
        str(path): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else "folder"
        for path in sorted(Path().rglob("*"))
    }


def refused(capsys, *command: str) -> str:
    """Return the error with which a command is refused, after a check that nothing has changed."""
    before = everything()
    assert main([*command, "--device", "cpu"]) == 1
    assert everything() == before
    said = capsys.readouterr().err.strip().splitlines()[-1]  # before it there may be a line of progress
    assert said.startswith("error: ") and "[Errno" not in said
    return said


COMMANDS = [("run",), ("run", "--overwrite"), ("film",), ("film", "--overwrite")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("given", [True, False], ids=["--input", "named by the workflow"])
@pytest.mark.parametrize("way", ["name", "other path", "link", "hard link", "link to folder"])
def test_source_is_never_an_output(folder, capsys, command, given, way):
    os.mkdir("sub")
    match way:
        case "name":
            output = SOURCE
        case "other path":
            output = f"sub/../{SOURCE}"
        case "link":
            os.symlink(SOURCE, output := "link.mp4")
        case "hard link":
            os.link(SOURCE, output := "hard.mp4")
        case "link to folder":
            os.symlink(".", "here")
            output = f"here/{SOURCE}"
    inputs = ["--input", SOURCE] if given else []
    said = refused(capsys, command[0], "graph.json", *inputs, "--output", output, *command[1:])
    assert f"{output} is a file that this job reads" in said and "Choose another output name." in said


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "options, source_name, output",
    [
        ({"layout": "two_files"}, "m_R.mp4", "m.mp4"),
        ({"layout": "two_files"}, "m_R.mp4", "m_L.mp4"),
        ({}, "m_depth.mp4", "m.mp4"),
    ],
)
def test_files_next_to_the_source_are_never_outputs(folder, capsys, command, options, source_name, output):
    encode(depth=["2", 0], **options)
    os.rename(SOURCE, source_name)
    said = refused(capsys, command[0], "graph.json", "--input", source_name, "--output", output, *command[1:])
    assert f"{source_name} is a file that this job reads" in said


@pytest.mark.parametrize("command", [("run",), ("film",)], ids=" ".join)
@pytest.mark.parametrize("what", ["file", "empty file", "link", "dangling link", "pipe", "depth"])
def test_existing_output_is_kept(folder, capsys, command, what):
    match what:
        case "file" | "empty file":
            Path("out.mp4").write_text("mine" if what == "file" else "")
        case "link" | "dangling link":
            Path("thesis.txt").write_text("mine")
            os.symlink("thesis.txt" if what == "link" else "nowhere", "out.mp4")
        case "pipe":
            if not hasattr(os, "mkfifo"):
                pytest.skip("this system has no named pipes")
            os.mkfifo("out.mp4")
        case "depth":
            encode(depth=["2", 0])
            Path("out_depth.mp4").write_text("mine")
    said = refused(capsys, command[0], "graph.json", "--input", SOURCE, "--output", "out.mp4")
    assert (
        "not an ordinary file" in said
        if what == "pipe"
        else "already exists. Choose another name, or replace it with --overwrite" in said
    )


@pytest.mark.parametrize("command", ["run", "film"])
@pytest.mark.parametrize("link", [False, True])
def test_overwrite_replaces_a_link_and_not_its_target(folder, command, link):
    Path("thesis.txt").write_text("mine")
    if link:
        os.symlink("thesis.txt", "out.mp4")
    else:
        Path("out.mp4").write_text("yesterday's")
    assert (
        main(
            [
                command,
                "graph.json",
                "--input",
                SOURCE,
                "--output",
                "out.mp4",
                "--overwrite",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert Path("thesis.txt").read_text() == "mine" and not Path("out.mp4").is_symlink()
    assert Path("out.mp4").read_bytes()[4:8] == b"ftyp"
    assert sorted(os.listdir()) == sorted([SOURCE, "graph.json", "out.mp4", "thesis.txt"])


@pytest.mark.parametrize("command", ["run", "film"])
@pytest.mark.parametrize(
    "output, said",
    [
        ("out", "is a folder. Name a file in it, such as out"),
        ("out.mp4", "is a folder. Name a file in it, such as out.mp4"),
        ("thesis.txt/out.mp4", "thesis.txt is a file, so nothing can be stored in it"),
        ("x" * 300 + ".mp4", "is too long"),
    ],
)
def test_impossible_output_is_refused_before_any_work(folder, capsys, command, output, said):
    os.mkdir("out"), os.mkdir("out.mp4")
    Path("thesis.txt").write_text("mine")
    assert said in refused(capsys, command, "graph.json", "--input", SOURCE, "--output", output)


def test_number_is_free_if_all_its_names_are(folder, capsys):
    made = json.loads(Path("graph.json").read_text())
    made["5"] = {**made["4"], "inputs": {**made["4"]["inputs"], "filename_prefix": "movie"}}
    os.mkdir("output"), os.rename(SOURCE, "output/movie_00001_LRF_Full_SBS_depth.mp4")
    made["5"]["inputs"]["depth"] = ["2", 0]
    Path("graph.json").write_text(json.dumps(made))
    main(["run", "graph.json", "--input", "output/movie_00001_LRF_Full_SBS_depth.mp4", "--device", "cpu"])
    assert "movie_00002" in capsys.readouterr().out


@pytest.mark.parametrize(
    "metrics", [SOURCE, "graph.json", "out.mp4", "thesis.txt", "dangling", "out.mp4.job", "m" * 250]
)
def test_metrics_replace_only_metrics(folder, capsys, metrics):
    Path("thesis.txt").write_text("mine")
    os.symlink("nowhere", "dangling")
    refused(capsys, "film", "graph.json", "--input", SOURCE, "--output", "out.mp4", "--metrics", metrics)
    arguments = ["film", "graph.json", "--input", SOURCE, "--device", "cpu", "--metrics", "figures.prom"]
    assert main([*arguments, "--output", "out.mp4"]) == 0 and main([*arguments, "--output", "more.mp4"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["workflows", "--order", "extract,depth,encode", "--name", "mine"],
        ["advise", SOURCE, "--output", "page", "--calibration", "0"],
        ["orders", SOURCE, "--output", "page"],
        ["orders", SOURCE, "--json", "mine.json"],
    ],
    ids=" ".join,
)
def test_other_commands_keep_what_exists(folder, capsys, command):
    os.mkdir("page")
    for name in ("mine.json", "mine.api.json", "page/advice.txt", "page/report.txt"):
        Path(name).write_text("mine")
    before = everything()
    assert main(command) == 1
    assert "already exists" in capsys.readouterr().err and everything() == before


# Two processes


def test_two_runs_never_share_an_output(folder, video):
    """The second is refused while the first works; the file has the first one's frames."""
    job, refusals = sink(video, json.loads(Path("graph.json").read_text())), []

    def second(frames, shown):
        if not refusals:
            with pytest.raises(
                BlockingIOError, match=r"out\.mp4 is in use by process \d+ on .*\. Wait for it, stop it"
            ) as error:
                write(RenderRequest(job.clip, Path("out.mp4"), job.settings), Headless("cpu"))
            refusals.append(error)

    assert write(
        RenderRequest(job.clip, Path("out.mp4"), job.settings), Headless("cpu"), Hearing(chunk=second)
    ) == [Path("out.mp4")]
    assert refusals and sorted(os.listdir()) == sorted([SOURCE, "graph.json", "out.mp4"])


def test_file_created_meanwhile_is_kept(folder, video, caplog):
    job = sink(video, json.loads(Path("graph.json").read_text()))
    hearing = Hearing(chunk=lambda frames, shown: Path("out.mp4").write_text("mine"))
    written = write(RenderRequest(job.clip, Path("out.mp4"), job.settings), Headless("cpu"), hearing)
    assert written == [Path("out_2.mp4")] and Path("out.mp4").read_text() == "mine"
    assert "out.mp4 appeared meanwhile and is kept; this file is out_2.mp4" in caplog.text


@pytest.mark.parametrize("size_mb", [0, 0.05])
def test_foreign_parts_are_kept(folder, video, size_mb):
    """A link in place of the part is not followed, and parts that no lock names are not removed."""
    Path("thesis.txt").write_text("mine")
    os.symlink("thesis.txt", "out.mp4.part")
    Path("out.mp4.0badf00d.part").write_text("mine")
    Path(".out.mp4.lock").write_bytes(
        LOCK_PREFIX + b"1 on a\nthesis.txt\n../out.mp4.0badf00d.part\nx.mp4.12345678.part\n"
    )
    job = sink(video, json.loads(Path("graph.json").read_text()))
    settings = replace(job.settings, size_mb=float(size_mb))
    write(RenderRequest(job.clip, Path("out.mp4"), settings), Headless("cpu"))
    assert {
        path: Path(path).read_text() for path in ("thesis.txt", "out.mp4.0badf00d.part")
    } == dict.fromkeys(("thesis.txt", "out.mp4.0badf00d.part"), "mine")
    assert Path("out.mp4.part").is_symlink() and not Path(".out.mp4.lock").exists()


def test_foreign_lock_is_kept(folder, capsys):
    Path(".out.mp4.lock").write_text("my notes")
    assert "is not a lock of StereoReel" in refused(
        capsys, "run", "graph.json", "--input", SOURCE, "--output", "out.mp4"
    )


def test_lock_that_is_a_link_is_not_followed(folder, capsys):
    Path("thesis.txt").write_text("")
    os.symlink("thesis.txt", ".out.mp4.lock")
    refused(capsys, "run", "graph.json", "--input", SOURCE, "--output", "out.mp4")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_part_of_a_killed_process_is_removed(folder):
    """The lock names the part, and only that one is removed."""
    code = (
        "import os, signal; from pathlib import Path; from stereoreel.core.files import OutputFile\n"
        "with OutputFile(Path('out.mp4')) as output: output.create(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    [part] = Path().glob("out.mp4.*.part")
    Path("out.mp4.0badf00d.part").write_text("mine")
    assert main(["run", "graph.json", "--input", SOURCE, "--output", "out.mp4", "--device", "cpu"]) == 0
    assert not part.exists() and Path("out.mp4.0badf00d.part").exists() and not Path(".out.mp4.lock").exists()


def test_lock_of_the_next_holder_is_not_removed(folder):
    lock = Path(".out.mp4.lock")
    with files.OutputFile(Path("out.mp4")):
        lock.unlink()
        lock.write_bytes(LOCK_PREFIX + b"7 on another computer\n")  # as the next holder's
    assert lock.exists()


def test_unreadable_lock_occupies_its_number(folder):
    os.makedirs("output/video/.StereoReel_00001_LRF_Full_SBS.mp4.lock")
    assert main(["run", "graph.json", "--input", SOURCE, "--device", "cpu"]) == 0
    assert os.path.exists("output/video/StereoReel_00002_LRF_Full_SBS.mp4")


def test_workflows_that_are_read_are_not_overwritten(tmp_path, capsys, monkeypatch):
    """A workflow without a title, such as one that a user added, would have its canvas file there."""
    api = tmp_path / "workflows" / "api"
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows")
    shutil.copy(api / "default.json", api / "mine.json")
    monkeypatch.setattr("stereoreel.cli.main.WORKFLOWS", tmp_path / "workflows")
    before = {path.name: path.read_bytes() for path in api.iterdir()}
    assert main(["workflows", "--folder", str(api), "--overwrite"]) == 1
    assert {path.name: path.read_bytes() for path in api.iterdir()} == before


def test_disks_without_locks_and_hard_links(folder, video, monkeypatch):
    """As on some network disks and FAT: the system says so, and names are still never shared."""

    def refuse(*arguments, **more):
        raise OSError(next(iter(files.NO_HARD_LINKS)), "not supported")

    monkeypatch.setattr(os, "link", refuse)
    job = sink(video, json.loads(Path("graph.json").read_text()))
    assert write(RenderRequest(job.clip, Path("out.mp4"), job.settings), Headless("cpu")) == [Path("out.mp4")]
    hearing = Hearing(chunk=lambda frames, shown: Path("new.mp4").write_text("mine"))
    request = RenderRequest(job.clip, Path("new.mp4"), job.settings)
    assert write(request, Headless("cpu"), hearing) == [Path("new_2.mp4")]
    assert Path("new.mp4").read_text() == "mine"


def test_writer_replaces_the_file_when_complete(folder, video):
    """The low level, for our own files: the old file stays until the new one is complete."""
    job = sink(video, json.loads(Path("graph.json").read_text()))
    Path("unit.mp4").write_text("yesterday's")
    with pytest.raises(ValueError, match="no frame"), Writer(Path("unit.mp4"), job.clip.info, job.settings):
        assert Path("unit.mp4").read_text() == "yesterday's"
    assert Path("unit.mp4").read_text() == "yesterday's" and not list(Path().glob("*.part"))
