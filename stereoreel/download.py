"""Fetching weights: with progress, going on where it stopped, and never under the final name before it was verified."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from filelock import FileLock, Timeout  # torch brings it

from . import __version__
from .weights import File, checked, megabytes

Tick = Callable[[int, int], None]
BLOCK = 1 << 20  # bytes received at once, at most
PATIENCE = 30  # seconds without a byte
OFTEN = 0.1  # seconds after which progress is told, however little came


class Fetched(NamedTuple):
    """Where a file is, its hash, whether that is known to be the right one, and whether the file was there before."""

    path: Path
    sha256: str
    verified: bool
    found: bool


class _Broken(Exception):
    """The connection, not this machine, is why a transfer ended."""


def fetch(file: File, folder: Path, tick: Tick | None = None, force: bool = False) -> Fetched:
    """A file in ``folder``, fetched unless it is there; ``force`` replaces one that has another hash.

    ``tick(done, total)`` hears of the bytes (total is 0 where nobody knows) and may raise to cancel; what has come stays in a ``.part``,
    and the next fetch goes on from there. Raises ValueError for an address or contents that are not right, ConnectionError, and
    OSError where the disk is the cause.
    """
    tick = tick or (lambda done, total: None)
    target = Path(folder) / checked(file.file)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target, tick):
        if target.is_file() and (found := _found(file, target, tick, force)):
            return found
        _check_address(file)
        part = target.with_name(f"{target.name}.part")
        digest = _whole(file, part, tick)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(part, target)
    return Fetched(target, digest, bool(file.sha256), False)


@contextmanager
def _alone(target: Path, tick: Tick) -> Iterator[None]:
    """One fetch of a file at a time, also among processes; whoever waits then finds the file.

    The system's file lock ends with its process; a lock made by mere existence, or a ``.part`` under a name of its own,
    would be left by a killed one, and nobody could go on from there.
    """
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            tick(0, 0)  # so that waiting can be cancelled
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; its lock removes itself
            path.unlink()
        lock.release()


def _found(file: File, target: Path, tick: Tick, force: bool) -> Fetched | None:
    """The file that is there already, if it is the right one; None when it shall be replaced."""
    digest = sha256(target, tick)
    if not _differs(file, digest, target):
        return Fetched(target, digest, bool(file.sha256), True)
    if not force:
        raise ValueError(f"{target} is another file than expected: its {_compared(file, digest, target)}; fetch with --force to replace it.")
    return None


def _check_address(file: File) -> None:
    if not file.url:
        raise ValueError(f"Nobody told where {file.file} can be fetched; get it from its authors.")
    if urlsplit(file.url).scheme not in ("http", "https"):
        raise ValueError(f"{file.file} would come from {file.url}, but only http and https addresses are fetched.")


def _whole(file: File, part: Path, tick: Tick) -> str:
    """All of the file in ``part``, verified; its hash. What was kept from before and does not fit is fetched anew, once."""
    resumed = _receive(file, part, tick)
    digest = sha256(part, tick)
    if resumed and _differs(file, digest, part):
        part.unlink()
        _receive(file, part, tick)
        digest = sha256(part, tick)
    if _differs(file, digest, part):
        compared = _compared(file, digest, part)
        part.unlink()
        raise ValueError(f"What {file.url} gave is not {file.file}: its {compared}; it was thrown away, try again or tell the model's authors.")
    return digest


def _differs(file: File, digest: str, path: Path) -> bool:
    if file.sha256:
        return digest != file.sha256.lower()
    return bool(file.bytes) and path.stat().st_size != file.bytes


def _compared(file: File, digest: str, path: Path) -> str:
    if file.sha256:
        return f"sha256 is {digest} and not {file.sha256}"
    return f"size is {path.stat().st_size} and not {file.bytes} bytes"


def sha256(path: Path, tick: Tick | None = None) -> str:
    """The hash of a file's contents; ``tick`` is told the file's size again and again, so that it can be cancelled."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(8 * BLOCK):
            digest.update(block)
            if tick:
                tick(size, size)
    return digest.hexdigest()


def _receive(file: File, part: Path, tick: Tick) -> bool:
    """Everything into ``part``, over as many requests as bring something; whether it went on from what was there."""
    if not file.sha256:  # nothing would tell whether the rest belongs to the same file
        part.unlink(missing_ok=True)
    opener, resumed = _opener(), False
    while (before := _size(part)) != file.bytes or not before:
        resumed = resumed or before > 0
        try:
            _transfer(opener, file, part, tick)
            break
        except _Broken as broken:
            if _size(part) <= before or not file.sha256:
                raise ConnectionError(
                    f"{file.file} could not be fetched from {urlsplit(file.url).netloc} ({broken}); "
                    f"try again later, or put the file into {part.parent} yourself."
                ) from None
    return resumed or before > 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _opener() -> request.OpenerDirector:
    """urllib's http and https, with the proxies that the environment names; no handler that a redirect could lead to a file."""
    opener = request.OpenerDirector()
    for handler in (request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.HTTPDefaultErrorHandler,
                    request.HTTPRedirectHandler, request.HTTPErrorProcessor, request.UnknownHandler):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _transfer(opener: request.OpenerDirector, file: File, part: Path, tick: Tick) -> None:
    """One request for what ``part`` lacks; _Broken where it ends early."""
    have = _size(part)
    with _answer(opener, file.url, have) as answer:
        if answer.status == 416:  # the part is whole, or is not of this file
            if answer.headers.get("Content-Range", "").rpartition("/")[2] != str(have):
                part.unlink()
                _transfer(opener, file, part, tick)
            return
        have = have if answer.status == 206 else 0
        length = int(answer.headers.get("Content-Length") or 0)
        total = have + length if length else file.bytes or 0
        _check_room(file, part.parent, total - have)
        with part.open("ab" if have else "wb") as written:
            told, when = have, time.monotonic()
            for block in _blocks(answer):
                written.write(block)
                have += len(block)
                if have - told >= BLOCK or have == total or time.monotonic() - when > OFTEN:
                    tick(have, total)
                    told, when = have, time.monotonic()
    if have < total:
        raise _Broken(f"the connection ended after {have} of {total} bytes")


def _answer(opener: request.OpenerDirector, url: str, have: int) -> HTTPResponse | HTTPError:
    headers = {"User-Agent": f"stereoreel/{__version__}", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        return opener.open(request.Request(url, headers=headers), timeout=PATIENCE)
    except HTTPError as error:
        if error.code == 416 and have:
            return error
        error.close()
        raise _Broken(f"the server answers {error.code} {error.reason}") from None
    except URLError as error:
        raise _Broken(f"{error.reason}") from None
    except (OSError, HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from None


def _blocks(answer: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = answer.read1(BLOCK)
        except (OSError, HTTPException) as error:
            raise _Broken(str(error) or type(error).__name__) from None
        if not block:
            return
        yield block


def _check_room(file: File, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"{folder} has {megabytes(free)} left and {file.file} needs {megabytes(needed)}; make room or choose another folder.")
