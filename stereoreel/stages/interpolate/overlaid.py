"""Keep text that stands or scrolls over the picture whole in the frames of any interpolator.

A model gives a neighbourhood one motion, so it drags subtitles along with the picture behind them and prints
credits twice. Here what stands still or scrolls is found in each pair of frames, and laid over what it makes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...image.burned_text.lumas import Lumas
from ...image.host_copy import upload
from .pairs import Moment, OutputFrame
from .projection import forward_motion
from .scrolling import shifted
from .stage import Interpolated, Interpolator
from .still import SIDE, Layer, layers

TAPS = 8  # of Lanczos' filter, by which text is resampled between pixels


class Overlaid:
    """Any interpolator, with text that stands or scrolls over the picture laid over its frames."""

    def __init__(self, interpolator: Interpolator):
        self.interpolator = interpolator

    @property
    def nets(self) -> list[nn.Module]:
        return self.interpolator.nets

    def batch_size(self, info: ClipInfo) -> int:
        return self.interpolator.batch_size(info)

    def memory(self, info: ClipInfo) -> int:
        """Return the bytes that the model needs for a batch."""
        needed = getattr(self.interpolator, "memory", None)
        return needed(info) if needed else 0

    def forget(self) -> None:
        """Drop graphs recorded for models that have been moved."""
        if hasattr(self.interpolator, "forget"):
            self.interpolator.forget()

    def interpolate(self, wanted: list[OutputFrame]) -> list[Interpolated]:
        moments = {id(one): one for pair in wanted for one in (pair.left, pair.right)}
        arriving = {key: _lumas(one) for key, one in moments.items()}
        made = self.interpolator.interpolate(wanted)  # a GPU works on it during the search
        texts = [_text(*((one, arriving[id(one)]) for one in (pair.left, pair.right))) for pair in wanted]
        return [
            _with_text(one, result, text) if any(text) else result
            for one, result, text in zip(wanted, made, texts)
        ]


def _lumas(moment: Moment) -> Lumas | list[np.ndarray]:
    """Return the luma of each view, or begin to fetch it."""
    clip = moment.chunks["clip"]
    return moment.kept.get("small lumas") or Lumas(clip.reshape(-1, *clip.shape[-3:]))


def _text(first: tuple[Moment, Lumas | list], second: tuple[Moment, Lumas | list]) -> list[list[Layer]]:
    """Return the text over two frames, by view, found once for all times between them."""
    for moment, lumas in (first, second):
        if "small lumas" not in moment.kept:
            moment.kept["small lumas"] = [_small(luma) for luma in lumas]
    left, right = first[0], second[0]
    known = left.kept.get("text")
    # by number: a reference to the next frame would keep the complete shot alive
    if known is None or known[0] != right.number:
        pairs = zip(left.kept["small lumas"], right.kept["small lumas"])
        text = [layers(*pair, forward_motion(*pair, "fast")) for pair in pairs]
        left.kept["text"] = known = (right.number, text)
    return known[1]


def _small(luma: np.ndarray) -> np.ndarray:
    """Return a luma at the size at which layers are found."""
    import cv2

    scale = min(1.0, SIDE / max(luma.shape))
    size = tuple(max(1, round(side * scale)) for side in luma.shape[::-1])
    return cv2.resize(luma, size, interpolation=cv2.INTER_AREA)


def _with_text(one: OutputFrame, made: Interpolated, text: list[list[Layer]]) -> Interpolated:
    """Return a frame with the text of both frames over it, and confidence in it."""
    chunks, time = {}, float(one.t)
    shown = made.trust.clone()
    for layered, trust in zip(text, shown.reshape(-1, *shown.shape[-3:])):
        for layer in layered:
            trust += placed(layer, time, trust[..., 0])[..., None].to(trust) * (1 - trust)
    for port, chunk in made.chunks.items():
        sides = [side.chunks[port].to(chunk.device) for side in (one.left, one.right)]
        result = chunk.clone()
        views = (part.reshape(-1, *part.shape[-3:]) for part in (result, *sides))
        for picture, first, second, layered in zip(*views, text):
            for layer in layered:
                lay(picture, first, second, layer, time, smooth=port == "clip")
        chunks[port] = result
    return Interpolated(chunks, shown)


def lay(picture: Tensor, first: Tensor, second: Tensor, layer: Layer, time: float, smooth: bool) -> None:
    """Lay a layer of two frames over a picture ``[H, W, C]`` at a time between them."""
    height, width = picture.shape[:2]
    part = placed(layer, time, picture)
    rows = np.flatnonzero(layer.part.any(1))
    scale = height / len(layer.part)
    x, y = layer.speed[0] * width / layer.part.shape[1], layer.speed[1] * scale
    top = max(0, math.floor(rows[0] * scale + time * min(y, 0)) - 2)
    bottom = min(height, math.ceil((rows[-1] + 1) * scale + time * max(y, 0)) + 2)
    one = _moved(first, (time * x, time * y), (top, bottom), smooth)
    other = _moved(second, ((time - 1) * x, (time - 1) * y), (top, bottom), smooth)
    band = picture[top:bottom]
    laid = torch.lerp(one, other, time).clamp_(0, 1).to(band)
    band += part[top:bottom, :, None].to(band) * (laid - band)


def placed(layer: Layer, time: float, like: Tensor) -> Tensor:
    """Return a layer's part of each pixel ``[H, W]`` of an image of a size, at a time between both frames."""
    part = layer.part
    if time and any(layer.speed):
        import cv2

        part = shifted(part, [time * speed for speed in layer.speed], cv2.INTER_LINEAR)
    there = upload(torch.from_numpy(part)[None, None], like.device)
    size = like.shape[:2]
    return (there if there.shape[-2:] == size else F.interpolate(there, size, mode="bilinear"))[0, 0]


def _moved(image: Tensor, by: tuple[float, float], rows: tuple[int, int], smooth: bool) -> Tensor:
    """Return some rows of an image ``[H, W, C]``, float32, moved by (x, y) pixels along one axis."""
    axis, distance = (0, by[1]) if by[1] else (1, by[0])
    start, end = rows
    if not distance:
        return image[start:end].float()
    whole = math.floor(distance)
    weights = _taps(distance - whole, smooth)
    places = torch.arange(image.shape[axis], device=image.device) - whole - len(weights) // 2
    moved = None
    for number, weight in enumerate(weights):
        read = (places + number).clamp_(0, image.shape[axis] - 1)
        if axis == 0:
            part = image.index_select(0, read[start:end])
        else:
            part = image[start:end].index_select(1, read)
        moved = part.float() * weight if moved is None else moved.add_(part, alpha=weight)
    assert moved is not None, "a filter has taps"
    return moved


def _taps(part: float, smooth: bool) -> list[float]:
    """Return the weights by which pixels make one that lies ``part`` of a pixel before them."""
    count = TAPS if smooth else 2
    reach = count // 2
    away = np.arange(count) - reach + part
    weights = np.sinc(away) * np.sinc(away / reach) if smooth else np.maximum(0, 1 - np.abs(away))
    return list((weights / weights.sum()).tolist())
