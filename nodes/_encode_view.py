"""Encode Video on the canvas: the newest frame while it runs, then the finished video.

Core's own preview stays in the frontend's preview store after the run and hides the finished video. So this
node sends its own events, which web/result.js draws.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import av
import numpy as np
from PIL import Image
from torch import Tensor

from ..stereoreel.media.layouts.layout import pack
from ..stereoreel.media.write.observer import Observer
from ..stereoreel.media.write.options import EncodeOptions
from ..stereoreel.viewing.browser_copy import IMAGES, browser_copy, playable, summary
from ._comfy import PromptServer, get_progress_state, io, model_management
from ._host import ComfyHost, scratch
from ._notes import show_on_node

log = logging.getLogger(__name__)

EVENT = "stereoreel.encode"  # of the websocket
KEY = "stereoreel_encode"  # of the node's ui output: the finished files, for web/result.js
COPIES = "stereoreel_canvas"  # below ComfyUI's temp folder
EVERY = 1.0  # seconds between two live frames
SIDE = 512  # their longer side, pixels


class EncodeView(Observer):
    """Send progress, and the newest frame as a small JPEG, to the browser that queued the run."""

    def __init__(self, settings: EncodeOptions, total: int, node_id: str, workflow: str | None):
        self.settings, self.total, self.workflow = settings, total, workflow
        self.node = get_progress_state().dynprompt.get_display_node_id(node_id)
        self.done, self.begun, self.shown, self.pictures, self.before = 0, time.monotonic(), 0.0, 0, 0
        self.send(f"0 of {total} frames")

    def send(self, text: str, **more: str) -> None:
        server = PromptServer.instance
        if server.client_id is not None:
            facts = {"node": self.node, "workflow": self.workflow, "text": text, **more}
            server.send_sync(EVENT, facts, server.client_id)

    def say(self, line: str) -> None:
        log.info(line)
        self.send(line)

    def found(self, label: str, text: str) -> None:
        log.info("%s: %s", label, text)
        show_on_node(label, text)

    def skipped(self, frames: int) -> None:
        self.done = self.before = frames

    def chunk(self, frames: int, shown: Callable[[], tuple[Tensor, ...]]) -> None:
        self.done += frames
        now = time.monotonic()
        if now - self.shown < EVERY:
            return
        self.shown = now
        rate = (self.done - self.before) / max(now - self.begun, 1e-6)
        left = round((self.total - self.done) / rate)
        text = f"{self.done} of {self.total} frames, {rate:.1f} fps, {left // 60}:{left % 60:02} left"
        self.pictures += 1
        self.send(text, picture=self._picture(shown()))

    def _picture(self, chunks: tuple[Tensor, ...]) -> str:
        """Return the newest frame as a data URL, packed as in the file."""
        newest, *others = (one.narrow(-4, one.shape[-4] - 1, 1) for one in chunks)
        depth = others[0] if others else None
        frame = pack(
            newest, self.settings.packing, self.settings.vr180_field, depth=depth, turn=self.pictures
        )[0, ..., :3]
        pixels = (frame.float().clamp(0, 1) * 255).round().to("cpu").numpy().astype(np.uint8)
        image = Image.fromarray(np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels)
        image.thumbnail((SIDE, SIDE))
        file = BytesIO()
        image.save(file, "JPEG", quality=85)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"

    def finished(self, paths: Sequence[Path], root: Path, kind: io.FolderType) -> list[dict]:
        """Return the finished files for the ui output: what to show of each, and a line of facts.

        They are below ``root``, which /view calls ``kind``.
        """
        return [
            {"workflow": self.workflow, "text": f"done: {summary(path)}", "name": path.name}
            | {"media": "image" if path.suffix.lower() in IMAGES else "video"}
            | self._view(path, root, kind)
            for path in paths
        ]

    def _view(self, path: Path, root: Path, kind: io.FolderType) -> dict:
        """Return the parameters of /view for the file or, if browsers cannot play it, for a small copy.

        A page that is reloaded recognises the file by its ``bytes``.
        """
        if playable(path):
            return {"view": _address(path, root, kind.value), "bytes": path.stat().st_size}
        self.send("making a small copy for the canvas")
        folder = scratch() / COPIES
        folder.mkdir(exist_ok=True)
        try:
            copy = browser_copy(path, folder / f"{uuid4().hex[:12]}.mp4", _Quiet())
        except (OSError, ValueError, av.FFmpegError) as error:  # the video itself is complete
            log.warning(f"No copy of {path.name} for the canvas: {error}")
            return {"view": None}
        return {"view": _address(copy, scratch(), "temp"), "bytes": copy.stat().st_size}


class _Quiet(ComfyHost):
    """A host that is cancelled by Stop but shows no progress bar."""

    def tick(self, done: int, total: int) -> None:
        model_management.throw_exception_if_processing_interrupted()


def _address(file: Path, root: Path, kind: str) -> dict[str, str]:
    folder = file.parent.relative_to(root)
    return {"filename": file.name, "subfolder": "" if folder == Path() else folder.as_posix(), "type": kind}
