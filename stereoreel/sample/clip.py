"""Render the sample clip: four seconds in two shots with audio, and the exact depth of every pixel.

The package ships the finished file (``stereoreel.sample.FILE``). Render it again after a change of the scenes
or of the audio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import torch
from torch import Tensor

from ..core import cancel
from ..core.files import save
from ..image.compute import parallel_map
from ..media import colour
from . import tracer
from .materials import Material
from .rays import Camera
from .shapes import Ball, Block, Pillar, Shape
from .tracer import Scene, Sky

WIDTH, HEIGHT, FPS, FRAMES, CUT = 640, 272, 25, 100, 50
NEAR = 2.4  # world units at which inverse depth is 1
FOCAL = 0.92  # in widths of the frame
RATE = 48000  # of the audio
# seconds, MIDI notes: A minor, F major with a ninth
CHORDS = ((-0.6, 2.5, (45, 52, 57, 60, 64)), (1.5, 4.6, (41, 48, 57, 60, 67)))
NOTES = tuple(
    (0.25 * index, note, 0.34 if index % 4 else 0.44, 0.45 * math.sin(1.7 * index))
    for index, note in enumerate((69, 72, 76, 79, 76, 81, 79, 72, 77, 81, 84, 79, 81, 88, 84))
)

STONE = Material("tiles", (0.20, 0.115, 0.07), (0.56, 0.43, 0.30), 1.0)
PALE = Material("marble", (0.80, 0.74, 0.66), (0.45, 0.36, 0.30), 0.9, 0.05)
GREEN = Material("marble", (0.05, 0.20, 0.14), (0.55, 0.62, 0.48), 0.6, 0.35)
OAK = Material("wood", (0.20, 0.085, 0.030), (0.52, 0.27, 0.11), 0.7, 0.12)
IRON = Material("plain", (0.035, 0.037, 0.045), (0.06, 0.06, 0.07), 1.0, 0.5)
CHROME = Material("plain", (0.90, 0.91, 0.94), (0.90, 0.91, 0.94), 1.0, 0.8, 0.94)
AMBER = Material("plain", (0.95, 0.42, 0.06), (1.0, 0.60, 0.16), 1.0, 0.6)
CRIMSON = Material("plain", (0.50, 0.03, 0.03), (0.62, 0.07, 0.05), 0.8, 0.6)
BEACH = Material("stripes", (0.90, 0.16, 0.06), (0.92, 0.88, 0.80), 1.0, 0.5)
SLATE = Material("tiles", (0.10, 0.17, 0.22), (0.32, 0.44, 0.50), 1.4)
MAST = Material("bands", (0.72, 0.10, 0.09), (0.86, 0.84, 0.80), 0.45, 0.3)
BLUE = Material("marble", (0.04, 0.10, 0.34), (0.55, 0.66, 0.86), 0.7, 0.5)
COPPER = Material("plain", (1.0, 0.52, 0.30), (0.9, 0.42, 0.20), 1.0, 0.9, 0.8)
BRASS = Material("plain", (0.85, 0.36, 0.05), (0.95, 0.46, 0.09), 1.0, 0.9)
CLAY = Material("plain", (0.58, 0.27, 0.16), (0.70, 0.36, 0.22), 0.9)


def write_sample(path: str | Path, tick: Callable[[int, int], None] | None = None) -> Path:
    """Render the clip into an MP4 (H.264 in BT.709, stereo AAC); the name appears when the file is complete.

    ``tick(done, total)`` may raise to cancel.
    """

    def fill(part: Path) -> None:
        options = {"movflags": "+faststart"}
        with (
            cancel.polling(tick),
            closing(_pictures()) as pictures,
            av.open(str(part), "w", format="mp4", options=options) as file,
        ):
            _encode(file, pictures, tick or (lambda done, total: None))

    return save(Path(path), fill, replace=True)


def _encode(
    file: av.container.OutputContainer, pictures: Iterator[Tensor], tick: Callable[[int, int], None]
) -> None:
    video, audio = _video_stream(file), file.add_stream("aac", rate=RATE, layout="stereo", bit_rate=192_000)
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray((picture * 255).round().byte().numpy(), "rgb24")
        frame = frame.reformat(format="yuv420p", **colour.from_rgb(colour.BT709))
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        colour.tag(frame, colour.BT709)
        file.mux(video.encode(frame))
        tick(index + 1, FRAMES)
    file.mux(video.encode())
    sound = av.AudioFrame.from_ndarray(melody().numpy(), "fltp", "stereo")
    sound.sample_rate, sound.pts, sound.time_base = RATE, 0, Fraction(1, RATE)
    file.mux(audio.encode(sound))
    file.mux(audio.encode())


def _video_stream(file: av.container.OutputContainer) -> av.VideoStream:
    stream = file.add_stream("libx264", rate=FPS, options={"crf": "16", "preset": "medium"})
    stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, FPS)
    colour.tag(stream.codec_context, colour.BT709)
    return stream


def _pictures() -> Generator[Tensor, None, None]:
    """Yield every frame's image, in order; several are computed at a time, each on one core."""
    together = 2 * min(8, torch.get_num_threads())
    for start in range(0, FRAMES, together):
        yield from parallel_map(lambda frame: render(frame)[0], range(start, min(FRAMES, start + together)))


def melody() -> Tensor:
    """Return the audio ``[2, samples]`` at ``RATE``, -1..1.

    It has plucked notes over two soft chords that change with the image.
    """
    seconds = torch.arange(RATE * FRAMES // FPS, dtype=torch.float64) / RATE
    sound = torch.zeros(2, len(seconds), dtype=torch.float64)
    for start, note, strength, side in NOTES:
        t = (seconds - start).clamp(min=0)
        tone = sum(
            torch.sin(math.tau * _hertz(note) * n * t) * torch.exp(-t * (1.6 + 1.3 * n)) / n**1.7
            for n in (1, 2, 3, 5)
        )
        tone *= strength * (1 - torch.exp(-t * 160))  # a soft attack: no click
        sound += tone * torch.tensor([[1 - side], [1 + side]])
    for start, stop, chord in CHORDS:
        swell = torch.sin(math.pi * ((seconds - start) / (stop - start)).clamp(0, 1)) ** 2
        for index, note in enumerate(chord):
            side = 0.5 - index / (len(chord) - 1)
            wave = torch.sin(math.tau * _hertz(note) * seconds + index) + 0.4 * torch.sin(
                math.tau * _hertz(note) * 1.004 * seconds
            )
            sound += 0.10 * swell * wave * torch.tensor([[1 - side], [1 + side]])
    sound += 0.22 * _delayed(sound, 0.27).flip(0) + 0.12 * _delayed(sound, 0.43)  # a little reverb
    ending = ((seconds[-1] - seconds) / 0.5).clamp(0, 1)
    return (torch.tanh(0.8 * sound) * 0.8 * ending * ending * (3 - 2 * ending)).float()


def _delayed(sound: Tensor, seconds: float) -> Tensor:
    samples = round(seconds * RATE)
    return torch.nn.functional.pad(sound, (samples, 0))[:, : sound.shape[1]]


def _hertz(note: int) -> float:
    """Return the frequency of a MIDI note."""
    return 440 * 2 ** ((note - 69) / 12)


def render(frame: int, width: int = WIDTH, height: int = HEIGHT, eye: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the image ``[H, W, 3]`` and inverse depth ``[H, W, 1]`` of a frame, both 0..1.

    Depth is ``NEAR / z`` at pixel centres, 0 in the sky. ``eye`` moves the camera sideways so that points of
    depth d shift by ``eye * d`` pixels: the true other view.
    """
    image, z = tracer.trace(*view(frame, eye / width), width, height)
    return image, _inverse(z)


def depths(width: int = WIDTH, height: int = HEIGHT) -> Iterator[Tensor]:
    """Yield the true inverse depth ``[H, W, 1]`` of every frame."""
    for frame in range(FRAMES):
        yield _inverse(tracer.depth(*view(frame), width, height))


def _inverse(z: Tensor) -> Tensor:
    return (NEAR / z).clamp(max=1)[..., None]


def view(frame: int, eye: float = 0.0) -> tuple[Scene, Camera]:
    """Return the scene and the camera of a frame; ``eye`` in widths of the frame at depth 1."""
    scene, camera = _colonnade(frame) if frame < CUT else _avenue(frame - CUT)
    right = camera.axes[0]
    side = -eye * NEAR / FOCAL
    x, y, z = (o + side * r for o, r in zip(camera.origin, right))
    return scene, Camera((x, y, z), camera.focal, camera.pitch, camera.yaw)


def _colonnade(frame: int) -> tuple[Scene, Camera]:
    """Evening among columns: the camera trucks to the right."""
    shapes: list[Shape] = [
        Pillar((-0.35, 0.0, 2.7), 0.035, 2.6, IRON),
        Ball((-0.35, 1.62, 2.7), 0.10, AMBER),
        Pillar((2.15, 0.0, 3.3), 0.03, 2.6, IRON),
    ]
    shapes += [
        Ball((-1.75, 0.55, 4.9), 0.55, OAK),
        Ball((0.95, 0.72, 5.6), 0.72, CHROME),
        Ball((-0.35, 0.26, 5.3), 0.26, CRIMSON),
        Block((2.75, 0.5, 5.7), (0.5, 0.5, 0.5), GREEN, 0.5),
        Ball((2.7, 1.22, 5.7), 0.22, AMBER),
    ]
    shapes += [
        Block((-0.6, 0.11, 12.5), (9.5, 0.11, 0.62), PALE),
        Block((-0.6, 2.96, 12.5), (9.5, 0.24, 0.42), PALE),
    ]
    for x in (-6.6, -3.6, -0.6, 2.4, 5.4, 8.4):
        shapes += [Pillar((x, 0.22, 12.5), 0.33, 2.3, PALE), Block((x, 2.62, 12.5), (0.46, 0.1, 0.46), PALE)]
    shapes += [
        Pillar((x, 0.0, 20.0), 0.4, height, PALE)
        for x, height in ((-7.8, 2.6), (-4.5, 1.7), (-1.7, 3.0), (1.1, 1.9), (6.6, 2.4))
    ]
    sky = Sky(
        (1.25, 0.70, 0.36),
        (0.10, 0.26, 0.62),
        (0.9, 0.48, 0.20),
        (1.25, 0.72, 0.52),
        (0.20, 0.17, 0.34),
        0.52,
    )
    scene = Scene(
        shapes,
        STONE,
        sky,
        _unit(-0.80, 0.50, -0.32),
        (3.0, 2.05, 1.22),
        (0.36, 0.45, 0.68),
        (0.20, 0.14, 0.10),
        0.018,
        0.52,
    )
    return scene, Camera((-0.8 + 1.6 * frame / (CUT - 1), 1.45, 0.0), FOCAL, -0.045)


def _avenue(frame: int) -> tuple[Scene, Camera]:
    """A cool morning between masts: the camera moves forward while balls bounce and circle."""
    seconds = frame / FPS
    shapes: list[Shape] = []
    for row in range(6):
        for x in (-1.65, 1.65):
            shapes += [
                Pillar((x, 0.0, 3.6 + 3.2 * row), 0.05, 2.3, MAST),
                Ball((x, 2.42, 3.6 + 3.2 * row), 0.15, BRASS),
            ]
    shapes += [
        Block((0.3, 1.1, 11.0), (0.45, 1.1, 0.45), BLUE, 0.6),
        Block((0.3, 0.12, 11.0), (0.9, 0.12, 0.9), CLAY, 0.6),
    ]
    angle = 2.4 * seconds - 0.8
    shapes.append(Ball((0.3 + 1.35 * math.cos(angle), 1.25, 11.0 - 1.35 * math.sin(angle)), 0.28, CRIMSON))
    bounce = (seconds * 1.15 + 0.30) % 1
    shapes.append(
        Ball(
            (-1.15 + 0.55 * seconds, 0.36 + 4.6 * bounce * (1 - bounce), 6.6),
            0.36,
            BEACH,
            0.7,
            -1.6 * seconds,
        )
    )
    shapes += [Block((-3.4, 0.45, 8.2), (0.6, 0.45, 0.6), CLAY, 0.3), Ball((-3.4, 1.25, 8.2), 0.35, BLUE)]
    shapes.append(Ball((0.95, 0.5, 7.7), 0.5, COPPER))
    sky = Sky(
        (0.55, 0.66, 0.78), (0.05, 0.19, 0.52), (1.0, 0.80, 0.55), (1.1, 1.02, 0.98), (0.10, 0.20, 0.33), 0.5
    )
    scene = Scene(
        shapes,
        SLATE,
        sky,
        _unit(0.62, 0.55, -0.35),
        (2.9, 2.5, 1.95),
        (0.36, 0.48, 0.68),
        (0.12, 0.15, 0.17),
        0.017,
        0.60,
    )
    return scene, Camera((0.15, 1.35, 2.6 * frame / (CUT - 1)), FOCAL, -0.03)


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    length = math.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length
