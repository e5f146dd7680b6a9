"""Encode frames and read files back."""

from fractions import Fraction

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from stereoreel.core.clip import ClipInfo, Color
from stereoreel.core.options import resolve
from stereoreel.media import colour
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.options import OPTIONS, extension
from tests.support.media_files import ramp

BT709 = Color()


def settings(**given):
    return resolve(OPTIONS, given)


def encode(folder, frames, fps=25, *, info=None, audio=None, metadata=None, **given):
    """Write ``frames`` [N, H, W, C] or [2, N, H, W, C], three to a chunk; return the file."""
    chosen = settings(**given)
    *_, count, height, width, channels = frames.shape
    info = info or ClipInfo(width, height, Fraction(fps), count, channels=channels, views=frames.ndim - 3)
    path = folder / f"film{extension(chosen)}"
    with Writer(path, info, chosen, audio=audio, metadata=metadata) as writer:
        for chunk in frames.split(3, dim=-4):
            writer.write(chunk)
    return path


def gray(frames=10, height=48, width=64):
    return torch.from_numpy(ramp(frames, width, height)) / 255


def read(path, color=BT709):
    """Return facts and frames ``[N, H, W, 3]`` in 0..1."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        context = stream.codec_context
        facts = {
            "rate": Fraction(stream.average_rate),
            "times": [frame.pts * Fraction(frame.time_base) for frame in frames],
            "duration": Fraction(container.duration, av.time_base),
            "codec": context.codec.canonical_name,
            "tag": context.codec_tag,
            "color": (context.color_primaries, context.color_trc, context.colorspace, context.color_range),
            "frame_color": tuple(
                getattr(frames[0], tag, default)
                for tag, default in (  # PyAV 17 on
                    ("color_primaries", context.color_primaries),
                    ("color_trc", context.color_trc),
                    ("colorspace", 0),
                    ("color_range", 0),
                )
            ),
            "metadata": dict(container.metadata),
            "stereo": "STEREO3D" in frames[0].side_data,
            "vr180": "SPHERICAL" in frames[0].side_data,
        }
        return facts, np.stack([rgb(frame, color) for frame in frames])


def rgb(frame, color):
    if frame.format.is_rgb:
        return frame.to_ndarray() / (2 ** frame.format.components[0].bits - 1)
    # swscale's white
    levels = (
        VideoReformatter().reformat(frame, format="rgb48le", **colour.to_rgb(color, False)).to_ndarray()
        / 0xFF00
    )
    return np.minimum(levels, 1)


def packets(path, kind="audio"):
    """Return (begin, end, bytes) of every packet of a type's streams, in seconds from the first frame."""
    with av.open(str(path)) as container:
        start = container.streams.video[0].start_time * Fraction(container.streams.video[0].time_base)
        found = {stream.index: [] for stream in container.streams if stream.type == kind}
        for packet in container.demux():
            if packet.size and packet.stream_index in found:
                unit = Fraction(packet.time_base)
                begin = packet.pts * unit - start
                found[packet.stream_index].append(
                    (begin, begin + (packet.duration or 0) * unit, bytes(packet))
                )
        return list(found.values())


def heard(path, track=0):
    """Return mono samples from the first frame on, with silence in gaps."""
    with av.open(str(path)) as container:
        start = container.streams.video[0].start_time * Fraction(container.streams.video[0].time_base)
        stream = container.streams.audio[track]
        line, end = np.zeros(stream.rate * 5), -stream.rate
        for frame in container.decode(stream):
            samples = frame.to_ndarray()
            samples = samples[0, :: frame.layout.nb_channels] if samples.shape[0] == 1 else samples[0]
            samples = samples / (np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1)
            begin = round((frame.pts * Fraction(frame.time_base) - start) * stream.rate)
            if abs(begin - end) < stream.rate * 0.002:
                begin = end  # players do not split audio because a container counts milliseconds
            end = begin + len(samples)
            samples = samples[max(0, -begin) :]
            line[max(0, begin) : max(0, begin) + len(samples)] = samples
        return line


def alike(wanted, found, rate=48000):
    """Return the best correlation of two signals within 1.5 ms, because Matroska counts milliseconds."""
    reach = round(rate * 0.0015)
    inner = wanted[reach:-reach]
    return max(
        np.corrcoef(inner, found[reach + lag : reach + lag + len(inner)])[0, 1]
        for lag in range(-reach, reach + 1, 2)
    )
