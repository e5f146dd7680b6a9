"""A VIDEO whose frames are computed on demand."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from ..stereoreel.core.clip import Clip, apply
from ..stereoreel.core.options import resolve
from ..stereoreel.core.transforms import Crop, SideBySide, Trim, frame_at
from ..stereoreel.media.read.audio import read_audio
from ..stereoreel.media.write.options import OPTIONS, extension
from ..stereoreel.media.write.render import write
from ..stereoreel.media.write.request import RenderRequest
from ._comfy import VideoComponents, VideoInput
from ._host import ComfyHost, scratch

FORMATS = {
    "auto": "h264",
    "h264": "h264",
    "hevc": "hevc",
    "h265": "hevc",
    "av1": "av1",
    "prores": "prores",
    "ffv1": "ffv1",
}

TENSOR = {
    "shape",
    "ndim",
    "dim",
    "size",
    "dtype",
    "device",
    "movedim",
    "permute",
    "clone",
    "cpu",
    "to",
    "float",
}


class LazyVideo(VideoInput):
    """ComfyUI's VIDEO over a clip. Only reading frames or audio, or writing a file, starts computation.

    A clip of two views is shown as full side by side.
    """

    def __init__(self, clip: Clip):
        self.clip = clip
        self._file: Path | None = None

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError; say what to do if another node takes the VIDEO for an IMAGE batch."""
        if name in TENSOR:
            raise AttributeError(f"A VIDEO has no {name}: put Get Video Components between.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def shown(self) -> Clip:
        return apply(SideBySide(), self.clip)["clip"] if self.clip.info.views == 2 else self.clip

    def get_dimensions(self) -> tuple[int, int]:
        info = self.clip.info
        return info.width * info.views, info.height

    def get_duration(self) -> float:
        return float(self.clip.info.duration)

    def get_frame_count(self) -> int:
        return self.clip.info.frames

    def get_frame_rate(self) -> Fraction:
        return self.clip.info.mean_fps

    def get_container_format(self) -> str:
        return "mp4"

    def get_bit_depth(self) -> int:
        return 8

    def get_color_space(self) -> str:
        return "sRGB"

    def get_active_trim_window(self) -> tuple[float, float]:
        return 0.0, 0.0

    def as_trimmed(
        self, start_time: float | None = None, duration: float | None = None, strict_duration: bool = False
    ) -> LazyVideo | None:
        info = self.clip.info
        start = start_time or 0.0
        first = frame_at(info, start if start >= 0 else max(Fraction(0), info.duration + Fraction(start)))
        stop = (
            frame_at(info, info.time(min(first, info.frames)) + Fraction(duration))
            if duration
            else info.frames
        )
        if first >= info.frames or (
            strict_duration and duration and info.time(stop) - info.time(first) < duration - 1 / info.mean_fps
        ):
            return None
        return LazyVideo(apply(Trim(first, stop), self.clip)["clip"])

    def as_cropped(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> LazyVideo:
        """Return a crop, clamped to even coordinates; an empty or full one changes nothing."""
        shown = self.shown
        whole = shown.info.width, shown.info.height
        left, top = (min(max(0, place), edge) // 2 * 2 for place, edge in zip((x, y), whole))
        wide, high = (
            min(size, edge - begin) // 2 * 2 for size, edge, begin in zip((width, height), whole, (left, top))
        )
        if wide <= 0 or high <= 0 or (wide, high) == whole:
            return self
        return LazyVideo(apply(Crop(left, top, wide, high), shown)["clip"])

    def get_components(self) -> VideoComponents:
        from ._images import as_batches

        images = as_batches({"clip": self.clip}, ComfyHost())["clip"]
        samples = read_audio(self.clip.info.audio) if self.clip.info.audio is not None else None
        audio = samples and {"waveform": samples[0], "sample_rate": samples[1]}
        return VideoComponents(images=images, audio=audio, frame_rate=self.clip.info.mean_fps)

    def save_to(
        self, path, format="auto", codec="auto", metadata: dict | None = None, crf: int | None = None, **newer
    ) -> None:
        """Write the video to ``path``, a file or a BytesIO. Raise ValueError if the codec is not
        supported.
        """
        name = str(getattr(codec, "value", codec))
        if name not in FORMATS:
            raise ValueError(f"StereoReel cannot write {name}. Choose one of: {', '.join(FORMATS)}.")
        settings = resolve(OPTIONS, {"format": FORMATS[name], **({} if crf is None else {"crf": int(crf)})})
        notes = {key: json.dumps(value) for key, value in (metadata or {}).items()}
        suffix = extension(settings)
        wanted = "auto" if hasattr(path, "write") else Path(path).suffix.lower() or "auto"
        if wanted not in ("auto", suffix) or str(getattr(format, "value", format)) not in (
            "auto",
            suffix[1:],
        ):
            raise ValueError(
                f"StereoReel writes {name} as {suffix}. Choose that format, or use Encode Video for others."
            )
        if not hasattr(path, "write"):
            # replaces the file, like ComfyUI's own VIDEO
            request = RenderRequest(self.shown, Path(path), settings, metadata=notes, overwrite=True)
            write(request, ComfyHost())
            return
        file = self._spill(settings, notes)
        try:
            with file.open("rb") as written:
                shutil.copyfileobj(written, path)
        finally:
            file.unlink()

    def get_stream_source(self) -> str:
        """Return a file in ComfyUI's temp folder, written on first use."""
        if self._file is None or not self._file.exists():
            self._file = self._spill(resolve(OPTIONS, {}), {})
        return str(self._file)

    def _spill(self, settings, notes: dict) -> Path:
        """Write the video to a new file in ComfyUI's temp folder."""
        file = scratch() / f"stereoreel_{uuid4().hex}{extension(settings)}"
        write(RenderRequest(self.shown, file, settings, metadata=notes), ComfyHost())
        return file
