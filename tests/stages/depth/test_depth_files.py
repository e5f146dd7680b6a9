"""Files of depth models as users have them: every packing, moved and renamed, and what a refusal says."""

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.support import depth_3_nets, depth_nets, moge_nets
from stereoreel.core.clip import apply
from stereoreel.core.pull import frames
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan

FAST = {"resolution": "native", "precision": "fp32", "edges": "smooth", "window": "1"}
ANY_VIEW, MONO = (depth_3_nets.made_up(family) for family in (depth_3_nets.TINY, depth_3_nets.TINY_MONO))
MOGE = moge_nets.made_up(moge_nets.TINY)
OF_2, VIDEO = (depth_nets.random_net(family) for family in (depth_nets.TINY, depth_nets.TINY_VIDEO))


def three(name):
    """Return the tensors of a Depth Anything 3 whose name is that of an entry or of a file."""
    return MONO if "mono" in name.lower() or "metric" in name.lower() else ANY_VIEW


def published(name):
    """Return the tensors of a published file by its name."""
    if "moge" in name:
        return moge_nets.published(MOGE)
    pack = depth_3_nets.for_comfyui if name.startswith("depth_anything_3") else depth_3_nets.published
    return pack(three(name))


def write(path, state):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pt":
        torch.save({"model_config": {"remap_output": "exp"}, "model": state}, path)
    else:
        save_file({key: tensor.clone() for key, tensor in state.items()}, path)


def depth_of(model, host, tensor_clip):
    pictures = depth_3_nets.picture(2, 28, 42, 3)
    return frames(
        apply(Plan("depth", {"model": model, **FAST}, "Depth"), tensor_clip(pictures))["clip"], host
    )


FILES = [
    (entry.name, name)
    for entry in catalog.models("depth").values()
    if entry.arch in ("depth_anything_3", "moge")
    for name in (entry.parts["weights"].file, *entry.parts["weights"].also)
]


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(("entry", "name"), FILES)
def test_every_published_file_is_found_and_runs(entry, name, host, tmp_path, tensor_clip):
    """In either folder, and moved to another name, by its tensors; no size and no hash of it is known."""
    models = tmp_path / "models"
    folder = "geometry_estimation" if len(name) % 2 else "depthanything"
    write(models / folder / name, published(name))
    assert catalog.present(catalog.models("depth")[entry], host)
    known = depth_of(entry, host, tensor_clip)
    assert known.shape == (2, 28, 42, 1) and known.std() > 0.02
    moved = models / "depthanything" / "mine" / f"my own{name[name.rindex('.') :]}"
    moved.parent.mkdir(parents=True)
    (models / folder / name).rename(moved)
    assert not catalog.present(catalog.models("depth")[entry], host)
    assert catalog.own_files("depth", host) == [f"mine/{moved.name}"]
    metric = catalog.models("depth")[entry].params.get("metric", "no") == "yes"
    own = depth_of(f"mine/{moved.name}", host, tensor_clip)
    assert metric or torch.equal(own, known)


FOUND = {
    "depth_anything_3.safetensors": (lambda: depth_3_nets.for_comfyui(MONO), "a Depth Anything 3 checkpoint"),
    "da3.safetensors": (lambda: depth_3_nets.published(ANY_VIEW), "a Depth Anything 3 checkpoint"),
    "moge.pt": (lambda: moge_nets.published(MOGE), "a MoGe checkpoint"),
    "v2.safetensors": (lambda: depth_nets.published(OF_2), "of Depth Anything 1 or 2"),
    "directory.safetensors": (lambda: depth_nets.as_transformers(OF_2), "of Depth Anything 1 or 2"),
    "video.safetensors": (lambda: depth_nets.published(VIDEO), "or Video Depth Anything"),
    "upscaler.safetensors": (lambda: {"conv_first.weight": torch.zeros(64, 3, 3, 3)}, "an upscaler"),
}
WANTED = {
    "depth-anything-v2-small": ("depth_anything_v2_vits_fp16.safetensors", ("v2", "directory", "video")),
    "depth-anything-3-small": ("da3_small.safetensors", ("da3", "depth_anything_3")),
    "moge-2-large": ("moge_2_vitl.safetensors", ("moge",)),
}


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("other", FOUND)
def test_a_file_of_another_network_is_named(wanted, other, host, tmp_path, tensor_clip):
    file, own = WANTED[wanted]
    make, named = FOUND[other]
    if other.split(".")[0] in own:
        return
    write(tmp_path / "models" / "depthanything" / file, make())
    with pytest.raises(
        ValueError, match=rf"{file}.*This is .*{named}.*, not .*Choose another model"
    ) as raised:
        depth_of(wanted, host, tensor_clip)
    assert str(raised.value).count("\n") == 0


def test_missing_weights_of_unknown_size_say_where_they_go(host, tensor_clip):
    for entry in ("depth-anything-3-small", "moge-2-large"):
        with pytest.raises(FileNotFoundError, match=rf"needs .*size unknown.*fetch {entry}"):
            depth_of(entry, host, tensor_clip)
