"""Degraded sources: exact frames blurred, noisy, compressed, or like those of a block-wise generator.

Frames are ``[T, H, W, 3]`` in 0..1 and are returned in steps of 8 bits, as in a file. Equal seeds give
equal bits.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from fractions import Fraction

import av
import torch
import torch.nn.functional as F
from torch import Tensor

from stereoreel.media import colour

BLOCK = 2  # frames per block of the simulated generator; real ones have 3 to 16, of longer shots
STRENGTH = 8 / 255  # of the synthetic texture, where the frame has average texture
BOIL = 0.2  # fraction of its amplitude that is new in every frame instead of every block
DRIFT = 0.01  # most by which a block may be lighter or darker


def eight_bit(frames: Tensor) -> Tensor:
    return (frames.clamp(0, 1) * 255).round() / 255


def blurred(frames: Tensor, sigma: float) -> Tensor:
    """Return the frames blurred by a Gaussian of ``sigma`` pixels."""
    return eight_bit(_gaussian(frames, sigma))


def noisy(frames: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """Return the frames with white noise of ``sigma`` levels of 255, new in every frame and channel."""
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(seed))
    return eight_bit(frames + noise * (sigma / 255))


def compressed(frames: Tensor, crf: int) -> Tensor:
    """Return the frames after H.264 at a constant rate factor (libx264, medium, 4:2:0, BT.709).

    Width and height must be even.
    """
    return decoded(encoded(frames, crf))


def encoded(frames: Tensor, crf: int) -> bytes:
    """Return a Matroska file of the frames at 25 fps."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as file:
        stream = file.add_stream(
            "libx264", rate=25, options={"crf": str(crf), "preset": "medium", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        colour.tag(stream.codec_context, colour.BT709)
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray((image * 255).round().byte().numpy(), "rgb24")
            frame = frame.reformat(format="yuv420p", **colour.from_rgb(colour.BT709))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            colour.tag(frame, colour.BT709)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return memory.getvalue()


def decoded(file: bytes) -> Tensor:
    with av.open(io.BytesIO(file)) as container:
        images = [
            frame.reformat(format="rgb24", **colour.to_rgb(colour.BT709, False)).to_ndarray()
            for frame in container.decode(video=0)
        ]
    return torch.stack([torch.from_numpy(image) for image in images]).float() / 255


def generated(frames: Tensor, seed: int = 0, block: int = BLOCK) -> Tensor:
    """Return frames like a generator's: fine texture is synthesised again in every block of frames.

    It appears where the frame has texture, and hardly changes within a block. This imitates the flicker of
    texture and lightness at the seams of generated video, and no other fault of a generator.
    """
    random = torch.Generator().manual_seed(seed)
    shape = (1, *frames.shape[1:3], 1)
    where = _texture(frames)
    results = []
    for number, frame in enumerate(frames):
        if number % block == 0:
            texture, light = _fine(shape, random), 1 + DRIFT * (2 * torch.rand((), generator=random) - 1)
        mixed = math.sqrt(1 - BOIL**2) * texture + BOIL * _fine(shape, random)
        results.append(frame * light + STRENGTH * where[number] * mixed[0])
    return eight_bit(torch.stack(results))


def _texture(frames: Tensor) -> Tensor:
    """Return the amount of fine texture around each pixel ``[T, H, W, 1]``: 1 on average, at most 2."""
    luma = frames.mean(-1, keepdim=True)
    detail = _gaussian((luma - _gaussian(luma, 1.5)).square(), 3).clamp(min=0).sqrt()
    return (detail / detail.mean().clamp(min=1e-6)).clamp(max=2)


def _fine(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Return noise with wavelengths of a few pixels and variance 1."""
    white = torch.randn(shape, generator=random)
    band = _gaussian(white, 0.6) - _gaussian(white, 1.5)
    return band / band.std()


def _gaussian(frames: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * sigma * sigma))
    weights /= weights.sum()
    planes = frames.movedim(-1, 1).reshape(-1, 1, *frames.shape[1:3])
    for axis, shape in ((2, (1, 1, -1, 1)), (3, (1, 1, 1, -1))):
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        planes = F.conv2d(F.pad(planes, pad, mode="replicate"), weights.view(shape))
    return planes.view(frames.shape[0], frames.shape[3], *frames.shape[1:3]).movedim(1, -1)


SOURCES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "clean": lambda frames, seed: eight_bit(frames),
    "blurred": lambda frames, seed: blurred(frames, 1.5),
    "noise 10": lambda frames, seed: noisy(frames, 10, seed),
    "noise 25": lambda frames, seed: noisy(frames, 25, seed),
    "crf 28": lambda frames, seed: compressed(frames, 28),
    "crf 35": lambda frames, seed: compressed(frames, 35),
    "crf 45": lambda frames, seed: compressed(frames, 45),
    "AI-like": lambda frames, seed: generated(frames, seed),
}
