"""BasicVSR, BasicVSR++ and RealBasicVSR: recurrent networks that carry features through a shot.

Chan et al., CVPR 2021 and 2022 (two papers), under the names of mmcv's checkpoints; those of BasicSR are
translated. Features travel backward
and forward, so a frame's result depends on the complete shot, with decreasing weight on distant frames. A
shot may therefore be restored window by window: the state of forward branches is carried from window to
window, as in one pass; only backward branches restart, at the end of each window, and its last frames serve
as their warm-up. Convolutions run in the parameters' dtype; flow, offsets, sampling and the last convolution
are always float32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .spynet import WIDTHS, SPyNet, grid, sample, warp
from .strict import Unfit, load_strict

BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
GENERATORS = ("generator_ema.", "generator.")  # prefixes of the network in mmcv's checkpoints, best first
TRAINING_ONLY = (
    "generator",
    "discriminator.",
    "perceptual_loss.",
    "pixel_loss.",
    "cleaning_loss.",
    "gan_loss.",
    "data_preprocessor.",
    "step_counter",
)
BASICSR = (  # patterns of BasicSR's names, and how mmcv calls the same tensors
    (r"(backward|forward)_trunk\.", r"\1_resblocks."),
    (r"upconv([12])\.", r"upsample\1.upsample_conv."),
)
BASICSR_FLOW = re.compile(r"(spynet\.basic_module\.\d\.basic_module)\.([02468])\.(weight|bias)")
POINTS = 9  # of a 3x3 kernel
REACH = 10  # pixels by which an offset may leave the flow
GROUPS = 16  # of channels with separate offsets
# feature pixels to upsample at a time; each takes about 2 KB
STRIP = {"cpu": 1 << 16, "cuda": 1 << 20}


@dataclass
class Frame:
    """State of one frame: image ``[1, 3, H, W]``, feature ``[1, C, h, w]`` and flow ``[1, 2, h, w]``."""

    picture: Tensor
    feature: Tensor
    onward: Tensor | None = None  # to the next frame; None until it is known
    back: Tensor | None = None  # to the previous frame; None at the start of a shot


class Memory(NamedTuple):
    """State of a branch: its last two features, and the flow between their frames."""

    last: Tensor
    before: Tensor | None = None
    flow: Tensor | None = None


Keep = Callable[[Tensor], Tensor]  # stores features for later branches


def lrelu(image: Tensor) -> Tensor:
    return F.leaky_relu_(image, 0.1)


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.conv2 = convolution(width, width), convolution(width, width)

    def forward(self, feature: Tensor) -> Tensor:
        return feature + self.conv2(self.conv1(feature).relu_())


class Blocks(nn.Module):
    """A convolution to ``width`` channels, then ``count`` residual blocks."""

    def __init__(self, inputs: int, width: int, count: int):
        super().__init__()
        self.main = nn.Sequential(
            convolution(inputs, width),
            nn.LeakyReLU(0.1, True),
            nn.Sequential(*(Block(width) for _ in range(count))),
        )

    def forward(self, feature: Tensor) -> Tensor:
        return self.main(feature)


class Doubling(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.upsample_conv = convolution(inputs, 4 * outputs)

    def forward(self, feature: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(feature), 2)


class Alignment(nn.Module):
    """Second-order deformable alignment: the last two features, sampled near the target of the flow."""

    def __init__(self, width: int, groups: int):
        super().__init__()
        self.along = POINTS * groups // 2  # points that follow either flow
        self.weight, self.bias = (
            nn.Parameter(torch.empty(width, 2 * width, 3, 3)),
            nn.Parameter(torch.empty(width)),
        )
        convolutions = [
            convolution(*sizes)
            for sizes in ((3 * width + 4, width), (width, width), (width, width), (width, 6 * self.along))
        ]
        self.conv_offset = nn.Sequential(
            *[part for one in convolutions for part in (one, nn.LeakyReLU(0.1, True))][:-1]
        )

    def forward(self, current: Tensor, memory: Memory, flow: Tensor) -> Tensor:
        """Return the remembered features, aligned to ``current``.

        ``flow`` leads from ``current`` to the frame visited last.
        """
        first, before = warp(memory.last, flow), memory.before
        if before is None or memory.flow is None:
            before = second = torch.zeros_like(first)
            further = torch.zeros_like(flow)
        else:
            further = flow + warp(memory.flow, flow)
            second = warp(before, further)
        seen = torch.cat([first, current, second, flow.to(first), further.to(first)], 1)
        *offsets, mask = self.conv_offset(seen).float().chunk(3, 1)
        along = torch.cat([one.flip(1).repeat(1, self.along, 1, 1) for one in (flow, further)], 1)
        offset = REACH * torch.cat(offsets, 1).tanh_() + along
        return deform(torch.cat([memory.last, before], 1), offset, mask.sigmoid_(), self.weight, self.bias)


def deform(image: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Modulated deformable 3x3 convolution (DCNv2), padding 1, of ``image`` ``[N, C, H, W]``.

    ``offset`` is ``[N, groups * 9 * 2, H, W]``, (y, x) in pixels, and ``mask`` ``[N, groups * 9, H, W]``,
    both float32. Computed by torchvision's operator if it runs, else by sampling, with the same values. On a
    CPU sampling takes less than half of the operator's time.
    """
    operator = None if image.device.type == "cpu" else _operator(image.device.type)
    if operator is None:
        return deform_by_sampling(image, offset, mask, weight, bias)
    return deform_by_operator(operator, image, offset, mask, weight, bias)


def deform_by_operator(
    operator: Callable, image: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """Compute ``deform`` by torchvision's operator.

    It uses a NaN position as an address and crashes, so such positions are replaced; the mask keeps the NaN.
    """
    return operator(
        image.float(), offset.nan_to_num(0.0), weight.float(), bias.float(), padding=1, mask=mask
    ).to(image.dtype)


@lru_cache
def _operator(device: str) -> Callable | None:
    """Return torchvision's operator, if it is installed and compiled for this torch and device type."""
    try:
        from torchvision.ops import deform_conv2d

        deform_conv2d(*(torch.zeros(1, channels, 1, 1, device=device) for channels in (1, 2, 1)))
    except (ImportError, RuntimeError):
        return None
    return deform_conv2d


def deform_by_sampling(image: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute ``deform`` one kernel point at a time."""
    count, channels, height, width = image.shape
    groups = mask.shape[1] // POINTS
    parts = image.float().reshape(count * groups, channels // groups, height, width)
    offset = offset.reshape(count * groups, POINTS, 2, height, width).flip(2)
    mask = mask.reshape(count * groups, POINTS, 1, height, width)
    own, result = grid(height, width, image.device), bias.view(1, -1, 1, 1)
    for point in range(POINTS):
        row, column = divmod(point, 3)
        places = own + offset[:, point]
        places[:, 0] += column - 1
        places[:, 1] += row - 1
        sampled = (sample(parts, places) * mask[:, point]).reshape(count, channels, height, width)
        result = result + F.conv2d(sampled.to(weight.dtype), weight[:, :, row, column, None, None])
    return result


class Restorer(nn.Module):
    """Common part of the networks: flow, and the layers from features to the image.

    Image sides are multiples of ``multiple`` and at least ``smallest``; results are ``scale`` times as large.
    """

    kept: int  # number of stored features per frame
    scale, multiple, smallest = 4, 1, 64
    halo = 4  # feature rows on either side that a row of the upsampled result depends on

    def __init__(self, width: int, last: int, flow_widths: Sequence[int]):
        super().__init__()
        self.width = width
        self.spynet = SPyNet(flow_widths)
        self.upsample1, self.upsample2 = Doubling(width, width), Doubling(width, last)
        self.conv_hr, self.conv_last = convolution(last, last), convolution(last, 3)
        self.runs: dict[str, Callable[..., Tensor]] = {}

    def steps(self) -> dict[str, Callable[..., Tensor]]:
        """Return the functions of tensors that visit a frame once its branch has remembered enough.

        ``runs`` may hold others in their place, such as recorded ones.
        """
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of features."""
        return self.conv_hr.weight.dtype

    def typed(self, dtype: torch.dtype) -> Restorer:
        """Convert the convolutions to ``dtype``, in place; flow and the last convolution stay in float32."""
        for name, part in self.named_children():
            if name not in ("spynet", "conv_last"):
                part.to(dtype)
        return self.to(memory_format=torch.channels_last)

    def features(self, pictures: Tensor) -> Tensor:
        raise NotImplementedError

    def small(self, pictures: Tensor) -> Tensor:
        """Return the images at feature size, at which flow is estimated."""
        return pictures

    def motion(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return flow from every ``first`` to its ``second``, and back."""
        return self.spynet(torch.cat([first, second]), torch.cat([second, first])).chunk(2)

    def forward(self, pictures: Tensor) -> Tensor:
        """Restore a complete shot: ``[T, 3, H, W]`` to ``[T, 3, scale H, scale W]``."""
        frames = [Frame(picture, self.features(picture)) for picture in pictures.split(1)]
        small = self.small(pictures)
        for here, there, first, second in zip(frames, frames[1:], small.split(1), small[1:].split(1)):
            here.onward, there.back = self.motion(first, second)
        return torch.cat(list(self.restore(frames, len(frames), {})))

    def restore(
        self,
        frames: Sequence[Frame],
        count: int,
        carried: dict[str, Memory],
        keep: Keep = lambda feature: feature,
    ) -> Iterator[Tensor]:
        """Yield results ``[1, 3, H', W']``, float32, of the first ``count`` of ``frames``.

        The other frames only help. ``carried`` holds the state of the forward branches after the previous
        frames, nothing at the start of a shot, and afterwards that after these ``count``.
        """
        raise NotImplementedError

    def fuse(self, features: Tensor) -> Tensor:
        raise NotImplementedError

    def enlarge(self, features: Sequence[Tensor], picture: Tensor) -> Tensor:
        """Return the result from a frame's features and its image, in strips of rows if it is large."""
        joined = torch.cat([feature.to(picture.device, self.dtype) for feature in features], 1)
        height, width = joined.shape[-2:]
        ratio, rows = (
            picture.shape[-2] // height,
            max(1, STRIP.get(picture.device.type, STRIP["cpu"]) // width),
        )
        strips = []
        for top in range(0, height, rows):
            first, last, bottom = (
                max(0, top - self.halo),
                min(height, top + rows + self.halo),
                min(height, top + rows),
            )
            result = self._enlarged(joined[..., first:last, :], picture[..., first * ratio : last * ratio, :])
            strips.append(result[..., (top - first) * 4 : (bottom - first) * 4, :])
        return torch.cat(strips, -2)

    def _enlarged(self, features: Tensor, picture: Tensor) -> Tensor:
        result = lrelu(self.upsample2(lrelu(self.upsample1(self.fuse(features)))))
        base = (
            F.interpolate(picture, scale_factor=4, mode="bilinear", align_corners=False)
            if self.scale == 4
            else picture
        )
        return self.conv_last(lrelu(self.conv_hr(result)).float()) + base


class BasicVSRPlusPlus(Restorer):
    """Two rounds backward and forward; each feature depends on the two visited before it.

    ``enlarges`` selects upscaling; otherwise the size stays (deblurring and the like).
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 7,
        enlarges: bool = True,
        ends: int = 5,
        groups: int = GROUPS,
        last: int = 64,
        flow_widths: Sequence[int] = WIDTHS,
    ):
        super().__init__(width, last, flow_widths)
        if enlarges:
            self.feat_extract: nn.Module = Blocks(3, width, ends)
        else:
            self.scale, self.multiple, self.smallest = 1, 4, 256
            downward = (
                convolution(3, width, 2),
                nn.LeakyReLU(0.1, True),
                convolution(width, width, 2),
                nn.LeakyReLU(0.1, True),
            )
            self.feat_extract = nn.Sequential(*downward, Blocks(width, width, ends))
        self.halo = 2 * ends + 4
        self.deform_align = nn.ModuleDict({name: Alignment(width, groups) for name in BRANCHES})
        self.backbone = nn.ModuleDict(
            {name: Blocks((2 + index) * width, width, blocks) for index, name in enumerate(BRANCHES)}
        )
        self.reconstruction = Blocks(5 * width, width, ends)

    kept = 4  # stored features per frame

    def features(self, pictures: Tensor) -> Tensor:
        return self.feat_extract(pictures.to(self.dtype))

    def small(self, pictures: Tensor) -> Tensor:
        return pictures if self.scale == 4 else F.interpolate(pictures, scale_factor=0.25, mode="bicubic")

    def fuse(self, features: Tensor) -> Tensor:
        return self.reconstruction(features)

    def restore(
        self,
        frames: Sequence[Frame],
        count: int,
        carried: dict[str, Memory],
        keep: Keep = lambda feature: feature,
    ) -> Iterator[Tensor]:
        known = [[frame.feature] for frame in frames]
        for name in BRANCHES[:-1]:
            for index, feature in self._branch(name, frames, known, count, carried):
                known[index].append(keep(feature))
        for index, feature in self._branch(BRANCHES[-1], frames[:count], known, count, carried):
            yield self.enlarge([*known[index], feature], frames[index].picture)
            known[index].clear()

    def _branch(
        self,
        name: str,
        frames: Sequence[Frame],
        known: Sequence[Sequence[Tensor]],
        count: int,
        carried: dict[str, Memory],
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the features of one branch in the order in which it visits the frames, with their numbers."""
        forward = name.startswith("forward")
        memory = carried.get(name) if forward else None
        for index in range(len(frames)) if forward else reversed(range(len(frames))):
            frame = frames[index]
            own = [feature.to(frame.picture.device, self.dtype) for feature in known[index]]
            flow = (frame.back if forward else frame.onward) if memory else None
            if memory is None or flow is None:
                last = self._joined(name, own, torch.zeros_like(own[0]))
            elif memory.before is None or memory.flow is None:
                last = self._joined(name, own, self.deform_align[name](own[0], memory, flow))
            else:
                visit = self.runs.get(name) or partial(self._visited, name)
                last = visit(*own, flow, *memory)
            memory = Memory(last, memory.last if memory else None, flow)
            if forward and index == count - 1:
                carried[name] = memory
            yield index, last

    def steps(self) -> dict[str, Callable[..., Tensor]]:
        return {name: partial(self._visited, name) for name in BRANCHES}

    def _visited(self, name: str, *tensors: Tensor) -> Tensor:
        """Return a frame's feature in a branch, from its features so far, the flow, and a full ``Memory``."""
        *own, flow, last, before, further = tensors
        aligned = self.deform_align[name](own[0], Memory(last, before, further), flow)
        return self._joined(name, own, aligned)

    def _joined(self, name: str, own: Sequence[Tensor], aligned: Tensor) -> Tensor:
        return aligned + self.backbone[name](torch.cat([*own, aligned], 1))


class BasicVSR(Restorer):
    """One pass backward and one forward; each feature depends on the one visited before it and the image."""

    kept = 1

    def __init__(
        self, width: int = 64, blocks: int = 30, last: int = 64, flow_widths: Sequence[int] = WIDTHS
    ):
        super().__init__(width, last, flow_widths)
        self.backward_resblocks, self.forward_resblocks = (
            Blocks(width + 3, width, blocks),
            Blocks(width + 3, width, blocks),
        )
        self.fusion = nn.Conv2d(2 * width, width, 1)

    def features(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.dtype)

    def fuse(self, features: Tensor) -> Tensor:
        return lrelu(self.fusion(features))

    def restore(
        self,
        frames: Sequence[Frame],
        count: int,
        carried: dict[str, Memory],
        keep: Keep = lambda feature: feature,
    ) -> Iterator[Tensor]:
        behind, last = [], None
        for index in reversed(range(len(frames))):
            last = self._visited("backward", frames[index], last, frames[index].onward)
            if index < count:
                behind.append(keep(last))
        last = carried["forward"].last if carried else None
        for frame in frames[:count]:
            last = self._visited("forward", frame, last, frame.back)
            carried["forward"] = Memory(last)
            yield self.enlarge([behind.pop(), last], frame.picture)

    def steps(self) -> dict[str, Callable[..., Tensor]]:
        return {name: partial(self._followed, name) for name in ("backward", "forward")}

    def _visited(self, name: str, frame: Frame, last: Tensor | None, flow: Tensor | None) -> Tensor:
        feature = frame.feature.to(frame.picture.device, self.dtype)
        if last is None or flow is None:
            height, width = feature.shape[-2:]
            return self._joined(name, feature, feature.new_zeros(1, self.width, height, width))
        visit = self.runs.get(name) or partial(self._followed, name)
        return visit(feature, last.to(self.dtype), flow)

    def _followed(self, name: str, feature: Tensor, last: Tensor, flow: Tensor) -> Tensor:
        return self._joined(name, feature, warp(last, flow))

    def _joined(self, name: str, feature: Tensor, moved: Tensor) -> Tensor:
        blocks = self.backward_resblocks if name == "backward" else self.forward_resblocks
        return blocks(torch.cat([feature, moved], 1))


class RealBasicVSR(nn.Module):
    """BasicVSR after a network that cleans each frame, for footage with unknown degradation."""

    def __init__(
        self,
        width: int = 64,
        blocks: int = 20,
        cleaning_blocks: int = 20,
        last: int = 64,
        flow_widths: Sequence[int] = WIDTHS,
    ):
        super().__init__()
        self.image_cleaning = nn.Sequential(Blocks(3, width, cleaning_blocks), convolution(width, 3))
        self.basicvsr = BasicVSR(width, blocks, last, flow_widths)

    def typed(self, dtype: torch.dtype) -> RealBasicVSR:
        self.image_cleaning[0].to(dtype)
        self.basicvsr.typed(dtype)
        return self.to(memory_format=torch.channels_last)

    def dirt(self, pictures: Tensor) -> Tensor:
        """Return what one cleaning pass adds to the images."""
        blocks, last = self.image_cleaning
        return last(blocks(pictures.to(self.basicvsr.dtype)).float())

    def forward(self, pictures: Tensor, threshold: float = 255.0) -> Tensor:
        """Restore a complete shot, cleaned first.

        Cleaning runs up to three times, until a pass changes less than ``threshold`` steps of 8 bits on
        average.
        """
        for _ in range(3):
            dirt = self.dirt(pictures)
            pictures = pictures + dirt
            if dirt.abs().mean() < threshold / 255:
                break
        return self.basicvsr(pictures)


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's tensors under their own names, without prefixes and training-only tensors."""
    prefix = next((prefix for prefix in GENERATORS if any(key.startswith(prefix) for key in state)), "")
    own = {
        key.removeprefix(prefix): tensor for key, tensor in state.items() if prefix and key.startswith(prefix)
    }
    found = {**{key: tensor for key, tensor in state.items() if not key.startswith(TRAINING_ONLY)}, **own}
    return {_translated(key): tensor for key, tensor in found.items()}


def _translated(key: str) -> str:
    """Return mmcv's name of a tensor that BasicSR may have named."""
    if flow := BASICSR_FLOW.fullmatch(key):  # BasicSR counts the rectifiers between the convolutions
        return f"{flow[1]}.{int(flow[2]) // 2}.conv.{flow[3]}"
    for pattern, name in BASICSR:
        if re.match(pattern, key):
            return re.sub(pattern, name, key, count=1)
    return key


def load(state: Mapping[str, Tensor]) -> BasicVSRPlusPlus | BasicVSR | RealBasicVSR:
    """Return the network of a checkpoint, ready for inference.

    Its type and size are read from the tensors' shapes. Raise ValueError if they fit none of the networks.
    """
    state = clean(state)
    with torch.device("meta"):
        name, net = _network(state)
    return load_strict(net, {key: tensor.float() for key, tensor in state.items()}, name)


def _network(state: Mapping[str, Tensor]) -> tuple[str, BasicVSRPlusPlus | BasicVSR | RealBasicVSR]:
    def width(key: str) -> int:
        return len(state.get(key, ()))

    def blocks(key: str) -> int:
        return len(
            {
                name.removeprefix(f"{key}.main.2.").split(".")[0]
                for name in state
                if name.startswith(f"{key}.main.2.")
            }
        )

    inner = "basicvsr." if "basicvsr.backward_resblocks.main.0.weight" in state else ""
    flow = [f"{inner}spynet.basic_module.0.basic_module.{index}.conv.weight" for index in range(4)]
    last, flow_widths = width(f"{inner}conv_hr.weight"), [width(key) for key in flow]
    backward = f"{inner}backward_resblocks"
    if "deform_align.backward_1.weight" in state:
        sizes = width("deform_align.backward_1.weight"), blocks("backbone.backward_1")
        groups = width("deform_align.backward_1.conv_offset.6.weight") // (3 * POINTS)
        return "BasicVSR++", BasicVSRPlusPlus(
            *sizes,
            "feat_extract.main.0.weight" in state,
            blocks("reconstruction"),
            groups,
            last=last,
            flow_widths=flow_widths,
        )
    if f"{backward}.main.0.weight" not in state:
        raise Unfit(
            "This is not a BasicVSR, BasicVSR++ or RealBasicVSR checkpoint. Choose one of mmediting, "
            "mmagic or BasicSR."
        )
    sizes = width(f"{backward}.main.0.weight"), blocks(backward)
    if inner:
        return "RealBasicVSR", RealBasicVSR(
            *sizes, blocks("image_cleaning.0"), last=last, flow_widths=flow_widths
        )
    return "BasicVSR", BasicVSR(*sizes, last=last, flow_widths=flow_widths)
