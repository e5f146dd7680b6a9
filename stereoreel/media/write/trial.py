"""Mux a track into a discarded file first, to find what a container rejects before it fails in the real file.

A muxer reorders packets and fails later, while it processes another track's packet.
"""

from __future__ import annotations

import os
from contextlib import suppress

import av
import av.error


class Trial:
    """One stream in a container; raise FFmpegError or ValueError if the container rejects the stream."""

    def __init__(self, container: str, source: av.stream.Stream):
        self._output = av.open(_Nowhere(), "w", format=container)
        self._stream = self._output.add_stream_from_template(source, opaque=True)
        self._output.start_encoding()

    def takes(self, packet: av.Packet) -> bool:
        """Whether the container accepts a packet, which is left unchanged."""
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
        with suppress(av.error.FFmpegError):  # the file is discarded
            self._output.close()


class _Nowhere:
    """A file object that counts bytes and discards them."""

    def __init__(self) -> None:
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
