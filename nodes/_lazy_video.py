"""A VIDEO whose frames are computed on demand."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

from torch import Tensor

from ..stereoreel.core.clip import Clip, Color, Source, Step, apply, makers_of
from ..stereoreel.core.options import resolve
from ..stereoreel.core.tensor_source import TensorSource
from ..stereoreel.core.transforms import EARLY, Crop, Recolored, SideBySide, Trim, frame_at
from ..stereoreel.media import colour
from ..stereoreel.media.read.audio import read_audio
from ..stereoreel.media.write.file_type import SPEEDS, USUAL, FileType, file_type
from ..stereoreel.media.write.options import OPTIONS
from ..stereoreel.media.write.render import write
from ..stereoreel.media.write.request import RenderRequest
from ..stereoreel.media.write.stream_copy import copy_video
from ..stereoreel.models.lazy_stage import Plan
from ._comfy import VideoComponents, VideoInput
from ._host import ComfyHost, scratch
from ._not_a_batch import NotABatch
from ._notes import NodeMeter
from ._resize import Resized
from ._saved_files import SavedFiles

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's name of the container in which the stream source is written


class LazyVideo(NotABatch, VideoInput):
    """ComfyUI's VIDEO over a clip. Only reading frames or audio, or writing a file, starts computation.

    A clip of two views is shown as full side by side. What was written once is copied when it is asked for
    again.
    """

    def __init__(self, clip: Clip):
        self.clip = clip
        self._saved = SavedFiles()
        self._passing: dict[Path, weakref.finalize] = {}

    @property
    def shown(self) -> Clip:
        return apply(SideBySide(), self.clip)["clip"] if self.clip.info.views == 2 else self.clip

    def get_dimensions(self) -> tuple[int, int]:
        info = self.clip.info
        return info.width * info.views, info.height

    def get_display_dimensions(self) -> tuple[int, int]:
        return self.get_dimensions()

    def get_duration(self) -> float:
        return float(self.clip.info.duration)

    def get_frame_count(self) -> int:
        return self.clip.info.frames

    def get_frame_rate(self) -> Fraction:
        return self.clip.info.mean_fps

    def get_container_format(self) -> str:
        return MP4

    def get_bit_depth(self) -> int:
        """Return the bits of a sample in the source of the frames; 8 for frames made from depth."""
        clip = self.clip
        while isinstance(clip.maker, Step):
            if clip.info.channels == 1:
                return 8
            clip = clip.maker.inputs[0]
        return getattr(clip.maker, "bit_depth", 8)

    def get_color_space(self) -> str:
        return colour.SPACE_OF_TRANSFER.get(self.clip.info.color.transfer, "sRGB")

    def get_active_trim_window(self) -> tuple[float, float]:
        """Return no window, because the stream source holds the trimmed frames only."""
        return 0.0, 0.0

    def has_pending_frame_edits(self) -> bool:
        """Return False, because the stream source holds the frames as they are."""
        return False

    def as_trimmed(
        self, start_time: float | None = None, duration: float | None = None, strict_duration: bool = False
    ) -> LazyVideo | None:
        """Return the frames from ``start_time`` on, for ``duration`` seconds (0: to the end); None without
        any.

        A negative start counts from the end. With ``strict_duration`` also None for a shorter rest.
        """
        info = self.clip.info
        start, lasts = Fraction(start_time or 0), Fraction(duration or 0)
        if start < 0:
            start = max(Fraction(0), info.duration + start)
        first = frame_at(info, start)
        stop = max(first + 1, frame_at(info, start + lasts)) if lasts else info.frames
        if first >= info.frames or (strict_duration and start + lasts - info.duration > EARLY):
            return None
        return LazyVideo(apply(Trim(first, stop), self.clip)["clip"])

    def as_cropped(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> LazyVideo:
        """Return a crop, clamped to even coordinates and sizes; an empty or full one changes nothing."""
        if min(int(width), int(height)) <= 0:
            return self
        shown = self.shown
        whole = shown.info.width, shown.info.height
        left, top = (min(max(0, int(at)), edge - 1) // 2 * 2 for at, edge in zip((x, y), whole))
        size = min(int(width), whole[0] - left), min(int(height), whole[1] - top)
        even = size[0] // 2 * 2, size[1] // 2 * 2
        if size == whole or not all(even):
            return self
        return LazyVideo(apply(Crop(left, top, *even), shown)["clip"])

    def as_resized(
        self,
        width: int,
        height: int,
        upscale_method: str,
        crop: str = "disabled",
        post_crop: tuple[int, int, int, int] | None = None,
    ) -> LazyVideo:
        """Return the frames resized as by ComfyUI's own node, then cut to ``post_crop``, to the pixel."""
        clip = apply(Resized(int(width), int(height), upscale_method, crop), self.shown)["clip"]
        return LazyVideo(clip) if post_crop is None else LazyVideo(clip).as_cut(*post_crop)

    def as_cut(self, x: int, y: int, width: int, height: int) -> LazyVideo:
        """Return a crop to the pixel, at odd coordinates and sizes too."""
        return LazyVideo(apply(Crop(int(x), int(y), int(width), int(height)), self.shown)["clip"])

    def get_components(self) -> VideoComponents:
        from ._images import as_batches

        images = as_batches({"clip": self.clip}, ComfyHost())["clip"]
        samples = read_audio(self.clip.info.audio) if self.clip.info.audio is not None else None
        audio = samples and {"waveform": samples[0], "sample_rate": samples[1]}
        return VideoComponents(images=images, audio=audio, frame_rate=self.clip.info.mean_fps)

    def save_to(
        self,
        path,
        format="auto",
        codec="auto",
        metadata: dict | None = None,
        bit_depth: int | None = None,
        crf: float | None = None,
        color_space: str | None = None,
        preset: str | None = None,
        **newer,
    ) -> None:
        """Write the video to ``path``, a file or a BytesIO.

        Raise ValueError, before the first frame, for words that are not known or do not fit together.
        """
        if unknown := [name for name, value in newer.items() if value is not None]:
            raise ValueError(f"StereoReel cannot save with {', '.join(unknown)}. Leave it out.")
        stream = hasattr(path, "write")
        wanted = file_type(
            _word(format),
            _word(codec),
            bits=bit_depth,
            native=self.get_bit_depth(),
            crf=crf,
            speed=self._effort(preset),
            suffix="" if stream else Path(path).suffix,
        )
        clip = self._colored(color_space)
        tags = {key: json.dumps(value) for key, value in (metadata or {}).items()}
        if not stream:
            self._write(clip, Path(path), wanted, tags)
            return
        with self._file(clip, wanted, tags, passing=True).open("rb") as written:
            shutil.copyfileobj(written, path)

    def get_stream_source(self) -> str:
        """Return a file in ComfyUI's temp folder, written on first use."""
        return str(self._file(self.shown, file_type(native=self.get_bit_depth()), {}))

    def _comfy_cache_tensors(self) -> list[Tensor]:
        """Return what ComfyUI's cache counts as this output's memory."""
        sources = (maker for maker in makers_of([self.clip]) if isinstance(maker, TensorSource))
        return [tensor for source in sources for tensor in source.tensors]

    def _effort(self, preset: str | None) -> str | None:
        """Return the encoder preset to use.

        Models take longer than any encoder. So a preview of their frames is compressed as usual, and the file
        that is saved next is a copy of it.
        """
        steps = [maker for maker in makers_of([self.clip]) if isinstance(maker, Step)]
        hasty = preset in SPEEDS[: SPEEDS.index(USUAL)]
        return None if hasty and any(isinstance(step.recipe, Plan) for step in steps) else preset

    def _colored(self, space: str | None) -> Clip:
        """Return the shown clip in a colour space; raise ValueError if that would need a conversion."""
        if space in (None, "auto"):
            return self.shown
        if space not in colour.SPACES:
            raise ValueError(f"Unknown colour space {space!r}. Choose one of {', '.join(colour.SPACES)}.")
        color = self.clip.info.color
        own = colour.SPACE_OF_TRANSFER.get(color.transfer)
        if own == space:
            return self.shown
        if own is None or (color == Color() and isinstance(_source(self.clip), TensorSource)):
            return apply(Recolored(colour.SPACES[space]), self.shown)["clip"]
        raise ValueError(
            f"This video is {own} and colours are not converted, so it cannot be saved as {space}. "
            f"Choose {own} or auto."
        )

    def _write(self, clip: Clip, path: Path, type: FileType, tags: Mapping[str, str]) -> None:
        """Write a file, which is replaced, like ComfyUI's own VIDEO; copy it if one has these frames."""
        color = clip.info.color
        if found := self._saved.find(type, color):
            copy_video(found.path, path, type.entry.container, tags, ComfyHost().tick)
            type = found.type
        else:
            settings = resolve(OPTIONS, {"format": type.codec})
            write(
                RenderRequest(clip, path, settings, metadata=tags, overwrite=True, entry=type.entry),
                ComfyHost(),
                meter=NodeMeter(),
            )
        self._saved.add(path, type, color, tags)

    def _file(self, clip: Clip, type: FileType, tags: Mapping[str, str], passing: bool = False) -> Path:
        """Return a complete file of this type. A new one is in the temp folder; if it is only ``passing``, it
        is removed when this VIDEO is.
        """
        found = self._saved.find(type, clip.info.color, tags)
        if found and found.tags == tags:
            if found.path in self._passing and not passing:
                self._passing.pop(found.path).detach()
            return found.path
        file = scratch() / f"stereoreel_{uuid4().hex}{type.extension}"
        self._write(clip, file, type, tags)
        if passing:
            self._passing[file] = weakref.finalize(self, _remove, file)
        return file


def _word(value) -> str:
    """Return a member of ComfyUI's enumerations, or a plain string, as its word."""
    return str(getattr(value, "value", value))


def _source(clip: Clip) -> Source:
    """Return the source of a clip's frames: that of the first input of each step."""
    while isinstance(clip.maker, Step):
        clip = clip.maker.inputs[0]
    return clip.maker


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink()
