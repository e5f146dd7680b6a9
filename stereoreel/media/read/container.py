"""Open media files only; playlists and scripts that refer to other files are rejected."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import av
import av.error
from av.codec.hwaccel import HWAccel, hwdevices_available

from ..paths import check_file

# Demuxers that read one file and follow no references in it. Excluded: hls, dash, concat, imf, image2
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
    "dpx_pipe",
    "hdr_pipe",
    "j2k_pipe",
    "ppm_pipe",
    "pgm_pipe",
    "pbm_pipe",
    "pam_pipe",
    "sgi_pipe",
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
# names for which FFmpeg would try the excluded image2
OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "jpeg_pipe"),
    ".dpx": "dpx_pipe",
    ".exr": "exr_pipe",
}
APNG, BROWSERS_DELAY = (".png", ".apng"), {"default_fps": "10"}  # of frames with a delay of 0
STILL = ("_pipe", "gif", "apng", "jpegxl_anim")  # ends of the names of image formats
STILL_SUFFIXES = (".avif", ".heic", ".heif")  # images in a video container
REPLACES_TAGS = 19  # the first PyAV that always replaces text that is not UTF-8
SAFE = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}


def open_media(path: str | os.PathLike, hardware: str = "") -> av.container.InputContainer:
    """Open a container; raise FileNotFoundError, PermissionError or ValueError with the reason on failure.

    ``hardware`` is a kind of device that decodes its video, such as ``cuda``; without one, or if it does not
    know the codec, FFmpeg's own decoders do.
    """
    check_file(path)
    path = Path(path)
    name = str(path.absolute())  # an absolute path cannot be mistaken for a protocol
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path.name} is not readable. Give this user read permission.")
    try:
        # Options of the container only: PyAV before 18 crashes on stream options if FLV and MPEG find their
        # streams late.
        kind = OF_SUFFIX.get(path.suffix.lower())
        options = SAFE | (BROWSERS_DELAY if path.suffix.lower() in APNG else {})
        if hardware and (opened := _on_hardware(name, hardware, options)):
            return opened
        if int(av.__version__.split(".")[0]) >= REPLACES_TAGS:
            return av.open(name, format=kind, container_options=options)
        return av.open(name, format=kind, container_options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError):
        raise ValueError(
            f"{path.name} is not a readable video: it is corrupt, incomplete, or another type of file. "
            "Choose another file, or convert it first."
        ) from None


def _on_hardware(name: str, hardware: str, options: dict[str, str]) -> av.container.InputContainer | None:
    """Open a container for decoding on a device; None if this PyAV or this machine has no such device."""
    if hardware not in hwdevices_available():
        return None
    with suppress(av.error.FFmpegError):
        return av.open(name, container_options=options, hwaccel=HWAccel(hardware))
    return None


def is_image(path: Path) -> bool:
    """Whether a file is of an image format, which may be animated."""
    if path.suffix.lower() == ".webp":
        return True
    with open_media(path) as file:
        return file.format.name.endswith(STILL) or path.suffix.lower() in STILL_SUFFIXES
