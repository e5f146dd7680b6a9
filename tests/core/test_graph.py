"""Graphs are immutable, copies share equal parts, and loaded stages serve several graphs."""

from dataclasses import FrozenInstanceError, dataclass

import pytest
import torch

from stereoreel.core.clip import Clip, Step, apply, makers_of, substituted
from stereoreel.core.pull import frames
from stereoreel.core.stage_cache import StageCache
from stereoreel.core.tensor_source import TensorSource
from stereoreel.core.transforms import Weightless
from stereoreel.models.lazy_stage import Plan


@dataclass(frozen=True)
class Add(Weightless):
    """Brighter frames; with two inputs, their sum."""

    amount: float
    label: str = "Add"

    def describe(self, *clips):
        return clips[0]

    def __call__(self, shot, *inputs):
        for chunks in zip(*inputs):
            yield sum(chunks) + self.amount


def source(level: float = 0.0) -> Clip:
    return Clip(TensorSource(torch.full((3, 4, 4, 3), level), 24, cuts=False, label=f"Level {level}"))


def level(clip: Clip, host) -> float:
    return round(frames(clip, host).mean().item(), 4)


@pytest.fixture
def diamond():
    """Return a source of level 0, a stage of 0.1, its two readers of 0.3 and 0.5, and their sum."""
    start = source()
    shared = apply(Add(0.1), start)["clip"]
    end = apply(Add(0.0), *(apply(Add(amount), shared)["clip"] for amount in (0.2, 0.4)))["clip"]
    return start, shared, end


@pytest.mark.parametrize("name", ["recipe", "inputs", "infos", "label"])
def test_a_step_cannot_be_changed(diamond, name):
    step = diamond[-1].maker
    with pytest.raises(AttributeError):
        setattr(step, name, getattr(step, name))


@pytest.mark.parametrize("name", ["maker", "port"])
def test_a_clip_cannot_be_changed(diamond, name):
    with pytest.raises(FrozenInstanceError):
        setattr(diamond[-1], name, getattr(diamond[-1], name))


def test_replacing_a_source_makes_a_new_graph(diamond, host):
    start, _, end = diamond
    [other] = substituted([end], lambda maker: source(0.05).maker if maker is start.maker else maker)
    assert (level(other, host), level(end, host)) == (0.9, 0.8)


def test_replaced_step_is_built_once_for_all_readers(diamond, host):
    _, shared, end = diamond
    asked = []

    def brighter(maker):
        asked.append(maker)
        return Step.over(Add(0.15), *maker.inputs) if maker is shared.maker else maker

    made = substituted([end, shared], brighter)
    assert [level(clip, host) for clip in made] == [0.9, 0.15]
    assert len(makers_of(made)) == len(makers_of([end])) == len(asked) == len({id(maker) for maker in asked})


def test_inputs_of_a_replaced_step_are_not_visited(diamond, host):
    start, shared, end = diamond
    asked = []

    def cut_off(maker):
        asked.append(maker)
        return source(0.1).maker if maker is shared.maker else maker

    [made] = substituted([end], cut_off)
    assert start.maker not in asked and start.maker not in makers_of([made])
    assert level(made, host) == level(end, host) == 0.8


def test_graph_without_replacements_is_the_same_object(diamond):
    end = diamond[-1]
    assert substituted([end], lambda maker: maker) == [end]


def test_latest_stages_stay_loaded():
    stages, loaded = StageCache(2), []

    def use(key: str) -> str:
        return stages.get(key, lambda: loaded.append(key) or key)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert use(key) == key
    assert loaded == ["a", "b", "c", "b"] and stages.stages() == ["b", "a"]


def test_equal_steps_are_separate_stages(host):
    stages = StageCache()
    one, other = (Plan("upscale", {"model": "builtin"}, "Upscale") for _ in range(2))
    first = one.reused(stages).load(host)
    assert one.reused(stages).load(host) is first is not other.reused(stages).load(host)
