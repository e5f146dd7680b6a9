"""The Depth stage with models: one scale per shot, edges of the frames, and users' files."""

import pytest
import torch

from benchmarks.support.depth_nets import TINY, TINY_VIDEO, as_transformers, published, random_net
from stereoreel.core.clip import ClipInfo, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.depth import OPTIONS
from stereoreel.stages.depth.burned_text import AHEAD
from stereoreel.stages.depth.depth_anything import DepthAnything
from stereoreel.stages.depth.light import FLASH
from tests.support.lookahead import lookahead

CPU = torch.device("cpu")
FAST = {"resolution": "native", "precision": "fp32"}


@pytest.fixture
def put(tmp_path):
    """Return a function that saves tensors as a depth model file and returns its name."""

    def save(state, name="net.pth"):
        path = tmp_path / "models" / "depth" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path)
        return name

    return save


def moving(count, size=(28, 42), seed=0):
    """Return a random image that moves right by a pixel a frame."""
    wide = torch.rand(size[0], size[1] + count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.stack([wide[:, count - step : count - step + size[1]] for step in range(count)])


def depth_of(model, host, clip, **options):
    return apply(Plan("depth", {"model": model, **FAST, **options}, "Depth"), clip)["clip"]


@pytest.mark.parametrize("family", [TINY, TINY_VIDEO], ids=["image", "video"])
@pytest.mark.parametrize("chunk", [1, 5, 50])
def test_depth_does_not_depend_on_chunks(family, chunk, put, host, tensor_clip):
    clip = depth_of(put(published(random_net(family))), host, tensor_clip(moving(40), cuts=(37,)))
    assert torch.equal(frames(clip, host, chunk), frames(clip, host, 40))


@pytest.mark.parametrize("family", [TINY, TINY_VIDEO], ids=["image", "video"])
def test_shots_are_independent(family, put, host, tensor_clip):
    model, first, second = put(published(random_net(family))), moving(33), moving(4, seed=5)
    joined = frames(depth_of(model, host, tensor_clip(torch.cat([first, second]), cuts=(33,))), host)
    alone = frames(depth_of(model, host, tensor_clip(second)), host)
    assert torch.equal(joined[33:], alone) and alone.std() > 0.05


@pytest.mark.parametrize("family", [TINY, TINY_VIDEO], ids=["image", "video"])
def test_a_stage_reads_at_most_a_window_ahead(family, put, host, tensor_clip):
    clip = tensor_clip(moving(4).repeat(25, 1, 1, 1))
    made, worst = lookahead(clip, depth_of(put(published(random_net(family))), host, clip), host, 4)
    assert made == 100 and worst <= 4 + 32 + FLASH + AHEAD


def test_values_are_scaled_by_percentiles_of_the_first_frame(put, host, tensor_clip):
    net, images = random_net(TINY), moving(1)
    made = frames(depth_of(put(published(net)), host, tensor_clip(images), edges="smooth"), host)[0, ..., 0]
    with torch.inference_mode():
        raw = net(images.movedim(-1, 1))[0, 0]
    ordered = raw.flatten().sort().values
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.02, 0.98))
    torch.testing.assert_close(made, ((raw - low) / (high - low)).clamp(0, 1), atol=1e-5, rtol=0)


def test_near_is_white_for_metric_models(put, host, tensor_clip):
    net, images = random_net(TINY), moving(1)
    model = put(published(net))
    relative, metric = (
        frames(depth_of(model, host, tensor_clip(images), metric=metric), host).flatten()
        for metric in ("no", "indoor")
    )
    # the metric network outputs, in metres, what the relative one calls near
    assert torch.corrcoef(torch.stack([relative, metric]))[0, 1] < -0.5


def test_invert_makes_near_black(put, host, tensor_clip):
    model, clip = put(published(random_net(TINY))), tensor_clip(moving(2))
    white, black = (frames(depth_of(model, host, clip, invert=invert), host) for invert in (False, True))
    torch.testing.assert_close(white, 1 - black)


def test_transformers_folder_gives_the_same(put, host, tensor_clip):
    net, clip = random_net(TINY), tensor_clip(moving(2))
    original, theirs = put(published(net)), put(as_transformers(net), "theirs.pth")
    torch.testing.assert_close(
        frames(depth_of(theirs, host, clip), host), frames(depth_of(original, host, clip), host)
    )


def test_file_of_another_network_is_named(put, host, tensor_clip):
    model = put({"block0.conv0.0.0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="frame interpolation network"):
        frames(depth_of(model, host, tensor_clip(frames=1)), host)


@pytest.mark.usefixtures("stand_ins")
def test_auto_selects_no_non_commercial_model(put, host):
    put({"x": torch.zeros(1)}, "depth_anything_v2_vitl.pth")
    assert catalog.pick("depth", "auto", host)[0].name == "builtin"
    put({"x": torch.zeros(1)}, "depth_anything_v2_vits.pth")
    assert catalog.pick("depth", "auto", host)[0].name == "depth-anything-v2-small"
    put({"x": torch.zeros(1)}, "video_depth_anything_vits.pth")
    assert catalog.pick("depth", "auto", host)[0].name == "video-depth-anything-small"


def test_depth_on_a_cpu_is_float32_by_default(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    networks = [DepthAnything(random_net(TINY), resolve(OPTIONS, {"precision": word}), False, CPU)
                for word in ("auto", "bf16")]  # fmt: skip
    assert [network.dtype for network in networks] == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(
    ("family", "width", "height", "resolution", "wanted"),
    [
        (TINY, 1920, 1080, "518", (518, 924)),
        (TINY, 1080, 1920, "392", (700, 392)),
        (TINY, 176, 144, "native", (154, 182)),
        (TINY, 1920, 1080, "384", (392, 686)),
        (TINY, 1440, 1080, "384", (392, 518)),
        (TINY, 1920, 816, "518", (518, 1218)),
        (TINY_VIDEO, 1920, 816, "518", (392, 924)),  # wider than 16:9: a video network keeps its width
        (TINY_VIDEO, 1920, 800, "518", (378, 910)),
        (TINY_VIDEO, 640, 480, "518", (518, 686)),
    ],
)
def test_model_input_has_the_requested_short_side(family, width, height, resolution, wanted):
    network = DepthAnything(random_net(family), resolve(OPTIONS, {"resolution": resolution}), False, CPU)
    assert network.size(ClipInfo(width, height, 25, 10)) == wanted
