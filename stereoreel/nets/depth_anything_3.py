"""Depth Anything 3, of any size: depth of one view, or of several views in one scale.

Lin et al., Depth Anything 3: Recovering the visual space from any views, 2025 (code and the weights of Small,
Base, Mono and Metric: Apache-2.0). A DINOv2 encoder, of which every second block of the upper part attends to
all views (any-view networks), and a DPT head. A mono network has a head for the sky instead, and reads one
view. Camera poses, rays and Gaussians are not computed; their tensors are ignored.

In half precision the stream between blocks, all norms and the last two convolutions stay float32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .depth_anything import (
    DEVIATION,
    FROM_TRANSFORMERS,
    HEAD,
    MEAN,
    PATCH,
    TOGETHER,
    Block,
    Fusion,
    Norm,
    enlarged,
    group,
    positions,
)
from .recognise import other
from .strict import Unfit, load_strict

SKY = 0.3  # from which the sky head sees sky
ANCHORED = 3  # views from which on one of them is selected as the reference
ROTARY = 100.0  # base of the rotary embedding's frequencies
POSITION, WAVES = 0.1, 100.0  # amplitude and base of the head's position embedding
FEW = 10  # pixels: less sky, or less of anything else, changes no depth
FARTHEST = 0.99  # the quantile of other depth that the sky takes
SAMPLES = 100_000  # pixels of a view from which it is measured
SIZES = {384: "Small", 768: "Base", 1024: "Large", 1536: "Giant"}
EPSILON = 1e-5  # of all norms outside the blocks, and of queries and keys
# present in files only: the ray head, cameras, Gaussians
UNUSED = r"cam_(enc|dec)\.|gs_(head|adapter)\.|head\.scratch\.\w+_aux\.|backbone\.pretrained\.mask_token$"


@dataclass(frozen=True)
class Family:
    """What distinguishes the networks.

    Of the encoder: channels ``width``, blocks ``depth``, channels ``inner`` of an MLP (``gated``: SwiGLU),
    the side ``grid`` of its stored position embedding, the first block ``crossing`` of those that alternate
    between one view and all (``depth`` in a mono network), and the blocks ``taps`` that the head reads. Of
    the head: its channels, and whether it also sees ``sky``.
    """

    width: int
    depth: int
    inner: int
    gated: bool
    grid: int
    crossing: int
    features: int
    outputs: tuple[int, ...]  # four
    last: int
    sky: bool
    taps: tuple[int, ...]  # four

    @property
    def views(self) -> bool:
        """Whether it reads several views together."""
        return self.crossing < self.depth

    @property
    def name(self) -> str:
        size = SIZES.get(self.width, f"of {self.width} channels")
        return f"Depth Anything 3 {'' if self.views else 'Mono '}{size}"


class Prediction(NamedTuple):
    """Depth ``[B, V, H, W]``, larger is farther, float32; the rest if the network has a head for it.

    ``sky`` is 0 and up, sky from ``SKY``; ``confidence`` is 1 and up.
    """

    depth: Tensor
    sky: Tensor | None
    confidence: Tensor | None


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under their original names, without any prefix and unused tensors."""
    bare = {re.sub(r"^(?:(?:module|model|diffusion_model)\.)+", "", key): state[key] for key in state}
    if any(key.startswith("backbone.embeddings.") for key in bare):
        bare = _from_comfyui(bare)
    return {key: tensor for key, tensor in bare.items() if not re.match(UNUSED, key)}


def _from_comfyui(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an encoder with the layout of transformers, as files for ComfyUI have it."""
    renamed = {}
    for key, tensor in state.items():
        if key.startswith("backbone."):
            key = key.replace("backbone.embeddings.camera_token", "pretrained.camera_token")
            key = key.replace(".attention.q_norm.", ".attn.q_norm.").replace(
                ".attention.k_norm.", ".attn.k_norm."
            )
            for pattern, name in FROM_TRANSFORMERS:
                key = re.sub(pattern, name, key)
            key = f"backbone.{key}"
        renamed[key] = tensor
    for key in [key for key in renamed if ".attn.q." in key]:
        names = [key.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(name in renamed for name in names):
            renamed[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat([renamed.pop(name) for name in names])
    return renamed


def fits(keys: Iterable[str]) -> bool:
    """Whether tensors have the names of a Depth Anything 3, complete or not, in any packing."""
    return any(
        re.match(
            r"(?:\w+\.)*?(?:backbone\.pretrained\.|backbone\.embeddings\.camera_token|da3(?:_metric)?\.)", key
        )
        for key in keys
    ) or (
        any("backbone.embeddings." in key for key in keys)
        and any("head.scratch.sky_output_conv2." in key for key in keys)
    )


def detect(state: Mapping[str, Tensor]) -> Family:
    """Return the family of a state dict, from the tensors' shapes alone.

    Raise Unfit, which names what was found, if it fits none. Shapes do not distinguish Mono from Metric.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in clean(state).items()}
    if any(key.startswith(("da3.", "da3_metric.")) for key in shapes):
        raise Unfit(
            "This is Depth Anything 3 Nested, two networks in one file (CC-BY-NC-4.0). Choose Depth "
            "Anything 3 Giant, Mono Large or Metric Large."
        )
    blocks = "backbone.pretrained.blocks"
    if not fits(state):
        raise other(state, "Depth Anything 3")
    depth = len({key.split(".")[3] for key in shapes if key.startswith(f"{blocks}.")})
    gated = f"{blocks}.0.mlp.w3.weight" in shapes
    crossing = next((i for i in range(depth) if f"{blocks}.{i}.attn.q_norm.weight" in shapes), depth)
    try:
        width, inner = shapes[f"{blocks}.0.mlp.{'w3' if gated else 'fc2'}.weight"]
        grid = math.isqrt(shapes["backbone.pretrained.pos_embed"][1] - 1)
        outputs = tuple(shapes[f"head.projects.{level}.weight"][0] for level in range(4))
        features = shapes["head.scratch.layer1_rn.weight"][0]
        last = shapes["head.scratch.output_conv2.0.weight"][0]
        patch = shapes["backbone.pretrained.patch_embed.proj.weight"][-1]
    except KeyError:
        raise Unfit(
            f"This looks like Depth Anything 3, but its {len(shapes)} tensors are not a complete network "
            "of a known type. Download it again."
        ) from None
    if patch != PATCH or width % HEAD or depth < 4:
        raise Unfit(
            f"No known Depth Anything 3 has {depth} blocks of {width} channels and patches of {patch} pixels."
        )
    sky = "head.scratch.sky_output_conv2.0.weight" in shapes
    return Family(
        width,
        depth,
        inner,
        gated,
        grid,
        crossing,
        features,
        outputs,
        last,
        sky,
        _taps(depth, crossing < depth),
    )


def _taps(depth: int, views: bool) -> tuple[int, ...]:
    """Return the blocks that the head reads; those of published networks, else similar ones."""
    if views:
        known = {12: (5, 7, 9, 11), 24: (11, 15, 19, 23), 40: (19, 27, 33, 39)}
    else:
        known = {24: (4, 11, 17, 23)}
    if depth in known:
        return known[depth]
    return tuple(depth - 1 - step for step in (3, 2, 1, 0))


def load(state: Mapping[str, Tensor]) -> DepthAnything3:
    """Return the network of a published state dict, with its tensors unchanged (dtype and device too).

    Raise Unfit if it is not one.
    """
    cleaned = clean(state)
    with torch.device("meta"):
        net = DepthAnything3(detect(state))
    return load_strict(net, cleaned, net.family.name)


class CrossBlock(Block):
    """A block with normalised queries and keys, rotated by their position."""

    def __init__(self, width: int, inner: int, gated: bool):
        super().__init__(width, inner, gated)
        self.attn.add_module("q_norm", Norm(HEAD, eps=EPSILON))
        self.attn.add_module("k_norm", Norm(HEAD, eps=EPSILON))


class Rotation:
    """The rotary position embedding of tokens at ``places`` ``[N, 2]`` (row, column)."""

    def __init__(self, places: Tensor):
        axis = HEAD // 2
        speed = ROTARY ** -(torch.arange(0, axis, 2, device=places.device).float() / axis)
        angles = places[:, :, None].float() * speed  # [N, 2, axis / 2]
        self.cosine, self.sine = (part[:, :, None] for part in (angles.cos(), angles.sin()))

    def __call__(self, tokens: Tensor) -> Tensor:
        """Rotate ``[..., N, HEAD]``: the first half by the row, the second by the column."""
        first, second = tokens.float().unflatten(-1, (2, 2, -1)).split(1, -2)
        turned = torch.cat(
            [first * self.cosine - second * self.sine, second * self.cosine + first * self.sine], -2
        )
        return turned.flatten(-3).to(tokens.dtype)


class Encoder(nn.Module):
    """Normalised images ``[B, V, 3, H, W]`` to features ``[B V, h w, C]`` of four of the blocks.

    C is twice the width in any-view networks: what one view shows, and what all show.
    """

    def __init__(self, family: Family):
        super().__init__()
        self.family = family
        width = family.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        if family.views:
            self.camera_token = nn.Parameter(torch.zeros(1, 2, width))  # of the reference, and of the others
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + family.grid**2, width))
        self.patch_embed = group(proj=nn.Conv2d(3, width, PATCH, PATCH))
        shape = (width, family.inner, family.gated)
        self.blocks = nn.ModuleList(
            CrossBlock(*shape) if index >= family.crossing else Block(*shape) for index in range(family.depth)
        )
        self.norm = Norm(width, eps=EPSILON)

    def forward(self, images: Tensor) -> list[Tensor]:
        count, views = images.shape[:2]
        x, maps = self._tokens(images.flatten(0, 1)), []
        own, common = self._rotations(images.shape[-2], images.shape[-1], views, images.device)
        order: Tensor | None = None  # of the views, per batch element, while the reference comes first
        single = x
        for index, block in enumerate(self.blocks[: self.family.taps[-1] + 1]):
            if index == self.family.crossing - 1 and self.family.views and views >= ANCHORED:
                order = _reference_first(x[:, 0].unflatten(0, (count, views)))
                x = _reordered(x, order)
            if index == self.family.crossing:
                x = self._with_cameras(x, views)
            if index >= self.family.crossing and index % 2:
                x = block(x.unflatten(0, (count, views)).flatten(1, 2), common)
                x = x.unflatten(1, (views, -1)).flatten(0, 1)
            else:
                x = single = block(x, own if index >= self.family.crossing else None)
            if index in self.family.taps:
                tokens = self._output(single, x)
                maps.append(tokens if order is None else _reordered(tokens, order.argsort(1)))
        return maps

    def _tokens(self, images: Tensor) -> Tensor:
        rows, columns = (edge // PATCH for edge in images.shape[-2:])
        patches = self.patch_embed.proj(images.to(self.cls_token.dtype))
        patches = rearrange(patches, "b c h w -> b (h w) c").float()
        tokens = torch.cat([self.cls_token.float().expand(len(patches), -1, -1), patches], 1)
        return tokens + positions(self.pos_embed, rows, columns)

    def _rotations(
        self, height: int, width: int, views: int, device: torch.device
    ) -> tuple[Rotation | None, Rotation | None]:
        """Return those of one view, and of all: there every patch has the same place, the cameras another."""
        if not self.family.views:
            return None, None
        rows, columns = (torch.arange(edge // PATCH, device=device) + 1 for edge in (height, width))
        camera = torch.zeros(1, 2, dtype=torch.long, device=device)
        places = torch.cat([camera, torch.cartesian_prod(rows, columns)])
        return Rotation(places), Rotation(places.clamp(max=1).repeat(views, 1))

    def _with_cameras(self, x: Tensor, views: int) -> Tensor:
        reference, others = self.camera_token.float().split(1, 1)
        cameras = torch.cat([reference, others.expand(-1, views - 1, -1)], 1)
        cameras = cameras.expand(len(x) // views, -1, -1).flatten(0, 1)
        return torch.cat([cameras[:, None], x[:, 1:]], 1)

    def _output(self, single: Tensor, x: Tensor) -> Tensor:
        tokens = self.norm(x[:, 1:])
        return torch.cat([single[:, 1:], tokens.float()], -1) if self.family.views else tokens


def _reference_first(tokens: Tensor) -> Tensor:
    """Return an order of views ``[B, V]``: the one whose class token is the most average comes first.

    ``tokens`` are ``[B, V, C]``. Similarity to the others, length and variance count alike, each scaled to
    0..1 over the views (the published ``saddle_balanced``).
    """
    length = tokens.norm(dim=-1)
    unit = tokens / length[..., None]
    alike = (unit @ unit.mT - torch.eye(tokens.shape[1], device=tokens.device)).sum(-1) / (
        tokens.shape[1] - 1
    )

    def off_centre(measure: Tensor) -> Tensor:
        least, most = measure.amin(1, keepdim=True), measure.amax(1, keepdim=True)
        return ((measure - least) / (most - least + 1e-8) - 0.5).abs()

    measures = torch.stack([off_centre(measure) for measure in (alike, length, unit.var(dim=-1))])
    best = measures.sum(0).argmin(1, keepdim=True)
    place = torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)
    order = torch.where(place <= best, place - 1, place)
    return torch.where(place == 0, best, order)


def _reordered(x: Tensor, order: Tensor) -> Tensor:
    """Return ``[B V, ...]`` with the views of each batch element in an order ``[B, V]``."""
    first = torch.arange(len(order), device=order.device)[:, None] * order.shape[1]
    return x[(first + order).flatten()]


class Head(nn.Module):
    """The depth head: four maps of the encoder to depth, and confidence or sky."""

    def __init__(self, family: Family):
        super().__init__()
        features, outputs, last = family.features, family.outputs, family.last
        width = family.width * (2 if family.views else 1)
        self.norm = Norm(width, eps=EPSILON) if family.views else nn.Identity()
        self.projects = nn.ModuleList(nn.Conv2d(width, channels, 1) for channels in outputs)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(outputs[0], outputs[0], 4, 4),
                nn.ConvTranspose2d(outputs[1], outputs[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(outputs[3], outputs[3], 3, 2, 1),
            ]
        )
        self.scratch = scratch = group(output_conv1=nn.Conv2d(features, features // 2, 3, 1, 1))
        scratch.add_module("output_conv2", _last(features // 2, last, 2 if family.views else 1))
        if family.sky:
            scratch.add_module("sky_output_conv2", _last(features // 2, last, 1))
        for level, channels in enumerate(outputs, 1):
            scratch.add_module(f"layer{level}_rn", nn.Conv2d(channels, features, 3, 1, 1, bias=False))
            scratch.add_module(f"refinenet{level}", Fusion(features, skips=level < 4))
        self.placed = family.views  # whether position embeddings are added

    def forward(self, maps: list[Tensor], height: int, width: int) -> tuple[Tensor, ...]:
        """Return logits ``[B, 1, H, W]``, float32: depth, and confidence or sky if there is one."""
        size, scratch = (height // PATCH, width // PATCH), self.scratch
        levels = [
            self._level(index, self.norm(x).transpose(1, 2).unflatten(2, size), width / height)
            for index, x in enumerate(maps)
        ]
        x = scratch.refinenet4(levels[3], levels[2].shape[-2:])
        rows, columns = levels[0].shape[-2:]
        for level, finer in ((3, levels[1].shape[-2:]), (2, (rows, columns)), (1, (2 * rows, 2 * columns))):
            fusion = getattr(scratch, f"refinenet{level}")
            x = fusion(x + fusion.resConfUnit1(levels[level - 1]), finer)
        x = enlarged(scratch.output_conv1(x).float(), (height, width))
        if self.placed:
            x = x + _embedding(x, width / height)
        logits = _run(scratch.output_conv2, x)
        if hasattr(scratch, "sky_output_conv2"):
            return logits, _run(scratch.sky_output_conv2, x)
        return logits.split(1, 1)

    def _level(self, index: int, x: Tensor, aspect: float) -> Tensor:
        x = self.projects[index](x)
        if self.placed:
            x = x + _embedding(x, aspect).to(x.dtype)
        return getattr(self.scratch, f"layer{index + 1}_rn")(self.resize_layers[index](x))


def _last(features: int, last: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(features, last, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(last, outputs, 1)
    )


def _run(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Compute the last layers in float32."""
    before, _, last = cast("tuple[Any, nn.ReLU, Any]", tuple(layers))
    x = F.relu_(F.conv2d(x, before.weight.float(), before.bias.float(), padding=1))
    return F.conv2d(x, last.weight.float(), last.bias.float())


def _embedding(x: Tensor, aspect: float) -> Tensor:
    """Return waves ``[C, H, W]``, float32, of the place in the picture, whose half diagonal is 1."""
    channels, height, width = x.shape[-3:]
    diagonal = math.hypot(aspect, 1)
    speed = WAVES ** -(torch.arange(channels // 4, device=x.device).float() / (channels / 4))
    parts = []
    for size, span in ((width, aspect / diagonal), (height, 1 / diagonal)):
        end = span * (size - 1) / size
        angle = speed[:, None] * torch.linspace(-end, end, size, device=x.device)
        parts.append(torch.cat([angle.sin(), angle.cos()]))
    across, down = parts
    half = channels // 2
    both = [across[:, None].expand(half, height, width), down[:, :, None].expand(half, height, width)]
    return POSITION * torch.cat(both)


class DepthAnything3(nn.Module):
    """RGB images in 0..1 (normalised inside) to depth, float32; sides must be divisible by 14.

    Depth is a distance of unknown scale, larger is farther. An any-view network gives all views of a call
    one scale.
    """

    def __init__(self, family: Family):
        super().__init__()
        self.family = family
        self.backbone = group(pretrained=Encoder(family))
        self.head = Head(family)

    def forward(self, images: Tensor) -> Prediction:
        """Take ``[B, V, 3, H, W]``; a mono network takes V = 1 only."""
        if images.dim() != 5 or (images.shape[1] > 1 and not self.family.views):
            raise ValueError(
                f"{self.family.name} takes images [B, {'V' if self.family.views else '1'}, 3, H, W], not "
                f"{list(images.shape)}."
            )
        height, width = images.shape[-2:]
        if height % PATCH or width % PATCH:
            raise ValueError(f"{self.family.name} needs sizes divisible by {PATCH}, not {width}x{height}.")
        images = images.float()
        # numbers, so nothing is copied to the device
        normalised = torch.stack([(images[:, :, c] - MEAN[c]) / DEVIATION[c] for c in range(3)], 2)
        maps = self.backbone.pretrained(normalised)
        parts = zip(*(level.split(TOGETHER) for level in maps))
        logits = [self.head(list(some), height, width) for some in parts]
        depth, other = (torch.cat(part)[:, 0].unflatten(0, images.shape[:2]) for part in zip(*logits))
        if self.family.sky:
            return Prediction(depth.exp(), F.relu(other), None)
        return Prediction(depth.exp(), None, other.exp() + 1)


def with_sky(depth: Tensor, sky: Tensor) -> Tensor:
    """Return depth ``[..., H, W]`` of which the sky is the farthest part.

    It takes the 0.99 quantile of the other depth, as published, and nothing stays behind it. Views without
    sky, or of little else, stay unchanged. Never synchronises with the device.
    """
    return torch.stack(
        [_one_with_sky(*view) for view in zip(depth.flatten(0, -3), sky.flatten(0, -3))]
    ).view_as(depth)


def _one_with_sky(depth: Tensor, sky: Tensor) -> Tensor:
    clear = sky < SKY
    step = -(-depth.numel() // SAMPLES)
    some, count = depth.flatten()[::step], clear.flatten()[::step].sum()
    ordered = torch.where(clear.flatten()[::step], some, math.inf).sort().values
    place = FARTHEST * (count - 1).clamp(min=0).float()
    low = place.floor().long()
    high = torch.minimum(low + 1, (count - 1).clamp(min=0))
    below, above = ordered.gather(0, torch.stack([low, high]))
    farthest = torch.lerp(below, above, place - low)
    few = (clear.sum() <= FEW) | ((~clear).sum() <= FEW)
    return torch.where(few, depth, torch.where(clear, torch.minimum(depth, farthest), farthest))
