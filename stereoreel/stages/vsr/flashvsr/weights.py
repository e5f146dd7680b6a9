"""FlashVSR's files: official ones, re-packs of them, and the refusal of a mixed set.

Versions 1 and 1.1 have the same tensor names and shapes, but each projector has its own rule of time and each
transformer its own projector: a mixed set runs and gives ghosts. So files are told apart by their hashes
where those are known, and by the folder they lie in.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import torch
from torch import Tensor

from ....core.file_cache import FileCache
from ....core.host import Host
from ....models import weights
from ....models.intact import digest
from ....nets import flashvsr, flashvsr_decoder, flashvsr_projector, wan_vae
from ....nets.strict import Unfit

log = logging.getLogger(__name__)

TOGETHER = {  # one file that holds everything, by the prefixes of its tensors
    "projector": ("lq_proj_in.", "LQ_proj_in."), "decoder": ("tc_decoder.", "TCDecoder."), "prompt": ("positive_conditioning", "prompt"),
}  # fmt: skip


def held(entry, host: Host, role: str) -> Path:
    """Where one part of a model is: in its own file, or in the file that holds all parts."""
    return host.weights(entry.kind, entry.parts[role].file if role in entry.parts else entry.file)


def read(entry, host: Host, role: str) -> dict[str, Tensor]:
    """The tensors of one part of a model, out of its own file or out of the file that holds all parts."""
    whole = weights.read(held(entry, host, role), bare="prompt" if role == "prompt" else None)
    if role in entry.parts:
        return whole
    own = TOGETHER.get(role)
    if own:
        return {key: tensor for key, tensor in whole.items() if key.startswith(own)}
    others = tuple(prefix for prefixes in TOGETHER.values() for prefix in prefixes)
    return {key: tensor for key, tensor in whole.items() if not key.startswith(others)}


def networks(entry, host: Host, dtype: torch.dtype, decoder: str) -> tuple:
    """The transformer, folded, the projector and the decoder (``tiny`` or ``full``), in a number type; ValueError for a mixed set."""
    parts = {role: part.file for role, part in entry.parts.items() if role in ("dit", "projector", "weights")}
    paths = {role: host.weights(entry.kind, file) for role, file in parts.items()}
    refuse_mixed(entry, paths, host.file_cache)
    with weights.loading(held(entry, host, "projector")):
        projector = flashvsr_projector.load(read(entry, host, "projector")).to(dtype).stacked()
    projector.causal = str(entry.params["version"]) != "1"
    made = _decoder(entry, host, dtype, "vae" if decoder == "full" else "decoder")
    with weights.loading(held(entry, host, "dit")):
        dit = flashvsr.load(read(entry, host, "dit"))
    with weights.loading(held(entry, host, "prompt")):
        return dit.folded(_prompt(entry, host), dtype).eval(), projector, made


def _decoder(entry, host: Host, dtype: torch.dtype, role: str):
    with weights.loading(held(entry, host, role)):
        tensors = read(entry, host, role)
        if role == "vae":
            return wan_vae.load(tensors).to(dtype)
        return flashvsr_decoder.load(tensors).joined().to(dtype, memory_format=torch.channels_last)


def _prompt(entry, host: Host) -> Tensor:
    found = read(entry, host, "prompt")
    if len(found) != 1:
        raise Unfit(f"FlashVSR's prompt is one tensor, and this file has {len(found)} of that name.")
    return next(iter(found.values()))


def refuse_mixed(entry, paths: dict[str, Path], files: FileCache) -> None:
    """ValueError where a file is known to be another version's; a warning where it has a published file's size and not its contents."""
    wanted, known = str(entry.params["version"]), entry.params.get("known", {})
    for role, path in paths.items():
        found = version(path, known, files)
        if found not in (None, wanted):
            raise ValueError(
                f"{path} is of FlashVSR {found} and {entry.name} needs {wanted}; mixed versions give ghosts, "
                f"so choose the other model or put the file of {wanted} in its place."
            )
        part = entry.parts.get(role)
        if part and part.sha256 and path.stat().st_size == part.bytes and digest(path, files) != part.sha256:
            log.warning(
                "%s is not the published file; if there are ghosts, it is of another version than %s",
                path,
                entry.name,
            )


def version(path: Path, known: dict[str, dict], files: FileCache) -> str | None:
    """Which version a file is of: by its hash where a file of that size is known, else by a name with 1.1 in it; None where nothing tells.

    ``known`` has sizes in bytes and versions by hash.
    """
    if path.stat().st_size in {facts["bytes"] for facts in known.values()}:
        facts = known.get(digest(path, files))
        if facts:
            return str(facts["version"])
    named = re.search(r"(?i)flashvsr[-_ ]?v?1[._]1(?!\d)", f"{path.parent.name}/{path.name}")
    return "1.1" if named else None
