"""RIFE: interpolation by intermediate flow estimation; any published version from 4.5 on.

``scale`` below 1 searches motion in a smaller image, ``ensemble`` also runs every pair in reverse, and
``lite_scales`` selects the scales of 4.25.lite. ``quality`` applies to builtin only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.host import Host
from ...image.compute import Graphs, resolve_dtype
from ...models import weights
from ...nets import rife
from . import InterpolateOptions
from .networks import NetworkInterpolator, padded
from .overlaid import Overlaid
from .stage import InterpolationStage

LARGE = 3000  # long side in pixels from which half the size is enough to find motion


def load(entry, options: InterpolateOptions, host: Host) -> InterpolationStage:
    path = host.weights(entry.kind, entry.file)
    state, scales = weights.read(path), None
    with weights.loading(path):
        if rife.detect(state).names == "4.25.lite":
            scales = {"32 16 8 4 1": rife.LITE, "16 8 4 2 1": rife.COARSE}[options.lite_scales]
        net = rife.load({key: tensor.float() for key, tensor in state.items()}, scales)
    if options.ensemble and not net.family.ensemble:
        raise ValueError(
            f"RIFE {net.family.names} has no ensemble. Switch ensemble off, or use a version up to 4.20, or "
            "4.24."
        )
    network = RifeNetwork(net, options, resolve_dtype(options.precision, host.device))
    return InterpolationStage(Overlaid(NetworkInterpolator(network, host.device, options)), options)


class RifeNetwork:
    """A RIFE model: convolutions in ``dtype``, flow and sampling in float32; one graph per batch shape."""

    def __init__(self, net: rife.RIFE, options: InterpolateOptions, dtype: torch.dtype):
        self.net = net.to(dtype).to(memory_format=torch.channels_last)
        self.nets: list[nn.Module] = [self.net]
        self.options, self.dtype = options, dtype
        self._run = Graphs(self._forward)

    def forget(self) -> None:
        """Drop recorded graphs."""
        self._run.forget()

    def scale(self, height: int, width: int) -> float:
        if self.options.scale != "auto":
            return float(self.options.scale)
        return 0.5 if max(height, width) >= LARGE else 1.0

    def encode(self, image: Tensor) -> dict:
        """Return the padded image, its encoding, and its true size."""
        height, width = image.shape[-2:]
        image = padded(image, rife.padding(height, width, self.net.family, self.scale(height, width)))
        return {"image": image, "encoding": self.net.encode(image), "size": (height, width)}

    def between(self, first: list[dict], second: list[dict], times: Tensor) -> rife.Between:
        pictures = [
            torch.cat([known[what] for known in side])
            for what in ("image", "encoding")
            for side in (first, second)
        ]
        height, width = first[0]["size"]
        return rife.crop(rife.Between(*self._run(*pictures, times, self.scale(height, width))), height, width)

    def _forward(
        self, img0: Tensor, img1: Tensor, e0: Tensor, e1: Tensor, times: Tensor, scale: float
    ) -> tuple[Tensor, ...]:
        return tuple(self.net(img0, img1, times, e0, e1, scale=scale, ensemble=self.options.ensemble))
