"""Shared fixtures: a host on the CPU, real clips, and clips made of tensors."""

import os
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import pytest

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported
# Workers of pytest-xdist share the cores, but keep two threads at least: one alone never works in parallel.
if (threads := (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

import torch  # isort: skip

from benchmarks.support import CLIPS
from stereoreel.core.clip import Clip
from stereoreel.core.tensor_source import TensorSource
from stereoreel.models import catalog
from stereoreel.models.headless import Headless
from stereoreel.sample import FILE
from stereoreel.workflow.node_specs import NODES


def pytest_addoption(parser):
    parser.addoption(
        "--fuzz",
        default="",
        metavar="COUNT or FIRST:LAST",
        help="damaged media files to try; default: a few hundred",
    )


@pytest.fixture
def host(tmp_path):
    return Headless("cpu", models=tmp_path / "models")


@pytest.fixture
def stand_ins(monkeypatch):
    """Let small networks use the names of published files: the catalogue knows no sizes, hashes and work."""
    published = catalog._catalogue

    @lru_cache
    def unknown(kind: str) -> dict:
        return {
            name: replace(
                entry,
                parts={role: replace(part, bytes=None, sha256=None) for role, part in entry.parts.items()},
                work=0.0,
            )
            for name, entry in published(kind).items()
        }

    monkeypatch.setattr(catalog, "_catalogue", unknown)


@pytest.fixture
def real_clip():
    """Return the path of a real clip by its file name; skip the test if the clip is missing."""

    def find(name: str) -> Path:
        if not (CLIPS / name).is_file():
            pytest.skip(f"{name} is missing; set STEREOREEL_CLIPS to the folder of real clips")
        return CLIPS / name

    return find


@pytest.fixture(scope="session", autouse=True)
def declared_options():
    """Read the nodes' options, which a process does once, before a test replaces the catalogue."""
    for node in NODES:
        assert node.options


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory):
    """Return a folder that all workers of one session share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "session"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def sample_file():
    """Return the sample clip that the package ships."""
    return FILE


@pytest.fixture
def tensor_clip():
    """Make a clip of given or random frames, with cuts only where asked."""

    def make(images=None, *, frames=7, size=(32, 48), channels=3, fps=Fraction(25), cuts=(), seed=0) -> Clip:
        if images is None:
            images = torch.rand(frames, *size, channels, generator=torch.Generator().manual_seed(seed))
        source = TensorSource(images, fps, cuts=False, label="Frames")
        source.info = source.info.replace(cuts=tuple(cuts))
        return Clip(source)

    return make


@pytest.fixture(scope="module")
def page():
    """Open ComfyUI's real canvas with the pack's declarations; fail on errors in the page."""
    from tests.support import browser

    if reason := browser.missing():
        pytest.skip(reason)
    with browser.frontend_server() as address, browser.canvas(address) as page:
        yield page
        assert page.evaluate("window.complaints") == []
