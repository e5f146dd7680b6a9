"""Weights are downloaded completely and verified, or not at all, by the terminal and by ``download``."""

import hashlib
import json
import logging
import threading
from dataclasses import replace

import pytest

from stereoreel.cli.main import main
from stereoreel.cli.progress import ByteBar
from stereoreel.models import catalog, download
from stereoreel.models.lazy_stage import Plan
from stereoreel.workflow import orders
from tests.support.weights_shop import CONTENTS, MODEL, TINY, names, offered, serving, without_proxies


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch):
    """Hide the models of a ComfyUI that contains this checkout."""
    monkeypatch.setattr("stereoreel.models.headless.enclosing_models", lambda: None)


@pytest.fixture
def shop(monkeypatch):
    without_proxies(monkeypatch)
    with serving() as shop:
        yield shop


@pytest.fixture
def stocked(shop, monkeypatch):
    """Provide a catalogue with one upscaler's weights on a loopback server.

    They are dummies, so the builtin module runs.
    """
    entry = replace(
        catalog.models("upscale")[MODEL],
        arch="builtin",
        work=0.0,
        parts={"weights": replace(offered(shop), file="net.pth", also=())},
    )
    whole = {MODEL: entry} | {
        name: other for name, other in catalog._catalogue("upscale").items() if not other.parts
    }
    real = catalog._catalogue
    monkeypatch.setattr(catalog, "_catalogue", lambda kind: whole if kind == "upscale" else real(kind))
    return shop


def test_file_is_downloaded_with_progress(shop, tmp_path):
    progress = []
    done = download.fetch(offered(shop), tmp_path / "new" / "folder", lambda *at: progress.append(at))
    assert done.path.read_bytes() == CONTENTS and done.verified and not done.found
    assert names(done.path.parent) == ["net.pth"]
    assert (
        progress == sorted(progress)
        and progress[0][0] < len(CONTENTS)
        and progress[-1] == (len(CONTENTS), len(CONTENTS))
    )


def test_verified_file_is_not_downloaded_again(shop, tmp_path):
    (tmp_path / "net.pth").write_bytes(CONTENTS)
    done = download.fetch(offered(shop), tmp_path)
    assert done.found and done.verified and shop.asked == []


def test_other_file_of_that_name_is_kept_unless_forced(shop, tmp_path):
    (tmp_path / "net.pth").write_bytes(b"something else")
    with pytest.raises(ValueError, match="--force") as error:
        download.fetch(offered(shop), tmp_path)
    assert hashlib.sha256(b"something else").hexdigest() in str(error.value) and hashlib.sha256(
        CONTENTS
    ).hexdigest() in str(error.value)
    assert (tmp_path / "net.pth").read_bytes() == b"something else" and shop.asked == []
    assert download.fetch(offered(shop), tmp_path, force=True).path.read_bytes() == CONTENTS


def test_broken_transfer_resumes(shop, tmp_path):
    shop.cuts = [1_000_000, 5]
    assert download.fetch(offered(shop), tmp_path).path.read_bytes() == CONTENTS
    assert [asked for _, asked in shop.asked] == [None, "bytes=1000000-", "bytes=1000005-"]


@pytest.mark.parametrize("sizes", [True, False])
def test_earlier_part_is_resumed(shop, tmp_path, sizes):
    shop.sizes = sizes
    (tmp_path / "net.pth.part").write_bytes(CONTENTS[:2_000_000])
    assert download.fetch(offered(shop), tmp_path).path.read_bytes() == CONTENTS
    assert shop.asked == [("/net.pth", "bytes=2000000-")] and names(tmp_path) == ["net.pth"]


def test_server_without_ranges_restarts(shop, tmp_path):
    shop.ranges = False
    (tmp_path / "net.pth.part").write_bytes(CONTENTS[:2_000_000])
    assert download.fetch(offered(shop), tmp_path).path.read_bytes() == CONTENTS
    assert len(shop.asked) == 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kept", [CONTENTS, CONTENTS + b"and more"], ids=["whole", "longer"])
def test_complete_or_longer_part(shop, tmp_path, kept, known):
    (tmp_path / "net.pth.part").write_bytes(kept)
    file = offered(shop) if known else offered(shop, bytes=None)
    assert download.fetch(file, tmp_path).path.read_bytes() == CONTENTS


def test_part_of_another_version_is_discarded_once(shop, tmp_path):
    (tmp_path / "net.pth.part").write_bytes(b"x" * 2_000_000)
    assert download.fetch(offered(shop), tmp_path).path.read_bytes() == CONTENTS
    assert [asked for _, asked in shop.asked] == ["bytes=2000000-", None]


def test_wrong_contents_are_refused_with_both_hashes_and_deleted(shop, tmp_path):
    shop.files["/net.pth"] = other = CONTENTS[:-1] + b"!"
    with pytest.raises(ValueError, match=r"net\.pth from .* failed verification") as error:
        download.fetch(offered(shop), tmp_path)
    assert hashlib.sha256(other).hexdigest() in str(error.value) and hashlib.sha256(
        CONTENTS
    ).hexdigest() in str(error.value)
    assert names(tmp_path) == [] and len(shop.asked) == 1


def test_without_a_hash_the_size_is_checked_and_no_part_is_trusted(shop, tmp_path):
    (tmp_path / "net.pth.part").write_bytes(b"x" * 2_000_000)
    done = download.fetch(offered(shop, sha256=None), tmp_path)
    assert (
        done.path.read_bytes() == CONTENTS
        and not done.verified
        and done.sha256 == hashlib.sha256(CONTENTS).hexdigest()
    )
    with pytest.raises(ValueError, match="size is 3072007 instead of 5 bytes"):
        download.fetch(offered(shop, sha256=None, bytes=5), tmp_path / "other")


def test_redirects_and_proxies_are_followed(shop, tmp_path, monkeypatch):
    shop.redirects["/old.pth"] = "/net.pth?signed=1"
    assert (
        download.fetch(offered(shop, url=f"{shop.address}/old.pth"), tmp_path).path.read_bytes() == CONTENTS
    )
    monkeypatch.setenv("http_proxy", shop.address)
    download.fetch(offered(shop, url="http://weights.invalid/net.pth"), tmp_path / "proxied")
    assert shop.asked[-1][0] == "http://weights.invalid/net.pth"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/net.pth", "data:,x", "/etc/passwd", None]
)
def test_only_http_addresses_are_fetched(shop, tmp_path, url):
    with pytest.raises(ValueError, match=r"net\.pth"):
        download.fetch(offered(shop, url=url), tmp_path)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/net.pth", "data:,x"])
def test_no_redirect_leads_to_another_protocol(shop, tmp_path, target):
    shop.redirects["/net.pth"] = target
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        download.fetch(offered(shop), tmp_path)
    assert names(tmp_path) == []


def test_unreachable_server_and_missing_file_errors(shop, tmp_path):
    with pytest.raises(ConnectionError, match="answers 404"):
        download.fetch(offered(shop, url=f"{shop.address}/gone.pth"), tmp_path)
    with serving() as other:
        closed = other.address
    with pytest.raises(ConnectionError, match=r"could not be downloaded from 127\.0\.0\.1"):
        download.fetch(offered(shop, url=f"{closed}/net.pth"), tmp_path)


def test_stalled_transfer_is_abandoned_and_the_part_kept(shop, tmp_path):
    shop.cuts = [700_000, 0]
    with pytest.raises(ConnectionError, match="ended after 700000 of 3072007"):
        download.fetch(offered(shop), tmp_path)
    assert names(tmp_path) == ["net.pth.part"]
    assert download.fetch(offered(shop), tmp_path).path.read_bytes() == CONTENTS


class Cancelled(Exception):
    pass


def test_cancel_keeps_the_part(shop, tmp_path):
    def tick(done, total):
        if done > 1_000_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        download.fetch(offered(shop), tmp_path, tick)
    kept = (tmp_path / "net.pth.part").stat().st_size
    assert names(tmp_path) == ["net.pth.part"] and 1_000_000 < kept < len(CONTENTS)
    download.fetch(offered(shop), tmp_path)
    assert shop.asked[-1] == ("/net.pth", f"bytes={kept}-")


def test_concurrent_downloads_transfer_once(shop, tmp_path):
    shop.door, done, waiting = threading.Event(), [], threading.Event()

    def one():
        def tick(have, total):
            if not total:
                waiting.set()

        done.append(download.fetch(offered(shop), tmp_path, tick))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.wait(20), "the second fetcher waits for the first"
    shop.door.set()
    for thread in threads:
        thread.join(20)
    assert sorted(fetched.found for fetched in done) == [False, True]
    assert (
        len(shop.asked) == 1
        and names(tmp_path) == ["net.pth"]
        and (tmp_path / "net.pth").read_bytes() == CONTENTS
    )


def test_full_disk_error_before_the_transfer(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(OSError, match=r"1\.0 MB free and net\.pth needs 3\.1 MB"):
        download.fetch(offered(shop), tmp_path)


@pytest.mark.parametrize("model", ["auto", MODEL])
def test_download_option_downloads_and_logs(stocked, host, caplog, model):
    ticks = []
    host.tick = lambda done, total: ticks.append(done)
    plan = Plan("upscale", {"model": model, "download": True}, "Upscale")
    with caplog.at_level(logging.INFO):
        entry, _ = plan.choose(host)
    assert entry.name == MODEL and host.weights("upscale", "net.pth").read_bytes() == CONTENTS
    assert "net.pth" in caplog.text and "3.1 MB" in caplog.text and "BSD-3-Clause" in caplog.text
    assert ticks[0] < len(CONTENTS) == ticks[-1]
    assert plan.choose(host)[0].name == MODEL and len(stocked.asked) == 1


def test_without_download_no_request_is_sent(stocked, host):
    assert Plan("upscale", {}, "Upscale").choose(host)[0].name == "builtin"
    with pytest.raises(FileNotFoundError, match="Turn download on"):
        Plan("upscale", {"model": MODEL}, "Upscale").choose(host)
    assert stocked.asked == []


def test_choice_is_reported_without_downloading(stocked, host):
    assert catalog.pick("upscale", "auto", host, download=True)[0].name == MODEL and stocked.asked == []


def test_fetch_in_the_terminal(stocked, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    assert main(["fetch", MODEL]) == 0
    assert (tmp_path / "upscale" / "net.pth").read_bytes() == CONTENTS
    assert "was downloaded (licence BSD-3-Clause), SHA-256 verified" in capsys.readouterr().out
    assert main(["fetch", MODEL]) == 0 and "existed already" in capsys.readouterr().out
    assert (
        main(["fetch", MODEL, "--folder", str(tmp_path / "mine")]) == 0
        and (tmp_path / "mine" / "net.pth").is_file()
    )
    (tmp_path / "upscale" / "net.pth").write_bytes(b"other")
    assert main(["fetch", MODEL]) == 1 and "--force" in capsys.readouterr().err
    assert (
        main(["fetch", MODEL, "--force"]) == 0 and (tmp_path / "upscale" / "net.pth").read_bytes() == CONTENTS
    )


def test_run_downloads_if_permitted(stocked, tmp_path, monkeypatch, tensor_clip):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("stereoreel.media.open.open_file", lambda path, options, name, **more: tensor_clip())
    (tmp_path / "graph.json").write_text(json.dumps(orders.api(("extract", "upscale", "encode"))))
    words = [
        "run",
        str(tmp_path / "graph.json"),
        "--output",
        str(tmp_path / "out.mp4"),
        "--input",
        "x.mp4",
        "--set",
        "upscale.download=on",
    ]
    assert main(words) == 0 and (tmp_path / "out.mp4").is_file()
    assert (tmp_path / "models" / "upscale" / "net.pth").read_bytes() == CONTENTS and len(stocked.asked) == 1


def test_all_parts_includes_optional_files_and_reports_an_unknown_hash(
    stocked, tmp_path, monkeypatch, capsys
):
    entry = catalog.models("upscale")[MODEL]
    entry.parts["more"] = offered(stocked, sha256=None, optional=True, url=f"{stocked.address}/more.pth")
    entry.parts["more"] = replace(entry.parts["more"], file="more.pth")
    stocked.files["/more.pth"] = CONTENTS
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    assert main(["fetch", MODEL]) == 0
    assert "--all-parts" in capsys.readouterr().out and names(tmp_path / "upscale") == ["net.pth"]
    assert main(["fetch", MODEL, "--all-parts"]) == 0
    out = capsys.readouterr().out
    assert "no SHA-256 is on record" in out and hashlib.sha256(CONTENTS).hexdigest() in out
    assert names(tmp_path / "upscale") == ["more.pth", "net.pth"]


def test_other_packing_is_not_downloaded_again(shop, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    (tmp_path / "upscale").mkdir()
    (tmp_path / "upscale" / "RealESRGAN_x2plus.safetensors").write_bytes(TINY)
    assert main(["fetch", MODEL]) == 0 and "holds the same weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--list"),
        (["builtin"], "no weights to download for builtin"),
        ([MODEL, "nothing"], "no weights to download for nothing"),
    ],
)
def test_unavailable_names_are_refused_before_any_download(
    stocked, tmp_path, monkeypatch, capsys, words, said
):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    assert main(["fetch", *words]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and stocked.asked == []


def test_ctrl_c_reports_the_kept_part(stocked, tmp_path, monkeypatch, capsys):
    def tick(bar, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(ByteBar, "tick", tick)
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    assert main(["fetch", MODEL]) == 130
    assert "the same command resumes it" in capsys.readouterr().err and names(tmp_path / "upscale") == [
        "net.pth.part"
    ]
