"""FILM: interpolation for large motion; one motion estimate serves all times between two frames.

It takes much more memory and time than RIFE. Any time is reached directly, by scaling the motion; the
published command line computes middles only, and halves intervals again and again. The options ``scale``,
``ensemble`` and ``lite_scales`` apply to RIFE only, ``quality`` to builtin only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.host import Host
from ...image.compute import Graphs, resolve_dtype
from ...models import weights
from ...nets import film_interpolation, rife
from . import InterpolateOptions
from .networks import NetworkInterpolator, padded
from .overlaid import Overlaid
from .stage import InterpolationStage

# numbers in an image whose launches take longer than their arithmetic, with their features: 854x480
FEW = 3 * 854 * 480


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
        self._encode, self._motion, self._at = (
            Graphs(run, FEW, True)
            for run in (lambda image: tuple(self.net.encode(image)), self._pair_of, self._between)
        )

    def forget(self) -> None:
        """Drop recorded graphs."""
        for graphs in (self._encode, self._motion, self._at):
            graphs.forget()

    def encode(self, image: Tensor) -> dict:
        height, width = image.shape[-2:]
        image = padded(image, film_interpolation.padding(height, width))
        return {"image": image, "encoding": self._encode(image), "size": (height, width), "mark": object()}

    def between(self, first: list[dict], second: list[dict], times: Tensor) -> rife.Between:
        result = [self._at(*self._pair(*pair), time[None]) for *pair, time in zip(first, second, times)]
        together = rife.Between(*(torch.cat(parts) for parts in zip(*result)))
        return rife.crop(together, *first[0]["size"])

    def _pair(self, first: dict, second: dict) -> tuple[Tensor, ...]:
        """Return the motion between two frames, cached with the first: the lists of a ``Pair``, joined."""
        known = first.get("pair")
        # by mark: a reference to the next frame would keep the complete shot alive
        if known is None or known[0] is not second["mark"]:
            given = (first["image"], second["image"], *first["encoding"], *second["encoding"])
            first["pair"] = known = (second["mark"], self._motion(*given))
        return known[1]

    def _pair_of(self, one: Tensor, other: Tensor, *encodings: Tensor) -> tuple[Tensor, ...]:
        half = len(encodings) // 2
        pair = self.net.pair(one, other, list(encodings[:half]), list(encodings[half:]))
        return tuple(level for levels in pair for level in levels)

    def _between(self, *given: Tensor) -> tuple[Tensor, ...]:
        *levels, time = given
        count = len(levels) // len(film_interpolation.Pair._fields)
        parts = (levels[start : start + count] for start in range(0, len(levels), count))
        return tuple(self.net.at(film_interpolation.Pair(*parts), time))
