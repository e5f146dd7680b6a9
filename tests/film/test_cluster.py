"""A film on several machines: two Ray nodes on this one, and the loss of workers and nodes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from stereoreel.cli.main import main
from stereoreel.core.files import sha256
from stereoreel.core.partition import units
from stereoreel.film import cuts, job_folder, plans
from stereoreel.film.cluster import Cluster
from stereoreel.film.collect import receive
from stereoreel.film.identity import described, environment
from stereoreel.film.store import Store
from stereoreel.film.worker import Worker, code
from stereoreel.media.subtitles.burn import Burn
from stereoreel.models.headless import Headless
from tests.support.films import facts, graph, hashes, make, request, run, sink, source
from tests.support.hearing import Hearing


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / "film.mp4")


@pytest.fixture
def plan(video, tmp_path):
    job, host = sink(video), Headless("cpu")
    (tmp_path / "units").mkdir()
    (tmp_path / "token").write_text("seen")
    return {
        "workflow": graph(),
        "input": str(video),
        "device": "cpu",
        "cuts": cuts.found([job.clip]),
        "found": plans.found([job.clip]),
        "mixed": False,
        "verify": True,
        "models": str(tmp_path),
        "environment": {**environment(host), "code": code()},
        "identity": described([job.clip], job.settings, host),
        "place": str(tmp_path / "units"),
        "token": "seen",
        "store": "",
        "kept": str(tmp_path),
    }


def test_worker_renders_units_from_a_plan_of_plain_values(plan, video, tmp_path):
    import json

    job = sink(video)
    wanted = run(video, tmp_path / "run.mp4")
    there = Worker(json.loads(json.dumps(plan)))
    elsewhere = Worker({**plan, "token": "not seen"})
    for number, unit in enumerate(units([job.clip], 8)[:2]):
        made, nothing, folder = there.make(number, list(unit))
        assert (
            made["frames"][0] == wanted[unit.start : unit.stop]
            and nothing == []
            and Path(folder).parent == tmp_path / "units"
        )
        assert (Path(folder) / made["files"][0]["name"]).stat().st_size == made["files"][0]["bytes"]
        made, [data], nowhere = elsewhere.make(number, list(unit))
        assert (
            made["frames"][0] == wanted[unit.start : unit.stop]
            and len(data) == made["files"][0]["bytes"]
            and not nowhere
        )


def test_worker_burns_the_subtitles_of_a_run(plan, video, tmp_path):
    made = graph(subtitles="burn")
    wanted = request(video, tmp_path / "run.mp4", made)
    assert isinstance(wanted.clip.maker.recipe, Burn)
    identity = described(wanted.clips, wanted.settings, Headless("cpu"))
    (unit, *_) = units(wanted.clips, 8)
    frames = Worker({**plan, "workflow": made, "identity": identity}).make(0, list(unit))[0]["frames"][0]
    plain = Worker(plan).make(0, list(unit))[0]["frames"][0]
    assert frames == run(video, tmp_path / "again.mp4", made)[unit.start : unit.stop] != plain


def test_worker_stores_kept_frames_in_a_shared_folder(plan, video, tmp_path):
    made = graph()
    made["5"] = {"class_type": "StereoReelKeep", "inputs": {"clip": ["2", 0], "folder": "kept"}}
    made["3"]["inputs"]["clip"] = made["3"]["inputs"]["depth"] = ["5", 0]
    job = sink(video, made)
    plan |= {"workflow": made, "identity": described([job.clip], job.settings, Headless("cpu"))}
    unit = list(units([job.clip], 8)[0])
    frames = Worker(plan).make(0, unit)[0]["frames"]
    [kept] = (tmp_path / "kept").rglob("*.nut")
    before = kept.stat().st_mtime_ns
    assert Worker(plan).make(0, unit)[0]["frames"] == frames and kept.stat().st_mtime_ns == before
    Worker({**plan, "token": "not seen", "kept": str(tmp_path / "elsewhere")}).make(0, unit)
    assert not (tmp_path / "elsewhere").exists()


def test_unit_passes_through_an_object_store_and_is_removed_there(plan, video, tmp_path):
    import fsspec

    worker = Worker({**plan, "token": "not seen", "store": "memory://films/one"})
    (tmp_path / "job").mkdir()
    made = worker.make(0, list(units([sink(video).clip], 8)[0]))
    store = fsspec.filesystem("memory")
    assert not made[1] and len(store.find("/films/one")) == 1
    kept = receive(*made, tmp_path / "job")
    assert [file.name for file in (tmp_path / "job").iterdir()] == [kept.files[0]["name"]]
    assert sha256(tmp_path / "job" / kept.files[0]["name"]) == kept.files[0]["sha256"] and not store.find(
        "/films/one"
    )


def test_unsupported_store_is_refused_before_the_first_frame():
    with pytest.raises(ValueError, match="Cannot open nowhere://films"):
        Store("nowhere://films")
    with pytest.raises(ValueError, match="is not a URL"):
        Cluster("local", store="/mnt/films")


def test_mismatched_worker_is_refused(plan, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"rejected: its torch is .*, expected 0.1\. Install the same versions, or use --mixed",
    ):
        Worker({**plan, "environment": {**plan["environment"], "torch": "0.1"}})
    with pytest.raises(ValueError, match="rejected: its code is"):
        Worker({**plan, "environment": {**plan["environment"], "torch": "0.1", "code": "x"}, "mixed": True})
    other = source(tmp_path / "other.mp4", seed=5)
    with pytest.raises(ValueError, match="rejected: the source differs"):
        Worker({**plan, "input": str(other)})


class Apart(Worker):
    """A worker that cannot see the job's folder."""

    def __init__(self, plan):
        super().__init__({**plan, "token": ""})


@pytest.fixture(scope="module")
def nodes():
    """Two nodes for all tests; the last test removes one."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    if sys.platform == "win32":
        pytest.skip("Ray has no clusters on Windows")
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # loopback alone
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.second = cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def cluster(nodes):
    from stereoreel.film.cluster import Cluster

    with Cluster(nodes.address, workers=2, verify=True) as cluster:
        yield cluster


def test_two_nodes_equal_one(cluster, video, tmp_path):
    path = tmp_path / "film.mp4"
    wanted = run(video, tmp_path / "run.mp4")
    make(video, path, crew=cluster.crew(graph(), video, "cpu"), keep=True)
    assert hashes(path) == wanted and facts(path) == facts(tmp_path / "run.mp4")


def test_units_pass_through_an_object_store_without_a_shared_folder(nodes, video, tmp_path):
    from ray import cloudpickle

    from stereoreel.film.cluster import Cluster

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have the pack, and not its tests
    path, store = tmp_path / "film.mp4", tmp_path / "store"
    with Cluster(nodes.address, workers=2, verify=True, store=f"file://{store}", worker=Apart) as cluster:
        make(video, path, crew=cluster.crew(graph(), video, "cpu"), keep=True)
    assert hashes(path) == run(video, tmp_path / "run.mp4") and not list(store.glob("*"))


def test_worker_threads_wait_like_the_head(nodes, monkeypatch):
    import ray

    from stereoreel.film.cluster import Cluster

    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # the nodes were started under another
    with Cluster(nodes.address):
        waiting = ray.remote(lambda: os.environ["OMP_WAIT_POLICY"]).remote()
        assert ray.get(waiting) == "ACTIVE"


def test_films_of_a_folder_share_the_cluster(nodes, tmp_path, monkeypatch, capsys):
    """A worker gets units of the next film while the other computes the last of this one."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        source(tmp_path / f"{number}.mkv", (4, 3), seed=number, sound=False)
    (tmp_path / "broken.mkv").write_bytes((tmp_path / "0.mkv").read_bytes()[:200])
    short = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "2.mkv", "-c", "copy", "short.ts"]
    subprocess.run(short, check=True)
    Path("short.ts").write_bytes(Path("short.ts").read_bytes()[: -2 * 188])  # its last frame is missing
    made = graph()
    made["2"]["inputs"]["cuts"] = "4"
    (tmp_path / "graph.json").write_text(json.dumps(made))
    words = [
        "--output",
        "out",
        "--unit",
        "8",
        "--keep-job",
        "--verify",
        "--summary",
        "sum.json",
        "--device",
        "cpu",
    ]
    command = [
        "film",
        "graph.json",
        "--input",
        "*.mkv",
        "*.ts",
        *words,
        "--ray",
        nodes.address,
        "--workers",
        "2",
    ]
    assert main(command) == 1
    films = [Path(f"out/{number}.mp4") for number in range(3)]
    for number, film in enumerate(films):
        assert hashes(film) == run(tmp_path / f"{number}.mkv", tmp_path / f"run{number}.mp4", made)
    found = {Path(one["input"]).name: one for one in json.loads(Path("sum.json").read_text())["films"]}
    assert {name: (one["state"], len(one["warnings"])) for name, one in found.items()} == {
        "0.mkv": ("made", 0), "1.mkv": ("made", 0), "2.mkv": ("made", 0), "short.ts": ("made", 1),
        "broken.mkv": ("failed", 0),
    }  # fmt: skip
    assert all(one["seconds"] > 0.1 for one in found.values() if one["state"] == "made")
    workers = {json.loads(record.read_text())["worker"] for record in Path("out").glob("*/*/units/*.json")}
    assert 1 <= len(workers) <= 2  # the same for all films
    Path("broken.mkv").unlink()
    assert main(command) == 0 and capsys.readouterr().err.count("is already complete") == 4


def test_unit_of_a_dead_worker_is_rescheduled(cluster, video, tmp_path):
    path, said, killed = tmp_path / "film.mp4", [], []

    def kill(figures):
        if not killed:
            [worker] = figures()["workers"]
            killed.append(int(worker.split("/")[1]))
            os.kill(killed[0], signal.SIGKILL)

    make(
        video,
        path,
        crew=cluster.crew(graph(), video, "cpu"),
        keep=True,
        said=said,
        observer=Hearing(unit_done=kill),
    )
    assert any("A worker was lost at unit" in line for line in said)
    assert hashes(path) == run(video, tmp_path / "run.mp4")


def test_node_may_leave(cluster, nodes, video, tmp_path):
    path, gone = tmp_path / "film.mp4", []

    def remove(figures):
        if not gone:
            gone.append(nodes.remove_node(nodes.second))

    make(video, path, crew=cluster.crew(graph(), video, "cpu"), keep=True, observer=Hearing(unit_done=remove))
    assert hashes(path) == run(video, tmp_path / "run.mp4")
    assert len(list(job_folder(path).glob("*/units/*.nut"))) == 5
