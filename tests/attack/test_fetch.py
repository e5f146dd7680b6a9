"""`fetch` against hostile servers and prepared folders: one clear error, and no file harmed."""

import errno
import hashlib
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stereoreel.models import download
from stereoreel.models.weights import File
from tests.support.bad_weights import contents
from tests.support.weights_shop import CONTENTS, TINY, names, whole, without_proxies

PLAIN = hashlib.sha256(CONTENTS).hexdigest()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    without_proxies(monkeypatch)


@contextmanager
def served(answer):
    """Run a loopback server; ``answer(handler, begin)`` gives every answer.

    Yield its address and a list of the requests.
    """
    asked: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Range"))
            begin = int((asked[-1] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            try:
                answer(self, begin)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *words): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/net.pth", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def head(handler, status: int = 200, **headers) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def file(url: str, **facts) -> File:
    return File("net.pth", **{"url": url, "sha256": PLAIN, "bytes": len(CONTENTS), **facts})


def failed(url: str, folder, *kinds: type, **facts) -> str:
    with pytest.raises(kinds or (ValueError, ConnectionError)) as error:
        download.fetch(file(url, **facts), folder)
    said = str(error.value)
    assert "\n" not in said and "net.pth" in said and "Errno" not in said, said
    assert "net.pth" not in names(folder) and not any(name.endswith(".lock") for name in names(folder))
    return said


KNOWN = {
    "hash and size": {},
    "size": {"sha256": None},
    "hash": {"bytes": None},
    "nothing": {"sha256": None, "bytes": None},
}


@pytest.mark.parametrize("known", KNOWN)
def test_endless_body_is_cut_at_the_known_size(known, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MOST", 4_000_000)
    sent = []

    def answer(handler, begin):
        head(handler)
        for _ in range(2000):  # 128 MB if it is not cut
            handler.wfile.write(CONTENTS[:65536])
            sent.append(65536)

    with served(answer) as (url, _):
        assert "it has more than" in failed(url, tmp_path, ValueError, **KNOWN[known])
    assert sum(sent) < 40_000_000 and names(tmp_path) == []


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize(
    "length", ["-1", "-5000", "many", "0x10", "1e3", "5, 5", "", "9" * 30, "9" * 5000, str(1 << 62), "0"]
)
def test_invalid_length_is_refused(length, known, tmp_path):
    def answer(handler, begin):
        head(handler, Content_Length=length)
        handler.wfile.write(CONTENTS)

    with served(answer) as (url, _):
        failed(url, tmp_path, **KNOWN[known])
    assert names(tmp_path) == []


@pytest.mark.parametrize("length", [len(CONTENTS) - 1, len(CONTENTS) + 1, 5])
def test_wrong_length_is_refused_before_writing(length, tmp_path):
    def answer(handler, begin):
        head(handler, Content_Length=length)
        handler.wfile.write(CONTENTS)

    with served(answer) as (url, asked):
        assert f"size is {length} instead of {len(CONTENTS)} bytes" in failed(url, tmp_path, ValueError)
        assert len(asked) == 1


def test_missing_length_is_accepted(tmp_path):
    def answer(handler, begin):
        head(handler)
        handler.wfile.write(CONTENTS)

    for number, facts in enumerate(KNOWN.values()):
        with served(answer) as (url, _):
            assert download.fetch(file(url, **facts), tmp_path / str(number)).path.read_bytes() == CONTENTS


def test_chunked_transfer_and_its_errors(tmp_path):
    def answer(handler, begin, size=b"%x"):
        handler.protocol_version = "HTTP/1.1"
        head(handler, Transfer_Encoding="chunked")
        handler.wfile.write(size % len(CONTENTS) + b"\r\n" + CONTENTS + b"\r\n0\r\n\r\n")
        handler.close_connection = True

    with served(answer) as (url, _):
        assert download.fetch(file(url), tmp_path).path.read_bytes() == CONTENTS
    with served(lambda handler, begin: answer(handler, begin, b"zz%x")) as (url, _):
        failed(url, tmp_path / "other", ConnectionError)


REDIRECTS = [
    "file:///etc/passwd",
    "ftp://127.0.0.1/net.pth",
    "data:,x",
    "http://[::1/net.pth",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:abc/",
    "http://",
    "http:///net.pth",
    "https://",
    "//",
    "javascript:alert(1)",
    "http://a..b/net.pth",
    "http://" + "a" * 300 + "/",
    "\\\\host\\share",
    "",
    "http://127.0.0.1:0/",
    "gopher://127.0.0.1/",
    "http://\xfc\xff/",
]


@pytest.mark.parametrize("target", REDIRECTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_invalid_redirect_error(target, status, tmp_path):
    with served(lambda handler, begin: head(handler, status, Location=target)) as (url, asked):
        failed(url, tmp_path, ConnectionError)
        assert len(asked) <= download.HOPS + 1
    assert names(tmp_path) == []


def test_endless_redirects_are_abandoned(tmp_path):
    with served(lambda handler, begin: head(handler, 302, Location="/net.pth")) as (url, asked):
        assert "redirects more than 10 times" in failed(url, tmp_path, ConnectionError)
        assert len(asked) == download.HOPS + 1
    with served(lambda handler, begin: head(handler, 302, Location=f"{handler.path}x")) as (url, asked):
        assert "redirects more than 10 times" in failed(url, tmp_path, ConnectionError)
    with served(lambda handler, begin: head(handler, 302)) as (url, asked):
        assert "redirects without a target" in failed(url, tmp_path, ConnectionError)


def test_redirect_from_https_to_http_is_refused():
    with pytest.raises(download._Broken, match="not encrypted"):
        download._redirected("https://weights.example/net.pth", "http://weights.example/net.pth")
    assert (
        download._redirected("https://weights.example/a/net.pth", "../b?x=%20&y=1")
        == "https://weights.example/b?x=%20&y=1"
    )


def test_body_of_a_redirect_is_not_read(tmp_path):
    sent = []

    def answer(handler, begin):
        if handler.path == "/real":
            head(handler)
            return handler.wfile.write(CONTENTS)
        head(handler, 302, Location="/real")
        for _ in range(2000):
            handler.wfile.write(bytes(65536))
            sent.append(65536)

    with served(answer) as (url, _):
        assert download.fetch(file(url), tmp_path).path.read_bytes() == CONTENTS
    assert sum(sent) < 40_000_000


@pytest.mark.parametrize("known", ["hash and size", "hash"])
def test_one_byte_per_connection_is_abandoned_and_the_part_kept(known, tmp_path):
    def answer(handler, begin):
        head(
            handler,
            206 if begin else 200,
            Content_Length=len(CONTENTS) - begin,
            Content_Range=f"bytes {begin}-{len(CONTENTS) - 1}/{len(CONTENTS)}",
        )
        handler.wfile.write(CONTENTS[begin : begin + 1])

    with served(answer) as (url, asked):
        assert "ended after" in failed(url, tmp_path, ConnectionError, **KNOWN[known])
        assert len(asked) == download.TRIES
    assert (
        names(tmp_path) == ["net.pth.part"]
        and (tmp_path / "net.pth.part").read_bytes() == CONTENTS[: download.TRIES]
    )


@pytest.mark.parametrize("short", [True, False], ids=["short parts", "broken parts"])
def test_frequent_breaks_with_progress_complete(short, tmp_path):
    step = 30_000  # a hundred connections

    def answer(handler, begin):
        stop = min(len(CONTENTS), begin + step) if short and begin else len(CONTENTS)
        head(
            handler,
            206 if begin else 200,
            Content_Length=stop - begin,
            Content_Range=f"bytes {begin}-{stop - 1}/{len(CONTENTS)}",
        )
        handler.wfile.write(CONTENTS[begin : begin + step])

    with served(answer) as (url, asked):
        assert download.fetch(file(url), tmp_path).path.read_bytes() == CONTENTS
        assert len(asked) == -(-len(CONTENTS) // step)


def test_slow_drip_is_abandoned(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    done = threading.Event()

    def answer(handler, begin):
        head(
            handler,
            206 if begin else 200,
            Content_Length=len(CONTENTS) - begin,
            Content_Range=f"bytes {begin}-{len(CONTENTS) - 1}/{len(CONTENTS)}",
        )
        for place in range(begin, begin + 200):
            handler.wfile.write(CONTENTS[place : place + 1])
            if done.wait(0.05):
                return

    with served(answer) as (url, asked):
        failed(url, tmp_path, ConnectionError)
        done.set()
        assert len(asked) <= download.TRIES


@pytest.mark.parametrize(
    "case",
    [
        "empty",
        "web page",
        "lfs pointer",
        "json",
        "safetensors cut at the end",
        "zip cut at the end",
        "text",
        "compressed zip",
    ],
)
def test_not_a_checkpoint_is_refused_without_a_hash(case, tmp_path):
    def answer(handler, begin):
        head(handler)
        handler.wfile.write(contents()[case])

    with served(answer) as (url, _):
        assert "failed verification" in failed(url, tmp_path, ValueError, sha256=None, bytes=None)
        assert "failed verification" in failed(
            url, tmp_path, ValueError, sha256=None, bytes=len(contents()[case]) or None
        )
    assert names(tmp_path) == []


RANGES = {
    "another place": "bytes 7-{last}/{size}",
    "none": None,
    "nonsense": "pages 1-2/3",
    "backwards": "bytes 5-1/{size}",
    "huge": "bytes " + "9" * 60,
}


@pytest.mark.parametrize("lie", RANGES)
def test_wrong_range_restarts(lie, tmp_path):
    def answer(handler, begin):
        if not begin:
            head(handler, Content_Length=len(CONTENTS))
            return handler.wfile.write(CONTENTS)
        said = RANGES[lie] and RANGES[lie].format(last=len(CONTENTS) - 1, size=len(CONTENTS))
        head(handler, 206, **({"Content_Range": said} if said else {}))
        return handler.wfile.write(b"x" * (len(CONTENTS) - begin))

    (tmp_path / "net.pth.part").write_bytes(CONTENTS[:1000])
    with served(answer) as (url, asked):
        assert download.fetch(file(url), tmp_path).path.read_bytes() == CONTENTS
    assert asked == ["bytes=1000-", None]


def test_unrequested_range_error(tmp_path):
    with served(lambda handler, begin: head(handler, 206, Content_Range="bytes 0-1/2")) as (url, asked):
        failed(url, tmp_path, ConnectionError)
        assert len(asked) == 1


@pytest.mark.parametrize("status", [201, 204, 205, 300, 304, 400, 401, 403, 404, 416, 429, 500, 503])
def test_other_status_errors(status, tmp_path):
    with served(lambda handler, begin: head(handler, status)) as (url, asked):
        assert str(status) in failed(url, tmp_path, ConnectionError)
        assert len(asked) == 1


def test_compressed_answer_is_refused(tmp_path):
    with served(
        lambda handler, begin: head(handler, Content_Encoding="gzip", Content_Length=len(CONTENTS))
    ) as (url, _):
        assert "compressed ('gzip')" in failed(url, tmp_path, ValueError)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500,
        b"HTTP/1.1 200 " + b"x" * 70_000,
    ],
)
def test_not_http_error(raw, tmp_path):
    def answer(handler, begin):
        handler.wfile.write(raw)
        handler.close_connection = True

    with served(answer) as (url, _):
        failed(url, tmp_path, ConnectionError)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///net.pth",
        "http://[::1/net.pth",
        "http://127.0.0.1:abc/net.pth",
        "https://a..b/net.pth",
        "file:///net.pth",
        "net.pth",
        "http://127.0.0.1:0/net.pth",
        "http://127.0.0.1 /net.pth",
        "http://127.0.0.1:1/a b\nc",
    ],
)
def test_invalid_address_error(url, tmp_path):
    with pytest.raises((ValueError, ConnectionError)) as error:
        download.fetch(file(url), tmp_path)
    assert "net.pth" in str(error.value) and names(tmp_path) == []


# What lies in the folder


def plain(handler, begin):
    head(
        handler,
        206 if begin else 200,
        Content_Length=len(CONTENTS) - begin,
        Content_Range=f"bytes {begin}-{len(CONTENTS) - 1}/{len(CONTENTS)}",
    )
    handler.wfile.write(CONTENTS[begin:])


linked = pytest.mark.skipif(os.name == "nt", reason="Windows needs a right to make links")


@linked
@pytest.mark.parametrize("trap", ["link", "link to nothing", "hard link", "folder", "pipe"])
@pytest.mark.parametrize("known", KNOWN)
def test_planted_part_is_refused_and_its_target_unchanged(trap, known, tmp_path):
    precious, part = tmp_path / "thesis.txt", tmp_path / "models" / "net.pth.part"
    precious.write_text("years")
    part.parent.mkdir()
    {
        "link": lambda: part.symlink_to(precious),
        "link to nothing": lambda: part.symlink_to(tmp_path / "new"),
        "hard link": lambda: os.link(precious, part),
        "folder": part.mkdir,
        "pipe": lambda: os.mkfifo(part),
    }[trap]()
    with served(plain) as (url, _):
        assert "Remove it" in failed(url, part.parent, ValueError, **KNOWN[known])
    assert (
        precious.read_text() == "years"
        and names(tmp_path) == ["models", "thesis.txt"]
        and names(part.parent) == ["net.pth.part"]
    )


@linked
def test_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    (tmp_path / ".net.pth.lock").symlink_to(tmp_path / "thesis.txt")
    with served(plain) as (url, _), pytest.raises(OSError, match=r"net\.pth cannot be written") as error:
        download.fetch(file(url), tmp_path)
    assert "Errno" not in str(error.value) and (tmp_path / "thesis.txt").read_text() == "years"


@linked
def test_target_that_is_a_folder_or_dangling_link_is_refused(tmp_path):
    (tmp_path / "a" / "net.pth").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "net.pth").symlink_to(tmp_path / "gone")
    with served(plain) as (url, asked):
        for folder in ("a", "b"):
            for force in (False, True):
                with pytest.raises(ValueError, match=r"net\.pth is a (folder|broken link)"):
                    download.fetch(file(url), tmp_path / folder, force=force)
        assert not asked and not (tmp_path / "gone").exists()


def test_file_created_meanwhile_is_kept_unless_forced(tmp_path):
    def tick(done, total):
        if done:
            (tmp_path / "net.pth").write_bytes(b"someone else's")

    with served(plain) as (url, _):
        with pytest.raises(ValueError, match="appeared during the download"):
            download.fetch(file(url), tmp_path, tick)
        assert (tmp_path / "net.pth").read_bytes() == b"someone else's"
        assert download.fetch(file(url), tmp_path, force=True).path.read_bytes() == CONTENTS


def test_empty_file_is_not_accepted(tmp_path):
    (tmp_path / "net.pth").touch()
    with served(plain) as (url, asked):
        with pytest.raises(ValueError, match=r"it is empty\. Fetch with --force"):
            download.fetch(file(url, sha256=None, bytes=None), tmp_path)
        assert not asked
        assert (
            download.fetch(file(url, sha256=None, bytes=None), tmp_path, force=True).path.read_bytes()
            == CONTENTS
        )


@linked
def test_force_replaces_a_link_and_not_its_target(tmp_path):
    (tmp_path / "other.pth").write_bytes(TINY)
    (tmp_path / "net.pth").symlink_to(tmp_path / "other.pth")
    with served(plain) as (url, _):
        download.fetch(file(url), tmp_path, force=True)
    assert (tmp_path / "other.pth").read_bytes() == TINY and (tmp_path / "net.pth").read_bytes() == CONTENTS


def test_folder_that_is_a_file_error(tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(OSError, match=r"net\.pth cannot be written to .*models") as error:
        download.fetch(file("http://127.0.0.1:1/net.pth"), tmp_path / "models")
    assert "Errno" not in str(error.value) and (tmp_path / "models").read_text() == "a file"


@pytest.mark.parametrize("number", range(1, 4))
@pytest.mark.parametrize("call", ["fsync", "replace", "ftruncate", "open"])
def test_disk_failure_leaves_no_file_and_the_same_command_completes(call, number, tmp_path, monkeypatch):
    """The N-th call fails as on a full disk."""
    real, seen = getattr(os, call), []

    def failing(*words, **named):
        seen.append(words)
        if len(seen) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*words, **named)

    with served(plain) as (url, _):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                download.fetch(file(url), tmp_path)
            except OSError as error:
                assert "net.pth" in str(error) and "Errno" not in str(error) and "disk is full" in str(error)
        assert not (tmp_path / "net.pth").exists() or (tmp_path / "net.pth").read_bytes() == CONTENTS
        assert download.fetch(file(url), tmp_path).path.read_bytes() == CONTENTS
    assert names(tmp_path) == ["net.pth"]


def test_full_disk_error_keeps_the_part(tmp_path):
    """The system refuses in the middle of a write."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with served(plain) as (url, _):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
            with pytest.raises(
                OSError, match=r"net\.pth cannot be written to .* choose another folder\."
            ) as error:
                download.fetch(file(url), tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "Errno" not in str(error.value) and names(tmp_path) == ["net.pth.part"]
        assert download.fetch(file(url), tmp_path).path.read_bytes() == CONTENTS


def test_cancel_at_any_moment_leaves_a_resumable_part(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "BLOCK", 100_000)  # a tick for each, however they arrive
    for stop in (0, 1, 2, 3):
        moments = []

        def tick(done, total, stop=stop, moments=moments):
            moments.append(done)
            if len(moments) > stop:
                raise KeyboardInterrupt

        folder = tmp_path / str(stop)
        with served(plain) as (url, asked):
            with pytest.raises(KeyboardInterrupt):
                download.fetch(file(url), folder, tick)
            assert names(folder) == ["net.pth.part"]
            kept = (folder / "net.pth.part").stat().st_size
            assert download.fetch(file(url), folder).path.read_bytes() == CONTENTS
        assert asked[1:] in ([f"bytes={kept}-"], [])


def test_part_is_kept_if_a_login_page_answers(tmp_path):
    """A hotel's login page must not cost gigabytes of downloaded data."""
    (tmp_path / "net.pth.part").write_bytes(CONTENTS[:2_000_000])

    def answer(handler, begin):
        head(handler, Content_Length=20)
        handler.wfile.write(b"<html>log in</html>\n")

    with served(answer) as (url, _):
        assert "size is 20" in failed(url, tmp_path, ValueError)
    assert (tmp_path / "net.pth.part").read_bytes() == CONTENTS[:2_000_000]


def test_part_longer_than_the_file_is_not_resumed(tmp_path):
    (tmp_path / "net.pth.part").write_bytes(whole(len(CONTENTS) + 5))
    with served(plain) as (url, asked):
        assert download.fetch(file(url), tmp_path).path.read_bytes() == CONTENTS
    assert asked == [None]
