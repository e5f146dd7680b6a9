"""Compute a film: find finished files, compute the missing units, join them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ..core import cancel
from ..core.clip import Clip, Step
from ..core.excerpt import makers_of
from ..core.files import OutputFile
from ..core.host import Host
from ..core.meter import Meter
from ..core.output_names import refuse_folders, refuse_harm
from ..core.partition import GROUP, units
from ..core.pull import look_ahead
from ..media.read.decode import FileSource
from ..media.read.probe import fingerprint
from ..media.write.observer import Observer
from ..media.write.options import EncodeOptions, preset
from ..media.write.request import RenderRequest, files_read
from . import cuts, plans
from .compute import Crew, compute_missing, in_process
from .finished import already, finished
from .frame_store import kept_folders
from .identity import described, environment
from .job import Job
from .job_root import check_root, is_job
from .join import join
from .segment import Maker

LONG = 6000  # frames above which resume=auto computes a film in units


Hire = Callable[[Sequence[Clip], EncodeOptions, Path], Crew]


@dataclass(frozen=True)
class FilmSettings:
    """How a film's units are computed and kept.

    Units are stored in ``folder`` (None: ``job_folder``) until the film is complete, and longer with
    ``keep``. The stage Keep stores its frames below ``kept`` (None: next to the film). Short shots share a
    unit up to ``group`` frames. ``verify`` records the hash of every frame before it is encoded.
    ``notes`` (JSON) are stored with the job. ``crew``, if given, is called with
    the clips, their settings and ``kept``, and returns who computes the units instead of this process.
    """

    folder: Path | None = None
    kept: Path | None = None
    group: int = GROUP
    keep: bool = False
    verify: bool = False
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
    with OpenFilm(request, host, how, observer) as work:
        if work.job and not work.complete:
            crew = _crew(request, host, how, work.kept, observer, meter)
            with cancel.polling(host.tick):
                compute_missing(work.job, crew, observer)
        return work.finish()


class OpenFilm:
    """A film that is being made: entered, it holds the locks of its job and of its files.

    ``job`` computes its units; it is None if the film is complete and has none. ``complete``: whether all
    files are there. Entering raises what ``film`` does before the first frame.
    """

    def __init__(self, request: RenderRequest, host: Host, how: FilmSettings, observer: Observer):
        self.request, self.kept = request, how.kept or request.path.parent
        self.job: Job | None = None
        self.complete = False
        self._host, self._how, self._observer = host, how, observer
        self._outputs: dict[Path, OutputFile] = {}

    def __enter__(self) -> OpenFilm:
        with ExitStack() as undo, cancel.polling(self._host.tick):
            self._begin(undo)
            self._open = undo.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._open.__exit__(*error)

    def _begin(self, locks: ExitStack) -> None:
        request, host, how, observer = self.request, self._host, self._how, self._observer
        root, paths = how.folder or job_folder(request.path), request.paths
        request.check()
        joinable(request.settings)
        identity = described(request.clips, request.settings, host)  # hashes weights of gigabytes
        own = finished(request, identity)
        _refuse_harm(request, host, own, [root, *kept_folders(request.clips, self.kept)])
        self.complete = len(own) == len(paths)
        if self.complete and not is_job(root):
            observer.say(already(paths, root))
            return
        check_root(root)
        identity = self._look_ahead(root, identity)
        notes = {**how.notes, "output": str(request.path), "environment": environment(host)}
        cuts.write(root, request.clips)
        units_of = units(request.clips, how.group)
        self.job = locks.enter_context(Job(root, identity, units_of, notes, observer.say, len(paths)))
        if self.complete:
            observer.say(already(paths, root))
            return
        missing = [path for path in paths if path not in own]
        self._outputs = {path: locks.enter_context(OutputFile(path, request.replaces)) for path in missing}
        observer.skipped(sum(result.unit.frames for result in self.job.records.values()))

    def _look_ahead(self, root: Path, identity: dict) -> dict:
        """Let the stages find what they must know of the complete film, unless the job knows it.

        Return the identity with it.
        """
        clips, name = self.request.clips, plans.name_of(identity)
        plans.read(root, name, clips)
        if not self.complete:
            look_ahead(clips, self._host, self._observer.found)
            plans.write(root, name, clips)
        return described(clips, self.request.settings, self._host)

    def finish(self) -> list[Path]:
        """Join the files that are missing, when all units are there; return the paths of all."""
        paths = self.request.paths
        if self.job is None:
            return paths
        if not self.complete:
            with cancel.polling(self._host.tick):
                _refuse_changed(self.job.identity)
                paths = join(self.job, self.request, self._outputs, self._host)
            self.job.note(f"complete: {', '.join(map(str, paths))}")
        if not self._how.keep:
            self.job.forget()
        return paths


def _crew(
    request: RenderRequest, host: Host, how: FilmSettings, kept: Path, observer: Observer, meter: Meter
) -> Crew:
    if how.crew:
        return how.crew(request.clips, request.settings, kept)
    maker = Maker(request.clips, request.settings, host, meter, observer.chunk, kept, how.verify)
    return in_process(maker, host)


def _refuse_harm(request: RenderRequest, host: Host, own: Sequence[Path], folders: Sequence[Path]) -> None:
    """Raise if a file of the film cannot be written, or would replace one that is not the film's."""
    read, folders_made = files_read(request.clips, host, request.audio), request.makes_folders
    refuse_harm(request.paths, read, overwrite=True, folders=folders_made)
    refuse_folders(request.paths, folders)
    missing = [path for path in request.paths if path not in own]
    refuse_harm(missing, overwrite=request.replaces, folders=folders_made)


def _refuse_changed(identity: Mapping) -> None:
    """Raise ValueError if a source has changed since the film was begun, such as one still being copied."""
    for source in (one for one in identity["made"] if "changed" in one):
        if fingerprint(source["path"])[1:] != (source["bytes"], source["changed"]):
            name = Path(source["path"]).name
            raise ValueError(f"{name} changed while it was read. Run it again when the file is complete.")


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
