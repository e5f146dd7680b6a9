"""Which models run, and their weights fetched from the canvas: the routes of web/node/catalogue.js."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from ..stereoreel.models.background_fetch import BackgroundFetch, Progress
from ..stereoreel.models.catalog import Entry
from ..stereoreel.models.overview import overview
from ._comfy import PromptServer, get_progress_state
from ._host import ComfyHost

RAN, FETCH = "stereoreel.model", "stereoreel.fetch"  # events of the websocket
MODELS, FETCHING = "/stereoreel/models", "/stereoreel/fetch"  # paths of the routes


class _FetchHost(ComfyHost):
    """Knows ComfyUI's folders; its progress and cancel are those of a download, not of a graph."""

    def __init__(self, tick: Callable[[int, int], None]):
        super().__init__()
        self._tick = tick

    def tick(self, done: int, total: int) -> None:
        self._tick(done, total)


def _send(progress: Progress) -> None:
    PromptServer.instance.send_sync(FETCH, progress.facts())


def ran(node_id: str, workflow: str | None, entry: Entry, reason: str) -> None:
    """Show on a node which model runs, and why, in the browser that queued the graph."""
    server = PromptServer.instance
    if server.client_id is not None:
        shown = get_progress_state().dynprompt.get_display_node_id(node_id)
        facts = {"node": shown, "workflow": workflow, "kind": entry.kind, "model": entry.name, "why": reason}
        server.send_sync(RAN, facts, server.client_id)


def declare(server: PromptServer) -> None:
    """Add the routes to ComfyUI's server.

    A download starts only by a request of its own, for a model of the catalogue, and while no graph runs.
    """
    fetching = BackgroundFetch(_FetchHost, _send)

    @server.routes.get(MODELS)
    async def _models(request: web.Request) -> web.Response:
        """All models by kind, and the download that runs or ran last."""
        kinds = await asyncio.to_thread(lambda: overview(ComfyHost()))
        last = fetching.progress
        return web.json_response({"kinds": kinds, "fetch": last and last.facts()})

    @server.routes.post(FETCHING)
    async def _fetch(request: web.Request) -> web.Response:
        """Fetch what ``{kind, name}`` lacks; the answer is that it began, or one sentence why it did not."""
        if request.content_type != "application/json":  # pages of other sites cannot send this unasked
            return _refused("Send the model's kind and name as JSON.", 415)
        if server.prompt_queue.get_current_queue()[0]:
            return _refused("A graph is running. Fetch the model when it has finished.", 409)
        try:
            wanted = await request.json()
            fetching.start(str(wanted["kind"]), str(wanted["name"]))
        except (LookupError, TypeError):
            return _refused("Send the model's kind and name as JSON.", 400)
        except ValueError as error:  # malformed JSON is one too
            return _refused(str(error), 400)
        except RuntimeError as error:
            return _refused(str(error), 409)
        return web.json_response({}, status=202)

    @server.routes.delete(FETCHING)
    async def _cancel(request: web.Request) -> web.Response:
        """Cancel the download that runs."""
        fetching.cancel()
        return web.json_response({})


def _refused(why: str, status: int) -> web.Response:
    return web.json_response({"error": why}, status=status)


declare(PromptServer.instance)
