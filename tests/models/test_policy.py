"""Upscaler policy: its rows, what `auto` selects on each machine, and the terminal's advice."""

from dataclasses import replace

import pytest
import torch

from stereoreel.cli.main import main
from stereoreel.models import catalog, forecast, policy
from stereoreel.models.headless import Headless
from stereoreel.models.machine import Machine, described, unmet
from stereoreel.stages.depth.stage import depth_type
from tests.support.weights_shop import TINY

GB = 10**9
TRITON = {"triton": "3.4.0"}
VFX = {"nvidia-vfx": "0.2.0.0"}
RTX_4070 = {"gpu": "NVIDIA GeForce RTX 4070", "compute": (8, 9), "memory": 12 * GB, "driver": "580.90"}
RTX_5090 = {"gpu": "NVIDIA GeForce RTX 5090", "compute": (12, 0), "memory": 34 * GB, "driver": "580.90"}
H100 = Machine("Linux", "NVIDIA H100 80GB HBM3", (9, 0), 85 * GB, "570.195.03", TRITON)
H200 = Machine("Linux", "NVIDIA H200", (9, 0), 150 * GB, "570.195.03", TRITON)
WINDOWS = Machine("Windows", **RTX_4070, packages=VFX)
LINUX = Machine("Linux", **RTX_4070, packages=VFX)
CLOUD_5090 = Machine("Linux", **RTX_5090, packages=TRITON)
T1000 = Machine("Linux", "NVIDIA T1000", (7, 5), 4 * GB, "570.195.03", TRITON)
GTX_1060 = Machine("Windows", "NVIDIA GeForce GTX 1060 6GB", (6, 1), 6 * GB, "560.94")
RADEON = Machine("Linux", "AMD Radeon RX 7900 XTX", (0, 0), 25 * GB)
LAPTOP = Machine("Darwin", teraflops=0.8)
SERVER = Machine("Linux", teraflops=12.8)
OLD_LAPTOP = Machine("Linux", teraflops=0.2)


def taken(machine: Machine, aim: str, *missing: str, kind: str | None = None) -> str:
    """Return the choice if all weights but the ``missing`` ones are installed, as kind/model."""

    def able(kind: str, model: str) -> bool:
        entry = catalog.models(kind)[model]
        slow = forecast.too_slow(entry.work, machine.teraflops)
        return model not in missing and not unmet(entry.needs, machine) and not slow

    found = policy.choice(machine, aim, able, kind)
    return f"{found[0].kind}/{found[1]}" if found else "the catalogue's order"


@pytest.mark.parametrize(
    ("machine", "aim", "model"),
    [
        (WINDOWS, "live", "vsr/nvidia-rtx-vsr"),
        (WINDOWS, "quality", "vsr/nvidia-rtx-vsr"),
        (LINUX, "live", "vsr/nvidia-rtx-vsr"),
        (LINUX, "quality", "vsr/nvidia-rtx-vsr"),
        (H100, "quality", "vsr/flashvsr-v1.1"),
        (H200, "quality", "vsr/flashvsr-v1.1"),
        (H100, "live", "upscale/span-x2"),
        (H200, "live", "upscale/span-x2"),
        (CLOUD_5090, "live", "upscale/span-x2"),
        (CLOUD_5090, "quality", "vsr/flashvsr-v1.1"),
        (RADEON, "quality", "upscale/realesrgan-x2plus"),
        (RADEON, "live", "upscale/span-x2"),
        (T1000, "quality", "upscale/realesr-general-x4v3"),
        (T1000, "live", "upscale/span-x2"),
        (GTX_1060, "quality", "upscale/realesr-general-x4v3"),
        (LAPTOP, "quality", "upscale/realesr-general-x4v3"),
        (LAPTOP, "live", "upscale/builtin"),
        (SERVER, "quality", "upscale/realesrgan-x2plus"),
        (OLD_LAPTOP, "quality", "vsr/builtin"),
    ],
)
def test_each_machine_gets_its_upscaler(machine, aim, model):
    assert taken(machine, aim) == model


@pytest.mark.parametrize(
    "changed", [{"packages": {}}, {"driver": "570.86"}, {"driver": "550.120"}, {"system": "Darwin"}]
)
def test_nvidias_upscaler_needs_package_driver_and_system(changed):
    machine = Machine(**{"system": "Linux", **RTX_4070, "packages": VFX, **changed})
    assert taken(machine, "quality") == "upscale/realesrgan-x2plus"
    assert taken(machine, "live") == "upscale/span-x2"


def test_flashvsr_on_a_consumer_gpu_uses_the_sparse_path():
    dense = Machine("Windows", **RTX_5090)
    assert taken(dense, "quality") == "upscale/realesrgan-x2plus"
    assert taken(Machine("Windows", **RTX_5090, packages=VFX), "quality") == "vsr/nvidia-rtx-vsr"
    assert taken(Machine("Windows", **RTX_5090, packages=VFX | TRITON), "quality") == "vsr/flashvsr-v1.1"


def test_next_row_is_used_if_weights_are_missing():
    assert taken(H100, "quality", "flashvsr-v1.1") == "vsr/flashvsr-v1.1-single"
    assert taken(H100, "quality", "flashvsr-v1.1", "flashvsr-v1.1-single") == "upscale/realesrgan-x2plus"
    assert taken(LAPTOP, "quality", "realesr-general-x4v3") == "vsr/builtin"
    assert taken(T1000, "live", "span-x2") == "upscale/realesr-general-x4v3"
    assert taken(H100, "live", "span-x2") == "upscale/realesrgan-x2plus"
    assert taken(T1000, "live", "span-x2", "realesr-general-x4v3") == "upscale/builtin"
    assert (
        taken(H100, "quality", "flashvsr-v1.1", "flashvsr-v1.1-single", "realbasicvsr", kind="vsr")
        == "vsr/builtin"
    )


@pytest.mark.parametrize("model", ["realesrgan-x4plus", "realesrgan-x2plus", "realesrgan-x4plus-anime-6b"])
def test_a_cpu_never_gets_a_network_that_needs_days(model, tmp_path, monkeypatch):
    host = Headless("cpu", models=tmp_path / "models")
    place = host.folder("upscale") / catalog.models("upscale")[model].parts["weights"].also[0]
    place.parent.mkdir(parents=True)
    place.write_bytes(TINY)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    entry, reason = catalog.choose("upscale", "auto", host)
    assert entry.name == "builtin" and f"{model}: forecast" in reason, reason
    assert catalog.choose("upscale", model, host)[0].name == model


def test_forecast_follows_arithmetic_and_cores(monkeypatch):
    monkeypatch.setattr(forecast, "cpu_computes_bfloat16", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert forecast.teraflops(torch.device("cpu")) == pytest.approx(0.8)
    assert forecast.teraflops(torch.device("meta")) == 0
    work = catalog.models("upscale")["realesrgan-x2plus"].work
    assert forecast.frames_per_second(work, 0.8) == pytest.approx(0.8 / (work * 0.101376))
    assert "0.88 frames of 352x288 a second" in forecast.too_slow(work, 0.8)
    assert (
        not forecast.too_slow(work, 8.0) and not forecast.too_slow(work, 0) and not forecast.too_slow(0, 0.8)
    )


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_depth_is_forecast_in_the_dtype_that_it_runs_in(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "cpu_computes_bfloat16", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    entry = replace(next(iter(catalog.models(kind).values())), work=2.2)  # 7 a second in bfloat16, 1.8 else
    slow = catalog.too_slow(entry, Headless("cpu", models=tmp_path))
    assert bool(slow) == (kind == "depth")
    assert depth_type("auto", torch.device("cpu")) == torch.float32


def test_rows_of_other_kinds_are_ignored():
    assert taken(H100, "live", kind="vsr") == "vsr/builtin"
    assert taken(OLD_LAPTOP, "quality", kind="upscale") == "the catalogue's order"
    assert taken(H100, "quality", kind="upscale") == "upscale/realesrgan-x2plus"
    assert taken(RADEON, "quality", kind="vsr") == "vsr/realbasicvsr"
    assert taken(LAPTOP, "quality", kind="vsr") == "vsr/builtin"


@pytest.mark.parametrize("number", range(len(policy.rows())))
def test_rows_name_existing_models_of_any_use(number):
    row = policy.rows()[number]
    entries = [catalog.models(row.kind).get(model) for model in row.models]
    assert all(entries), f"{row.kind} has no {row.models}"
    assert all(entry.commercial for entry in entries)
    assert set(row.aims) <= set(policy.AIMS) and "\n" not in row.why
    unmet(row.where, LAPTOP)  # every condition is known


@pytest.mark.parametrize("number", range(len(policy.rows())))
def test_every_row_is_reachable(number):
    row = policy.rows()[number]
    machines = (WINDOWS, LINUX, H100, H200, CLOUD_5090, T1000, RADEON, LAPTOP, SERVER)
    chosen = [
        policy.choice(machine, aim, lambda kind, model: (kind, model) == (row.kind, row.models[0]))
        for machine in machines
        for aim in row.aims
    ]
    assert any(found and found[0] is row for found in chosen)


@pytest.mark.parametrize(
    ("driver", "right"),
    [
        ("570.190", True),
        ("570.195.03", True),
        ("570.86.10", False),
        ("575.57", True),
        ("580.65.06", False),
        ("580.82.07", True),
        ("590.40", False),
        ("590.44.01", True),
        ("610.10", True),
        ("550.120", False),
        ("", True),
    ],
)
def test_minimum_driver_of_each_branch(driver, right):
    needs = {"driver": {"Linux": ["570.190", "580.82", "590.44"]}}
    assert bool(unmet(needs, Machine("Linux", driver=driver))) != right


def test_missing_requirements_are_reported_with_a_remedy():
    needs = catalog.models("vsr")["nvidia-rtx-vsr"].needs
    assert unmet(needs, WINDOWS) == []
    [package] = unmet(needs, Machine("Windows", **RTX_4070))
    assert "nvidia-vfx" in package and "python -m pip install nvidia-vfx" in package
    frames = catalog.models("interpolate")["nvidia-rtx-frame-generation"].needs
    [old] = unmet(frames, Machine("Linux", **RTX_4070, packages={"nvidia-vfx": "0.1.0.1"}))
    assert "0.2 or newer; this is 0.1.0.1" in old
    assert "Windows or Linux (this is Darwin)" in unmet(needs, LAPTOP)[0]
    [tensorless] = unmet(needs, Machine("Windows", "NVIDIA GeForce GTX 1660", (7, 5), 6 * GB, "580.90", VFX))
    assert "a GPU other than NVIDIA GeForce GTX 1660" in tensorless


def test_this_machine_is_described():
    machine = described(torch.device("cpu"))
    assert machine.system and not machine.gpu and machine.compute == (0, 0) and machine.memory == 0


def put(folder, kind, entry):
    for part in entry.parts.values():
        path = folder / kind / part.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TINY)


@pytest.mark.usefixtures("stand_ins")
def test_auto_follows_the_policy_then_the_catalogue(tmp_path):
    host = Headless("cpu", models=tmp_path)
    assert catalog.pick("vsr", "auto", host)[1].startswith("builtin: fuses neighbouring frames")
    put(tmp_path, "upscale", catalog.models("upscale")["realesrgan-x4plus"])
    assert catalog.pick("upscale", "auto", host)[0].name == "realesrgan-x4plus"
    put(tmp_path, "upscale", catalog.models("upscale")["realesr-general-x4v3"])
    entry, reason = catalog.pick("upscale", "auto", host)
    assert entry.name == "realesr-general-x4v3" and reason.startswith(
        "realesr-general-x4v3: with a small GPU or none"
    )
    put(tmp_path, "upscale", catalog.models("upscale")["realesrgan-x2plus"])
    entry, reason = catalog.pick("upscale", "auto", host)
    assert entry.name == "realesrgan-x2plus" and "this processor" in reason
    assert catalog.pick("upscale", "auto", host, aim="live")[0].name == "builtin"
    assert catalog.pick("upscale", "realesrgan-x2plus", host)[0].name == "realesrgan-x2plus"


def test_auto_never_downloads_unsuitable_models(tmp_path):
    assert catalog.pick("vsr", "auto", Headless("cpu", models=tmp_path), download=True)[0].name == "builtin"


def test_auto_skips_models_with_missing_requirements(tmp_path):
    host = Headless("cpu", models=tmp_path)
    assert not catalog.present(catalog.models("vsr")["nvidia-rtx-vsr"], host)
    assert catalog.pick("interpolate", "auto", host)[0].name == "builtin"
    with pytest.raises(
        RuntimeError, match=r"nvidia-rtx-vsr needs an NVIDIA GPU .*\. Or choose another model\."
    ):
        catalog.choose("vsr", "nvidia-rtx-vsr", host)


@pytest.mark.usefixtures("stand_ins")
def test_advice_names_the_choice_missing_files_and_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    assert main(["advise", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    quality, live = printed.split("\nquality: ")[1].split("\nlive: ")
    assert (
        "Run `python -m stereoreel fetch realesr-general-x4v3`" in quality and "vsr.model=builtin" in quality
    )
    assert "upscale.model=builtin" in live and "missing" not in live.split("model: auto selects")[0]
    put(tmp_path, "upscale", catalog.models("upscale")["realesr-general-x4v3"])
    main(["advise", "--device", "cpu"])
    quality = capsys.readouterr().out.split("\nquality: ")[1].split("\nlive: ")[0]
    assert "upscale.model=realesr-general-x4v3" in quality and "general-x4v3.pth" not in quality


def test_facts_of_a_model_are_separate_words(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    (tmp_path / "upscale").mkdir()
    (tmp_path / "upscale" / "mine.pth").write_bytes(TINY)
    assert main(["models"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "mine.pth" in line]
    assert "see its source " in line and " 0.0 MB " in line
    licences = {entry.license for kind in catalog.KINDS for entry in catalog.models(kind).values()}
    assert max(map(len, licences)) < 20, "the column of the terminal's list is too narrow"
