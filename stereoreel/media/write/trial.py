"""A file that goes nowhere: what a container refuses of a track is found there, before it can spoil the film.

A muxer puts packets into order and fails later, with another track's packet in hand.
"""

from __future__ import annotations

import os
from contextlib import suppress

import av
import av.error


class Trial:
    """One stream by itself in a container; FFmpegError or ValueError where that takes no such stream."""

    def __init__(self, container: str, source: av.stream.Stream):
        self._output = av.open(_Nowhere(), "w", format=container)
        self._stream = self._output.add_stream_from_template(source, opaque=True)
        self._output.start_encoding()

    def takes(self, packet: av.Packet) -> bool:
        """Whether the container takes a packet, which stays as it is."""
        kept = packet.stream, packet.pts, packet.dts, packet.duration, packet.time_base
        packet.stream = self._stream
        try:
            self._output.mux(packet)
        except av.error.FFmpegError:
            return False
        finally:
            packet.stream, packet.pts, packet.dts, packet.duration, packet.time_base = kept
        return True

    def close(self) -> None:
        with suppress(av.error.FFmpegError):  # of a file that nobody wants
            self._output.close()


class _Nowhere:
    """A file whose bytes are counted and forgotten."""

    def __init__(self):
        self._at = self._end = 0

    def write(self, data: bytes) -> int:
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at
