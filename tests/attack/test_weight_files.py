"""Corrupt and hostile weight files: one error that names the file, and never selected by `auto`."""

import json
import os
import warnings
from types import SimpleNamespace

import pytest
import torch

from benchmarks.support.image_nets import Compact, RRDBNet, random_net
from benchmarks.support.vsr_nets import checkpoint
from benchmarks.support.vsr_nets import small as small_vsr
from stereoreel.cli.main import main
from stereoreel.models import catalog, weights
from stereoreel.models.catalog import Entry
from stereoreel.models.intact import fault
from stereoreel.nets import depth_anything, film_interpolation, rife
from tests.support import flashvsr_nets
from tests.support.bad_weights import contents, saved, state, strange
from tests.support.weights_shop import TINY, publish, whole

ARCHS = {  # every module that opens a file of weights
    "upscale": ("spandrel",),
    "vsr": ("basicvsr",),
    "interpolate": ("rife", "film", "checkpoint"),
    "depth": ("depth_anything", "checkpoint"),
}
LOADERS = [(kind, arch) for kind, archs in ARCHS.items() for arch in archs]


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, tmp_path):
    monkeypatch.setattr("stereoreel.models.headless.enclosing_models", lambda: None)
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)


def put(tmp_path, kind: str, name: str, made: bytes):
    path = tmp_path / "models" / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made)
    return path


def load(kind: str, arch: str, name: str, host):
    from importlib import import_module

    entry = Entry(name, kind, arch, parts={"weights": weights.File(name)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(f"stereoreel.stages.{kind}.{arch}").load(
            entry, catalog.settings_of(kind, {"precision": "fp32"}), host
        )


def refused(error, name: str = "net.") -> str:
    said = str(error.value)
    assert type(error.value) is ValueError and name in said and "\n" not in said and len(said) < 600, repr(
        error.value
    )
    return said


@pytest.mark.parametrize("case", contents())
def test_every_loader_refuses_bad_files(case, tmp_path, host):
    for suffix in (".pth", ".safetensors"):
        for kind, arch in LOADERS:
            put(tmp_path, kind, f"net{suffix}", contents()[case])
            with pytest.raises(ValueError) as error:
                load(kind, arch, f"net{suffix}", host)
            refused(error)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("case", [case for case in contents() if case.startswith("code in")])
def test_code_is_named_and_not_called_corruption(case, tmp_path, host):
    put(tmp_path, "upscale", "net.pth", contents()[case])
    with pytest.raises(ValueError) as error:
        load("upscale", "spandrel", "net.pth", host)
    said = refused(error)
    assert "contains code" in said and ".system" in said and "gain" not in said


def test_archive_bomb_is_refused_by_its_declared_size(tmp_path, host):
    for case in ("compressed zip", "zip that declares more than it holds"):
        path = put(tmp_path, "upscale", "net.pth", contents()[case])
        assert "unpack to" in fault(path)


def test_special_files_are_refused(tmp_path):
    (tmp_path / "folder.pth").mkdir()
    assert fault(tmp_path / "folder.pth") == "is a folder, not a file"
    assert "cannot be read" in fault(tmp_path / "gone.pth")
    with pytest.raises(ValueError, match="is a folder"):
        weights.read(tmp_path / "folder.pth")


@pytest.mark.skipif(
    os.name == "nt", reason="Windows needs a right to make links, and has no pipes in folders"
)
def test_link_loops_and_pipes_are_refused(tmp_path, capsys):
    folder = tmp_path / "models" / "upscale"
    folder.mkdir(parents=True)
    (folder / "one.pth").symlink_to(folder / "two.pth")
    (folder / "two.pth").symlink_to(folder / "one.pth")
    (folder / "gone.pth").symlink_to(folder / "nowhere.pth")
    os.mkfifo(folder / "pipe.pth")
    for name in ("one.pth", "gone.pth", "pipe.pth"):
        with pytest.raises(ValueError, match=rf"{name} (cannot be read|is not a regular file)"):
            weights.read(folder / name)
    assert main(["models"]) == 0
    assert capsys.readouterr().out.count("corrupt: it is a broken link") == 4


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_refused(tmp_path):
    path = put(tmp_path, "upscale", "net.pth", TINY)
    path.chmod(0)
    with pytest.raises(ValueError, match=r"net\.pth cannot be read \(Permission denied\)"):
        weights.read(path)


def tiny() -> dict:
    """Return small random networks of every kind, as their files contain them."""
    family = next(family for family in rife.FAMILIES if "4.15.lite" in family.names)
    return {
        "compact": ("upscale", "spandrel", random_net(Compact).state_dict()),
        "esrgan": ("upscale", "spandrel", random_net(RRDBNet, width=8).state_dict()),
        "basicvsr++": ("vsr", "basicvsr", checkpoint(small_vsr("BasicVSR++"))["state_dict"]),
        "realbasicvsr": ("vsr", "basicvsr", checkpoint(small_vsr("RealBasicVSR"))["state_dict"]),
        "rife": ("interpolate", "checkpoint", rife.RIFE(family).state_dict()),
        "film": ("interpolate", "checkpoint", film_interpolation.FILM(2, (2, 2, 2, 2)).state_dict()),
        "depth": ("depth", "checkpoint", depth_anything.DepthAnything(DEPTH).state_dict()),
    }


DEPTH = depth_anything.Family(64, 4, 256, False, 2, 8, (8, 8, 8, 8), 8, 0, (0, 1, 2, 3), None)


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    return tiny()


@pytest.mark.parametrize("name", ["compact", "esrgan", "basicvsr++", "realbasicvsr", "rife", "film", "depth"])
def test_odd_tensors_load_or_are_refused(name, nets, tmp_path, host):
    kind, arch, net = nets[name]
    ends = {"loaded": 0, "refused": 0}
    put(tmp_path, kind, "net.pth", saved(net))
    load(kind, arch, "net.pth", host)  # the network itself is right
    for seed in range(20):
        put(tmp_path, kind, "net.pth", saved(strange(net, seed)))
        try:
            load(kind, arch, "net.pth", host)
            ends["loaded"] += 1
        except ValueError as error:
            refused(SimpleNamespace(value=error))
            ends["refused"] += 1
    assert ends["refused"] > 8, ends


@pytest.mark.parametrize("role", ["dit", "projector", "decoder", "prompt", "vae"])
def test_odd_parts_of_flashvsr_are_refused_by_name(role, tmp_path, host, stand_ins):
    flashvsr_nets.save(tmp_path / "models" / "vsr", vae=True)
    part = catalog.models("vsr")["flashvsr-v1.1"].parts[role].file
    path = tmp_path / "models" / "vsr" / part
    options = {"decoder": "full" if role == "vae" else "tiny", "precision": "fp32"}
    for made in (
        saved(torch.tensor(3.0)),
        saved({"x": torch.ones(2)}),
        saved({"a": torch.ones(2), "b": torch.ones(2)}),
        saved({"blocks.x.ffn.0.weight": torch.tensor(1.0), "patch_embedding.weight": torch.tensor(1.0)}),
    ):
        path.write_bytes(made)
        with pytest.raises(ValueError) as error:
            catalog.load("vsr", "flashvsr-v1.1", host, **options)
        refused(error, path.name)


def test_network_larger_than_its_file_is_never_built(tmp_path, host):
    """Two thin tensors declare that the layer between them is 200,000 wide: 1.4 TB."""
    net = random_net(Compact).state_dict()
    net["body.0.weight"] = torch.zeros(200_000, 3, 1, 1)
    net["body.0.bias"] = torch.zeros(200_000)
    put(tmp_path, "upscale", "net.pth", saved(net))
    with pytest.raises(ValueError, match="much larger than its tensors") as error:
        load("upscale", "spandrel", "net.pth", host)
    refused(error)


# What is listed

OFFICIAL = {
    "empty": lambda good: b"",
    "cut": lambda good: good[:-100],
    "longer": lambda good: good + b"x",
    "other": lambda good: good[:-1] + b"!",
}


@pytest.mark.parametrize("harm", OFFICIAL)
@pytest.mark.parametrize(
    "kind_and_name",
    [("upscale", "realesr-general-x4v3"), ("interpolate", "rife-4.25"), ("vsr", "basicvsr-plusplus-reds4")],
    ids=str,
)
def test_auto_skips_incomplete_files_and_the_list_says_why(
    harm, kind_and_name, tmp_path, host, monkeypatch, capsys
):
    kind, name = kind_and_name
    good = whole(5000)
    publish(monkeypatch, kind, name, good)
    part = catalog.models(kind)[name].parts["weights"]
    path = put(tmp_path, kind, part.file, good)
    assert f"here ({part.file}" not in capsys.readouterr().out
    assert catalog.present(catalog.models(kind)[name], host)
    path.write_bytes(OFFICIAL[harm](good))
    entry, reason = catalog.choose(kind, "auto", host)
    assert entry.name != name
    if catalog.models(kind)[name].name in reason:
        assert f"passing over {name}: {path} " in reason
    with pytest.raises(ValueError, match=rf"Delete it, or run `.*fetch {name}.* --force`") as error:
        catalog.choose(kind, name, host)
    said = refused(error, path.name)
    assert str(len(good)) in said or "SHA-256" in said
    assert main(["models"]) == 0
    (line,) = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{kind}.model={name} ")
    ]
    assert f"corrupt: {path}" in line and "here" not in line and "(auto)" not in line and "--force" in line
    assert main(["fetch", "--list"]) == 0
    assert any(
        line.split()[0] == name and " corrupt " in line for line in capsys.readouterr().out.splitlines()
    )


def test_skipped_files_are_in_the_reason_and_a_warning(tmp_path, host, monkeypatch, caplog):
    publish(monkeypatch, "upscale", "realesr-general-x4v3", whole(5000))
    path = put(tmp_path, "upscale", "realesr-general-x4v3.pth", b"")
    catalog.load("upscale", "builtin", host)
    stage = catalog.stage("upscale", catalog.settings_of("upscale", {}), host, "Upscale")
    assert stage is not None
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert (
        f"passing over realesr-general-x4v3: {path} is empty and should have {len(whole(5000))} bytes"
        in warning
    )


@pytest.mark.parametrize("name", ["RealESRGAN_x2plus.safetensors", "4x_mine.pth"])
@pytest.mark.parametrize(
    "case",
    [
        "empty",
        "safetensors cut at the end",
        "zip cut at the end",
        "web page",
        "compressed zip",
        "TorchScript",
    ],
)
def test_other_packings_and_user_files_are_checked_by_structure(case, name, tmp_path, host, capsys):
    path = put(tmp_path, "upscale", name, contents()[case])
    assert catalog.choose("upscale", "auto", host)[0].name == "builtin"
    with pytest.raises(ValueError) as error:
        catalog.choose("upscale", name, host)
    refused(error, name)
    assert main(["models"]) == 0
    assert f"corrupt: {path}" in capsys.readouterr().out


def test_complete_file_of_another_name_replaces_a_corrupt_one(tmp_path, host, monkeypatch):
    publish(monkeypatch, "upscale", "realesrgan-x2plus", whole(5000))
    put(tmp_path, "upscale", "RealESRGAN_x2plus.pth", whole(5000)[:-1])
    other = put(tmp_path, "upscale", "RealESRGAN_x2plus.safetensors", TINY)
    entry, _ = catalog.choose("upscale", "realesrgan-x2plus", host)
    assert host.weights("upscale", entry.file) == other
    other.unlink()
    other = put(tmp_path, "upscale", "sub/RealESRGAN_x2plus.pth", whole(5000))
    entry, _ = catalog.choose("upscale", "realesrgan-x2plus", host)
    assert host.weights("upscale", entry.file) == other


def test_repaired_file_is_found_without_a_restart(tmp_path, host, monkeypatch):
    publish(monkeypatch, "upscale", "realesrgan-x2plus", whole(5000))
    path = put(tmp_path, "upscale", "RealESRGAN_x2plus.pth", whole(5000)[:-1] + b"!")
    assert not catalog.present(catalog.models("upscale")["realesrgan-x2plus"], host)
    changed = path.stat().st_mtime_ns
    path.write_bytes(whole(5000))
    os.utime(path, ns=(changed + 1, changed + 1))
    assert catalog.present(catalog.models("upscale")["realesrgan-x2plus"], host)


def test_checkpoints_are_accepted_in_every_format(tmp_path):
    for made in (
        saved(state()),
        saved(state(), _use_new_zipfile_serialization=False),
        saved({"params": state()}),
        saved({"generator": state()}),
    ):
        (tmp_path / "net.pth").write_bytes(made)
        assert not fault(tmp_path / "net.pth")
        assert all(
            torch.equal(tensor, state()[name]) for name, tensor in weights.read(tmp_path / "net.pth").items()
        )


CONFIGS = {
    "layers": (
        {"model_type": "dpt", "num_hidden_layers": 10**9},
        None,
        r"config\.json asks for 1000000000 layers",
    ),
    "inner layers": (
        {"model_type": "dpt", "a": {"num_layers": 10**6}},
        None,
        r"config\.json asks for 1000000 layers",
    ),
    "type that is a list": ({"model_type": ["dpt"]}, None, "unsupported depth model type"),
    "colors": ({"model_type": "dpt"}, {"image_mean": "gray"}, r"preprocessor_config\.json has no image_mean"),
    "two colors": (
        {"model_type": "dpt"},
        {"image_mean": [0.5, 0.5]},
        r"preprocessor_config\.json has no image_mean",
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_invalid_configuration_is_refused_before_building(case, tmp_path, host):
    config, colors, said = CONFIGS[case]
    path = put(tmp_path, "depth", "midas/model.safetensors", TINY)
    path.with_name("config.json").write_text(json.dumps(config), encoding="utf-8")
    if colors:
        path.with_name("preprocessor_config.json").write_text(json.dumps(colors), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        catalog.load("depth", "midas/model.safetensors", host)


def test_too_deeply_nested_configuration_is_refused(tmp_path, host):
    path = put(tmp_path, "depth", "midas/model.safetensors", TINY)
    path.with_name("config.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is corrupt"):
        catalog.load("depth", "midas/model.safetensors", host)
