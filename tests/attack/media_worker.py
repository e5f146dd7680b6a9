"""Open, decode and write damaged files in a separate process, which a mutant may crash, stop or fill.

``python -m tests.attack.media_worker SEEDS FOLDER NUMBER …`` prints a line of JSON for each case: frames, a
sentence, or a fault.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import sys
import threading
import time
import traceback
import warnings
from contextlib import closing, suppress
from pathlib import Path

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip

import av
import av.error

from stereoreel.core.clip import Clip, makers_of
from stereoreel.core.meter import reset_peak, resident
from stereoreel.core.options import resolve
from stereoreel.core.per_eye import TIME
from stereoreel.core.pull import pull
from stereoreel.media import open as extract
from stereoreel.media.layouts.boxes import read_stereo
from stereoreel.media.read.audio import read_audio
from stereoreel.media.read.cuts import thumbnails
from stereoreel.media.read.probe import probe
from stereoreel.media.write import options
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from tests.attack.media_mutants import Mutant, make_mutant, nature
from tests.attack.media_seeds import CONTAINERS
from tests.support.hearing import Hearing

HANGS, SLOW = (
    90,
    20,
)  # seconds of the clock after which a case is stopped, and of the processor that it may take
MEMORY = 3 << 30  # bytes a case may add
INTERNALS = re.compile(
    r"errno|traceback|\bav\.|avcodec|avformat|libav|ffmpeg|swscale|numpy|torch|dtype|Fraction|Resampler|NoneType|"
    r"0x[0-9a-f]|\[|\(\)|\bobject\b|\bNone|\bnan\b|\binf\b|invalid (data|argument)|returned \d|codec can't|"
    r"out of range|out of bounds|overflow|integer|unpack|[\x00-\x08\x0b-\x1f\ufffd]",
    re.IGNORECASE,
)


class Worse(Exception):
    """An outcome that is neither frames nor a sentence."""


class Logged(logging.Handler):
    """Keep what the pack logs."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def drive(path: Path, folder: Path) -> None:
    """Do everything that can be done with an opened file; raise what a user would see."""
    facts = probe(path)
    check(
        facts.width > 0 and facts.height > 0 and facts.fps > 0 and facts.duration > 0 and facts.frames > 0,
        f"facts are absurd: {facts}",
    )
    check(
        not facts.times
        or (len(facts.times) == facts.frames and list(facts.times) == sorted(set(facts.times))),
        "times do not rise",
    )
    read_stereo(path)
    clip = extract.open_file(path, resolve(extract.OPTIONS, {}), "Extract")
    got = [written(clip, folder / f"out{format}", format) for format in ("h264", "ffv1")]
    check(got[0] == got[1], f"two pulls gave {got} frames")
    read_audio(clip.info.audio)
    seconds = float(facts.duration)
    if facts.frames > 2 and seconds < 1e5:
        part = extract.open_file(
            path,
            resolve(
                extract.OPTIONS,
                {"start": seconds / 3, "duration": seconds / 3, "max_side": 32, "cuts": False},
            ),
            "Extract",
        )
        check(part.info.frames <= clip.info.frames, "a part is longer than the whole")
        pulled(part)
        read_audio(part.info.audio)
    with closing(thumbnails(facts, 0, 1)) as pictures:
        next(pictures, None)


def written(clip: Clip, path: Path, format: str) -> int:
    """Write the frames into a file, with audio and text; return how many, which the file confirms."""
    settings = resolve(options.OPTIONS, {"format": format, "speed": "fast"})
    path, count, info = path.with_suffix(options.extension(settings)), 0, clip.info

    def watch(frames, shown) -> None:
        nonlocal count
        chunk = shown()[0]
        check(tuple(chunk.shape[-3:]) == (info.height, info.width, 3), f"a chunk of {list(chunk.shape)}")
        check(chunk.shape[TIME] == frames, f"{chunk.shape[TIME]} frames for {frames}")
        count += frames

    try:
        write(RenderRequest(clip, path, settings), Headless("cpu"), Hearing(chunk=watch))
        with av.open(str(path)) as file:
            found = sum(1 for _ in file.decode(video=0))
        check(found == count, f"{count} frames were computed and the {format} file holds {found}")
    finally:
        path.unlink(missing_ok=True)
    check(count <= info.frames, f"{count} frames of {info.frames}")
    return agreed(clip, count)


def pulled(clip: Clip) -> None:
    with closing(pull(clip, Headless("cpu"))) as chunks:
        agreed(clip, sum(chunk.shape[TIME] for (chunk,) in chunks))


def agreed(clip: Clip, count: int) -> int:
    """Return the count, after a comparison with the declared one.

    They may differ if a warning has said that the file ends early.
    """
    check(count > 0, "no frame and no error")
    check(
        count == clip.info.frames or any(getattr(maker, "_warned", False) for maker in makers_of([clip])),
        f"{count} of {clip.info.frames} frames and no warning",
    )
    return count


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Worse(what)


def plain(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and 20 < len(text) < 300 and not INTERNALS.search(text)


def outcome(mutant: Mutant, folder: Path, logged: Logged) -> tuple[str, str]:
    """Return ``frames``, ``sentence`` or ``worse``, and a description."""
    logged.texts.clear()
    found, words = "frames", ""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            drive(mutant.path, folder)
        except Worse as error:
            return "worse", str(error)
        except (ValueError, OSError) as error:
            found, words = "sentence", str(error)
            builtin = type(error).__module__ == "builtins" and not isinstance(error, UnicodeError)
            named = (
                mutant.path.name in words or "does not support frames of" in words
            )  # the latter is about the file to write
            if not builtin or not plain(words) or not named:
                return "worse", f"{type(error).__name__}: {words}\n{traceback.format_exc()}"
        except BaseException as error:  # every other one is a finding, Ctrl-C excepted
            if isinstance(error, KeyboardInterrupt):
                raise
            return "worse", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    for text in (*logged.texts, *(str(one.message) for one in seen)):
        if not plain(text):
            return "worse", f"warned: {text}"
    for one in seen:
        if one.category is not UserWarning:
            return "worse", f"warned: {one.category.__name__} {one.message}"
    return found, words


def traces(folder: Path) -> dict[str, object]:
    """Return what a case must leave unchanged."""
    files = {}
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with suppress(OSError):
            files[number] = os.readlink(f"/proc/self/fd/{number}")
    return {
        "files": sorted(path.name for path in folder.iterdir()),
        "open files": sorted(files.values()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def run(number: int, seeds: dict[str, list[Path]], folder: Path, logged: Logged) -> dict:
    container, done = nature(number)
    print(json.dumps({"number": number, "container": container, "done": done}), flush=True)
    mutant = make_mutant(number, seeds, folder)
    print(json.dumps({"made": number}), flush=True)
    before, content, began = traces(folder), mutant.path.read_bytes(), time.process_time()
    reset_peak()
    had = resident()
    faulthandler.dump_traceback_later(HANGS, exit=True)
    found, words = outcome(mutant, folder, logged)
    faulthandler.cancel_dump_traceback_later()
    took, memory = time.process_time() - began, max(0, resident("VmHWM") - had)
    after = traces(folder)
    if before != after:
        found, words = (
            "worse",
            f"left behind: "
            f"{[(before[name], after[name]) for name in before if before[name] != after[name]]} {words}",
        )
    elif mutant.path.read_bytes() != content:
        found, words = "worse", "the source was changed"
    elif took > SLOW:
        found, words = "worse", f"{took:.0f} s of the processor"
    mutant.path.unlink()
    return {"number": number, "outcome": found, "words": words, "seconds": round(took, 2), "memory": memory}


def limit_memory() -> None:
    with suppress(ImportError):  # Windows
        import resource

        for line in (
            Path("/proc/self/statm").read_text().splitlines() if os.path.exists("/proc/self/statm") else ()
        ):
            used = int(line.split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(seeds: Path, folder: Path, numbers: list[int]) -> None:
    torch.set_num_threads(1)
    found = {
        name: sorted(
            path for path in seeds.iterdir() if path.parent == seeds and path.stem.split("_")[0] == name
        )
        for name in CONTAINERS
    }
    logged = Logged()
    logging.getLogger("stereoreel").addHandler(logged)
    faulthandler.enable()
    warm_up(found, folder)
    limit_memory()
    for number in numbers:
        print(json.dumps(run(number, found, folder, logged)), flush=True)


def warm_up(seeds: dict[str, list[Path]], folder: Path) -> None:
    """Start what lasts for the process's life, such as thread pools, so that it does not count as a leak."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for paths in seeds.values():
            drive(paths[0], folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(number) for number in sys.argv[3:]])
