"""The FlashVSR stage with few channels: counts, sizes, laws, tiles and exact savings."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from stereoreel.core.clip import ClipInfo, Shot, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.nets import flashvsr_decoder
from stereoreel.stages.vsr import OPTIONS, describe
from stereoreel.stages.vsr.flashvsr import FlashVSR, plan, stream
from stereoreel.stages.vsr.flashvsr.denoise import Denoiser
from tests.support import flashvsr_nets as tiny
from tests.support.lookahead import lookahead

pytestmark = pytest.mark.usefixtures("stand_ins")  # small networks under the published files' names

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny.save(folder / "vsr", vae=True)
    return folder


@pytest.fixture
def host(models):
    return Headless("cpu", models=models)


def stage(**options):
    net = flashvsr_decoder.load(tiny.decoder_state()).joined()
    return FlashVSR(tiny.folded(), tiny.projector(), net, resolve(OPTIONS, options), CPU)


def film(count, height=30, width=44, channels=3, seed=0):
    """Return smooth noise that drifts."""
    source = torch.Generator().manual_seed(seed)
    wide = torch.rand(1, channels, height // 4 + 3, width // 4 + 30, generator=source)
    wide = F.interpolate(wide, scale_factor=4, mode="bicubic").clamp(0, 1)[0].movedim(0, -1)
    return torch.stack([wide[:height, number % 60 : number % 60 + width] for number in range(count)])


@torch.inference_mode()
def enhanced(images, cut=8, **options):
    info = ClipInfo(images.shape[2], images.shape[1], Fraction(25), len(images))
    return torch.cat(list(stage(**options)(Shot(0, info), iter(images.split(cut)))))


def run(clip, **options):
    return apply(Plan("vsr", {"model": "flashvsr-v1.1", "precision": "fp32", **options}, "VSR"), clip)["clip"]


@pytest.mark.parametrize("cut", [1, 5, 64])
def test_frame_count_is_kept(cut):
    """Groups are those of the original, rounded up to complete chunks, in any chunks of input."""
    for count in range(1, 201):
        shot = torch.arange(count).float().view(-1, 1, 1, 1)
        groups = list(stream.schedule(iter(shot.split(cut))))
        whole = max(25, 8 * -(-(count + 3) // 8) + 1)
        assert [len(group) for group, _ in groups] == [25] + [8] * ((whole - 25) // 8)
        assert [due for _, due in groups][:-1] == ([21] + [8] * len(groups))[: len(groups) - 1]
        assert sum(due for _, due in groups) == count
        seen = torch.cat([group for group, _ in groups]).flatten()
        assert seen.equal(torch.arange(whole).clamp(max=count - 1).float())


def test_no_frames_give_none():
    assert list(stream.schedule(iter([]))) == []


@pytest.mark.parametrize(
    ("options", "cuts"), [({}, (1, 9)), ({"decoder": "full", "color": "wavelet"}, (9,))], ids=["tiny", "full"]
)
def test_result_does_not_depend_on_chunks(options, cuts, tensor_clip, host):
    clip = tensor_clip(film(23))
    whole = frames(run(clip, **options), host, 23)
    assert whole.shape == (23, 60, 88, 3) and whole.std() > 0.02
    assert all(frames(run(clip, **options), host, cut).equal(whole) for cut in cuts)


def test_nothing_crosses_a_cut(tensor_clip, host):
    first, second = film(9), film(24, seed=3)
    both = frames(run(tensor_clip(torch.cat([first, second]), cuts=(9,))), host)
    alone = [frames(run(tensor_clip(shot)), host) for shot in (first, second)]
    assert both.equal(torch.cat(alone))


@pytest.mark.parametrize(
    ("size", "factor"), [((30, 44), 1.0), ((1, 1), 4.0), ((33, 57), 1.25), ((70, 100), 2.0)]
)
def test_output_size_is_exact(size, factor):
    expected = describe(resolve(OPTIONS, {"factor": factor}), ClipInfo(size[1], size[0], Fraction(25), 2))
    made = enhanced(torch.rand(2, *size, 3), factor=factor)
    assert (
        made.shape == (2, expected.height, expected.width, 3)
        and made.isfinite().all()
        and made.min() >= 0
        and made.max() <= 1
    )


def test_padding_leaves_no_border():
    """With a network that adds nothing, a flat frame stays flat to its last row and column."""
    flat = torch.full((3, 3, 61, 67), 0.8)
    assert stream.padded(flat).shape == (3, 3, 128, 128) and (stream.padded(flat) == 0.8).all()
    made = enhanced(torch.full((2, 30, 44, 3), 0.8))
    assert (made - 0.8).abs().max() < 0.15


def test_upscaling_equals_pillows_bicubic():
    from PIL import Image

    picture = torch.rand(17, 23, generator=torch.Generator().manual_seed(1))
    wanted = torch.from_numpy(
        __import__("numpy").asarray(Image.fromarray(picture.numpy()).resize((58, 43), Image.BICUBIC)).copy()
    )
    made = stream.enlarge(picture[None, :, :, None], 43, 58, CPU)[0, 0]
    torch.testing.assert_close(made, wanted.clamp(0, 1), atol=1e-5, rtol=0)


def test_alpha_is_upscaled_and_grey_stays_grey():
    made = enhanced(film(3, channels=4))
    assert made.shape[-1] == 4
    assert made[..., 3:].equal(stream.enlarge(film(3, channels=4)[..., 3:], 60, 88, CPU).movedim(1, -1))
    assert made[..., :3].equal(enhanced(film(3, channels=4)[..., :3]))
    assert enhanced(film(2, channels=1)).shape == (2, 60, 88, 1)


def test_views_are_processed_independently(tensor_clip, host):
    pair = apply(
        Plan("stereo", {"model": "builtin"}, "Stereo"), tensor_clip(film(2)), tensor_clip(film(2, channels=1))
    )["clip"]
    made = frames(run(pair), host)
    assert made.shape == (2, 2, 60, 88, 3)


def test_no_more_is_read_ahead_than_the_first_group(tensor_clip, host):
    clip = tensor_clip(film(60, 8, 8))
    count, worst = lookahead(clip, run(clip), host, 4)
    assert count == 60 and worst <= 25 + 4


def test_live_latency_is_as_declared():
    made, info, given, held = stage(factor=1.0), ClipInfo(8, 8, Fraction(25), 60), 0, []

    def source():
        for number, frame in enumerate(film(60, 8, 8).split(1)):
            held.append(number - given)  # of those that came before this one
            yield frame

    with torch.inference_mode():
        for out in made(Shot(0, info, drained=lambda: True), source()):
            given += len(out)
    assert given == 60 and max(held) == made.delay(info)


def test_noise_seed_determines_the_result():
    images = film(2)
    assert enhanced(images).equal(enhanced(images))
    assert not enhanced(images, noise=1).equal(enhanced(images))


def test_noise_depends_only_on_the_frame():
    made = stage()
    small = Denoiser(made.dit, 128, 128, plan.Plan("device", 3, 0, 0), made.options, CPU)
    torch.testing.assert_close(small.noise(0, 6)[4:], small.noise(4, 2), atol=0, rtol=0)
    assert abs(small.noise(0, 6).std() - 1) < 0.05 and not small.noise(0, 1).equal(small.noise(1, 1))


@pytest.mark.parametrize("option", [{"attention": "gathered"}, {"store": "cpu"}, {"store": "device"}])
def test_savings_change_nothing(option):
    images = film(30)
    torch.testing.assert_close(
        enhanced(images, sparsity=0.5, **option),
        enhanced(images, sparsity=0.5, attention="dense"),
        atol=1e-4,
        rtol=0,
    )


def test_eight_bit_cache_changes_little():
    images = film(30)
    exact, eight = enhanced(images, color="none"), enhanced(images, color="none", store="int8")
    assert 0 < (exact - eight).abs().mean() < 0.01 * exact.std()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near(precision, tensor_clip, host):
    clip = tensor_clip(film(2))
    exact, half = (frames(run(clip, color="none", precision=number), host) for number in ("fp32", precision))
    assert half.dtype == torch.float32 and 0 < (exact - half).abs().mean() < 0.02 * exact.std()


def test_tiles_advance_together_and_leave_no_seam():
    """Without attention between tokens a tile lacks nothing, so tiles equal the complete frame."""
    images = film(22, 20, 512)
    made = stage(factor=1.0, tile=384)
    whole = stage(factor=1.0)
    for one in (made, whole):
        for block in one.dit.blocks:
            block.out[0].data.zero_()
            block.out[1].data.zero_()
    info = ClipInfo(512, 20, Fraction(25), 22)
    with torch.inference_mode():
        tiled, untiled = (torch.cat(list(one(Shot(0, info), iter([images])))) for one in (made, whole))
    assert len(plan.regions(128, 512, 384)) == 2
    torch.testing.assert_close(tiled, untiled, atol=1e-4, rtol=0)


def test_plan_is_logged_in_one_line(caplog):
    with caplog.at_level("INFO", "stereoreel.stages.vsr.flashvsr"):
        enhanced(film(1))
    (line,) = [record.message for record in caplog.records]
    assert (
        line.startswith("FlashVSR at 128x128: complete frames, 3 slots on the device")
        and "attention: dense" in line
    )


class Hungry(torch.nn.Module):
    """A projector that runs out of memory at first."""

    def __init__(self, net, failures):
        super().__init__()
        self.net, self.failures = net, failures

    def forward(self, *given):
        self.failures -= 1
        if self.failures >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.net(*given)


def test_out_of_memory_continues_with_a_smaller_plan(caplog):
    images = film(2)
    made = stage()
    made.projector = Hungry(made.projector, 1)
    info = ClipInfo(44, 30, Fraction(25), 2)
    with torch.inference_mode(), caplog.at_level("WARNING", "stereoreel.stages.vsr.flashvsr"):
        (out,) = made(Shot(0, info), iter([images]))
    assert out.equal(enhanced(images, history=2)) and made.plans[128, 128].kept == 2
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("Out of memory; FlashVSR at 128x128: complete frames, 2 slots on the device")
    made.projector = Hungry(tiny.projector(), 99)
    with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
        list(made(Shot(0, info), iter([images])))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "options", [{}, {"attention": "gathered"}, {"store": "cpu"}, {"store": "int8"}, {"compile": True}]
)
def test_gpu_equals_cpu(options):
    images, device = film(40), torch.device("cuda")
    whole = enhanced(images, attention="dense", store=options.get("store", "auto"))
    net = flashvsr_decoder.load(tiny.decoder_state()).joined().to(device)
    made = FlashVSR(
        tiny.folded().to(device), tiny.projector().to(device), net, resolve(OPTIONS, options), device
    )
    info = ClipInfo(44, 30, Fraction(25), len(images))
    with torch.inference_mode():
        for _ in range(2):  # the second shot replays what the first one recorded
            out = torch.cat(list(made(Shot(0, info), iter(images.split(8))))).cpu()
            assert (out - whole).abs().mean() < 0.01 * whole.std()
