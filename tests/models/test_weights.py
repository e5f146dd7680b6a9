"""Weights: found in users' folders, clear errors if missing, read safely and loaded strictly."""

import json
import os
import pickle
from fractions import Fraction
from urllib.parse import urlsplit

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stereoreel.cli.main import main
from stereoreel.core.clip import Clip, ClipInfo, apply
from stereoreel.models import catalog, download, weights
from stereoreel.models.catalog import choose
from stereoreel.models.folders import enclosing_models
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan, plans
from stereoreel.models.weights import File, read
from stereoreel.workflow import orders
from tests.support.weights_shop import MODEL, TINY, names, publish, whole


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch):
    """Hide the models of a ComfyUI that contains this checkout."""
    monkeypatch.setattr("stereoreel.models.headless.enclosing_models", lambda: None)


# Names and folders

BAD = [
    "../net.pth",
    "a/../../net.pth",
    "/etc/net.pth",
    "C:\\net.pth",
    "C:net.pth",
    "\\\\host\\share\\net.pth",
    "..\\net.pth",
    "",
    ".",
    "a\0.pth",
]


@pytest.mark.parametrize("name", BAD)
def test_name_leaving_the_folders_is_refused(host, tmp_path, name):
    (tmp_path / "net.pth").touch()
    with pytest.raises(ValueError, match="is outside the models folder"):
        host.weights("upscale", name)
    with pytest.raises(ValueError):
        choose("upscale", name, host)
    with pytest.raises(ValueError, match="is outside the models folder"):
        download.fetch(File(name, "http://127.0.0.1/net.pth"), tmp_path / "models")


def put(host, kind: str, name: str, contents: bytes = TINY):
    path = host.models[0] / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


def test_files_are_found_in_all_folders_and_subfolders(host):
    assert host.files("upscale") == []
    for folder, name in [
        ("upscale", "a.pth"),
        ("upscale_models", "b.safetensors"),
        ("upscale_models", "sub/c.PT"),
        ("upscale_models", "notes.txt"),
        ("upscale_models", ".cache/d.pth"),
        ("loras", "e.safetensors"),
    ]:
        put(host, folder, name)
    assert sorted(host.files("upscale")) == ["a.pth", "b.safetensors", "sub/c.PT"]
    assert all(host.weights("upscale", name).is_file() for name in host.files("upscale"))
    assert host.weights("upscale", "sub\\c.PT") == host.weights("upscale", "sub/c.PT")


@pytest.mark.skipif(os.name == "nt", reason="Windows needs a right to make links")
def test_linked_folders_are_followed_without_endless_loops(host, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "far.pth").touch()
    put(host, "upscale", "near.pth")
    (host.models[0] / "upscale" / "disk").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(host.models[0] / "upscale")
    assert host.files("upscale") == ["disk/far.pth", "near.pth"]
    assert host.weights("upscale", "disk/far.pth").is_file()


def test_pack_in_custom_nodes_finds_comfyuis_models(tmp_path, monkeypatch):
    comfy = tmp_path / "ComfyUI"
    assert enclosing_models(comfy / "custom_nodes" / "pack") == comfy / "models"
    assert enclosing_models(tmp_path / "elsewhere" / "pack") is None
    monkeypatch.setattr("stereoreel.models.headless.enclosing_models", lambda: comfy / "models")
    monkeypatch.delenv("STEREOREEL_MODELS", raising=False)
    host = Headless("cpu")
    assert (
        host.folder("upscale") == comfy / "models" / "upscale_models"
        and host.folder("depth") == comfy / "models" / "depthanything"
    )
    (comfy / "models" / "upscale_models").mkdir(parents=True)
    (comfy / "models" / "upscale_models" / "theirs.pth").touch()
    monkeypatch.setenv("STEREOREEL_MODELS", os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")]))
    (tmp_path / "two" / "upscale").mkdir(parents=True)
    (tmp_path / "two" / "upscale" / "ours.pth").touch()
    host = Headless("cpu")
    assert (
        sorted(host.files("upscale")) == ["ours.pth", "theirs.pth"]
        and host.folder("upscale") == tmp_path / "one" / "upscale"
    )


# The catalogue

# their files are on no public list of hashes: fetch says so, and prints the hash
AUTHORS = (
    "https://download.openmmlab.com/",
    "https://huggingface.co/depth-anything/",
    "https://huggingface.co/Ruicheng/",
    "https://huggingface.co/JunhaoZhuang/",
    "https://github.com/OpenImagingLab/",
)


def test_every_catalogue_file_has_a_source_and_a_name():
    for kind in catalog.KINDS:
        for entry in catalog.models(kind).values():
            assert entry.file == next((part.file for part in entry.parts.values()), None)
            for part in entry.parts.values():
                assert (
                    weights.safe_name(part.file) == part.file
                    and weights.is_weights(part.file)
                    and isinstance(part.also, tuple)
                )
                assert part.url is None or (
                    urlsplit(part.url).scheme == "https"
                    and urlsplit(part.url).path.endswith(part.file.rsplit("/", 1)[-1])
                )
                assert part.sha256 is None or (len(part.sha256) == 64 and int(part.sha256, 16))
                from_authors = part.url is None or part.url.startswith(AUTHORS)
                assert part.optional or part.sha256 or from_authors, f"{part.file} could not be verified"


@pytest.mark.usefixtures("stand_ins")
def test_auto_downloads_only_if_asked_and_reports_its_choice(host):
    assert choose("upscale", "auto", host)[0].name == "builtin"
    put(host, "upscale_models", "realesr-animevideov3.pth")
    entry, reason = choose("upscale", "auto", host)
    assert entry.name == "realesr-animevideov3" and "BSD-3-Clause" in reason
    put(host, "upscale", "RealESRGAN_x2plus.pth")
    assert choose("upscale", "auto", host)[0].name == MODEL


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("name", ["RealESRGAN_x2plus.pth", "RealESRGAN_x2plus.safetensors"])
def test_model_is_found_under_each_of_its_names(host, name):
    path = put(host, "upscale_models", name)
    entry, _ = choose("upscale", MODEL, host)
    assert host.weights("upscale", entry.file) == path


def test_model_is_found_in_a_subfolder_by_name_and_size(host, monkeypatch):
    publish(monkeypatch, "upscale", "realesr-animevideov3", whole(5000))
    path = put(host, "upscale_models", "esrgan/realesr-animevideov3.pth")
    with pytest.raises(FileNotFoundError):
        choose("upscale", "realesr-animevideov3", host)
    path.write_bytes(whole(5000))
    entry, _ = choose("upscale", "realesr-animevideov3", host)
    assert host.weights("upscale", entry.file) == path


def test_missing_weights_error(host, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        choose("upscale", MODEL, host)
    said = str(error.value)
    for fact in (
        "RealESRGAN_x2plus.pth",
        "67 MB",
        "BSD-3-Clause",
        str(tmp_path / "models" / "upscale"),
        f"python -m stereoreel fetch {MODEL}",
    ):
        assert fact in said
    assert f'--folder "{tmp_path / "models" / "upscale"}"' in said, (
        "the command must put it where this host looks"
    )
    assert "\n" not in said and said.count(". ") == 1


@pytest.mark.usefixtures("stand_ins")
def test_optional_part_is_required_only_when_needed(host):
    put(host, "upscale", "realesr-general-x4v3.pth")
    entry, _ = choose("upscale", "realesr-general-x4v3", host)
    with pytest.raises(FileNotFoundError, match="--all-parts"):
        catalog.obtain(entry, "wdn", host)
    put(host, "upscale", "realesr-general-wdn-x4v3.pth")
    assert catalog.obtain(entry, "wdn", host).is_file()


@pytest.mark.usefixtures("stand_ins")
def test_user_file_is_a_model(host):
    put(host, "upscale_models", "4x_foo.pth")
    put(host, "upscale_models", "sub/bar.safetensors")
    put(host, "upscale_models", "RealESRGAN_x4plus.pth")
    assert catalog.own_files("upscale", host) == ["4x_foo.pth", "sub/bar.safetensors"]
    entry, _ = choose("upscale", "4x_foo.pth", host)
    assert (entry.name, entry.file, entry.arch, entry.license) == (
        "4x_foo.pth",
        "4x_foo.pth",
        "spandrel",
        "see its source",
    )
    assert choose("upscale", "sub/bar.safetensors", host)[0].file == "sub/bar.safetensors"
    assert choose("upscale", "RealESRGAN_x4plus.pth", host)[0].name == "realesrgan-x4plus", (
        "a known file is run as its entry"
    )
    assert "*" not in catalog.models("upscale") and "4x_foo.pth" not in catalog.names("upscale")


@pytest.mark.parametrize("name", ["5x_foo.pth", "notes.txt", "midas"])
def test_unknown_name_error_lists_the_choices(host, name):
    put(host, "upscale_models", "4x_foo.pth")
    put(host, "upscale_models", "notes.txt")
    with pytest.raises(
        ValueError,
        match=f"Unknown upscale model '{name}'. Available: auto, {MODEL}, .*, builtin, span-x2, 4x_foo.pth",
    ):
        choose("upscale", name, host)


def test_flashvsr_folders_of_other_packs_are_found(host):
    own, others = host.models[0] / "FlashVSR-v1.1", host.models[0] / "checkpoints"
    for folder in (own, others):
        folder.mkdir(parents=True)
        (folder / "LQ_proj_in.ckpt").write_bytes(b"")
    assert host.weights("vsr", "FlashVSR-v1.1/LQ_proj_in.ckpt") == own / "LQ_proj_in.ckpt"
    assert host.files("vsr") == []


def test_flashvsr_in_one_file_is_found_as_published(host):
    put(host, "diffusion_models", "flashvsr_v1.1_fp16.safetensors")
    entry = catalog.models("vsr")["flashvsr-v1.1-single"]
    assert catalog.present(entry, host) and choose("vsr", entry.name, host)[0].file == entry.file
    old = host.models[0] / "diffusion_models" / "FlashVSR-v1.1-single.safetensors"
    host.weights("vsr", entry.file).rename(old)
    assert host.weights("vsr", choose("vsr", entry.name, host)[0].file) == old


def test_custom_files_of_vsr_are_those_of_its_own_folder(host):
    """The other folders that it searches are full of models that it cannot run."""
    put(host, "vsr", "sub/mine.pth")
    put(host, "upscale_models", "4x_foo.pth")
    put(host, "diffusion_models", "wan.safetensors")
    assert catalog.own_files("vsr", host) == ["sub/mine.pth"]
    for name in ("sub/mine.pth", "4x_foo.pth"):
        assert choose("vsr", name, host)[0].arch == "basicvsr"


def test_kinds_without_custom_files_refuse_them(host):
    put(host, "stereo", "mine.pth")
    with pytest.raises(ValueError, match=r"Unknown stereo model 'mine\.pth'"):
        choose("stereo", "mine.pth", host)
    with pytest.raises(ValueError, match="model must be one of"):
        Plan("stereo", {"model": "mine.pth"}, "Stereo")
    assert catalog.own_files("stereo", host) == []


def test_open_choice_accepts_other_values():
    model, *_ = catalog.options("upscale")
    assert model.check("4x_foo.pth") == "4x_foo.pth" and "4x_foo.pth" not in model.choices


@pytest.mark.parametrize("kind", ["upscale", "vsr", "interpolate", "depth"])
def test_download_is_off_by_default(kind):
    [download] = [option for option in catalog.options(kind) if option.name == "download"]
    assert download.default is False


def test_plans_of_a_graph_are_listed_once_upstream_first(tensor_clip):
    first = apply(Plan("upscale", {}, "first"), tensor_clip())["clip"]
    depth = apply(Plan("depth", {}, "second"), first)["clip"]
    pair = apply(Plan("stereo", {}, "third"), first, depth)["clip"]
    assert [plan.label for plan in plans(pair, depth)] == ["first", "second", "third"]


def test_listing_shows_installed_models_and_user_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    (tmp_path / "upscale_models").mkdir()
    publish(monkeypatch, "upscale", "realesr-general-x4v3", whole(1_600_000))
    for name in ("realesr-general-x4v3.pth", "4x_foo.pth"):
        (tmp_path / "upscale_models" / name).write_bytes(whole(1_600_000))
    assert main(["models"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "model=" in line}
    assert (
        "missing: RealESRGAN_x2plus.pth" in lines[f"upscale.model={MODEL}"]
        and "67 MB" in lines[f"upscale.model={MODEL}"]
    )
    assert (
        "here, without the optional realesr-general-wdn-x4v3.pth (auto)"
        in lines["upscale.model=realesr-general-x4v3"]
    )
    assert all(word in lines["upscale.model=4x_foo.pth"] for word in ("see its source", "1.6 MB", "here"))
    assert main(["fetch", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "RealESRGAN_x2plus.pth" in printed and "optional part wdn" in printed


def test_run_with_missing_weights_fails_before_the_first_frame(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path / "models"))
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(orders.api(("extract", "upscale", "encode"))))
    monkeypatch.setattr("stereoreel.cli.main.find_video", lambda *names: tmp_path / "in.mkv")
    monkeypatch.setattr(
        "stereoreel.media.open.open_file", lambda path, options, name, **more: UnreadClip().clip
    )
    for name, said in [
        (MODEL, "needs RealESRGAN_x2plus.pth"),
        ("4x_gone.pth", "Unknown upscale model '4x_gone.pth'"),
    ]:
        assert (
            main(["run", str(graph), "--output", str(tmp_path / "out.mp4"), "--set", f"upscale.model={name}"])
            == 1
        )
        error = capsys.readouterr().err
        assert error.startswith("error: RealESRGAN Upscale (node 2): ") and said in error
    assert names(tmp_path) == ["graph.json"]


class UnreadClip:
    """A source that fails if it is read."""

    label = "Extract"

    def __init__(self):
        self.info = ClipInfo(32, 32, Fraction(25), 3)
        self.clip = Clip(self)

    def chunks(self, host, frames):
        raise AssertionError("a frame was read")


# Reading and loading


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def saved(path, contents, **options):
    torch.save(contents, path, **options)
    return path


@pytest.mark.parametrize("wrap", ["", "params_ema", "params", "state_dict", "module", "state_dict/module"])
def test_checkpoint_wrappers_are_removed(tmp_path, wrap):
    state = wrapped = small().state_dict()
    for key in reversed(wrap.split("/") if wrap else []):
        wrapped = {key: wrapped, "epoch": 7}
    made = read(saved(tmp_path / "net.pth", wrapped))
    assert made.keys() == state.keys() and all(torch.equal(made[name], state[name]) for name in state)


def test_averaged_weights_are_preferred(tmp_path):
    both = {"params": {"a": torch.zeros(2)}, "params_ema": {"a": torch.ones(2)}}
    assert read(saved(tmp_path / "net.pth", both))["a"].equal(torch.ones(2))


def test_format_is_detected_by_contents(tmp_path):
    state = {"a": torch.rand(3, 5), "b": torch.rand(2).half()}
    save_file(state, tmp_path / "tensors.pth")
    saved(tmp_path / "new.safetensors", state)
    saved(tmp_path / "old.bin", state, _use_new_zipfile_serialization=False)
    for name in ("tensors.pth", "new.safetensors", "old.bin"):
        made = read(tmp_path / name)
        assert all(
            torch.equal(made[key], state[key]) and made[key].dtype == state[key].dtype for key in state
        ), name


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("save", ["save", "old save", "pickle", "module"])
def test_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch, save):
    monkeypatch.chdir(tmp_path)
    held = {"params": {"a": torch.rand(2)}, "harm": Harmful()}
    if save == "pickle":
        (tmp_path / "net.pth").write_bytes(pickle.dumps(held, protocol=2))
    else:
        saved(
            tmp_path / "net.pth",
            nn.Linear(2, 2) if save == "module" else held,
            _use_new_zipfile_serialization=save != "old save",
        )
    with pytest.raises(ValueError, match=r"Get these weights as \.safetensors") as error:
        read(tmp_path / "net.pth")
    assert "\n" not in str(error.value) and not (tmp_path / "harm").exists()


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_file_error(tmp_path, kind, share):
    state, path = {"a": torch.rand(100, 100), "b": torch.rand(50)}, tmp_path / "net.pth"
    save_file(state, path) if kind == "safetensors" else saved(
        path, state, _use_new_zipfile_serialization=kind == "zip"
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"net\.pth") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_legacy_file_truncated_anywhere(tmp_path):
    path = tmp_path / "net.pth"
    saved(path, {"a": torch.rand(3), "b": torch.rand(2)}, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in range(len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"net\.pth"):
            read(path)


NO_CHECKPOINTS = [
    b"<!DOCTYPE html><html>not found</html>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
    b"\0" * 500,
]


@pytest.mark.parametrize("contents", NO_CHECKPOINTS)
def test_not_a_checkpoint_error(tmp_path, contents):
    (tmp_path / "net.pth").write_bytes(contents)
    with pytest.raises(ValueError, match=r"net\.pth"):
        read(tmp_path / "net.pth")


@pytest.mark.parametrize("contents", [{"epoch": 3}, {}, [1, 2], {"params": {}}, 5], ids=str)
def test_checkpoint_without_weights_error(tmp_path, contents):
    with pytest.raises(ValueError, match="contains no named weights"):
        read(saved(tmp_path / "net.pth", contents))


def test_recursive_checkpoint_terminates(tmp_path):
    circle = {}
    circle["params"] = circle
    with pytest.raises(ValueError, match="contains no named weights"):
        read(saved(tmp_path / "net.pth", circle))
