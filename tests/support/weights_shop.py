"""A loopback server of weights that supports ranges and can misbehave."""

import hashlib
import json
import struct
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from stereoreel.models import catalog
from stereoreel.models.weights import File


def safetensors(tensors: dict, data: bytes, length: int | None = None) -> bytes:
    """Return a file with these header entries and bytes; its header states ``length``, or the true length."""
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def whole(count: int) -> bytes:
    """Return a complete checkpoint of ``count`` bytes of weights, all different from their neighbours."""
    data = (bytes(range(256)) * (count // 256 + 1))[:count]
    return safetensors({"weight": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}, data)


TINY = whole(40)
# three megabytes, so that they come in several blocks
CONTENTS = whole(3_072_007 - len(whole(3_072_007)) + 3_072_007)
assert len(CONTENTS) == 3_072_007
MODEL = "realesrgan-x2plus"


class Shop:
    """A loopback server: its files, its requests, and its faults."""

    def __init__(self):
        self.files, self.ranges, self.cuts, self.sizes, self.asked = (
            {"/net.pth": CONTENTS},
            True,
            [],
            True,
            [],
        )
        self.redirects: dict[str, str] = {}
        self.tokens: list[str | None] = []  # what each request was signed with
        self.door = None  # an event that answers wait for
        self.pause: tuple[int, threading.Event] | None = None  # after so many bytes, until the event

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append((handler.path, asked))
        self.tokens.append(handler.headers.get("Authorization"))
        path = urlsplit(handler.path).path
        if path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[path])
            return handler.end_headers()
        if path not in self.files:
            return handler.send_error(404)
        whole = self.files[path]
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if begin >= len(whole):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(whole)}")
            return handler.end_headers()
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}")
        if self.sizes:
            handler.send_header("Content-Length", str(len(whole) - begin))
        handler.end_headers()
        if self.door:
            self.door.wait(20)
        answer = whole[begin:][: self.cuts.pop(0) if self.cuts else None]
        if self.pause:
            first, event = self.pause
            handler.wfile.write(answer[:first])
            event.wait(60)
            answer = answer[first:]
        handler.wfile.write(answer)


def without_proxies(monkeypatch) -> None:
    """Forget the proxies of the environment, which would be asked for loopback addresses too."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def serving():
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            shop.answer(self)

        def log_message(self, *words): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def offered(shop, **changes) -> File:
    facts = {"sha256": hashlib.sha256(CONTENTS).hexdigest(), "bytes": len(CONTENTS)}
    return File("net.pth", **{"url": f"{shop.address}/net.pth", **facts, **changes})


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def publish(monkeypatch, kind: str, name: str, contents: bytes, role: str = "weights") -> None:
    """Declare a model's file with these contents in the catalogue."""
    catalogue = {kind: catalog._catalogue(kind) for kind in catalog.KINDS}
    entry = catalogue[kind][name]
    part = replace(entry.parts[role], bytes=len(contents), sha256=hashlib.sha256(contents).hexdigest())
    catalogue[kind] = {**catalogue[kind], name: replace(entry, parts={**entry.parts, role: part})}
    monkeypatch.setattr(catalog, "_catalogue", catalogue.__getitem__)
