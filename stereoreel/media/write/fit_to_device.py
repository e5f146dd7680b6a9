"""Scale frames to what a device plays, and frame them in black where its screen has another shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from ...core.clip import Clip, ClipInfo, Shot, apply
from ...core.transforms import Weightless, squared
from ...image.resize import resize
from ..layouts.layout import TWO_FILES
from .devices import Device, device
from .encode import output_size
from .options import EncodeOptions
from .presets import Preset

LABEL = "Encode"
LEAST = 2  # pixels of a side


@dataclass(frozen=True)
class Framed(Weightless):
    """Frames scaled to ``inner``, in the middle of a black frame of ``width`` x ``height``, all even."""

    framewise = True
    joint = False
    width: int
    height: int
    inner: tuple[int, int]
    label: str = LABEL

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip.replace(width=self.width, height=self.height)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        width, height = self.inner
        left, top = ((edge // 2) & ~1 for edge in (self.width - width, self.height - height))
        for chunk in chunks:
            picture = chunk if chunk.shape[1:3] == (height, width) else resize(chunk, height, width)
            if self.inner == (self.width, self.height):
                yield picture
                continue
            whole = torch.zeros(
                (len(picture), self.height, self.width, picture.shape[-1]),
                dtype=picture.dtype,
                device=picture.device,
            )
            whole[:, top : top + height, left : left + width] = picture
            yield whole


def fit_to_device(clip: Clip, settings: EncodeOptions, entry: Preset) -> tuple[Clip, list[str]]:
    """Return the clip with frames that the settings' device plays, and what that changes, in sentences."""
    chosen = device(settings.device)
    if chosen is None:
        return clip, []
    clip = squared(clip, LABEL)
    info = clip.info
    canvas, inner = placed(info, settings, chosen, entry)
    before = info.width, info.height
    if canvas == inner == before:
        return clip, []
    words = []
    if inner != before:
        words.append(f"the frames are scaled from {_sized(before)} to {_sized(inner)}")
    if canvas != inner:
        words.append(f"black bars around the frames make them {_sized(canvas)}")
    fitted = apply(Framed(*canvas, inner), clip)["clip"]
    return fitted, [f"For {chosen.title}, {' and '.join(words)}."]


def placed(
    info: ClipInfo, settings: EncodeOptions, chosen: Device, entry: Preset
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size of a view with its bars, and that of the picture in it; square pixels are assumed."""
    size = info.width, info.height
    if chosen.panel and info.views == 2 and _size(info, chosen.panel, settings) == chosen.panel:
        return chosen.panel, _inside(size, chosen.panel)
    if chosen.shape:
        across, down = (2 * side for side in chosen.shape)
        # steps of the shape, the fewest that hold the frames and the most that the device plays
        most = max(-(-info.width // across), -(-info.height // down))
        steps = next(
            (
                count
                for count in range(most, 0, -1)
                if _plays(info, (count * across, count * down), settings, chosen, entry)
            ),
            1,
        )
        canvas = steps * across, steps * down
        return canvas, _inside(size, canvas, enlarge=False)
    if _plays(info, size, settings, chosen, entry):
        return size, size
    low, high = LEAST // 2, max(LEAST // 2, info.width // 2)  # half widths
    while low < high:
        middle = (low + high + 1) // 2
        if _plays(info, _scaled(size, Fraction(2 * middle, info.width)), settings, chosen, entry):
            low = middle
        else:
            high = middle - 1
    fitting = _scaled(size, Fraction(2 * low, info.width))
    return fitting, fitting


def _plays(
    info: ClipInfo, size: tuple[int, int], settings: EncodeOptions, chosen: Device, entry: Preset
) -> bool:
    """Whether the device plays the file's frames if a view has this size."""
    width, height = _size(info, size, settings)
    limits = chosen.of_codec(entry.codec)
    return chosen.limits.holds(width, height) and limits.holds(width, height, info.fps)


def _size(info: ClipInfo, size: tuple[int, int], settings: EncodeOptions) -> tuple[int, int]:
    """Return the size of the file's frames if a view has this size."""
    if settings.layout == TWO_FILES:
        settings = replace(settings, layout="left")
    return output_size(info.replace(width=size[0], height=size[1]), settings)


def _inside(size: tuple[int, int], canvas: tuple[int, int], enlarge: bool = True) -> tuple[int, int]:
    """Return the largest even size of the same shape inside a canvas; the given one if it need not shrink."""
    scale = min(Fraction(canvas[0], size[0]), Fraction(canvas[1], size[1]))
    if scale >= 1 and not enlarge:
        scale = Fraction(1)
    width, height = _scaled(size, scale)
    return min(width, canvas[0]), min(height, canvas[1])


def _scaled(size: tuple[int, int], scale: Fraction) -> tuple[int, int]:
    width, height = (max(LEAST, 2 * round(side * scale / 2)) for side in size)
    return width, height


def _sized(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
