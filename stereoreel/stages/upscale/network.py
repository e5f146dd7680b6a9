"""Load a single-image model of any architecture that spandrel supports, and run it fast on a device."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...image.compute import Graphs, Spread, half_precision, resolve_dtype
from ...models import ncnn_files, weights
from ...nets.strict import Unfit
from . import ncnn
from .fast_networks import optimised

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor, SizeRequirements

Run: TypeAlias = "Callable[[Tensor], Tensor | tuple[Tensor, ...]]"

# plain chains of convolutions: half precision with float32 ends works, and they can be recorded as a graph
CHAINS = ("ESRGAN", "Compact")
LARGEST_SCALE = 16
# limit for the size of a model: this multiple of its tensors, plus these bytes
SLACK, SLACK_BYTES = 4, 1 << 29
SLACK_CALLS, SLACK_TENSORS = 50, 10_000
MAKING = {getattr(torch.ops.aten, name).default for name in ("zeros", "ones", "rand", "randn")} | {
    torch.ops.aten.empty.memory_format, torch.ops.aten.full.default,
}  # fmt: skip
JOINING = {getattr(torch.ops.aten, name).Tensor for name in ("add", "sub", "mul")}
ALIVE = 3  # how many of a network's largest activations exist at once


def read(path: Path, softer: Path | None = None, share: float = 0.0) -> ImageModelDescriptor:
    """Return spandrel's descriptor of a checkpoint, in float32.

    ``share`` of the weights comes from ``softer``, if given (network interpolation). Raise ValueError if a
    file is corrupt, unknown, or not an image-to-image model.
    """
    import spandrel

    model = None
    if ncnn_files.graph_of(path):
        with weights.loading(path):
            model = ncnn.Model(path)
    state = model.state if model else weights.read(path)
    if softer is not None:
        state = mixed(state, weights.read(softer), share, f"{path.name} and {softer.name}")
    with weights.loading(path):
        try:
            with SizeLimit(state):
                state = spandrel.canonicalize_state_dict(state)
                found = spandrel.ModelLoader("cpu").load_from_state_dict(state)
        except spandrel.UnsupportedModelError:
            raise Unfit(
                "spandrel does not support it. Choose the checkpoint of a single-image upscaler."
            ) from None
        channels = {found.input_channels, found.output_channels}
        if not isinstance(found, spandrel.ImageModelDescriptor) or channels not in ({1}, {3}):
            raise Unfit(f"it ({found.architecture.name}) is not an image-to-image model. Choose an upscaler.")
        if not 1 <= found.scale <= LARGEST_SCALE:
            raise Unfit(f"its scale is {found.scale}, more than {LARGEST_SCALE}. Choose another upscaler.")
        found.eval().float()
        merge(found.model)
        if model:
            model.settle(found.model)
        return found


@torch.no_grad()
def merge(net: nn.Module) -> None:
    """Replace the parallel convolutions of SPAN by the single ones that they add up to.

    spandrel adds them up again for every image.
    """
    for parent in list(net.modules()):
        for name, part in list(parent.named_children()):
            if type(part).__name__ == "Conv3XC" and not part.has_relu:
                part.update_params()  # type: ignore[operator]
                setattr(parent, name, part.eval_conv)


def mixed(first: dict, second: dict, share: float, names: str = "The two files to mix") -> dict:
    """Interpolate two models' weights: ``1 - share`` of the first, ``share`` of the second.

    Raise ValueError if their tensors have different names or shapes.
    """
    if first.keys() != second.keys() or any(first[name].shape != second[name].shape for name in first):
        raise ValueError(f"{names} have different tensors. Download both files of one model.")
    return {
        name: torch.lerp(tensor.float(), second[name].float(), share)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


class SizeLimit(TorchDispatchMode):
    """Context that refuses to build a model much larger than the tensors in its file.

    spandrel reads the sizes from a few tensors and allocates the rest before it compares them. A crafted file
    would otherwise take all memory.
    """

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        self.left = SLACK_BYTES + SLACK * 4 * sum(tensor.numel() for tensor in state.values())
        self.calls = SLACK_TENSORS + SLACK_CALLS * len(state)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in MAKING:
            self._take(math.prod(args[0]), kwargs.get("dtype") or torch.get_default_dtype())
        # tables of pixels with pixels
        elif func in JOINING and all(isinstance(one, Tensor) for one in args[:2]):
            self._take(math.prod(torch.broadcast_shapes(args[0].shape, args[1].shape)), args[0].dtype)
        return func(*args, **kwargs)

    def _take(self, numbers: int, dtype: torch.dtype) -> None:
        self.left -= numbers * dtype.itemsize
        self.calls -= 1
        if self.left < 0 or self.calls < 0:
            raise Unfit("it describes a model much larger than its tensors. Choose another file.")


class ImageNetwork:
    """A model as a function from images ``[N, 3, H, W]`` to ``[N, 3, scale H, scale W]``, float32, 0..1.

    ``precise`` is the same function in float32 without any optimisation. ``nets`` must be on the device when
    it is called, and images must have a size that ``pad`` returns.
    """

    def __init__(
        self,
        descriptor: ImageModelDescriptor,
        device: torch.device,
        precision: str = "auto",
        compiled: bool = False,
    ):
        self.scale: int = descriptor.scale
        self.needs = descriptor.size_requirements = sizes(descriptor)
        self.tileable = descriptor.tiling.name != "INTERNAL" and not self.needs.square
        self.device, self.exact = device, descriptor
        self._grey = descriptor.input_channels == 1
        self._chain = descriptor.architecture.id in CHAINS
        self.dtype = self._supported_dtype(resolve_dtype(precision, device))
        # bytes that one input pixel needs
        self.pixel_memory = ALIVE * largest_activation(descriptor) * self.dtype.itemsize
        self._net, self._work = self._prepare()
        self.nets = [self._net]
        self._run: Run = (
            torch.compile(self._eager) if compiled else (Graphs if self._chain else Spread)(self._eager)
        )

    def _supported_dtype(self, wanted: torch.dtype) -> torch.dtype:
        """Return the dtype itself if the architecture supports it, else float32."""
        supported = {torch.float16: self.exact.supports_half, torch.bfloat16: self.exact.supports_bfloat16}
        return wanted if supported.get(wanted, True) else torch.float32

    def _prepare(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """Return the module to place on the device, and the function of images that uses it."""
        if fast := optimised(self.exact.model, self.dtype, self.device):
            self.pixel_memory /= 4  # it runs in strips
            return fast, lambda images: fast(images).clamp_(0, 1)
        if self.dtype == torch.float32:
            return self.exact.model.to(memory_format=torch.channels_last), self.exact
        copied = copy.deepcopy(self.exact)  # the exact one stays in memory, in case half precision fails
        net = half_precision(copied.model, self.dtype) if self._chain else copied.model.to(self.dtype)
        return net.to(memory_format=torch.channels_last), copied

    def _eager(self, images: Tensor) -> Tensor:
        return self._work(images if self._chain else images.to(self.dtype)).float()

    def __call__(self, images: Tensor) -> Tensor:
        return self._colors(images, self._run)

    def precise(self, images: Tensor) -> Tensor:
        self.exact.model.to(self.device)
        return self._colors(images, Spread(self.exact))

    @property
    def recorded(self) -> bool:
        """Whether batches run as CUDA graphs, one per shape."""
        return isinstance(self._run, Graphs) and self.device.type == "cuda"

    def forget(self) -> None:
        """Free the memory of recorded graphs."""
        if isinstance(self._run, Graphs):
            self._run.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _colors(self, images: Tensor, run: Run) -> Tensor:
        """Run the model; a single-channel model takes each colour as an image of its own."""
        count, channels, height, width = images.shape
        images = images.reshape(-1, 1, height, width) if self._grey else images
        output = run(images.contiguous(memory_format=torch.channels_last))
        assert isinstance(output, Tensor)  # graphs may also return tuples
        return output.reshape(count, channels, *output.shape[-2:])

    def pad(self, images: Tensor) -> Tensor:
        """Pad images on the right and at the bottom to a size that the model takes.

        Padding is mirrored; images too small for that repeat their last pixel.
        """
        height, width = images.shape[-2:]
        wide, tall = self.needs.get_padding(width, height)
        mirrored = (min(wide, width - 1), min(tall, height - 1))
        images = F.pad(images, (0, mirrored[0], 0, mirrored[1]), "reflect") if any(mirrored) else images
        rest = (wide - mirrored[0], tall - mirrored[1])
        return F.pad(images, (0, rest[0], 0, rest[1]), "replicate") if any(rest) else images


def sizes(descriptor: ImageModelDescriptor) -> SizeRequirements:
    """Return the sizes a model takes as its original pads them.

    RealESRGAN x2plus gathers squares of 2x2 pixels, so even sides suffice; spandrel asks for multiples of 4,
    whose further padding changes pixels near the border by up to 0.16.
    """
    gathered = getattr(descriptor.model, "shuffle_factor", None)
    if descriptor.architecture.id != "ESRGAN" or not gathered:
        return descriptor.size_requirements
    from spandrel import SizeRequirements

    return SizeRequirements(minimum=gathered, multiple_of=gathered)


@torch.inference_mode()
def largest_activation(descriptor: ImageModelDescriptor) -> float:
    """Return how many numbers the widest layer reads and writes per input pixel, on a small image."""
    widest = 0

    def note(module: nn.Module, given: tuple, out) -> None:
        nonlocal widest
        widest = max(widest, sum(tensor.numel() for tensor in (*given, out) if isinstance(tensor, Tensor)))

    hooks = [
        module.register_forward_hook(note)
        for module in descriptor.model.modules()
        if not any(module.children())
    ]
    side = max(64, descriptor.size_requirements.minimum)
    descriptor(torch.zeros(1, descriptor.input_channels, side, side))
    for hook in hooks:
        hook.remove()
    return widest / side**2
