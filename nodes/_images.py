"""Convert ComfyUI's values and clips: IMAGE, MASK and VIDEO in, IMAGE and MASK batches out."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import torch
from torch import Tensor

from ..stereoreel.core.clip import Clip, Samples, apply
from ..stereoreel.core.pull import pull
from ..stereoreel.core.tensor_source import TensorSource, new_batch
from ..stereoreel.core.timeline import parse_fps
from ..stereoreel.core.transforms import Recolored, Split
from ..stereoreel.media import colour
from ..stereoreel.media.read.decode import FileSource
from ..stereoreel.media.read.probe import probe
from ..stereoreel.workflow.build import DEFAULT_RATE, check_rate
from ._comfy import VideoFromFile, VideoInput
from ._host import ComfyHost, scratch, working_device, working_type
from ._notes import NodeMeter


def as_clip(
    value, label: str, *, fps=None, packed: str = "mono", depth: bool = False, cuts: bool = True
) -> Clip:
    """Return the value of a stage socket as a clip; raise TypeError for any other type.

    ``cuts``: whether to detect those of a batch, unless it is a depth.
    """
    if isinstance(value, VideoInput):
        clip = _from_video(value, label, cuts=not depth)
        check_rate(clip, fps)
        return clip
    if not isinstance(value, Tensor) or value.ndim not in (3, 4):
        raise TypeError(
            f"{label}: {type(value).__name__} is not supported. "
            f"Connect an IMAGE batch or a VIDEO{' or a MASK' if depth else ''}."
        )
    images = value if value.ndim == 4 else value[..., None]
    images = images[..., :1] if depth else images
    rate = parse_fps(fps) if fps is not None else DEFAULT_RATE
    clip = Clip(TensorSource(images, rate, cuts=cuts and not depth, label=label))
    return apply(Split(label), clip)["clip"] if packed == "full SBS" else clip


def as_depth(value, clip, label: str, packed: str) -> Clip | None:
    """Return the value of a depth socket; a depth shaped like a batch of stereo pairs is a pair too."""
    if value is None:
        return None
    batches = isinstance(value, Tensor) and isinstance(clip, Tensor)
    pair = batches and value.shape[1] * clip.shape[2] == value.shape[2] * clip.shape[1]
    return as_clip(value, label, packed=packed if pair else "mono", depth=True)


def _from_video(video: VideoInput, label: str, cuts: bool) -> Clip:
    from ._lazy_video import LazyVideo

    if isinstance(video, LazyVideo):
        return video.clip
    known = ComfyHost.adopted.setdefault(video, {})
    if cuts not in known:
        known[cuts] = _adopt(video, label, cuts)
    return known[cuts]


def _adopt(video: VideoInput, label: str, cuts: bool) -> Clip:
    """Return another pack's VIDEO as a clip: from its file and its edits, or else from its tensor."""
    if (isinstance(video, VideoFromFile) or _joins_files(video)) and (clip := _from_file(video, cuts)):
        return clip
    parts = video.get_components()
    audio = parts.audio and Samples(parts.audio["waveform"][0], int(parts.audio["sample_rate"]))
    source = TensorSource(
        parts.images,
        Fraction(parts.frame_rate),
        cuts=cuts,
        label=label,
        audio=audio,
        bit_depth=getattr(video, "get_bit_depth", lambda: 8)(),
    )
    space = getattr(video, "get_color_space", lambda: "auto")()
    if space not in colour.SPACES or space == "sRGB":
        return Clip(source)
    return apply(Recolored(colour.SPACES[space]), Clip(source))["clip"]


def _from_file(video: VideoInput, cuts: bool) -> Clip | None:
    """Return a window of a VIDEO's file, with its crops and sizes; None if they are of an unknown kind."""
    from ._lazy_video import LazyVideo

    source = video.get_stream_source()
    if not isinstance(source, (str, Path)):
        path = scratch() / f"stereoreel_{uuid4().hex}.video"
        path.write_bytes(source.read())
        source = path
    host, path = ComfyHost(), Path(source)
    start, duration = _window(video, path)
    clip = Clip(
        FileSource(path, start=start, duration=duration, cuts=cuts, tick=host.tick, files=host.file_cache)
    )
    facts, edits = probe(path, host.file_cache), _edits(video)
    sizes = sorted(facts.coded), sorted((facts.width, facts.height))
    pending = edits or getattr(video, "has_pending_frame_edits", bool)()
    if not pending and sorted(video.get_dimensions()) in sizes:
        return clip
    if not edits or sizes[0] != sizes[1] or any(kind not in EDITS for kind, *_ in edits):
        return None
    edited = LazyVideo(clip)
    for kind, *numbers in edits:
        edited = EDITS[kind](edited, *numbers)
    return edited.clip if edited.get_dimensions() == video.get_dimensions() else None


def _joins_files(video: VideoInput) -> bool:
    """Whether a VIDEO of newer ComfyUI joins complete files, whose packets its stream source holds."""
    files = getattr(video, "videos", None) or []
    return bool(files) and all(
        isinstance(file, VideoFromFile) and not _edits(file) and not any(file.get_active_trim_window())
        for file in files
    )


EDITS = {  # how newer ComfyUI notes them
    "crop_aligned": lambda video, *rectangle: video.as_cropped(*rectangle),
    "crop": lambda video, *rectangle: video.as_cut(*rectangle),
    "scale": lambda video, *size: video.as_resized(*size),
}


def _edits(video: VideoInput) -> list[tuple]:
    """Return the edits of a file VIDEO in newer ComfyUI, which shows them by no public method."""
    crop = getattr(video, "_VideoFromFile__crop", None)
    return getattr(video, "_VideoFromFile__spatial_ops", None) or ([("crop_aligned", *crop)] if crop else [])


def _window(video: VideoInput, file: Path) -> tuple[float, float]:
    """Return a file VIDEO's start and duration in seconds (0: to the end); negative starts are resolved."""
    if hasattr(video, "get_active_trim_window"):
        return video.get_active_trim_window()
    start, duration = (
        getattr(video, f"_VideoFromFile__{name}", 0) or 0 for name in ("start_time", "duration")
    )
    if start < 0:
        start = max(0, float(probe(file, ComfyHost.file_cache).duration) + start)
    return start, duration


def as_batches(
    clips: dict[str, Clip], host: ComfyHost, masks: frozenset[str] = frozenset()
) -> dict[str, Tensor]:
    """Compute all clips as batches, in one pull.

    IMAGE is ``[N, H, W, 3 or 4]`` (two views side by side), MASK ``[N, H, W]``.
    """
    batches = {name: _empty(clip, name in masks) for name, clip in clips.items()}
    place = 0
    with closing(pull(list(clips.values()), host, meter=NodeMeter())) as chunks:
        for made in chunks:
            for name, chunk in zip(clips, made):
                _fill(batches[name], place, chunk, name in masks)
            place += made[0].shape[-4]
    return {name: batch[:place].to(working_device()) for name, batch in batches.items()}


def _empty(clip: Clip, mask: bool) -> Tensor:
    info = clip.info
    shape: tuple[int, ...] = (info.frames, info.height, info.width * info.views)
    shape = shape if mask else (*shape, max(3, info.channels))
    return new_batch(shape, torch.float32 if mask else working_type(), scratch())


def _fill(batch: Tensor, place: int, chunk: Tensor, mask: bool) -> None:
    count = chunk.shape[-4]
    for eye, view in enumerate(chunk if chunk.ndim == 5 else [chunk]):
        width = view.shape[2]
        part = batch[place : place + count, :, eye * width : (eye + 1) * width]
        part.copy_(view[..., 0] if mask else view)
