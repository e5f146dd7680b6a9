"""Ids, sockets, widgets and defaults are public, because saved graphs contain them.

A change breaks saved workflows. After a deliberate addition run: python -m tests.test_schema
"""

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import get_type_hints

import pytest

from stereoreel.core.options import Option
from stereoreel.models import catalog
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import NODES

SNAPSHOT = Path(__file__).with_name("schema.json")
HELP = Path(__file__).resolve().parents[1] / "web" / "docs"


def schema() -> dict:
    return {
        node.id: {
            "name": node.name,
            "inputs": [
                [socket.name, socket.type, "optional" if socket.optional else "required"]
                for socket in node.inputs
            ],
            "options": [
                [
                    option.name,
                    type(option.default).__name__,
                    option.default,
                    list(option.choices) or [option.low, option.high],
                ]
                for option in node.options
            ],
            "outputs": [[socket.name, socket.type] for socket in node.outputs],
        }
        for node in NODES
    }


def test_public_schema_is_unchanged():
    assert schema() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_every_node_and_widget_has_a_description(node):
    page = (HELP / f"{node.id}.md").read_text(encoding="utf-8")
    assert node.text and page.startswith(f"# {node.name}\n")
    for option in node.options:
        assert option.text and f"`{option.name}`" in page, option.name
    assert all(socket.text for socket in (*node.inputs, *node.outputs))


def test_option_and_socket_names_never_clash():
    for node in NODES:
        names = [socket.name for socket in node.inputs] + [option.name for option in node.options]
        assert len(names) == len(set(names)), node.id


NUMBER, WHOLE, SWITCH, CHOICE = (
    Option("a", 1.0, "", 0.0, 2.0),
    Option("b", 3, ""),
    Option("c", False, ""),
    Option("d", "x", "", choices=("x", "y")),
)


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        (NUMBER, 3, "between 0.0 and 2.0"),
        (NUMBER, "wide", "must be a number"),
        (NUMBER, float("nan"), "finite"),
        (WHOLE, 2.5, "whole number"),
        (CHOICE, "z", "one of x, y"),
        (SWITCH, "maybe", "true or false"),
    ],
)
def test_invalid_values_are_refused(option, given, said):
    with pytest.raises(ValueError, match=said):
        option.check(given)


@pytest.mark.parametrize(
    ("option", "given", "meant"),
    [
        (NUMBER, "1.5", 1.5),
        (WHOLE, "4", 4),
        (SWITCH, "off", False),
        (SWITCH, "True", True),
        (CHOICE, "y", "y"),
    ],
)
def test_terminal_words_are_parsed(option, given, meant):
    value = option.check(given)
    assert value == meant and type(value) is type(meant)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_options_hold_the_values_of_the_widgets(node):
    """Options have the types of their class's fields and are immutable."""
    widgets = {option.name: option.default for option in node.options if option.name != "packed"}
    settings = build.settings_of(node, {})
    assert vars(settings) == widgets and settings == node.settings()
    hints = get_type_hints(node.settings)
    assert {name: type(value) for name, value in widgets.items()} == {name: hints[name] for name in widgets}
    with pytest.raises(FrozenInstanceError):
        setattr(settings, next(iter(widgets)), None)


def test_auto_selects_the_first_free_installed_model_and_says_why(host):
    entry, reason = catalog.choose("depth", "auto", host)
    assert entry.name == "builtin" and "licence" in reason
    with pytest.raises(ValueError, match="Unknown depth model 'midas'"):
        catalog.choose("depth", "midas", host)


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
