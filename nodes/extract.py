"""Extract Video: a file chosen or uploaded, the pack's own sample, or a VIDEO from another node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from ..stereoreel.core.error_context import naming
from ..stereoreel.core.numbered import holds_pictures, names_pictures, numbered
from ..stereoreel.core.options import Option
from ..stereoreel.media.open import SAMPLE, one_frame
from ..stereoreel.media.paths import confine
from ..stereoreel.media.read.decode import FileSource
from ..stereoreel.media.read.probe import fingerprint
from ..stereoreel.sample import FILE
from ..stereoreel.workflow import build
from ..stereoreel.workflow.node import Videos
from ._comfy import PromptServer, folder_paths, io
from ._host import ComfyHost
from ._images import as_clip
from ._lazy_video import LazyVideo
from ._schema import DeclaredNode


class ExtractNode(DeclaredNode):
    JUDGED = ("video", "clip")

    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """Require the list of videos, because the canvas gives only required widgets an upload button."""
        if option.name != "video":
            return super().widget(option)
        return io.Combo.Input(
            "video",
            options=[SAMPLE, *_videos()],
            default=SAMPLE,
            tooltip=option.text,
            upload=io.UploadType.video,
        )

    @classmethod
    def execute(cls, clip=None, **options) -> io.NodeOutput:
        node_id, host = str(cls.hidden.unique_id), ComfyHost()
        name = build.label(cls.NODE, node_id)
        with naming(name):
            inputs = {} if clip is None else {"clip": as_clip(clip, name)}
            videos = Videos(find, tick=host.tick, files=host.file_cache)
            result = build.stage(cls.NODE, inputs, options, node_id, videos)
            clip = build.clips_in(result)["clip"]
        if isinstance(clip.maker, FileSource) and (said := one_frame(clip.maker.facts)):
            PromptServer.instance.send_progress_text(said, node_id)
        return io.NodeOutput(LazyVideo(clip), result["fps"])

    @classmethod
    def judge(cls, given: Mapping) -> None:
        video = given.get("video", SAMPLE)
        if video in (SAMPLE, None) or "clip" in given:
            return
        path = find(video)
        if names_pictures(path):
            numbered(path)
        elif not path.is_file():
            raise ValueError(f"There is no video {video} in ComfyUI's input folder. Choose or upload one.")

    @classmethod
    def fingerprint_inputs(cls, video: str | None = SAMPLE, **others) -> str:
        if video in (SAMPLE, None):
            return str(video)
        try:
            return " ".join(map(str, fingerprint(find(video))))
        except OSError:
            return str(video)


@PromptServer.instance.routes.get("/stereoreel/sample.mp4")
async def _sample(request: web.Request) -> web.FileResponse:
    """The sample clip, for the node to play it on the canvas."""
    return web.FileResponse(FILE)


def _videos() -> list[str]:
    """Return the videos in ComfyUI's input folder, then its folders of numbered pictures, with a slash."""
    folder = Path(folder_paths.get_input_directory())
    if not folder.is_dir():
        return []
    entries = list(folder.iterdir())
    files = [entry.name for entry in entries if entry.is_file()]
    videos = folder_paths.filter_files_content_types(files, ["video"])
    return sorted(videos) + sorted(f"{entry.name}/" for entry in entries if holds_pictures(entry))


def find(video: str) -> Path:
    """Return the file of a name.

    Raise PermissionError if it is outside ComfyUI's folders and the administrator's roots.
    """
    if video == SAMPLE:
        return FILE
    folders = (
        folder_paths.get_input_directory(),
        folder_paths.get_output_directory(),
        folder_paths.get_temp_directory(),
    )
    return confine(folder_paths.get_annotated_filepath(video), folders)
