"""RealESRGAN and every other single-image model that spandrel supports, optimised for film: see ``load``."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...core.options import agree
from ...image.host_copy import upload
from ...image.resize import Resizer
from ...models.weights import loading
from . import UpscaleOptions, wanted_size
from .network import ImageNetwork, read
from .reuse import Group, StillTiles, groups
from .steady import Begun, Steady
from .work import Budget, Work


def load(entry, options: UpscaleOptions, host: Host) -> ImageUpscaler:
    """Return the stage of a checkpoint; ``denoise`` below 1 mixes in the model's ``wdn`` file, if any."""
    softer = (
        host.weights(entry.kind, entry.parts["wdn"].file)
        if options.denoise < 1 and "wdn" in entry.parts
        else None
    )
    path = host.weights(entry.kind, entry.file)
    descriptor = read(path, softer, 1 - options.denoise)
    with loading(path):  # runs the model on a small image for the first time
        network = ImageNetwork(descriptor, host.device, options.precision, options.compile)
    return ImageUpscaler(network, options)


class Started(NamedTuple):
    """Frames on the model's device, the same for ``Steady``, and the function that waits for the images."""

    frames: Tensor
    sources: Sequence[Tensor | Begun]
    images: Callable[[], Tensor]


class ImageUpscaler:
    """Upscale frames ``[T, H, W, 3 or 4]``: through the model, then by Lanczos to the exact size.

    Alpha is upscaled by Lanczos. Frames are batched by their index in the shot; ``counts`` holds how many
    frames and tiles were computed and reused.
    """

    joint = False

    def __init__(self, network: ImageNetwork, options: UpscaleOptions):
        self.network, self.options, self.nets = network, options, network.nets
        self.budget = Budget(network, options.tile)
        self.counts: Counter[str] = Counter()
        self._resize = Resizer()

    @property
    def remembers(self) -> bool:
        """Whether a frame's result depends on earlier frames."""
        return self.options.steady > 0

    def retuned(self, options: UpscaleOptions) -> ImageUpscaler | None:
        """Return this model with other options, or None if they require loading another."""
        return (
            ImageUpscaler(self.network, options)
            if agree(options, self.options, "model", "denoise", "precision", "compile")
            else None
        )

    def forget(self) -> None:
        """Drop graphs recorded for models that have been moved."""
        self.network.forget()

    def memory(self, frames: ClipInfo) -> int:
        """Return the bytes that one batch of these frames needs in addition to the model."""
        pixels = frames.width * frames.height
        return int(
            self.network.pixel_memory
            * min(pixels * self.budget.batch_size(frames.height, frames.width), self.budget.pixels or pixels)
        )

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        frames = iter(frames)
        if (first := next(frames, None)) is None:
            return
        self.budget.fit()
        threshold = self.options.reuse_threshold / 255
        work = Work(self.network, self.budget, self.options.batch, shot.live)
        run = (
            StillTiles(work, threshold, self.counts)
            if self.options.reuse == "tiles" and self.network.tileable
            else work
        )
        steady = Steady(self.options.steady) if self.options.steady else None
        last = first[:0]  # replaced by the first result: the first frame is never a repeated one
        waiting: deque[tuple[Group, Started | None]] = deque()

        def finished(group: Group, begun: Started | None) -> Iterator[Tensor]:
            nonlocal last
            images = self._images(begun, steady, shot.frame) if begun else last[:0]
            yield from _chunks(last, images, group.shown)
            last = images[-1:] if begun else last

        together = self.budget.batch_size(first.shape[1], first.shape[2], self.options.batch)
        reusing = None if self.options.reuse == "off" else threshold
        for group in groups(chain([first], frames), together, reusing, shot.drained):
            self.counts["frames computed"] += len(group.numbers)
            self.counts["frames reused"] += len(group.shown) - len(group.numbers)
            numbers = [shot.start + number for number in group.numbers]
            begun = self._begun(group.fresh, numbers, run, steady) if numbers else None
            waiting.append((group, begun))
            # one group later, when the device has more to do, unless somebody waits for the frames
            while len(waiting) > (0 if shot.live or self.network.device.type != "cuda" else 1):
                yield from finished(*waiting.popleft())
        for one in waiting:
            yield from finished(*one)

    def _begun(
        self, frames: Tensor, names: list[int], run: Work | StillTiles, steady: Steady | None
    ) -> Started:
        """Start the model on some frames."""
        frames = upload(frames, self.network.device)
        colors = frames[..., :3]
        sources = steady.begin(colors) if steady and frames.is_cuda else list(colors)
        images = frames[..., :3].float().movedim(-1, 1)
        if isinstance(run, StillTiles):
            whole = run(images, names)
            return Started(frames, sources, lambda: whole)
        begun = run.begin(images, names)
        return Started(frames, sources, lambda: run.finish(begun))

    def _images(self, begun: Started, steady: Steady | None, frame: tuple[int, int] | None) -> Tensor:
        """Return a batch of finished frames ``[n, H', W', C]``; ``frame`` is the full frame around theirs."""
        frames = begun.frames
        width, height = wanted_size(self.options, frames.shape[2], frames.shape[1], frame)
        images = begun.images().movedim(1, -1)
        if images.shape[1:3] != (height, width):
            images = self._resize(images, height, width)
        if steady:
            images = torch.stack([steady(source, image) for source, image in zip(begun.sources, images)])
        if frames.shape[-1] == 4:
            images = torch.cat([images, self._resize(frames[..., 3:].float(), height, width)], -1)
        return images.to(torch.float32 if images.device.type == "cpu" else torch.float16)


def _chunks(last: Tensor, images: Tensor, shown: list[int]) -> Iterator[Tensor]:
    """Yield the images in the order shown; 0 is ``last``. A repeated one is a view, not a copy."""
    if shown == list(range(1, len(shown) + 1)):
        yield images
        return
    for index in shown:
        yield images[index - 1 : index] if index else last
