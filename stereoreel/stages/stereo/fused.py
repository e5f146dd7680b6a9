"""The warp and the fill of holes on a GPU in kernels that read and write every pixel a few times only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...image.fused import Kernels, device_of, operation

WIDEST = 1 << 14  # columns: a row is computed as a whole
BLOCK = 256  # places of a program of the fill
TRIAL = 64  # rows, of the width of the views
APART, MOST = 0.02, 0.02  # a trial is right if no more than this share of pixels differs by more than that


def run(picture: Tensor, kernels: Callable[[], None], operations: Callable[[], None]) -> None:
    """Render views ``[N, W, C]`` with kernels if these work on their device, else with operations."""
    if picture.shape[1] > WIDEST:
        operations()
    else:
        STEREO.run(picture.device, (picture.dtype, *picture.shape[1:]), kernels, operations)


@operation(
    "warp_rows(Tensor image, Tensor parallax, Tensor(a!) picture, Tensor(b!) holes, Tensor(c!)? source, "
    "Tensor(d!) winners, float share, bool left, float join)"
)
def warp_rows(image, parallax, picture, holes, source, winners, share, left, join):
    """Render rows ``[N, W, C]`` of a view; ``winners`` is scratch, ``[N, W + 3]``, int32."""
    import triton

    from .warp_kernel import warp_row

    rows, width, channels = image.shape
    block = triton.next_power_of_2(width)
    with device_of(image):
        warp_row[(rows,)](
            image, parallax, picture, holes, winners if source is None else source, winners, share, width,
            channels, left, source is not None, join, winners.shape[1] - width, block,
            num_warps=max(4, min(32, block // 512)),
        )  # fmt: skip


@operation(
    "fill_first(Tensor picture, Tensor holes, Tensor source, Tensor parallax, Tensor(a!) color, "
    "Tensor(b!) weight, Tensor(c!) near, float surface, float full, float trace, bool left)"
)
def fill_first(picture, holes, source, parallax, color, weight, near, surface, full, trace, left):
    """Write the first level of a view's pyramid."""
    import triton

    from .background_kernels import first_level

    (rows, width, channels), cells = picture.shape, near.shape[-1]
    with device_of(picture):
        first_level[(rows, triton.cdiv(cells, BLOCK))](
            picture, holes, source, parallax, color, weight, near, surface, full, trace, width, cells,
            channels, left, BLOCK,
        )  # fmt: skip


@operation(
    "fill_larger(Tensor color, Tensor weight, Tensor near, Tensor(a!) next_color, Tensor(b!) next_weight, "
    "Tensor(c!) next_near, float surface, float full)"
)
def fill_larger(color, weight, near, next_color, next_weight, next_near, surface, full):
    """Write the next level."""
    import triton

    from .background_kernels import larger

    (height, width, channels), (frames, rows, columns) = color.shape[1:], next_near.shape
    with device_of(color):
        larger[(frames * rows, triton.cdiv(columns, BLOCK))](
            color,
            weight,
            near,
            next_color,
            next_weight,
            next_near,
            surface,
            full,
            height,
            width,
            channels,
            BLOCK,
        )


@operation(
    "fill_smaller(Tensor coarse_color, Tensor coarse_near, Tensor(a!) color, Tensor weight, float surface)"
)
def fill_smaller(coarse_color, coarse_near, color, weight, surface):
    """Complete a level in place by the next one."""
    import triton

    from .background_kernels import smaller

    frames, height, width, channels = color.shape
    with device_of(color):
        smaller[(frames * height, triton.cdiv(width, BLOCK))](
            coarse_color, coarse_near, color, weight, surface, height, width, channels, BLOCK
        )


@operation(
    "fill_finish(Tensor color, Tensor near, Tensor(a!) picture, Tensor holes, Tensor source, "
    "Tensor parallax, float surface, float share, float fade, bool left)"
)
def fill_finish(color, near, picture, holes, source, parallax, surface, share, fade, left):
    """Fill the holes of a view by the first level."""
    import triton

    from .background_kernels import finish

    (rows, width, channels), cells = picture.shape, near.shape[-1]
    with device_of(picture):
        finish[(rows, triton.cdiv(width, BLOCK))](
            color,
            near,
            picture,
            holes,
            source,
            parallax,
            surface,
            share,
            fade,
            width,
            cells,
            channels,
            left,
            BLOCK,
        )


def move(eyes) -> None:
    """Do what ``warp.move`` does."""
    from .warp import JOIN, MARGIN

    rows, width = eyes[0].parallax.shape
    winners = torch.empty(rows, width + MARGIN, dtype=torch.int32, device=eyes[0].image.device)
    for eye in eyes:
        warp_rows(
            eye.image.contiguous(), eye.parallax.contiguous(), eye.picture, eye.holes, eye.source, winners,
            eye.share, eye.left, JOIN,
        )  # fmt: skip


def fill(eye, height: int, surface: float) -> None:
    """Do what ``background.fill_frames`` does."""
    from .background import FADE, FIRST, FULL, SMALLEST, TRACE

    assert eye.source is not None
    (rows, width, channels), parallax = eye.picture.shape, eye.parallax.contiguous()

    def level(tall: int, wide: int) -> tuple[Tensor, Tensor, Tensor]:
        made = parallax.new_empty(rows // height, tall, wide, channels + 2)
        color, weight, near = made.view(-1).split(
            [made[..., 0].numel() * count for count in (channels, 1, 1)]
        )
        shape = made.shape[:-1]
        return color.view(*shape, channels), weight.view(shape), near.view(shape)

    levels = [level(height, -(-width // FIRST))]
    fill_first(eye.picture, eye.holes, eye.source, parallax, *levels[0], surface, FULL, TRACE, eye.left)
    while max(levels[-1][2].shape[1:]) > SMALLEST:
        levels.append(level(*(-(-side // 2) for side in levels[-1][2].shape[1:])))
        fill_larger(*levels[-2], *levels[-1], surface, FULL)
    for (color, weight, _), (coarse, _, near) in zip(levels[-2::-1], levels[:0:-1]):
        fill_smaller(coarse, near, color, weight, surface)
    color, _, near = levels[0]
    fill_finish(
        color, near, eye.picture, eye.holes, eye.source, parallax, surface, eye.share, -FADE * width, eye.left
    )


def _trial(device: torch.device, dtype: torch.dtype, width: int, channels: int) -> bool:
    """Return whether the kernels render a small picture as PyTorch's operations do."""
    from .background import fill_frames
    from .warp import Eye, move_rows

    place = torch.arange(TRIAL * width, device=device, dtype=torch.float32)
    image = (place * 0.7).sin().mul(0.5).add(0.5)[:, None].expand(-1, channels)
    image = image.reshape(TRIAL, width, channels).to(dtype)
    parallax = (place / 900).sin().mul(5).round().view(TRIAL, width) + 0.1
    wrong = torch.zeros((), device=device)
    for left in (False, True):
        views = []
        for kernels in (False, True):
            picture, holes = torch.empty_like(image), torch.empty_like(image[..., 0])
            eye = Eye(
                image,
                parallax,
                0.5,
                left,
                picture,
                holes,
                parallax.new_empty(parallax.shape, dtype=torch.int32),
            )
            if kernels:
                move([eye])
                fill(eye, TRIAL, 1.0)
            else:
                move_rows([eye], wait=False)
                fill_frames(eye, TRIAL, 1.0)
            views.append(torch.cat([picture, holes[..., None]], -1).float())
        alike = (views[0] - views[1]).abs() <= APART  # which no NaN is
        wrong = wrong + (~alike).float().mean() / 2
    return not bool(wrong > MOST)


STEREO = Kernels("Stereo", _trial)
