"""Count a video's frames by reading its packets once, and detect whether the file is truncated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import av
import av.error

from ...core import cancel
from .rates import plausible

REORDER = 16  # frames that a codec buffers at most


def skip_others(container, wanted) -> None:
    """Make the demuxer skip the other streams, if this PyAV supports it."""
    for stream in container.streams:
        if stream is not wanted and hasattr(stream, "discard"):
            stream.discard = type(stream.discard).all


def demux(container, streams) -> Iterator[av.Packet]:
    """Yield the packets of one or more streams in file order, and an empty packet of each at the end."""
    with suppress(IndexError):  # raised by PyAV after the last packet if a stream began midway
        for packet in container.demux(streams):
            cancel.check()
            yield packet


def is_shown(packet, codec: str) -> bool:
    """Whether a packet becomes a frame: neither cut off by an edit list nor VP8's invisible reference."""
    return (
        bool(packet.size)
        and not packet.is_discard
        and not (codec == "vp8" and not memoryview(packet)[0] & 0x10)
    )


class PacketCount:
    """Timestamps of a stream's packets, its first decoded frame, and whether the file is truncated.

    ``pts`` are sorted if ``timed``; otherwise only their number is meaningful.
    """

    first: av.VideoFrame | None

    def __init__(self, container, stream):
        self.first, self.read = None, 0
        self.pts: list[int] = []
        self.keys: list[int] = []
        counts_gaps = stream.container.format.name == "avi"  # dropped frames have no packet there
        self.whole = True  # until a packet is truncated or the demuxer fails
        codec, cut = stream.codec_context.name, 0
        for packet in self._packets(container, stream):
            self.read += 1
            if counts_gaps and packet.dts is not None:
                self.read = max(self.read, packet.dts + 1)
            if self.first is None:
                self._decode(packet)
            if not is_shown(packet, codec) or not (self.keys or packet.is_keyframe):
                continue
            self.pts.append(packet.pts)
            if packet.is_keyframe:
                self.keys.append(packet.pts)
            cut = cut + 1 if packet.is_corrupt else 0
        if self.first is None:
            self._decode(None, stream)
        self._finish(stream, cut)

    @property
    def frames(self) -> int:
        return len(self.pts)

    def _packets(self, container, stream):
        try:
            yield from (packet for packet in demux(container, stream) if packet.size)
        except av.error.FFmpegError:
            self.whole = False

    def _decode(self, packet, stream=None) -> None:
        try:
            frames = packet.decode() if packet else stream.codec_context.decode(None)
        except av.error.FFmpegError:
            return
        self.first = next((frame for frame in frames), None)

    def _finish(self, stream, cut: int) -> None:
        """Drop truncated packets at the end, sort, and discard equal or implausible timestamps."""
        del self.pts[len(self.pts) - cut :]
        self.missing = max(0, stream.frames - self.read) + cut
        if not self.missing and (not self.whole or is_cut_off(stream.container)):
            self.missing = _left(stream, self.pts)
        # AVI stores no display times
        guessed = stream.container.format.name == "avi" and stream.codec_context.has_b_frames
        distinct = not guessed and None not in self.pts and len(set(self.pts)) == len(self.pts)
        self.timed = distinct and plausible(sorted(self.pts), Fraction(stream.time_base))
        if not self.timed:
            self.keys = []
            return
        reordered = self.pts != sorted(self.pts)
        # frames before the first key frame refer to frames that are not in the file
        lead = self.keys[0] if self.keys else min(self.pts, default=0)
        self.pts, self.keys = sorted(p for p in self.pts if p >= lead), sorted(self.keys)
        self._drop_ragged_end(reordered)

    def _drop_ragged_end(self, reordered: bool) -> None:
        """Drop frames from the first gap on that truncation between reordered frames leaves at the end."""
        steps = [later - earlier for earlier, later in pairwise(self.pts)]
        usual = sorted(steps)[len(steps) // 2] if steps else 0
        gaps = [index for index, step in enumerate(steps) if step > 1.5 * usual]
        if gaps and gaps[0] >= len(steps) - REORDER and (reordered or self.missing or not self.whole):
            self.missing = max(self.missing, len(self.pts) - gaps[0] - 1)
            del self.pts[gaps[0] + 1 :]


def is_cut_off(container) -> bool:
    """Whether a Matroska file is shorter than its segment header states; other containers do not state it."""
    if "matroska" not in container.format.name:
        return False
    with open(container.name, "rb") as file:
        head = file.read(128)
    # the segment's id; its size follows, its own length in the leading zeros
    at = head.find(b"\x18\x53\x80\x67") + 4
    width = 9 - head[at].bit_length()
    if at < 4 or not 1 <= width <= 8:
        return False
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(head[at : at + width], "big") & unknown
    return size != unknown and at + width + size > container.size


def _left(stream, pts: list) -> int:
    """Estimate how many frames a truncated file lacks; at least one."""
    if None in pts or not pts or not stream.container.duration or not stream.average_rate:
        return 1
    left = Fraction(stream.container.duration, 1_000_000) - max(pts) * Fraction(stream.time_base)
    return max(1, round(left * Fraction(stream.average_rate)) - 1)
