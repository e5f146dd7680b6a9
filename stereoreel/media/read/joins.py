"""Close up the jumps of a transport stream's clock, as players do."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple

import av
import av.error

from .container import open_media

JUMPING = ("mpegts", "mpeg")  # containers whose clock may restart; FFmpeg calls them discontinuous
NEAR = 4 << 20  # bytes between packets of the same time
INTERLEAVED = 2  # seconds by which audio may be stored later or earlier than the video of the same time
FORWARD, BACKWARD = 10, Fraction(1, 10)  # seconds of a step that is a jump, as in FFmpeg


class Join(NamedTuple):
    """From the byte ``pos`` of a file on, ``shift`` seconds are added to every timestamp.

    ``time`` is the timestamp there after the shift.
    """

    pos: int
    shift: Fraction
    time: Fraction


class Joins:
    """The joins of a file, found while its video packets are read in order and shifted."""

    def __init__(self, container):
        self.found: list[Join] = []
        self._sound = Sound(container.name)
        self._watches = container.format.name in JUMPING
        self._due: int | None = None  # when the next packet is expected
        self._last: int | None = None
        self._latest: int | None = None  # of what is shown; after a pause it is later than any decoding time
        self._pos: int | None = None  # of the last packet that has a place

    def close_up(self, packet: av.Packet) -> None:
        """Shift a packet's timestamps so that they continue those before it."""
        stamp, place = packet.dts, self._pos
        if packet.pos is not None:
            self._pos = packet.pos
        if not self._watches or stamp is None or not packet.time_base:
            return
        unit = Fraction(packet.time_base)
        shift, joined = round(self.found[-1].shift / unit) if self.found else 0, False
        if self._last is not None and self._due is not None and self._pos is not None:
            here, latest = stamp + shift, max(self._due, self._latest or self._due)
            joined = (self._last - here) * unit > BACKWARD or (here - latest) * unit > FORWARD
            if (here - self._due) * unit > FORWARD:
                gap = (self._due - shift) * unit, stamp * unit
                jumps = self._sound.leaves_out(place or 0, *gap)
                joined = joined if jumps is None else jumps
            if joined:
                shift += self._due - here
                begin = stamp if packet.pts is None else packet.pts
                self.found.append(Join(self._pos, shift * unit, (begin + shift) * unit))
        if self._is_of_next(packet, shift, unit, place or 0):
            packet.pts = stamp + (packet.duration or 0)
        _shift(packet, shift)
        assert packet.dts is not None
        step = packet.duration or (packet.dts - self._last if self._last is not None else 0)
        self._last = packet.dts
        self._due = packet.dts + max(0, step)
        shown = packet.dts if packet.pts is None else packet.pts
        self._latest = shown if joined or self._latest is None else max(self._latest, shown)

    def close(self) -> None:
        self._sound.close()

    def _is_of_next(self, packet: av.Packet, shift: int, unit: Fraction, place: int) -> bool:
        """Whether the demuxer gave the last packet of a recording the display time of the next recording."""
        if packet.pts is None or packet.dts is None or self._latest is None:
            return False
        if min(packet.pts - packet.dts, packet.pts + shift - self._latest) * unit <= FORWARD:
            return False
        return bool(self._sound.leaves_out(place, packet.dts * unit, packet.pts * unit))


class Sound:
    """The audio of a file, opened when something is asked of it."""

    def __init__(self, name: str):
        self._name = name
        self._file: av.container.InputContainer | None = None

    def leaves_out(self, pos: int, begin: Fraction, end: Fraction) -> bool | None:
        """Whether the audio after ``pos`` leaves out the seconds from ``begin`` to ``end`` of its clock.

        None if that is unknown, because there is no audio or it ends before.
        """
        file = self._file = self._file or open_media(self._name)
        tracks, margin = file.streams.audio, min(Fraction(INTERLEAVED), (end - begin) / 4)
        if not tracks:
            return None
        with suppress(av.error.FFmpegError, IndexError):
            file.seek(pos, stream=file.streams[0], unsupported_byte_offset=True)
            for packet in file.demux(tracks):
                stamp = packet.dts if packet.pts is None else packet.pts
                if packet.pos is not None and packet.pos > pos + NEAR:
                    return None
                if stamp is not None and packet.time_base:
                    time = stamp * Fraction(packet.time_base)
                    if begin + margin < time < end - margin:
                        return False
                    if end - margin <= time <= end + margin:
                        return True
        return None

    def close(self) -> None:
        if self._file:
            self._file.close()


def shifted(packets: Iterable[av.Packet], joins: Sequence[Join]) -> Iterator[av.Packet]:
    """Yield packets of any stream with the shifts of a file's joins.

    Streams are interleaved, so audio may change its clock some packets earlier or later than the video: close
    to a join, the shift that continues it best is taken, for all packets that came in one piece.
    """
    places, due, used = [join.pos for join in joins], dict[int, Fraction](), dict[int, Fraction]()
    shifts = [Fraction(0), *(join.shift for join in joins)]
    number = 0
    for packet in packets:
        if packet.size and packet.pos is not None:
            number = bisect_right(places, packet.pos)
        stamp, shift = packet.dts if packet.dts is not None else packet.pts, shifts[number]
        if stamp is not None and packet.time_base:
            unit, index = Fraction(packet.time_base), packet.stream.index
            if packet.pos is None:
                shift = used.get(index, shift)
            elif index in due and packet.stream.type == "audio":
                near = shifts[
                    bisect_right(places, packet.pos - NEAR) : bisect_right(places, packet.pos + NEAR) + 1
                ]
                shift = min(near, key=lambda one: abs(stamp * unit + one - due[index]))
            if packet.pts is not None and (packet.pts - stamp) * unit > FORWARD:
                later = shifts[min(number + 1, len(places))] - shift
                if abs((packet.pts - stamp) * unit + later) < FORWARD:
                    packet.pts += round(later / unit)  # it was the time of the next recording
            used[index] = shift
            due[index] = stamp * unit + shift + (packet.duration or 0) * unit
            _shift(packet, round(shift / unit))
        yield packet


def _shift(packet: av.Packet, ticks: int) -> None:
    if ticks and packet.pts is not None:
        packet.pts += ticks
    if ticks and packet.dts is not None:
        packet.dts += ticks
