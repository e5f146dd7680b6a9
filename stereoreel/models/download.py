"""Fetching weights: with progress, going on where it stopped, and never under the final name before it was
verified.
"""

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

from filelock import FileLock, Timeout  # torch brings it

from .. import __version__
from ..core.files import sha256, sync, sync_folder
from . import hub
from .intact import fault, first_line
from .weights import File, checked, megabytes

Tick = Callable[[int, int], None]
BLOCK = 1 << 20  # bytes received at once, at most
PATIENCE = 30  # seconds without a byte
OFTEN = 0.1  # seconds after which progress is reported, however little came
MOST = 64 << 30  # bytes that are taken when neither the server nor the catalogue says how many there are
HOPS = 10  # redirects that are followed
TRIES = 8  # connections in a row that must together bring this share of the file, or this many bytes
SHARE, LEAST = 0.01, 1 << 20


class Fetched(NamedTuple):
    """Where a file is, its hash, whether that is known to be the right one, and whether the file was there
    before.
    """

    path: Path
    sha256: str
    verified: bool
    found: bool


class _Broken(Exception):
    """The connection, not this machine, is why a transfer ended."""


class _Refused(Exception):
    """What a server sends is not the file, as its first bytes or its declarations say already."""


def fetch(file: File, folder: Path, tick: Tick | None = None, force: bool = False) -> Fetched:
    """A file in ``folder``, fetched unless it is there; ``force`` replaces one that has another hash.

    ``tick(done, total)`` hears of the bytes (total is 0 if unknown) and may raise to cancel; what has
    come stays in a ``.part``, and the next fetch goes on from there. Raises ValueError for an address or
    contents that are not right, ConnectionError, and OSError where the disk is the cause.
    """
    tick = tick or (lambda done, total: None)
    target = Path(folder) / checked(file.file)
    with _writing(file, target.parent):
        _check_target(target)
        target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file, target, tick):
        if target.is_file() and (found := _found(file, target, tick, force)):
            return found
        file, handlers = hub.located(file, target.parent)
        _check_address(file.url, file)
        part = target.with_name(f"{target.name}.part")
        digest = _whole(_opener(handlers), file, part, tick)
        if not force and os.path.lexists(target):
            raise ValueError(
                f"{target} was put there while it was fetched; fetch with --force to replace it."
            )
        with _writing(file, target.parent):
            sync(part)
            os.replace(part, target)
            with suppress(OSError):  # the file is complete under its name
                sync_folder(target.parent)
    return Fetched(target, digest, bool(file.sha256), False)


def _check_target(target: Path) -> None:
    if target.is_dir():
        raise ValueError(f"{target} is a folder; remove it, or choose another folder for the file.")
    if target.is_symlink() and not target.exists():
        raise ValueError(f"{target} is a link to no file; remove it, or choose another folder for the file.")


@contextmanager
def _writing(file: File, folder: Path) -> Iterator[None]:
    """One sentence for what this machine's disk refuses."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a sentence already
            raise
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        why = "the disk is full; make room, or" if full else f"{error.strerror};"
        raise OSError(f"{file.file} cannot be written to {folder}: {why} choose another folder.") from None


def _opened(part: Path, flags: int) -> BinaryIO:
    """A ``.part`` that is a plain file with one name: a link would lead the download into another file."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    if part.is_symlink() or part.is_dir():
        what = "link" if part.is_symlink() else "folder"
        raise ValueError(f"{part} is a {what} and no part of a download; remove it.")
    handle = os.open(part, flags, 0o666)
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        os.close(handle)
        raise ValueError(
            f"{part} has another name too, or is no plain file, and no part of a download; remove it."
        )
    return os.fdopen(handle, "rb+")


@contextmanager
def _alone(file: File, target: Path, tick: Tick) -> Iterator[None]:
    """One fetch of a file at a time, also among processes; those that wait then find the file.

    The system's file lock ends with its process; a lock made by mere existence, or a ``.part`` under a name
    of its own, would be left by a killed one, and no process could resume from there.
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
        with suppress(OSError):  # Windows removes no open file; its lock removes itself
            path.unlink()
        lock.release()


def _found(file: File, target: Path, tick: Tick, force: bool) -> Fetched | None:
    """The file that is there already, if it is the right one; None when it shall be replaced."""
    digest = sha256(target, tick)
    if not (wrong := _differs(file, digest, target)):
        return Fetched(target, digest, bool(file.sha256), True)
    if not force:
        raise ValueError(
            f"{target} does not match the expected file: {wrong}; fetch with --force to replace it."
        )
    return None


def _check_address(url: str | None, file: File) -> None:
    if not url:
        raise ValueError(f"No download URL is known for {file.file}. Get it from its authors.")
    if wrong := _bad_address(url):
        raise ValueError(f"{file.file} would come from {url}, {wrong}.")


def _bad_address(url: str) -> str | None:
    """Why an address is not fetched from."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
        host and host.encode("idna")
    except (ValueError, UnicodeError):
        return "which is no address"
    if parts.scheme not in ("http", "https"):
        return "but only http and https addresses are fetched"
    return None if host and port != 0 else "which names no server"


def _whole(opener: request.OpenerDirector, file: File, part: Path, tick: Tick) -> str:
    """The complete file in ``part``, verified; its hash. A kept part that does not fit is downloaded again,
    once.
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
    except _Refused as refused:  # and what had come before is kept
        wrong = str(refused)
    if wrong:
        raise ValueError(
            f"{file.file} from {file.url} failed verification: {wrong}. "
            "The download was deleted. Try again, or report it to the model's authors."
        )
    return digest


def _differs(file: File, digest: str, path: Path) -> str | None:
    """How contents differ from the file that is expected; without a known hash they must be a checkpoint at
    least.
    """
    size = path.stat().st_size
    if file.sha256:
        return f"its sha256 is {digest} and not {file.sha256}" if digest != file.sha256.lower() else None
    if file.bytes and size != file.bytes:
        return f"its size is {size} and not {file.bytes} bytes"
    wrong = fault(path)
    return f"it {wrong}" if wrong else None


def _receive(opener: request.OpenerDirector, file: File, part: Path, tick: Tick) -> bool:
    """Everything into ``part``, over as many requests as bring something; whether it went on from what was
    there.
    """
    try:
        resumed = _requests(opener, file, part, tick)
        if not part.stat().st_size:
            raise _Refused("it is empty")
        return resumed
    finally:
        if part.is_file() and not part.is_symlink() and not part.stat().st_size:
            part.unlink()  # nothing to go on with


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
                        f"{file.file} could not be fetched from {urlsplit(file.url or '').netloc} "
                        f"({broken}); try again later, or put the file into {part.parent} yourself."
                    ) from None
                resumed = True
    return resumed


def _too_slow(gains: deque[int], size: int | None) -> bool:
    """Whether the last connections brought so little together that going on would never end."""
    return len(gains) == TRIES and sum(gains) < min(LEAST, SHARE * (size or MOST))


def _length(written: BinaryIO) -> int:
    written.flush()
    return os.fstat(written.fileno()).st_size


def _opener(more: Iterable[request.BaseHandler] = ()) -> request.OpenerDirector:
    """urllib's http and https, with the proxies that the environment names, and no other protocol."""
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
    """One request for what is lacking; _Broken where it ends early, _Refused where it cannot be the file."""
    have = _length(written)
    with _answer(opener, file.url or "", have) as answer:
        ends = _range(answer, have) if answer.status == 206 else None
        if answer.status == 416 or (answer.status == 206 and ends is None):  # complete, or not of this file
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
                written.truncate(0)  # nothing of it is worth keeping
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
    """The file's size, as an answer says that has no such part."""
    return answer.headers.get("Content-Range", "").rpartition("/")[2]


def _range(answer: HTTPResponse | HTTPError, have: int) -> int | None:
    """The file's length, by an answer that brings a part of it; None if the part begins elsewhere."""
    said = answer.headers.get("Content-Range", "").strip()
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", said)
    if not have or not found or int(found[1]) != have or int(found[2]) < have:
        return None
    return int(found[2]) + 1 if found[3] == "*" else int(found[3])


def _total(answer: HTTPResponse | HTTPError, file: File) -> int:
    """How long the file is by what the server declares, 0 if it does not; _Refused if that is no length."""
    declared = answer.headers.get("Content-Length")
    if declared is None or "chunked" in answer.headers.get("Transfer-Encoding", "").lower():
        return 0
    if not re.fullmatch(r"[0-9]{1,18}", declared.strip()):
        raise _Refused(f"the server declares a length of {declared[:40]!r}")
    if not int(declared):
        raise _Refused("it is empty")
    return int(declared)


def _check_declared(answer: HTTPResponse | HTTPError, total: int, file: File) -> None:
    """_Refused where what a server declares shows that it does not send the file."""
    if (packed := answer.headers.get("Content-Encoding", "identity")).lower() != "identity":
        raise _Refused(f"the server sends it compressed ({packed[:40]!r})")
    if file.bytes and total not in (0, file.bytes):
        raise _Refused(f"its size is {total} and not {file.bytes} bytes")
    if total > MOST:
        raise _Refused(f"it would have {total} bytes")


def _answer(opener: request.OpenerDirector, url: str, have: int) -> HTTPResponse | HTTPError:
    """What a server answers, after its redirects; their contents are not read, for they may have no end."""
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
    """Where a redirect leads; _Broken if it is unsafe to follow."""
    if not location:
        raise _Broken("the server redirects to nowhere")
    try:
        new = urljoin(url, quote(location, safe="%/:=&?~#+!$,;'@()*[]|-._", encoding="latin-1"))
    except ValueError:
        raise _Broken(f"the server redirects to {location[:80]!r}, which is no address") from None
    if wrong := _bad_address(new):
        raise _Broken(f"the server redirects to {location[:80]!r}, {wrong}")
    if urlsplit(url).scheme == "https" and urlsplit(new).scheme != "https":
        raise _Broken(f"the server redirects from https to {new[:80]!r}, which is not encrypted")
    return new


def _blocks(answer: HTTPResponse | HTTPError) -> Iterator[bytes]:
    """What comes, as it comes; _Broken where a connection is kept alive by drops."""
    came, since = 0, time.monotonic()
    while True:
        if time.monotonic() - since > PATIENCE:
            if came < BLOCK // 64:
                raise _Broken(f"only {came} bytes came in {PATIENCE} seconds")
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
            f"{folder} has {megabytes(free)} left and {file.file} needs {megabytes(needed)}; make room or "
            "choose another folder."
        )
