"""Measure footage from short runs of frames spread over it.

Only sampled frames are decoded (and those that a codec needs for them), with one run in memory at a time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ...core.clip import Clip, ClipInfo
from ...core.host import Host
from .blocks import Blocks
from .finding import Finding
from .flicker import Flicker
from .interlacing import Interlacing
from .luma_source import LumaSource
from .motion import Cuts, Motion
from .noise import Noise
from .repeats import Repeats
from .spectrum import Spectrum
from .windows import Window, sample_spans, windows


@dataclass(frozen=True)
class Measured:
    """The clip's facts, the findings by name, and how many frames were sampled and could not be decoded."""

    info: ClipInfo
    findings: dict[str, Finding]
    seen: int
    damaged: int = 0

    def text(self) -> str:
        """Return the clip's facts in a line."""
        info = self.info
        damaged = f", {self.damaged} of them corrupt (they repeat the previous frame)" if self.damaged else ""
        return (
            f"{info.width}x{info.height}, {float(info.fps):.4g} fps, {info.frames} frames, {self.seen} "
            f"sampled{damaged}"
        )

    def figures(self) -> dict:
        """Return everything as plain numbers and texts, ready for JSON."""
        info = self.info
        facts = {
            "width": info.width,
            "height": info.height,
            "fps": float(info.fps),
            "frames": info.frames,
            "seconds": float(info.duration),
        }
        findings = {name: dataclasses.asdict(found) for name, found in self.findings.items()}
        return {"clip": facts, "seen": self.seen, "damaged": self.damaged, "findings": findings}


def measure(clip: Clip, host: Host, samples: int = 12, window: int = 8) -> Measured:
    """Measure a clip from ``samples`` runs of ``window`` frames, or from all of a shorter clip.

    A file's luma is measured as coded, before any deinterlacing; of other clips the frames are pulled, and a
    stereo pair's left view counts.
    """
    source = LumaSource.of(clip)
    info = source.info if source else clip.info
    known = bool(info.cuts) or (source is not None and source.searched)
    families = _Families()
    seen = damaged = 0
    for run in windows(clip, host, sample_spans(info.frames, max(1, samples), max(1, window))):
        seen += len(run.luma) - run.own
        damaged += len(run.repeated)
        families.add(run)
    return Measured(info, families.findings(info, known), seen, damaged)


class _Families:
    """All measurements, fed with one window after the other."""

    def __init__(self) -> None:
        self.noise, self.blocks, self.spectrum, self.interlacing = (
            Noise(),
            Blocks(),
            Spectrum(),
            Interlacing(),
        )
        self.repeats, self.motion, self.flicker, self.cuts = Repeats(), Motion(), Flicker(), Cuts()

    def add(self, window: Window) -> None:
        for family in (self.noise, self.blocks, self.spectrum):
            family.add(window)
        cuts = self.cuts.add(window)
        repeats = self.repeats.add(window)
        self.interlacing.add(window, cuts)
        self.motion.add(window, cuts, repeats)
        self.flicker.add(window, cuts, repeats)

    def findings(self, info: ClipInfo, known: bool) -> dict[str, Finding]:
        sigma = self.noise.sigma
        return {
            **self.noise.findings(info),
            **self.blocks.findings(info),
            **self.spectrum.findings(info, sigma),
            **self.interlacing.findings(info),
            **self.repeats.findings(info),
            **self.motion.findings(info),
            **self.flicker.findings(info, sigma),
            **self.cuts.findings(info, known),
        }
