"""The frames of a window of a file, in display order, each exactly once, whatever the file's condition.

A frame's place comes from its timestamp among those that ``probe`` counted, so a seek and a damaged packet
cannot shift the rest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby, islice, pairwise

import av
import av.error

from .container import open_media
from .packets import REORDER, demux, skip_others
from .probe import FileFacts

Placed = tuple[int, av.VideoFrame]


@dataclass
class Damage:
    """How many frames could not be decoded and show the one before them instead."""

    held: int = 0


@contextmanager
def in_memory(facts: FileFacts) -> Iterator[None]:
    """Within it, a ValueError says which frames do not fit in memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
            raise
        width, height = facts.coded
        raise ValueError(
            f"{facts.path.name} has frames of {width} x {height}, which do not fit in memory; "
            "set max_side to shrink them."
        ) from None


def read_frames(
    facts: FileFacts, first: int, stop: int, damage: Damage, *, progressive: bool = True
) -> Iterator[av.VideoFrame]:
    """Frames ``first`` to ``stop`` - 1; fewer only where the file ends early. ``progressive``: with interlaced ones deinterlaced."""
    if not (progressive and facts.interlaced):
        yield from _hold(facts, first, stop, damage)
        return
    before = max(0, first - 1)  # the deinterlacer looks at a frame's neighbours
    frames = deinterlace(_hold(facts, before, min(stop + 1, facts.frames), damage), facts.fields)
    yield from islice(frames, first - before, stop - before)


def _hold(facts: FileFacts, first: int, stop: int, damage: Damage) -> Iterator[av.VideoFrame]:
    """Every frame of the window; one that is missing or damaged is the one before it again."""
    held, place = None, first
    with closing(_from_key(facts, first)) as frames:
        for index, frame in frames:
            if index < place:
                held = held if frame.is_corrupt and held else frame
                continue
            lost = min(index, stop) - place
            damage.held += lost
            yield from [held or frame] * lost
            place += lost
            if place >= stop:
                return
            damage.held += frame.is_corrupt
            held = held if frame.is_corrupt and held else frame
            yield held
            place += 1
            if place >= stop:
                return
    if held and not facts.missing and stop - place <= REORDER:
        damage.held += stop - place
        yield from [held] * (stop - place)


def _from_key(facts: FileFacts, first: int) -> Iterator[Placed]:
    """Decoded frames with their places, from one at or before ``first`` on if there is one.

    A demuxer may seek too far, or the frame to start from may be damaged: then from an earlier one, at last
    from the beginning.
    """
    near = bisect_right(facts.keys, facts.pts[first]) - 1 if facts.keys else 0
    for key in (near, near - 2):
        if key <= 0:
            break
        frames = _decode(facts, facts.keys[key])
        head = next(frames, None)
        if head and head[0] <= first:
            yield from chain([head], frames)
            return
        frames.close()
    yield from _decode(facts, None)


def _decode(facts: FileFacts, seek: int | None) -> Iterator[Placed]:
    """Frames with their places as the decoder gives them; what cannot be decoded is left out.

    Where a damaged one is among the last that several threads hold, the others go with it: one thread gives
    those.
    """
    last = -1
    try:
        for last, frame in _placed(facts, seek, "AUTO"):
            yield last, frame
    except av.error.FFmpegError:
        again = facts.pts[last] if facts.pts and last >= 0 else seek
        with suppress(av.error.FFmpegError):
            yield from (placed for placed in _placed(facts, again, "NONE") if placed[0] > last)


def _placed(facts: FileFacts, seek: int | None, threads: str) -> Iterator[Placed]:
    """FFmpegError where the frames that the decoder holds at the end cannot be had."""
    with open_media(facts.path) as container:
        stream = container.streams[facts.stream]
        skip_others(container, stream)
        stream.thread_type = threads
        if seek is not None:
            container.seek(seek, stream=stream)
        frames = _decoded(container, stream)
        if not facts.pts:
            yield from enumerate(frames)
            return
        for frame in frames:
            index = bisect_left(facts.pts, frame.pts) if frame.pts is not None else facts.frames
            if index < facts.frames and facts.pts[index] == frame.pts:
                yield index, frame


def _decoded(container, stream) -> Iterator[av.VideoFrame]:
    try:
        for packet in demux(container, stream):
            if packet.size:  # an empty one would end the decoder
                yield from _try_decode(stream, packet)
    except av.error.FFmpegError:
        pass  # the container breaks off here: the frames so far are what there is
    yield from stream.codec_context.decode(None)


def _try_decode(stream, packet) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError:
        return []


def deinterlace(frames: Iterable[av.VideoFrame], fields: str) -> Iterator[av.VideoFrame]:
    """One progressive frame for each; frames that say they are progressive pass, unless ``fields`` (tff, bff) says what all are."""
    for _, alike in groupby(frames, key=lambda frame: (frame.width, frame.height, frame.format.name)):
        yield from _deinterlace_alike(alike, fields)


def _deinterlace_alike(frames: Iterable[av.VideoFrame], fields: str) -> Iterator[av.VideoFrame]:
    tick, graph = Fraction(1, 25), None  # any clock: the filter only needs times that rise
    for index, frame in enumerate(frames):
        if graph is None:
            graph, source, sink = _graph(frame, fields, tick)
        frame.pts, frame.time_base = index, tick
        source.push(frame)
        yield from _pulled(sink)
    source.push(None)
    yield from _pulled(sink)


def _graph(frame: av.VideoFrame, fields: str, tick: Fraction):
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    parts = [
        source,
        graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
        graph.add("buffersink"),
    ]
    if fields != "auto":
        parts.insert(1, graph.add("setfield", fields))
    for part, following in pairwise(parts):
        part.link_to(following)
    graph.configure()
    return graph, source, parts[-1]


def _pulled(sink) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield sink.pull()
        except (BlockingIOError, EOFError):
            return
