"""RIFE 4.5 ... 4.26, lite and heavy: the intermediate flow network, from one table, for any published file.

Huang et al., Real-Time Intermediate Flow Estimation for Video Frame Interpolation, ECCV 2022, and hzwer's
Practical-RIFE (MIT). Blocks work on ever finer scales. A block's output is kept at its own scale and resized
directly to the next one, which equals the original's way through full resolution but touches far fewer
pixels; only the last two scales process every pixel. Convolutions run in the parameters' dtype; flow,
sampling grid and sampling are always float32.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .strict import Unfit, load_strict

USER_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
COARSE, FINE = (16, 8, 4, 2, 1), (8, 4, 2, 1)
LITE = (32, 16, 8, 4, 1)
PREFIXES = ("module.", "flownet.")  # from DDP, from a wrapper
CNN_NAMES = ("cnn0", "leaky0", "cnn1", "leaky1", "cnn2", "leaky2", "cnn3")
TRAINING_ONLY = ("teacher.", "caltime.")


@dataclass(frozen=True)
class Family:
    """What distinguishes the versions; equal fields are one architecture.

    ``head``: ``none``, ``two`` (a convolution and a transposed one), ``four`` (four in sequence) or ``cnn``
    (the same four, named).
    """

    names: str
    channels: tuple[int, ...]
    scales: tuple[int, ...]
    head: str = "cnn"
    hidden: int = 32
    encoded: int = 8
    outputs: int = 6
    groups: int = 1

    @property
    def features(self) -> int:
        """Channels that a block passes to the next one besides flow and mask."""
        return self.outputs - 5 if self.outputs > 6 else 0

    @property
    def adds_masks(self) -> bool:
        """Whether a block's mask adds to the previous one; with an encoder it replaces it."""
        return self.head == "none"

    @property
    def ensemble(self) -> bool:
        """Whether a pair may also be processed in reverse: not if features are passed on."""
        return not self.features

    @property
    def multiple(self) -> int:
        """The divisor of height and width (at scale 1)."""
        return 4 * self.scales[0]

    def inputs(self, block: int) -> int:
        """Return the input channels of block number ``block``."""
        return (12 + self.features if block else 7) + 2 * self.encoded


FAMILIES = (
    Family("4.5", (192, 128, 96, 64), FINE, "none", 0, 0, 5),
    Family("4.6", (192, 128, 96, 64), FINE, "none", 0, 0),
    Family("4.7, 4.8, 4.9", (192, 128, 96, 64), FINE, "two", 16, 4),
    Family("4.10, 4.11, 4.12", (192, 128, 96, 64), FINE, "four"),
    Family("4.12.lite, 4.13.lite", (128, 96, 64, 48), FINE, "four", 32, 4),
    Family("4.13, 4.14, 4.15, 4.17, 4.18, 4.19, 4.24", (192, 128, 96, 64), FINE),
    Family("4.14.lite", (192, 128, 96, 64), FINE, groups=2),
    Family("4.15.lite, 4.16.lite, 4.17.lite", (128, 96, 64, 48), FINE, hidden=16, encoded=4),
    Family("4.20", (384, 192, 96, 48), FINE),
    Family("4.21, 4.22, 4.23", (256, 192, 96, 48), FINE, outputs=13),
    Family("4.22.lite", (192, 128, 64, 32), FINE, hidden=16, encoded=4, outputs=13),
    Family("4.25, 4.26", (192, 128, 96, 64, 32), COARSE, hidden=16, encoded=4, outputs=13),
    Family("4.25.lite", (192, 128, 96, 64, 24), LITE, hidden=16, encoded=4, outputs=13),
    Family("4.25.heavy", (384, 256, 192, 128, 64), COARSE, hidden=16, encoded=4, outputs=13),
    Family("4.26.heavy", (192, 128, 96, 64, 32), COARSE, hidden=16, encoded=16, outputs=13),
)


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under their published names, without prefixes and training-only tensors."""
    cleaned = {}
    for key, tensor in state.items():
        while key.startswith(PREFIXES):
            key = key.split(".", 1)[1]
        if not key.startswith(TRAINING_ONLY):
            cleaned[re.sub(r"^blocks\.(\d+)\.", r"block\1.", key)] = tensor
    return cleaned


def detect(state: Mapping[str, Tensor], scales: tuple[int, ...] | None = None) -> Family:
    """Return the family of a state dict, from the tensors' shapes alone.

    Raise ValueError, which names the checkpoint found, if it fits none. Some programs run 4.25.lite
    (recognised by the 24 channels of its last block) with the scales of 4.25, which its tensors fit as well.
    It gets ``LITE`` unless ``scales`` (``COARSE``) says otherwise: the MIT port vs-rife has had this list
    since the day the original's page first named the version. No output of real weights has settled it.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in clean(state).items()}
    found = _found(shapes)
    for family in FAMILIES:
        if replace(family, names="", scales=()) == found and all(
            shapes.get(f"block{block}.conv0.0.0.weight", (0, 0))[1] == family.inputs(block)
            for block in range(len(family.channels))
        ):
            break
    else:
        raise Unfit(
            f"No known RIFE version has {len(found.channels)} blocks of "
            f"{', '.join(map(str, found.channels))} channels, "
            f"{found.outputs} outputs each and an encoder of type '{found.head}' with {found.encoded} "
            "channels."
        )
    if scales is None:
        return family
    if (
        len(scales) != len(family.channels)
        or any(coarse <= fine for coarse, fine in zip(scales, scales[1:]))
        or scales[-1] != 1
    ):
        raise Unfit(
            f"RIFE {family.names} needs {len(family.channels)} decreasing scales ending with 1, not {scales}."
        )
    return replace(family, scales=tuple(scales))


def _found(shapes: Mapping[str, tuple[int, ...]]) -> Family:
    """Return a family without name and scales, from the shapes."""
    count = len({key.split(".")[0] for key in shapes if re.match(r"block\d+\.", key)})
    channels = tuple(shapes.get(f"block{block}.conv0.1.0.weight", (0,))[0] for block in range(count))
    residual, last = shapes.get("block0.convblock.0.conv.weight"), shapes.get("block0.lastconv.0.weight")
    if not count or not residual or not last or 0 in channels:
        raise Unfit(_refusal(shapes))
    heads = {"two": "encode.1.weight", "four": "encode.6.weight", "cnn": "encode.cnn3.weight"}
    head = next((kind for kind, key in reversed(heads.items()) if key in shapes), "none")
    hidden, encoded = shapes[heads[head]][:2] if head != "none" else (0, 0)
    return Family("", channels, (), head, hidden, encoded, last[1] // 4, channels[0] // residual[1])


def _refusal(shapes: Mapping[str, tuple[int, ...]]) -> str:
    if any(key.startswith(("extract.", "predict_flow.", "fuse.")) for key in shapes):
        return "This is a FILM checkpoint, not a RIFE one. Choose a FILM model for it."
    if any(key.startswith(("contextnet.", "unet.", "fusionnet.")) for key in shapes):
        return (
            "This RIFE checkpoint has a refinement network (version 4.4 or older). Use one from 4.5 to 4.26."
        )
    if "block0.convblock.0.0.weight" in shapes:
        return (
            "This RIFE checkpoint has plain convolution blocks (version 4.4 or older). Use one from 4.5 to "
            "4.26."
        )
    if any(key.startswith("block0.") for key in shapes):
        return "This looks like a RIFE checkpoint, but of no version from 4.5 to 4.26. Use one of these."
    first = ", ".join(list(shapes)[:3]) or "missing"
    return f"This is not a RIFE checkpoint: of its {len(shapes)} tensors the first are {first}."


def padding(height: int, width: int, family: Family, scale: float = 1.0) -> tuple[int, int, int, int]:
    """Return left, right, top and bottom for ``F.pad``: zeros right and at the bottom, like the original."""
    multiple = round(family.multiple / min(1.0, scale))
    return 0, -width % multiple, 0, -height % multiple


def load(state: Mapping[str, Tensor], scales: tuple[int, ...] | None = None) -> RIFE:
    """Return the network of a published state dict, with its tensors unchanged (dtype and device too).

    Raise ValueError if it is not one.
    """
    cleaned = clean(state)
    with torch.device("meta"):
        net = RIFE(detect(cleaned, scales))
    return load_strict(net, cleaned, f"RIFE {net.family.names}")


class Between(NamedTuple):
    """An image ``[B, 3, H, W]`` at a time between two, and its components; all float32.

    ``flow`` ``[B, 4, H, W]``: where to sample the first image (x, y) and the second (x, y), as pixel offsets.
    ``mask`` ``[B, 1, H, W]``: the first one's share, 0..1. ``first``, ``second`` ``[B, 3, H, W]``: both,
    warped to this time.
    """

    image: Tensor
    flow: Tensor
    mask: Tensor
    first: Tensor
    second: Tensor


def crop(between: Between, height: int, width: int) -> Between:
    """Remove the padding."""
    return type(between)(*(tensor[..., :height, :width] for tensor in between))


def blend(between: Between, first: Tensor, second: Tensor) -> Tensor:
    """Interpolate other images ``[B, C, h, w]`` of the same two moments by the same motion and mask.

    They may be of any size, such as depth or the other view.
    """
    height, width = size = first.shape[-2:]
    rows, columns = between.flow.shape[-2:]
    x, y = (
        _resized(between.flow[:, 0::2], size) * (width / columns),
        _resized(between.flow[:, 1::2], size) * (height / rows),
    )
    warped = [
        warp(image, torch.stack([x[:, side], y[:, side]], 1)).float()
        for side, image in enumerate((first, second))
    ]
    return torch.lerp(warped[1], warped[0], _resized(between.mask, size)).to(first.dtype)


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Sample images ``[B, C, H, W]`` at ``flow`` ``[B, 2, H, W]`` (x, y) pixels from each position.

    Bilinear, edges repeated; float32 inside.
    """
    return _sample(images.float(), flow, *_pixels(flow)).to(images.dtype)


def _pixels(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns of every pixel."""
    rows, columns = (torch.arange(size, device=like.device, dtype=torch.float32) for size in like.shape[-2:])
    return rows, columns


def _sample(images: Tensor, flow: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sample ``images`` on the grid of rows and columns, displaced by ``flow`` ``[B, 2, rows, columns]``."""
    height, width = images.shape[-2:]
    x, y = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
    flow = flow.float()
    grid = torch.stack(
        [
            torch.add(columns * x - 1, flow[:, 0], alpha=x),
            torch.add((rows * y - 1)[:, None], flow[:, 1], alpha=y),
        ],
        -1,
    )
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _resized(image: Tensor, size: tuple[int, ...]) -> Tensor:
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False)


class Residual(nn.Module):
    """y = leaky(x + beta * conv(x))."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1, groups=groups)
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(torch.addcmul(x, self.conv(x), self.beta), 0.2)


class Block(nn.Module):
    """One scale: ``[B, inputs, h, w]`` to ``[B, outputs, h, w]``, computed at a quarter of the size."""

    def __init__(self, inputs: int, channels: int, outputs: int, groups: int):
        super().__init__()
        widths = (inputs, channels // 2, channels)
        self.conv0 = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(*shape, 3, 2, 1), nn.LeakyReLU(0.2, True))
                for shape in zip(widths, widths[1:])
            )
        )
        self.convblock = nn.Sequential(*(Residual(channels, groups) for _ in range(8)))
        self.lastconv = nn.Sequential(nn.ConvTranspose2d(channels, 4 * outputs, 4, 2, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor, outputs: int) -> Tensor:
        """Return the first ``outputs`` channels only, float32."""
        last, shuffle = self.lastconv
        assert isinstance(last, nn.ConvTranspose2d) and last.bias is not None
        x = self.convblock(self.conv0(x.to(last.weight.dtype)))
        x = F.conv_transpose2d(x, last.weight[:, : 4 * outputs], last.bias[: 4 * outputs], 2, 1)
        return shuffle(x).float().contiguous()


class Encoder(nn.Sequential):
    """Features ``[B, encoded, H, W]`` of one image ``[B, 3, H, W]``, in the parameters' dtype.

    Without a head they have no channels.
    """

    def __init__(self, family: Family):
        hidden = family.hidden
        layers: list[nn.Module] = [nn.Conv2d(3, hidden, 3, 2, 1)] if family.head != "none" else []
        if family.head in ("four", "cnn"):
            for _ in range(2):
                layers += [nn.LeakyReLU(0.2, True), nn.Conv2d(hidden, hidden, 3, 1, 1)]
            layers += [nn.LeakyReLU(0.2, True)]
        if layers:  # "two" has nothing between its two, not even an activation
            layers += [nn.ConvTranspose2d(hidden, family.encoded, 4, 2, 1)]
        names = CNN_NAMES if family.head == "cnn" else map(str, range(len(layers)))
        super().__init__(OrderedDict(zip(names, layers)))

    def forward(self, image: Tensor) -> Tensor:
        return (
            super().forward(image.clamp(0, 1).to(next(self.parameters()).dtype))
            if len(self)
            else image[:, :0]
        )


class RIFE(nn.Module):
    """Two images and a time to the interpolated image.

    Heights and widths must be padded to the family's multiple (see ``padding``). ``encode`` depends on one
    image only: call it once for each, and pass the result to ``forward`` for every pair and time.
    """

    block0: Block

    def __init__(self, family: Family):
        super().__init__()
        self.family = family
        for index, channels in enumerate(family.channels):
            self.add_module(
                f"block{index}", Block(family.inputs(index), channels, family.outputs, family.groups)
            )
        self.encode = Encoder(family)

    def forward(
        self,
        img0: Tensor,
        img1: Tensor,
        t: Tensor,
        e0: Tensor | None = None,
        e1: Tensor | None = None,
        scale: float = 1.0,
        ensemble: bool = False,
    ) -> Between:
        """Interpolate ``img0``, ``img1`` ``[B, 3, H, W]`` in 0..1, each pair at its ``t`` ``[B]``, 0..1."""
        self._check(img0, scale, ensemble)
        e0, e1 = (self.encode(image) if known is None else known for image, known in ((img0, e0), (img1, e1)))
        dtype, scales = (
            self.block0.lastconv.get_parameter("0.weight").dtype,
            [coarse / scale for coarse in self.family.scales],
        )
        walk = _Refinement(img0, img1, t, e0, e1)
        for index, at in enumerate(scales):
            block, handed = (
                getattr(self, f"block{index}"),
                self.family.features if index < len(scales) - 1 else 0,
            )
            out = block(x := walk.inputs(at, dtype), 5 + handed)
            if ensemble:
                out = _averaged(out, block(_reversed(x, self.family.encoded), 5))
            walk.advance(out, at, self.family.adds_masks)
        return walk.finish()

    def _check(self, image: Tensor, scale: float, ensemble: bool) -> None:
        family, (height, width) = self.family, image.shape[-2:]
        if scale not in USER_SCALES:
            raise ValueError(f"RIFE's scale must be one of {', '.join(map(str, USER_SCALES))}, not {scale}.")
        if any(padding(height, width, family, scale)):
            raise ValueError(
                f"RIFE {family.names} at scale {scale} needs sizes divisible by "
                f"{round(family.multiple / min(1.0, scale))}, "
                f"not {width}x{height}. Pad the images first."
            )
        if ensemble and not family.ensemble:
            raise ValueError(f"RIFE {family.names} has no ensemble. Use a version up to 4.20, or 4.24.")


class _Refinement:
    """State from coarse to fine: the outputs of the blocks, each at its own scale, and the next input.

    ``at`` is a scale: the pixels of the image that one of the block's represents.
    """

    def __init__(self, img0: Tensor, img1: Tensor, t: Tensor, e0: Tensor, e1: Tensor):
        self.size = img0.shape[-2:]
        frames = torch.cat([img0.float().clamp(0, 1), e0, img1.float().clamp(0, 1), e1], 1)
        # [2B, 3 + encoded, H, W], both of a pair in turn
        self.frames = frames.reshape(2 * len(img0), -1, *self.size)
        self.t = t.float().view(-1, 1, 1, 1)
        self.flows: list[Tensor] = []  # residuals, in pixels of the image
        self.masks: list[Tensor] = []
        self.features: Tensor | None = None
        self.full: Tensor | None = None  # sum of the first ``summed`` flows at full size
        self.summed = 0

    def inputs(self, at: float, dtype: torch.dtype) -> Tensor:
        """Return the input of the block at this scale: ``[B, inputs, h, w]``."""
        height, width = size = tuple(round(edge / at) for edge in self.size)
        seen = (self._seen(at) if self.flows else _resized(self.frames, size)).to(dtype)
        first, second = seen[0::2], seen[1::2]
        parts = [
            first[:, :3],
            second[:, :3],
            first[:, 3:],
            second[:, 3:],
            self.t.to(dtype).expand(len(first), -1, height, width),
        ]
        if self.flows:
            flow = (
                _resized(self._full(), size)
                if at <= 2
                else _total(_resized(flow, size) for flow in self.flows)
            )
            parts += [_total(self._carried(mask, at) for mask in self.masks).to(dtype)]
            parts += [] if self.features is None else [self._carried(self.features, at).to(dtype)]
            parts += [(flow / at).to(dtype)]
        return torch.cat(parts, 1)

    def advance(self, out: Tensor, at: float, adds_masks: bool) -> None:
        """Take a block's output: residual flow, mask logit, features."""
        self.flows.append(out[:, :4] * at)
        self.masks = [*(self.masks if adds_masks else ()), out[:, 4:5]]
        self.features = out[:, 5:] if out.shape[1] > 5 else None

    def finish(self) -> Between:
        flow, mask = self._full(), torch.sigmoid(_total(_resized(mask, self.size) for mask in self.masks))
        pictures = self.frames[:, :3]
        first, second = (
            _sample(pictures, flow.reshape(-1, 2, *self.size), *_pixels(flow)).unflatten(0, (-1, 2)).unbind(1)
        )
        return Between(torch.lerp(second, first, mask), flow, mask, first, second)

    def _carried(self, given: Tensor, at: float) -> Tensor:
        """Resize from its own scale to this one as if through full size.

        This matters only if this scale is finer than the image.
        """
        size = tuple(round(edge / at) for edge in self.size)
        return _resized(given if at >= 1 else _resized(given, self.size), size)

    def _full(self) -> Tensor:
        for flow in self.flows[self.summed :]:
            flow = _resized(flow, self.size)
            self.full = flow if self.full is None else self.full + flow
        self.summed = len(self.flows)
        assert self.full is not None, "no block has run yet"
        return self.full

    def _seen(self, at: float) -> Tensor:
        """Return images and encodings, warped, then downscaled.

        Of each square of ``at`` pixels only the four in the middle count.
        """
        rows, columns = _pixels(self.frames)
        if at > 2:
            rows, columns = (
                edge.view(-1, int(at))[:, int(at) // 2 - 1 : int(at) // 2 + 1].flatten()
                for edge in (rows, columns)
            )
            flow = _total(self._at_points(flow, rows, columns) for flow in self.flows)
        else:
            flow = self._full()
        warped = _sample(self.frames, flow.reshape(-1, 2, *flow.shape[-2:]), rows, columns)
        return (
            F.avg_pool2d(warped, 2)
            if at >= 2
            else _resized(warped, tuple(round(edge / at) for edge in self.size))
        )

    def _at_points(self, flow: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Sample a flow at its own scale at these pixels of the image."""
        height, width = self.size
        x, y = torch.broadcast_tensors((2 * columns + 1) / width - 1, ((2 * rows + 1) / height - 1)[:, None])
        grid = torch.stack([x, y], -1).expand(len(flow), -1, -1, -1)
        return F.grid_sample(flow, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _total(tensors: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, tensors)


def _reversed(x: Tensor, encoded: int) -> Tensor:
    """Return the same input with first and second exchanged."""
    img0, img1, e0, e1, t, others = x.split([3, 3, encoded, encoded, 1, x.shape[1] - 7 - 2 * encoded], 1)
    return torch.cat([img1, img0, e1, e0, 1 - t, -others[:, :1], others[:, 3:5], others[:, 1:3]], 1)


def _averaged(out: Tensor, back: Tensor) -> Tensor:
    """Average a block's flow and mask with those of the reversed input."""
    return (out[:, :5] + torch.cat([back[:, 2:4], back[:, :2], -back[:, 4:5]], 1)) / 2
