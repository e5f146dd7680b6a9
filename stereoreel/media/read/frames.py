"""Decode the frames of a window of a file in display order, each exactly once, even if the file is corrupt.

A frame's position comes from its timestamp among those that ``probe`` counted, so a seek or a corrupt packet
cannot shift the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby, islice, pairwise
from typing import TYPE_CHECKING

import av
import av.error

from .animation import animation_frames
from .container import open_media
from .file_facts import FileFacts
from .packets import REORDER, Entry, demux, restamp, skip_others
from .pictures import decode_picture, picture_frames

if TYPE_CHECKING:
    from av.filter.context import FilterContext

Placed = tuple[int, av.VideoFrame]


@dataclass
class Damage:
    """How many frames could not be decoded; each repeats the previous frame."""

    held: int = 0


@contextmanager
def in_memory(facts: FileFacts) -> Iterator[None]:
    """Raise ValueError with the frame size if frames inside the block do not fit in memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
            raise
        width, height = facts.coded
        raise ValueError(
            f"{facts.path.name} has frames of {width} x {height}, which do not fit in memory. "
            "Set max_side to downscale them."
        ) from None


def read_frames(
    facts: FileFacts, first: int, stop: int, damage: Damage, *, progressive: bool = True
) -> Generator[av.VideoFrame, None, None]:
    """Yield frames ``first`` to ``stop`` - 1, fewer only if the file ends early.

    With ``progressive``, interlaced frames are deinterlaced.
    """
    if not (progressive and facts.interlaced):
        yield from _hold(facts, first, stop, damage)
        return
    before = max(0, first - 1)  # the deinterlacer reads a frame's neighbours
    frames = deinterlace(_hold(facts, before, min(stop + 1, facts.frames), damage), facts.fields)
    yield from islice(frames, first - before, stop - before)


def _hold(facts: FileFacts, first: int, stop: int, damage: Damage) -> Iterator[av.VideoFrame]:
    """Yield every frame of the window; a missing or corrupt frame repeats the previous one."""
    if facts.pictures:
        yield from _pictures(facts, first, stop, damage)
        return
    if facts.animation:
        yield from animation_frames(facts.path, first, stop)
        return
    held: av.VideoFrame | None = None
    place = first
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


def _pictures(facts: FileFacts, first: int, stop: int, damage: Damage) -> Iterator[av.VideoFrame]:
    """Yield pictures; corrupt ones at the beginning of a part repeat one before it, as in the whole clip."""
    begin = first
    while begin and decode_picture(facts.pictures[begin], facts.codec) is None:
        begin -= 1
    unseen = max(0, first - begin - 1)  # corrupt ones that are not in this part

    def lost() -> None:
        nonlocal unseen
        damage.held += not unseen
        unseen = max(0, unseen - 1)

    with closing(picture_frames(facts.pictures[begin:stop], facts.codec, facts.coded, lost)) as frames:
        yield from islice(frames, first - begin, None)


def _from_key(facts: FileFacts, first: int) -> Generator[Placed, None, None]:
    """Yield decoded frames with their positions, from one at or before ``first`` on if there is one.

    If a demuxer seeks too far, or the key frame is corrupt, decoding starts from an earlier one, finally from
    the beginning.
    """
    near = entry_before(facts, first)
    for entry in (near, near - 2):
        if entry <= 0:
            break
        frames = _decode(facts, facts.entries[entry])
        head = next(frames, None)
        if head and head[0] <= first:
            yield from chain([head], frames)
            return
        frames.close()
    yield from _decode(facts, None)


def entry_before(facts: FileFacts, frame: int) -> int:
    """Return the number of the last entry at or before a frame; -1 if there is none."""
    return bisect_right(facts.entries, frame, key=lambda entry: entry.frame) - 1


def _decode(facts: FileFacts, seek: Entry | None) -> Generator[Placed, None, None]:
    """Yield frames with their positions as the decoder returns them; skip those that cannot be decoded.

    If a corrupt frame is among the last ones buffered by several threads, the others are lost with it. They
    are then decoded again with one thread.
    """
    last = -1
    try:
        # with a thread for each frame, FFmpeg flags good frames after a change between fields and frames
        for last, frame in _sorted(_placed(facts, seek, "SLICE" if facts.paired else "AUTO")):
            yield last, frame
    except av.error.FFmpegError:
        near = entry_before(facts, last)
        again = facts.entries[near] if near > 0 else seek
        with suppress(av.error.FFmpegError):
            yield from (placed for placed in _sorted(_placed(facts, again, "NONE")) if placed[0] > last)


def _sorted(frames: Iterable[Placed]) -> Iterator[Placed]:
    """Swap a frame that seems to follow a gap with the next one if that belongs before it.

    MPEG-2 decoders return the frame before a join one place late.
    """
    early: Placed | None = None
    due: int | None = None
    for placed in frames:
        if early and placed[0] > early[0]:
            yield early
            due, early = early[0] + 1, None
        if early is None and due is not None and placed[0] > due:
            early = placed
            continue
        yield placed
        due = placed[0] + 1
    if early:
        yield early


def _placed(facts: FileFacts, seek: Entry | None, threads: str) -> Iterator[Placed]:
    """Yield frames with their positions; raise FFmpegError if the decoder cannot output its last frames."""
    with open_media(facts.path, facts.hardware) as container:
        stream = container.streams[facts.stream]
        skip_others(container, stream)
        stream.thread_type = threads
        if facts.view is not None:
            stream.codec_context.options = {"view_ids": str(facts.view)}
        if seek is not None:
            _seek(container, stream, seek, by_place=bool(facts.joins))
        packets, begin = _restamped(container, stream, facts), 0
        if seek is not None:
            packets, begin = _from_entry(packets, facts)
        frames = _decoded(packets, _context(stream, facts, threads))
        if not facts.stamped:
            yield from enumerate(frames)
            return
        for frame in frames:
            index = bisect_left(facts.pts, frame.pts) if frame.pts is not None else facts.frames
            if begin <= index < facts.frames and facts.pts[index] == frame.pts:
                yield index, frame


def _seek(container, stream, entry: Entry, by_place: bool) -> None:
    """Continue reading at a key frame, by its place in the file if the clock of the file jumps."""
    if by_place:
        container.seek(entry.pos, stream=stream, unsupported_byte_offset=True)
    else:
        container.seek(entry.stamp, stream=stream)


def _restamped(container, stream, facts: FileFacts) -> Iterator[av.Packet]:
    """Yield the packets with the timestamps of the index; end where the container is truncated."""
    with suppress(av.error.FFmpegError):
        for packet in demux(container, stream, facts.joins):
            if packet.size:  # an empty packet would flush the decoder
                restamp(packet, container)
                yield packet


def _from_entry(packets: Iterator[av.Packet], facts: FileFacts) -> tuple[Iterator[av.Packet], int]:
    """Skip to the next key frame, as a seek may end between two; return the first frame that it shows.

    Frames before that one, which are decoded after an open group of pictures, would be incomplete.
    """
    frame_at = {entry.stamp: entry.frame for entry in facts.entries}
    for packet in packets:
        if packet.is_keyframe and packet.pts in frame_at:
            return chain([packet], packets), frame_at[packet.pts]
    return packets, facts.frames


def _context(stream, facts: FileFacts, threads: str) -> av.VideoCodecContext:
    """Return the decoder of a stream, or the one that reads its alpha."""
    if not facts.decoder:
        return stream.codec_context
    context = av.CodecContext.create(facts.decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.extradata, context.thread_type = stream.codec_context.extradata, threads
    return context


def _decoded(packets: Iterable[av.Packet], context: av.VideoCodecContext) -> Iterator[av.VideoFrame]:
    for packet in packets:
        yield from _try_decode(context, packet)
    yield from context.decode(None)


def _try_decode(context: av.VideoCodecContext, packet) -> list[av.VideoFrame]:
    try:
        return context.decode(packet)
    except av.error.FFmpegError:
        return []


def deinterlace(frames: Iterable[av.VideoFrame], fields: str) -> Iterator[av.VideoFrame]:
    """Yield one progressive frame for each frame.

    Frames flagged as progressive pass unchanged, unless ``fields`` (tff, bff) overrides the flags.
    """
    for _, alike in groupby(frames, key=lambda frame: (frame.width, frame.height, frame.format.name)):
        yield from _deinterlace_alike(alike, fields)


def _deinterlace_alike(frames: Iterable[av.VideoFrame], fields: str) -> Iterator[av.VideoFrame]:
    tick = Fraction(1, 25)  # any clock: the filter only needs increasing times
    graph: tuple[av.filter.Graph, FilterContext, FilterContext] | None = None
    for index, frame in enumerate(frames):
        graph = graph or _graph(frame, fields, tick)
        _, source, sink = graph
        frame.pts, frame.time_base = index, tick
        source.push(frame)
        yield from _pulled(sink)
    if graph:
        _, source, sink = graph
        source.push(None)
        yield from _pulled(sink)


def _graph(
    frame: av.VideoFrame, fields: str, tick: Fraction
) -> tuple[av.filter.Graph, FilterContext, FilterContext]:
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
