"""Facts of a machine that upscalers depend on, and the conditions that it does not meet.

The facts are its system, its GPU, the driver and optional packages.
"""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import torch

from . import forecast

PACKAGES = {"nvidia-vfx": "nvvfx", "triton": "triton"}  # optional packages by their module
INSTALL = "install it with `python -m pip install {}`, with ComfyUI's Python if you use that"


@dataclass(frozen=True)
class Machine:
    """System, GPU, driver and optional packages of a machine.

    ``gpu`` is the GPU's name, empty without one; ``compute`` NVIDIA's compute capability, (0, 0) without one.
    ``memory`` is the GPU's, in bytes. ``driver`` is the version of NVIDIA's and ``packages`` those of
    optional packages by name, each empty if unknown. ``teraflops`` is a forecast for a CPU, 0 if unknown.
    """

    system: str = "Linux"
    gpu: str = ""
    compute: tuple[int, int] = (0, 0)
    memory: int = 0
    driver: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    teraflops: float = 0.0

    def __str__(self) -> str:
        compute = (
            f"compute capability {self.compute[0]}.{self.compute[1]}, " if self.compute != (0, 0) else ""
        )
        gpu = f"{self.gpu} ({compute}{self.memory / 1e9:.0f} GB)" if self.gpu else "no GPU"
        packages = [f"{name} {version}".rstrip() for name, version in self.packages.items()]
        return ", ".join([self.system, gpu, *([f"driver {self.driver}"] if self.driver else []), *packages])


def described(device: torch.device) -> Machine:
    """Return this machine, for work on ``device``."""
    return Machine(
        platform.system(), *_gpu(device), packages=installed(), teraflops=forecast.teraflops(device)
    )


@lru_cache
def _gpu(device: torch.device) -> tuple[str, tuple[int, int], int, str]:
    """Return a GPU's name, compute capability, bytes and driver."""
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        if torch.version.hip:
            return facts.name, (0, 0), facts.total_memory, ""
        return facts.name, (facts.major, facts.minor), facts.total_memory, nvidia_driver()
    if device.type == "mps":
        memory = getattr(torch.mps, "recommended_max_memory", lambda: 0)  # missing in older versions of torch
        return "Apple GPU", (0, 0), memory(), ""
    return ("" if device.type == "cpu" else device.type), (0, 0), 0, ""


def nvidia_driver() -> str:
    """Return the version of NVIDIA's driver, from its management library; empty if there is none."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return ""
    text = ctypes.create_string_buffer(96)
    if library.nvmlInit_v2():
        return ""
    failed = library.nvmlSystemGetDriverVersion(text, len(text))
    library.nvmlShutdown()
    return "" if failed else text.value.decode()


def installed() -> dict[str, str]:
    """Return the versions of the installed optional packages, found without importing them."""
    found = {}
    for name, module in PACKAGES.items():
        if sys.modules.get(module) or find_spec(module):
            try:
                found[name] = metadata.version(name)
            # from a package of another name, such as triton-windows
            except metadata.PackageNotFoundError:
                found[name] = ""
    return found


def unmet(wanted: Mapping, machine: Machine) -> list[str]:
    """Return the conditions that a machine does not meet, each as what is needed; empty if it meets all.

    ``system`` lists systems; ``gpu`` and ``no_gpu`` are patterns of GPUs' names; ``compute`` is the lowest
    compute capability, such as "7.5"; ``memory`` the least GB of the GPU, ``below`` its upper limit;
    ``driver`` the lowest versions by system, one for each branch; ``package`` an optional package, such as
    "nvidia-vfx 0.2".
    """
    return [lacking for name, value in wanted.items() if (lacking := CONDITIONS[name](value, machine))]


def _system(systems: list[str], machine: Machine) -> str:
    return "" if machine.system in systems else f"{' or '.join(systems)} (this is {machine.system})"


def _gpu_named(pattern: str, machine: Machine) -> str:
    return (
        ""
        if re.search(pattern, machine.gpu)
        else f"a GPU named like {pattern} (this is {machine.gpu or 'none'})"
    )


def _gpu_other(pattern: str, machine: Machine) -> str:
    return f"a GPU other than {machine.gpu}" if re.search(pattern, machine.gpu) else ""


def _compute(least: str, machine: Machine) -> str:
    if machine.compute >= _numbers(least):
        return ""
    has = (
        f"{machine.gpu} with {machine.compute[0]}.{machine.compute[1]}"
        if machine.compute != (0, 0)
        else machine.gpu or "none"
    )
    return f"an NVIDIA GPU of compute capability {least} or higher (this is {has})"


def _memory(least: float, machine: Machine) -> str:
    return (
        ""
        if machine.memory >= least * 1e9
        else f"a GPU with {least} GB (this has {machine.memory / 1e9:.0f})"
    )


def _below(most: float, machine: Machine) -> str:
    return (
        ""
        if machine.memory < most * 1e9
        else f"a GPU with less than {most} GB (this has {machine.memory / 1e9:.0f})"
    )


def _driver(least: Mapping[str, list[str]], machine: Machine) -> str:
    """Return the driver needed if this one is too old, else an empty string.

    A driver of a listed branch must have that branch's lowest version, one in between the next older
    branch's.
    """
    versions = least.get(machine.system)
    if not versions or not machine.driver:
        return ""
    has = _numbers(machine.driver)
    branch = max(
        (version for version in versions if _numbers(version)[0] <= has[0]), key=_numbers, default=None
    )
    return (
        ""
        if branch and has >= _numbers(branch)
        else f"NVIDIA's driver {branch or versions[0]} or newer (this is {machine.driver})"
    )


def _package(wanted: str, machine: Machine) -> str:
    name, _, least = wanted.partition(" ")
    has = machine.packages.get(name)
    if has is None:
        version = f" {least}" if least else ""
        return f"the package {name}{version}, which is not installed ({INSTALL.format(name)})"
    if least and has and _numbers(has) < _numbers(least):
        return f"the package {name} {least} or newer; this is {has} ({INSTALL.format(f'-U {name}')})"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", str(version))))


CONDITIONS: Mapping[str, Callable[[Any, Machine], str]] = {
    "system": _system,
    "gpu": _gpu_named,
    "no_gpu": _gpu_other,
    "compute": _compute,
    "memory": _memory,
    "below": _below,
    "driver": _driver,
    "package": _package,
}
