"""Files that a web browser can play, and small copies of those that it cannot."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image

from ..core.host import Host
from ..core.options import resolve
from ..media.open import OPTIONS as OPEN
from ..media.open import open_file
from ..media.read.container import open_media
from ..media.read.probe import probe
from ..media.write.options import OPTIONS as ENCODE
from ..media.write.render import write
from ..media.write.request import RenderRequest

IMAGES = (".webp", ".gif")
PLAYABLE = {  # codecs and pixel formats that current Chromium, Firefox and Safari decode, by file suffix
    ".mp4": {("h264", "yuv420p"), ("h264", "yuvj420p")},
    ".webm": {("vp8", "yuv420p"), ("vp9", "yuv420p")},
}
WIDEST = 4096  # pixels: the limit of many hardware decoders of H.264
SIDE, SECONDS = 960, 30  # of a copy: pixels of the longer side, and its longest duration


def playable(path: Path) -> bool:
    """Return whether common browsers play the file."""
    if path.suffix.lower() in IMAGES:
        return True
    if path.is_dir():
        return False
    with open_media(path) as file:
        context = file.streams.video[0].codec_context
        known = PLAYABLE.get(path.suffix.lower(), set())
        return (context.codec.canonical_name, context.pix_fmt) in known and context.width <= WIDEST


def browser_copy(path: Path, copy: Path, host: Host) -> Path:
    """Write the first seconds of a video file, with its audio, as a small H.264 MP4 file named ``copy``.

    ``host.tick`` may raise to cancel; then no file is left.
    """
    source = open_file(path, resolve(OPEN, {"duration": SECONDS, "max_side": SIDE, "cuts": False}), "Canvas")
    settings = resolve(ENCODE, {"format": "h264", "speed": "fast", "stereo_tags": False})
    write(RenderRequest(source, copy, settings), host)
    return copy


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of the files of a folder of pictures."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return path.stat().st_size


def summary(path: Path) -> str:
    """Describe a finished file: ``48 frames · 1280x272 · 24 fps · 2.0 s · 0.3 MB · name``."""
    if path.suffix.lower() in IMAGES:
        frames, size, seconds = _image(path)
        rate = frames / seconds if seconds else 0.0
    else:
        facts = probe(path)
        frames, size, seconds = facts.frames, (facts.width, facts.height), float(facts.duration)
        rate = float(facts.fps)
    megabytes = size_of(path) / 1e6
    return " · ".join(
        (
            f"{frames} frame{'s' * (frames != 1)}",
            f"{size[0]}x{size[1]}",
            f"{round(rate, 3):g} fps",
            f"{seconds:.1f} s",
            f"{megabytes:.1f} MB" if megabytes >= 0.1 else f"{math.ceil(megabytes * 1000)} kB",
            path.name,
        )
    )


def _image(path: Path) -> tuple[int, tuple[int, int], float]:
    """Frames, size and seconds of an animated image."""
    with Image.open(path) as image:
        frames, seconds = getattr(image, "n_frames", 1), 0.0
        for index in range(frames):
            image.seek(index)
            image.load()  # WebP states the duration of a frame once it is decoded
            seconds += image.info.get("duration", 0) / 1000
        return frames, image.size, seconds
