"""Load FlashVSR's files, official or re-packed, and refuse a mixed set.

Versions 1 and 1.1 have the same tensor names and shapes, but their projectors handle time differently, and
each transformer needs its own projector: a mixed set runs and gives ghosts. So files are distinguished by
known hashes, and by the name of their directory.
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

TOGETHER = {  # the parts of a combined file, by the prefixes of their tensors
    "projector": ("lq_proj_in.", "LQ_proj_in."),
    "decoder": ("tc_decoder.", "TCDecoder."),
    "prompt": ("positive_conditioning", "prompt"),
}


def part_path(entry, host: Host, role: str) -> Path:
    """Return the path of one part of a model: its own file or the combined one."""
    return host.weights(entry.kind, entry.parts[role].file if role in entry.parts else entry.file)


def read(entry, host: Host, role: str) -> dict[str, Tensor]:
    """Return the tensors of one part of a model, from its own file or the combined one."""
    whole = weights.read(part_path(entry, host, role), bare="prompt" if role == "prompt" else None)
    if role in entry.parts:
        return whole
    own = TOGETHER.get(role)
    if own:
        return {key: tensor for key, tensor in whole.items() if key.startswith(own)}
    others = tuple(prefix for prefixes in TOGETHER.values() for prefix in prefixes)
    return {key: tensor for key, tensor in whole.items() if not key.startswith(others)}


def networks(entry, host: Host, dtype: torch.dtype, decoder: str) -> tuple:
    """Return the folded transformer, the projector and the decoder (``tiny`` or ``full``), in a dtype.

    Raise ValueError for a mixed set.
    """
    parts = {role: part.file for role, part in entry.parts.items() if role in ("dit", "projector", "weights")}
    paths = {role: host.weights(entry.kind, file) for role, file in parts.items()}
    refuse_mixed(entry, paths, host.file_cache)
    with weights.loading(part_path(entry, host, "projector")):
        projector = flashvsr_projector.load(read(entry, host, "projector")).to(dtype).stacked()
    projector.causal = str(entry.params["version"]) != "1"
    result = _decoder(entry, host, dtype, "vae" if decoder == "full" else "decoder")
    with weights.loading(part_path(entry, host, "dit")):
        dit = flashvsr.load(read(entry, host, "dit"))
    with weights.loading(part_path(entry, host, "prompt")):
        return dit.folded(_prompt(entry, host), dtype).eval(), projector, result


def _decoder(entry, host: Host, dtype: torch.dtype, role: str):
    with weights.loading(part_path(entry, host, role)):
        tensors = read(entry, host, role)
        if role == "vae":
            return wan_vae.load(tensors).to(dtype)
        return flashvsr_decoder.load(tensors).joined().to(dtype).to(memory_format=torch.channels_last)


def _prompt(entry, host: Host) -> Tensor:
    found = read(entry, host, "prompt")
    if len(found) != 1:
        raise Unfit(f"FlashVSR's prompt is one tensor, but this file has {len(found)}. Choose another file.")
    return next(iter(found.values()))


def refuse_mixed(entry, paths: dict[str, Path], files: FileCache) -> None:
    """Raise ValueError if a file belongs to another version; warn if only its size is the published one."""
    wanted, known = str(entry.params["version"]), entry.params.get("known", {})
    for role, path in paths.items():
        found = version(path, known, files)
        if found not in (None, wanted):
            raise ValueError(
                f"{path} is of FlashVSR {found} but {entry.name} needs {wanted}. Mixed versions give ghosts. "
                f"Choose the other model, or replace the file with that of {wanted}."
            )
        part = entry.parts.get(role)
        if part and part.sha256 and path.stat().st_size == part.bytes and digest(path, files) != part.sha256:
            log.warning(
                "%s is not the published file; if you see ghosts, its version is not that of %s",
                path,
                entry.name,
            )


def version(path: Path, known: dict[str, dict], files: FileCache) -> str | None:
    """Return a file's version by its hash, if its size is known, else by a name with 1.1; None if unknown.

    ``known`` has sizes in bytes and versions by hash.
    """
    if path.stat().st_size in {facts["bytes"] for facts in known.values()}:
        facts = known.get(digest(path, files))
        if facts:
            return str(facts["version"])
    named = re.search(r"(?i)flashvsr[-_ ]?v?1[._]1(?!\d)", f"{path.parent.name}/{path.name}")
    return "1.1" if named else None
