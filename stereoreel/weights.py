"""Weights: the folders where users keep them, and the files that hold them."""

from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .host import Host

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pkl")
# ComfyUI's folders for each kind, below its models folder; what is fetched goes into the first.
HERE = "."  # the models folder itself, where FlashVSR's packs make a folder for their files: looked into by name, never listed
FOLDERS = {
    "upscale": ("upscale_models",),
    "vsr": ("vsr", "upscale_models", "diffusion_models", HERE),
    # the last two are where the pack with the most users keeps RIFE
    "interpolate": ("frame_interpolation", "rife", *(f"../custom_nodes/{name}/ckpts/rife" for name in
                    ("comfyui-frame-interpolation", "ComfyUI-Frame-Interpolation"))),
    "depth": ("depthanything", "geometry_estimation"),
}
WRAPPERS = ("params_ema", "params", "state_dict", "module")  # under which training scripts keep a network's weights, best first


@dataclass(frozen=True)
class File:
    """A file of a model; ``also`` names files that hold the same weights in another packing, ``bytes`` and ``sha256`` are its own."""

    file: str
    url: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    optional: bool = False
    also: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        return megabytes(self.bytes) if self.bytes else "size unknown"


def megabytes(count: int) -> str:
    """Bytes for people: ``67 MB``, ``2.5 MB``."""
    return f"{count / 1e6:.{0 if count >= 1e7 else 1}f} MB"


def folders(kind: str) -> tuple[str, ...]:
    """Names of the folders that may hold a kind's weights, in the order of looking."""
    return tuple(dict.fromkeys((*FOLDERS.get(kind, ()), kind)))


def listed(kind: str) -> tuple[str, ...]:
    """Those of them whose files may all be looked at."""
    return tuple(folder for folder in folders(kind) if folder != HERE)


def checked(name: str) -> str:
    """A name below a folder of weights, with forward slashes; ValueError for one that leads elsewhere."""
    path = PureWindowsPath(name)  # knows either slash, and drives
    if not path.name or path.drive or path.root or ".." in path.parts or "\0" in name:
        raise ValueError(f"{name!r} leads out of the models folder; give the name of a file inside it, such as upscaler.pth.")
    return path.as_posix()


def listing(folder: Path) -> list[str]:
    """Files of weights below a folder, as ``sub/x.pth``, in order; none where there is no folder."""
    found, seen = [], set()
    for place, inner, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        inner[:] = [] if real in seen else [name for name in inner if not name.startswith(".")]
        if real not in seen:
            found += [(Path(place) / name).relative_to(folder).as_posix() for name in files if is_weights(name)]
        seen.add(real)  # links may lead in circles
    return sorted(found)


def is_weights(name: str) -> bool:
    """Whether a name is that of a file of weights."""
    return name.lower().endswith(SUFFIXES)


def locate(file: File, kind: str, host: Host) -> str | None:
    """The name under which a host has a file: its own, that of another packing, or its own in some subfolder."""
    for name in (file.file, *file.also):
        if has(host, kind, name):
            return name
    if file.bytes:  # in a subfolder anybody may have given that name, so the size must agree as well
        for name in host.files(kind):
            if name.rsplit("/", 1)[-1] == file.file and host.weights(kind, name).stat().st_size == file.bytes:
                return name
    return None


def has(host: Host, kind: str, name: str) -> bool:
    """Whether a host finds a file."""
    try:
        return bool(host.weights(kind, name))
    except FileNotFoundError:
        return False


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, on the CPU and mapped from the file where its format allows.

    Whatever its ending says, safetensors and torch's formats are told apart by content; no code in a pickle is run.
    Raises ValueError in one sentence for a file that is damaged, needs such code, or holds no tensors.
    """
    with open(path, "rb") as file:
        head = file.read(9)
    state = _safetensors(path) if head[8:] == b"{" else _pickle(path, zipped=head.startswith(b"PK"))
    for _ in WRAPPERS:  # they may be nested, and a crafted file may hold itself
        if isinstance(state, Mapping):
            state = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), state)
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)} if isinstance(state, Mapping) else {}
    if not tensors:
        raise ValueError(f"{path} holds no weights that can be told by name; choose the checkpoint of a network.")
    return tensors


def _safetensors(path: Path) -> Mapping:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not whole ({error}); fetch it again.") from None


def _pickle(path: Path, zipped: bool) -> object:
    mapped = zipped and path.suffix != ".safetensors"  # torch goes by that ending, but not when it is given an open file
    try:
        with open(path, "rb") as file:
            return torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if code := re.search(r"(?i)unsupported (?:global|class)\W+(?:global )?([\w.]+)", str(error)):
            raise ValueError(f"{path} wants to run code ({code[1]}) and is not opened; get these weights as .safetensors.") from None
        raise ValueError(f"{path} is no checkpoint that can be opened safely; get these weights as .safetensors.") from None
    except (EOFError, OSError, RuntimeError, LookupError, TypeError, ValueError, AssertionError, AttributeError, struct.error):
        raise ValueError(f"{path} is damaged or no checkpoint; fetch it again.") from None
