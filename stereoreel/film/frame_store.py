"""Keep a stage's output on disk, so that downstream changes do not recompute it.

An example is ten hours of depth, reused for another divergence. Kept frames are rounded to 16 bits, whether
they are computed or read, so that both are equal. They are stored unit by unit while a film is computed, in a
file named after everything they depend on: source, stages, options, weights and frame numbers.
"""

from __future__ import annotations

import json
import logging
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import torch
from torch import Tensor

from ..core.clip import Clip, ClipInfo, Shot, Source, Step, substituted
from ..core.excerpt import makers_of, spans_of
from ..core.files import PartFile, save_text, sha256
from ..core.host import Host
from ..core.keep import FORMATS, WHITE, Keep, levels
from ..core.options import Options
from ..media.paths import confine_prefix
from ..media.read.container import open_media
from .identity import described, digest
from .job_root import read_json

log = logging.getLogger(__name__)


def kept_folders(clips: Sequence[Clip], root: Path) -> list[Path]:
    """Return the folders below ``root`` in which the frames of these clips are kept."""
    return [
        confine_prefix(maker.recipe.root, root)
        for maker in makers_of(clips)
        if isinstance(maker, Step) and isinstance(maker.recipe, Keep)
    ]


class FrameStore:
    """Kept frames of clips in folders below ``root``; ``applied_to`` inserts them into an excerpt."""

    def __init__(self, clips: Sequence[Clip], host: Host, root: Path):
        self._files: dict[int, Path] = {}
        known: dict[int, dict] = {}
        for maker in makers_of(clips):
            if isinstance(maker, Step) and isinstance(maker.recipe, Keep):
                made_of = described(maker.inputs, Options(), host, known)
                self._files[id(maker.recipe)] = confine_prefix(maker.recipe.root, root) / digest(made_of)

    def applied_to(self, parts: Sequence[Clip]) -> list[Clip]:
        """Return the excerpt, reading frames that are kept and recording frames that are not."""
        return substituted(parts, self._kept)

    def _kept(self, maker: Source | Step) -> Source | Step:
        """Return the substitute for a maker."""
        if not isinstance(maker, Step) or not isinstance(maker.recipe, Keep):
            return maker
        info = next(iter(maker.infos.values()))
        name = "_".join(f"{start}-{stop}" for start, stop in spans_of(info))
        file = self._files[id(maker.recipe)] / f"{name}.nut"
        if file.is_file() and not _complete(file, info):
            log.warning("%s was corrupt, so its frames are computed again.", file)
            file.unlink()
        if file.is_file():
            return StoredFrames(file, info, maker.label)
        return replace(maker, recipe=_Keeping(file, maker.label))


def _complete(file: Path, info: ClipInfo) -> bool:
    """Whether a file of kept frames is unchanged; without a record, whether it has all its frames.

    The decoder cannot detect it, because it conceals slices with a wrong checksum.
    """
    record = read_json(_record(file)) if _record(file).is_file() else None
    if isinstance(record, dict):
        return record == _facts(file)
    try:
        with open_media(file) as container:
            count = sum(packet.size > 0 for packet in container.demux(video=0))
    except (ValueError, IndexError, av.error.FFmpegError):
        return False
    return count == sum(stop - start for start, stop in spans_of(info))


def _record(file: Path) -> Path:
    return file.with_suffix(".json")


def _facts(file: Path) -> dict:
    return {"bytes": file.stat().st_size, "sha256": sha256(file)}


class StoredFrames:
    """Kept frames as a source; raises ValueError if the file is corrupt."""

    def __init__(self, file: Path, info: ClipInfo, label: str):
        self.file, self.info, self.label = file, info, label

    def chunks(self, host: Host, frames: int) -> Generator[Tensor, None, None]:
        """Yield all frames in order, at most ``frames`` a chunk."""
        waiting: list[Tensor] = []
        left = sum(stop - start for start, stop in spans_of(self.info))
        for picture in self._pictures():
            waiting.append(picture)
            left -= 1
            if len(waiting) == frames or not left:
                yield self._chunk(waiting).to(host.device)
                waiting = []
        if left:
            raise ValueError(self._corrupt)

    def _pictures(self) -> Iterator[Tensor]:
        try:
            with open_media(self.file) as container:
                for frame in container.decode(video=0):
                    yield torch.from_numpy(frame.to_ndarray().astype(np.float32)).view(
                        frame.height, frame.width, -1
                    )
        except av.error.FFmpegError as error:
            raise ValueError(self._corrupt) from error

    @property
    def _corrupt(self) -> str:
        return f"{self.file} is corrupt. Delete it and run again."

    def _chunk(self, frames: list[Tensor]) -> Tensor:
        chunk = torch.stack(frames).div_(WHITE)
        return torch.stack(chunk.chunk(2, dim=2)) if self.info.views == 2 else chunk


@dataclass(frozen=True)
class _Keeping:
    """Passes frames through and records them."""

    file: Path
    label: str

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip

    def load(self, host: Host) -> _Recorder:
        return _Recorder(self.file)


class _Recorder:
    """Writes the frames that pass; the file gets its final name after the last one."""

    nets: list = []
    joint = True

    def __init__(self, file: Path):
        self.file, self._written = file, 0
        self._container: av.container.OutputContainer | None = None

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        total = sum(stop - start for start, stop in spans_of(shot.info))
        with ExitStack() as undo:
            undo.callback(self._abandon)
            for chunk in chunks:
                rounded = levels(chunk)
                self._keep(rounded.cpu().numpy().astype(np.uint16), shot.info)
                if self._written == total:
                    self._finish()  # now, as the consumer does not resume after the last frame
                yield rounded.div(WHITE)
            undo.pop_all()  # more shots follow

    def _keep(self, chunk: np.ndarray, info: ClipInfo) -> None:
        pictures = np.concatenate(list(chunk), axis=2) if chunk.ndim == 5 else chunk
        if self._container is None:
            self._container = self._open(pictures.shape[2], pictures.shape[1], FORMATS[info.channels])
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(picture if picture.shape[-1] == 3 else picture[..., 0]), self._format
            )
            frame.pts, frame.time_base = self._written, Fraction(1, 25)
            self._container.mux(self._stream.encode(frame))
            self._written += 1

    def _open(self, width: int, height: int, form: str) -> av.container.OutputContainer:
        self._part, self._format = PartFile(self.file), form
        container = av.open(str(self._part.create().absolute()), "w", format="nut")
        weakref.finalize(self, self._part.discard)  # a film may be cancelled between two shots
        self._stream = container.add_stream(
            "ffv1", rate=25, options={"level": "3", "slicecrc": "1", "g": "1"}
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, form
        self._stream.codec_context.thread_type = "AUTO"
        return container

    def _finish(self) -> None:
        assert self._container
        self._container.mux(self._stream.encode(None))
        self._container.close()
        _record(self.file).unlink(missing_ok=True)
        self._part.publish()
        save_text(_record(self.file), json.dumps(_facts(self.file)), replace=True)

    def _abandon(self) -> None:
        """Remove a file that will not be complete."""
        if self._container is not None and self._written:
            self._container.close()
            self._part.discard()
