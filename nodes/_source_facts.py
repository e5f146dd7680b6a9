"""What Extract Video opens, in one line, before the first run: the route of web/source.js."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from ..stereoreel.core.clip import Clip
from ..stereoreel.media.clip_facts import clip_facts
from ..stereoreel.media.extract_options import chosen_file
from ..stereoreel.media.open import file_clip
from ..stereoreel.workflow import build
from ..stereoreel.workflow.node import Node
from ._comfy import PromptServer
from ._host import ComfyHost

FACTS, KEY = "/stereoreel/facts", "stereoreel_facts"  # the route, and the name among a node's outputs


def line(clip: Clip) -> str:
    return " · ".join(clip_facts(clip))


def declare(server: PromptServer, node: Node, find) -> None:
    """Add the route, which takes the options of the node; ``find`` returns the file of a name."""

    def read(options: Mapping[str, str]) -> str:
        settings = build.settings_of(node, options)
        return line(
            file_clip(
                chosen_file(settings, find), settings, node.name, look=False, files=ComfyHost.file_cache
            )
        )

    @server.routes.get(FACTS)
    async def _facts(request: web.Request) -> web.Response:
        """The line, or one sentence why there is none."""
        try:
            return web.json_response({"text": await asyncio.to_thread(read, dict(request.query))})
        except (OSError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
