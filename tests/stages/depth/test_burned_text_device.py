"""Looking for burned-in text, which is on by default, does not make a GPU wait."""

from collections import deque
from fractions import Fraction

import numpy as np
import pytest
import torch

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.image.burned_text.block import Shown
from stereoreel.image.burned_text.lumas import SIDE, Lumas, frame_luma
from stereoreel.stages.depth.burned_text import ASKED, TextPlanes, _Planes
from tests.support import cuda_stand_in as cuda

WIDTH, HEIGHT, TOGETHER = 1280, 544, 4
SEARCHED = SIDE * 408  # bytes of a frame's luma


@pytest.fixture
def device(monkeypatch):
    with cuda.device(monkeypatch) as made:
        made.answer = cuda.usual
        yield made


class Near:
    """A model that launches work for each chunk."""

    joint, nets = False, ()

    def __call__(self, shot, frames):
        for chunk in frames:
            yield chunk[..., :1] * 0.5


def test_frames_without_text_cost_only_their_luma(device):
    frames = (torch.rand(TOGETHER, HEIGHT, WIDTH, 3, device=cuda.CUDA) for _ in range(40))
    work = TextPlanes(Near(), False)(Shot(0, ClipInfo(WIDTH, HEIGHT, Fraction(25), 160)), frames)
    for _ in range(40):
        next(work)
    with device.counted() as found:
        for _ in range(4 * TOGETHER):
            next(work)
    assert found[0].waits == [] and found[0].allocations == 0
    assert found[0].down == 4 * TOGETHER * SEARCHED and found[0].up == 0


def test_the_plane_of_a_block_waits_only_where_the_block_appears(device):
    with device.away():
        mask = np.ones((20, 100), np.uint8)
    texts, depths = deque(), deque()
    planes = _Planes(texts, depths, False)

    def one_more():
        texts.append([Shown(0, mask, (40.0, 30.0), (408, 960), 0, True)])
        depths.append(torch.rand(HEIGHT, WIDTH, 1, device=cuda.CUDA))
        return list(planes.ready(ASKED))

    for _ in range(ASKED):
        assert not one_more()
    with device.counted() as first:
        assert one_more()
    with device.counted() as later:
        for _ in range(8):
            assert one_more()
    assert len(first[0].waits) <= 1 and later[0].waits == []


def test_luma_is_about_that_of_frames_on_a_cpu():
    """The frames of a GPU are averaged over whole pixels, those of a CPU over parts of pixels too."""
    from stereoreel.image.burned_text.lumas import _reduced_there

    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    frame = (
        torch.stack([(rows / 40).sin(), (columns / 30).cos(), ((rows + columns) / 50).sin()], -1) / 2 + 0.5
    )
    here, there = frame_luma(frame), _reduced_there(frame[None])[0].numpy()
    assert here.shape == there.shape == (408, 960)
    assert np.abs(here.astype(int) - there).max() <= 3
    frame[100:300, 200:600] = torch.nan
    assert len(list(Lumas(frame[None]))) == 1 and frame_luma(frame)[150, 300] == 0
