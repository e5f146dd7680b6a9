"""A single-image network from a file, of any architecture that spandrel knows, and how it runs best on a device."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...image.compute import Graphs, Spread, halved, number_type
from ...models import weights
from ...nets.strict import Unfit
from .fast_networks import faster

# plain chains of convolutions: they can be halved around their ends and recorded as a graph
CHAINS = ("ESRGAN", "Compact")
LARGEST_SCALE = 16
# how many times larger than its tensors a network may be, and bytes in any case
SLACK, SLACK_BYTES = 4, 1 << 29
SLACK_CALLS, SLACK_TENSORS = 50, 10_000
MAKING = {getattr(torch.ops.aten, name).default for name in ("zeros", "ones", "rand", "randn")} | {
    torch.ops.aten.empty.memory_format, torch.ops.aten.full.default,
}  # fmt: skip
JOINING = {getattr(torch.ops.aten, name).Tensor for name in ("add", "sub", "mul")}
ALIVE = 3  # how many of a network's largest activations exist at once


def read(path: Path, softer: Path | None = None, share: float = 0.0):
    """spandrel's descriptor of a checkpoint, in float32; of ``softer`` a ``share`` is mixed into its weights (network interpolation).

    ValueError in one sentence where a file is damaged, unknown, or holds no network from picture to picture.
    """
    import spandrel

    state = weights.read(path)
    if softer is not None:
        state = mixed(state, weights.read(softer), share, f"{path.name} and {softer.name}")
    with weights.loading(path):
        try:
            with Modest(state):
                state = spandrel.canonicalize_state_dict(state)
                found = spandrel.ModelLoader("cpu").load_from_state_dict(state)
        except spandrel.UnsupportedModelError:
            raise Unfit(
                "it holds no network that spandrel knows; choose the checkpoint of a single-image upscaler."
            ) from None
        channels = {found.input_channels, found.output_channels}
        if not isinstance(found, spandrel.ImageModelDescriptor) or channels not in ({1}, {3}):
            raise Unfit(
                f"it ({found.architecture.name}) does not turn one picture into another; choose an upscaler."
            )
        if not 1 <= found.scale <= LARGEST_SCALE:
            raise Unfit(
                f"it enlarges {found.scale} times, more than {LARGEST_SCALE}; choose another upscaler."
            )
        return found.eval().float()


def mixed(first: dict, second: dict, share: float, names: str = "The two files to mix") -> dict:
    """``1 - share`` of one network's weights and ``share`` of another's, which must have the same tensors."""
    if first.keys() != second.keys() or any(first[name].shape != second[name].shape for name in first):
        raise ValueError(f"{names} have different tensors; fetch both files of one model.")
    return {
        name: torch.lerp(tensor.float(), second[name].float(), share)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


class Modest(TorchDispatchMode):
    """Inside, no network is made that is much larger than the tensors it is made for.

    spandrel reads sizes from a few tensors and makes the rest before it compares them: a crafted file would
    take all memory.
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
            raise Unfit("it describes a network much larger than its tensors; choose another file.")


class ImageNetwork:
    """A network as a function of pictures ``[N, 3, H, W]``, float32, 0..1; gives ``[N, 3, scale H, scale W]``, float32, 0..1.

    ``precise`` is the same function in float32 and without any of the ways in which the work is made faster.
    ``nets`` must be on the device when it is called; sizes must be what ``pad`` makes of them.
    """

    def __init__(self, descriptor, device: torch.device, precision: str = "auto", compiled: bool = False):
        self.scale: int = descriptor.scale
        self.needs = descriptor.size_requirements
        self.tileable = descriptor.tiling.name != "INTERNAL" and not self.needs.square
        self.device, self.exact = device, descriptor
        self._gray = descriptor.input_channels == 1
        self._chain = descriptor.architecture.id in CHAINS
        self.dtype = self._sound_type(number_type(precision, device))
        # bytes that one input pixel needs
        self.pixel_memory = ALIVE * largest_activation(descriptor) * self.dtype.itemsize
        self._net, self._work = self._prepare()
        self.nets = [self._net]
        self._run = (
            torch.compile(self._eager) if compiled else (Graphs if self._chain else Spread)(self._eager)
        )

    def _sound_type(self, wanted: torch.dtype) -> torch.dtype:
        """The type itself where the architecture gives sound pictures in it, else float32."""
        sound = {torch.float16: self.exact.supports_half, torch.bfloat16: self.exact.supports_bfloat16}
        return wanted if sound.get(wanted, True) else torch.float32

    def _prepare(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """The module that works, and the function of pictures that it is part of."""
        if fast := faster(self.exact.model, self.dtype, self.device):
            self.pixel_memory /= 4  # it works in strips
            return fast, lambda images: fast(images).clamp_(0, 1)
        if self.dtype == torch.float32:
            return self.exact.model.to(memory_format=torch.channels_last), self.exact
        copied = copy.deepcopy(self.exact)  # the exact one waits in memory, in case half precision fails
        net = halved(copied.model, self.dtype) if self._chain else copied.model.to(self.dtype)
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
        """Whether batches run as recorded graphs, each of one shape."""
        return isinstance(self._run, Graphs) and self.device.type == "cuda"

    def forget(self) -> None:
        """Let the memory go that recorded graphs hold."""
        if isinstance(self._run, Graphs):
            self._run.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _colors(self, images: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        """A network for one channel sees each colour as a picture of its own."""
        count, channels, height, width = images.shape
        images = images.reshape(-1, 1, height, width) if self._gray else images
        made = run(images.contiguous(memory_format=torch.channels_last))
        return made.reshape(count, channels, *made.shape[-2:])

    def pad(self, images: Tensor) -> Tensor:
        """Pictures of a size that the network takes: mirrored, and repeated where they are too small for that, to the right and below."""
        height, width = images.shape[-2:]
        wide, tall = self.needs.get_padding(width, height)
        mirrored = (min(wide, width - 1), min(tall, height - 1))
        images = F.pad(images, (0, mirrored[0], 0, mirrored[1]), "reflect") if any(mirrored) else images
        rest = (wide - mirrored[0], tall - mirrored[1])
        return F.pad(images, (0, rest[0], 0, rest[1]), "replicate") if any(rest) else images


@torch.inference_mode()
def largest_activation(descriptor) -> float:
    """Numbers that the widest layer of a network takes in and gives, per pixel of the picture; seen on a small one."""
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
