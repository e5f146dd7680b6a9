"""A server of weights on loopback that knows ranges and can misbehave."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from stereoreel.weights import File

CONTENTS = bytes(range(256)) * 12000 + b"the end"  # three megabytes, so that they come in several blocks
MODEL = "realesrgan-x2plus"


class Shop:
    """A server on loopback: what it offers, what it was asked, and how it misbehaves."""

    def __init__(self):
        self.files, self.ranges, self.cuts, self.sizes, self.asked = {"/net.pth": CONTENTS}, True, [], True, []
        self.redirects: dict[str, str] = {}
        self.door = None  # an event that answers wait for

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append((handler.path, asked))
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
        handler.wfile.write(whole[begin:][: self.cuts.pop(0) if self.cuts else None])


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
