"""The widgets that a node shows: few, all that a workflow needs, and none that has no effect."""

from pathlib import Path

import pytest

from stereoreel.models import catalog
from stereoreel.workflow import first_glance
from stereoreel.workflow import graph as workflow
from stereoreel.workflow.node_specs import BY_ID, NODES

MOST = 5
API = sorted((Path(__file__).resolve().parents[2] / "workflows" / "api").glob("*.json"))


def names(node, inputs, arch: str = "") -> list[str]:
    return [option.name for option in first_glance.visible(node, inputs, arch)]


def archs(kind: str) -> set[str]:
    own = {catalog.own_arch(kind)} - {""}
    return {entry.arch for entry in catalog.models(kind).values()} | own | {first_glance.GIVEN}


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_a_new_node_shows_few_widgets_whatever_model_runs(node):
    assert 1 <= len(names(node, {})) <= MOST
    if not node.module:
        for arch in archs(node.kind):
            assert len(names(node, {}, arch)) <= MOST, arch


@pytest.mark.parametrize("file", API, ids=lambda file: file.stem)
def test_a_workflow_opens_with_what_it_changes_and_little_else(file):
    for entry in workflow.read(file).values():
        if node := BY_ID.get(entry["class_type"]):
            shown = names(node, entry["inputs"])
            changed = {
                option.name
                for option in node.options
                if entry["inputs"].get(option.name, option.default) != option.default
            }
            assert changed <= set(shown) and len(shown) <= MOST, node.id


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_conditions_name_options_and_values_that_there_are(node):
    options = {option.name: option for option in node.options}
    for option in filter(lambda option: option.only, node.options):
        name, values = option.only
        if name == first_glance.MODEL:
            assert set(values) <= archs(node.kind), option.name
        else:
            choices = options[name].choices or (("true", "false") if options[name].default is True else ())
            assert set(values) <= set(choices), option.name


def test_every_option_is_shown_with_some_model():
    """With the switch on: no condition hides a widget for good."""
    for node in NODES:
        if not node.module:
            ruled = [option for option in node.options if option.only and option.only[0] == "model"]
            assert all(set(option.only[1]) & archs(node.kind) for option in ruled)


def test_words_stand_for_numbers_that_are_defaults():
    for node in NODES:
        for option in node.options:
            if option.word:
                assert isinstance(option.default, (int, float)) and option.default <= 0, option.name


def test_connected_depth_brings_its_encoding_instead_of_a_model_s_widgets():
    depth = BY_ID["StereoReelDepth"]
    assert names(depth, {"depth": ["7", 0]}) == ["model", "given"]
    assert names(depth, {}) == ["model", "smoothing", "near_ground"]
    assert names(depth, {"model": "depth-anything-v2-small"}) == ["model", "resolution"]
