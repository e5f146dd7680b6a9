"""RealESRGAN and every other single-image network that spandrel knows, made fast for film: see ``load``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...core.options import agree
from ...image.resize import resize
from ...models.weights import loading
from . import UpscaleOptions, wanted_size
from .network import ImageNetwork, read
from .reuse import StillTiles, groups
from .steady import Steady
from .work import Budget, Work


def load(entry, options: UpscaleOptions, host: Host) -> ImageUpscaler:
    """The stage of a checkpoint; with ``denoise`` below 1 a model's ``wdn`` file is mixed in, where it has one."""
    softer = (
        host.weights(entry.kind, entry.parts["wdn"].file)
        if options.denoise < 1 and "wdn" in entry.parts
        else None
    )
    path = host.weights(entry.kind, entry.file)
    descriptor = read(path, softer, 1 - options.denoise)
    with loading(path):  # a small picture goes through it for the first time
        network = ImageNetwork(descriptor, host.device, options.precision, options.compile)
    return ImageUpscaler(network, options)


class ImageUpscaler:
    """Frames ``[T, H, W, 3 or 4]`` at the wanted size: through the network, then by Lanczos to the very pixel.

    Alpha is enlarged by Lanczos. Frames are batched by their number in the shot; ``counts`` tells what was
    computed and what reused.
    """

    joint = False

    def __init__(self, network: ImageNetwork, options: UpscaleOptions):
        self.network, self.options, self.nets = network, options, network.nets
        self.budget = Budget(network, options.tile)
        self.counts: Counter[str] = Counter()

    @property
    def remembers(self) -> bool:
        """Whether a frame's result depends on frames before it."""
        return self.options.steady > 0

    def retuned(self, options: UpscaleOptions) -> ImageUpscaler | None:
        """This network under other options; None where they ask for another."""
        return (
            ImageUpscaler(self.network, options)
            if agree(options, self.options, "model", "denoise", "precision", "compile")
            else None
        )

    def forget(self) -> None:
        """Let go what was recorded for networks that have been moved."""
        self.network.forget()

    def memory(self, frames: ClipInfo) -> int:
        """Bytes that one batch of these frames needs, beside the network."""
        pixels = frames.width * frames.height
        return int(
            self.network.pixel_memory
            * min(pixels * self.budget.together(frames.height, frames.width), self.budget.pixels or pixels)
        )

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        frames = iter(frames)
        if (first := next(frames, None)) is None:
            return
        self.budget.fit()
        threshold = None if self.options.reuse == "off" else self.options.reuse_threshold / 255
        work = Work(self.network, self.budget, self.options.batch, shot.live)
        made = (
            StillTiles(work, threshold, self.counts)
            if self.options.reuse == "tiles" and self.network.tileable
            else work
        )
        steady = Steady(self.options.steady) if self.options.steady else None
        last = None
        together = self.budget.together(*first.shape[1:3], self.options.batch)
        for group in groups(chain([first], frames), together, threshold, shot.drained):
            self.counts["frames computed"] += len(group.numbers)
            self.counts["frames reused"] += len(group.shown) - len(group.numbers)
            pictures = self._pictures(
                group.fresh, [shot.start + number for number in group.numbers], made, steady
            )
            yield from _chunks(last, pictures, group.shown)
            last = last if pictures is None else pictures[-1:]

    def _pictures(
        self, frames: Tensor, names: list[int], made: Work | StillTiles, steady: Steady | None
    ) -> Tensor | None:
        """A batch of frames, finished: ``[n, H', W', C]``; None for none."""
        if not names:
            return None
        width, height = wanted_size(self.options, frames.shape[2], frames.shape[1])
        frames = frames.to(self.network.device)
        pictures = made(frames[..., :3].float().movedim(-1, 1), names).movedim(1, -1)
        if pictures.shape[1:3] != (height, width):
            pictures = resize(pictures, height, width)
        if steady:
            pictures = torch.stack(
                [steady(frame[..., :3], picture) for frame, picture in zip(frames, pictures)]
            )
        if frames.shape[-1] == 4:
            pictures = torch.cat([pictures, resize(frames[..., 3:].float(), height, width)], -1)
        return pictures.to(torch.float32 if pictures.device.type == "cpu" else torch.float16)


def _chunks(last: Tensor | None, pictures: Tensor | None, shown: list[int]) -> Iterator[Tensor]:
    """The pictures in the order shown, 0 being ``last``; a repeated one is a view, not a copy."""
    if shown == list(range(1, len(shown) + 1)):
        yield pictures
        return
    for index in shown:
        yield pictures[index - 1 : index] if index else last
