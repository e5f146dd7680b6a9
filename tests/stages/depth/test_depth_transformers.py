"""Depth models of transformers, tiny and random: orientation, any size, chunks, and errors."""

import importlib
import json
import sys
import warnings
from contextlib import ExitStack
from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.models import catalog
from stereoreel.stages.depth import transformers as loader
from tests.support.weights_shop import TINY

FRAMES = torch.rand(11, 44, 90, 3, generator=torch.Generator().manual_seed(3))
INFO = ClipInfo(90, 44, Fraction(25), len(FRAMES))


@pytest.fixture(scope="module")
def hugging():
    """Return the package; skip if it is not installed or cannot be imported."""
    try:
        package = importlib.import_module("transformers")
        package.DPTForDepthEstimation  # noqa: B018 - this is what imports torch's side of it
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"transformers cannot be imported here: {error}")
    return package


def tiny(hugging, family: str) -> torch.nn.Module:
    """Return a small network of this family.

    Its random weights are always the same and large enough to distinguish depths.
    """
    net = untrained(hugging, family)
    draw = torch.Generator().manual_seed(5)
    for name, weight in net.named_parameters():
        if weight.ndim > 1:
            weight.data.normal_(0, weight[0].numel() ** -0.5, generator=draw)
        elif name.startswith("head.") and name.endswith("bias"):
            weight.data.fill_(0.5)
    return net


def untrained(hugging, family: str) -> torch.nn.Module:
    vit = dict(hidden_size=32, num_hidden_layers=4, num_attention_heads=2)
    neck = dict(neck_hidden_sizes=[8, 16, 24, 32], fusion_hidden_size=16)
    dino = dict(
        **vit,
        mlp_ratio=2,
        image_size=70,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    beit = dict(
        **vit,
        image_size=64,
        intermediate_size=64,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        use_relative_position_bias=True,
    )
    parts = ("image_model_config", "patch_model_config", "fov_model_config")
    part = dict(
        model_type="dinov2",
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=16,
        patch_size=8,
    )
    h = hugging
    if family.startswith("depth_anything"):
        kind = "metric" if family.endswith("metric") else "relative"
        config = h.DepthAnythingConfig(
            backbone_config=h.Dinov2Config(**dino),
            reassemble_hidden_size=32,
            head_hidden_size=8,
            **neck,
            depth_estimation_type=kind,
            max_depth=20 if kind == "metric" else 1,
        )
        return h.DepthAnythingForDepthEstimation(config)
    if family == "dpt":
        layers = dict(image_size=64, patch_size=16, backbone_out_indices=[0, 1, 2, 3])
        return h.DPTForDepthEstimation(h.DPTConfig(**vit, intermediate_size=64, **layers, **neck))
    if family == "dpt_beit":
        return h.DPTForDepthEstimation(h.DPTConfig(backbone_config=h.BeitConfig(**beit), **neck))
    if family == "zoedepth":
        metric = dict(bottleneck_features=16, num_relative_features=8)
        return h.ZoeDepthForDepthEstimation(
            h.ZoeDepthConfig(backbone_config=h.BeitConfig(**beit), **neck, **metric)
        )
    return h.DepthProForDepthEstimation(
        h.DepthProConfig(
            patch_size=16,
            fusion_hidden_size=8,
            intermediate_hook_ids=[1, 0],
            intermediate_feature_dims=[8, 8],
            scaled_images_ratios=[0.5, 1.0],
            scaled_images_overlap_ratios=[0.0, 0.2],
            scaled_images_feature_dims=[8, 8],
            **dict.fromkeys(parts, part),
        )
    )


SIZES = {
    "depth_anything": (378, 784),
    "depth_anything_metric": (378, 784),
    "dpt": (64, 64),
    "dpt_beit": (64, 128),
    "zoedepth": (64, 128),
    "depth_pro": (32, 32),
}


@pytest.fixture
def stage(hugging, host):
    """Return a stage of a family's network, from a folder saved and named as by a user."""

    def make(family: str, **options):
        folder = host.folder("depth") / family
        tiny(hugging, family).save_pretrained(folder)
        return catalog.load("depth", f"{family}/model.safetensors", host, **options)

    return make


def depth(stage, chunk: int = 4, frames: torch.Tensor = FRAMES) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat(list(stage(Shot(0, INFO.replace(frames=len(frames))), iter(frames.split(chunk)))))


@pytest.mark.parametrize("family", SIZES)
def test_folder_is_chosen_by_its_weights_and_follows_its_configuration(stage, host, family):
    made = stage(family, resolution="384")
    assert catalog.own_files("depth", host) == [f"{family}/model.safetensors"]
    assert made.network.size(INFO) == SIZES[family]
    frames = FRAMES[:2] if "anything" in family else FRAMES
    found = depth(made, frames=frames)
    assert (
        found.shape == (len(frames), 44, 90, 1)
        and found.isfinite().all()
        and found.min() >= 0
        and found.max() <= 1
        and found.std() > 0.01
    )


@pytest.mark.parametrize("family", ["dpt", "zoedepth", "depth_pro"])
def test_depth_does_not_depend_on_chunks(stage, family):
    made = stage(family)
    assert torch.equal(depth(made, 1), depth(made, 7))


@pytest.mark.parametrize("family", SIZES)
def test_output_becomes_inverse_depth(stage, hugging, family):
    """Compare with transformers' own network and, for Depth Pro, with its conversion to metres."""
    made, net = stage(family), tiny(hugging, family).eval()
    pictures = torch.rand(2, 3, *((70, 98) if "anything" in family else SIZES[family]))
    mean, deviation = (
        torch.tensor(part).view(3, 1, 1)
        for part in (loader.IMAGENET if "anything" in family else loader.HALF)
    )
    with torch.inference_mode():
        (found,) = made.network.inverse_depth(iter([pictures]))
        output = net((pictures - mean) / deviation)
    if family == "depth_pro":
        size = tuple(output.predicted_depth.shape[-2:])
        metres = hugging.DepthProImageProcessor().post_process_depth_estimation(output, [size] * 2)
        expected = torch.stack([1 / (one["predicted_depth"] + loader.NEAREST) for one in metres])
    else:
        expected = output.predicted_depth
        expected = (
            1 / (expected + loader.NEAREST) if family in ("zoedepth", "depth_anything_metric") else expected
        )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_colour_normalisation_of_the_folder_is_used(hugging, stage, host):
    folder = host.folder("depth") / "dpt"
    folder.mkdir(parents=True)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.0] * 3, "image_std": [1.0] * 3}), encoding="utf-8"
    )
    pictures = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        (found,) = stage("dpt").network.inverse_depth(iter([pictures]))
        torch.testing.assert_close(found, tiny(hugging, "dpt").eval()(pictures).predicted_depth)


def test_metric_dpt_is_inverted_if_declared(stage):
    pictures = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        (metres,), (nearness,) = (
            stage("dpt", metric=word).network.inverse_depth(iter([pictures])) for word in ("no", "indoor")
        )
    torch.testing.assert_close(nearness, 1 / (metres + loader.NEAREST))


def test_resolution_applies_if_the_model_takes_any_size(stage):
    assert stage("depth_anything", resolution="392").network.size(INFO) == (392, 798)
    assert stage("depth_anything", resolution="native").network.size(INFO) == (42, 84)
    assert stage("dpt", resolution="392").network.size(INFO) == (64, 64)


def test_half_precision_is_used_only_if_safe(stage):
    pictures = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        (fine,), (coarse,) = (
            stage("dpt", precision=word).network.inverse_depth(iter([pictures])) for word in ("fp32", "bf16")
        )
    assert not torch.equal(fine, coarse) and coarse.dtype == torch.float32
    torch.testing.assert_close(coarse, fine, rtol=0.1, atol=0.05)
    weights = stage("zoedepth", precision="fp16").nets[0].parameters()
    assert {weight.dtype for weight in weights} == {torch.float32}, "its logarithms are not for float16"


def test_auto_never_selects_a_dtype_that_quantises_depth(stage, monkeypatch):
    """A network that outputs depth in its own dtype would have 8 bits, few of them for near objects."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        (fine,), (coarse,) = (
            stage("dpt", precision=word).network.inverse_depth(iter([pictures])) for word in ("auto", "bf16")
        )
    assert 5 * len(coarse.unique()) < len(fine.unique())


def test_unused_dpt_weights_may_be_missing(hugging, stage, host):
    """As in the published files."""
    whole = stage("dpt")
    net = tiny(hugging, "dpt")
    used = {key: value for key, value in net.state_dict().items() if "layers.0.residual_layer1" not in key}
    assert len(used) < len(net.state_dict())
    net.save_pretrained(host.folder("depth") / "published", state_dict=used)
    published = catalog.load("depth", "published/model.safetensors", host)
    assert torch.equal(depth(whole), depth(published))


def folder_of(host, **config):
    folder = host.folder("depth") / "midas"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(TINY)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_incomplete_weights_error(hugging, host):
    folder_of(host)
    folder = host.folder("depth") / "midas"
    net = tiny(hugging, "dpt")
    state = {key: value for key, value in net.state_dict().items() if "embeddings" not in key}
    net.save_pretrained(folder, state_dict=state)
    with pytest.raises(ValueError, match=r"lacks weights of its model \(dpt\.embeddings.* more\)\. Download"):
        catalog.load("depth", "midas/model.safetensors", host)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with (
        pytest.raises(ValueError, match=r"model\.safetensors is corrupt or not a checkpoint"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        catalog.load("depth", "midas/model.safetensors", host)


def test_other_folders_are_refused(host):
    folder = folder_of(host, model_type="bert")
    with pytest.raises(
        ValueError,
        match=r"unsupported depth model type 'bert'\. Choose another model\. Supported: depth_anything, ",
    ):
        catalog.load("depth", "midas/model.safetensors", host)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is corrupt"):
        catalog.load("depth", "midas/model.safetensors", host)


BROKEN = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise {outer} from {inner}
"""
TORCHAUDIO = (
    'RuntimeError("Detected that PyTorch and TorchAudio were compiled with different CUDA versions.'
    '\\nPyTorch has 13.2")'
)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            None,
            r"midas needs the package transformers, which is not installed\. Run `python -m pip install "
            r"transformers`",
        ),
        (
            "raise OSError('libcudart.so.12: cannot open shared object file')",
            r"cannot be imported \(libcudart.so.12: cannot .* file\)\. Update",
        ),
        (
            BROKEN.format(outer="ModuleNotFoundError('Could not import module DPT')", inner=TORCHAUDIO),
            r"\(Detected that .* CUDA versions\)\. Update",
        ),
        (
            BROKEN.format(outer="RuntimeError('Failed to import')", inner="ImportError('no torchvision')"),
            r"cannot be imported \(no torchvision\)",
        ),
        ("", r"midas needs a newer transformers with DPTForDepthEstimation"),
    ],
    ids=["absent", "no library", "torchaudio", "part missing", "old"],
)
def test_unusable_package_error(host, tmp_path, monkeypatch, code, said):
    folder_of(host, model_type="dpt")
    with ExitStack() as stack:
        patch = stack.enter_context(monkeypatch.context())
        if code is None:
            patch.setitem(sys.modules, "transformers", None)  # as if it were nowhere
        else:
            (tmp_path / "transformers").mkdir()
            (tmp_path / "transformers" / "__init__.py").write_text(code, encoding="utf-8")
            patch.delitem(sys.modules, "transformers", raising=False)
            patch.syspath_prepend(tmp_path)
        with pytest.raises(RuntimeError, match=said) as raised:
            catalog.load("depth", "midas/model.safetensors", host)
        assert "\n" not in str(raised.value)
        if code is not None:
            sys.modules.pop("transformers", None)
