"""The Python front: the nodes as functions from clip to clip, for scripts.

Names, defaults and checks are those of the nodes' declarations. ``write`` and ``frames`` compute; the others
only build the graph.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from inspect import Parameter
from pathlib import Path
from textwrap import fill
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from .core import clip as graph
from .core.clip import Clip, ClipInfo, Samples, Shot, Soundtrack, Step, makers_of
from .core.error_context import naming
from .core.host import Host
from .core.options import Option
from .core.pull import pull
from .core.tensor_source import TensorSource
from .core.timeline import parse_fps
from .core.transforms import Split, Weightless
from .film import film, resumes
from .live.frames import as_tensor
from .media.extract_options import SAMPLE
from .media.open import open_file
from .media.paths import check_name
from .media.write import render
from .media.write.devices import NONE
from .media.write.options import check_folder_name, extension, presets
from .media.write.request import RenderRequest
from .models.headless import Headless
from .sample import FILE
from .workflow import build
from .workflow.node_specs import NODES
from .workflow.watched import watched

BY_KIND = {node.kind: node for node in NODES}
P = ParamSpec("P")
R = TypeVar("R")
Audio = Clip | tuple[Tensor, int]  # a clip with audio, or samples [channels, samples] and their rate in Hz


def _keywords(kind: str, *without: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function the options of a node as keywords, in its signature and its help too."""
    node = BY_KIND[kind]
    options = [option for option in node.options if option.name not in ("packed", *without)]

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        plain = inspect.signature(function, eval_str=True)
        own = [one for one in plain.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        names = [*(one.name for one in own), *(option.name for option in options)]

        @functools.wraps(function)
        def checked(*positional: P.args, **named: P.kwargs) -> R:
            if unknown := next((name for name in named if name not in names), None):
                [near] = get_close_matches(unknown, names, 1, 0)
                raise TypeError(f"{function.__name__}() has no keyword {unknown!r}; did you mean {near!r}?")
            return function(*positional, **named)

        signature = plain.replace(parameters=[*own, *map(_parameter, options)])
        vars(checked)["__signature__"] = signature  # which inspect reads
        text = inspect.cleandoc(function.__doc__ or "")  # none under python -OO
        checked.__doc__ = f"{text}\n\nKeywords of the node {node.name}:\n\n{_listed(options)}"
        return checked

    return declare


def _parameter(option: Option) -> Parameter:
    kind = type(option.default)
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=option.default, annotation=kind)


def _listed(options: Iterable[Option]) -> str:
    lines = (f"{option.name}: {option.text}" for option in options)
    return "\n".join(fill(line, 110, subsequent_indent="    ") for line in lines)


@_keywords("extract", "video", "folder", "index")
def open(path: str | os.PathLike, **options) -> Clip:
    """Open a video file as a clip; ``"sample"`` is the clip that the package ships.

        clip = stereoreel.open("film.mkv", start=60, duration=10)
        print(clip.info.width, clip.info.height, clip.info.fps, clip.info.frames, clip.info.cuts)

    Raise FileNotFoundError or ValueError if there is no video to read, ValueError if an option is out of
    range.
    """
    if not isinstance(path, (str, os.PathLike)):
        got = type(path).__name__
        raise TypeError(f"open takes the path of a video, not {got}. Use from_tensor for frames.")
    node, path = BY_KIND["extract"], os.fspath(path)
    with naming(node.name):
        settings = build.settings_of(node, {**options, "video": path})
        return open_file(FILE if path == SAMPLE else Path(path), settings, node.name)


def from_tensor(
    images: Tensor | np.ndarray,
    fps: Fraction | float | str = 24,
    *,
    cuts: bool = True,
    sensitivity: float = 0.5,
    audio: Audio | None = None,
) -> Clip:
    """Make a clip of frames ``[N, H, W, C]``, or ``[2, N, H, W, C]`` for the left and the right view.

        clip = stereoreel.from_tensor(numpy.stack(pictures), fps="24000/1001")

    Frames are uint8, or float 0..1; C is 1 for depth (near = 1), 3 for RGB, 4 with alpha. ``cuts`` and
    ``sensitivity`` are those of ``open``. ``audio`` is a clip to take the audio from, or samples
    ``[channels, samples]`` in -1..1 and their rate in Hz.
    """
    images = as_tensor(images, "from_tensor")
    images = images if images.is_floating_point() else images.float() / 255
    pair = images.ndim == 5 and len(images) == 2
    images = torch.cat([*images], dim=2) if pair else images
    clip = Clip(TensorSource(images, parse_fps(fps), cuts, "from_tensor", _sound(audio), sensitivity))
    return graph.apply(Split("from_tensor"), clip)["clip"] if pair else clip


@_keywords("upscale")
def upscale(clip: Clip, **options) -> Clip:
    """Upscale each frame independently.

    large = stereoreel.upscale(clip, model="realesrgan-x2plus", factor=2)
    """
    return _stage("upscale", {"clip": clip}, options)["clip"]


@_keywords("vsr")
def vsr(clip: Clip, **options) -> Clip:
    """Upscale with the help of neighbouring frames: less noise and flicker.

    large = stereoreel.vsr(clip, factor=2)
    """
    return _stage("vsr", {"clip": clip}, options)["clip"]


@_keywords("interpolate")
def interpolate(clip: Clip, *, depth: Clip | None = None, **options) -> Clip | tuple[Clip, Clip]:
    """Change the frame rate by interpolation; the duration stays.

        smooth = stereoreel.interpolate(clip, multiplier=2)
        smooth, smooth_depth = stereoreel.interpolate(clip, depth=depth, target_fps="60")

    Return a clip, or with ``depth``, which is warped by the same motion, the clip and the depth.
    """
    result = _stage("interpolate", {"clip": clip, "depth": depth}, options)
    return result["clip"] if depth is None else (result["clip"], result["depth"])


@_keywords("depth")
def depth(clip: Clip, *, depth: Clip | None = None, text: Clip | None = None, **options) -> Clip:
    """Estimate one depth map per frame: a clip of one channel, near = 1.

        depth = stereoreel.depth(clip, smoothing=0.9)

    With ``depth`` from another program no model runs: that depth is made temporally stable, and its edges
    follow those of the frames. ``text`` is a mask of burned-in text, white, of every frame or of one for all;
    without it, text is found.
    """
    return _stage("depth", {"clip": clip, "depth": depth, "text": text}, options)["depth"]


@_keywords("stereo")
def stereo(clip: Clip, depth: Clip, **options) -> Clip:
    """Make a clip of two views, left and right, from frames and their depth.

        pair = stereoreel.stereo(clip, depth, divergence=2.5)

    The depth has a frame for each of the clip's; its size may differ.
    """
    return _stage("stereo", {"clip": clip, "depth": depth}, options)["clip"]


@_keywords("switch")
def shot_switch(noisy: Clip, clean: Clip, *, source: Clip | None = None, **options) -> Clip:
    """Take noisy and compressed shots from one clip, and all others from another of the same size and rate.

        mixed = stereoreel.shot_switch(stereoreel.vsr(clip), stereoreel.upscale(clip))

    Of each shot only the clip that it comes from is computed. ``source`` is measured, by default the clip
    that both are made of.
    """
    return _stage("switch", {"noisy": noisy, "clean": clean, "source": source}, options)["clip"]


def _stage(kind: str, inputs: Mapping[str, Clip | None], options: Mapping) -> dict:
    """Return the outputs of a stage node. Raise TypeError for an input that is not a clip."""
    node = BY_KIND[kind]
    with naming(node.name):
        _check_clips(**inputs)
        return dict(build.stage(node, inputs, options, ""))


def _check_clips(**inputs) -> None:
    for name, clip in inputs.items():
        if clip is not None and not isinstance(clip, Clip):
            got = type(clip).__name__
            raise TypeError(f"{name} takes a clip, not {got}. Create one with open or from_tensor.")


@dataclass(frozen=True)
class Own(Weightless):
    """A stage that is a function over the chunks of one shot."""

    joint = False
    work: Callable[[Iterator[Tensor]], Iterable[Tensor]]
    label: str

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        taken = result = 0

        def given() -> Iterator[Tensor]:
            nonlocal taken
            for chunk in chunks:
                taken += len(chunk)
                yield chunk

        read, size = given(), (shot.info.height, shot.info.width, shot.info.channels)
        for chunk in self.work(read):
            if not isinstance(chunk, Tensor) or chunk.ndim != 4 or chunk.shape[1:] != size:
                got = list(chunk.shape) if isinstance(chunk, Tensor) else type(chunk).__name__
                raise ValueError(f"yield tensors [T, {', '.join(map(str, size))}], not {got}.")
            result += len(chunk)
            yield chunk
        deque(read, 0)  # counts the frames that the function did not take
        if result != taken:
            raise ValueError(
                f"{result} frames were yielded for {taken} taken. Yield as many as the function takes."
            )


def apply(clip: Clip, stage: Callable[[Iterator[Tensor]], Iterable[Tensor]]) -> Clip:
    """Insert your own function as a stage: a generator over the chunks of one shot.

        def warmer(chunks):
            for chunk in chunks:                     # [T, H, W, 3], float 0..1, on the host's device
                yield (chunk * chunk.new_tensor([1.1, 1, 0.9])).clamp(0, 1)

        clip = stereoreel.apply(clip, warmer)

    It is called once for each shot, and for each view of a pair, and yields as many frames as it takes, of
    the same size. Chunks can hold any number of frames, and other stages may read them too: do not change
    them in place. What the function remembers from chunk to chunk is a local variable, so it never crosses a
    cut.
    """
    _check_clips(clip=clip)
    return graph.apply(Own(stage, getattr(stage, "__name__", type(stage).__name__)), clip)["clip"]


@_keywords("encode", "filename_prefix", "format", "save_to_temp", "device")
def write(
    clip: Clip,
    path: str | os.PathLike,
    *,
    depth: Clip | None = None,
    audio: Audio | None = None,
    overwrite: bool = False,
    format: str | None = None,
    watch_on: str = "none",
    device: str | torch.device | None = None,
    host: Host | None = None,
    **options,
) -> list[Path]:
    """Compute a clip and write it into a file; return the paths of all files, the clip's first.

        stereoreel.write(pair, "film_3d.mp4", layout="half_sbs", depth=depth)

    ``depth`` becomes a video of its own in the same pass (``film_3d_depth.mp4``), or part of the frame in the
    layout rgbd. ``audio`` replaces the clip's audio, as in ``from_tensor``. Without ``format`` the suffix
    selects it: h264 for .mp4, prores for .mov, ffv1 for .mkv, webp and gif for theirs. png, png16, exr and
    exr32 write a folder of pictures, whose name is ``path``. The file appears under its name when it is
    complete. ``watch_on`` names the device on which it is watched, such as ``"meta_quest"``, as the widget
    ``device`` of Encode Video does. ``host`` names the device and finds the weights; by default it is
    ``Headless(device)``, on the best device of this machine.

    Raise, before the first frame: FileExistsError unless ``overwrite`` is set, ValueError if the path is a
    source or does not suit the format, FileNotFoundError if weights are missing.
    """
    node, path = BY_KIND["encode"], Path(path)
    with naming(node.name):
        _check_clips(clip=clip, depth=depth)
        check_name(path, "path")
        wanted = {**options, "device": watch_on}
        if format or watch_on == NONE:
            wanted["format"] = format or _format(path)
        settings = build.settings_of(node, wanted)
        clip, depth, settings = watched(clip, depth, settings)
        suffix = extension(settings)
        if not suffix:
            check_folder_name(path)
        elif path.suffix.lower() != suffix:
            raise ValueError(
                f"The format {settings.format} writes {suffix} files, not {path.name}. "
                f"Write to {path.with_suffix(suffix).name}, or leave format out."
            )
        run = film if _in_units([one for one in (clip, depth) if one], settings) else render.write
        request = RenderRequest(clip, path, settings, depth, _sound(audio), overwrite=overwrite)
    return run(request, host or Headless(device))


def _format(path: Path) -> str:
    """Return the first format with this path's suffix."""
    formats: dict[str, str] = {}
    for name, entry in presets().items():
        if entry.extension:
            formats.setdefault(entry.extension, name)
    if path.suffix.lower() not in formats:
        raise ValueError(
            f"The name {path.name} implies no format. Use one of the suffixes {', '.join(formats)}."
        )
    return formats[path.suffix.lower()]


def _in_units(clips: list[Clip], settings) -> bool:
    """Whether to write in units; never if a stage is a function, because a job could not see it change."""
    recipes = [maker.recipe for maker in makers_of(clips) if isinstance(maker, Step)]
    own = next((recipe.label for recipe in recipes if isinstance(recipe, Own)), None)
    if own and settings.resume == "on":
        raise ValueError(f"A film made with your own function {own} cannot be resumed. Set resume to off.")
    return not own and resumes(clips[0], settings)


def _sound(audio: Audio | None) -> Soundtrack | Samples | None:
    if isinstance(audio, Clip):
        if audio.info.audio is None:
            raise ValueError("The clip passed as audio has no audio. Leave audio out.")
        return audio.info.audio
    return audio and Samples(torch.as_tensor(audio[0]), int(audio[1]))


def frames(
    clip: Clip,
    *,
    chunk_frames: int | None = None,
    device: str | torch.device | None = None,
    host: Host | None = None,
) -> Generator[Tensor, None, None]:
    """Compute a clip's frames, a chunk at a time: float32 tensors ``[T, H, W, C]`` in 0..1, in system RAM.

        for chunk in stereoreel.frames(clip):
            for frame in chunk.numpy():
                print(frame.shape, frame.mean())

    Two views come as ``[2, T, H, W, C]``, left first. ``chunk_frames`` is the largest T; a memory budget
    chooses it by default. Closing the generator stops all stages and threads. ``device`` and ``host`` are
    those of ``write``.
    """
    _check_clips(clip=clip)
    return _frames(clip, host or Headless(device), chunk_frames)


def _frames(clip: Clip, host: Host, chunk_frames: int | None) -> Generator[Tensor, None, None]:
    with closing(pull(clip, host, chunk_frames)) as chunks:
        for (chunk,) in chunks:
            yield chunk.to("cpu", torch.float32, copy=True)  # the pull's own are read-only inference tensors
