"""Count a video's frames by reading its packets once, so that the count is what decoding gives."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from itertools import islice, pairwise
from typing import NamedTuple

import av
import av.error

from ...core import cancel
from .container import open_media
from .cut_off import is_cut_off
from .field_pairs import FieldPairs
from .joins import Join, Joins, shifted
from .rates import plausible
from .side_data import readable

REORDER = 16  # frames that a codec buffers at most
TRIAL = 64  # frames that are decoded if their timestamps are doubtful


class Entry(NamedTuple):
    """A key frame at which decoding can start: its timestamp, its place in the file, and the number of the
    first frame that is shown then.
    """

    stamp: int
    pos: int
    frame: int


class Packet(NamedTuple):
    """What the index keeps of a packet."""

    pts: int | None
    dts: int | None
    key: bool
    shown: bool
    pos: int


def skip_others(container, wanted) -> None:
    """Make the demuxer skip the other streams, if this PyAV supports it."""
    for stream in container.streams:
        if stream is not wanted and hasattr(stream, "discard"):
            stream.discard = type(stream.discard).all


def demux(container, streams, joins: Sequence[Join] = ()) -> Iterator[av.Packet]:
    """Yield the packets of one or more streams in file order, and an empty packet of each at the end.

    ``joins`` are those of the file, which close up the jumps of its clock.
    """
    with suppress(IndexError):  # raised by PyAV after the last packet if a stream began midway
        packets = container.demux(streams)
        for packet in shifted(packets, joins) if joins else packets:
            cancel.check()
            yield packet


def is_shown(packet, codec: str) -> bool:
    """Whether a packet becomes a frame: neither cut off by an edit list nor VP8's invisible reference."""
    return (
        bool(packet.size)
        and not packet.is_discard
        and not (codec == "vp8" and not memoryview(packet)[0] & 0x10)
    )


def restamp(packet, container) -> None:
    """Show a packet of an AVI file when it is decoded, because such files store no other time."""
    if container.format.name == "avi":
        packet.pts = packet.dts


class PacketIndex:
    """When each frame of a stream is shown, where decoding can start, and whether the file is truncated.

    ``pts`` are sorted, and empty if the file does not time every frame. If they are ``stamped``, a decoded
    frame is identified by its timestamp, otherwise only by its number in the decoder's order. ``paired``:
    some frames are two fields, coded separately.
    """

    first: av.VideoFrame | None

    def __init__(self, container, stream):
        self.first, self.read = None, 0
        self.pts: list[int] = []
        self.entries: list[Entry] = []
        self.stamped = True
        self.paired = False
        self._failed: list[int] = []  # timestamps of packets before the first frame that cannot be decoded
        self._whole = True  # until a packet is truncated or the demuxer fails
        with closing(Joins(container)) as joins:
            packets, cut = self._read(container, stream, joins)
        self.joins = tuple(joins.found)
        if self.first is None:
            self._decode(None, stream)
        self._finish(stream, packets, cut)

    def _read(self, container, stream, joins: Joins) -> tuple[list[Packet], int]:
        """Return the packets in decoding order, and how many at the end are truncated, which are left out.

        If all are truncated, none is left out.
        """
        counts_gaps = container.format.name == "avi"  # dropped frames have no packet there
        codec, pairs = stream.codec_context.name, FieldPairs(stream)
        packets: list[Packet] = []
        cut, place, started = 0, 0, False
        for packet in self._packets(container, stream):
            self.read += 1
            if counts_gaps and packet.dts is not None:
                self.read = max(self.read, packet.dts + 1)
            restamp(packet, container)
            joins.close_up(packet)
            completes = pairs.completes(packet)
            if self.first is None:
                started = started or packet.is_keyframe
                self._decode(packet, reported=started)
            if completes:
                self.paired = True
                continue
            place = place if packet.pos is None else packet.pos  # several packets may begin at one place
            shown = is_shown(packet, codec)
            packets.append(Packet(packet.pts, packet.dts, packet.is_keyframe, shown, place))
            cut = cut + 1 if packet.is_corrupt else 0
        return packets[: len(packets) - cut] or packets, cut

    def _packets(self, container, stream):
        try:
            yield from (packet for packet in demux(container, stream) if packet.size)
        except av.error.FFmpegError:
            self._whole = False

    def _decode(self, packet, stream=None, reported: bool = False) -> None:
        try:
            frames = packet.decode() if packet else stream.codec_context.decode(None)
        except av.error.FFmpegError:
            if reported and packet and packet.pts is not None and not packet.is_discard:
                self._failed.append(packet.pts)
            return
        self.first = next((readable(frame) for frame in frames), None)

    def _finish(self, stream, packets: list[Packet], cut: int) -> None:
        tick, first = Fraction(stream.time_base), self.first.pts if self.first else None
        head = next((place for place, packet in enumerate(packets) if packet.key), 0)
        shown = [packet for packet in packets[head:] if packet.shown]
        # in an AVI file, frames that a decoder reorders have no times of their own
        guessed = stream.container.format.name == "avi" and stream.codec_context.has_b_frames
        guessed = guessed or _copies_dts(stream, shown)
        runs = [] if guessed else self._runs(packets, first)
        pts = [stamp for run in runs for stamp in run]
        self.stamped = bool(pts) and plausible(sorted(pts), tick)
        if self.stamped and all(earlier < later for earlier, later in pairwise(pts)):
            self.pts = pts
            self.entries = list(_entries(packets, pts))
        elif self.stamped:
            self.stamped, self.pts = False, _closed_up(runs)
        else:
            self.pts = _in_order(shown, self.first, tick)
        self.frames = len(self.pts) or len(shown)
        self.missing = self._missing(stream, cut, [packet.pts for packet in shown if packet.pts is not None])

    def _runs(self, packets: Sequence[Packet], first: int | None) -> list[list[int]]:
        """Return the timestamps of the shown frames in the decoder's order, nothing if some are unknown.

        A decoder sorts frames until the clock runs back, as it does between the edits of an MP4 file.
        """
        runs: list[list[int]] = [[]]
        last: int | None = None
        for packet in packets:
            if packet.dts is not None:
                if last is not None and packet.dts < last:
                    runs.append([])
                last = packet.dts
            if packet.shown:
                if packet.pts is None:
                    return []
                runs[-1].append(packet.pts)
        runs = [sorted(run) for run in runs if run]
        if runs and first in runs[0]:
            # frames before the first one that is decoded refer to frames that are not in the file
            lead = min([first, *self._failed])
            runs[0] = [stamp for stamp in runs[0] if stamp >= lead]
        return runs if all(len(set(run)) == len(run) for run in runs) else []

    def _missing(self, stream, cut: int, decoded: list[int]) -> int:
        """Return about how many frames a truncated file lacks, 0 for a complete one."""
        cut_off = is_cut_off(stream.container)
        if stream.frames and self.read >= stream.frames and not cut and self._whole:
            return 0  # of a truncated file, only other streams are incomplete
        missing = max(0, stream.frames - self.read) if cut_off is not False else 0
        if missing or cut:
            return missing + cut
        if cut_off or not self._whole:
            return _left(stream, self.pts)
        return _gap(self.pts, decoded) if cut_off is None and self.stamped else 0


def _entries(packets: Sequence[Packet], pts: Sequence[int]) -> Iterator[Entry]:
    """Yield the key frames in the order of the frames that they make visible."""
    found: dict[int, Entry] = {}
    key: Packet | None = None
    first: int | None = None
    for packet in (*packets, Packet(None, None, True, False, -1)):
        if packet.key:
            if key and key.pts is not None and first is not None and first >= pts[0]:
                frame = bisect_left(pts, first)
                found[frame] = Entry(key.pts, key.pos, frame)
            key, first = packet, packet.pts if packet.shown else None
        elif packet.shown and packet.pts is not None and key and not key.shown:
            first = packet.pts if first is None else min(first, packet.pts)
    yield from (found[frame] for frame in sorted(found))


def _copies_dts(stream, shown: Sequence[Packet]) -> bool:
    """Whether timestamps only seem to be display times, as in files that were copied out of an AVI.

    They rise with every packet although the decoder reorders frames. Some decoders only might; then the
    first frames say whether they do.
    """
    decoded = [packet.pts for packet in shown if packet.pts is not None]
    if not stream.codec_context.has_b_frames or any(later <= earlier for earlier, later in pairwise(decoded)):
        return False
    with open_media(stream.container.name) as container, suppress(av.error.FFmpegError, IndexError):
        frames = container.decode(container.streams[stream.index])
        pts = [frame.pts for frame in islice(frames, TRIAL) if frame.pts is not None]
        return any(later < earlier for earlier, later in pairwise(pts))
    return False


def _closed_up(runs: Sequence[Sequence[int]]) -> list[int]:
    """Return the timestamps of runs, each of which begins after the one before it."""
    step = max(1, usual_step(max(runs, key=len)))
    pts: list[int] = []
    for run in runs:
        shift = max(0, pts[-1] + step - run[0]) if pts else 0
        pts += [stamp + shift for stamp in run]
    return pts


def _in_order(shown: Sequence[Packet], first: av.VideoFrame | None, tick: Fraction) -> list[int]:
    """Return the times of frames that are known by their order only, or nothing.

    A container without display times counts when each packet is decoded; a frame is shown when as many
    packets have been decoded as the decoder needs for it.
    """
    dts = [packet.dts for packet in shown if packet.dts is not None]
    if not dts or len(dts) != len(shown) or any(later <= earlier for earlier, later in pairwise(dts)):
        return []
    if not plausible(dts, tick):
        return []
    delay = dts.index(first.dts) if first is not None and first.dts in dts[:REORDER] else 0
    step, wait = usual_step(dts), dts[delay] - dts[0]  # the first frame is shown when the first packet is due
    pts = [*dts[delay:], *(dts[-1] + step * late for late in range(1, delay + 1))]
    return [stamp - wait for stamp in pts]


def usual_step(pts: Sequence[int]) -> int:
    """Return the median distance of increasing timestamps, 0 if there are fewer than two."""
    steps = sorted(later - earlier for earlier, later in pairwise(pts))
    return steps[len(steps) // 2] if steps else 0


def _gap(pts: Sequence[int], decoded: Sequence[int]) -> int:
    """Return how many frames are missing among the last ones, as truncation between reordered frames leaves.

    ``decoded`` are the timestamps in decoding order. Every frame after the first missing one is decoded
    before it, so there are at most as many as a decoder has to reorder. Where gaps are usual, another one
    says nothing.
    """
    depth, usual = _reordered(decoded), usual_step(pts)
    if not depth or not usual:
        return 0
    lost = [
        round((later - earlier) / usual) - 1 if 2 * (later - earlier) > 3 * usual else 0
        for earlier, later in pairwise(pts)
    ]
    if any(lost[:-REORDER]):
        return 0
    lost = lost[-depth:]
    return sum(lost) if sum(lost) <= REORDER else 0  # nothing reorders more: the source stood still


def _reordered(decoded: Sequence[int]) -> int:
    """Return how many frames at most are decoded before one that is shown before them."""
    return max(
        (
            sum(earlier > stamp for earlier in decoded[max(0, place - REORDER) : place])
            for place, stamp in enumerate(decoded)
        ),
        default=0,
    )


def _left(stream, pts: Iterable[int]) -> int:
    """Estimate how many frames a truncated file lacks; at least one."""
    last = max(pts, default=None)
    if last is None or not stream.container.duration or not stream.average_rate:
        return 1
    left = Fraction(stream.container.duration, 1_000_000) - last * Fraction(stream.time_base)
    return max(1, round(left * Fraction(stream.average_rate)) - 1)
