"""Translations fit the English texts of the nodes, and a changed text is found."""

import copy
import json

import pytest

from tools import locales

ENGLISH = {
    "Blur": {
        "display_name": "Blur",
        "description": "Blur a clip.",
        "inputs": {
            "edges": {"name": "edges", "tooltip": "How edges are kept: `snap` or `smooth`, 1.5 dB apart."},
            "radius": {"name": "radius", "tooltip": "Pixels, if `edges` is `smooth`."},
        },
        "outputs": {"0": {"name": "clip", "tooltip": "The frames."}},
    }
}
GERMAN = {
    "Blur": {
        "display_name": "Weichzeichnen",
        "description": "Zeichnet einen Clip weich.",
        "inputs": {
            "edges": {
                "name": "Kanten",
                "tooltip": "Wie Kanten bleiben: `snap` oder `smooth`, 1,5 dB Abstand.",
            },
            "radius": {"name": "Radius", "tooltip": "Pixel, wenn `Kanten` auf `smooth` steht."},
        },
        "outputs": {"0": {"name": "Clip", "tooltip": "Die Frames."}},
    }
}


def recorded(tree: dict, english: dict = ENGLISH) -> dict:
    return locales.recorded(locales.flat(tree), locales.flat(english))


def edited(tree: dict, path: str, text: str) -> dict:
    """Return a copy of a tree with one text set."""
    tree = copy.deepcopy(tree)
    *way, last = path.split(".")
    place = tree
    for key in way:
        place = place.setdefault(key, {})
    place[last] = text
    return tree


@pytest.mark.parametrize("language", locales.languages())
def test_translation_fits_the_nodes(language):
    found = locales.faults(
        locales.load(language, "nodeDefs"), locales.load(language, "sources"), locales.english()
    )
    assert found + locales.other_faults(language) == [], "python tools/locales.py --check says what to do"


def test_translation_that_fits_has_no_faults():
    assert locales.faults(GERMAN, recorded(GERMAN), ENGLISH) == []


def test_text_without_translation_is_no_fault():
    english = edited(ENGLISH, "Blur.inputs.passes.tooltip", "Number of passes.")
    assert locales.faults(GERMAN, recorded(GERMAN), english) == []
    assert locales.untranslated(GERMAN, english) == ["Blur.inputs.passes.tooltip"]


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("Blur.inputs.sigma.tooltip", "Breite.", "does not exist"),
        ("Blur.inputs.edges.tooltip", "Wie Kanten bleiben: `snap` oder `smooth`.", "lacks 1.5"),
        ("Blur.inputs.edges.tooltip", "Wie Kanten bleiben: `snap`, 1,5 dB Abstand.", "lacks `smooth`"),
        ("Blur.inputs.radius.tooltip", "Pixel, wenn `Ecken` auf `smooth` steht.", "lacks `edges`"),
        ("Blur.outputs.0.tooltip", "Die Frames | der Frame.", "contains |"),
        ("Blur.inputs.radius.name", "Kanten", "calls two inputs 'Kanten'"),
    ],
)
def test_translation_that_does_not_fit(path, text, fault):
    tree = edited(GERMAN, path, text)
    [found] = locales.faults(tree, recorded(tree), ENGLISH)
    assert fault in found


def test_changed_english_text_says_what_to_do():
    english = edited(ENGLISH, "Blur.description", "Blur all frames of a clip.")
    [found] = locales.faults(GERMAN, recorded(GERMAN), english)
    assert found.startswith("Blur.description: the English text has changed. Update the translation, or")


def test_unrecorded_translation():
    tree = edited(GERMAN, "Blur.description", "Macht einen Clip weich.")
    [found] = locales.faults(tree, recorded(GERMAN), ENGLISH)
    assert found == "Blur.description is not recorded; run python tools/locales.py."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of locales with German alone."""
    monkeypatch.setattr(locales, "FOLDER", tmp_path)
    (tmp_path / "de").mkdir()
    locales.save("de", "nodeDefs", GERMAN)
    locales.save("de", "sources", recorded(GERMAN))
    return tmp_path


def test_update_removes_stale_texts_and_keeps_new_ones(folder):
    english = edited(ENGLISH, "Blur.description", "Blur all frames of a clip.")
    english = edited(english, "Blur.outputs.0.tooltip", "All frames.")
    locales.save("de", "nodeDefs", edited(GERMAN, "Blur.outputs.0.tooltip", "Alle Frames."))
    assert locales.update("de", english) == ["Blur.description"]
    tree = locales.load("de", "nodeDefs")
    assert "description" not in tree["Blur"] and tree["Blur"]["outputs"]["0"]["tooltip"] == "Alle Frames."
    assert tree["Blur"]["display_name"] == "Weichzeichnen"
    assert locales.faults(tree, locales.load("de", "sources"), english) == []


def test_update_can_keep_translations(folder):
    english = edited(ENGLISH, "Blur.description", "Blur the clip.")
    assert locales.update("de", english, keep=True) == []
    assert locales.load("de", "nodeDefs") == GERMAN
    assert locales.faults(GERMAN, locales.load("de", "sources"), english) == []


def test_update_removes_what_no_longer_exists(folder):
    english = copy.deepcopy(ENGLISH)
    del english["Blur"]["inputs"]["edges"]
    english["Blur"]["inputs"]["radius"]["tooltip"] = "Pixels, if `edges` is `smooth`."
    removed = locales.update("de", english)
    assert removed == ["Blur.inputs.edges.name", "Blur.inputs.edges.tooltip"]
    assert (
        "edges"
        not in json.loads((folder / "de" / "nodeDefs.json").read_text(encoding="utf-8"))["Blur"]["inputs"]
    )
