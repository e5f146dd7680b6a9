"""A custom checkpoint: the network that its tensors show, or a Hugging Face model directory."""

from __future__ import annotations

from ...core.host import Host
from ...models import weights
from ...nets import depth_anything_3 as net_3
from ...nets import moge as net_moge
from . import DepthOptions, depth_anything, depth_anything_3, moge
from .stage import DepthStage


def load(entry, options: DepthOptions, host: Host) -> DepthStage:
    path = host.weights(entry.kind, entry.file)
    # Depth Anything 3 has a directory with config.json as well, but is none of transformers' models
    found = weights.read(path)
    if net_3.fits(found):
        return depth_anything_3.load(entry, options, host)
    if net_moge.fits(found):
        return moge.load(entry, options, host)
    if path.stem.startswith("model") and path.with_name("config.json").is_file():
        from . import transformers

        return transformers.load(entry, options, host)
    return depth_anything.load(entry, options, host)
