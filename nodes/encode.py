"""Encode Video: writes the clip into a file and shows it on the canvas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..stereoreel.core.clip import Clip, Samples
from ..stereoreel.film import FilmSettings, film, resumes
from ..stereoreel.media.paths import check_file, confine_prefix
from ..stereoreel.media.read.clock import frames_of
from ..stereoreel.media.read.decode import FileSource
from ..stereoreel.media.subtitles.choose import names_file
from ..stereoreel.media.write.options import EncodeOptions, check_depth, extension
from ..stereoreel.media.write.render import free_path, write
from ..stereoreel.media.write.request import RenderRequest, named_after
from ..stereoreel.workflow import build
from ..stereoreel.workflow.watched import watched
from ._comfy import VideoFromFile, args, folder_paths, io, ui
from ._encode_view import KEY, EncodeView
from ._host import ComfyHost, scratch
from ._images import as_clip, as_depth
from ._lazy_video import LazyVideo
from ._notes import NodeMeter
from ._schema import DeclaredNode
from .extract import find


class EncodeNode(DeclaredNode):
    JUDGED = ("filename_prefix", "layout", "depth", "subtitles", "subtitle_source")

    @classmethod
    def execute(
        cls, clip, depth=None, fps=None, audio=None, packed: str = "mono", **options
    ) -> io.NodeOutput:
        name = build.label(cls.NODE, str(cls.hidden.unique_id))
        settings = build.settings_of(cls.NODE, options)
        if settings.subtitles == "burn" and names_file(settings.subtitle_source):
            settings = replace(settings, subtitle_source=str(find(settings.subtitle_source)))
        frames = as_clip(clip, name, fps=fps, packed=packed)
        depths = as_depth(depth, clip, name, packed)
        frames, depths, settings = watched(frames, depths, settings)
        kind = io.FolderType.temp if settings.save_to_temp else io.FolderType.output
        output = scratch() if settings.save_to_temp else Path(folder_paths.get_output_directory())
        prefix = named_after(settings.filename_prefix, frames)
        confine_prefix(prefix, output)
        path = free_path(output, prefix, settings.file_tag(frames.info.views), extension(settings))
        host = ComfyHost()
        workflow = ((cls.hidden.extra_pnginfo or {}).get("workflow") or {}).get("id")
        total = frames_of(frames.info, settings)
        watch = EncodeView(settings, total, str(cls.hidden.unique_id), workflow)
        sound = audio and Samples(audio["waveform"][0], int(audio["sample_rate"]))
        request = RenderRequest(frames, path, settings, depths, sound, cls._metadata())
        if request.choice:
            watch.say(request.choice)
        if resumes(frames, settings):
            job = confine_prefix(f"{prefix}.job", output)
            paths = film(request, host, FilmSettings(job, kept=output), watch)
        else:
            paths = write(request, host, watch, meter=NodeMeter())
        path = paths[0]
        seen = {KEY: watch.finished(paths, output, kind)}
        if request.makes_folders:
            return io.NodeOutput(LazyVideo(Clip(FileSource(path, cuts=False))), ui=seen)
        shown = ui.PreviewVideo([cls._result(file, output, kind) for file in paths]).as_dict()
        if path.suffix == ".gif":  # the canvas takes animated results other than WebP for videos
            del shown["animated"]
        return io.NodeOutput(VideoFromFile(str(path)), ui={**shown, **seen})

    @classmethod
    def judge(cls, given: Mapping) -> None:
        super().judge(given)
        if (prefix := given.get("filename_prefix")) is not None:
            confine_prefix(prefix, Path(folder_paths.get_output_directory()))
        if (layout := given.get("layout")) is not None:
            check_depth(EncodeOptions(layout=layout), "depth" in given)
        source = given.get("subtitle_source")
        if given.get("subtitles") == "burn" and source and names_file(source):
            check_file(find(source))

    @classmethod
    def _metadata(cls) -> dict[str, str]:
        """Return the workflow, so that the file opens on the canvas; empty under ``--disable-metadata``."""
        if args.disable_metadata:
            return {}
        notes = {
            **(cls.hidden.extra_pnginfo or {}),
            **({"prompt": cls.hidden.prompt} if cls.hidden.prompt else {}),
        }
        return {key: json.dumps(value) for key, value in notes.items()}

    @staticmethod
    def _result(file: Path, root: Path, kind: io.FolderType) -> ui.SavedResult:
        folder = file.parent.relative_to(root)
        return ui.SavedResult(file.name, "" if folder == Path() else folder.as_posix(), kind)
