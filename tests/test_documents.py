"""The documents: links and anchors resolve, named files and flags exist, and the README stays small."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("web/docs/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(
    r"\b(?:tests|benchmarks|tools|docs|stereoreel|nodes|workflows|web)/[\w./-]*\.(?:py|md|yaml|json)\b"
)
RUN = re.compile(r"python ((?:benchmarks|tools)/\w+\.py)([^`\n]*)")
EXAMPLES = {"CONTRIBUTING.md"}  # names files that a reader creates


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page):
    for link in LINK.findall(text_of(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link} does not exist"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    if page.name not in EXAMPLES:
        missing = [name for name in FILE.findall(text_of(page)) if not (ROOT / name).exists()]
        assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_of_named_commands_exist(page):
    for script, arguments in RUN.findall(text_of(page)):
        source = text_of(ROOT / script)
        for flag in re.findall(r"(?<!\S)--[a-z-]+", arguments.partition("#")[0]):
            assert f'"{flag}"' in source or 'f"--{' in source, f"{script} has no {flag}"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 12 * 1024
