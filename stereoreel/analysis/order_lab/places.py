"""Where orders differ most: crops of the same places of the same moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ...image.page import to_image
from .reference import as_bytes
from .tally import Seen

PLACES = 3  # on a sheet
EACH = 3  # looked for at a moment
SHARE, SMALLEST, LARGEST = 0.2, 96, 384  # a crop's width: share of the picture's, and limits in pixels
SHAPE = 0.75  # of its height to its width
BY_PICTURE = 4.0  # weight of a difference of the images relative to one of depth
FRAME = (255, 176, 0)


@dataclass
class Place:
    """A rectangle of one moment in every order.

    ``crops`` and ``depths`` are by order, uint8; ``box`` is left, top, right, bottom.
    """

    score: float
    box: tuple[int, int, int, int]
    frame: int  # of the clip's source
    between: bool  # whether the moment lies between that frame and the next
    source: Tensor
    whole: Image.Image
    crops: dict[str, Tensor]
    depths: dict[str, Tensor]


@dataclass
class Kept:
    """Images of all orders at one moment, kept until the excerpt is done.

    These are the left view ``[H, W, 3]`` and depth ``[H, W]`` as uint8.
    """

    frame: int
    between: bool
    source: Tensor
    seen: dict[str, tuple[Tensor, Tensor]]

    def add(self, order: str, seen: Seen) -> None:
        self.seen[order] = as_bytes(seen.left), as_bytes(seen.depth)


def crop_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width of a crop."""
    across = min(width, LARGEST, max(SMALLEST, round(SHARE * width)))
    return min(height, round(SHAPE * across)), across


def places(kept: Kept) -> list[Place]:
    """Return the rectangles of a moment where the orders differ most, without overlap, most first."""
    rows, columns = crop_size(*kept.source.shape[:2])
    pictures = torch.stack([left.float().mean(-1) for left, _ in kept.seen.values()]) / 255
    depths = torch.stack([depth.float() for _, depth in kept.seen.values()]) / 255
    apart = BY_PICTURE * _apart(pictures) + _apart(depths - _around(depths, rows, columns))
    tops, lefts = (_steps(size, part) for size, part in zip(apart.shape, (rows, columns)))
    scores = _means(apart, tops, lefts, rows, columns)
    found = []
    for _ in range(EACH):
        score, index = scores.flatten().max(0)
        if score == -torch.inf:
            break
        top, left = tops[int(index) // len(lefts)], lefts[int(index) % len(lefts)]
        found.append(_place(kept, float(score), top, left, rows, columns))
        scores[((tops - top).abs() < rows)[:, None] & ((lefts - left).abs() < columns)] = -torch.inf
    return found


class Gallery:
    """The places for a sheet: the best of every shot first, then the next best.

    Places of one shot do not overlap. At most two sheets' worth are kept.
    """

    def __init__(self):
        self._best: list[Place] = []
        self._others: list[Place] = []

    def add(self, found: Iterable[Place]) -> None:
        """Add the places found in one shot."""
        apart: list[Place] = []
        for place in sorted(found, key=_most):
            if not any(_overlap(place.box, other.box) for other in apart):
                apart.append(place)
        self._best = sorted(self._best + apart[:1], key=_most)[:PLACES]
        self._others = sorted(self._others + apart[1:], key=_most)[:PLACES]

    @property
    def places(self) -> list[Place]:
        """Return the places in the clip's order."""
        return sorted([*self._best, *self._others][:PLACES], key=lambda place: (place.frame, place.between))


def _steps(size: int, part: int) -> Tensor:
    """Return where parts of an edge may begin: every eighth of a part, and the last one at the end."""
    return torch.tensor(sorted({*range(0, size - part + 1, max(1, part // 8)), size - part}))


def _means(values: Tensor, tops: Tensor, lefts: Tensor, rows: int, columns: int) -> Tensor:
    """Return the mean over each rectangle that begins at ``tops`` and ``lefts``, from cumulative sums."""
    sums = F.pad(values.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    ends = [sums[y][:, x] for y in (tops, tops + rows) for x in (lefts, lefts + columns)]
    return (ends[3] - ends[2] - ends[1] + ends[0]) / (rows * columns)


def _most(place: Place) -> float:
    return -place.score


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _apart(maps: Tensor) -> Tensor:
    """Return the mean absolute deviation of ``[n, H, W]`` from their mean."""
    return (maps - maps.mean(0)).abs().mean(0)


def _around(maps: Tensor, rows: int, columns: int) -> Tensor:
    """Return the mean around each pixel of ``[n, H, W]``, over about a crop.

    Orders that place a complete surface nearer do not differ in it.
    """
    height, width = maps.shape[1:]
    coarse = F.adaptive_avg_pool2d(maps[None], (-(-height // rows), -(-width // columns)))
    return F.interpolate(coarse, (height, width), mode="bilinear")[0]


def _place(kept: Kept, score: float, top: Tensor, left: Tensor, rows: int, columns: int) -> Place:
    y, x = int(top), int(left)

    def cut(image: Tensor) -> Tensor:
        return image[y : y + rows, x : x + columns].clone()

    return Place(
        score,
        (x, y, x + columns, y + rows),
        kept.frame,
        kept.between,
        cut(kept.source),
        _whole(kept.source, (x, y, x + columns - 1, y + rows - 1)),
        {order: cut(left) for order, (left, _) in kept.seen.items()},
        {order: cut(depth) for order, (_, depth) in kept.seen.items()},
    )


def _whole(source: Tensor, box: tuple[int, int, int, int], width: int = 400) -> Image.Image:
    """Return the complete frame, small, with a rectangle."""
    picture = to_image(source / 255)
    scale = width / picture.width
    small = picture.resize((width, max(1, round(picture.height * scale))), Image.Resampling.LANCZOS)
    ImageDraw.Draw(small).rectangle([edge * scale for edge in box], outline=FRAME, width=2)
    return small
