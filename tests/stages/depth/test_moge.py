"""MoGe-2 in the Depth stage: files under any name, N frames in and out, and nothing farther than the sky."""

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.support.depth_3_nets import picture
from benchmarks.support.moge_nets import TINY, made_up, published
from stereoreel.core.clip import apply
from stereoreel.core.pull import frames
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan

FAST = {"resolution": "native", "precision": "fp32", "edges": "smooth"}


def clip_of(count, tensor_clip, **given):
    return tensor_clip(picture(count, 28, 42, 3), **given)


def depth_of(model, clip):
    return apply(Plan("depth", {"model": model, **FAST}, "Depth"), clip)["clip"]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "models" / "geometry_estimation"
    place.mkdir(parents=True)
    return place


def test_every_file_gives_the_same_depth(folder, host, tensor_clip):
    state, clip = published(made_up(TINY)), clip_of(3, tensor_clip)
    save_file(state, folder / "moge_2_vitl_normal_fp16.safetensors")
    torch.save({"model_config": {"remap_output": "exp"}, "model": state}, folder / "renamed.pt")
    named, own = (frames(depth_of(name, clip), host) for name in ("moge-2-large", "renamed.pt"))
    torch.testing.assert_close(named, own, atol=1e-5, rtol=0)
    assert named.shape == (3, 28, 42, 1) and named.std() > 0.05
    assert catalog.pick("depth", "renamed.pt", host)[0].arch == "checkpoint"


@pytest.mark.parametrize("chunk", [1, 2])
def test_depth_does_not_depend_on_chunks_or_other_shots(chunk, folder, host, tensor_clip):
    save_file(published(made_up(TINY)), folder / "net.safetensors")
    clip = depth_of("net.safetensors", clip_of(5, tensor_clip, cuts=(3,)))
    assert torch.equal(frames(clip, host, chunk), frames(clip, host, 5))


@pytest.mark.parametrize(("count", "size"), [(1, (36, 52)), (3, (1, 1)), (2, (2, 3)), (2, (25, 31))])
def test_small_odd_and_single_frames_run(count, size, folder, host, tensor_clip):
    save_file(published(made_up(TINY)), folder / "net.safetensors")
    made = frames(depth_of("net.safetensors", tensor_clip(frames=count, size=size)), host)
    assert made.shape == (count, *size, 1) and made.isfinite().all()


def test_what_has_no_distance_is_the_farthest(folder, host, tensor_clip):
    net = made_up(TINY)
    clip = clip_of(1, tensor_clip)
    found = net(picture(1, 28, 42, 3).movedim(-1, 1))
    assert 0.1 < (found.mask > 0.5).float().mean() < 0.9
    save_file(published(net), folder / "net.safetensors")
    depth = frames(depth_of("net.safetensors", clip), host)[0, ..., 0]
    unseen = torch.nn.functional.interpolate((found.mask <= 0.5).float()[None], (28, 42), mode="area")[0, 0]
    assert depth[unseen == 1].max() < 0.1 < depth.mean()
