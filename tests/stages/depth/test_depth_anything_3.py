"""Depth Anything 3 in the Depth stage: windows of frames in one scale, the sky, and users' files."""

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.support.depth_3_nets import (
    TINY,
    TINY_MONO,
    for_comfyui,
    made_up,
    on_meta,
    picture,
    published,
)
from stereoreel.core.clip import apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from stereoreel.nets.depth_anything_3 import SKY
from stereoreel.stages.depth import OPTIONS
from stereoreel.stages.depth.burned_text import AHEAD
from stereoreel.stages.depth.depth_anything_3 import DepthAnything3
from stereoreel.stages.depth.joined_views import ratio, stream
from stereoreel.stages.depth.light import FLASH
from stereoreel.stages.depth.windows import SteadyRange
from tests.support.lookahead import lookahead

CPU = torch.device("cpu")
FAST = {"resolution": "native", "precision": "fp32", "window": "4"}
FAMILIES = {"any-view": TINY, "mono": TINY_MONO}
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@pytest.fixture
def put(tmp_path):
    """Return a function that saves tensors as a model file where users have it, and returns its name."""

    def save(state, name="net.safetensors", folder="geometry_estimation"):
        path = tmp_path / "models" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
        return name

    return save


def moving(count, size=(28, 42)):
    """Return an image that moves right by a pixel a frame."""
    wide = picture(size[0], size[1] + count, 3)
    return torch.stack([wide[:, count - step : count - step + size[1]] for step in range(count)])


def depth_of(model, clip, **options):
    return apply(Plan("depth", {"model": model, **FAST, **options}, "Depth"), clip)["clip"]


@every_family
@pytest.mark.parametrize("chunk", [1, 5])
def test_depth_does_not_depend_on_chunks(family, chunk, put, host, tensor_clip):
    clip = depth_of(put(published(made_up(family))), tensor_clip(moving(13), cuts=(11,)))
    whole = frames(clip, host, 13)
    assert torch.equal(frames(clip, host, chunk), whole)
    assert whole.shape == (13, 28, 42, 1) and whole.std() > 0.05


@every_family
def test_shots_are_independent(family, put, host, tensor_clip):
    model, first, second = put(published(made_up(family))), moving(6), moving(5).flip(2)
    joined = frames(depth_of(model, tensor_clip(torch.cat([first, second]), cuts=(6,))), host)
    assert torch.equal(joined[6:], frames(depth_of(model, tensor_clip(second)), host))


def test_a_stage_reads_at_most_a_window_ahead(put, host, tensor_clip):
    clip = tensor_clip(moving(4).repeat(12, 1, 1, 1))
    made, worst = lookahead(clip, depth_of(put(published(made_up(TINY))), clip), host, 4)
    assert made == 48 and worst <= 4 + 4 + FLASH + AHEAD


@every_family
def test_every_packing_under_every_name_gives_the_same(family, put, host, tensor_clip):
    net, clip = made_up(family), tensor_clip(moving(3))
    expected = frames(depth_of(put(published(net)), clip), host)
    for state, name, folder in (
        (for_comfyui(net), "any name.safetensors", "depthanything"),
        (for_comfyui(net), "moved/renamed.safetensors", "geometry_estimation"),
        ({key: tensor.half() for key, tensor in published(net).items()}, "half.safetensors", "depth"),
        (published(net), "DA3/model.safetensors", "depthanything"),
    ):
        put(state, name, folder)
        made = frames(depth_of(name, clip), host)
        assert (made - expected).abs().mean() < (0.01 if name.startswith("half") else 1e-6)


def test_the_directory_of_the_original_is_no_directory_of_transformers(put, host, tmp_path, tensor_clip):
    name = put(published(made_up(TINY)), "DA3/model.safetensors")
    (tmp_path / "models" / "geometry_estimation" / "DA3" / "config.json").write_text(
        '{"model_name": "da3-small"}'
    )
    assert frames(depth_of(name, tensor_clip(moving(2))), host).std() > 0.05


def test_auto_selects_free_sizes_only(put, host, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for name in ("depth_anything_3_large", "depth_anything_3_giant"):
        put({"x": torch.zeros(1)}, f"{name}.safetensors")
        assert catalog.pick("depth", "auto", host)[0].name == "builtin"
    # a CPU of a few cores needs days for a film with it
    put({"x": torch.zeros(1)}, "depth_anything_3_mono_large.safetensors")
    entry, reason = catalog.pick("depth", "auto", host)
    assert entry.name == "builtin" and "depth-anything-3-mono-large: forecast" in reason
    put({"x": torch.zeros(1)}, "depth_anything_3_small.safetensors")
    assert catalog.pick("depth", "auto", host)[0].name == "depth-anything-3-small"


def test_steady_models_come_before_accurate_ones_before_older_ones():
    free = [name for name, entry in catalog.models("depth").items() if entry.commercial]
    assert free[:6] == [
        "video-depth-anything-small",
        "depth-anything-3-base",
        "depth-anything-3-small",
        "depth-anything-3-mono-large",
        "moge-2-large",
        "depth-anything-v2-small",
    ]


@every_family
@pytest.mark.parametrize(("count", "size"), [(1, (36, 52)), (3, (1, 1)), (2, (2, 3)), (5, (25, 31))])
def test_small_odd_and_single_frames_run(family, count, size, put, host, tensor_clip):
    clip = depth_of(put(published(made_up(family))), tensor_clip(frames=count, size=size))
    made = frames(clip, host)
    assert made.shape == (count, *size, 1) and made.isfinite().all()


def test_nested_file_is_named(put, host, tensor_clip):
    model = put({f"model.da3.{key}": torch.zeros(1) for key in on_meta(TINY).state_dict()})
    with pytest.raises(ValueError, match="Depth Anything 3 Nested"):
        frames(depth_of(model, tensor_clip(frames=1)), host)


def test_far_is_dark_and_sky_is_the_darkest(put, host, tensor_clip):
    net, images = made_up(TINY_MONO), moving(1)
    made = net(images.movedim(-1, 1)[:, None])
    bias = net.head.scratch.sky_output_conv2[2].bias
    bias += SKY - made.sky[made.sky > 0].median()
    found = net(images.movedim(-1, 1)[:, None])
    sky = found.sky[0, 0] >= SKY
    near = frames(depth_of(put(published(net)), tensor_clip(images), edges="smooth"), host)[0, ..., 0]
    assert 0.05 < sky.float().mean() < 0.95
    assert near[sky].max() == near.min()
    # aligned corners at native size: pixel by pixel
    order = torch.corrcoef(torch.stack([near[~sky], found.depth[0, 0][~sky]]))
    assert order[0, 1] < -0.5


def test_metres_of_the_metric_network_follow_the_focal_length(put, host, tensor_clip):
    net, clip = made_up(TINY_MONO), tensor_clip(moving(1))
    name = put(published(net), "depth_anything_3_metric_large.safetensors")
    metric = frames(depth_of(name, clip, edges="smooth"), host)
    relative = frames(depth_of(name, clip, edges="smooth", metric="no"), host)
    assert (metric - relative).abs().max() > 1e-3
    assert torch.corrcoef(torch.stack([metric.flatten(), relative.flatten()]))[0, 1] > 0.9


def test_window_follows_the_network_and_the_device():
    def window(family, value, device="cpu"):
        options = resolve(OPTIONS, {"window": value, "precision": "fp32"})
        return DepthAnything3(on_meta(family), options, False, torch.device(device)).window

    assert [window(TINY, value) for value in ("auto", "1", "32")] == [8, 1, 32]
    assert window(TINY, "auto", "cuda") == 16
    assert window(TINY_MONO, "32") == 1


class Drifting:
    """Give true distances ``frames[:, 0]``, every window in a scale of its own; keep what was read."""

    def __init__(self, noise=0.0):
        self.read, self.noise = [], noise

    def __call__(self, frames):
        self.read.append(len(frames))
        random = torch.Generator().manual_seed(len(self.read))
        scale = 0.3 + 3 * torch.rand(1, generator=random)
        return frames[:, 0] * scale * (1 + self.noise * torch.randn(frames[:, 0].shape, generator=random))


def distances(count, height=30, width=40):
    """Return ``[T, 3, H, W]``: a still scene, before which a near object crosses."""
    scene = 2 + 3 * torch.rand(height, width, generator=torch.Generator().manual_seed(1))
    scene = scene.expand(count, 3, height, width).clone()
    for time in range(count):
        left = (2 * time) % width
        scene[time, :, 12:22, left : left + 8] = 1.2
    return scene


@pytest.mark.parametrize("window", [2, 4, 8, 16])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 14, 15, 40])
def test_windows_are_joined_in_the_scale_of_the_first(count, window):
    scene, network = distances(count), Drifting()
    made = torch.cat(list(stream(scene.split(3), network, window)))
    factor = made[0] / scene[0, 0]
    torch.testing.assert_close(made, scene[:, 0] * factor.mean(), atol=1e-4, rtol=1e-4)
    assert max(network.read) <= window


def parallax(depth):
    """Return the shifts in pixels of still points for 2 % divergence at a width of 1920."""
    return depth[:, :10] * 0.02 * 1920


def test_a_still_point_keeps_its_parallax_over_a_shot():
    scene = distances(300)
    made = torch.cat(list(stream(scene.split(7), Drifting(noise=0.0005), 16)))
    near = parallax(SteadyRange(aligned=True)(1 / (made / made[0].median() + 0.1)))
    alone = parallax(SteadyRange(aligned=True)(1 / (Drifting()(scene)[:, :] / 2 + 0.1)))
    assert alone.std() > 1
    # what a point's average over a window does, not the noise of single estimates
    calm = near.unfold(0, 30, 15).mean(-1)
    assert (calm - calm[0]).abs().max() < 0.15
    assert (near[1:] - near[:-1]).abs().mean() < 0.15


def test_memory_does_not_grow_with_the_shot():
    held = []

    def watched(frames):
        held.append(len(frames))
        return frames[:, 0]

    total = sum(len(part) for part in stream((frame[None] for frame in distances(200)), watched, 8))
    assert total == 200 and max(held) == 8 and len(held) == 1 + -(-192 // 6)


def test_scale_ignores_what_moves():
    old = 1 + torch.rand(2, 40, 40)
    new = old / 1.3
    new[:, :15] *= 3
    assert ratio(new, old).item() == pytest.approx(1.3, abs=1e-5)


def test_stream_never_synchronises_with_the_device():
    frames_on_meta = torch.empty(20, 3, 8, 10, device="meta")
    assert sum(len(part) for part in stream([frames_on_meta], lambda views: views[:, 0], 8)) == 20
