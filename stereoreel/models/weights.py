"""Weights: the files that hold them, and their contents."""

from __future__ import annotations

import os
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, TYPE_CHECKING

import torch
from torch import Tensor

from ..nets.strict import Unfit
from . import ncnn_files
from .intact import ZIP, fault, first_line

if TYPE_CHECKING:
    from ..core.host import Host

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pkl")
# keys under which training scripts store a network's weights, best first
WRAPPERS = ("params_ema", "params-ema", "params", "model_state_dict", "state_dict", "module", "model", "net")
HARMLESS = ("torch.", "collections.OrderedDict", "typing.OrderedDict")  # what pickles of checkpoints name
USABLE = frozenset(
    getattr(torch, name)
    for name in (
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
    )
    if hasattr(torch, name)
)
# raised by Python and torch for tensors of unexpected names, shapes and types
BREAKS = (
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    TypeError,
    ValueError,
    RuntimeError,
    MemoryError,
    ImportError,
    StopIteration,
)


@dataclass(frozen=True)
class File:
    """A file of a model.

    ``also`` names files that hold the same weights in another format; ``bytes`` and ``sha256`` are its own.
    """

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
    """Format bytes for people: ``67 MB``, ``2.5 MB``."""
    return f"{count / 1e6:.{0 if count >= 1e7 else 1}f} MB"


def total_size(files: Iterable[File]) -> str:
    """Return the size of several files for people: ``6252 MB or more`` if some are unknown."""
    sizes = [file.bytes for file in files]
    known = sum(size for size in sizes if size)
    if not known:
        return "size unknown"
    return megabytes(known) + (" or more" if None in sizes else "")


def safe_name(name: str) -> str:
    """Return a name below a folder of weights, with forward slashes, or raise ValueError if it leads out."""
    path = PureWindowsPath(name)  # knows either slash, and drives
    if not path.name or path.drive or path.root or ".." in path.parts or "\0" in name:
        raise ValueError(
            f"{name!r} is outside the models folder. Give the name of a file inside it, such as upscaler.pth."
        )
    return path.as_posix()


def listing(folder: Path) -> list[str]:
    """Return the files of weights below a folder, as ``sub/x.pth``, in order; none without a folder."""
    found, seen = [], set()
    for place, inner, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        inner[:] = [] if real in seen else [name for name in inner if not name.startswith(".")]
        if real not in seen:
            found += [
                (Path(place) / name).relative_to(folder).as_posix() for name in files if is_weights(name)
            ]
        seen.add(real)  # links may form cycles
    return sorted(found)


def is_weights(name: str) -> bool:
    """Whether a name is that of a file of weights."""
    return name.lower().endswith(SUFFIXES)


def locate(file: File, kind: str, host: Host) -> str | None:
    """Return the name under which a host has a complete file.

    This is its own, that of another format, or its own in a subfolder.
    """
    for name in (file.file, *file.also):
        path = find_file(host, kind, name)
        if path and not fault(path, file if name == file.file else None, host.file_cache):
            return name
    if file.bytes:  # in a subfolder another file may have that name, so the size must agree as well
        for name in host.files(kind):
            path = find_file(host, kind, name) if name.rsplit("/", 1)[-1] == file.file else None
            if path and not fault(path, file, host.file_cache):
                return name
    return None


def corrupt_file(file: File, kind: str, host: Host) -> tuple[Path, str] | None:
    """Return an incomplete file under one of the names and its fault; None if a complete one exists too."""
    if locate(file, kind, host):
        return None
    for name in (file.file, *file.also):
        path = find_file(host, kind, name)
        if path and (wrong := fault(path, file if name == file.file else None, host.file_cache)):
            return path, wrong
    return None


def find_file(host: Host, kind: str, name: str) -> Path | None:
    """Return where a host has a file, complete or not."""
    try:
        return host.weights(kind, name)
    except FileNotFoundError:
        return None


def read(path: Path, bare: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, on the CPU and mapped from the file if possible.

    Safetensors and torch's formats are distinguished by content, not by suffix; no code in a pickle is run. A
    file may be one unnamed tensor if ``bare`` gives it a name. Raise ValueError for a file that is corrupt,
    needs code, or holds no tensors that a network can use.
    """
    if wrong := fault(path):
        raise ValueError(f"{path} {wrong}. Download it again, or choose another file.")
    if ncnn_files.graph_of(path):
        raise ValueError(f"{path} is an ncnn model, which only the RealESRGAN node loads. Choose a .pth or "
                         ".safetensors file.")  # fmt: skip
    with open(path, "rb") as file:
        head = file.read(9)
    state = _safetensors(path) if head[8:] == b"{" else _pickle(path, zipped=head.startswith(ZIP))
    if bare and isinstance(state, Tensor):
        state = {bare: state}
    state = _unwrapped(state) if isinstance(state, Mapping) else {}
    tensors = {
        name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not tensors:
        raise ValueError(f"{path} contains no named weights. Choose a model checkpoint.")
    for name, tensor in tensors.items():
        if wrong := _unusable(tensor, path.stat().st_size):
            raise ValueError(
                f"{path} is not a usable checkpoint: its tensor {name[:80]!r} {wrong}. Choose another file."
            )
    return tensors


def _unwrapped(state: Mapping) -> Mapping:
    """Return the state dict inside what a training script saved."""
    for _ in WRAPPERS:  # they may be nested, and a crafted file may contain itself
        inner = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), None)
        if inner is None and len(state) == 1:
            inner = next(value if isinstance(value, Mapping) else None for value in state.values())
        if inner is None:
            break
        state = inner
    return state


def _unusable(tensor: Tensor, size: int) -> str | None:
    """Return why a tensor cannot be a weight, in a file of ``size`` bytes, or None."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        return "is sparse, nested or quantized"
    if tensor.device.type != "cpu":
        return f"is on the device {tensor.device}"
    if tensor.dtype not in USABLE:
        return f"is of type {str(tensor.dtype).removeprefix('torch.')}, which no network supports"
    if tensor.numel() * tensor.itemsize > size or max(tensor.shape, default=0) > size:
        return f"has the shape {list(tensor.shape)}, more than {size} bytes can hold"
    return None


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """Name the file in errors of detection and loading, and reduce other errors to one sentence."""
    try:
        yield
    except torch.OutOfMemoryError:  # of the device, not a fault of the file
        raise
    except Unfit as error:
        raise ValueError(f"{path.name}: {error}") from None
    except BREAKS as error:
        if isinstance(error, ValueError) and str(path) in str(error):  # raised by the reader, already clear
            raise
        said = first_line(error) if isinstance(error, (RuntimeError, ValueError)) else type(error).__name__
        raise ValueError(f"{path.name} fits no model of this kind ({said}). Choose another file.") from None


def _safetensors(path: Path) -> Mapping:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, *BREAKS) as error:
        raise ValueError(
            f"{path} is corrupt or truncated ({first_line(error)}). Download it again."
        ) from None


def _pickle(path: Path, zipped: bool) -> object:
    # torch checks that suffix, but not for an open file
    mapped = zipped and path.suffix != ".safetensors"
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats, and about what is refused below
            return torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if code := _code(path, zipped, str(error)):
            raise ValueError(
                f"Refusing to load {path}: its pickle contains code and would run it ({code}). "
                "Get these weights as .safetensors."
            ) from None
        raise ValueError(f"{path} is corrupt, or cannot be opened safely. "
                         "Get these weights as .safetensors.") from None  # fmt: skip
    except (EOFError, OSError, struct.error, *BREAKS):
        raise ValueError(f"{path} is corrupt, truncated or not a checkpoint. Download it again.") from None


def _code(path: Path, zipped: bool, said: str) -> str | None:
    """Return the first name in a pickle that does not belong in a checkpoint.

    It is taken from torch's error, or from the pickle, as newer protocols require.
    """
    if found := re.search(r"(?i)(?:unsupported|blocked)\W+(?:global|class)\W+(?:global )?([\w.]+)", said):
        return found[1]
    names: list[str] = []
    with (
        suppress(ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile),
        _pickled(path, zipped) as file,
    ):
        for code, value, _ in pickletools.genops(file):
            if code.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
                name = ".".join(names[-2:]) if code.name == "STACK_GLOBAL" else str(value).replace(" ", ".")
                if not name.startswith(HARMLESS):
                    return name
            elif isinstance(value, str):
                names.append(value)
    return None


@contextmanager
def _pickled(path: Path, zipped: bool) -> Iterator[IO[bytes]]:
    """Open the first pickle in a file."""
    if not zipped:
        with open(path, "rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(name) as file:
            yield file
