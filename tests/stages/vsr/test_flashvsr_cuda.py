"""FlashVSR on a simulated CUDA device: streams, graphs, synchronisation and compilation."""

import gc
import weakref
from collections import Counter
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.nets import flashvsr, flashvsr_decoder, wan_vae
from stereoreel.stages.vsr import OPTIONS
from stereoreel.stages.vsr.flashvsr import FlashVSR, attention, plan
from stereoreel.stages.vsr.flashvsr.denoise import Denoiser
from tests.support import cuda_stand_in as cuda
from tests.support import flashvsr_nets as tiny

# frames of a shot as they come: with the end that is repeated three chunks are made of them, and two
LONG, SHORT = (25, 8), (25, 1)


@pytest.fixture
def device(monkeypatch):
    with cuda.device(monkeypatch) as made:
        yield made


def stage(device, dtype=torch.float16, **options):
    with device.away():  # networks of the stand-in cannot change their type
        decoder = (
            flashvsr_decoder.load(tiny.decoder_state()).joined().to(dtype, memory_format=torch.channels_last)
        )
        nets = tiny.folded().to(dtype), tiny.projector().to(dtype), decoder
        nets[0].dtype = dtype
    return FlashVSR(*map(device.moved, nets), resolve(OPTIONS, {"attention": "dense", **options}), cuda.CUDA)


def shot(made, groups, width=60, on_group=lambda: None):
    """Yield the stage's output for a shot in groups, each taken when it is ready."""

    def frames():
        for count in groups:
            group = torch.rand(count, 40, width, 3, device=cuda.CUDA)
            on_group()
            yield group

    for out in made(Shot(0, ClipInfo(width, 40, Fraction(25), sum(groups))), frames()):
        yield out * 1


@pytest.fixture(scope="module")
def played():
    """Return what the device saw of a stage that processed a long and a short shot and is gone."""
    seen = SimpleNamespace(begun=[], taken=[], graphs=[], waits=[])
    with pytest.MonkeyPatch.context() as patch, cuda.device(patch) as device:
        made, before = stage(device, color="none"), len(device.ops)
        ahead, side = made.ahead.stream, made.side.stream

        def now():
            return SimpleNamespace(
                ahead=ahead.seen.copy(), side=side.seen.copy(), main=device.main.seen.copy()
            )

        for _ in shot(made, LONG, on_group=lambda: seen.begun.append(now())):
            seen.taken.append(now())
        seen.graphs.append((device.recorded, device.replays))
        list(shot(made, SHORT, on_group=lambda: seen.waits.append(len(device.waits))))
        seen.graphs.append((device.recorded, device.replays))
        seen.waits.append(len(device.waits))
        seen.ops, seen.ahead, seen.side = device.ops[before:], ahead, side
        remembered = weakref.ref(made.idle[0])
        gc.disable()
        try:
            del made
            seen.gone = remembered() is None
            device.collect()
        finally:
            gc.enable()
    return seen


def test_simulation_detects_a_blocking_copy(device):
    torch.ones(3).to(cuda.CUDA, non_blocking=True)
    torch.empty(3, pin_memory=True).to(cuda.CUDA)
    assert len(device.waits) == 2
    torch.empty(3, pin_memory=True).to(cuda.CUDA, non_blocking=True)
    assert len(device.waits) == 2


def test_simulation_detects_a_race_of_streams(device):
    numbers, other = torch.ones(3, device=cuda.CUDA), cuda.Stream()
    with pytest.raises(AssertionError, match="does not wait"), device.on(other):
        numbers + 1
    other.wait_stream(device.main)
    with device.on(other):
        numbers + 1


def test_simulation_detects_memory_freed_too_early(device):
    numbers, other = torch.ones(3, device=cuda.CUDA), cuda.Stream()
    other.wait_stream(device.main)
    with device.on(other):
        numbers + 1
    del numbers
    with pytest.raises(AssertionError, match="given back"):
        device.collect()


def test_simulation_detects_mixed_devices_and_synchronisation(device):
    numbers = torch.ones(3, device=cuda.CUDA)
    with pytest.raises(RuntimeError, match="device"):
        numbers + torch.ones(3)
    with pytest.raises(Exception, match="_local_scalar_dense"):
        numbers.sum().item()


def test_frames_do_not_wait_for_later_chunks(played):
    for taken, later in zip(played.taken, played.begun[1:]):
        assert taken.ahead[played.ahead] > later.ahead[played.ahead] >= taken.main[played.ahead]


def test_decoding_overlaps_with_the_next_chunk(played):
    for begun, taken in zip(played.begun[1:], played.taken):
        assert taken.side[played.side] > begun.side[played.side] > taken.ahead[played.side]


def test_chunk_is_recorded_once_and_replayed(played):
    assert played.graphs == [(1, 2), (1, 3)]


def test_later_shots_never_synchronise(played):
    assert len(played.waits) == 3 and len(set(played.waits)) == 1


def test_state_is_freed_with_the_stage(played):
    """Immediately, not at the next garbage collection, because it is most of the memory."""
    assert played.gone


def test_every_convolution_takes_channels_last(played):
    layers = [op.given[0] for op in played.ops if "convolution" in op.name]
    assert len(layers) > 100 and all(strides[1] == 1 for _, _, strides, _ in layers)


@pytest.mark.parametrize(("dtype", "options"), [
    (torch.bfloat16, {"store": "cpu", "color": "wavelet"}), (torch.float32, {"store": "int8", "tile": 384}),
], ids=["cpu", "tiles"])  # fmt: skip
def test_no_synchronisation_after_the_first_chunk(device, dtype, options):
    """The device raises if streams race, or if dtypes or devices are mixed."""
    waits = []
    made = list(
        shot(
            stage(device, dtype, **options),
            SHORT,
            200 if "tile" in options else 60,
            lambda: waits.append(len(device.waits)),
        )
    )
    assert list(map(len, made)) == [21, 5] and all(out.dtype == torch.float32 and out.is_cuda for out in made)
    assert device.waits[waits[1] :] == []


def test_full_decoder_needs_no_copy(device):
    with device.away():
        net = wan_vae.load(tiny.vae_state()).half()
    made, _ = device.moved(net)(torch.rand(1, 16, 8, 8, device=cuda.CUDA, dtype=torch.float16), None)
    assert made.shape == (1, 3, 64, 64) and not device.waits


def test_steady_chunks_are_equal_for_the_device(device):
    """Equal operations on equal memory with equal arguments, so that one recording serves all chunks."""
    made = stage(device)
    denoise = Denoiser(made.dit, 128, 256, plan.Plan("device", 3, 0, 0), made.options, cuda.CUDA)
    region, asked = denoise.regions[0], []
    for index in range(4):
        frames = 6 if index == 0 else 2
        if index < 2:
            shapes = (frames, 16, 16, 32), (frames * 128, 256)
            given = [
                *(torch.empty(shape, device=cuda.CUDA, dtype=made.dtype) for shape in shapes),
                *region.angles(0, frames),
            ]
        region.cache.begin(index)
        before, there = len(device.ops), set(device.places)
        denoise.chunk(region.cache, *given)
        asked.append(
            [op._replace(known=[one for one in op.known if one in there]) for op in device.ops[before:]]
        )
    assert len(asked[1]) > 100 and asked[1] == asked[2] == asked[3] != asked[0]


def test_out_of_memory_in_a_graph_continues_without_it(device, monkeypatch):
    def none():
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", none)
    assert sum(map(len, shot(stage(device, color="none"), SHORT))) == 26 and not device.replays


def test_flex_attention_receives_exactly_the_visible_blocks():
    seen = torch.rand(2, 4, 7, generator=torch.Generator().manual_seed(2)) < 0.4
    seen[0, 1], seen[1, 2] = False, True
    pytest.importorskip("torch.nn.attention.flex_attention", reason="this torch has no FlexAttention")
    mask = attention.block_mask(seen)
    assert getattr(mask, "seq_lengths", (512, 896)) == (512, 896) and mask.BLOCK_SIZE == (128, 128)
    assert mask.to_dense()[0].bool().equal(seen) and not mask.kv_num_blocks.any()
    assert mask.full_kv_num_blocks[0].equal(seen.sum(-1).int())
    for head, row in torch.cartesian_prod(torch.arange(2), torch.arange(4)):
        some = mask.full_kv_indices[0, head, row, : mask.full_kv_num_blocks[0, head, row]]
        assert some.tolist() == seen[head, row].nonzero().flatten().tolist()


@torch.inference_mode()
def test_blocks_share_one_compilation_without_graph_breaks():
    net, compiled = tiny.folded(), Counter()

    def counted(name, half):
        def backend(graph, given):
            compiled[name] += 1
            return graph.forward

        return torch.compile(half, backend=backend, fullgraph=True, dynamic=False)

    given = (
        torch.randn(2, 16, 16, 16),
        torch.randn(128, 256),
        flashvsr.Angles(8, 8, torch.device("cpu"))(0, 2),
    )
    plain = net(*given, lambda block, q, k, v: q + v)
    net.project, net.finish = counted("project", net.project), counted("finish", net.finish)
    torch.testing.assert_close(net(*given, lambda block, q, k, v: q + v), plain)
    assert len(net.blocks) == 2 and compiled == {"project": 1, "finish": 1}
