"""A film by many machines: two Ray nodes on this one, which the test starts, and what is lost on the way."""

import os
import signal
import sys
from pathlib import Path

import pytest
from films import facts, graph, make, run, sink, source
from test_film import hashes

from stereoreel.film import cuts, environment, job_folder
from stereoreel.film.identity import described
from stereoreel.film.worker import Worker, code
from stereoreel.host import Headless
from stereoreel.units import units


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / "film.mp4")


@pytest.fixture
def plan(video, tmp_path):
    job, host = sink(video), Headless("cpu")
    (tmp_path / "units").mkdir()
    (tmp_path / "token").write_text("seen")
    return {"workflow": graph(), "input": str(video), "device": "cpu", "cuts": cuts.found([job.clip]), "mixed": False, "models": str(tmp_path),
            "environment": {**environment(host), "code": code()}, "identity": described([job.clip], job.settings, host),
            "place": str(tmp_path / "units"), "token": "seen"}  # fmt: skip


def test_a_worker_makes_units_from_a_plan_of_plain_values(plan, video, tmp_path):
    import json

    job = sink(video)
    wanted = run(video, tmp_path / "run.mp4")
    there = Worker(json.loads(json.dumps(plan)))
    elsewhere = Worker({**plan, "token": "not seen"})
    for number, unit in enumerate(units([job.clip], 8)[:2]):
        made, nothing, folder = there.make(number, list(unit))
        assert made["frames"][0] == wanted[unit.start:unit.stop] and nothing == [] and Path(folder).parent == tmp_path / "units"
        assert (Path(folder) / made["files"][0]["name"]).stat().st_size == made["files"][0]["bytes"]
        made, [data], nowhere = elsewhere.make(number, list(unit))
        assert made["frames"][0] == wanted[unit.start:unit.stop] and len(data) == made["files"][0]["bytes"] and not nowhere


def test_a_worker_that_does_not_match_is_refused(plan, tmp_path):
    with pytest.raises(ValueError, match=r"may not help, because its torch is .* and not 0.1; make it alike, or allow --mixed"):
        Worker({**plan, "environment": {**plan["environment"], "torch": "0.1"}})
    with pytest.raises(ValueError, match="because its code is"):
        Worker({**plan, "environment": {**plan["environment"], "torch": "0.1", "code": "x"}, "mixed": True})
    other = source(tmp_path / "other.mp4", seed=5)
    with pytest.raises(ValueError, match="may not help: the source is another one there"):
        Worker({**plan, "input": str(other)})


@pytest.fixture(scope="module")
def nodes():
    """Two nodes for every test; the last one takes one away."""
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

    with Cluster(nodes.address, workers=2) as cluster:
        yield cluster


def test_two_nodes_make_the_film_of_one(cluster, video, tmp_path):
    path = tmp_path / "film.mp4"
    wanted = run(video, tmp_path / "run.mp4")
    make(video, path, crew=cluster.crew(graph(), video, "cpu"), keep=True)
    assert hashes(path) == wanted and facts(path) == facts(tmp_path / "run.mp4")


def test_a_worker_that_dies_loses_its_unit_to_another(cluster, video, tmp_path):
    path, said, killed = tmp_path / "film.mp4", [], []

    def kill(figures):
        if not killed:
            [worker] = figures()["workers"]
            killed.append(int(worker.split("/")[1]))
            os.kill(killed[0], signal.SIGKILL)

    make(video, path, crew=cluster.crew(graph(), video, "cpu"), keep=True, said=said, seen=kill)
    assert any("A worker was lost at unit" in line for line in said)
    assert hashes(path) == run(video, tmp_path / "run.mp4")


def test_a_node_may_go(cluster, nodes, video, tmp_path):
    path, gone = tmp_path / "film.mp4", []

    def remove(figures):
        if not gone:
            gone.append(nodes.remove_node(nodes.second))

    make(video, path, crew=cluster.crew(graph(), video, "cpu"), keep=True, seen=remove)
    assert hashes(path) == run(video, tmp_path / "run.mp4")
    assert len(list(job_folder(path).glob("*/units/*.nut"))) == 5
