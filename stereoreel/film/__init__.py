"""A film in units that survive whatever happens: what is finished stays finished, and the same command goes on from there.

Before encoding its frames are those of an uninterrupted run, and so are times, sound and marks. Encoders begin anew with each unit,
so that decoded frames of a lossy format differ slightly from a run's; those of FFV1 are equal.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import av
import torch

from ..core import cancel
from ..core.clip import Clip, Step
from ..core.excerpt import makers_of
from ..core.files import DISK_FULL, OutputFile, in_use, refuse_folders, refuse_harm
from ..core.host import Host
from ..core.meter import Meter
from ..core.partition import GROUP, units
from ..media.layouts.atoms import scan
from ..media.read.clock import frames_of
from ..media.read.container import open_media
from ..media.read.decode import FileSource
from ..media.read.probe import probe
from ..media.write.options import EncodeOptions, check, preset
from ..media.write.render import files_of, files_read
from . import cuts
from .frame_store import kept_folders
from .identity import claim, described
from .job import Job, Made, check_root, is_job
from .join import Joined
from .progress import Progress
from .segment import Maker, Watch, segment_name

log = logging.getLogger(__name__)
LONG = 6000  # frames of a film from which on it is made in units without being told so
MOST_FAILURES = 3  # units in a row that fail before the film is given up
CLAIM = "stereoreel_film"  # the tag by which a finished file says of which job it is

Crew = Callable[[Job, list[int]], Iterable[tuple[int, Made | Exception]]]


class Unfinished(RuntimeError):
    """Some units of a film failed; the others are kept."""


def film(
    clip: Clip,
    path: Path,
    settings: EncodeOptions,
    host: Host,
    *,
    depth: Clip | None = None,
    audio=None,
    metadata: Mapping[str, str] | None = None,
    folder: Path | None = None,
    notes: dict | None = None,
    group: int = GROUP,
    watch: Watch | None = None,
    meter: Meter | None = None,
    say: Callable[[str], None] = log.info,
    crew: Callable[[list[Clip], EncodeOptions, Path], Crew] | None = None,
    keep: bool = False,
    kept: Path | None = None,
    seen: Callable[[Callable[[], dict]], None] | None = None,
    skipped: Callable[[int], None] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """As ``sink.write``, but in units kept in ``folder`` (``<path>.job``), so that calling it again goes on; the files' paths.

    ``notes`` (JSON) are kept with the job. ``crew`` makes units elsewhere. ``keep`` leaves the units there when all is done, and what the
    stage Keep asks for goes below ``kept``, or beside the file. ``say`` is told what a user should know, ``skipped`` how many frames are
    there already, and ``seen`` is given the figures, as a function, after each unit. A film that is complete is left as it is.
    Raises Unfinished where units failed, and whatever cancels; both leave the finished units.
    """
    check(clip.info, settings, depth and depth.info)
    joinable(settings)
    clips, root = [clip] if depth is None else [clip, depth], folder or job_folder(path)
    with cancel.heard(host.tick):  # weights of gigabytes are hashed
        identity = described(clips, settings, host)
    targets = [file.path for file in files_of(clips, path, settings)]
    own = finished(targets, clip, settings, identity)
    kept = kept or path.parent
    refuse_harm(targets, files_read(clips, host, audio), overwrite=True)
    refuse_folders(targets, [root, *kept_folders(clips, kept)])
    refuse_harm([target for target in targets if target not in own], overwrite=overwrite)
    done = len(own) == len(targets)
    if done and not is_job(root):
        say(already(targets, root))
        return targets
    check_root(root)
    notes = {**(notes or {}), "output": str(path), "environment": environment(host)}
    cuts.write(root, clips)
    with cancel.heard(host.tick), ExitStack() as locks, Job(root, identity, units(clips, group), notes, say, len(targets)) as job:
        if not done:
            outputs = [None if target in own else locks.enter_context(OutputFile(target, overwrite)) for target in targets]
            if skipped:
                skipped(sum(made.unit.frames for made in job.made.values()))
            work = crew(clips, settings, kept) if crew else alone(Maker(clips, settings, host, meter or Meter(), watch, kept), host)
            _make(job, work, seen)
            made = _join(job, clips, path, outputs, settings, host, audio or clip.info.audio, metadata)
            targets = [new or target for new, target in zip(made, targets)]
            job.note(f"complete: {', '.join(map(str, targets))}")
        else:
            say(already(targets, root))
        if not keep:
            job.forget()
    return targets


def finished(targets: Sequence[Path], clip: Clip, settings: EncodeOptions, identity: dict) -> list[Path]:
    """Which files are those of an identity's finished film: each bears the claim of its place, and is complete."""
    return [target for place, target in enumerate(targets) if _claimed(target, place, frames_of(clip.info, settings), identity)]


def _claimed(path: Path, place: int, frames: int, identity: dict) -> bool:
    try:
        with open_media(path) as file:
            tags = {name.lower(): value for name, value in file.metadata.items()}
        if tags.get(CLAIM) != f"{claim(identity)}-{place}":
            return False
        facts = probe(path)
        return facts.frames == frames and not facts.missing and _ends(path)
    except (OSError, ValueError):
        return False


def _ends(path: Path) -> bool:
    """Whether the boxes of an MP4 or MOV file are all there; True for other files."""
    if path.suffix.lower() not in (".mp4", ".mov"):
        return True
    with open(path, "rb") as file:
        found = scan(file)
    return bool(found) and found[-1].stop == path.stat().st_size


def already(targets: list[Path], root: Path) -> str:
    """What to say of a film that is complete; a lock and an empty folder that its process left are removed."""
    with suppress(OSError):
        root.rmdir()
    for target in targets:
        in_use(target)
    return f"{targets[0]} is already complete."


def job_folder(path: Path) -> Path:
    """Where the units of a film are kept while it is made."""
    return path.with_name(f"{path.name}.job")


def resumes(clip: Clip, settings: EncodeOptions) -> bool:
    """Whether the option ``resume`` asks for units."""
    if settings.resume != "auto":
        return settings.resume == "on"
    simple = not settings.size_mb and preset(settings).limits is None
    return simple and clip.info.frames > LONG and all(isinstance(maker, (Step, FileSource)) for maker in makers_of([clip]))


def joinable(settings: EncodeOptions) -> None:
    """ValueError where such a file cannot be put together from segments."""
    if settings.size_mb:
        raise ValueError("A film made in units has the size that its quality takes; set size_mb to 0.")
    if preset(settings).limits:
        raise ValueError(f"{settings.format} is for small pictures of a film, not for a film; choose another format.")


def environment(host: Host) -> dict:
    """What may change the last bits of a frame."""
    device = torch.cuda.get_device_name(host.device) if host.device.type == "cuda" else f"{host.device.type} {platform.machine()}"
    return {"torch": torch.__version__, "av": av.__version__, "device": device}


def alone(maker: Maker, host: Host) -> Crew:
    """This process, one unit after the other."""

    def work(job: Job, missing: list[int]) -> Iterator[tuple[int, Made | Exception]]:
        total, done = job.units[-1].stop, sum(made.unit.frames for made in job.made.values())
        for number in missing:
            unit, before = job.units[number], done
            try:
                made = maker.make(number, unit, job.place, lambda part, before=before: host.tick(before + part, total))
            except (ValueError, OSError, RuntimeError, TypeError, ArithmeticError, LookupError, AssertionError) as error:
                if getattr(error, "errno", None) in DISK_FULL:
                    raise
                yield number, error
                continue
            done += unit.frames
            yield number, made

    return work


def _make(job: Job, work: Crew, seen: Callable[[Callable[[], dict]], None] | None) -> None:
    """Every unit that is missing; a failing one is told, and the others go on."""
    failed: dict[int, Exception] = {}
    progress, in_a_row = Progress(job), 0
    for number, made in work(job, job.missing()):
        if not isinstance(made, Exception):
            job.finished(number, made)
            progress.unit(made)
            if seen:
                seen(progress.figures)
            in_a_row = 0
            continue
        failed[number], unit = made, job.units[number]
        in_a_row, progress.failed = in_a_row + 1, len(failed)
        job.tell(f"Unit {number} (frames {unit.start} to {unit.stop - 1}) failed: {made}")
        if in_a_row == MOST_FAILURES:
            break
    if failed:
        first, reason = next(iter(failed.items()))
        raise Unfinished(f"{len(job.missing())} of {len(job.units)} units are missing, first unit {first}: {reason} "
                         "What is finished is kept; run the same again to make the rest.") from reason


def _join(job: Job, clips: list[Clip], path: Path, outputs: list[OutputFile | None], settings: EncodeOptions, host: Host, audio,
          metadata) -> list[Path | None]:
    """Write every output that is not None; the paths they got."""
    files, first, frames = files_of(clips, path, settings), clips[0].info, job.units[-1].stop
    for place, (file, output) in reversed(list(enumerate(zip(files, outputs)))):  # the clip's file is completed last
        if output is None:
            continue
        info = clips[file.clip].info.replace(fps=first.fps, times=first.times)
        ahead = max(made.files[place]["ahead"] for made in job.made.values())
        marks = {**(metadata or {}), CLAIM: f"{claim(job.identity)}-{place}"}
        with Joined(output, info, file.settings, ahead=ahead, audio=None if file.clip else audio, metadata=marks) as joined:
            for number in range(len(job.units)):
                joined.append(job.place / segment_name(number, place))
                host.tick(frames, frames)
    return [output and output.path for output in outputs]
