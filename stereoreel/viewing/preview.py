"""Preview a few frames of a clip before it is rendered: each view, and the depth in colours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..core.clip import Clip, apply
from ..core.excerpt import evenly_spaced, select_frames
from ..core.host import Host
from ..core.options import Options, option
from ..core.pull import pull
from ..core.transforms import Eye, Fit, squared
from ..media.layouts.anaglyph import dubois
from ..stages.depth.views import Colors
from .report import QUALITY, Report


@dataclass(frozen=True)
class PreviewOptions(Options):
    """Options of Preview Stereo."""

    samples: int = option(
        8,
        "Number of evenly spaced frames to preview. Only these frames, and those that the stages need around "
        "them, are computed.",
        low=1,
        high=64,
        step=1,
    )
    width: int = option(
        960,
        "Longer side of the images, in pixels; smaller frames keep their size.",
        low=64,
        high=4096,
        step=32,
    )


OPTIONS = PreviewOptions


class PreviewFrame(NamedTuple):
    """A frame of a clip: number, time, and images ``[H, W, 3]`` uint8 by name: left, right, depth."""

    frame: int
    seconds: float
    pictures: dict[str, np.ndarray]


def preview_frames(
    clip: Clip, depth: Clip | None, count: int, side: int, host: Host
) -> Iterator[PreviewFrame]:
    """Yield ``count`` evenly spaced frames of a clip; right and depth are absent if the clip has none."""
    numbers = evenly_spaced(clip.info.frames, count)
    seen, *depths = select_frames([clip] if depth is None else [clip, depth], numbers)
    eyes: dict[str, int | None] = {"left": 0, "right": 1} if clip.info.views == 2 else {"left": None}
    views = {
        name: seen if eye is None else apply(Eye(eye, "Look"), seen)["clip"] for name, eye in eyes.items()
    }
    for one in depths:
        one = apply(Eye(0, "Look"), one)["clip"] if one.info.views == 2 else one
        views["depth"] = apply(Colors(label="Look"), one)["clip"]
    small = [apply(Fit(side, "Look"), squared(view, "Look"))["clip"] for view in views.values()]
    with closing(pull(small, host, chunk_frames=1)) as chunks:
        for number, result in zip(numbers, chunks):
            pictures = {name: picture(chunk[0]) for name, chunk in zip(views, result)}
            yield PreviewFrame(number, float(clip.info.time(number) - clip.info.time(0)), pictures)


def report(clip: Clip, settings: PreviewOptions, host: Host, label: str, depth: Clip | None = None) -> Report:
    """Return a contact sheet with a row per frame, including an anaglyph of two views; its text is empty."""
    from PIL import Image

    from ..image.page import contact_sheet

    rows = []
    for look in preview_frames(clip, depth, settings.samples, settings.width, host):
        pictures = dict(look.pictures)
        if "right" in pictures:
            eyes = (torch.from_numpy(pictures[eye])[None] / 255 for eye in ("left", "right"))
            pictures["anaglyph"] = picture(dubois(*eyes)[0])
        when = f"frame {look.frame}, {look.seconds:.2f} s"
        rows.append([(f"{when}: {name}", Image.fromarray(pixels)) for name, pixels in pictures.items()])
    sheet = contact_sheet(rows, f"{len(rows)} of {clip.info.frames} frames")
    return Report("preview", "", {}, sheet, ".jpg")


def picture(frame: Tensor) -> np.ndarray:
    """Convert a frame ``[H, W, C]`` in 0..1 to uint8 ``[H, W, 3]``; one channel is grey, a fourth ignored."""
    frame = frame[..., :3].float().clamp(0, 1).mul(255).round().byte()
    return frame.expand(*frame.shape[:2], 3).cpu().numpy()


def save(look: PreviewFrame, folder: Path, stem: str) -> dict[str, Path]:
    """Write JPEG files ``<stem>_<frame>_<name>.jpg``, chroma not subsampled; return their paths by name."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{stem}_{look.frame:06}_{name}.jpg" for name in look.pictures}
    for name, path in paths.items():
        Image.fromarray(look.pictures[name]).save(path, quality=QUALITY, subsampling=0)
    return paths
