"""Films whose strength by shot is found ahead: in units as in one run, resumed, on workers, and by hand."""

import json

import pytest

from stereoreel.cli.main import main
from stereoreel.core.pull import look_ahead
from stereoreel.film import cuts, job_folder, plans
from stereoreel.film.identity import described, environment
from stereoreel.film.worker import Worker, code
from stereoreel.models.headless import Headless
from stereoreel.stages.stereo.look_ahead import LookAhead
from tests.support.films import graph, hashes, make, run, sink, source

STRONG = {"strength": "strong", "screen": "tv"}


class Cancel(Exception):
    pass


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / "film.mp4")


def strong(**stereo) -> dict:
    made = graph()
    made["3"]["inputs"] |= STRONG | stereo
    return made


def command(folder, video, *words) -> list[str]:
    (folder / "graph.json").write_text(json.dumps(strong()))
    files = [str(folder / "graph.json"), "--input", str(video), "--output", str(folder / "out.mp4")]
    return ["film", *files, "--unit", "8", "--device", "cpu", *words]


def test_film_in_units_equals_a_run_and_differs_from_one_by_hand(video, tmp_path):
    said = []
    make(video, tmp_path / "film.mp4", strong(), said=said, keep=True)
    frames = run(video, tmp_path / "run.mp4", strong())
    assert hashes(tmp_path / "film.mp4") == frames != run(video, tmp_path / "by_hand.mp4")
    [line] = [line for line in said if "strong on a tv screen" in line]
    assert line.startswith("Stereo Pair (node 3): strong on a tv screen: 5 shots, strength ")


def test_resuming_uses_the_stored_plan_and_looks_ahead_once(video, tmp_path, monkeypatch):
    path, found, calls = tmp_path / "film.mp4", LookAhead._reliefs, []
    monkeypatch.setattr(LookAhead, "_reliefs", lambda *given: calls.append(1) or found(*given))

    def tick(done, total):
        if done >= 30:
            raise Cancel

    with pytest.raises(Cancel):
        make(video, path, strong(), tick=tick)
    file = job_folder(path) / "plans.json"
    [stored] = json.loads(file.read_text()).values()
    assert len(calls) == 1 and [bool(text) for text in stored] == [False, True]
    make(video, path, strong(), keep=True)
    assert len(calls) == 1 and hashes(path) == run(video, tmp_path / "run.mp4", strong())
    make(video, path, strong())
    assert path.is_file() and not job_folder(path).exists()  # recognised as complete, without looking


def test_another_stored_plan_is_another_job(video, tmp_path):
    path = tmp_path / "film.mp4"
    make(video, path, strong(), keep=True)
    file = job_folder(path) / "plans.json"
    [(name, [_, text])] = json.loads(file.read_text()).items()
    path.unlink()
    file.write_text(json.dumps({name: ["", "0,1,0.5\n"]}))
    said = []
    make(video, path, strong(), keep=True, said=said)
    assert any("because found of Stereo Pair (node 3) changed" in line for line in said)
    file.write_text("not JSON")
    path.unlink()
    make(video, path, strong(), said=said, keep=True)
    assert json.loads(file.read_text()) == {name: ["", text]}


def test_worker_uses_the_plan_of_the_head(video, tmp_path):
    job, host = sink(video, strong()), Headless("cpu")
    look_ahead([job.clip], host, lambda label, text: None)
    (tmp_path / "units").mkdir()
    sent = {
        "workflow": strong(), "input": str(video), "device": "cpu", "cuts": cuts.found([job.clip]),
        "found": plans.found([job.clip]), "mixed": False, "verify": True, "models": str(tmp_path),
        "environment": {**environment(host), "code": code()}, "token": "none", "store": "",
        "kept": str(tmp_path), "place": str(tmp_path / "units"),
        "identity": described([job.clip], job.settings, host),
    }  # fmt: skip
    made, *_ = Worker(json.loads(json.dumps(sent))).make(0, [0, 20, 0, 20])
    assert made["frames"][0] == run(video, tmp_path / "run.mp4", strong())[:20]
    with pytest.raises(ValueError, match="found of Stereo Pair"):
        Worker({**sent, "found": ["", "0,1,0.5\n"]})


def test_plan_is_written_edited_and_obeyed_in_the_terminal(video, tmp_path, capsys):
    plan = tmp_path / "plan.csv"
    assert main(command(tmp_path, video, "--write-stereo-plan", str(plan))) == 0
    lines = plan.read_text().splitlines()
    assert lines[0].startswith("shot,strength,convergence") and len(lines) == 6
    assert not (tmp_path / "out.mp4").exists()
    assert main(command(tmp_path, video, "--write-stereo-plan", str(plan))) == 1
    assert "already exists" in capsys.readouterr().err and plan.read_text().splitlines() == lines
    plan.write_text("0,1,0.5\r\n20,2,0.5\r\n")
    assert main(command(tmp_path, video, "--stereo-plan", str(plan), "--keep-job", "--verify")) == 0
    wanted = run(video, tmp_path / "run.mp4", strong(plan="0,1,0.5\n20,2,0.5"))
    assert hashes(tmp_path / "out.mp4") == wanted


@pytest.mark.parametrize(("text", "said"), [
    ("0,2", "Line 1 of the plan is '0,2'."),
    ("0,2,0.5\n3,2,0.5", "The plan has a shot at frame 3, but no shot begins there"),
    (" \n", "this file is empty"),
    (b"\xff\xfe0", "this file is not text"),
    (None, "plan.csv"),
])  # fmt: skip
def test_bad_plan_gets_a_sentence_and_leaves_nothing(video, tmp_path, capsys, text, said):
    plan = tmp_path / "plan.csv"
    if text is not None:
        plan.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(command(tmp_path, video, "--stereo-plan", str(plan))) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error and not (tmp_path / "out.mp4").exists()


def test_a_plan_is_not_written_over_the_workflow(video, tmp_path, capsys):
    words = command(tmp_path, video, "--write-stereo-plan", str(tmp_path / "graph.json"), "--overwrite")
    assert main(words) == 1 and "graph.json is a file that this job reads" in capsys.readouterr().err
    assert json.loads((tmp_path / "graph.json").read_text()) == strong()


def test_a_run_says_what_was_found(video, tmp_path, capsys):
    words = command(tmp_path, video)
    assert main(["run", *words[1 : words.index("--unit")], "--device", "cpu"]) == 0
    assert "Stereo Pair (node 3): strong on a tv screen: 5 shots" in capsys.readouterr().err


def test_a_plan_cannot_be_written_where_strength_is_by_hand(video, tmp_path, capsys):
    words = command(
        tmp_path, video, "--set", "stereo.strength=by hand", "--write-stereo-plan", str(tmp_path / "p.csv")
    )
    assert main(words) == 1 and "--set stereo.strength=normal" in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()
