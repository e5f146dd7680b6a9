"""Depth models run by ``transformers``: MiDaS and DPT, ZoeDepth, Depth Pro, and Depth Anything directories.

A model is a Hugging Face model directory (``config.json``, ``model.safetensors``), named by its weights.
Nothing is downloaded, and code in the directory is never run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...core.host import Host
from ...image.resize import Resizer
from ...models.intact import fault, first_line
from ...models.weights import BREAKS
from . import DepthOptions
from .preprocess import antialiased, short_side
from .stage import NEAREST, DepthStage, batches, depth_batch_size, depth_type

HALF, IMAGENET = ((0.5,) * 3, (0.5,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MOST_TOGETHER = 8
MOST_LAYERS = 1000
FARTHEST = 1e4  # metres; Depth Pro's largest distance
ANY_SHAPE = ("beit", "dinov2", "dinov2_with_registers")  # backbones for any aspect ratio
# every DPT declares it, none uses it, and published files lack it
UNUSED = "fusion_stage.layers.0.residual_layer1."


@dataclass(frozen=True)
class Family:
    """A ``model_type`` of transformers: its class, its colours' mean and deviation, and 16-bit safety."""

    net: str
    colors: tuple[tuple[float, ...], tuple[float, ...]]
    halves: bool = True


FAMILIES = {
    "depth_anything": Family("DepthAnythingForDepthEstimation", IMAGENET),
    "depth_pro": Family("DepthProForDepthEstimation", HALF),
    "dpt": Family("DPTForDepthEstimation", HALF),
    # it takes logarithms of 1e-7, which float16 cannot represent
    "zoedepth": Family("ZoeDepthForDepthEstimation", HALF, halves=False),
}


def load(entry, options: DepthOptions, host: Host) -> DepthStage:
    """Return the stage of the directory of an entry's file.

    Raise ValueError if it holds no supported model, RuntimeError if transformers does not run.
    """
    path = host.weights(entry.kind, entry.file)
    family, colors = _family(path.parent)
    net = Estimator(_network(path, family.net), colors)
    dtype = _type(family, options.precision, host.device)
    return DepthStage(Network(net.to(dtype), options, dtype, host.device), options, host.device)


def _family(folder: Path) -> tuple[Family, tuple]:
    """Return the family named in ``config.json``, and the colours of ``preprocessor_config.json``, if any."""
    config = _read(folder / "config.json")
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise ValueError(
            f"{folder}: unsupported depth model type {kind!r}. Choose another model. "
            f"Supported: {', '.join(FAMILIES)}."
        )
    if large := next(_layers_beyond(config), None):
        raise ValueError(
            f"{folder / 'config.json'} asks for {large} layers, more than {MOST_LAYERS}. Download it again."
        )
    wanted = (
        _read(folder / "preprocessor_config.json") if (folder / "preprocessor_config.json").is_file() else {}
    )
    mean, deviation = FAMILIES[kind].colors
    colors = wanted.get("image_mean") or mean, wanted.get("image_std") or deviation
    if not all(map(_three_numbers, colors)):
        raise ValueError(
            f"{folder / 'preprocessor_config.json'} has no image_mean and image_std of three numbers. "
            "Download it again."
        )
    return FAMILIES[kind], colors


def _three_numbers(found: object) -> bool:
    return (
        isinstance(found, (list, tuple))
        and len(found) == 3
        and all(isinstance(one, (int, float)) for one in found)
    )


def _layers_beyond(config: object) -> Iterator[int]:
    """Yield layer counts in a configuration that would keep transformers building layers forever."""
    if isinstance(config, dict):
        for name, value in config.items():
            if isinstance(value, int) and "layers" in name and value > MOST_LAYERS:
                yield value
            yield from _layers_beyond(value)


def _type(family: Family, precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype: float32 if 16 bits are not safe, and by default on a CPU.

    These models output depth in their own dtype, and bfloat16 causes steps.
    """
    if not family.halves or (precision == "auto" and device.type == "cpu"):
        return torch.float32
    return depth_type(precision, device)


def _read(file: Path) -> dict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{file} is missing. Put the complete model directory there, not only its weights."
        ) from None
    except (ValueError, RecursionError):  # not JSON, or not text
        raise ValueError(f"{file} is corrupt. Download it again.") from None
    return found if isinstance(found, dict) else {}


def _network(path: Path, name: str) -> nn.Module:
    """Return the model of a directory with all its weights, in float32."""
    from safetensors import SafetensorError

    folder = path.parent
    try:
        result = getattr(import_module("transformers"), name)
    except AttributeError:
        raise RuntimeError(
            f"{folder.name} needs a newer transformers with {name}. Run "
            "`python -m pip install -U transformers`."
        ) from None
    except (ImportError, RuntimeError, OSError) as error:
        raise RuntimeError(_cannot_import(folder.name, error)) from None
    if wrong := fault(path):
        raise ValueError(
            f"{folder} cannot be loaded ({path.name} {wrong}). "
            "Download its config.json and model.safetensors again."
        )
    try:
        net, loaded = result.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except ImportError as error:
        raise RuntimeError(_cannot_import(folder.name, error)) from None
    except (SafetensorError, OSError, *BREAKS) as error:
        raise ValueError(
            f"{folder} cannot be loaded ({first_line(error)}). "
            "Download its config.json and model.safetensors again."
        ) from None
    if missing := sorted(key for key in loaded["missing_keys"] if UNUSED not in key):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ValueError(
            f"{folder} lacks weights of its model ({missing[0]}{more}). Download its model.safetensors again."
        )
    return net.float().eval().requires_grad_(False)


def _cannot_import(name: str, error: BaseException) -> str:
    """Return why transformers does not run, by the root cause, and what to do."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    if isinstance(error, ModuleNotFoundError) and error.name == "transformers":
        return (
            f"{name} needs the package transformers, which is not installed. Run "
            "`python -m pip install transformers` with ComfyUI's Python."
        )
    return (
        f"{name} needs the package transformers, which cannot be imported ({first_line(error)}). "
        "Update it and the package named in this error (torchaudio must fit torch, or be uninstalled) with "
        "ComfyUI's Python, or choose another model."
    )


class Estimator(nn.Module):
    """A model of transformers from images ``[T, 3, h, w]`` in 0..1 to its output ``[T, h', w']``, float32."""

    config: Any  # a transformers.PretrainedConfig, whose fields depend on the model type

    def __init__(self, net: nn.Module, colors: tuple):
        super().__init__()
        self.net, self.config, self.colors = net, net.config, colors

    def forward(self, pictures: Tensor) -> Tensor:
        mean, deviation = (pictures.new_tensor(values).view(3, 1, 1) for values in self.colors)
        found = self.net(pixel_values=((pictures - mean) / deviation).to(next(self.net.parameters()).dtype))
        depth = found.predicted_depth.float()
        if self.config.model_type != "depth_pro" or found.field_of_view is None:
            return depth
        half = torch.deg2rad(found.field_of_view.float()).view(-1, 1, 1) / 2
        # its inverse depth is for a lens with a focal length of one image width
        return depth * 2 * torch.tan(half)


class Network:
    """An ``Estimator`` as a ``DepthNetwork``."""

    aligned = corners = False

    def __init__(self, net: Estimator, options: DepthOptions, dtype: torch.dtype, device: torch.device):
        self.net, self.options, self.dtype, self.device = net, options, dtype, device
        self.nets: list[nn.Module] = [net]
        self._resizer = Resizer()
        config = net.config
        self.inverse = config.model_type == "depth_pro"
        metric = (
            config.model_type == "zoedepth"
            or getattr(config, "depth_estimation_type", "relative") == "metric"
        )
        self.metric = metric if options.metric == "auto" else options.metric != "no"

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """Return the input size by the configuration: a fixed square, or the frame's ratio at training size.

        DINOv2 takes any size.
        """
        config = self.net.config
        if config.model_type == "depth_pro":
            side = round(config.patch_size / min(config.scaled_images_ratios))
            return side, side
        backbone = getattr(config, "backbone_config", None)
        if backbone is None or getattr(config, "is_hybrid", False) or backbone.model_type not in ANY_SHAPE:
            return _pair((config if backbone is None or config.is_hybrid else backbone).image_size)
        short, patch = min(info.width, info.height), backbone.patch_size
        edges = (info.height, info.width)
        if backbone.model_type == "beit":
            wanted, step = str(min(_pair(backbone.image_size))), 2 * patch
        else:
            wanted, step = self.options.resolution, patch
        side = short_side(*edges, wanted)
        height, width = (max(1, round(edge * side / short / step)) * step for edge in edges)
        return height, width

    def input(self, frames: Tensor, height: int, width: int) -> Tensor:
        return antialiased(frames, height, width, self._resizer)

    def memory(self, height: int, width: int) -> int:
        channels = getattr(self.net.config, "fusion_hidden_size", 256)
        return self._together(height, width) * height * width * 4 * channels * self.dtype.itemsize

    def inverse_depth(
        self, pictures: Iterator[Tensor], frame: tuple[int, int] | None = None
    ) -> Iterator[Tensor]:
        first = next(pictures, None)
        if first is None:
            return
        for batch in batches(chain([first], pictures), self._together(*first.shape[-2:])):
            found = self.net(batch)
            if self.inverse:
                found = found.clamp(1 / FARTHEST, FARTHEST)
                yield found / (1 + NEAREST * found)  # 1 / (Z + NEAREST)
            else:
                yield 1 / (found.clamp(min=0) + NEAREST) if self.metric else found

    def _together(self, height: int, width: int) -> int:
        return depth_batch_size(self.device, height, width, MOST_TOGETHER)


def _pair(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
