"""Check the translations in locales/ against the node declarations, and record what they translate.

    python tools/locales.py --check    exit with 1 if a translation does not fit the English texts
    python tools/locales.py            record new translations, and remove those whose English has changed
    python tools/locales.py --keep     record all as they are, if the English changed only in wording

A text without a translation appears in English, which is no fault. ``locales/<language>/sources.json``, which
ComfyUI does not read, holds the hashes of each English text and of its translation.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.workflow.node_specs import NODES

FOLDER = ROOT / "locales"
ENGLISH = "en"
SYNTAX = re.compile(r"[{}@|]")  # which the canvas does not show as written
NUMBER = re.compile(r"\d+(?:\.\d+)*")

# by path: NODE.display_name, NODE.description, NODE.inputs.ID.tooltip, NODE.outputs.0.name
Texts = dict[str, str]


def languages() -> list[str]:
    return sorted(place.name for place in FOLDER.iterdir() if place.is_dir() and place.name != ENGLISH)


def load(language: str, name: str) -> dict:
    """Return a file of a language; an empty dictionary if it does not exist."""
    path = FOLDER / language / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(language: str, name: str, content: dict) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (FOLDER / language / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")


def english() -> dict:
    """Return the English texts in the structure of nodeDefs.json."""
    return {
        node.id: {
            "display_name": node.display_name,
            "description": node.text,
            "inputs": {
                one.name.replace(".", "_"): {"name": one.name, "tooltip": one.text}
                for one in (*node.inputs, *node.options)
            },
            "outputs": {
                str(at): {"name": one.name, "tooltip": one.text} for at, one in enumerate(node.outputs)
            },
        }
        for node in NODES
    }


def flat(tree: dict, path: str = "") -> Texts:
    """Return the texts of nested dictionaries by their path."""
    texts: Texts = {}
    for key, value in tree.items():
        texts |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return texts


def hashes(source: str, translation: str) -> str:
    return " ".join(sha256(text.encode()).hexdigest()[:8] for text in (source, translation))


def recorded(texts: Texts, sources: Texts) -> Texts:
    """Return what sources.json holds for translations that fit; labels need none, because ids are frozen."""
    return {
        path: hashes(sources[path], text)
        for path, text in texts.items()
        if path in sources and not path.endswith(".name")
    }


def changed(path: str, texts: Texts, sources: Texts, record: Texts) -> tuple[bool, bool]:
    """Return whether the English text and the translation differ from what was recorded."""
    now, before = hashes(sources[path], texts[path]).split(), record.get(path, "").split()
    return bool(before) and now[0] != before[0], not before or now[1] != before[1]


def lost(source: str, translation: str, labels: Texts) -> list[str]:
    """Return the values in backticks and the figures that a translation lacks.

    ``labels`` are the translated names of the node's inputs, which may replace the ids.
    """
    quoted = re.findall("`(.+?)`", source)
    missing = [
        f"`{value}`"
        for value in quoted
        if not {f"`{value}`", f"`{labels.get(value, value)}`"} & set(re.findall("`.+?`", translation))
    ]
    figures = Counter(NUMBER.findall(source))
    figures -= Counter(NUMBER.findall(re.sub(r"(?<=\d),(?=\d)", ".", translation)))
    return missing + list(figures)


def faults(tree: dict, record: Texts, source: dict) -> list[str]:
    """Return what is wrong with the nodeDefs.json of a language, a sentence each."""
    texts, sources = flat(tree), flat(source)
    found = []
    for path, text in texts.items():
        if path not in sources:
            found.append(f"{path} does not exist; remove it or correct its name.")
            continue
        if marks := SYNTAX.findall(text):
            found.append(f"{path} contains {marks[0]}, which the canvas cannot show; write it without.")
        node, _, field = path.partition(".")
        labels = {key: one.get("name", key) for key, one in tree[node].get("inputs", {}).items()}
        if missing := lost(sources[path], text, labels):
            found.append(f"{path} lacks {', '.join(missing)}, which the English text has; add it.")
        if field.endswith(".name"):
            continue
        stale, fresh = changed(path, texts, sources, record)
        if stale and not fresh:
            found.append(
                f"{path}: the English text has changed. Update the translation, or leave it in English. "
                "Then run python tools/locales.py, which removes what was not updated."
            )
        elif stale or fresh:
            found.append(f"{path} is not recorded; run python tools/locales.py.")
    found += [
        f"{path} is recorded without a text; run python tools/locales.py."
        for path in record
        if path not in texts
    ]
    return found + doubled(tree)


def doubled(tree: dict) -> list[str]:
    """Return the labels that two inputs of a node share."""
    return [
        f"{node} calls two inputs {label!r}; rename one."
        for node, entry in tree.items()
        for label, count in Counter(one.get("name") for one in entry.get("inputs", {}).values()).items()
        if label and count > 1
    ]


def untranslated(tree: dict, source: dict) -> list[str]:
    texts = flat(tree)
    return [path for path in flat(source) if path not in texts]


def other_faults(language: str) -> list[str]:
    """Return what is wrong with main.json, which has the keys of the English one."""
    ours, theirs = flat(load(ENGLISH, "main")), flat(load(language, "main"))
    return [
        f"main.json: {path} {'is missing; add it' if path in ours else 'does not exist; remove it'}."
        for path in sorted(ours.keys() ^ theirs.keys())
    ]


def pruned(tree: dict, paths: set[str], at: str = "") -> dict:
    """Return nested dictionaries without the texts at these paths, and without what that leaves empty."""
    kept: dict = {}
    for key, value in tree.items():
        path = f"{at}{key}"
        if isinstance(value, dict):
            if inner := pruned(value, paths, f"{path}."):
                kept[key] = inner
        elif path not in paths:
            kept[key] = value
    return kept


def update(language: str, source: dict, keep: bool = False) -> list[str]:
    """Record the translations of a language; return the paths of those that were removed."""
    tree, record = load(language, "nodeDefs"), load(language, "sources")
    texts, sources = flat(tree), flat(source)
    gone = {path for path in texts if path not in sources}
    stale = {
        path for path in texts if path not in gone and changed(path, texts, sources, record) == (True, False)
    }
    removed = gone if keep else gone | stale
    tree = pruned(tree, removed)
    save(language, "nodeDefs", tree)
    save(language, "sources", recorded(flat(tree), sources))
    return sorted(removed)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check and record the translations in locales/.")
    parser.add_argument("--check", action="store_true", help="only report faults")
    parser.add_argument("--keep", action="store_true", help="keep translations whose English has changed")
    options = parser.parse_args(arguments)
    source, failed = english(), False
    for language in languages():
        if not options.check:
            for path in update(language, source, options.keep):
                print(f"{language}: removed {path}")
        tree = load(language, "nodeDefs")
        found = faults(tree, load(language, "sources"), source) + other_faults(language)
        for fault in found:
            print(f"{language}: {fault}")
        if missing := untranslated(tree, source):
            print(f"{language}: in English: {', '.join(missing)}")
        failed |= bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
