"""Our VIDEO answers every public method of the host's ``VideoInput`` as ComfyUI's own VIDEOs do.

They show the same frames. A method that a later host adds fails here until it is asked. Run with
``make test-host COMFYUI=path``.
"""

import json
import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from benchmarks.support.comfy_server import ROOT, comfy

FRAMES, SECONDS = 4, 0.06  # of 255, by which two decoders and encoders differ; of audio, a block of AAC
DIFFERENT = [  # question, whose answer, field, reason
    ("save_to: *", "*", "color", "the colours' own tags stay; ComfyUI writes none, or sRGB's transfer"),
    ("get_stream_source: *", "*", "color", "as above"),
    ("as_trimmed: (0.2, 99)", "*", "answer", "strict_duration is False by default, as VideoInput declares"),
    (
        "get_active_trim_window: of a slice",
        "*",
        "answer",
        "the stream source of a slice holds its frames only, not the whole file",
    ),
]
FAULTS = {"Could not determine output format": "ComfyUI 0.3.64 cannot write tensors into memory"}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    base = tmp_path_factory.mktemp("comfy")
    (base / "custom_nodes").mkdir()
    shutil.copy(ROOT / "tests" / "support" / "video_answers.py", base / "custom_nodes")
    with comfy(Path(os.environ["COMFYUI"]).resolve(), base) as server:
        history = server.run({"1": {"class_type": "TestVideoAnswers", "inputs": {}}})
        assert history["status"]["status_str"] == "success", history["status"]
        return json.loads(history["outputs"]["1"]["answers"][0])


@pytest.fixture(scope="module")
def facts(answers):
    return answers["facts"]


def differing(ours, theirs) -> set[str]:
    """The fields in which two answers differ; ``answer`` for one that has none, or for an error."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return set() if ours == theirs else {"answer"}
    if "error" in ours or "error" in theirs:
        return set() if ours.get("error") == theirs.get("error") else {"answer"}
    return {name for name in ours | theirs if not alike(name, ours.get(name), theirs.get(name))}


def alike(name: str, one, other) -> bool:
    if name == "seconds" and one and other:
        return abs(one - other) <= SECONDS
    if name != "means":
        return one == other
    pairs = [pair for frames in zip(one, other) for pair in zip(*frames)]
    return len(one) == len(other) and all(abs(first - second) <= FRAMES for first, second in pairs)


def at_fault(theirs) -> bool:
    return isinstance(theirs, dict) and theirs.get("said") in FAULTS


def meant(question: str, who: str, field: str) -> bool:
    return any(
        fnmatch(question, asked) and whose in ("*", who) and part == field
        for asked, whose, part, _ in DIFFERENT
    )


def test_every_method_is_asked_and_takes_the_same_words(answers):
    asked = {question.partition(":")[0] for question in answers["asked"]}
    assert asked == set(answers["methods"])
    for method, words in answers["methods"].items():
        assert answers["ours"][method][: len(words)] == words, method


def test_answers_are_those_of_the_hosts_own_videos(answers):
    found = {
        (question, who, field): (given["ours"], given[who])
        for question, given in answers["asked"].items()
        for who in ("file", "components")
        for field in differing(given["ours"], given[who])
        if not meant(question, who, field) and not at_fault(given[who])
    }
    assert not found, "\n".join(f"{key}: {pair}" for key, pair in found.items())


def test_every_difference_on_purpose_still_exists(answers):
    for asked, whose, field, reason in DIFFERENT:
        questions = {name: given for name, given in answers["asked"].items() if fnmatch(name, asked)}
        seen = [
            field in differing(given["ours"], given[who])
            for given in questions.values()
            for who in ("file", "components")
            if whose in ("*", who)
        ]
        assert any(seen) or not seen, reason  # older hosts lack some methods


def test_refusals_come_in_one_sentence_with_the_choices(answers):
    for question, choice in (("save_to: avi", "mkv"), ("save_to: vp9", "av1")):
        said = answers["asked"][question]["ours"]["said"]
        assert said.startswith("StereoReel cannot write") and choice in said


def test_depth_and_colour_are_those_of_the_source(facts):
    assert facts["depths"] == [8, 10, 10] and facts["spaces"] == ["sRGB", "HDR PQ", "HDR"]
    for place, transfer in enumerate((16, 16, 16, 18, 18, 18)):
        file = facts["hdr files"][place]
        assert (file["bits"], file["color"]) == (10, [9, transfer, 9])
        assert file["codec"] == ("av1" if place % 3 == 2 else "h264")
    assert facts["hdr as sRGB"]["said"].startswith("This video is HDR PQ")


def test_resizes_and_crops_are_those_of_the_hosts_nodes(facts):
    shape, furthest = facts["resized"]
    assert shape == [12, 33, 41, 3] and furthest < 1e-6
    assert facts["cropped"]["size"] == [20, 16]
    red, green, _ = facts["cropped"]["means"][0]
    assert abs(red - (20 + 2 + 9.5)) < 1 and abs(green - (30 + 2 * (4 + 7.5))) < 1


def test_newer_containers_are_written_by_older_hosts_too(facts):
    webm, mkv = facts["webm"], facts["mkv"]
    assert (webm["codec"], webm["bits"], webm["sound"]) == ("av1", 8, [["opus", 48000, 2]])
    assert (mkv["codec"], mkv["bits"], mkv["color"]) == ("av1", 10, [1, 13, 1])
    assert webm["container"] == mkv["container"] == "matroska,webm"


def test_frames_are_not_computed_again_for_a_file_like_the_last(facts):
    assert facts["hash"]
    assert facts["pulls"] == {
        "a hasty preview": 1,
        "saved": 2,
        "again, with tags": 2,
        "over itself": 2,
        "a preview": 2,
        "a stream": 2,
        "another container": 3,
        "the same": 3,
        "another quality": 4,
        "a model's preview and file": 1,
    }


def test_use_as_a_batch_says_what_to_put_between(facts):
    assert len(facts["refused"]) == 10
    assert all("put Get Video Components between" in said for said in facts["refused"])


def test_the_hosts_caches_size_and_drop_a_video(facts):
    cache = facts["cache"]
    assert cache["tensors"] == 12 * 48 * 64 * 3 * 4 and cache["true"]
    assert cache["unhashable"] == "Unhashable" and cache.get("dropped", True)


def test_edited_and_joined_videos_stay_lazy_in_our_sockets(facts):
    lazy, _, _, cropped = facts["adopted"]["cropped"]
    assert lazy and cropped == facts["cropped"]
    lazy, _, _, scaled = facts["adopted"]["scaled"]
    assert lazy and scaled["shape"] == [12, 9, 9, 3]
    if joined := facts["adopted"]["joined"]:
        assert joined[0] and joined[3]["shape"] == [12, 48, 64, 3]
    lazy, depth, space, _ = facts["adopted"]["bright"]
    assert not lazy and (depth, space) == (10, "HDR PQ")
