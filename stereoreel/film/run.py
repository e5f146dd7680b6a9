"""Compute a film: find finished files, compute the missing units, join them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ..core import cancel
from ..core.clip import Clip, Step
from ..core.excerpt import makers_of
from ..core.files import OutputFile, refuse_folders, refuse_harm
from ..core.host import Host
from ..core.meter import Meter
from ..core.partition import GROUP, units
from ..media.read.decode import FileSource
from ..media.write.observer import Observer
from ..media.write.options import EncodeOptions, preset
from ..media.write.request import RenderRequest, files_read
from . import cuts
from .compute import Crew, compute_missing, in_process
from .finished import already, finished
from .frame_store import kept_folders
from .identity import described, environment
from .job import Job, check_root, is_job
from .join import join
from .segment import Maker

LONG = 6000  # frames above which resume=auto computes a film in units


Hire = Callable[[Sequence[Clip], EncodeOptions, Path], Crew]


@dataclass(frozen=True)
class FilmSettings:
    """How a film's units are computed and kept.

    Units are stored in ``folder`` (None: ``job_folder``) until the film is complete, and longer with
    ``keep``. The stage Keep stores its frames below ``kept`` (None: next to the film). Short shots share a
    unit up to ``group`` frames. ``notes`` (JSON) are stored with the job. ``crew``, if given, is called with
    the clips, their settings and ``kept``, and returns who computes the units instead of this process.
    """

    folder: Path | None = None
    kept: Path | None = None
    group: int = GROUP
    keep: bool = False
    notes: Mapping = field(default_factory=dict)
    crew: Hire | None = None


def film(
    request: RenderRequest,
    host: Host,
    how: FilmSettings | None = None,
    observer: Observer | None = None,
    *,
    meter: Meter | None = None,
) -> list[Path]:
    """Write a clip as ``render.write`` does, but in units, so that a second call resumes; return the paths.

    A film that is complete is left as it is. Raise what ``render.write`` does, ValueError if the output is
    not to be joined from segments, Unfinished if units failed, and what cancels; the last two keep finished
    units.
    """
    how, observer, meter = how or FilmSettings(), observer or Observer(), meter or Meter()
    root, kept, paths = how.folder or job_folder(request.path), how.kept or request.path.parent, request.paths
    request.check()
    joinable(request.settings)
    with cancel.polling(host.tick):  # weights of gigabytes are hashed
        identity = described(request.clips, request.settings, host)
    own = finished(request, identity)
    _refuse_harm(request, host, own, [root, *kept_folders(request.clips, kept)])
    done = len(own) == len(paths)
    if done and not is_job(root):
        observer.say(already(paths, root))
        return paths
    check_root(root)
    notes = {**how.notes, "output": str(request.path), "environment": environment(host)}
    cuts.write(root, request.clips)
    units_of = units(request.clips, how.group)
    with cancel.polling(host.tick), Job(root, identity, units_of, notes, observer.say, len(paths)) as job:
        if done:
            observer.say(already(paths, root))
        else:
            crew = _crew(request, host, how.crew, kept, observer, meter)
            paths = _write(job, request, [path for path in paths if path not in own], crew, observer, host)
        if not how.keep:
            job.forget()
    return paths


def _write(
    job: Job, request: RenderRequest, missing: Sequence[Path], crew: Crew, observer: Observer, host: Host
) -> list[Path]:
    """Compute the units that a job lacks and join the files that are missing; return the paths of all."""
    with ExitStack() as locks:
        outputs = {path: locks.enter_context(OutputFile(path, request.replaces)) for path in missing}
        observer.skipped(sum(result.unit.frames for result in job.records.values()))
        compute_missing(job, crew, observer)
        paths = join(job, request, outputs, host)
    job.note(f"complete: {', '.join(map(str, paths))}")
    return paths


def _crew(
    request: RenderRequest, host: Host, crew: Hire | None, kept: Path, observer: Observer, meter: Meter
) -> Crew:
    if crew:
        return crew(request.clips, request.settings, kept)
    return in_process(Maker(request.clips, request.settings, host, meter, observer.chunk, kept), host)


def _refuse_harm(request: RenderRequest, host: Host, own: Sequence[Path], folders: Sequence[Path]) -> None:
    """Raise if a file of the film cannot be written, or would replace one that is not the film's."""
    read, folders_made = files_read(request.clips, host, request.audio), request.makes_folders
    refuse_harm(request.paths, read, overwrite=True, folders=folders_made)
    refuse_folders(request.paths, folders)
    missing = [path for path in request.paths if path not in own]
    refuse_harm(missing, overwrite=request.replaces, folders=folders_made)


def job_folder(path: Path) -> Path:
    """Return the folder in which a film's units are kept until it is complete."""
    return path.with_name(f"{path.name}.job")


def resumes(clip: Clip, settings: EncodeOptions) -> bool:
    """Whether the option ``resume`` asks for units."""
    if settings.resume != "auto":
        return settings.resume == "on"
    if settings.save_to_temp or settings.size_mb or preset(settings).limits or clip.info.frames <= LONG:
        return False
    return all(isinstance(maker, (Step, FileSource)) for maker in makers_of([clip]))


def joinable(settings: EncodeOptions) -> None:
    """Raise ValueError if such a file cannot be joined from segments."""
    if settings.size_mb:
        raise ValueError("A film in units does not support a target size. Set size_mb to 0.")
    if preset(settings).limits:
        raise ValueError(
            f"{settings.format} is for short previews and does not support units. Choose another format."
        )
