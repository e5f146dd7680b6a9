"""Encode Video: pulls the clip into a file, shows the newest frame meanwhile and the video at the end."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ..stereoreel.core.clip import Samples
from ..stereoreel.film import FilmSettings, film, resumes
from ..stereoreel.media.layouts.layout import file_tag, pack
from ..stereoreel.media.paths import confine_prefix
from ..stereoreel.media.read.clock import frames_of
from ..stereoreel.media.write.observer import Observer
from ..stereoreel.media.write.options import EncodeOptions, extension
from ..stereoreel.media.write.render import free_path, write
from ..stereoreel.media.write.request import RenderRequest
from ..stereoreel.workflow import build
from ._comfy import PromptServer, VideoFromFile, args, folder_paths, io, ui
from ._host import ComfyHost
from ._images import as_clip, as_depth
from ._schema import DeclaredNode

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two preview images
SIDE = 512  # their longer side, pixels


class EncodeNode(DeclaredNode):
    @classmethod
    def execute(
        cls, clip, depth=None, fps=None, audio=None, packed: str = "mono", **options
    ) -> io.NodeOutput:
        name = build.label(cls.NODE, str(cls.hidden.unique_id))
        settings = build.settings_of(cls.NODE, options)
        frames = as_clip(clip, name, fps=fps, packed=packed)
        depths = as_depth(depth, clip, name, packed)
        output = Path(folder_paths.get_output_directory())
        confine_prefix(settings.filename_prefix, output)
        tag = file_tag(settings.layout, frames.info.views)
        path = free_path(output, settings.filename_prefix, tag, extension(settings))
        host = ComfyHost()
        watch = _Watch(host, settings, frames_of(frames.info, settings), str(cls.hidden.unique_id))
        sound = audio and Samples(audio["waveform"][0], int(audio["sample_rate"]))
        request = RenderRequest(frames, path, settings, depths, sound, cls._metadata())
        if resumes(frames, settings):
            job = confine_prefix(f"{settings.filename_prefix}.job", output)
            paths = film(request, host, FilmSettings(job, kept=output), watch)
        else:
            paths = write(request, host, watch)
        path = paths[0]
        shown = ui.PreviewVideo([cls._result(file, output) for file in paths]).as_dict()
        if path.suffix == ".gif":  # the canvas takes animated results other than WebP for videos
            del shown["animated"]
        return io.NodeOutput(VideoFromFile(str(path)), ui=shown)

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = "video/StereoReel") -> bool | str:
        if filename_prefix is None:  # comes from another node; checked at execution
            return True
        try:
            confine_prefix(filename_prefix, Path(folder_paths.get_output_directory()))
        except (PermissionError, ValueError) as error:
            return str(error)
        return True

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
    def _result(file: Path, output: Path) -> ui.SavedResult:
        folder = file.parent.relative_to(output)
        return ui.SavedResult(file.name, "" if folder == Path() else folder.as_posix(), io.FolderType.output)


class _Watch(Observer):
    """Show progress for each chunk sent to the encoder: frames, rate, time left and the newest frame."""

    def __init__(self, host: ComfyHost, settings: EncodeOptions, total: int, node_id: str):
        self.host, self.settings, self.total, self.node_id = host, settings, total, node_id
        self.done, self.begun, self.shown, self.pictures, self.before = 0, time.monotonic(), 0.0, 0, 0

    def say(self, line: str) -> None:
        log.info(line)
        PromptServer.instance.send_progress_text(line, self.node_id)

    def skipped(self, frames: int) -> None:
        self.done = self.before = frames

    def chunk(self, chunks) -> None:
        self.done += chunks[0].shape[-4]
        now = time.monotonic()
        if now - self.shown < EVERY:
            return
        self.shown = now
        rate = (self.done - self.before) / max(now - self.begun, 1e-6)
        left = round((self.total - self.done) / rate)
        text = f"{self.done} of {self.total} frames, {rate:.1f} fps, {left // 60}:{left % 60:02} left"
        PromptServer.instance.send_progress_text(text, self.node_id)
        self.pictures += 1
        newest, *depth = (one.narrow(-4, one.shape[-4] - 1, 1) for one in chunks)
        depth = depth[0] if depth else None
        newest = pack(
            newest, self.settings.layout, self.settings.vr180_field, depth=depth, turn=self.pictures
        )[0, ..., :3]
        picture = (newest.float().clamp(0, 1) * 255).round().to("cpu").numpy().astype(np.uint8)
        self.host.preview = (
            "JPEG",
            Image.fromarray(np.repeat(picture, 3, -1) if picture.shape[-1] == 1 else picture),
            SIDE,
        )
