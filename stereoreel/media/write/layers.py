"""Encode two views into the layers of one stream, with two encoders in step.

x265 as PyAV has it cannot predict one view from the other. Two encoders with equal options and given frame
types code equal sequences of pictures, so each pair of packets is one access unit. Left to itself, x265
chooses frame types by what it sees, even without adaptive B-frames and scene cuts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import zip_longest

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from ..multiview.nal_units import joined, parameter_sets

KEY_EVERY = 2  # seconds between key frames, at most
B_FRAMES = 4  # between others, as in the preset; x265 has no more
FORMATS = {"yuv420p": np.uint8, "yuv420p10le": np.uint16}


class FrameTypes:
    """The type of each frame: a key frame at least every two seconds and at each of the ``cuts``."""

    def __init__(self, fps: Fraction, cuts: Sequence[int]):
        self._interval, self._cuts = max(1, round(KEY_EVERY * fps)), frozenset(cuts)
        self._since = 0

    def take(self, index: int) -> PictureType:
        """Return the type of the next frame, number ``index`` of the clip."""
        if index in self._cuts or self._since == self._interval:
            self._since = 0
        place, self._since = self._since, self._since + 1
        if place == 0:
            return PictureType.I
        last = index + 1 in self._cuts or self._since == self._interval  # B-frames would refer beyond
        return PictureType.P if last or place % (B_FRAMES + 1) == 0 else PictureType.B


class LayerEncoder:
    """Encoders of the left and the right view; their packets are joined.

    Raise ValueError if the streams that they write cannot share their parameter sets.
    """

    def __init__(self, left: VideoCodecContext, right: VideoCodecContext):
        self._encoders = left, right
        self._waiting: tuple[deque[av.Packet], deque[av.Packet]] = deque(), deque()
        if parameter_sets(bytes(left.extradata or b"")) != parameter_sets(bytes(right.extradata or b"")):
            raise ValueError(OUT_OF_STEP)

    def encode(self, left: av.VideoFrame, right: av.VideoFrame) -> Iterator[av.Packet]:
        """Encode a frame of each view; yield the packets that are complete."""
        packets = [encoder.encode(frame) for encoder, frame in zip(self._encoders, (left, right))]
        for coded in zip_longest(*packets):
            yield from self._paired(coded)

    def flush(self) -> Iterator[av.Packet]:
        """Yield the buffered packets one at a time."""
        for coded in zip_longest(*(encoder.encode_lazy(None) for encoder in self._encoders)):
            yield from self._paired(coded)
        if any(self._waiting):
            raise ValueError(OUT_OF_STEP)

    def _paired(self, coded: Iterable[av.Packet | None]) -> Iterator[av.Packet]:
        for waiting, packet in zip(self._waiting, coded):
            if packet is not None:
                waiting.append(packet)
        while all(self._waiting):
            left, right = (waiting.popleft() for waiting in self._waiting)
            if (left.pts, left.is_keyframe) != (right.pts, right.is_keyframe):
                raise ValueError(OUT_OF_STEP)
            packet = av.Packet(joined(bytes(left), bytes(right)))
            packet.pts, packet.time_base = left.pts, left.time_base
            packet.dts = left.pts if left.dts is None else left.dts  # x265 may set none in very short films
            packet.is_keyframe = left.is_keyframe
            yield packet


OUT_OF_STEP = (
    "The encoders of the two views did not code the same sequence of pictures, so one stream cannot hold "
    "both. Choose another format, such as hevc with the layout full_sbs."
)


def halves(frame: av.VideoFrame) -> list[av.VideoFrame]:
    """Return the left and the right half of a frame in a format of ``FORMATS``."""
    kind = FORMATS[frame.format.name]
    sides = [av.VideoFrame(frame.width // 2, frame.height, frame.format.name) for _ in range(2)]
    for plane, *parts in zip(frame.planes, *(side.planes for side in sides)):
        rows = np.frombuffer(plane, kind).reshape(plane.height, -1)
        for number, part in enumerate(parts):
            padded = np.zeros((part.height, part.line_size // kind().itemsize), kind)
            padded[:, : part.width] = rows[:, number * part.width : (number + 1) * part.width]
            part.update(padded.tobytes())
    return sides
