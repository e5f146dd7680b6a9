"""Depth networks that only Hugging Face's package ``transformers`` runs: MiDaS and DPT, ZoeDepth, Depth Pro, and folders of Depth Anything.

The model is its whole folder (``config.json``, ``model.safetensors``), named by the weights in it. Nothing is
downloaded, and no code that a folder may hold is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...core.host import Host
from ...models.intact import fault, first_line
from ...models.weights import BREAKS
from . import DepthOptions
from .stage import NEAREST, DepthStage, batches, depth_together, depth_type

HALF, IMAGENET = ((0.5,) * 3, (0.5,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MOST_TOGETHER = 8
MOST_LAYERS = 1000
FARTHEST = 1e4  # metres beyond which Depth Pro calls everything equally far
ANY_SHAPE = ("beit", "dinov2", "dinov2_with_registers")  # backbones that see pictures of any ratio
# every DPT declares it, none uses it, and published files leave it out
UNUSED = "fusion_stage.layers.0.residual_layer1."


@dataclass(frozen=True)
class Family:
    """A ``model_type`` of transformers: its class, the mean and deviation of colours it wants, and whether it is safe in 16 bits."""

    net: str
    colors: tuple[tuple[float, ...], tuple[float, ...]]
    halves: bool = True


FAMILIES = {
    "depth_anything": Family("DepthAnythingForDepthEstimation", IMAGENET),
    "depth_pro": Family("DepthProForDepthEstimation", HALF),
    "dpt": Family("DPTForDepthEstimation", HALF),
    # it takes logarithms of 1e-7, which float16 does not know
    "zoedepth": Family("ZoeDepthForDepthEstimation", HALF, halves=False),
}


def load(entry, options: DepthOptions, host: Host) -> DepthStage:
    """Of the folder that an entry's file lies in; ValueError where it holds no such network, RuntimeError where transformers does not run."""
    path = host.weights(entry.kind, entry.file)
    family, colors = _family(path.parent)
    net = Estimator(_network(path, family.net), colors)
    dtype = _type(family, options.precision, host.device)
    return DepthStage(Network(net.to(dtype), options, dtype, host.device), options, host.device)


def _family(folder: Path) -> tuple[Family, tuple]:
    """What ``config.json`` says the network is, and the colours that ``preprocessor_config.json`` says it wants, where there is one."""
    config = _read(folder / "config.json")
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise ValueError(
            f"{folder} holds a network of type {kind}, which tells no depth here; those that do are {', '.join(FAMILIES)}."
        )
    if large := next(_layers_beyond(config), None):
        raise ValueError(f"{folder / 'config.json'} asks for {large} layers, and {MOST_LAYERS} are the most; "
                         "fetch it again.")  # fmt: skip
    wanted = (
        _read(folder / "preprocessor_config.json") if (folder / "preprocessor_config.json").is_file() else {}
    )
    mean, deviation = FAMILIES[kind].colors
    colors = wanted.get("image_mean") or mean, wanted.get("image_std") or deviation
    if not all(map(_three_numbers, colors)):
        raise ValueError(f"{folder / 'preprocessor_config.json'} has no image_mean and image_std of three numbers; "
                         "fetch it again.")  # fmt: skip
    return FAMILIES[kind], colors


def _three_numbers(found: object) -> bool:
    return (
        isinstance(found, (list, tuple))
        and len(found) == 3
        and all(isinstance(one, (int, float)) for one in found)
    )


def _layers_beyond(config: object) -> Iterator[int]:
    """Counts of layers in a configuration that would keep transformers making layers for good."""
    if isinstance(config, dict):
        for name, value in config.items():
            if isinstance(value, int) and "layers" in name and value > MOST_LAYERS:
                yield value
            yield from _layers_beyond(value)


def _type(family: Family, precision: str, device: torch.device) -> torch.dtype:
    """float32 where 16 bits are not safe, and on a CPU by itself: these networks tell depth in their own type, and bfloat16's has steps."""
    if not family.halves or (precision == "auto" and device.type == "cpu"):
        return torch.float32
    return depth_type(precision, device)


def _read(file: Path) -> dict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{file} is missing; put the model's whole folder there, not its weights alone."
        ) from None
    except (ValueError, RecursionError):  # not JSON, or no text at all
        raise ValueError(f"{file} is damaged; fetch it again.") from None
    return found if isinstance(found, dict) else {}


def _network(path: Path, name: str) -> nn.Module:
    """The network with all its weights, in float32, of the folder that they lie in."""
    from safetensors import SafetensorError

    folder = path.parent
    try:
        made = getattr(import_module("transformers"), name)
    except AttributeError:
        raise RuntimeError(
            f"{folder.name} needs a newer transformers, one that knows {name}; run `python -m pip install -U transformers`."
        ) from None
    except (ImportError, RuntimeError, OSError) as error:
        raise RuntimeError(_cannot_import(folder.name, error)) from None
    if wrong := fault(path):
        raise ValueError(f"{folder} cannot be loaded ({path.name} {wrong}); "
                         "fetch its config.json and model.safetensors again.")  # fmt: skip
    try:
        net, loaded = made.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except ImportError as error:
        raise RuntimeError(_cannot_import(folder.name, error)) from None
    except (SafetensorError, OSError, *BREAKS) as error:
        raise ValueError(f"{folder} cannot be loaded ({first_line(error)}); "
                         "fetch its config.json and model.safetensors again.") from None  # fmt: skip
    if missing := sorted(key for key in loaded["missing_keys"] if UNUSED not in key):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ValueError(
            f"{folder} lacks weights of its network ({missing[0]}{more}); fetch its model.safetensors again."
        )
    return net.float().eval().requires_grad_(False)


def _cannot_import(name: str, error: BaseException) -> str:
    """Why transformers does not run, and what to do, from the error at the bottom."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    if isinstance(error, ModuleNotFoundError) and error.name == "transformers":
        return f"{name} needs the package transformers, which is not installed; run `python -m pip install transformers` with ComfyUI's Python."
    return (
        f"{name} needs the package transformers, which cannot be imported here ({first_line(error)}); "
        "update it and what that names (torchaudio must fit torch, or be uninstalled) with ComfyUI's Python, or choose another model."
    )


class Estimator(nn.Module):
    """A network of transformers from pictures ``[T, 3, h, w]`` in 0..1 to what it tells ``[T, h', w']``, float32."""

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
        # its inverse depth is that of a lens whose focal length is the picture's width
        return depth * 2 * torch.tan(half)


class Network:
    """What a stage needs to know of an ``Estimator``."""

    aligned = False

    def __init__(self, net: Estimator, options: DepthOptions, dtype: torch.dtype, device: torch.device):
        self.net, self.options, self.dtype, self.device, self.nets = net, options, dtype, device, [net]
        config = net.config
        self.inverse = config.model_type == "depth_pro"
        tells = (
            config.model_type == "zoedepth"
            or getattr(config, "depth_estimation_type", "relative") == "metric"
        )
        self.metric = tells if options.metric == "auto" else options.metric != "no"

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """What the configuration says: a fixed square, or the picture's ratio at the size it was trained at; DINOv2 sees any size."""
        config = self.net.config
        if config.model_type == "depth_pro":
            side = round(config.patch_size / min(config.scaled_images_ratios))
            return side, side
        seen = getattr(config, "backbone_config", None)
        if getattr(config, "is_hybrid", False) or getattr(seen, "model_type", None) not in ANY_SHAPE:
            return _pair((config if seen is None or config.is_hybrid else seen).image_size)
        short, patch = min(info.width, info.height), seen.patch_size
        if seen.model_type == "beit":
            side, step = min(_pair(seen.image_size)), 2 * patch
        else:
            side, step = short if self.options.resolution == "native" else int(self.options.resolution), patch
        return tuple(max(1, round(edge * side / short / step)) * step for edge in (info.height, info.width))

    def memory(self, height: int, width: int) -> int:
        channels = getattr(self.net.config, "fusion_hidden_size", 256)
        return self._together(height, width) * height * width * 4 * channels * self.dtype.itemsize

    def inverse_depth(self, pictures: Iterator[Tensor]) -> Iterator[Tensor]:
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
        return depth_together(self.device, height, width, MOST_TOGETHER)


def _pair(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
