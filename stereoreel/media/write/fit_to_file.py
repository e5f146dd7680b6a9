"""Change a clip into what its file can hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.clip import Clip, ClipInfo, Shot, apply, makers_of
from ...core.transforms import Weightless, squared
from ...image.resize import resize
from ..read.decode import FileSource
from .fit_to_device import fit_to_device
from .options import EncodeOptions, preset
from .presets import Preset

SHAPED = ("mp4", "mov", "matroska", "webm")  # containers that state the shape of a pixel
LABEL = "Encode"
LEAST = 1 / 1024  # opacity below which a colour is not recovered


@dataclass(frozen=True)
class WithAlpha(Weightless):
    """Frames over black, and their opacity at any size, as red, green, blue and alpha of their own."""

    framewise = True
    joint = False
    label: str = LABEL

    def describe(self, clip: ClipInfo, alpha: ClipInfo) -> ClipInfo:
        return clip.replace(channels=4, alpha=None)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor], alphas: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk, alpha in zip(chunks, alphas):
            if alpha.shape[1:3] != chunk.shape[1:3]:
                alpha = resize(alpha, *chunk.shape[1:3])
            colors = torch.where(alpha > LEAST, chunk[..., :3] / alpha.clamp(min=LEAST), 0).clamp(0, 1)
            yield torch.cat([colors, alpha.to(colors)], -1)


def fit_to_file(clip: Clip, settings: EncodeOptions, entry: Preset | None = None) -> tuple[Clip, list[str]]:
    """Return the clip that can be written, and what it loses, in sentences.

    Pixels become square where the file cannot state their shape, and for half spheres, whose angles need it.
    Transparency that is to be kept is joined to the frames, or lost.
    """
    entry = entry or preset(settings)
    clip, losses = fit_to_device(clip, settings, entry)
    sphere = settings.layout == "vr180" and clip.info.views == 2
    if clip.info.pixel_aspect != 1 and (entry.container not in SHAPED or sphere):
        clip = squared(clip, LABEL)
        what = "The layout vr180 needs" if sphere else f"{settings.format} files have"
        size = f"{clip.info.width} x {clip.info.height}"
        losses.append(f"{what} square pixels, so the frames are scaled to {size}.")
    if clip.info.alpha and entry.alpha:
        return apply(WithAlpha(), clip, clip.info.alpha)["clip"], losses
    if clip.info.channels == 3 and any(
        isinstance(maker, FileSource) and maker.keeps_alpha for maker in makers_of([clip])
    ):
        why = f"{settings.format} files hold none" if clip.info.alpha else "a stage has changed the frames"
        losses.append(f"Transparency is not kept, because {why}; transparent parts are black.")
    return clip, losses
