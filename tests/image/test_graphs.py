"""Functions recorded as CUDA graphs: which shapes are, how often they are replayed, and the way back."""

import pytest
import torch

from stereoreel.image.compute import Graphs
from stereoreel.image.flow import _levels, _weighted, grayscale
from tests.support import cuda_stand_in as cuda


@pytest.fixture
def device(monkeypatch):
    with cuda.device(monkeypatch) as made:
        yield made


def double(batch):
    return batch * 2


def images(count):
    return torch.ones(count, 3, device=cuda.CUDA)


def test_a_shape_that_comes_again_is_recorded_once(device):
    run = Graphs(double, repeated=True)
    counts = []
    for count in (2, 1, 2, 2, 2):
        assert run(images(count)).shape == (count, 3)
        counts.append((device.recorded, device.replays))
    assert counts == [(0, 0), (0, 0), (1, 1), (1, 2), (1, 3)]
    run.forget()
    run(images(2))
    assert device.recorded == 1


def test_batches_that_keep_the_device_busy_are_not_recorded(device):
    run = Graphs(double, most=6)
    for count in (2, 3):
        run(images(count))
    assert device.recorded == 1


def test_what_cannot_be_recorded_runs_as_it_is(device, monkeypatch, caplog):
    def refuse(*given, **options):
        raise RuntimeError(
            "operation not permitted when stream is capturing.\nCompile with TORCH_USE_CUDA_DSA"
        )

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    run = Graphs(double)
    assert [run(images(count)).shape[0] for count in (1, 2)] == [1, 2]
    assert caplog.messages == [
        "A model runs without CUDA graphs, because recording one failed (operation not permitted when stream "
        "is capturing)."
    ]


def test_without_memory_for_a_graph_this_shape_runs_as_it_is(device, monkeypatch):
    """A graph needs memory of its own; without memory for the function itself the caller decides."""
    tried, graph = [], torch.cuda.graph

    def none_for_two(*given, **options):
        tried.append(1)
        if len(tried) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return graph(*given, **options)

    monkeypatch.setattr(torch.cuda, "graph", none_for_two)
    run = Graphs(double)
    run(images(1))
    assert [run(images(2)).shape[0] for _ in range(2)] == [2, 2]
    assert len(tried) == 2 and not run.recorded  # whose memory is free again
    run(images(1))
    assert len(tried) == 3 and len(run.recorded) == 1

    def full(batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Graphs(full)(images(1))


def test_luma_of_a_gpu_is_that_of_a_processor():
    frames = torch.rand(2, 20, 30, 3, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    there = _levels(_weighted(frames, (0.299, 0.587, 0.114))).int().numpy()
    assert abs(there - grayscale(frames)).max() <= 1 and (there != grayscale(frames)).mean() < 0.001
    grey = frames[..., :1]
    assert (_levels(_weighted(grey, (0.299,))).numpy() == grayscale(grey)).all()


def test_a_byte_of_each_pixel_of_a_gpu_is_copied(device):
    device.answer = cuda.usual
    frames = torch.rand(2, 20, 30, 3, device=cuda.CUDA)
    with device.counted() as found:
        assert grayscale(frames).shape == (2, 20, 30)
    assert (found[0].up, found[0].down) == (0, 2 * 20 * 30)
