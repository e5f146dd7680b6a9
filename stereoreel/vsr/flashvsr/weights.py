"""FlashVSR's files: official ones, re-packs of them, and the refusal of a mixed set.

Versions 1 and 1.1 have the same tensor names and shapes, but each projector has its own rule of time and each transformer its own projector:
a mixed set runs and gives ghosts. So files are told apart by their hashes where those are known, and by the folder they lie in.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ... import weights
from ...host import Host
from ...nets import flashvsr, flashvsr_decoder, flashvsr_projector, wan_vae

log = logging.getLogger(__name__)

TOGETHER = {  # one file that holds everything, by the prefixes of its tensors
    "projector": ("lq_proj_in.", "LQ_proj_in."), "decoder": ("tc_decoder.", "TCDecoder."), "prompt": ("positive_conditioning", "prompt"),
}  # fmt: skip


def read(entry, host: Host, role: str) -> dict[str, Tensor]:
    """The tensors of one part of a model, out of its own file or out of the file that holds all parts."""
    if role in entry.parts:
        path = host.weights(entry.kind, entry.parts[role].file)
        return bare(path) if role == "prompt" else weights.read(path)
    whole = weights.read(host.weights(entry.kind, entry.file))
    own = TOGETHER.get(role)
    if own:
        return {key: tensor for key, tensor in whole.items() if key.startswith(own)}
    others = tuple(prefix for prefixes in TOGETHER.values() for prefix in prefixes)
    return {key: tensor for key, tensor in whole.items() if not key.startswith(others)}


def bare(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that may be one tensor without a name."""
    try:
        return weights.read(path)
    except ValueError:
        made = None
        with suppress(pickle.UnpicklingError, EOFError, RuntimeError):
            made = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(made, Tensor):
            raise
        return {"prompt": made}


def networks(entry, host: Host, dtype: torch.dtype, decoder: str) -> tuple:
    """The transformer, folded, the projector and the decoder (``tiny`` or ``full``), in a number type; ValueError for a mixed set."""
    refuse_mixed(entry, {role: host.weights(entry.kind, part.file) for role, part in entry.parts.items() if role in ("dit", "projector", "weights")})
    projector = flashvsr_projector.load(read(entry, host, "projector")).to(dtype).stacked()
    projector.causal = str(entry.params["version"]) != "1"
    if decoder == "full":
        decoder = wan_vae.load(weights.read(host.weights(entry.kind, entry.parts["vae"].file))).to(dtype)
    else:
        decoder = flashvsr_decoder.load(read(entry, host, "decoder")).joined().to(dtype, memory_format=torch.channels_last)
    (prompt,) = read(entry, host, "prompt").values()
    return flashvsr.load(read(entry, host, "dit")).folded(prompt, dtype).eval(), projector, decoder


def refuse_mixed(entry, paths: dict[str, Path]) -> None:
    """ValueError where a file is known to be another version's; a warning where it has a published file's size and not its contents."""
    wanted, known = str(entry.params["version"]), entry.params.get("known", {})
    for role, path in paths.items():
        found = version(path, known)
        if found not in (None, wanted):
            raise ValueError(f"{path} is of FlashVSR {found} and {entry.name} needs {wanted}; mixed versions give ghosts, "
                             f"so choose the other model or put the file of {wanted} in its place.")
        part = entry.parts.get(role)
        if part and part.sha256 and path.stat().st_size == part.bytes and digest(path, path.stat().st_mtime_ns) != part.sha256:
            log.warning("%s is not the published file; if there are ghosts, it is of another version than %s", path, entry.name)


def version(path: Path, known: dict[str, dict]) -> str | None:
    """Which version a file is of: by its hash where a file of that size is known, else by a name with 1.1 in it; None where nothing tells.

    ``known`` has sizes in bytes and versions by hash.
    """
    if path.stat().st_size in {facts["bytes"] for facts in known.values()}:
        facts = known.get(digest(path, path.stat().st_mtime_ns))
        if facts:
            return str(facts["version"])
    told = re.search(r"(?i)flashvsr[-_ ]?v?1[._]1(?!\d)", f"{path.parent.name}/{path.name}")
    return "1.1" if told else None


@lru_cache(16)
def digest(path: Path, changed: int) -> str:
    """A file's SHA-256; ``changed`` is when it last was."""
    made = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            made.update(block)
    return made.hexdigest()
