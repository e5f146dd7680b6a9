"""VSR with BasicVSR models: invisible windows, any chunks and sizes, published files."""

import pytest
import torch

from benchmarks.support.vsr_nets import SMALL, checkpoint, footage, small
from stereoreel.core.clip import apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.image.resize import resize, scaled_size
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from stereoreel.nets import basicvsr
from stereoreel.stages.vsr import OPTIONS
from stereoreel.stages.vsr.basicvsr import AHEAD, MOST, BasicVSRStage, padded
from stereoreel.stages.vsr.basicvsr_track import windows
from tests.support.lookahead import lookahead

pytestmark = pytest.mark.usefixtures("stand_ins")  # small networks under the published files' names

MODEL = {
    "BasicVSR++": "basicvsr-plusplus-reds4",
    "BasicVSR++ of one size": "basicvsr-plusplus-denoise",
    "RealBasicVSR": "realbasicvsr",
    "BasicVSR": "basicvsr-plusplus-vimeo90k-bi",
}
STEP = 1 / 255
every_kind = pytest.mark.parametrize("kind", SMALL)


@pytest.fixture
def put(tmp_path):
    """Return a function that saves a network as a published model's file and returns the model's name."""

    def save(net, kind="BasicVSR++", prefix="generator.", contents=None):
        path = tmp_path / "models" / "vsr" / catalog.models("vsr")[MODEL[kind]].file
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(contents or checkpoint(net, prefix), path)
        return MODEL[kind]

    return save


def enhanced(model, clip, host, chunk=None, **options):
    return frames(
        apply(Plan("vsr", {"model": model, "precision": "fp32", **options}, "VSR"), clip)["clip"], host, chunk
    )


def ahead(monkeypatch, count):
    """Use windows that look ahead by fewer frames, for short tests."""
    monkeypatch.setattr("stereoreel.stages.vsr.basicvsr.AHEAD", count)


def alone(net, images):
    """Run the network over the complete shot: ``[T, H', W', 3]`` in 0..1, for sizes that it takes."""
    with torch.inference_mode():
        return net(images.movedim(-1, 1)).movedim(1, -1).clamp(0, 1)


@every_kind
def test_published_files_give_the_networks_result(kind, put, host, tensor_clip):
    net = small(kind)
    scale, side = getattr(net, "scale", 4), getattr(net, "smallest", 64)
    images = footage(3, side, side + 4)
    for prefix in ("generator.", ""):
        out = enhanced(put(net, kind, prefix), tensor_clip(images), host, factor=float(scale))
        torch.testing.assert_close(out, alone(net, images), atol=1e-5, rtol=0)


def test_safetensors_run_too(tmp_path, host, tensor_clip):
    from safetensors.torch import save_file

    net, images = small("RealBasicVSR"), footage(2, 64, 64)
    path = tmp_path / "models" / "vsr" / "RealBasicVSR_x4.pth"
    path.parent.mkdir(parents=True)
    save_file(net.state_dict(), path)
    torch.testing.assert_close(
        enhanced("realbasicvsr", tensor_clip(images), host, factor=4.0), alone(net, images), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    "contents",
    [
        {"state_dict": {"conv_first.weight": torch.zeros(64, 3, 3, 3)}},
        {"generator.deform_align.backward_1.weight": torch.zeros(8, 16, 3, 3)},
    ],
)
def test_a_file_of_another_network_is_refused_by_name(contents, put, host, tensor_clip):
    with pytest.raises(
        ValueError, match=r"reds4\S+\.pth: (This is not a BasicVSR|BasicVSR\+\+ has)"
    ) as refused:
        enhanced(put(None, contents=contents), tensor_clip(footage(2)), host)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("size", "seen", "count", "wanted"),
    [
        (4, 2, 13, [(6, 4), (4, 4), (3, 5)]),
        (4, 2, 14, [(6, 4), (4, 4), (4, 6)]),
        (4, 2, 15, [(6, 4), (4, 4), (4, 4), (1, 3)]),
        (4, 2, 3, [(3, 3)]),
        (4, 2, 6, [(6, 6)]),
        (4, 2, 7, [(6, 4), (1, 3)]),
        (1, 0, 3, [(1, 1)] * 3),
        (4, 2, 0, []),
    ],
)
@pytest.mark.parametrize("chunk", [1, 5, 20])
def test_windows_depend_on_frame_numbers(size, seen, count, wanted, chunk):
    numbers = torch.arange(count).view(count, 1, 1, 1)
    found = list(windows(iter(numbers.split(chunk)) if count else iter(()), size, seen))
    assert [(len(added), finished) for added, finished in found] == wanted
    assert [int(frame) for added, _ in found for frame in added] == list(range(count))


@every_kind
def test_windows_are_invisible(kind, put, host, tensor_clip, monkeypatch):
    """The error falls with the distance ``d`` from the end of what was visible."""
    net, side = small(kind), 256 if kind.endswith("size") else 64
    ahead(monkeypatch, 5)
    images = footage(11, side, side)
    whole, model = alone(net, images), put(net, kind)
    out = enhanced(model, tensor_clip(images), host, factor=float(getattr(net, "scale", 4)), window=4)
    worst = (out - whole).abs().amax((1, 2, 3))
    assert worst.max() < STEP and worst[0] <= worst[3]
    ahead(monkeypatch, 1)
    assert (
        enhanced(model, tensor_clip(images), host, factor=float(getattr(net, "scale", 4)), window=4) - whole
    ).abs().max() > 2 * worst.max()


def test_realbasicvsr_has_the_exact_past(put, host, tensor_clip, monkeypatch):
    """Only the future of a window is cut off: the last window equals the complete shot."""
    net, images = small("RealBasicVSR"), footage(11, 64, 64)
    ahead(monkeypatch, 3)
    out = enhanced(put(net, "RealBasicVSR"), tensor_clip(images), host, factor=4.0, window=4)
    torch.testing.assert_close(out[4:], alone(net, images)[4:], atol=1e-5, rtol=0)


@every_kind
def test_chunk_and_shot_laws(kind, put, host, tensor_clip, monkeypatch):
    ahead(monkeypatch, 2)
    model, images = put(small(kind), kind), torch.cat([footage(6), footage(2, seed=1)])
    cut = tensor_clip(images, cuts=(6,))
    whole = enhanced(model, cut, host, 8, window=3)
    for chunk in (1, 4):
        assert torch.equal(enhanced(model, cut, host, chunk, window=3), whole)
    assert torch.equal(whole[6:], enhanced(model, tensor_clip(images[6:]), host, window=3))
    assert torch.equal(whole[:6], enhanced(model, tensor_clip(images[:6]), host, 3, window=3))


@pytest.mark.parametrize("factor", [1.0, 1.75, 2.0, 4.0])
def test_output_size_is_exact(factor, put, host, tensor_clip):
    net, images = small("BasicVSR"), footage(2, 70, 67)
    out = enhanced(put(net), tensor_clip(images), host, factor=factor)
    width, height = scaled_size(67, 70, factor)
    assert out.shape == (2, height, width, 3)
    torch.testing.assert_close(
        out,
        resize(alone(net, images), height, width) if factor < 4 else alone(net, images),
        atol=1e-5,
        rtol=0,
    )


@every_kind
@pytest.mark.parametrize(("count", "size"), [(1, (36, 52)), (2, (1, 1)), (3, (2, 67))])
def test_small_odd_and_single_frames_run(kind, count, size, put, host, tensor_clip):
    clip = tensor_clip(frames=count, size=size)
    out = enhanced(put(small(kind), kind), clip, host, factor=3.25)
    assert (
        out.shape == (count, *(int(side * 3.25 + 0.5) for side in size), 3)
        and out.isfinite().all()
        and out.min() >= 0
        and out.max() <= 1
    )


def test_small_frames_are_padded_by_mirroring():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    out = padded(image, 6, 6)
    assert torch.equal(out[0, 0, :, 0], torch.tensor([0.0, 4, 8, 4, 0, 0])) and torch.equal(
        out[0, 0, 0], torch.tensor([0.0, 1, 2, 3, 2, 1])
    )


def test_alpha_is_upscaled_separately(put, host, tensor_clip):
    images = torch.cat([footage(2), footage(2, seed=3)[..., :1]], -1)
    out = enhanced(put(small("BasicVSR")), tensor_clip(images), host)
    assert torch.equal(out[..., 3:], resize(images[..., 3:], 72, 104))
    assert torch.equal(out[..., :3], enhanced(put(small("BasicVSR")), tensor_clip(images[..., :3]), host))


def test_one_channel_is_processed_as_grey(put, host, tensor_clip):
    model, gray = put(small("BasicVSR")), footage(2)[..., :1]
    wanted = enhanced(model, tensor_clip(gray.expand(-1, -1, -1, 3).contiguous()), host).mean(
        -1, keepdim=True
    )
    torch.testing.assert_close(enhanced(model, tensor_clip(gray), host), wanted, atol=1e-6, rtol=0)


def test_memory_law(put, host, tensor_clip):
    """With the shipped settings, look-ahead does not grow with the shot."""
    clip = tensor_clip(footage(1, 8, 8).repeat(130, 1, 1, 1))
    stage = apply(
        Plan("vsr", {"model": put(small("RealBasicVSR"), "RealBasicVSR"), "window": MOST}, "VSR"), clip
    )["clip"]
    count, worst = lookahead(clip, stage, host, 5)
    assert count == 130 and worst <= 5 + MOST + AHEAD + 1 <= 5 + 64


def test_larger_frames_use_shorter_windows(tensor_clip):
    stage = BasicVSRStage(basicvsr.BasicVSRPlusPlus(), resolve(OPTIONS, {}), torch.device("cpu"))
    infos = [
        tensor_clip(frames=1, size=size).info for size in ((120, 160), (270, 480), (540, 960), (1080, 1920))
    ]
    sizes = [stage._window(info.height, info.width) for info in infos]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == MOST > sizes[-1] >= 1
    offloaded = BasicVSRStage(
        basicvsr.BasicVSRPlusPlus(), resolve(OPTIONS, {"offload": "on"}), torch.device("cpu")
    )
    assert all(offloaded.memory(info) < stage.memory(info) for info in infos)


@pytest.mark.parametrize("kind", ["BasicVSR++", "RealBasicVSR"])
def test_features_may_be_offloaded(kind, put, host, tensor_clip):
    model, clip = put(small(kind), kind), tensor_clip(footage(5))
    assert torch.equal(enhanced(model, clip, host, offload="on"), enhanced(model, clip, host, offload="off"))


def test_number_of_cleaning_passes(put, host, tensor_clip, monkeypatch):
    net, images = small("RealBasicVSR"), footage(4, 64, 64)
    model = put(net, "RealBasicVSR")
    results = {
        passes: enhanced(model, tensor_clip(images), host, factor=4.0, cleaning=passes)
        for passes in ("1", "2", "3", "auto")
    }
    with torch.inference_mode():
        pictures = images.movedim(-1, 1)
        for passes in ("1", "2", "3"):
            pictures = pictures + net.dirt(pictures)
            torch.testing.assert_close(
                results[passes], net.basicvsr(pictures).movedim(1, -1).clamp(0, 1), atol=1e-5, rtol=0
            )
        change = float(net.dirt(images.movedim(-1, 1)).abs().mean())
    # the network changes much, so that auto continues
    assert change > 5 * STEP and torch.equal(results["auto"], results["3"])
    monkeypatch.setattr("stereoreel.stages.vsr.basicvsr_track.CLEAN", change * 1.01)
    assert torch.equal(enhanced(model, tensor_clip(images), host, factor=4.0, cleaning="auto"), results["1"])


def test_automatic_cleaning_is_decided_at_the_start_of_a_shot(put, host, tensor_clip, monkeypatch):
    """A shot that gets noisier is cleaned evenly in any chunks; the next shot is judged separately."""
    net = small("RealBasicVSR")
    calm, wild = footage(6, 64, 64) * 0.1, footage(6, 64, 64, seed=1)
    with torch.inference_mode():
        low, high = (float(net.dirt(images.movedim(-1, 1)).abs().mean()) for images in (calm, wild))
    monkeypatch.setattr("stereoreel.stages.vsr.basicvsr_track.CLEAN", (low + high) / 2)
    ahead(monkeypatch, 2)
    model, images = put(net, "RealBasicVSR"), torch.cat([calm, wild] if low < high else [wild, calm])
    given = dict(host=host, factor=4.0, window=4)
    assert torch.equal(
        enhanced(model, tensor_clip(images), **given, cleaning="auto"),
        enhanced(model, tensor_clip(images), **given, cleaning="1"),
    )
    apart = enhanced(model, tensor_clip(images, cuts=(6,)), **given, cleaning="auto")
    assert not torch.equal(
        apart[6:], enhanced(model, tensor_clip(images, cuts=(6,)), **given, cleaning="1")[6:]
    )


@pytest.mark.parametrize("kind", ["BasicVSR++", "RealBasicVSR"])
def test_half_precision_stays_near(kind, put, host, tensor_clip):
    model, clip = put(small(kind), kind), tensor_clip(footage(2, 64, 64))
    assert (enhanced(model, clip, host, precision="fp16") - enhanced(model, clip, host)).abs().max() < STEP


def test_half_precision_overflow_continues_in_float32(put, host, tensor_clip, caplog):
    net = small("BasicVSR++")
    with torch.no_grad():
        one, two = net.upsample1.upsample_conv, net.upsample2.upsample_conv
        for part, times in ((net.reconstruction.main[0], 30), (one, 1e4), (two, 1e-2), (net.conv_last, 3e-4)):
            part.weight.mul_(times)
    model, clip = put(net), tensor_clip(footage(2, 64, 64))
    with caplog.at_level("WARNING"):
        out = enhanced(model, clip, host, precision="fp16")
    assert "frame 0 is not finite in half precision" in caplog.text and out.isfinite().all()
    torch.testing.assert_close(out, enhanced(model, clip, host), atol=0.02, rtol=0)


def test_broken_weights_error_names_the_frame(put, host, tensor_clip):
    net = small("BasicVSR")
    net.conv_last.bias.data[0] = torch.nan
    with pytest.raises(RuntimeError, match="frame 0 is not finite, in float32 too"):
        enhanced(put(net), tensor_clip(footage(3)), host)


def test_auto_never_selects_fixed_size_networks(put, host):
    put(small("BasicVSR++ of one size"), "BasicVSR++ of one size")
    assert catalog.pick("vsr", "auto", host)[0].name == "builtin"
