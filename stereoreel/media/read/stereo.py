"""Read how a file packs two views: from its tags, or else from its name, as players do."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

from ..layouts.boxes import read_stereo
from ..layouts.packing import (
    ALTERNATING,
    CHECKERBOARD,
    COLUMNS,
    FILE_NAME,
    GREEN_MAGENTA,
    MONO,
    NAMED,
    RED_CYAN,
    ROWS,
    SIDE_BY_SIDE,
    TOP_BOTTOM,
    UNKNOWN,
    Packing,
    of_layout,
)

LAYOUT_TAG = "stereoreel_layout"  # the layout with which Encode Video wrote a file
MOV = "mov,mp4"

# FFmpeg's AVStereo3DType, by number; 5 is side by side with the pixels of a checkerboard
TYPES = (MONO, SIDE_BY_SIDE, TOP_BOTTOM, ALTERNATING, CHECKERBOARD, SIDE_BY_SIDE, ROWS, COLUMNS, UNKNOWN)
INVERTED = 1  # a flag of AVStereo3D
RIGHT_EYE = 2  # an AVStereo3DView
MODES = {  # Matroska's StereoMode, of which FFmpeg has no type
    "anaglyph_cyan_red": Packing(RED_CYAN),
    "anaglyph_green_magenta": Packing(GREEN_MAGENTA),
}
BOXES = {
    "mono": Packing(MONO),
    "left_right": Packing(SIDE_BY_SIDE),
    "right_left": Packing(SIDE_BY_SIDE, right_first=True),
    "top_bottom": Packing(TOP_BOTTOM),
    "bottom_top": Packing(TOP_BOTTOM, right_first=True),
}
WMV = {  # StereoscopicLayout of 3D Vision
    "sidebysidelf": Packing(SIDE_BY_SIDE),
    "sidebysiderf": Packing(SIDE_BY_SIDE, right_first=True),
    "overunderlt": Packing(TOP_BOTTOM),
    "overunderrt": Packing(TOP_BOTTOM, right_first=True),
}


def read_tags(path: Path, container, stream, frame) -> Packing | None:
    """Return the packing that a file declares; None if it declares none.

    ``frame`` is the first decoded frame of ``stream``. In this order: the tag of this pack, Matroska's
    StereoMode, the boxes st3d and vexu of MP4, and what the codec's own stream says.
    """
    tags = {name.lower(): value for name, value in container.metadata.items()}
    if layout := tags.get(LAYOUT_TAG):
        return replace(of_layout(layout), reason="its own tag")
    if (word := tags.get("stereoscopiclayout", "").lower()) in WMV:
        return replace(WMV[word], reason="its StereoscopicLayout")
    mode = stream.metadata.get("stereo_mode", "")
    if mode in MODES:
        return replace(MODES[mode], reason="its StereoMode")
    boxes = read_stereo(path) if container.format.name.startswith(MOV) else None
    sphere = bool(boxes and boxes.vr180) or _is_half_sphere(frame)
    if boxes and boxes.arrangement in BOXES:
        return replace(BOXES[boxes.arrangement], sphere=sphere, reason="its tags")
    if found := _of_frame(frame):
        reason = "its StereoMode" if mode else "its tags"
        return replace(found, sphere=sphere, reason=reason)
    return None


def _is_half_sphere(frame) -> bool:
    data = frame.side_data.get("SPHERICAL")
    return data is not None and struct.unpack_from("=i", bytes(data))[0] in HALF_SPHERES


def _of_frame(frame) -> Packing | None:
    """Return the packing in a frame's AVStereo3D, which holds type, flags and view first."""
    data = frame.side_data.get("STEREO3D")
    if data is None:
        return None
    kind, flags, view = struct.unpack_from("=3i", bytes(data))
    if not 0 <= kind < len(TYPES):
        return None
    # frames in turn may each say which eye they are for
    right_first = bool(flags & INVERTED) or (TYPES[kind] == ALTERNATING and view == RIGHT_EYE)
    return Packing(TYPES[kind], right_first)


HALF_SPHERES = (2, 3)  # AVSphericalProjection: a part of a sphere, and half of one

# Words of file names, between separators, in lower case. h and f before or after: half and full.
SBS = r"(?P<sbs>sbs|side by side|lr|3dh)"
TB = r"(?P<tb>tb|tab|ou|over under|top bottom|3dv)"
RIGHT = r"(?P<right>rl)"
BOTTOM = r"(?P<bottom>bt)"
WORD = re.compile(
    rf"(?P<before>h|half ?|f|full ?)?(?:{SBS}|{TB}|{RIGHT}|{BOTTOM})(?P<after>h| ?half|f| ?full)?"
)
COPY = re.compile(r"\s*\(\d+\)$")  # that browsers add to a second file of one name
SEPARATORS = re.compile(r"[\s._\-()\[\]{}+,]+")
# These mean other things too, so they count only at the end of a name or among words like them.
SHORT = {"lr", "rl", "tb", "bt", "ou", "tab"}
SPHERES = {"180", "vr180", "180x180", "180x160", "180f", "fisheye190"}
AROUND = re.compile(
    r"3d|vr|half|full|h|f|\d{3,4}[pi]|[248]k|u?hd|fullhd|180|360|180x180|vr180|cross|fulltb|"
    r"[xh]26[45]|hevc|av1"
)
PHRASES = {
    "side_by_side": "side by side",
    "over_under": "over under",
    "top_bottom": "top bottom",
    "full_hd": "fullhd",
}
HEMISPHERES = 1.9, 2.1  # the shape of a frame with two of them


def read_name(name: str, shape: float) -> Packing | None:
    """Return the packing that a file name states as players read it; None if it states none.

    ``film_3D_HSBS.mkv`` is half side by side, ``clip_LRF.mp4`` full, ``clip_TB.mp4`` top-bottom. A title does
    not begin with such a word. ``shape`` is the width of a frame over its height.
    """
    title = COPY.sub("", Path(name).stem.lower())
    words = [word for word in SEPARATORS.split(title) if word]
    text = "_".join(words)
    for phrase, word in PHRASES.items():
        text = text.replace(phrase, word)
    words = text.split("_")
    if words[-1:] == ["depth"]:  # the depth of a film of that name, which has one view
        return None
    sphere = any(word in SPHERES for word in words)
    for place in reversed(range(1, len(words))):
        match = WORD.fullmatch(words[place])
        if match and _means_it(match, words, place):
            return _stated(match, words, place, sphere)
    if "anaglyph" in words or "redcyan" in words:
        return replace(NAMED["anaglyph"], reason=FILE_NAME)
    if sphere and words[-1] in SPHERES and HEMISPHERES[0] <= shape <= HEMISPHERES[1]:
        return replace(NAMED["vr180"], reason=FILE_NAME)
    return None


def _means_it(match: re.Match, words: list[str], place: int) -> bool:
    core = next(word for word in (match[group] for group in ("sbs", "tb", "right", "bottom")) if word)
    return core not in SHORT or all(AROUND.fullmatch(word) for word in words[place + 1 :]) or "3d" in words


def _stated(match: re.Match, words: list[str], place: int, sphere: bool) -> Packing:
    around = (match["before"] or "", match["after"] or "", words[place - 1], *words[place + 1 : place + 2])
    near = {word.strip() for word in around}
    half = True if near & {"h", "half"} else False if near & {"f", "full"} else None
    across = match["sbs"] or match["right"]
    right_first = bool(match["right"] or match["bottom"])
    kind = SIDE_BY_SIDE if across else TOP_BOTTOM
    return Packing(kind, right_first, False if sphere else half, FILE_NAME, sphere and bool(across))
