"""A tensor of frames as a clip, and storage for a batch that may be larger than memory."""

from __future__ import annotations

import atexit
import functools
import math
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..image.bar_sides import profile, reaches_edges
from ..image.bars import EARLY, BarFinder
from ..image.cut_detection import thumbnail
from ..image.dissolve_detection import find_shots
from ..image.host_copy import upload
from .bars import Bars, of_shots
from .clip import ClipInfo, Samples, Soundtrack
from .host import Host

SHARE = 0.4  # of free memory; a larger batch is stored in a file
SPARE = 1 << 30  # bytes of disk to leave free
BAR_FRAMES = 8  # of a shot that are searched for bars
BLOCK = 16 << 20  # bytes of zeros written at a time
SCRATCH_VARIABLE = "STEREOREEL_SCRATCH"


class TensorSource:
    """A batch ``[N, H, W, 1, 3 or 4]`` of float16 or float32 as a clip; it is read, never changed.

    ``info`` detects the cuts when first read. ``bit_depth`` is that of the video that the frames come from.
    Raise ValueError for another shape or type, for an empty batch, and (when pulled) for NaN or infinity.
    """

    def __init__(
        self,
        images: Tensor,
        fps: Fraction | int | float,
        cuts: bool = True,
        label: str = "Frames",
        audio: Soundtrack | Samples | None = None,
        sensitivity: float = 0.5,
        bit_depth: int = 8,
    ):
        if images.ndim != 4 or images.shape[-1] not in (1, 3, 4) or not images.is_floating_point():
            raise ValueError(
                f"{label}: give an IMAGE batch [frames, height, width, 1, 3 or 4 channels] of floats, "
                f"not {images.dtype} {list(images.shape)}."
            )
        if 0 in images.shape:
            raise ValueError(
                f"{label}: the IMAGE batch {list(images.shape)} is empty. Connect at least one frame."
            )
        self._images, self.label, self._cuts, self._sensitivity = images, label, cuts, sensitivity
        self._fps, self._audio, self.bit_depth = Fraction(fps), audio, bit_depth

    @property
    def tensors(self) -> list[Tensor]:
        """What it holds in memory: the batch, and audio samples."""
        return [self._images, *([self._audio.waveform] if isinstance(self._audio, Samples) else [])]

    @functools.cached_property
    def info(self) -> ClipInfo:
        count, height, width, channels = self._images.shape
        cuts = self._find_cuts() if self._cuts and count > 1 else ()
        bars = self._find_bars(cuts) if self._cuts and channels > 1 else ()
        return ClipInfo(
            width, height, self._fps, count, channels=channels, cuts=cuts, audio=self._audio, bars=bars
        )

    def repeated(self, count: int) -> TensorSource:
        """Return its one frame, ``count`` times."""
        images = self._images.expand(count, -1, -1, -1)
        return TensorSource(images, self._fps, False, self.label, bit_depth=self.bit_depth)

    def part(self, start: int, stop: int) -> TensorSource:
        """Return the frames ``[start, stop)`` as a source."""
        return TensorSource(
            self._images[start:stop],
            self._fps,
            self._cuts,
            self.label,
            sensitivity=self._sensitivity,
            bit_depth=self.bit_depth,
        )

    def chunks(self, host: Host, frames: int) -> Generator[Tensor, None, None]:
        """Yield float32 ``[T, H, W, C]`` in 0..1 on the host's device, at most ``frames`` per chunk."""
        for start in range(0, len(self._images), frames):
            # before it is moved, because the CPU has the answer
            chunk = self._checked(self._images[start : start + frames].float(), start)
            yield upload(chunk, host.device)

    def _checked(self, chunk: Tensor, start: int) -> Tensor:
        low, high = (float(bound) for bound in torch.aminmax(chunk))  # NaN in, NaN out
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = start + int(torch.isfinite(chunk).flatten(1).all(1).logical_not().nonzero()[0])
            raise ValueError(
                f"{self.label}: frame {bad} of the IMAGE batch contains NaN or infinity. Check the node that "
                "produced it."
            )
        return chunk.clamp(0, 1) if low < 0 or high > 1 else chunk

    def _find_cuts(self) -> tuple[int, ...]:
        # NaN and infinity raise when pulled
        small = (thumbnail(image[None].float().nan_to_num(0, 0, 0))[0] for image in self._images)
        return tuple(find_shots(small, self._sensitivity))

    def _find_bars(self, cuts: tuple[int, ...]) -> tuple[Bars, ...]:
        """Return the bars of the shots, from some frames of each.

        Most pictures reach all edges, which a glance at the first frame shows; of others that show it later
        no further frames are searched.
        """
        count, height, width, _ = self._images.shape
        finder, edges = BarFinder((width, height), looks=EARLY), [0, *cuts, count]
        for start, stop in pairwise(edges):
            finder.cut() if start else None
            places = range(start, stop, -(-(stop - start) // BAR_FRAMES))
            for number, place in enumerate(places):
                if finder.none_proven or (not number and reaches_edges(self._edges(start))):
                    finder.add_full(len(places) - number)
                    break
                finder.add(profile(_gray(self._images[place]), 0, 1))
        return of_shots(edges[:-1], finder.margins())

    def _edges(self, place: int) -> list[np.ndarray]:
        """Return the grey levels 0..255 of a frame's outermost two rows and columns, of each edge."""
        frame = self._images[place]
        return [_gray(strip) * 255 for strip in (frame[:2], frame[-2:], frame[:, :2], frame[:, -2:])]


def _gray(frame: Tensor) -> np.ndarray:
    """Return the mean of a frame's colours, ``[H, W]`` float32; 0 where it is not finite."""
    import cv2

    pixels = frame[..., :3].detach().float().cpu().numpy()
    gray = cv2.transform(np.ascontiguousarray(pixels), np.full((1, 3), 1 / 3, np.float32))
    if math.isfinite(gray.sum(dtype=np.float64)):
        return gray
    return np.nan_to_num(gray, copy=False, nan=0, posinf=0, neginf=0)


def new_batch(shape: Sequence[int], dtype: torch.dtype, folder: str | os.PathLike) -> Tensor:
    """Return an empty batch: in memory up to 40 % of what is free, else in a temporary file.

    The file is in ``STEREOREEL_SCRATCH`` or in ``folder``, and its space is freed with the tensor. Raise
    OSError, with the space the disk lacks, before anything is written.
    """
    size = math.prod(shape) * torch.empty((), dtype=dtype).element_size()
    if size <= SHARE * free_memory():
        return torch.empty(*shape, dtype=dtype)
    folder = Path(os.environ.get(SCRATCH_VARIABLE) or folder)
    folder.mkdir(parents=True, exist_ok=True)
    _check_disk(folder, size)
    return _in_file(shape, dtype, size, folder)


def free_memory() -> int:
    """Return the bytes of memory that can be allocated now."""
    try:
        import psutil

        return psutil.virtual_memory().available
    except ImportError:
        names = getattr(os, "sysconf_names", {})
        return (
            os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            if "SC_AVPHYS_PAGES" in names
            else 4 << 30
        )


def _check_disk(folder: Path, size: int) -> None:
    if on_tmpfs(folder):
        raise OSError(
            f"{folder} is in memory (tmpfs), where a batch of {_gib(size)} saves nothing. Name a folder on a "
            f"disk in {SCRATCH_VARIABLE}."
        )
    if (free := shutil.disk_usage(folder).free) < size + SPARE:
        raise OSError(
            f"This batch takes {_gib(size)}, {_gib(free_memory())} of memory and {_gib(free)} of {folder} "
            f"are free. Shorten it, process a VIDEO instead, or name a folder with {_gib(size + SPARE)} in "
            f"{SCRATCH_VARIABLE}."
        )


def _in_file(shape: Sequence[int], dtype: torch.dtype, size: int, folder: Path) -> Tensor:
    handle, name = tempfile.mkstemp(prefix="stereoreel-", suffix=".batch", dir=folder)
    try:
        with os.fdopen(handle, "r+b") as file:
            _allocate(file, size)  # a hole in the file would kill the process when the disk is full
        batch = torch.from_file(name, shared=True, size=math.prod(shape), dtype=dtype).view(*shape)
    except (OSError, RuntimeError):
        os.unlink(name)
        raise
    if os.name == "nt":
        atexit.register(Path(name).unlink, missing_ok=True)
    else:
        os.unlink(name)  # the space is freed when the tensor is
    return batch


def _allocate(file, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(BLOCK)
    for done in range(0, size, BLOCK):
        file.write(zeros[: size - done])


def on_tmpfs(folder: Path) -> bool:
    """Whether a folder's files are in memory; known on Linux only."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return False
    real = os.path.realpath(folder)
    lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    points = [(point.replace("\\040", " "), kind) for _, point, kind, *_ in lines]
    above = [
        (len(point), order, kind)
        for order, (point, kind) in enumerate(points)
        if os.path.commonpath([real, point]) == point
    ]
    return max(above, default=(0, 0, ""))[-1] in ("tmpfs", "ramfs")


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
