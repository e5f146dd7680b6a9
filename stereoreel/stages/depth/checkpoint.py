"""A custom checkpoint: model.safetensors of a Hugging Face model directory, or a Depth Anything variant."""

from __future__ import annotations

from ...core.host import Host
from . import DepthOptions, depth_anything
from .stage import DepthStage


def load(entry, options: DepthOptions, host: Host) -> DepthStage:
    path = host.weights(entry.kind, entry.file)
    if path.stem.startswith("model") and path.with_name("config.json").is_file():
        from . import transformers

        return transformers.load(entry, options, host)
    return depth_anything.load(entry, options, host)
