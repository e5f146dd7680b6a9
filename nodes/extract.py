"""Extract Video: a file chosen or uploaded, the pack's own sample, or a VIDEO from another node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from ..stereoreel.core.error_context import naming
from ..stereoreel.core.numbered import holds_pictures, names_pictures, numbered
from ..stereoreel.core.options import Option
from ..stereoreel.media.extract_options import NO_FOLDER, SAMPLE, ExtractOptions, chosen_file
from ..stereoreel.media.folder import SUFFIXES, natural
from ..stereoreel.media.paths import confine
from ..stereoreel.media.read.probe import fingerprint
from ..stereoreel.sample import FILE
from ..stereoreel.workflow import build
from ..stereoreel.workflow.first_glance import facts
from ..stereoreel.workflow.node import Videos
from ..stereoreel.workflow.nodes.extract import NODE
from ._comfy import PromptServer, folder_paths, io
from ._host import ComfyHost
from ._images import as_clip
from ._lazy_video import LazyVideo
from ._schema import DeclaredNode
from ._source_facts import KEY, declare, line

DEEPEST = 4  # levels of folders that are listed


class ExtractNode(DeclaredNode):
    JUDGED = ("video", "clip", "folder", "index")

    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """Require the list of videos, because the canvas gives only required widgets an upload button."""
        if option.name == "folder":
            option = replace(option, choices=(*option.choices, *_folders()))
        if option.name != "video":
            return super().widget(option)
        videos = io.Combo.Input(
            "video",
            options=[SAMPLE, *_videos()],
            default=SAMPLE,
            tooltip=option.text,
            upload=io.UploadType.video,
        )
        videos.extra_dict = facts(cls.NODE, option)
        return videos

    @classmethod
    def execute(cls, clip=None, **options) -> io.NodeOutput:
        node_id, host = str(cls.hidden.unique_id), ComfyHost()
        name = build.label(cls.NODE, node_id)
        with naming(name):
            inputs = {} if clip is None else {"clip": as_clip(clip, name)}
            videos = Videos(find, tick=host.tick, files=host.file_cache)
            result = build.stage(cls.NODE, inputs, options, node_id, videos)
            clip = build.clips_in(result)["clip"]
        workflow = ((cls.hidden.extra_pnginfo or {}).get("workflow") or {}).get("id")
        shown = {KEY: [{"text": line(clip), "workflow": workflow}]}
        return io.NodeOutput(LazyVideo(clip), result["fps"], ui=shown)

    @classmethod
    def judge(cls, given: Mapping) -> None:
        names = ("folder", "index", "background")
        if "clip" in given or any(given.get(name, "") is None for name in ("video", *names)):
            return
        video = given.get("video", SAMPLE)
        options = build.settings_of(cls.NODE, {name: given[name] for name in names if name in given})
        if options.folder != NO_FOLDER:
            chosen_file(options, find)
            return
        if video == SAMPLE:
            return
        path = find(video)
        if names_pictures(path):
            numbered(path)
        elif not path.is_file():
            raise ValueError(f"There is no video {video} in ComfyUI's input folder. Choose or upload one.")

    @classmethod
    def fingerprint_inputs(
        cls, video: str | None = SAMPLE, folder: str | None = NO_FOLDER, index: int | None = 0, **others
    ) -> str:
        if video is None or folder is None or index is None:
            return str(video)
        try:
            file = chosen_file(ExtractOptions(video=video, folder=folder, index=index), find)
            return " ".join(map(str, fingerprint(file)))
        except (OSError, ValueError):
            return f"{video} {folder} {index}"


@PromptServer.instance.routes.get("/stereoreel/sample.mp4")
async def _sample(request: web.Request) -> web.FileResponse:
    """The sample clip, for the node to play it on the canvas."""
    return web.FileResponse(FILE)


def _folders() -> list[str]:
    """Return the folders in the input folder that hold videos, at most ``DEEPEST`` levels below it."""
    root, found = Path(folder_paths.get_input_directory()), []
    for place, folders, names in os.walk(root):
        path = Path(place).relative_to(root)
        folders[:] = [name for name in folders if not name.startswith(".") and len(path.parts) < DEEPEST]
        if path.parts and any(Path(name).suffix.lower() in SUFFIXES for name in names):
            found.append(path.as_posix())
    return sorted(found, key=natural)


def _videos() -> list[str]:
    """Return the videos in ComfyUI's input folder, then its folders of numbered pictures, with a slash."""
    folder = Path(folder_paths.get_input_directory())
    if not folder.is_dir():
        return []
    entries = list(folder.iterdir())
    files = [entry.name for entry in entries if entry.is_file()]
    videos = set(folder_paths.filter_files_content_types(files, ["video"]))
    videos.update(name for name in files if name.lower().endswith(SUFFIXES))  # such as .ts, .vob and .mxf
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


declare(PromptServer.instance, NODE, find)
