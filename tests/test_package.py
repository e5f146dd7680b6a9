"""The package: a wheel contains all that the terminal needs, from any folder."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import stereoreel
from stereoreel.cli.paths import find_workflow
from stereoreel.workflow.templates import TITLES

ROOT = Path(__file__).resolve().parents[1]
# What https://docs.comfy.org/registry/specifications documents.
SYSTEMS = {"OS Independent", "Microsoft :: Windows", "POSIX :: Linux", "MacOS"}
ACCELERATORS = {
    "GPU :: NVIDIA CUDA",
    "GPU :: AMD ROCm",
    "GPU :: Intel Arc",
    "NPU :: Huawei Ascend",
    "GPU :: Apple Metal",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    [made] = folder.glob("*.whl")
    return made


def test_version_is_declared_once():
    declared = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
    assert stereoreel.__version__ == declared


def declared(name: str) -> str:
    """Return the value of a key that occurs once in pyproject.toml."""
    [value] = re.findall(
        rf"^{re.escape(name)} = (.+?)(?:  #.*)?$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M
    )
    return value


def test_registry_knows_every_classifier():
    known = {f"Operating System :: {name}" for name in SYSTEMS} | {
        f"Environment :: {name}" for name in ACCELERATORS
    }
    assert (
        "Operating System :: OS Independent" in (found := set(re.findall('"(.+?)"', declared("classifiers"))))
        and found <= known
    )


@pytest.mark.parametrize(("name", "ratio", "most"), [("Icon", 1, 400), ("Banner", 21 / 9, 2100)])
def test_registry_accepts_icon_and_banner(name, ratio, most):
    place = (
        declared(name)
        .strip('"')
        .removeprefix("https://raw.githubusercontent.com/stereoreel/stereoreel/main/")
    )
    assert place.endswith((".png", ".jpg")) and (ROOT / place).stat().st_size < 150_000
    with Image.open(ROOT / place) as picture:
        assert picture.width / picture.height == pytest.approx(ratio, abs=0.005) and picture.width <= most


def test_registry_package_contains_what_comfyui_reads():
    ignored = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
    for name in ("locales", "models_config", "nodes", "stereoreel", "subgraphs", "web", "workflows"):
        assert (ROOT / name).is_dir() and not {name, f"{name}/"} & set(ignored)


def test_comfyui_brings_its_own_frontend():
    assert re.fullmatch(r'">=\d+\.\d+\.\d+"', declared("requires-comfyui"))
    assert "frontend" not in (ROOT / "requirements.txt").read_text(encoding="utf-8")


def test_live_is_an_attribute_of_the_package():
    code = "import stereoreel; print(stereoreel.live.Upscaler.__name__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "Upscaler"


def test_wheel_contains_engine_models_and_workflows(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "stereoreel").rglob("*.py")} | {
        "stereoreel/py.typed",
        "stereoreel/sample/sample.mp4",
        "stereoreel/stages/depth/learned.safetensors",
    }
    for folder in ("models_config", "workflows", "subgraphs"):
        data = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".yaml", ".json", ".jpg")]
        wanted |= {f"stereoreel/{path.relative_to(ROOT).as_posix()}" for path in data}
    assert names == wanted
    metadata = next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA"))
    needs = re.findall("^Requires-Dist: (\\w+)", zipfile.ZipFile(wheel).read(metadata).decode(), re.M)
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {re.match(r"\w+", line)[0].lower() for line in lines if line[:1] not in ("#", "")} <= {
        name.lower() for name in needs
    }


def test_installed_wheel_runs_the_sample_from_any_folder(wheel, tmp_path):
    """Install into an environment that sees this one's libraries and nothing of the checkout."""
    place = tmp_path / "environment"
    venv.create(place)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python]
    options = ["--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *options, wheel], check=True)
    scheme = sysconfig.get_path(
        "purelib", "nt" if os.name == "nt" else "posix_prefix", {"base": place, "platbase": place}
    )
    (Path(scheme) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python.with_name("stereoreel"), "run", "default", "--output", "pair.mp4", "--device", "cpu"]
    options = [
        "extract.duration=0.1",
        "extract.max_side=160",
        "vsr.factor=1",
        "interpolate.multiplier=1",
        "encode.speed=fast",
    ]
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [*command, *(word for one in options for word in ("--set", one))],
        cwd=tmp_path / "elsewhere",
        env=clean,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "pair.mp4", done.stderr
    script = (
        "import stereoreel; clip = stereoreel.open('sample', duration=0.1, max_side=160);"
        "pair = stereoreel.stereo(clip, stereoreel.depth(clip));"
        "print(stereoreel.write(pair, 'python.mp4', device='cpu'), stereoreel.__file__)"
    )
    scripted = subprocess.run(
        [python, "-c", script], cwd=tmp_path / "elsewhere", env=clean, capture_output=True, text=True
    )
    assert "python.mp4" in scripted.stdout and str(place) in scripted.stdout, scripted.stderr


def test_bundled_workflow_is_found_by_name(tmp_path, monkeypatch):
    """A file of that name in the current folder takes precedence; any other name is a path."""
    monkeypatch.chdir(tmp_path)
    for name, title in TITLES.items():
        api = ROOT / "workflows" / "api" / f"{name}.json"
        assert find_workflow(Path(name)) == find_workflow(Path(title)) == api and api.is_file()
    assert find_workflow(Path("no_such_workflow")) == Path("no_such_workflow")
    (tmp_path / "default").write_text("{}")
    assert find_workflow(Path("default")) == Path("default")
