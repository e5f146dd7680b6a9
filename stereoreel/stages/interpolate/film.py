"""FILM: interpolation for large motion; one motion estimate serves all times between two frames.

It takes much more memory and time than RIFE. Any time is reached directly, by scaling the motion; the
published command line computes middles only, and halves intervals again and again. The options ``scale``,
``ensemble`` and ``lite_scales`` apply to RIFE only, ``quality`` to builtin only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.host import Host
from ...image.compute import resolve_dtype
from ...models import weights
from ...nets import film_interpolation, rife
from . import InterpolateOptions
from .networks import NetworkInterpolator, padded
from .overlaid import Overlaid
from .stage import InterpolationStage


def load(entry, options: InterpolateOptions, host: Host) -> InterpolationStage:
    path = host.weights(entry.kind, entry.file)
    state = weights.read(path)
    with weights.loading(path):
        net = film_interpolation.load({key: tensor.float() for key, tensor in state.items()})
    network = FilmNetwork(net, resolve_dtype(options.precision, host.device))
    return InterpolationStage(Overlaid(NetworkInterpolator(network, host.device, options)), options)


class FilmNetwork:
    """A FILM model: the motion between two frames is computed once and serves every time between them."""

    def __init__(self, net: film_interpolation.FILM, dtype: torch.dtype):
        self.net = net.to(dtype).to(memory_format=torch.channels_last)
        self.nets: list[nn.Module] = [self.net]
        self.dtype = dtype

    def encode(self, image: Tensor) -> dict:
        height, width = image.shape[-2:]
        image = padded(image, film_interpolation.padding(height, width))
        return {"image": image, "encoding": self.net.encode(image), "size": (height, width), "mark": object()}

    def between(self, first: list[dict], second: list[dict], times: Tensor) -> rife.Between:
        result = [self.net.at(self._pair(*pair), time[None]) for *pair, time in zip(first, second, times)]
        together = rife.Between(*(torch.cat(parts) for parts in zip(*result)))
        return rife.crop(together, *first[0]["size"])

    def _pair(self, first: dict, second: dict) -> film_interpolation.Pair:
        """Return the motion between two frames, cached with the first."""
        known = first.get("pair")
        # by mark: a reference to the next frame would keep the complete shot alive
        if known is None or known[0] is not second["mark"]:
            first["pair"] = known = (
                second["mark"],
                self.net.pair(first["image"], second["image"], first["encoding"], second["encoding"]),
            )
        return known[1]
