"""Chains of thousands of nodes are built, run, split into units and drawn like short ones."""

import itertools
import json
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from stereoreel.cli.main import main
from stereoreel.core import excerpt, partition
from stereoreel.core.clip import apply
from stereoreel.core.excerpt import makers_of
from stereoreel.core.options import resolve
from stereoreel.core.pull import DEEP, frames, pull
from stereoreel.models.lazy_stage import Plan, plans
from stereoreel.viewing.compare import OPTIONS, compare
from stereoreel.workflow import graph as workflow
from stereoreel.workflow import litegraph
from tests.support.counting import Counting
from tests.support.media_files import write_video

LONG = 2000
CHEAP = {
    "StereoReelRealESRGAN": {"model": "builtin", "factor": 1.0},
    "StereoReelInterpolate": {"model": "builtin", "multiplier": 1},
    "StereoReelCompare": {"position": 1.0, "label": "", "other_label": ""},
    "StereoReelExtract": {},
}


def chain(count: int, *kinds: str) -> dict:
    """Return Extract, ``count`` nodes of these kinds in turn, and Encode, which is first in the file."""
    graph = {"0": {"class_type": "StereoReelExtract", "inputs": {}}}
    for number, kind in zip(range(1, count + 1), itertools.cycle(kinds)):
        graph[str(number)] = {"class_type": kind, "inputs": {**CHEAP[kind], "clip": [str(number - 1), 0]}}
        if kind == "StereoReelCompare":
            graph[str(number)]["inputs"]["other"] = [str(max(0, number - 2)), 0]
    graph["end"] = {"class_type": "StereoReelEncode", "inputs": {"format": "ffv1", "clip": [str(count), 0]}}
    return dict(reversed(graph.items()))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "in.mkv"
    write_video(
        path, np.random.default_rng(0).integers(0, 255, (3, 8, 16, 3), np.uint8), Fraction(25), "ffv1", "bgr0"
    )
    return path


def pictures(path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


@pytest.mark.parametrize("command", ["run", "film"])
def test_two_thousand_nodes_give_the_frames_of_one(command, video, tmp_path):
    for count in (LONG, 1):
        (tmp_path / f"{count}.json").write_text(
            json.dumps(chain(count, "StereoReelRealESRGAN", "StereoReelCompare", "StereoReelInterpolate"))
        )
        output = ["--input", str(video), "--output", str(tmp_path / f"{count}.mkv")]
        assert main([command, str(tmp_path / f"{count}.json"), *output]) == 0
    assert np.array_equal(pictures(tmp_path / f"{LONG}.mkv"), pictures(tmp_path / "1.mkv"))


def test_a_cycle_of_two_thousand_nodes_raises(video):
    graph = chain(LONG, "StereoReelRealESRGAN")
    graph["1"]["inputs"]["clip"] = [str(LONG), 0]
    with pytest.raises(ValueError, match="cycle"):
        workflow.Assembly(graph, lambda name: video)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("StereoReelRealESRGAN", {"factor": 4.0}, "wider or higher than"),
        ("StereoReelCompare", {"mode": "side by side"}, "aspect ratios"),
        ("StereoReelInterpolate", {"multiplier": 16}, "fps would make"),
        ("StereoReelInterpolate", {"multiplier": 16, "slow_motion": True}, "more than"),
    ],
)
def test_exploding_sizes_are_refused_at_the_node(kind, changes, said, video):
    graph = chain(LONG, kind)
    for number in range(1, LONG + 1):
        graph[str(number)]["inputs"] |= changes
    with pytest.raises(ValueError, match=rf"\(node \d+\).*{said}"):
        workflow.Assembly(graph, lambda name: video)


def test_canvas_file_of_two_thousand_nodes():
    shown = litegraph.render(
        {
            str(int(key) + 1) if key.isdigit() else "9999": {
                **node,
                "inputs": {
                    name: [str(int(value[0]) + 1), value[1]] if isinstance(value, list) else value
                    for name, value in node["inputs"].items()
                },
            }
            for key, node in chain(LONG, "StereoReelCompare").items()
        },
        "long",
    )
    assert len(shown["nodes"]) == LONG + 2
    assert len({tuple(node["pos"]) for node in shown["nodes"]}) == LONG + 2


class Late(Counting):
    """Yield every chunk when the next one has arrived, as stages with look-ahead do."""

    def __call__(self, shot, chunks):
        held = None
        for chunk in chunks:
            if held is not None:
                yield held
            held = chunk
        if held is not None:
            yield held


def long(clip, stage, count=LONG):
    """Build a chain; ``stage`` gets the newest clip, the one before it, and the first."""
    before = first = clip
    for _ in range(count):
        before, clip = clip, stage(clip, before, first)
    return clip


UPSCALE = Plan("upscale", {"model": "builtin", "factor": 1}, "Upscale")
SPLIT = resolve(OPTIONS, {"label": "", "other_label": ""})
STAGES = {
    "plain": lambda newest, before, first: apply(Counting(lambda chunk: chunk), newest)["clip"],
    "look-ahead": lambda newest, before, first: apply(Late(None), newest)["clip"],
    "diamonds": lambda newest, before, first: apply(Counting(lambda one, other: one), newest, before)["clip"],
    "from the first": lambda newest, before, first: apply(Counting(lambda one, other: other), first, newest)[
        "clip"
    ],
    "late and not": lambda newest, before, first: apply(
        Counting(lambda one, other: one), apply(Late(None), newest)["clip"], newest
    )["clip"],
    "compare": lambda newest, before, first: compare(newest, before, SPLIT, "Compare"),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("chunk", [1, 3, None])
def test_frames_pass_through_long_chains(stage, chunk, tensor_clip, host):
    images = torch.rand(7, 2, 4, 3)
    clip = long(tensor_clip(images, cuts=(3,)), STAGES[stage], 400)
    assert torch.equal(frames(clip, host, chunk), images) or stage == "compare"


def test_deep_chain_computes_every_frame_once_and_can_be_cancelled(tensor_clip, host):
    stages = []

    def counted(newest, before, first):
        stages.append(Counting(lambda chunk: chunk))
        return apply(stages[-1], newest)["clip"]

    clip = long(tensor_clip(frames=20), counted, 10 * DEEP)
    for number, _ in enumerate(pull(clip, host, 2), 1):
        assert all(2 * number <= stage.seen <= 2 * number + 2 for stage in stages)
    assert {stage.seen for stage in stages} == {20}
    ticks = itertools.count()
    host.tick = lambda done, total: (_ for _ in ()).throw(KeyboardInterrupt) if next(ticks) == 700 else None
    with pytest.raises(KeyboardInterrupt):
        frames(clip, host, 2)


def test_deep_failure_names_its_stage(tensor_clip, host):
    def fail(chunk):
        raise ValueError("the lens fell off")

    bad = apply(Counting(fail, label="Camera (node 3)"), tensor_clip())["clip"]
    with pytest.raises(ValueError, match=r"^Camera \(node 3\): the lens fell off$"):
        frames(long(bad, STAGES["plain"]), host)


def test_deep_graphs_are_walked(tensor_clip, host):
    clip = long(tensor_clip(frames=30, cuts=(9, 20)), lambda newest, *others: apply(UPSCALE, newest)["clip"])
    assert len(makers_of([clip])) == LONG + 1 and len(list(plans(clip))) == LONG
    found = partition.units([clip], group=10)
    assert [unit.start for unit in found] == [0, 9, 20]
    assert len(makers_of(partition.excerpt([clip], found[1]))) > LONG
    assert len(makers_of(excerpt.select_frames([clip], [4, 25]))) > LONG


def test_short_chain_reads_no_further_than_needed(tensor_clip, host):
    from tests.support.lookahead import lookahead

    source = tensor_clip(frames=20)
    count, worst = lookahead(source, long(source, STAGES["plain"], DEEP - 1), host, 1)
    assert (count, worst) == (20, 0)
