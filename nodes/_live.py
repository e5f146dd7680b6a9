"""Live sessions on the canvas: the state of stages between runs of a graph, by session name and node."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
from aiohttp import web
from torch import Tensor, nn

from ..stereoreel.core.clip import ClipInfo
from ..stereoreel.core.error_context import naming
from ..stereoreel.core.timeline import parse_fps
from ..stereoreel.core.transforms import Recut
from ..stereoreel.live import Session, Sessions
from ..stereoreel.live.live_stage import ENDLESS
from ..stereoreel.models.lazy_stage import Plan
from ..stereoreel.workflow import build
from ..stereoreel.workflow.build import DEFAULT_RATE, format_cuts
from ..stereoreel.workflow.node import MASKS, Node
from ._comfy import ModelPatcher, PromptServer, VideoInput, model_management
from ._host import ComfyHost, working_device, working_type

EVERY = 0.5  # seconds between updates of a node's figures
PLACED = 2  # sets of networks whose patchers are kept, as many as the stages that a session keeps


class LiveHost(ComfyHost):
    """The host of one session, over many prompts.

    It uses the same patchers at every push, so that ComfyUI finds its models already loaded.
    """

    def __init__(self):
        super().__init__()
        self._patchers: OrderedDict[tuple[int, ...], list[ModelPatcher]] = OrderedDict()

    def place(self, nets: Sequence[nn.Module], memory: int) -> list[ModelPatcher]:
        key = tuple(map(id, nets))
        if key not in self._patchers:
            while len(self._patchers) >= PLACED:
                self._patchers.popitem(last=False)
            self._patchers[key] = super().place(nets, memory)
        else:
            model_management.load_models_gpu(self._patchers[key], memory_required=memory)
        self._patchers.move_to_end(key)
        return self._patchers[key]

    def tick(self, done: int, total: int) -> None:
        super().tick(done, total)
        if done >= total:
            self._bar = None  # the next run has its own


class LiveSession(Session):
    """A session that knows when its figures were last shown on its node."""

    def __init__(self):
        super().__init__(LiveHost())
        self.shown = 0.0


SESSIONS: Sessions[tuple[str, str], LiveSession] = Sessions(LiveSession)


def named(live: str | None) -> bool:
    """Whether a session is named; a value from another node (None) is not known yet and may name one."""
    return live is None or bool(live.strip())


def run(
    node: Node, node_id: str, clip: Tensor, depth: Tensor | None, fps, packed: str, options: Mapping
) -> tuple[dict, str]:
    """Run a stage node once in its session; return its outputs by socket and a line of figures."""
    label = build.label(node, node_id)
    if isinstance(clip, VideoInput) or isinstance(depth, VideoInput):
        raise TypeError(
            f"{label}: live needs successive IMAGE batches, not a VIDEO. Leave live empty for a VIDEO."
        )
    plan, rate = Plan(node.kind, options, label), parse_fps(fps) if fps is not None else DEFAULT_RATE
    pairs = (
        packed == "full SBS",
        packed == "full SBS"
        and depth is not None
        and depth.shape[1] * clip.shape[2] == depth.shape[2] * clip.shape[1],
    )
    inputs = [_frames(clip, pairs[0])] + (
        [] if depth is None else [_frames(depth if depth.ndim == 4 else depth[..., None], pairs[1])[..., :1]]
    )
    with (
        naming(label),
        SESSIONS.use(
            (options["live"].strip(), node_id), model_management.throw_exception_if_processing_interrupted
        ) as session,
    ):
        result = session.push(
            plan,
            *inputs,
            fps=rate,
            mode=plan.settings.live_mode,
            cuts=_cuts(options.get("cuts", "auto"), label),
        )
        figures = str(session.figures)
        if time.monotonic() - session.shown > EVERY:
            session.shown = time.monotonic()
            PromptServer.instance.send_progress_text(figures, node_id)
    types = {socket.name: socket.type for socket in node.outputs}
    outputs: dict = {port: _batch(chunk, types[port] == MASKS) for port, chunk in result.items()}
    facts = {"fps": float(session.fps), "cuts": format_cuts(session.cuts)}
    return outputs | {socket: fact for socket, fact in facts.items() if socket in types}, figures


def _frames(images: Tensor, pair: bool) -> Tensor:
    """Return ``[T, H, W, C]``, or ``[2, T, H, W, C]`` of side-by-side stereo pairs."""
    return torch.stack(images.chunk(2, 2)) if pair else images


def _batch(chunk: Tensor, mask: bool) -> Tensor:
    """Return an IMAGE (two views side by side) or a MASK."""
    flat = torch.cat(list(chunk), 2) if chunk.ndim == 5 else chunk
    flat = flat[..., 0] if mask else flat.expand(*flat.shape[:-1], max(3, flat.shape[-1]))
    return flat.to(working_device(), torch.float32 if mask else working_type()).contiguous()


def _cuts(value: str, label: str) -> str | tuple[int, ...]:
    """Return the option ``cuts``, parsed; frame numbers count from the session's start."""
    if value.strip() in ("auto", "", "none"):
        return value.strip() or "auto"
    return Recut(value, label).describe(ClipInfo(1, 1, DEFAULT_RATE, ENDLESS)).cuts


@PromptServer.instance.routes.get("/stereoreel/live")
async def _list(request: web.Request) -> web.Response:
    """Return the figures of all sessions, by name and node."""
    figures = {
        key: {name: None if value != value else value for name, value in asdict(one).items()}
        for key, one in SESSIONS.figures().items()
    }
    return web.json_response(
        [{"live": name, "node": node, **facts} for (name, node), facts in figures.items()]
    )


@PromptServer.instance.routes.post("/stereoreel/live/close")
async def _close(request: web.Request) -> web.Response:
    """Close the sessions of a name, ``{"live": name}``; return how many there were."""
    name = (await request.json()).get("live")
    found = [key for key in SESSIONS.names() if key[0] == name]
    closed = [await asyncio.get_running_loop().run_in_executor(None, SESSIONS.close, key) for key in found]
    return web.json_response({"closed": sum(closed)})
