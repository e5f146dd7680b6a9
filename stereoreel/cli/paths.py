"""Find the files that a command reads and writes; refuse, before any work, to harm one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.output_names import refuse_harm
from ..core.places import data
from ..media.extract_options import SAMPLE
from ..media.paths import check_name, confine_prefix
from ..media.write.options import EncodeOptions, check_folder_name
from ..models.headless import Headless
from ..sample import FILE
from ..workflow.graph import Output
from ..workflow.templates import TITLES

WORKFLOWS, SUBGRAPHS = data("workflows"), data("subgraphs")
OUTPUT = Path("output")  # where files go that no argument names


def find_workflow(path: Path) -> Path:
    """Return the workflow file that a command runs: a path, or a bundled one by its name or its title."""
    bundled = {file.stem: file for file in (WORKFLOWS / "api").glob("*.json")}
    bundled |= {title: bundled[name] for name, title in TITLES.items() if name in bundled}
    return bundled[str(path)] if str(path) in bundled and not path.exists() else path


def find_video(name: str, given: Path | None) -> Path:
    """Return the file that Extract opens: the given one, the pack's sample, or a path."""
    if given is not None:
        return given
    return FILE if name == SAMPLE else Path(name)


def source(text: str) -> Path:
    """Return the video that an argument names; ``sample`` is the pack's, unless a file has that name."""
    return FILE if text == SAMPLE and not Path(text).exists() else Path(text)


def output_files(jobs: Sequence[Output[EncodeOptions]], options) -> list[Path]:
    """Return the file that each Encode node writes; raise like ``refuse_harm`` if a file would be harmed."""
    from ..media.write.options import extension
    from ..media.write.render import free_path
    from ..media.write.request import RenderRequest, files_read, named_after

    found: list[Path] = []
    written: list[Path] = []
    folders: list[Path] = []
    read = [options.workflow]
    for job in jobs:
        prefix, suffix = named_after(job.settings.filename_prefix, job.clip), extension(job.settings)
        tag = job.settings.file_tag(job.clip.info.views)
        confine_prefix(prefix, OUTPUT)
        path = options.output or free_path(_folder(job), prefix, tag, suffix, [*written, *folders])
        check_output(path, suffix)
        request = RenderRequest(job.clip, path, job.settings, depth=job.depth)
        (folders if request.makes_folders else written).extend(request.paths)
        read += files_read(request.clips, Headless(options.device, file_cache=options.files))
        found.append(path)
    refuse_harm(written, read, options.overwrite)
    refuse_harm(folders, [*read, *written], folders=True)
    return found


def _folder(job: Output[EncodeOptions]) -> Path:
    """Return the folder for a file without ``--output``; raise ValueError if only ComfyUI has it."""
    if job.settings.save_to_temp:
        raise ValueError(
            f"{job.name}: save_to_temp needs ComfyUI's temp folder. Name the file with --output, or add "
            "--set encode.save_to_temp=false."
        )
    return OUTPUT


def check_output(path: Path, suffix: str) -> None:
    """Raise ValueError if the name of the file to write is malformed or has another format's suffix.

    Without a suffix, the output is a folder of pictures.
    """
    check_name(path, "output")
    if not suffix:
        check_folder_name(path)
    elif path.suffix.lower() != suffix and not path.is_dir():
        name = path.with_suffix(suffix).name
        raise ValueError(
            f"This format writes {suffix} files. Name the output {name}, or choose another encode.format."
        )


def check_metrics(path: Path | None, overwrite: bool) -> None:
    """Raise FileExistsError if --metrics names a file that is not a film's metrics file."""
    from ..film.progress import free_for_metrics

    if path is None:
        return
    check_name(path, "--metrics")
    if not overwrite and not free_for_metrics(path):
        raise FileExistsError(
            f"{path} is not a metrics file of StereoReel. Choose another --metrics, "
            "or replace it with --overwrite."
        )
