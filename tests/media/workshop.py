"""Make small video files with ffmpeg, and read their frames back.

Every frame carries its number as a bar code; a flash and a beep begin each second. The ``ffmpeg`` binary is
that of the package imageio-ffmpeg.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import imageio_ffmpeg
import numpy as np

WIDTH, HEIGHT, RATE, SECONDS = 128, 96, 25, 3
SAMPLES = 48000  # a second
BITS = 8  # of the bar code, each 16 pixels wide
BAR, FLASH = slice(0, 32), slice(72, 96)  # rows
BEEP = 0.08  # seconds


def run(*arguments, feed: bytes | None = None) -> None:
    """Run ffmpeg, which overwrites its output; raise with what it printed if it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=feed, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")


def drawn(count: int, rate: int = RATE) -> np.ndarray:
    """Return grey frames ``[N, HEIGHT, WIDTH]``: the bar code, a texture that moves, and the flash."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frames = np.empty((count, HEIGHT, WIDTH), np.uint8)
    for number in range(count):
        frames[number] = 110 + 40 * np.sin((x + 2 * number) / 9) + 30 * np.cos(y / 7)
        bits = [(number >> bit) & 1 for bit in range(BITS)]
        frames[number, BAR] = np.repeat(np.where(bits, 235, 16), WIDTH // BITS)
        frames[number, FLASH] = 235 if number % rate < 2 else 16
    return frames


def number_of(grey: np.ndarray) -> int:
    """Return the number in the bar code of a frame ``[H, W]`` of any size, 0..255."""
    height, width = grey.shape
    row = grey[round(height * 0.08) : round(height * 0.26)].mean(0)
    middles = [
        row[round(width * (bit + 0.3) / BITS) : round(width * (bit + 0.7) / BITS)] for bit in range(BITS)
    ]
    return sum(1 << bit for bit, part in enumerate(middles) if part.mean() > 125)


def beeps(seconds: float) -> np.ndarray:
    """Return mono samples, float32: 1 kHz at the start of each second."""
    time = np.arange(round(seconds * SAMPLES)) / SAMPLES
    return np.where(time % 1 < BEEP, 0.5 * np.sin(2 * np.pi * 1000 * time), 0).astype(np.float32)


def onsets(waveform: np.ndarray, rate: int) -> list[float]:
    """Return when each beep of mono samples begins, in seconds."""
    loud = np.abs(waveform) > 0.1
    places = np.flatnonzero(loud)
    starts = [place for at, place in enumerate(places) if not at or place - places[at - 1] > rate // 4]
    return [start / rate for start in starts]


class Workshop:
    """The folder in which files are made; what several of them need is made once."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def original(self) -> Path:
        """The frames and beeps, losslessly: 25 frames a second, three seconds."""
        return self.source(RATE, SECONDS)

    def source(self, rate: int, seconds: float) -> Path:
        path = self.folder / f"original-{rate}-{seconds}.mkv"
        if not path.exists():
            sound = path.with_suffix(".f32")
            sound.write_bytes(beeps(seconds).tobytes())
            run(
                *("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", rate, "-i", "pipe:"),
                *("-f", "f32le", "-ar", SAMPLES, "-ac", 1, "-i", sound),
                *("-c:v", "ffv1", "-pix_fmt", "yuv420p", "-c:a", "pcm_f32le", path),
                feed=drawn(round(rate * seconds), rate).tobytes(),
            )
        return path

    def made(self, name: str, *options, source: Path | None = None, before=()) -> Path:
        """Return ``name``, encoded from the original with these options of ffmpeg."""
        path = self.folder / name
        run(*before, "-i", source or self.original, *options, path)
        return path

    def copied(self, name: str, source: Path, *options, before=()) -> Path:
        """Return ``name``, the packets of ``source`` with these options of ffmpeg."""
        return self.made(name, *options, "-c", "copy", source=source, before=before)


@dataclass(frozen=True)
class Reference:
    """What ffmpeg reads: the number and the time of each frame, in its order."""

    numbers: list[int]
    times: list[float]


def reference(path: Path, *options) -> Reference:
    """Decode a file with ffmpeg, every frame once."""
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", *options, "-i", str(path)),
        *("-map", "0:V:0", "-vf", f"scale={WIDTH}:{HEIGHT}:flags=area,format=gray,showinfo"),
        *("-fps_mode", "passthrough", "-f", "rawvideo", "pipe:"),
    ]
    done = subprocess.run(command, capture_output=True)
    words = done.stderr.decode(errors="replace")
    times = [float(time) for time in re.findall(r"showinfo.* n: *\d+ pts: *\S+ *pts_time:(\S+)", words)]
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH)
    if len(frames) != len(times):
        raise RuntimeError(f"{path.name}: {len(frames)} frames, {len(times)} times\n{words}")
    return Reference([number_of(frame) for frame in frames], times)


def decoded_by_ffmpeg(path: Path) -> str:
    """Return what FFmpeg's own program prints of a file that it decodes without an error."""
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-xerror", "-i", path, "-f", "null", "-"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr
