"""Align depth with edges on a GPU in two kernels, instead of lists of all pixels with their surroundings."""

from __future__ import annotations

from torch import Tensor

from .fused import device_of, operation

BLOCK = 256


@operation(
    "snap_means(Tensor depth, Tensor near, Tensor far, Tensor edge, Tensor shrunk, Tensor(a!) shown, "
    "int reach, float spread, float whole)"
)
def snap_means(depth, near, far, edge, shrunk, shown, reach, spread, whole):
    """Write colour and depth of both sides of edges, ``shown`` ``[h, w, 8]``."""
    import triton

    from .snap_kernels import means

    height, width = depth.shape
    with device_of(depth):
        means[(triton.cdiv(height * width, BLOCK),)](
            depth, near, far, edge, shrunk, shown, height, width, reach, spread, whole, BLOCK
        )


@operation(
    "snap_settle(Tensor frame, Tensor(a!) large, Tensor edge, Tensor near, Tensor far, Tensor shown, "
    "Tensor rows, Tensor columns, float color, float prior)"
)
def snap_settle(frame, large, edge, near, far, shown, rows, columns, color, prior):
    """Give the pixels of the ramps of ``large`` ``[H, W]`` to one side, in place."""
    import triton

    from .snap_kernels import settle

    height, width, channels = frame.shape
    with device_of(frame):
        settle[(height, triton.cdiv(width, BLOCK))](
            frame, large, edge, near, far, shown, rows, columns, color, prior, width, channels, near.shape[1],
            BLOCK,
        )  # fmt: skip


def choose_sides(
    depth: Tensor,
    frame: Tensor,
    large: Tensor,
    sides: tuple[Tensor, Tensor, Tensor],
    shrunk: Tensor,
    nearest: list[Tensor],
) -> None:
    """Change ``large`` ``[H, W]``, the enlarged depth ``[h, w]``, where ``sides`` say: near, far and edge.

    ``shrunk`` is the frame at the size of the depth, and the depth; ``nearest`` are the rows and columns of
    the depth for each of the frame.
    """
    from .edge_snap import COLOR, PRIOR, REACH, SPREAD, WHOLE

    near, far, edge = (side.contiguous() for side in sides)
    shown = depth.new_empty(*depth.shape, 8)
    snap_means(depth.contiguous(), near, far, edge, shrunk, shown, REACH, SPREAD, WHOLE)
    snap_settle(frame.contiguous(), large, edge, near, far, shown, *nearest, COLOR, PRIOR)
