"""Open a media file, and only a media file: a playlist or script that names other files is not one."""

from __future__ import annotations

import os
from pathlib import Path

import av
import av.error

from ..paths import check_file

# Demuxers that read one file and follow no reference in it. Not here: hls, dash, concat, imf, image2
# (patterns), lavfi, sdp, rtsp …
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "flv",
    "ogg",
    "asf",
    "mxf",
    "nut",
    "ivf",
    "rm",
    "dv",
    "gxf",
    "wtv",
    "h264",
    "hevc",
    "av1",
    "obu",
    "m4v",
    "vvc",
    "mjpeg",
    "yuv4mpegpipe",
    "gif",
    "apng",
    "png_pipe",
    "jpeg_pipe",
    "webp_pipe",
    "bmp_pipe",
    "tiff_pipe",
    "exr_pipe",
    "jpegxl_pipe",
    "jpegxl_anim",
    "wav",
    "w64",
    "mp3",
    "aac",
    "ac3",
    "eac3",
    "flac",
    "aiff",
    "caf",
)
# PyAV 19 always replaces
TAGS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
SAFE = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}


def open_media(path: str | os.PathLike) -> av.container.InputContainer:
    """The opened container; FileNotFoundError, PermissionError or ValueError say in one sentence why not."""
    check_file(path)
    path = Path(path)
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path.name} may not be read; give this user the right to read it.")
    try:
        # An absolute path cannot be taken for a protocol; tags in another encoding than UTF-8 are no reason
        # to refuse a film.
        # Options of the container alone: PyAV before 18 crashes on those of streams where FLV and MPEG find
        # these late.
        return av.open(str(path.absolute()), container_options=dict(SAFE), **TAGS)
    except (av.error.FFmpegError, ValueError):
        raise ValueError(
            f"{path.name} is not a video that can be read: it is damaged, incomplete, or another kind of file."
        ) from None
