"""Peak memory of a run, and the extra memory of a film long enough to fill chunks and the encoder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from ...core import excerpt
from ...core.clip import Clip, ClipInfo, Step
from ...core.host import Host
from ...core.meter import Cost, Meter, give_back, reset_peak, resident
from ...core.transforms import Weightless
from ...media.write.encode import Writer
from ...media.write.options import EncodeOptions, extension
from ...media.write.request import files_of

FULL = 128  # frames after which every encoder has begun to output
SETTLED = 24  # output frames until an encoder's memory is stable


class Footprint:
    """Peak memory above the current use, of the process and of the GPU; 0 if it is not reported."""

    def __init__(self, device: torch.device):
        self._device = device
        give_back()
        self.base, self._highest = resident(), 0
        self._exact = reset_peak()
        self._gpu = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def look(self) -> int:
        """Return the current bytes beyond those at the start."""
        now = resident()
        self._highest = max(self._highest, now)
        return now - self.base

    @property
    def peak(self) -> int:
        self.look()
        highest = resident("VmHWM") if self._exact else self._highest
        return max(0, highest - self.base)

    @property
    def gpu(self) -> int:
        return torch.cuda.max_memory_allocated(self._device) - self._gpu if self._device.type == "cuda" else 0


def missing_chunk_bytes(clips: Sequence[Clip], meter: Meter) -> tuple[int, int]:
    """Return the bytes by which a film's chunks exceed those of excerpts: of sources, and of stages.

    Excerpts end before a chunk is full. The result is twice what one chunk lacks, because one chunk is still
    read while the next is computed. Stages with output chunks shorter than their input choose that size
    themselves.
    """
    sources = stages = 0
    chunks: dict[int, tuple[int, int]] = {}  # by maker: frames that it computed at a time, and that it will
    for maker in excerpt.makers_of(clips):
        cost = meter.costs.get(maker.label, Cost())
        length, full = cost.chunk, min(cost.most, excerpt.infos_of(maker)[0].frames)
        if isinstance(maker, Step):
            given, given_full = chunks[id(maker.inputs[0].maker)]
            full = min(full, given_full) if length >= given else length
        chunks[id(maker)] = length, max(length, full)
        lacking = 2 * max(0, full - length) * sum(info.frame_bytes for info in excerpt.infos_of(maker))
        if not isinstance(maker, Step):
            sources += lacking
        elif not isinstance(maker.recipe, Weightless):  # those pass on what they get
            stages += lacking
    return sources, stages


def growth(clips: Sequence[Clip], settings: EncodeOptions, frames: int, host: Host, until: float) -> int:
    """Return the bytes that the encoders take beyond those for ``frames`` frames, due to their look-ahead.

    Grey frames are written until the first packets come out, or until ``until`` of ``time.monotonic``.
    """
    if frames >= FULL or not resident():
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="stereoreel-", ignore_cleanup_errors=True) as folder,
        ExitStack() as open_files,
    ):
        give_back()
        writers = []
        for file in files_of(list(clips), Path(folder) / f"grey{extension(settings)}", settings):
            info = clips[file.clip].info.replace(audio=None, times=None)
            writer = open_files.enter_context(Writer(file.path, info, file.settings))
            writers.append(
                (writer, _grey(info), _grey(info.replace(views=1, channels=1)) if file.shows_depth else None)
            )
        before = highest = resident()
        ended = 0
        for number in range(1, FULL + 1):
            for writer, grey, depth in writers:
                writer.write(grey, depth)
            host.tick(0, 1)
            highest = max(highest, resident())
            if number <= frames:
                before = highest
            ended += all(writer.coded for writer, *_ in writers)
            if (ended > SETTLED and number > frames) or time.monotonic() > until:
                break
        return highest - before


def _grey(info: ClipInfo) -> Tensor:
    """Return one frame that costs an encoder next to nothing."""
    grey = torch.full((1, info.height, info.width, info.channels), 0.5)
    return grey.expand(2, *grey.shape) if info.views == 2 else grey
