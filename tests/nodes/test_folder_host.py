"""A folder of films in a real ComfyUI: each prompt takes the next one (``make test-host COMFYUI=path``)."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from benchmarks.support.comfy_server import comfy
from stereoreel.media.read.probe import probe
from tests.support import bundled
from tests.support.films import source

FRAMES = {"shot 2": 4, "shot 10": 6, "Zoë 🎬": 5}  # in natural order


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("comfy")


@pytest.fixture(scope="module")
def server(base):
    folder = base / "input" / "trips" / "sea"
    folder.mkdir(parents=True)
    for name, frames in FRAMES.items():
        source(folder / f"{name}.mp4", (frames,), seed=frames, sound=False)
    (folder / "notes.txt").write_text("no video")
    outside = base / "elsewhere"
    outside.mkdir()
    source(outside / "secret.mp4", (3,), sound=False)
    os.symlink(outside, base / "input" / "linked")
    with comfy(Path(os.environ["COMFYUI"]).resolve(), base) as running:
        yield running


def prompt(folder: str, index: int) -> dict:
    made = bundled.graph("folder")
    made["1"]["inputs"] |= {"folder": folder, "index": index, "cuts": False}
    made["2"]["inputs"]["model"] = made["3"]["inputs"]["model"] = "builtin"
    return made


def results(base: Path) -> list[Path]:
    return sorted((base / "output" / "video").glob("*.mp4"))


def refusal(server, folder: str, index: int) -> str:
    answer = server.post("/prompt", {"prompt": prompt(folder, index)})
    assert answer.status_code == 400
    return answer.json()["node_errors"]["1"]["errors"][0]["details"]


def test_every_prompt_takes_the_next_film_and_the_one_after_the_last_is_refused(server, base):
    for index in range(3):
        assert server.run(prompt("trips/sea", index))["status"]["status_str"] == "success"
    made = {path.name.partition("_00001")[0]: probe(path).frames for path in results(base)}
    assert made == FRAMES
    said = refusal(server, "trips/sea", 3)
    assert "has videos 0 to 2 and none at index 3. To begin again, set index to 0." in said
    assert len(results(base)) == 3


def test_a_film_that_changed_is_opened_again(server, base):
    source(base / "input" / "trips" / "sea" / "shot 2.mp4", (8,), seed=8, sound=False)
    server.run(prompt("trips/sea", 0))
    [again] = (path for path in results(base) if path.name.startswith("shot 2_00002"))
    assert probe(again).frames == 8


def test_folders_are_listed_and_confined(server):
    inputs = server.get("/object_info/StereoReelExtract")["StereoReelExtract"]["input"]["optional"]
    options = inputs["folder"][1]["options"]
    assert options == ["none", "sample", "trips/sea"]
    assert "outside the permitted folders" in refusal(server, "linked", 0)
    assert "outside the permitted folders" in refusal(server, "../elsewhere", 0)
    assert "There is no folder nowhere" in refusal(server, "nowhere", 0)
    assert server.run(prompt("sample", 0))["status"]["status_str"] == "success"
    assert "one video, number 0," in refusal(server, "sample", 1)
