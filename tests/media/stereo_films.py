"""Films of two known views in every packing, made and taken apart by the binary of FFmpeg."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np

WIDTH, HEIGHT, FRAMES, RATE = 96, 54, 6, 10  # of one view
EYES = (
    f"testsrc2=s={WIDTH}x{HEIGHT}:r={RATE}:d={FRAMES / RATE},format=gbrp,split[a][b];[a]null[l];"
    "[b]hflip,negate[r]"
)
ALTERNATING = {"al": "[l][r]framepack=frameseq", "ar": "[r][l]framepack=frameseq"}
UNREADABLE = (
    "chl",
    "chr",
    "irr",
)  # the filter stereo3d takes no checkerboard apart, and irr as if it were irl
# lossless, in RGB
FFV1 = ("-c:v", "ffv1", "-pix_fmt", "gbrp")
X264 = ("-c:v", "libx264rgb", "-qp", "0", "-preset", "ultrafast", "-pix_fmt", "rgb24")


@dataclass(frozen=True)
class Kind:
    """A packing: Extract's name for it, that of FFmpeg's filter, Matroska's, and the number in H.264."""

    name: str
    filter: str
    mode: str
    number: int | None = None
    right_first: bool = False


KINDS = [
    Kind("full_sbs", "sbsl", "left_right"),
    Kind("full_sbs", "sbsr", "right_left", right_first=True),
    Kind("full_tb", "abl", "top_bottom"),
    Kind("full_tb", "abr", "bottom_top", right_first=True),
    Kind("interlaced_rows", "irl", "row_interleaved_lr", 2),
    Kind("interlaced_rows", "irr", "row_interleaved_rl", right_first=True),
    Kind("interlaced_columns", "icl", "col_interleaved_lr", 1),
    Kind("interlaced_columns", "icr", "col_interleaved_rl", right_first=True),
    Kind("checkerboard", "chl", "checkerboard_lr", 0),
    Kind("checkerboard", "chr", "checkerboard_rl", right_first=True),
    Kind("alternating", "al", "block_lr", 5),
    Kind("alternating", "ar", "block_rl", right_first=True),
]


def ffmpeg(*words) -> bytes:
    """Run FFmpeg and return what it writes to its output; raise CalledProcessError if it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def made(path: Path, packing: str = "sbsl", *options, filters: str = "null") -> Path:
    """Write a film in a packing of FFmpeg's filter; further filters are applied to packed frames."""
    packed = "[l][r]hstack" if packing == "sbsl" else f"[l][r]hstack,stereo3d=sbsl:{packing}"
    graph = f"{EYES};{ALTERNATING.get(packing, packed)},setsar=1,{filters}"
    ffmpeg("-filter_complex", graph, *options, path)
    return path


def shown(path: Path, filters: str, width: int, height: int) -> np.ndarray:
    """Return a film's frames ``[N, H, W, 3]`` uint8 after FFmpeg's filters."""
    raw = ffmpeg("-i", path, "-vf", filters, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def eyes(path: Path, packing: str, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return both views ``[2, N, H, W, 3]`` as FFmpeg's filter takes them from a film."""
    return np.stack([shown(path, f"stereo3d={packing}:{out}", width, height) for out in ("ml", "mr")])


def with_hevc_message(path: Path, number: int, order: int) -> Path:
    """Insert H.265's frame packing message before the first slice; ``order`` 2 is right first."""
    fields = f"10{number:07b}0{order:06b}" + "0" * 6 + "0" * 16 + "0" * 8 + "10" + "1"
    fields += "0" * (-len(fields) % 8)
    body = int(fields, 2).to_bytes(len(fields) // 8, "big")
    message = re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\0\0\3", bytes([45, len(body)]) + body + b"\x80")
    data = path.read_bytes()
    codes = [code for code in re.finditer(rb"\x00?\x00\x00\x01", data) if data[code.end()] >> 1 & 63 < 32]
    first = codes[0].start()  # of a slice
    path.write_bytes(data[:first] + b"\0\0\0\1" + bytes([39 << 1, 1]) + message + data[first:])
    return path


def with_mpeg2_message(path: Path, number: int) -> Path:
    """Insert the user data of ATSC 3D television before the first slice."""
    data = path.read_bytes()
    match = re.search(rb"\x00\x00\x01[\x01-\xaf]", data)
    assert match
    first = match.start()
    path.write_bytes(data[:first] + b"\0\0\1\xb2JP3D\x03" + bytes([0x80 | number, 4, 0xFF]) + data[first:])
    return path
