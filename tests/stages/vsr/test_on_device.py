"""Fusion where the frames are, against that on the host."""

import pytest
import torch

from benchmarks.support.coded_clips import coded
from benchmarks.support.vsr_scenes import MOVES, noisy, small
from stereoreel.analysis.metrics import psnr
from stereoreel.image.block_edges import block_step
from stereoreel.stages.vsr import on_device
from stereoreel.stages.vsr.builtin import Window
from stereoreel.stages.vsr.on_device import DeviceWindow

SAME = 50  # decibels


def on_host(frames, radius=2):
    window = Window(radius, 1.0)
    return torch.stack([fused for frame in frames for fused in window.push(frame)] + list(window.finish()))


def there(frames, together=3, radius=2):
    window = DeviceWindow(radius, 1.0)
    return torch.stack([frame for done in window.fused(iter(frames.split(together))) for frame in done])


@pytest.mark.parametrize("move", MOVES)
def test_frames_are_those_of_the_host(move):
    frames = noisy(small(move))
    here = on_host(frames)
    assert psnr(here, frames) < SAME - 5, "fusion changes them"
    assert psnr(there(frames), here) >= SAME


def test_a_clean_film_and_repeated_frames_pass():
    frames = small("truck")
    assert psnr(there(frames), on_host(frames)) >= SAME
    assert bool((there(frames[:1].expand(4, -1, -1, -1)) == frames[:1]).all())
    held = noisy(frames)[:3].repeat_interleave(2, 0)
    assert psnr(there(held), on_host(held)) >= SAME


def test_coded_frames_are_those_of_the_host():
    frames = coded((small("truck") * 255).byte().numpy(), "mjpeg 3")
    here = on_host(frames)
    assert psnr(here, frames) < 60, "fusion changes them"
    assert psnr(there(frames), here) >= SAME


def test_frames_of_other_kinds_pass():
    frames = noisy(small("pan"))[:4]
    grey, tiny = frames.mean(-1, keepdim=True), frames[:, :8, :9]
    for some in (grey, tiny, frames.half()):
        made = there(some)
        assert made.shape == some.shape and made.dtype == some.dtype
        assert psnr(made.float(), on_host(some).float()) >= SAME - 5
    frames[1, 20:30, 20:30] = torch.nan
    assert bool(there(frames)[0].isfinite().all())


def test_chunks_do_not_matter():
    frames = noisy(small("truck"))
    assert bool((there(frames, 1) == there(frames, 4)).all())


@pytest.mark.parametrize("shape", [(96, 160), (57, 83), (12, 40)])
def test_steps_between_blocks_are_those_of_the_host(shape):
    luma = (torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 60).to(torch.uint8)
    luma[:, 8::16] += 20
    assert float(on_device.block_step(luma)) == pytest.approx(block_step(luma.numpy()), abs=1e-3)
