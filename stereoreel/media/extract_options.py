"""The options of Extract Video, and the file that they choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.options import Options, option, shown
from .layouts.packing import AUTO, CHOICES

SAMPLE = "sample"
NO_FOLDER = "none"
EYES = ("left", "right")
SQUARE = "square"
CROP, OFF = "crop", "off"  # of bars
MOST = 2**31 - 1  # frames


@dataclass(frozen=True)
class ExtractOptions(Options):
    """Options of Extract Video."""

    video: str = option(
        SAMPLE,
        "The video to open, from ComfyUI's input folder. sample is a rendered clip of four seconds with "
        "audio, included in the pack.",
        only=("folder", (NO_FOLDER,)),
    )
    start: float = option(0.0, "Start time, in seconds.", low=0.0, high=1e6, step=0.001)
    duration: float = option(
        0.0,
        "Duration in seconds; 0 takes everything up to the end.",
        low=0.0,
        high=1e6,
        step=0.001,
        word="to the end",
    )
    max_side: int = option(
        0,
        "Downscale frames so that the longer side has at most this many pixels; 0 keeps the size.",
        low=0,
        high=16384,
        step=2,
        word="original",
    )
    cuts: bool = option(
        True, "Detect cuts first, so that no stage blends or smooths frames across them.", advanced=True
    )
    sensitivity: float = option(
        0.5,
        "Sensitivity of the cut detection in a file: higher finds more cuts.",
        low=0.0,
        high=1.0,
        step=0.05,
        advanced=True,
        only=("cuts", ("true",)),
    )
    folder: str = option(
        NO_FOLDER,
        "A folder in ComfyUI's input folder, whose videos are used instead of the one chosen above, one each "
        "run: `index` selects it. `sample` stands for a folder that holds the sample only.",
        choices=(NO_FOLDER, SAMPLE),
        open=True,
        advanced=True,
    )
    index: int = option(
        0,
        "The video of `folder`, in natural order from 0. With `increment` below it, each run takes the next "
        "one: set the number of runs next to Run to the number of videos. Runs beyond the last are refused.",
        low=0,
        high=1_000_000,
        step=1,
        only=("folder", ()),
        counts=True,
    )
    packing: str = option(
        AUTO,
        "How a 3D film holds its left and right views, which become a clip of two views. auto: as its tags "
        "say, or else its file name (_SBS, _HSBS, _TB, _LRF …). mono: one view. full: each view has its own "
        "size; half: both are squeezed into the size of one; sbs: side by side; tb: left view on top; "
        "cross_eyed: full_sbs, right view first; interlaced and checkerboard: every second line or pixel; "
        "alternating: every second frame; anaglyph (red-cyan) and anaglyph_magenta (green-magenta): grey "
        "views, because their colours cannot be recovered; vr180: half spheres side by side.",
        choices=CHOICES,
        advanced=True,
    )
    swap_eyes: bool = option(
        False, "Swap the two views, if a 3D film shows the right eye's view first.", advanced=True
    )
    view: str = option(
        "both",
        "Views of a 3D film: `both`, or one of them as a clip with one view, such as the left one to render "
        "a new stereo pair from it.",
        choices=("both", *EYES),
        advanced=True,
    )
    frame_load_cap: int = option(
        0,
        "Number of frames to take at most; 0 takes all. The audio ends with them.",
        low=0,
        high=MOST,
        advanced=True,
        word="all",
    )
    skip_first_frames: int = option(
        0,
        "Number of frames to leave out at the beginning, counted from start. The audio begins with the first "
        "frame that is taken.",
        low=0,
        high=MOST,
        advanced=True,
    )
    select_every_nth: int = option(
        1,
        "Take only every nth frame: 2 halves the frame rate. The duration stays.",
        low=1,
        high=MOST,
        advanced=True,
    )
    pixel_aspect: str = option(
        SQUARE,
        "square: scale the frames of discs, tapes and anamorphic video to square pixels. keep: leave them as "
        "they are stored; Encode Video writes their shape into the file, so that players show it right.",
        choices=(SQUARE, "keep"),
        advanced=True,
    )
    background: str = option(
        "black",
        "Colour under transparent parts, such as those of ProRes 4444, WebM, PNG and GIF: a name of CSS, or "
        "#rrggbb. transparent: black for the stages, and Encode Video keeps the transparency in prores_4444 "
        "and webp, unless a stage changes the number of frames or makes a stereo pair.",
        advanced=True,
    )

    picture_fps: float = option(
        0.0,
        "Frames a second of numbered pictures: a folder, or a pattern such as frames/%05d.png. auto: 24, or "
        "the rate of pictures that Encode Video wrote. A video has a rate of its own.",
        low=0.0,
        high=1000.0,
        step=0.001,
        advanced=True,
        word="auto",
    )
    linear_light: str = option(
        "display",
        "Values of EXR and HDR pictures, which hold linear light. display: with the curve of sRGB, as "
        "viewers show them and models expect them; unchanged: the numbers in the file.",
        choices=("display", "unchanged"),
        advanced=True,
    )

    bars: str = option(
        "keep",
        "Black bars around the picture (letterbox, pillarbox), found shot by shot together with the cuts. "
        "keep: the stages see the picture only, and the bars come back as they were, at the depth of the "
        "screen. crop: the clip is the picture without bars. off: bars are part of the picture.",
        choices=("keep", CROP, OFF),
        advanced=True,
    )

    judged = ("background",)

    def check(self) -> None:
        from .read.transparency import parse_color

        parse_color(self.background)


def chosen_file(options: ExtractOptions, find: Callable[[str], Path]) -> Path:
    """Return the file that the options name; ``find`` returns the path of a name, and may refuse it.

    Raise ValueError or OSError if the folder does not exist, or has no video at the index.
    """
    from .folder import films_in

    if options.folder == NO_FOLDER:
        return find(options.video)
    place = find(options.folder)
    if options.folder == SAMPLE:
        return _at([place], options)
    if place.is_file():  # the terminal's --input
        return place
    return find(str(_at(films_in(place), options)))


def _at(films: Sequence[Path], options: ExtractOptions) -> Path:
    if options.index < len(films):
        return films[options.index]
    name, last = shown(options.folder), len(films) - 1
    if not films:
        raise ValueError(f"The folder {name} has no video. Put some into it, or choose another folder.")
    there = f"videos 0 to {last}" if last else "one video, number 0,"
    raise ValueError(
        f"The folder {name} has {there} and none at index {options.index}. To begin again, set index to 0."
    )
