"""Download of weights: with progress, resumable, and under the final name only when verified."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit

from filelock import FileLock, Timeout  # a dependency of torch

from .. import __version__
from ..core.files import sha256, sync, sync_folder
from . import hub
from .intact import fault, first_line
from .weights import File, megabytes, safe_name

Tick = Callable[[int, int], None]
BLOCK = 1 << 20  # most bytes received at a time
PATIENCE = 30  # seconds without a byte
OFTEN = 0.1  # seconds between progress reports
MOST = 64 << 30  # most bytes to accept if neither the server nor the catalogue gives the size
HOPS = 10  # most redirects to follow
TRIES = 8  # connections in a row that must together transfer this share of the file, or this many bytes
SHARE, LEAST = 0.01, 1 << 20


class Fetched(NamedTuple):
    """Where a file is, its hash, whether that hash is verified, and whether the file existed before."""

    path: Path
    sha256: str
    verified: bool
    found: bool


class _Broken(Exception):
    """The transfer ended because of the connection, not because of this machine."""


class _Refused(Exception):
    """The server does not send the file, as its first bytes or its headers show."""


def fetch(file: File, folder: Path, tick: Tick | None = None, force: bool = False) -> Fetched:
    """Download a file into ``folder`` unless it is there; ``force`` replaces one with a different hash.

    ``tick(done, total)`` receives the bytes (total is 0 if unknown) and may raise to cancel. Received data
    stays in a ``.part``, from which the next download resumes. Raise ValueError for a bad address or bad
    contents, ConnectionError for the connection, and OSError for the disk.
    """
    tick = tick or (lambda done, total: None)
    target = Path(folder) / safe_name(file.file)
    with _writing(file, target.parent):
        _check_target(target)
        target.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(file, target, tick):
        if target.is_file() and (found := _found(file, target, tick, force)):
            return found
        file, handlers = hub.located(file, target.parent)
        _check_address(file.url, file)
        part = target.with_name(f"{target.name}.part")
        digest = _download_verified(_opener(handlers), file, part, tick)
        if not force and os.path.lexists(target):
            raise ValueError(f"{target} appeared during the download. Fetch with --force to replace it.")
        with _writing(file, target.parent):
            sync(part)
            os.replace(part, target)
            with suppress(OSError):  # the file is complete under its name
                sync_folder(target.parent)
    return Fetched(target, digest, bool(file.sha256), False)


def _check_target(target: Path) -> None:
    if target.is_dir():
        raise ValueError(f"{target} is a folder. Remove it, or choose another folder for the file.")
    if target.is_symlink() and not target.exists():
        raise ValueError(f"{target} is a broken link. Remove it, or choose another folder for the file.")


@contextmanager
def _writing(file: File, folder: Path) -> Iterator[None]:
    """Raise disk errors in one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a sentence already
            raise
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        why = "the disk is full. Free space, or" if full else f"{error.strerror}. Otherwise"
        raise OSError(f"{file.file} cannot be written to {folder}: {why} choose another folder.") from None


def _opened(part: Path, flags: int) -> BinaryIO:
    """Open a ``.part`` that is a regular file with one name: a link would redirect the download."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    if part.is_symlink() or part.is_dir():
        what = "link" if part.is_symlink() else "folder"
        raise ValueError(f"{part} is a {what}, not part of a download. Remove it.")
    handle = os.open(part, flags, 0o666)
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        os.close(handle)
        raise ValueError(
            f"{part} has a second name or is not a regular file, so it is not part of a download. Remove it."
        )
    return os.fdopen(handle, "rb+")


@contextmanager
def _exclusive(file: File, target: Path, tick: Tick) -> Iterator[None]:
    """Allow one download of a file at a time, also among processes; those that wait then find the file.

    The system's file lock ends with its process. A lock that consists of a file's existence, or a ``.part``
    under a name of its own, would be left by a killed process, and no other could resume from there.
    """
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    while True:
        try:
            with _writing(file, target.parent):
                lock.acquire(timeout=0.5)
            break
        except Timeout:
            tick(0, 0)  # so that waiting can be cancelled
    try:
        yield
    finally:
        with suppress(OSError):  # Windows cannot remove an open file; its lock removes itself
            path.unlink()
        lock.release()


def _found(file: File, target: Path, tick: Tick, force: bool) -> Fetched | None:
    """Return the existing file if it is the right one, or None if it is to be replaced."""
    digest = sha256(target, tick)
    if not (wrong := _differs(file, digest, target)):
        return Fetched(target, digest, bool(file.sha256), True)
    if not force:
        raise ValueError(
            f"{target} does not match the expected file: {wrong}. Fetch with --force to replace it."
        )
    return None


def _check_address(url: str | None, file: File) -> None:
    if not url:
        raise ValueError(f"No download URL is known for {file.file}. Get it from its authors.")
    if wrong := _bad_address(url):
        raise ValueError(f"Cannot download {file.file} from {url}, {wrong}.")


def _bad_address(url: str) -> str | None:
    """Return why an address cannot be used, or None."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
        host and host.encode("idna")
    except (ValueError, UnicodeError):
        return "which is not a valid URL"
    if parts.scheme not in ("http", "https"):
        return "because only http and https are supported"
    return None if host and port != 0 else "which names no server"


def _download_verified(opener: request.OpenerDirector, file: File, part: Path, tick: Tick) -> str:
    """Download and verify the complete file in ``part``; return its hash.

    A kept part that does not fit is downloaded again once.
    """
    try:
        resumed = _receive(opener, file, part, tick)
        digest = sha256(part, tick)
        if resumed and _differs(file, digest, part):
            part.unlink()
            _receive(opener, file, part, tick)
            digest = sha256(part, tick)
        if wrong := _differs(file, digest, part):
            part.unlink()
    except _Refused as refused:  # earlier data is kept
        wrong = str(refused)
    if wrong:
        raise ValueError(
            f"{file.file} from {file.url} failed verification: {wrong}. "
            "The download was deleted. Try again, or report it to the model's authors."
        )
    return digest


def _differs(file: File, digest: str, path: Path) -> str | None:
    """Return how a file differs from the expected one, or None.

    Without a known hash it must at least be a checkpoint.
    """
    size = path.stat().st_size
    if file.sha256:
        return f"its SHA-256 is {digest} instead of {file.sha256}" if digest != file.sha256.lower() else None
    if file.bytes and size != file.bytes:
        return f"its size is {size} instead of {file.bytes} bytes"
    wrong = fault(path)
    return f"it {wrong}" if wrong else None


def _receive(opener: request.OpenerDirector, file: File, part: Path, tick: Tick) -> bool:
    """Download everything into ``part`` by as many requests as make progress; return whether it resumed."""
    try:
        resumed = _requests(opener, file, part, tick)
        if not part.stat().st_size:
            raise _Refused("it is empty")
        return resumed
    finally:
        if part.is_file() and not part.is_symlink() and not part.stat().st_size:
            part.unlink()  # nothing to resume from


def _requests(opener: request.OpenerDirector, file: File, part: Path, tick: Tick) -> bool:
    with _writing(file, part.parent), _opened(part, os.O_RDWR | os.O_CREAT) as written:
        # without a hash it is unknown whether the rest belongs to the same file
        if not file.sha256 or _length(written) > (file.bytes or MOST):
            written.truncate(0)
        resumed = _length(written) > 0
        gains: deque[int] = deque(maxlen=TRIES)
        while (before := _length(written)) != file.bytes or not before:
            try:
                _transfer(opener, file, written, part.parent, tick)
                break
            except _Broken as broken:
                gains.append(_length(written) - before)
                if gains[-1] <= 0 or not file.sha256 or _too_slow(gains, file.bytes):
                    raise ConnectionError(
                        f"{file.file} could not be downloaded from {urlsplit(file.url or '').netloc} "
                        f"({broken}). Try again later, or put the file into {part.parent} yourself."
                    ) from None
                resumed = True
    return resumed


def _too_slow(gains: deque[int], size: int | None) -> bool:
    """Whether the last connections together transferred so little that the download would never end."""
    return len(gains) == TRIES and sum(gains) < min(LEAST, SHARE * (size or MOST))


def _length(written: BinaryIO) -> int:
    written.flush()
    return os.fstat(written.fileno()).st_size


def _opener(more: Iterable[request.BaseHandler] = ()) -> request.OpenerDirector:
    """Return urllib's http and https opener, with the environment's proxies, and no other protocol."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
    ):
        opener.add_handler(handler())
    for another in more:
        opener.add_handler(another)
    return opener


def _transfer(
    opener: request.OpenerDirector, file: File, written: BinaryIO, folder: Path, tick: Tick
) -> None:
    """Request the missing part once. Raise _Broken if it ends early, _Refused if it cannot be the file."""
    have = _length(written)
    with _answer(opener, file.url or "", have) as answer:
        ends = _range(answer, have) if answer.status == 206 else None
        if answer.status == 416 or (answer.status == 206 and ends is None):  # complete, or from another file
            if answer.status == 416 and _whole_size(answer) == str(have):
                return
            written.truncate(0)
            answer.close()
            if not have:
                raise _Broken("the server answers with a part that was not requested")
            return _transfer(opener, file, written, folder, tick)
        have = have if answer.status == 206 else 0
        total, most = ends or _total(answer, file), file.bytes or MOST
        _check_declared(answer, total, file)
        _check_room(file, folder, (total or file.bytes or 0) - have)
        written.truncate(have)
        written.seek(have)
        reported, when = have, time.monotonic()
        for block in _blocks(answer):
            if have + len(block) > (total or most):
                written.truncate(0)  # none of it is usable
                raise _Refused(f"it has more than {total or most} bytes")
            written.write(block)
            have += len(block)
            if have - reported >= BLOCK or have == total or time.monotonic() - when > OFTEN:
                tick(have, total or file.bytes or 0)
                reported, when = have, time.monotonic()
        written.flush()
    if have < (total or (file.bytes if file.sha256 and file.bytes else 0)):
        raise _Broken(f"the connection ended after {have} of {total or file.bytes} bytes")


def _whole_size(answer: HTTPResponse | HTTPError) -> str:
    """Return the file's size, as an answer states that has no such part."""
    return answer.headers.get("Content-Range", "").rpartition("/")[2]


def _range(answer: HTTPResponse | HTTPError, have: int) -> int | None:
    """Return the file's length from a partial answer, or None if the part begins elsewhere."""
    said = answer.headers.get("Content-Range", "").strip()
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", said)
    if not have or not found or int(found[1]) != have or int(found[2]) < have:
        return None
    return int(found[2]) + 1 if found[3] == "*" else int(found[3])


def _total(answer: HTTPResponse | HTTPError, file: File) -> int:
    """Return the file's length as the server declares it, else 0. Raise _Refused for an invalid length."""
    declared = answer.headers.get("Content-Length")
    if declared is None or "chunked" in answer.headers.get("Transfer-Encoding", "").lower():
        return 0
    if not re.fullmatch(r"[0-9]{1,18}", declared.strip()):
        raise _Refused(f"the server declares a length of {declared[:40]!r}")
    if not int(declared):
        raise _Refused("it is empty")
    return int(declared)


def _check_declared(answer: HTTPResponse | HTTPError, total: int, file: File) -> None:
    """Raise _Refused if the server's headers show that it does not send the file."""
    if (packed := answer.headers.get("Content-Encoding", "identity")).lower() != "identity":
        raise _Refused(f"the server sends it compressed ({packed[:40]!r})")
    if file.bytes and total not in (0, file.bytes):
        raise _Refused(f"its size is {total} instead of {file.bytes} bytes")
    if total > MOST:
        raise _Refused(f"it would have {total} bytes")


def _answer(opener: request.OpenerDirector, url: str, have: int) -> HTTPResponse | HTTPError:
    """Return a server's answer after redirects, whose bodies are not read because they may be endless."""
    headers = {"User-Agent": f"stereoreel/{__version__}", **({"Range": f"bytes={have}-"} if have else {})}
    for _ in range(HOPS + 1):
        try:
            answer = opener.open(request.Request(url, headers=headers), timeout=PATIENCE)
            if answer.status in (200, 206):
                return answer
            answer.close()
            raise _Broken(f"the server answers {answer.status}")
        except HTTPError as error:
            if error.code == 416 and have:
                return error
            error.close()
            if error.code not in (301, 302, 303, 307, 308):
                reason = " ".join(str(error.reason).split())[:80]
                raise _Broken(f"the server answers {error.code} {reason}".rstrip()) from None
            url = _redirected(url, error.headers.get("Location"))
        except URLError as error:
            raise _Broken(str(error.reason).partition("\n")[0]) from None
        except (OSError, HTTPException, ValueError) as error:
            raise _Broken(first_line(error)) from None
    raise _Broken(f"the server redirects more than {HOPS} times")


def _redirected(url: str, location: str | None) -> str:
    """Return the target of a redirect. Raise _Broken if it is unsafe to follow."""
    if not location:
        raise _Broken("the server redirects without a target")
    try:
        new = urljoin(url, quote(location, safe="%/:=&?~#+!$,;'@()*[]|-._", encoding="latin-1"))
    except ValueError:
        raise _Broken(f"the server redirects to {location[:80]!r}, which is not a valid URL") from None
    if wrong := _bad_address(new):
        raise _Broken(f"the server redirects to {location[:80]!r}, {wrong}")
    if urlsplit(url).scheme == "https" and urlsplit(new).scheme != "https":
        raise _Broken(f"the server redirects from https to {new[:80]!r}, which is not encrypted")
    return new


def _blocks(answer: HTTPResponse | HTTPError) -> Iterator[bytes]:
    """Yield data as it arrives. Raise _Broken if a connection is kept alive by a trickle."""
    came, since = 0, time.monotonic()
    while True:
        if time.monotonic() - since > PATIENCE:
            if came < BLOCK // 64:
                raise _Broken(f"only {came} bytes arrived in {PATIENCE} seconds")
            came, since = 0, time.monotonic()
        try:
            block = answer.read1(BLOCK)
            came += len(block)
        except (OSError, HTTPException, ValueError) as error:
            raise _Broken(first_line(error)) from None
        if not block:
            return
        yield block


def _check_room(file: File, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"{folder} has {megabytes(free)} free and {file.file} needs {megabytes(needed)}. Free space or "
            "choose another folder."
        )
