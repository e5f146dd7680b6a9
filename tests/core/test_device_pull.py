"""A whole pull on a simulated GPU: from decoded planes to the encoder's, through all stages."""

import math
from fractions import Fraction
from types import SimpleNamespace

import pytest

from stereoreel.core.clip import Clip, ClipInfo, apply
from stereoreel.core.meter import Meter
from stereoreel.core.options import resolve
from stereoreel.core.pull import pull
from stereoreel.media import colour
from stereoreel.media.layouts.arrangement import arranged
from stereoreel.media.read.device_rgb import PlaneBlock, PlaneReader
from stereoreel.media.write.picture import Pictures
from stereoreel.media.yuv import PlaneFormat
from stereoreel.stages import interpolate, stereo, upscale
from stereoreel.stages.depth import builtin as builtin_depth
from stereoreel.stages.depth.light import SIDE
from tests.stages import test_device_costs as stages
from tests.support import cuda_stand_in as cuda

WIDTH, HEIGHT, FRAMES = 64, 48, 64
OPTIONS = {
    "Upscale": (upscale, {"factor": 1.5}),
    "Interpolate": (interpolate, {}),
    "Depth": (None, {}),
    "Stereo": (stereo, {}),
}


class Decoded:
    """A source whose frames are the decoder's planes, in pinned memory."""

    label = "Decoded"

    def __init__(self):
        self.info = ClipInfo(WIDTH, HEIGHT, Fraction(25), FRAMES)
        self.form = PlaneFormat.named("yuv420p")
        facts = SimpleNamespace(
            rotation=0, views=None, alpha=False, pictures=(), is_float=False, bit_depth=8, full_range=False,
            color=colour.BT709,
        )  # fmt: skip
        self.read = 0
        self.reader = PlaneReader(facts, (WIDTH, HEIGHT))

    def chunks(self, host, frames):
        for _ in range(0, FRAMES, frames):
            block = PlaneBlock(self.reader.empty(frames, self.form, True), self.form)
            self.read += frames
            yield self.reader.rgb(block, host.device)


class Ready:
    """A recipe whose stage is loaded."""

    def __init__(self, label, stage):
        self.label, self.stage = label, stage
        self.kind, self.given = OPTIONS[label]

    def describe(self, *infos):
        if self.kind is None:
            return infos[0].replace(channels=1)
        return self.kind.describe(resolve(self.kind.OPTIONS, self.given), *infos)

    def load(self, host):
        return self.stage


# stages, source frames after which the batches of depth fall alike, launches of an encoded frame at most, and
# what crosses the bus for each source frame but planes, as a part of what Interpolate gets
CHAINS = {
    "default": (stages.interpolated, stages.depth_of(stages.depth_nets.TINY, edges="smooth"), 22, 170),
    "builtin": (stages.interpolated_by_flow, stages.depth_by_motion, 8, 260),
}


def crossing(name, height, width):
    """Return the bytes that cross the bus for each source frame, but those of the files' planes."""
    if name == "default":
        # two thumbnails of which depth knows the light, and luma in which Interpolate finds text
        return 2 * 4 * (1 + SIDE * SIDE) + height * width
    # both frames' small colours and depth; small luma and nine bytes for each cell of the motion's grid
    small = math.prod(builtin_depth.working_size(height, width))
    return 2 * 8 * small + height * width // 4 + 9 * height * width // 16


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_never_waits_for_the_gpu(name, monkeypatch, tmp_path):
    """At each encoded frame: no wait, no new memory, and no bytes but those of the files' planes."""
    between, deep, period, launches = CHAINS[name]
    with cuda.device(monkeypatch) as device:
        device.answer = cuda.usual
        made = {
            "Upscale": stages.upscaled(device, tmp_path),
            "Interpolate": between(device, tmp_path),
            "Depth": deep(device, tmp_path),
            "Stereo": stages.pair(device, tmp_path, fill="stretch"),
        }
        source = Decoded()
        clip, host = Clip(source), SimpleNamespace(
            device=cuda.CUDA, place=lambda nets, memory: nets, tick=lambda done, total: None
        )  # fmt: skip
        for label in ("Upscale", "Interpolate"):
            clip = apply(Ready(label, made[label]), clip)["clip"]
        depth = apply(Ready("Depth", made["Depth"]), clip)["clip"]
        pair = apply(Ready("Stereo", made["Stereo"]), clip, depth)["clip"]
        width, height = 2 * clip.info.width, clip.info.height
        writer, waiting, frames = Pictures((width, height), colour.BT709, "yuv420p"), [], 0

        def write(chunk):
            nonlocal frames
            for frame in chunk.split(1, dim=-4):
                waiting.append(writer.quantize(arranged(frame, "full_sbs")))
                frames += 1
                if len(waiting) > 2:
                    waiting.pop(0)._values.wait()

        # one that follows memory, so that stages take turns in the thread of the simulation
        chunks = pull(pair, host, 2, Meter(memory=True))
        # through a whole period after the first frame, so that the most blocks of each size have been in use
        write(*next(chunks))
        warm = source.read + period
        while source.read < warm:
            write(*next(chunks))
        first = frames
        with device.counted() as found:
            while source.read < warm + period:
                write(*next(chunks))
        chunks.close()
        [cost], count = found, frames - first
        assert period <= count <= 3 * period  # chunks end at different places in every stage
        form = PlaneFormat.named("yuv420p")
        planes = period * form.count(HEIGHT, WIDTH) + count * form.count(height, width)
        others = period * crossing(name, height, width // 2)
        print(cost.a_frame(count), (cost.up + cost.down) / planes)
        assert cost.waits == [] and cost.allocations == 0
        assert planes <= cost.up + cost.down - others <= 1.05 * planes
        assert cost.launches <= launches * count
