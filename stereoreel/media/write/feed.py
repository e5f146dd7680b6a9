"""What the writers of files get: frames as RGB, or a file's planes if nothing on their way needs RGB.

That is a file whose frames are trimmed or resized by Lanczos and encoded in the same matrix and range, on a
CPU: its planes are resized each by itself, with a fraction of the work and of the rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from ...core import cancel
from ...core.clip import Clip, ClipInfo, Recipe, Shot, Source, Step, apply, makers_of, substituted
from ...core.host import Host
from ...core.transforms import EveryNth, Relabelled, Trim
from .. import colour
from ..plane_frames import PlaneFrames, PlaneScaler
from ..read.decode import FileSource
from .encode import Writer
from .options import EncodeOptions, preset
from .presets import Preset
from .request import ClipFile
from .sized import SizedWriter

KEEP_PIXELS = (EveryNth, Relabelled, Trim)  # recipes that choose frames, or change what is known of them
LABEL = "Encode"


@dataclass(frozen=True)
class Feed:
    """The clips that are pulled, and what the chunks of the first one hold if they are ``planes``."""

    clips: list[Clip]
    planes: PlaneFrames | None = None

    @classmethod
    def of(
        cls, clips: Sequence[Clip], settings: EncodeOptions, host: Host, entry: Preset | None = None
    ) -> Feed:
        """Return how to pull clips.

        The first one is encoded; the others are its depth, or are shown.
        """
        entry = entry or preset(settings)
        suits = len(clips) == 1 and host.device.type == "cpu" and not settings.hardware
        found = _in_planes(clips[0], entry, host) if suits else None
        return found or cls(list(clips))

    def write(self, writer: Writer | SizedWriter, file: ClipFile, chunks: tuple[Tensor, ...]) -> None:
        """Queue the frames of a file."""
        if self.planes:
            writer.write_planes(chunks[0], self.planes)
        else:
            writer.write(chunks[file.clip], chunks[1] if file.shows_depth else None)

    def shown(self, chunks: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the chunks as RGB."""
        return (self.planes.rgb(chunks[0], self.clips[0].info.color),) if self.planes else chunks


@dataclass(frozen=True, eq=False)
class _InPlanes:
    """A stage that resizes planes ``source`` to ``target`` instead of what ``recipe`` does with RGB.

    Without one it converts them for the encoder, at the same size.
    """

    source: PlaneFrames
    target: PlaneFrames
    recipe: Recipe | None = None
    framewise = True

    @property
    def label(self) -> str:
        return self.recipe.label if self.recipe else LABEL

    def describe(self, clip: ClipInfo) -> ClipInfo:
        described = self.recipe.describe(clip) if self.recipe else clip
        assert isinstance(described, ClipInfo)
        return described

    def load(self, host: Host) -> _Scaling:
        if self.recipe:
            self.recipe.load(host)  # which says what model runs
        return _Scaling(PlaneScaler(self.source, self.target), self.target)


class _Scaling:
    """The stage of ``_InPlanes``."""

    joint = False

    def __init__(self, scale: PlaneScaler, target: PlaneFrames):
        self.nets: list[nn.Module] = []
        self._scale, self._target = scale, target

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            scaled = self._target.empty(len(chunk))
            for values, out in zip(chunk.flatten(1), scaled.flatten(1)):
                cancel.check()
                self._scale(values, out)
            yield scaled


def _in_planes(clip: Clip, entry: Preset, host: Host) -> Feed | None:
    """Return the feed of a clip in planes; None if it needs RGB."""
    target = _of_encoder(clip.info, entry)
    makers = makers_of([clip])
    source, *steps = makers
    if target is None or not isinstance(source, FileSource) or clip.info.channels != source.info.channels:
        return None
    changing = [step for step in steps if not _keeps_pixels(step)]
    if len(changing) > 1 or not all(_resamples(step, host) for step in changing):
        return None
    if not _same_matrix(source.info, clip.info) or (frames := _of_source(source)) is None:
        return None
    if frames.form.bits > target.form.bits:  # swscale would dither
        return None
    given = source.in_planes(frames)

    def substitute(maker: Source | Step) -> Source | Step:
        if maker is source:
            return given
        if isinstance(maker, Step) and maker in changing:
            return replace(maker, recipe=_InPlanes(frames, target, maker.recipe))
        return maker

    [found] = substituted([clip], substitute)
    if not changing and frames != target:
        found = apply(_InPlanes(frames, target), found)["clip"]
    return Feed([found], target)


def _of_encoder(info: ClipInfo, entry: Preset) -> PlaneFrames | None:
    """Return what the encoder gets of a clip, if that is planes of its frames as they are."""
    plain = info.views == 1 and info.channels == 3 and info.alpha is None
    whole = not entry.limits and not entry.pictures and not entry.multiview
    if not (plain and whole and PlaneFrames.fits(info.width, info.height, entry.pix_fmt)):
        return None
    return PlaneFrames(info.width, info.height, entry.pix_fmt)


def _keeps_pixels(maker: Source | Step) -> bool:
    return isinstance(maker, Step) and len(maker.inputs) == 1 and isinstance(maker.recipe, KEEP_PIXELS)


def _resamples(maker: Source | Step, host: Host) -> bool:
    """Whether a step only enlarges frames, all of them: bars are kept apart from the picture."""
    if not isinstance(maker, Step) or len(maker.inputs) != 1 or maker.inputs[0].info.bars:
        return False
    before, after = maker.inputs[0].info, maker.infos.get("clip")
    larger = after is not None and after.width >= before.width and after.height >= before.height
    resamples = getattr(maker.recipe, "resamples", None)
    return larger and resamples is not None and resamples(host)


def _same_matrix(one: ClipInfo, other: ClipInfo) -> bool:
    matrices = [colour.SWSCALE_MATRIX.get(info.color.matrix) for info in (one, other)]
    return matrices[0] is not None and matrices[0] == matrices[1]


def _of_source(source: FileSource) -> PlaneFrames | None:
    try:
        return source.plane_frames
    except (OSError, ValueError):  # the pull says what is wrong with the file
        return None
