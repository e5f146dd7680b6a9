"""Weights fetched in the background: only models of the catalogue, one at a time, with a cancel."""

import threading
from dataclasses import replace

import pytest

from stereoreel.cli.main import main
from stereoreel.models import catalog
from stereoreel.models.background_fetch import CANCELLED, DONE, FAILED, RUNNING, BackgroundFetch
from stereoreel.models.headless import Headless
from tests.support.weights_shop import CONTENTS, MODEL, names, offered, serving, without_proxies

KIND, PATIENCE = "upscale", 20  # seconds until a download has ended


@pytest.fixture
def shop(monkeypatch):
    """A loopback server, which the catalogue names as the source of one model."""
    without_proxies(monkeypatch)
    with serving() as shop:
        entry = replace(catalog.models(KIND)[MODEL], work=0.0, parts={"weights": offered(shop)})
        real = catalog._catalogue
        monkeypatch.setattr(
            catalog, "_catalogue", lambda kind: {**real(kind), MODEL: entry} if kind == KIND else real(kind)
        )
        yield shop


class Heard:
    """The reports of a background fetch, and an event for its end."""

    def __init__(self, folder):
        self.reports, self.ended = [], threading.Event()
        self.fetch = BackgroundFetch(lambda tick: Headless("cpu", models=folder, on_tick=tick), self._hear)

    def _hear(self, progress):
        self.reports.append(progress)
        if progress.state != RUNNING:
            self.ended.set()

    def run(self, name: str = MODEL):
        self.ended.clear()
        self.fetch.start(KIND, name)
        assert self.ended.wait(PATIENCE)
        return self.reports[-1]


@pytest.fixture
def heard(tmp_path):
    return Heard(tmp_path / "models")


def test_it_fetches_with_progress(shop, heard, tmp_path):
    assert heard.run().state == DONE and not heard.fetch.running
    done = [report.done for report in heard.reports]
    assert done == sorted(done) and done[-1] == heard.reports[-1].total == len(CONTENTS)
    assert (tmp_path / "models" / KIND / "net.pth").read_bytes() == CONTENTS


def test_one_model_at_a_time(shop, heard):
    shop.door = threading.Event()
    heard.fetch.start(KIND, MODEL)
    with pytest.raises(RuntimeError, match=f"{MODEL} is being fetched"):
        heard.fetch.start(KIND, MODEL)
    shop.door.set()
    assert heard.ended.wait(PATIENCE) and heard.reports[-1].state == DONE


def test_cancel_keeps_what_arrived_and_the_next_fetch_goes_on(shop, heard, tmp_path):
    shop.pause, shop.cuts = (2_000_000, threading.Event()), [2_500_000]  # never whole before the cancel
    heard.fetch.start(KIND, MODEL)
    while not any(report.done for report in heard.reports):
        heard.ended.wait(0.05)
    heard.fetch.cancel()
    shop.pause[1].set()
    assert heard.ended.wait(PATIENCE) and heard.reports[-1].state == CANCELLED
    assert names(tmp_path / "models" / KIND) == ["net.pth.part"]
    shop.pause = None
    assert heard.run().state == DONE
    assert len(shop.asked) > 1 and all(part.startswith("bytes=") for _, part in shop.asked[1:])


def test_a_failure_is_one_sentence(shop, heard):
    del shop.files["/net.pth"]
    last = heard.run()
    assert last.state == FAILED and last.text.startswith("net.pth could not be downloaded from 127.0.0.1")
    assert "\n" not in last.text


def test_no_server_is_one_sentence(shop, heard, monkeypatch):
    catalogue = catalog._catalogue
    entry = catalogue(KIND)[MODEL]
    part = replace(entry.parts["weights"], url="http://127.0.0.1:1/net.pth")
    monkeypatch.setattr(
        catalog,
        "_catalogue",
        lambda kind: {
            **catalogue(kind),
            **({MODEL: replace(entry, parts={"weights": part})} if kind == KIND else {}),
        },
    )
    assert heard.run().text.startswith("net.pth could not be downloaded from 127.0.0.1:1")


@pytest.mark.parametrize("name", ["builtin", "../net.pth", "http://127.0.0.1/net.pth", ""])
def test_only_models_of_the_catalogue_are_fetched(shop, heard, name):
    with pytest.raises(ValueError, match="Only weights of models in the catalogue"):
        heard.fetch.start(KIND, name)
    assert shop.asked == [] and heard.reports == []


def test_a_model_without_an_address_is_refused(heard):
    with pytest.raises(ValueError, match="No download URL is known"):
        heard.fetch.start("depth", "distill-any-depth-small")


def test_the_terminal_fetches_what_it_recommends(shop, monkeypatch, tmp_path, capsys):
    """All kinds but one need no weights here, so that only the loopback server is asked."""
    known = catalog._catalogue
    kept = {
        kind: {name: entry for name, entry in known(kind).items() if name in ("builtin", MODEL)}
        for kind in catalog.KINDS
    }
    monkeypatch.setattr(catalog, "_catalogue", kept.__getitem__)
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    monkeypatch.setattr("stereoreel.models.headless.enclosing_models", lambda: None)
    monkeypatch.setattr("stereoreel.models.headless.best_device", lambda: "cpu")
    assert main(["fetch", "--recommended"]) == 0
    said = capsys.readouterr().out
    assert "RealESRGAN x2" in said and "BSD-3-Clause" in said and "3.1 MB" in said
    assert (tmp_path / KIND / "net.pth").read_bytes() == CONTENTS
