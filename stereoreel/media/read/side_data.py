"""Frames whose side data PyAV can list: it refuses all of it because of one kind that it does not know."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
from av.sidedata.sidedata import Type

KINDS = 64  # of AVFrameSideDataType; FFmpeg 8 has 32


def readable(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame, without kinds of side data that PyAV does not know if it has any.

    Streams of two views have such: which view a frame is, and for which displays they were made.
    """
    try:
        len(frame.side_data)
    except ValueError:
        return _without(frame, sorted(set(range(KINDS)) - {kind.value for kind in Type}))
    return frame


def _without(frame: av.VideoFrame, kinds: list[int]) -> av.VideoFrame:
    graph, tick = av.filter.Graph(), frame.time_base or Fraction(1, 25)
    parts = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)]
    parts += [graph.add("sidedata", f"mode=delete:type={kind}") for kind in kinds]
    parts.append(graph.add("buffersink"))
    for part, following in pairwise(parts):
        part.link_to(following)
    graph.configure()
    parts[0].push(frame)
    result = parts[-1].pull()
    assert isinstance(result, av.VideoFrame)
    return result
