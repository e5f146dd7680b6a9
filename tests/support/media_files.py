"""Write media files with chosen pixels, tags, timestamps and audio."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stereoreel.media.write.scheduling import kept_scheduling

# matrix: red and blue in luma
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
# chroma step, bits
PLANAR = {"yuv420p": (2, 8), "yuv444p": (1, 8), "yuv420p10le": (2, 10), "yuv444p10le": (1, 10)}
SOUND_TICK, SUBTITLE_TICK = 1024, Fraction(1, 1000)


def ramp(frames: int, width: int = 64, height: int = 48, channels: int = 3) -> np.ndarray:
    """Return flat frames ``[N, H, W, C]`` uint8; frame i has level 8 + 2 i (up to 120 frames)."""
    levels = (8 + 2 * np.arange(frames)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, height, width, channels)).copy()


def index_of(frame) -> int:
    """Return the number of a frame of ``ramp`` from its mean; ``frame`` is float 0..1."""
    return round((float(frame.mean()) * 255 - 8) / 2)


def moving(frames: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Return textured frames ``[N, H, W, 3]`` uint8 that slide two pixels a frame."""
    y, x = np.mgrid[0:height, 0 : width + 2 * frames]
    picture = np.stack(
        [128 + 100 * np.sin(x / 5), 128 + 100 * np.cos(y / 7 + x / 11), 128 + 100 * np.sin((x + y) / 9)], -1
    )
    return np.stack([picture[:, 2 * i : 2 * i + width] for i in range(frames)]).astype(np.uint8)


def to_yuv(rgb: np.ndarray, matrix: int = 1, full: bool = False, bits: int = 8) -> np.ndarray:
    """Convert uint8 RGB to Y, Cb, Cr codes exactly by ITU-T H.273 (rounded, ``bits`` deep)."""
    red_weight, blue_weight = WEIGHTS[matrix]
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    chroma = (blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)
    top, unit = (1 << bits) - 1, 1 << (bits - 8)
    if full:
        codes = luma * top, *(c * top + 128 * unit for c in chroma)
    else:
        codes = (16 + 219 * luma) * unit, *((128 + 224 * c) * unit for c in chroma)
    return np.clip(np.round(np.stack(codes, -1)), 0, top)


def video_frame(rgb: np.ndarray, pix_fmt: str, matrix: int, full: bool) -> av.VideoFrame:
    """Return a frame in ``pix_fmt``; YUV by exact arithmetic, anything else by swscale."""
    height, width = rgb.shape[:2]
    if pix_fmt not in PLANAR:
        layout = "rgba" if rgb.shape[-1] == 4 else "rgb24"
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format=layout).reformat(format=pix_fmt)
    step, bits = PLANAR[pix_fmt]
    yuv = to_yuv(rgb[..., :3], matrix, full, bits)
    frame = av.VideoFrame(width, height, pix_fmt)
    for channel, plane in enumerate(frame.planes):
        codes = yuv[..., channel]
        if channel and step == 2:
            codes = np.pad(codes, ((0, height % 2), (0, width % 2)), mode="edge")
            codes = np.round((codes[::2, ::2] + codes[1::2, ::2] + codes[::2, 1::2] + codes[1::2, 1::2]) / 4)
        rows = np.zeros(
            (plane.height, plane.line_size // (1 if bits == 8 else 2)), np.uint8 if bits == 8 else np.uint16
        )
        rows[:, : codes.shape[1]] = codes
        plane.update(rows.tobytes())
    return frame


def write_video(
    path: Path | str,
    frames: np.ndarray,
    fps: Fraction | int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    *,
    matrix: int = 1,
    color: tuple[int, int, int] | None = None,
    full: bool | None = None,
    times: Sequence[Fraction] | None = None,
    sar: Fraction | None = None,
    start: Fraction = Fraction(0),
    interlaced: bool = False,
    audio: Sequence[tuple] = (),
    subtitles: Sequence[tuple] = (),
    chapters: Sequence[tuple] = (),
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write ``frames`` ``[N, H, W, 3 or 4]`` uint8; the file name selects the container.

    ``matrix`` is the matrix really used, ``color`` = (primaries, transfer, matrix) and ``full`` the tags
    written (None: untagged, limited range). ``times`` are seconds of each frame for a variable rate;
    ``start`` shifts the video. ``audio`` holds ``(waveform [C, N] float, rate, codec, layout)``, with a start
    in seconds as an optional fifth item; ``subtitles`` and ``chapters`` hold ``(start, end, text)`` in
    seconds.
    """
    path, fps = Path(path), Fraction(fps)
    with av.open(str(path), "w", options=container_options or {}) as container, kept_scheduling():
        video = _video_stream(container, frames, fps, codec, pix_fmt, options, color, full, sar)
        sounds = [(_sound_stream(container, *sound[1:4]), *sound) for sound in audio]
        texts = _subtitle_stream(container, path.suffix) if subtitles else None
        if chapters:
            container.set_chapters(
                [
                    {
                        "id": i,
                        "start": int(begin * 1000),
                        "end": int(end * 1000),
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": title},
                    }
                    for i, (begin, end, title) in enumerate(chapters, 1)
                ]
            )
        for packet in _encoded(video, frames, fps, pix_fmt, matrix, bool(full), times, start, interlaced):
            container.mux(packet)
        for stream, waveform, rate, _, layout, *begin in sounds:
            for packet in _sound_packets(stream, np.asarray(waveform, np.float32), rate, layout, *begin):
                container.mux(packet)
        for begin, end, text in subtitles:
            container.mux(_subtitle_packet(texts, path.suffix, begin, end, text))
    return path


def _video_stream(container, frames, fps, codec, pix_fmt, options, color, full, sar):
    stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
    stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
    context = stream.codec_context
    if color:
        context.color_primaries, context.color_trc, context.colorspace = color
    if full is not None:
        context.color_range = 2 if full else 1
    if sar:
        context.sample_aspect_ratio = sar
    return stream


def _encoded(stream, frames, fps, pix_fmt, matrix, full, times, start, interlaced):
    tick = 1 / fps if times is None and not start else Fraction(1, 90000)
    stream.codec_context.time_base = tick
    context = stream.codec_context
    for index, rgb in enumerate(frames):
        frame = video_frame(rgb, pix_fmt, matrix, full)
        for tag, value in (("colorspace", context.colorspace), ("color_range", context.color_range)):
            setattr(frame, tag, value)
        frame.time_base = tick
        frame.pts = round(((times[index] if times is not None else index / fps) + start) / tick)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _sound_stream(container, rate, codec, layout):
    return container.add_stream(codec, rate=rate, layout=layout)


def _sound_packets(stream, waveform, rate, layout, begin=0):
    for offset in range(0, waveform.shape[1], SOUND_TICK):
        piece = np.ascontiguousarray(waveform[:, offset : offset + SOUND_TICK])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), offset + round(begin * rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _subtitle_stream(container, suffix):
    return container.add_mux_stream("mov_text" if suffix in (".mp4", ".mov") else "subrip")


def _subtitle_packet(stream, suffix, begin, end, text):
    data = text.encode()
    packet = av.Packet(struct.pack(">H", len(data)) + data if suffix in (".mp4", ".mov") else data)
    packet.stream, packet.time_base = stream, SUBTITLE_TICK
    packet.pts = packet.dts = round(begin / SUBTITLE_TICK)
    packet.duration = round((end - begin) / SUBTITLE_TICK)
    return packet


def tone(seconds: float, rate: int = 48000, channels: int = 2) -> np.ndarray:
    """Return ``[C, N]`` float32: a different sine in each channel."""
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * 220 * (c + 1) * time) for c in range(channels)]).astype(
        np.float32
    )


def turn(path: Path, degrees: int) -> None:
    """Set the display rotation of an MP4 or MOV file's tracks, clockwise by ``degrees``."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = struct.pack(">9i", cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30)
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    head = data.index(b"tkhd")
    at = data.index(plain, head)
    data[at : at + len(matrix)] = matrix
    path.write_bytes(data)


def spoil(path: Path, begin: float, length: int, seed: int = 0) -> None:
    """Overwrite ``length`` bytes at the fraction ``begin`` of a file with noise."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * begin)
    data[at : at + length] = np.random.default_rng(seed).integers(0, 256, length, np.uint8).tobytes()
    path.write_bytes(data)


def lose(path: Path, frames: Sequence[int]) -> None:
    """Overwrite the packets of some frames with zeros, in a file of independently coded frames."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for begin, size in (places[frame] for frame in frames):
        data[begin : begin + size] = bytes(size)
    path.write_bytes(data)


def truncate(path: Path, keep: float) -> None:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
