"""Interpolation by optical flow where the frames are, against that on the host."""

from fractions import Fraction

import pytest
import torch

from benchmarks.support.scenes import Camera, street
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.stages.interpolate import OPTIONS
from stereoreel.stages.interpolate.builtin import FlowInterpolator
from stereoreel.stages.interpolate.on_device import DeviceFlow
from stereoreel.stages.interpolate.stage import InterpolationStage

WIDTH, HEIGHT = 330, 194
SAME, WITH_TEXT = 50, 45  # decibels; the strokes of letters are found in smaller lumas there


class ThereOnly(FlowInterpolator):
    """The way of a GPU, for frames on the host."""

    def begin(self, chunk):
        return DeviceFlow(self.quality).begin(chunk)

    def interpolate(self, wanted):
        return [DeviceFlow(self.quality).interpolate(one) for one in wanted]


def run(interpolator, frames, depth=None, together=2):
    views = 2 if frames.ndim == 5 else 1
    info = ClipInfo(frames.shape[-2], frames.shape[-3], Fraction(25), frames.shape[-4], views=views)
    stage = InterpolationStage(interpolator("fast"), resolve(OPTIONS, {}))
    given = [part.split(together, -4) for part in (frames, depth) if part is not None]
    made = list(stage(Shot(0, info), *given))
    return {port: torch.cat([one[port] for one in made], -4) for port in made[0]}


@pytest.fixture(scope="module")
def film():
    return street(3, WIDTH, HEIGHT, camera=Camera(truck=(9.0, 2.0), zoom=1.01)).clip(4)[0]


def with_text(frames):
    """Return frames with bars of a caption that stands still."""
    shown = frames.clone()
    for left in range(60, 260, 16):
        shown[:, 150:172, left : left + 7] = 1
        shown[:, 148:150, left : left + 9] = 0
    return shown


@pytest.mark.parametrize("kind", ["plain", "views", "text"])
def test_frames_are_those_of_the_host(film, kind):
    frames = {"plain": film, "views": torch.stack([film, film.roll(3, 2)]), "text": with_text(film)}[kind]
    depth = frames.mean(-1, keepdim=True)
    depth = depth[0] if kind == "views" else depth
    here, there = (run(how, frames, depth) for how in (FlowInterpolator, ThereOnly))
    for port in ("clip", "depth", "confidence"):
        assert there[port].shape == here[port].shape and there[port].dtype == here[port].dtype
        assert psnr(there[port], here[port]) >= (WITH_TEXT if kind == "text" else SAME), port


def test_chunks_do_not_matter(film):
    one, other = (run(ThereOnly, film, together=count) for count in (1, 4))
    torch.testing.assert_close(one["clip"], other["clip"], atol=1e-6, rtol=0)
