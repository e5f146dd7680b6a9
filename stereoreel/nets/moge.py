"""MoGe-2, of any size: points in front of the camera, up to a shift, with their scale in metres.

Wang et al., MoGe-2: Accurate monocular geometry with metric scale and sharp details, 2025 (MIT). A DINOv2
encoder, a neck and one decoder each for points and for the mask of what has a distance; the one for normals
is ignored. In half precision the encoder's stream, all norms and the decoders' ends stay float32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .depth_anything import DEVIATION, HEAD, MEAN, PATCH, DINOv2, group
from .recognise import other
from .strict import Unfit, load_strict

SAMPLES = 64  # points per side from which focal length and shift are found
STEPS = 16  # of the search for the shift
TAPS = 4  # blocks of the encoder that are read
SIZES = {384: "Small", 768: "Base", 1024: "Large", 1536: "Giant"}
UNUSED = r"normal_head\.|encoder\.image_(mean|std)$|encoder\.backbone\.mask_token$"


@dataclass(frozen=True)
class Stack:
    """A pyramid of levels, each twice as large: its channels, inputs, residual blocks, and output.

    ``given`` are the channels of each level's input (0 for none), ``learned`` whether the step to the next is
    a transposed convolution (else bilinear), ``out`` the channels of the last level (0 for none).
    """

    widths: tuple[int, ...]
    given: tuple[int, ...]
    blocks: tuple[int, ...]
    learned: tuple[bool, ...]
    out: int


@dataclass(frozen=True)
class Family:
    """What distinguishes the networks; of the encoder as in ``depth_anything.Family``."""

    width: int
    depth: int
    inner: int
    gated: bool
    grid: int
    taps: tuple[int, ...]
    features: int
    neck: Stack
    points: Stack
    mask: Stack
    scale: tuple[int, ...]  # channels of the scale's layers; empty in a network without metres

    @property
    def name(self) -> str:
        return f"MoGe-2 {SIZES.get(self.width, f'of {self.width} channels')}"


class Geometry(NamedTuple):
    """Points ``[B, h, w, 3]`` (x right, y down, z forward) up to a shift of z; all float32.

    ``mask`` ``[B, h, w]`` is above 0.5 for what has a distance; ``scale`` ``[B]`` is metres per unit.
    """

    points: Tensor
    mask: Tensor
    scale: Tensor


def fits(keys: Iterable[str]) -> bool:
    """Whether tensors have the names of a MoGe, complete or not."""
    return any(
        re.match(r"(?:\w+\.)*?(?:points_head|mask_head|head\.upsample_blocks)\.", key) for key in keys
    ) or any("encoder.backbone." in key for key in keys)


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under their original names, without any prefix and unused tensors."""
    bare = {re.sub(r"^(?:(?:module|model)\.)+", "", key): tensor for key, tensor in state.items()}
    return {key: tensor for key, tensor in bare.items() if not re.match(UNUSED, key)}


def detect(state: Mapping[str, Tensor]) -> Family:
    """Return the family of a state dict, from the tensors' shapes alone.

    Raise Unfit, which names what was found, if it fits none.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in clean(state).items()}
    if not fits(shapes):
        raise other(state, "MoGe-2")
    if not any(key.startswith("encoder.backbone.") for key in shapes):
        raise Unfit("This is a MoGe-1 checkpoint. Get one of MoGe-2.")
    blocks = "encoder.backbone.blocks"
    depth = len({key.split(".")[3] for key in shapes if key.startswith(f"{blocks}.")})
    gated = f"{blocks}.0.mlp.w3.weight" in shapes
    try:
        width, inner = shapes[f"{blocks}.0.mlp.{'w3' if gated else 'fc2'}.weight"]
        grid = math.isqrt(shapes["encoder.backbone.pos_embed"][1] - 1)
        features = shapes["encoder.output_projections.0.weight"][0]
        neck, points, mask = (_stack(shapes, name) for name in ("neck", "points_head", "mask_head"))
        patch = shapes["encoder.backbone.patch_embed.proj.weight"][-1]
    except KeyError as missing:
        raise Unfit(
            f"This looks like MoGe-2, but its {len(shapes)} tensors are not a complete network of a known "
            f"type: it lacks {missing.args[0]}. Download it again."
        ) from None
    if patch != PATCH or width % HEAD or depth % TAPS or not depth:
        raise Unfit(f"No known MoGe-2 has {depth} blocks of {width} channels and patches of {patch} pixels.")
    taps = tuple(depth // TAPS * (part + 1) - 1 for part in range(TAPS))
    layers = sorted(int(key.split(".")[1]) for key in shapes if re.match(r"scale_head\.\d+\.weight", key))
    scale = tuple(shapes[f"scale_head.{layer}.weight"][1] for layer in layers)
    if layers:
        scale += (shapes[f"scale_head.{layers[-1]}.weight"][0],)
    return Family(width, depth, inner, gated, grid, taps, features, neck, points, mask, scale)


def _stack(shapes: Mapping[str, tuple[int, ...]], name: str) -> Stack:
    count = 1 + max(
        (int(key.split(".")[2]) for key in shapes if key.startswith(f"{name}.resamplers.")), default=-1
    )
    if not count:
        raise KeyError(f"{name}.resamplers.0")
    ends = [shapes[f"{name}.resamplers.{level}.1.weight"] for level in range(count)]
    learned = tuple(f"{name}.resamplers.{level}.0.weight" in shapes for level in range(count))
    first = shapes[f"{name}.resamplers.0.{0 if learned[0] else 1}.weight"]
    widths = (first[0] if learned[0] else first[1], *(end[0] for end in ends))
    levels = range(count + 1)
    given = tuple(shapes.get(f"{name}.input_blocks.{level}.weight", (0, 0))[1] for level in levels)
    blocks = tuple(
        len({key.split(".")[3] for key in shapes if key.startswith(f"{name}.res_blocks.{level}.")})
        for level in levels
    )
    out = shapes.get(f"{name}.output_blocks.{count}.weight", (0,))[0]
    return Stack(widths, given, blocks, learned, out)


def load(state: Mapping[str, Tensor]) -> MoGe:
    """Return the network of a published state dict, with its tensors unchanged (dtype and device too).

    Raise Unfit if it is not one.
    """
    cleaned = clean(state)
    with torch.device("meta"):
        net = MoGe(detect(cleaned))
    return load_strict(net, cleaned, net.family.name)


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Identity(),
                nn.ReLU(),
                _convolution(width, width),
                nn.Identity(),
                nn.ReLU(),
                _convolution(width, width),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = x
        for layer in self.layers:
            inner = layer(inner)
        return x + inner


def _convolution(given: int, made: int) -> nn.Conv2d:
    return nn.Conv2d(given, made, 3, padding=1, padding_mode="replicate")


class Decoder(nn.Module):
    """Maps of five sizes to maps of five sizes; each level gets its input and what the last one made."""

    def __init__(self, stack: Stack):
        super().__init__()
        self.input_blocks = nn.ModuleList(
            nn.Conv2d(given, width, 1) if given else nn.Identity()
            for given, width in zip(stack.given, stack.widths)
        )
        self.res_blocks = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(count)))
            for count, width in zip(stack.blocks, stack.widths)
        )
        self.resamplers = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(given, made, 2, 2)
                if learned
                else nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                _convolution(made if learned else given, made),
            )
            for given, made, learned in zip(stack.widths, stack.widths[1:], stack.learned)
        )
        last = nn.Conv2d(stack.widths[-1], stack.out, 1) if stack.out else nn.Identity()
        self.output_blocks = nn.ModuleList([*(nn.Identity() for _ in stack.learned), last])

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        x, made = torch.zeros(()), []
        for index, level in enumerate(levels):
            given = self.input_blocks[index](level)
            x = self.res_blocks[index](given if index == 0 else x + given)
            made.append(self.output_blocks[index](x))
            if index < len(self.resamplers):
                x = self.resamplers[index](x)
        return made


class MoGe(nn.Module):
    """RGB images in 0..1 (normalised inside) to points, float32; sides must be divisible by 14."""

    def __init__(self, family: Family):
        super().__init__()
        self.family = family
        self.encoder = group(
            backbone=DINOv2(family),
            output_projections=nn.ModuleList(
                nn.Conv2d(family.width, family.features, 1) for _ in family.taps
            ),
        )
        self.neck, self.points_head, self.mask_head = map(Decoder, (family.neck, family.points, family.mask))
        pairs = list(zip(family.scale, family.scale[1:]))
        layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())]
        self.scale_head = nn.Sequential(*layers[:-1])

    def forward(self, images: Tensor, size: tuple[int, int] | None = None) -> Geometry:
        """Take ``[B, 3, H, W]``; return maps of ``size``, by default 16 pixels per 14 of the image."""
        height, width = images.shape[-2:]
        if height % PATCH or width % PATCH:
            raise ValueError(f"{self.family.name} needs sizes divisible by {PATCH}, not {width}x{height}.")
        images = images.float()
        # numbers, so nothing is copied to the device
        normalised = torch.stack([(images[:, c] - MEAN[c]) / DEVIATION[c] for c in range(3)], 1)
        tokens = self.encoder.backbone.tokens(normalised)
        rows, columns = height // PATCH, width // PATCH
        maps = [
            project(x[:, 1:].transpose(1, 2).unflatten(2, (rows, columns)))
            for project, x in zip(self.encoder.output_projections, tokens)
        ]
        aspect = size[1] / size[0] if size else width / height
        levels = [
            _places(rows << level, columns << level, aspect, maps[0])
            for level in range(len(self.family.neck.widths))
        ]
        levels[0] = torch.cat([torch.stack(maps).sum(0), levels[0]], 1)
        decoded = self.neck(levels)
        points, mask = (head(decoded)[-1].float() for head in (self.points_head, self.mask_head))
        if size:
            points, mask = (
                F.interpolate(maps, size, mode="bilinear", align_corners=False) for maps in (points, mask)
            )
        across, forward = points.movedim(1, -1).split([2, 1], -1)
        forward = forward.exp()
        scale = images.new_ones(len(images))
        if self.family.scale:
            scale = self.scale_head(tokens[-1][:, 0]).float()[:, 0].exp()
        return Geometry(torch.cat([across * forward, forward], -1), mask[:, 0].sigmoid(), scale)


def _places(rows: int, columns: int, aspect: float, like: Tensor) -> Tensor:
    """Return x and y ``[B, 2, rows, columns]`` in a picture whose half diagonal is 1."""
    across, down = (
        torch.linspace(-end, end, count, device=like.device)
        for count, end in zip((columns, rows), _ends(rows, columns, aspect))
    )
    places = torch.stack([across.expand(rows, columns), down[:, None].expand(rows, columns)])
    return places.to(like.dtype).expand(len(like), -1, -1, -1)


def _ends(rows: int, columns: int, aspect: float) -> tuple[float, float]:
    """Return x and y of the centres of the last column and row."""
    diagonal = math.hypot(aspect, 1)
    return aspect / diagonal * (columns - 1) / columns, (rows - 1) / rows / diagonal


def distances(found: Geometry) -> Tensor:
    """Return distances ``[B, h, w]`` in metres, infinite for what has none.

    The shift of z is the one for which a pinhole camera sees the points where they are in the picture, with
    the focal length that fits best. Never synchronises with the device.
    """
    seen = found.mask > 0.5
    shift = _shift(found.points, seen)
    depth = found.points[..., 2] + shift[:, None, None]
    return torch.where(seen & (depth > 0), depth * found.scale[:, None, None], math.inf)


def _shift(points: Tensor, seen: Tensor) -> Tensor:
    """Return the shift of z, ``[B]``.

    Minimises ``|f * xy / (z + shift) - uv|`` over both, the focal length f in closed form, by
    Levenberg-Marquardt steps from 0, on a grid of nearest samples.
    """
    rows, columns = points.shape[1:3]
    places = _places(rows, columns, columns / rows, points[:1, ..., 0]).double()
    maps = torch.cat([points.movedim(-1, 1).double(), seen[:, None].double()], 1)
    maps, places = (
        F.interpolate(part, (SAMPLES, SAMPLES), mode="nearest").flatten(2) for part in (maps, places)
    )
    across, forward, weight = maps[:, :2], maps[:, 2:3], maps[:, 3:]
    nearest = torch.where(weight > 0, forward, math.inf).amin(-1)[:, 0]
    shift = torch.zeros_like(nearest)
    damping = torch.full_like(nearest, 1e-3)
    best, gradient, curvature = _misfit(across, forward, places, weight, shift)
    for _ in range(STEPS):
        step = -gradient / (curvature * (1 + damping) + 1e-12)
        tried = torch.maximum(shift + step, -0.99 * nearest.clamp(max=1e6))
        error, new_gradient, new_curvature = _misfit(across, forward, places, weight, tried)
        better = error < best
        shift, best = torch.where(better, tried, shift), torch.where(better, error, best)
        gradient = torch.where(better, new_gradient, gradient)
        curvature = torch.where(better, new_curvature, curvature)
        damping = torch.where(better, damping / 10, damping * 10)
    enough = weight.sum((-2, -1)) >= 2
    return torch.where(enough, shift, 0).float()


def _misfit(
    across: Tensor, forward: Tensor, places: Tensor, weight: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the squared misfit ``[B]`` of a shift, and its gradient and curvature as of Gauss and Newton."""
    depth = forward + shift[:, None, None]
    seen = torch.where(weight > 0, across / depth, 0)
    places = places * weight
    slope = torch.where(weight > 0, -seen / depth, 0)  # by the shift

    def total(product: Tensor) -> Tensor:
        return product.sum((-2, -1))

    both, square = total(seen * places), total(seen * seen).clamp(min=1e-12)
    focal = both / square
    bend = (total(slope * places) - 2 * focal * total(slope * seen)) / square  # of the focal length
    residual = focal[:, None, None] * seen - places
    change = bend[:, None, None] * seen + focal[:, None, None] * slope
    return total(residual * residual), total(change * residual), total(change * change)
