"""Depth Anything V1 and V2, Distill-Any-Depth and Video Depth Anything, of any size.

A DINOv2 encoder and a DPT head, with sizes read from the shapes. Yang et al., Depth Anything V2, NeurIPS
2024; Chen et al., Video Depth Anything, CVPR 2025 (both Apache-2.0); Oquab et al., DINOv2, 2023; Ranftl et
al., Vision Transformers for Dense Prediction, ICCV 2021.

Only four small temporal blocks of the video network attend to other frames. ``encode`` computes all that
depends on one frame, so that a frame in two windows is encoded once. In half precision the stream between the
encoder's blocks, every layer norm and the last two convolutions stay float32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .recognise import other
from .strict import Unfit, load_strict

TEMPORAL = "head.motion_modules.0.temporal_transformer"
PATCH = 14  # side of the encoder's image patches, in pixels
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in RGB
HEAD = 64  # channels of one attention head of the encoder
TEMPORAL_HEADS = 8
TOGETHER = 4  # frames per batch of the last, full-size layers, as in the original; bounds memory
MOST_AT_ONCE = 32768  # positions per launch of temporal attention; CUDA's limit is 65535
SIZES = {384: "Small", 768: "Base", 1024: "Large", 1536: "Giant"}
# present in files only
UNUSED = (
    "pretrained.mask_token",
    "depth_head.scratch.refinenet4.resConfUnit1.",
    "head.scratch.refinenet4.resConfUnit1.",
)


@dataclass(frozen=True)
class Family:
    """What distinguishes the networks.

    Of the encoder: its channels ``width``, blocks ``depth``, channels ``inner`` of an MLP (``gated``:
    SwiGLU), the side ``grid`` of its stored position embedding, and the blocks ``taps`` that the head reads
    (V1's are the last four). Of the head: its channels. ``frames`` is the most frames a video network reads,
    0 for a single-image one. With ``max_depth`` the network outputs metres up to it.
    """

    width: int
    depth: int
    inner: int
    gated: bool
    grid: int
    features: int
    outputs: tuple[int, ...]  # four
    last: int
    frames: int
    taps: tuple[int, ...]  # four
    max_depth: float | None = None

    @property
    def name(self) -> str:
        size = SIZES.get(self.width, f"of {self.width} channels")
        return f"{'Video ' if self.frames else ''}Depth Anything {size}"


# Names in Hugging Face model directories, transformers 4.x and 5.x, and the original's.
FROM_TRANSFORMERS = (
    (r"backbone\.embeddings\.(cls|mask)_token", r"pretrained.\1_token"),
    (r"backbone\.embeddings\.position_embeddings", "pretrained.pos_embed"),
    (r"backbone\.embeddings\.patch_embeddings\.projection\.", "pretrained.patch_embed.proj."),
    (r"backbone\.layernorm\.", "pretrained.norm."),
    (r"backbone\.encoder\.layer\.", "pretrained.blocks."),
    (r"\.attention\.(?:attention\.)?(query|key|value|[qkv]_proj)\.", lambda found: f".attn.{found[1][0]}."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layer_scale([12])\.lambda1", r".ls\1.gamma"),
    (r"\.mlp\.(?:weights_in)\.", ".mlp.w12."),
    (r"\.mlp\.(?:weights_out|down_proj)\.", ".mlp.w3."),
    (r"neck\.reassemble_stage\.layers\.(\d)\.projection\.", r"depth_head.projects.\1."),
    (r"neck\.reassemble_stage\.layers\.(\d)\.resize\.", r"depth_head.resize_layers.\1."),
    (r"neck\.convs\.(\d)\.", lambda found: f"depth_head.scratch.layer{int(found[1]) + 1}_rn."),
    (
        r"neck\.fusion_stage\.layers\.(\d)\.",
        lambda found: f"depth_head.scratch.refinenet{4 - int(found[1])}.",
    ),
    (r"(refinenet\d)\.projection\.", r"\1.out_conv."),
    (r"\.residual_layer([12])\.convolution([12])\.", r".resConfUnit\1.conv\2."),
    (
        r"^head\.conv([123])\.",
        lambda found: f"depth_head.scratch.output_conv{('1.', '2.0.', '2.2.')[int(found[1]) - 1]}",
    ),
)
# whose parts transformers stores
JOINED = {"attn.qkv": ("attn.q", "attn.k", "attn.v"), "mlp.w12": ("mlp.gate_proj", "mlp.up_proj")}


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under their original names, without any prefix and unused tensors."""
    cleaned = {}
    for key, tensor in state.items():
        key = re.sub(r"^(?:module|model)\.", "", key)
        # Distill-Any-Depth's large one
        key = re.sub(r"^backbone\.(?!embeddings\.|encoder\.|layernorm\.)", "pretrained.", key)
        cleaned[re.sub(r"^(pretrained\.blocks\.)\d+\.(\d+\.)", r"\1\2", key)] = tensor
    if any(key.startswith("neck.") for key in cleaned):
        cleaned = _from_transformers(cleaned)
    return {key: tensor for key, tensor in cleaned.items() if not key.startswith(UNUSED)}


def _from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in state.items():
        for pattern, name in FROM_TRANSFORMERS:
            key = re.sub(pattern, name, key)
        renamed[key] = tensor
    for whole, parts in JOINED.items():
        for key in [key for key in renamed if f".{parts[0]}." in key]:
            names = [key.replace(f".{parts[0]}.", f".{part}.") for part in parts]
            if all(name in renamed for name in names):
                renamed[key.replace(f".{parts[0]}.", f".{whole}.")] = torch.cat(
                    [renamed.pop(name) for name in names]
                )
    return renamed


def detect(state: Mapping[str, Tensor], max_depth: float | None = None, first: bool = False) -> Family:
    """Return the family of a state dict, from the tensors' shapes alone.

    Raise ValueError, which names the checkpoint found, if it fits none. Shapes do not distinguish a metric
    network of single images from a relative one (``max_depth``: 20 for indoor, 80 for outdoor ones), nor
    Depth Anything V1 (``first``) from V2.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in clean(state).items()}
    head = "head" if any(key.startswith("head.motion_modules.") for key in shapes) else "depth_head"
    depth = len({key.split(".")[2] for key in shapes if key.startswith("pretrained.blocks.")})
    gated = "pretrained.blocks.0.mlp.w3.weight" in shapes
    try:
        width, inner = shapes[f"pretrained.blocks.0.mlp.{'w3' if gated else 'fc2'}.weight"]
        grid = math.isqrt(shapes["pretrained.pos_embed"][1] - 1)
        outputs = tuple(shapes[f"{head}.projects.{level}.weight"][0] for level in range(4))
        features = shapes[f"{head}.scratch.layer1_rn.weight"][0]
        last = shapes[f"{head}.scratch.output_conv2.0.weight"][0]
        frames = (
            shapes[f"{TEMPORAL}.transformer_blocks.0.attention_blocks.0.pos_encoder.pe"][1]
            if head == "head"
            else 0
        )
        patch = shapes["pretrained.patch_embed.proj.weight"][-1]
    except KeyError:
        if any(key.startswith("pretrained.blocks.") for key in shapes):
            raise Unfit(
                f"This looks like Depth Anything, but its {len(shapes)} tensors are not a complete network "
                "of a known type. Download it again."
            ) from None
        raise other(shapes, "Depth Anything") from None
    if patch != PATCH or width % HEAD or depth < 4:
        raise Unfit(
            f"No known Depth Anything has {depth} blocks of {width} channels and patches of {patch} pixels."
        )
    if max_depth is not None and frames:
        raise Unfit("Video Depth Anything has no max_depth: its metric networks output metres. Leave it out.")
    taps: tuple[int, ...] = (
        tuple(range(depth - 4, depth))
        if first
        else (4, 11, 17, 23)
        if depth == 24
        else tuple(depth * part // 4 - 1 for part in (1, 2, 3, 4))
    )
    return Family(width, depth, inner, gated, grid, features, outputs, last, frames, taps, max_depth)


def load(state: Mapping[str, Tensor], max_depth: float | None = None, first: bool = False) -> DepthAnything:
    """Return the network of a published state dict, with its tensors unchanged (dtype and device too).

    Raise ValueError if it is not one.
    """
    cleaned = clean(state)
    with torch.device("meta"):
        net = DepthAnything(detect(cleaned, max_depth, first))
    return load_strict(net, cleaned, net.family.name)


class Norm(nn.LayerNorm):
    """Layer norm in float32 that returns the parameters' dtype."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(
            x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps
        ).to(self.weight.dtype)


class Block(nn.Module):
    """One block of the encoder: a float32 stream ``[B, N, C]`` to the next."""

    def __init__(self, width: int, inner: int, gated: bool):
        super().__init__()
        self.norm1, self.norm2 = Norm(width, eps=1e-6), Norm(width, eps=1e-6)
        self.attn = group(qkv=nn.Linear(width, 3 * width), proj=nn.Linear(width, width))
        first, last = nn.Linear(width, 2 * inner if gated else inner), nn.Linear(inner, width)
        self.mlp = group(w12=first, w3=last) if gated else group(fc1=first, fc2=last)
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": torch.ones(width)}) for _ in range(2))

    def forward(self, x: Tensor, rotation: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """``rotation`` places queries and keys, after their own norms."""
        x = torch.addcmul(x, self.attention(self.norm1(x), rotation).float(), self.ls1["gamma"].float())
        return torch.addcmul(x, self._mlp(self.norm2(x)).float(), self.ls2["gamma"].float())

    def attention(self, x: Tensor, rotation: Callable[[Tensor], Tensor] | None) -> Tensor:
        query, key, value = rearrange(self.attn.qkv(x), "b n (qkv heads d) -> qkv b heads n d", qkv=3, d=HEAD)
        if rotation is not None:
            query, key = rotation(self.attn.q_norm(query)), rotation(self.attn.k_norm(key))
        seen = F.scaled_dot_product_attention(query, key, value)
        return self.attn.proj(rearrange(seen, "b heads n d -> b n (heads d)"))

    def _mlp(self, x: Tensor) -> Tensor:
        if hasattr(self.mlp, "fc1"):
            return self.mlp.fc2(F.gelu(self.mlp.fc1(x)))
        gate, value = self.mlp.w12(x).chunk(2, -1)
        return self.mlp.w3(F.silu(gate) * value)


def positions(stored: Tensor, rows: int, columns: int) -> Tensor:
    """Return a stored position embedding ``[1, 1 + n * n, C]`` for a grid, ``[1, 1 + rows * columns, C]``.

    Bicubic, float32, with the published code's factors and their 0.1 added.
    """
    stored, grid = stored.float(), math.isqrt(stored.shape[1] - 1)
    if rows == columns == grid:
        return stored
    square = rearrange(stored[:, 1:], "b (h w) c -> b c h w", h=grid)
    factors = ((rows + 0.1) / grid, (columns + 0.1) / grid)
    resized = F.interpolate(square, scale_factor=factors, mode="bicubic")[..., :rows, :columns]
    return torch.cat([stored[:, :1], rearrange(resized, "b c h w -> b (h w) c")], 1)


class EncoderShape(Protocol):
    """What a ``Family`` says of its encoder."""

    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def inner(self) -> int: ...
    @property
    def gated(self) -> bool: ...
    @property
    def grid(self) -> int: ...
    @property
    def taps(self) -> tuple[int, ...]: ...


class DINOv2(nn.Module):
    """Normalised images ``[B, 3, H, W]`` to features ``[B, C, H / 14, W / 14]`` of four of the blocks."""

    def __init__(self, family: EncoderShape):
        super().__init__()
        self.taps = family.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, family.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + family.grid**2, family.width))
        self.patch_embed = group(proj=nn.Conv2d(3, family.width, PATCH, PATCH))
        self.blocks = nn.ModuleList(
            Block(family.width, family.inner, family.gated) for _ in range(family.depth)
        )
        self.norm = Norm(family.width, eps=1e-6)

    def forward(self, images: Tensor) -> list[Tensor]:
        rows, columns = (edge // PATCH for edge in images.shape[-2:])
        return [x[:, 1:].transpose(1, 2).unflatten(2, (rows, columns)) for x in self.tokens(images)]

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return the class token and the patches ``[B, 1 + h w, C]`` of each of the blocks."""
        rows, columns = (edge // PATCH for edge in images.shape[-2:])
        patches = self.patch_embed.proj(images.to(self.cls_token.dtype))
        patches = rearrange(patches, "b c h w -> b (h w) c").float()
        x = torch.cat([self.cls_token.float().expand(len(patches), -1, -1), patches], 1) + self.positions(
            rows, columns
        )
        found = []
        for index, block in enumerate(self.blocks[: self.taps[-1] + 1]):
            x = block(x)
            if index in self.taps:
                found.append(self.norm(x))
        return found

    def positions(self, rows: int, columns: int) -> Tensor:
        """Return the position embedding ``[1, 1 + rows * columns, C]``, float32."""
        return positions(self.pos_embed, rows, columns)


class TemporalAttention(nn.Module):
    """Self-attention along time only, of ``[B, T, N, C]``."""

    def __init__(self, channels: int, frames: int):
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels, bias=False) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])
        self.pos_encoder = Group()
        self.pos_encoder.register_buffer("pe", torch.zeros(1, frames, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_encoder.pe[:, : x.shape[1], None].to(x.dtype)
        parts = [rearrange(layer(x), "b t n (heads d) -> (b n) heads t d", heads=TEMPORAL_HEADS)
                 for layer in (self.to_q, self.to_k, self.to_v)]  # fmt: skip
        splits = zip(*(part.split(MOST_AT_ONCE) for part in parts))
        seen = [F.scaled_dot_product_attention(*some) for some in splits]
        return self.to_out[0](rearrange(torch.cat(seen), "(b n) heads t d -> b t n (heads d)", b=len(x)))


class Temporal(nn.Module):
    """Maps ``[B T, C, h, w]`` of T frames each, plus attention to the same position at other times."""

    def __init__(self, channels: int, frames: int):
        super().__init__()
        feed_forward = nn.ModuleList(
            [group(proj=nn.Linear(channels, 8 * channels)), nn.Identity(), nn.Linear(4 * channels, channels)]
        )
        block = group(
            attention_blocks=nn.ModuleList(TemporalAttention(channels, frames) for _ in range(2)),
            norms=nn.ModuleList(Norm(channels) for _ in range(2)),
            ff=group(net=feed_forward),
            ff_norm=Norm(channels),
        )
        self.temporal_transformer = group(
            norm=nn.GroupNorm(32, channels, eps=1e-6),
            proj_in=nn.Linear(channels, channels),
            transformer_blocks=nn.ModuleList([block]),
            proj_out=nn.Linear(channels, channels),
        )

    def forward(self, maps: Tensor, frames: int) -> Tensor:
        inner = self.temporal_transformer
        block = inner.transformer_blocks[0]
        x = rearrange(inner.norm(maps), "frames c h w -> frames (h w) c")
        x = inner.proj_in(x).unflatten(0, (-1, frames))
        for attention, norm in zip(block.attention_blocks, block.norms):
            x = x + attention(norm(x))
        gate, _, last = block.ff.net
        value, opened = gate.proj(block.ff_norm(x)).chunk(2, -1)
        x = x + last(value * F.gelu(opened))
        return maps + rearrange(inner.proj_out(x), "b t (h w) c -> (b t) c h w", h=maps.shape[-2])


class ResidualUnit(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.conv1, self.conv2 = (
            nn.Conv2d(features, features, 3, 1, 1),
            nn.Conv2d(features, features, 3, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu_(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """Merge a coarse map with the finer level's and upsample; ``skips`` if there is a coarser one."""

    def __init__(self, features: int, skips: bool = True):
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        if skips:
            self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        # a 1x1 convolution may come first: bilinear weights sum to one
        return enlarged(self.out_conv(self.resConfUnit2(x)), size)


class Group(nn.Module):
    """Named container of modules that computes nothing itself."""

    if TYPE_CHECKING:
        # a layer, a group or a tensor, by the checkpoint's names
        def __getattr__(self, name: str) -> Any: ...


def group(**modules: nn.Module) -> Group:
    """Return a container of these modules."""
    made = Group()
    for name, module in modules.items():
        made.add_module(name, module)
    return made


def enlarged(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample ``[B, C, h, w]`` so that the centres of the corner pixels stay in place."""
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


class DPT(nn.Module):
    """The head: four maps of the encoder to depth.

    ``prepare`` handles every frame independently, ``finish`` the frames that attend to each other.
    """

    def __init__(self, family: Family):
        super().__init__()
        features, outputs = family.features, family.outputs
        self.projects = nn.ModuleList(nn.Conv2d(family.width, channels, 1) for channels in outputs)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(outputs[0], outputs[0], 4, 4),
                nn.ConvTranspose2d(outputs[1], outputs[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(outputs[3], outputs[3], 3, 2, 1),
            ]
        )
        self.scratch = scratch = group(
            output_conv1=nn.Conv2d(features, features // 2, 3, 1, 1),
            output_conv2=nn.Sequential(
                nn.Conv2d(features // 2, family.last, 3, 1, 1), nn.ReLU(True), nn.Conv2d(family.last, 1, 1)
            ),
        )
        for level, channels in enumerate(outputs, 1):
            scratch.add_module(f"layer{level}_rn", nn.Conv2d(channels, features, 3, 1, 1, bias=False))
            scratch.add_module(f"refinenet{level}", Fusion(features, skips=level < 4))
        if family.frames:
            self.motion_modules = nn.ModuleList(
                Temporal(channels, family.frames) for channels in (*outputs[2:], features, features)
            )

    def prepare(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first, second, third, fourth = (
            resize(project(x)) for resize, project, x in zip(self.resize_layers, self.projects, maps)
        )
        scratch = self.scratch
        return (
            scratch.refinenet1.resConfUnit1(scratch.layer1_rn(first)),
            scratch.refinenet2.resConfUnit1(scratch.layer2_rn(second)),
            third,
            fourth,
        )

    def finish(self, features: tuple[Tensor, ...], frames: int) -> Tensor:
        """Compute the rest up to the last activation, ``[B, 1, H, W]`` float32."""
        first, second, third, fourth = features
        scratch, size = self.scratch, third.shape[-2:]
        third, fourth = self._in_time(0, third, frames), self._in_time(1, fourth, frames)
        path = self._in_time(2, scratch.refinenet4(scratch.layer4_rn(fourth), size), frames)
        path = path + scratch.refinenet3.resConfUnit1(scratch.layer3_rn(third))
        path = self._in_time(3, scratch.refinenet3(path, second.shape[-2:]), frames)
        parts = zip(*(part.split(TOGETHER) for part in (path, second, first)))
        full = size[0] * PATCH, size[1] * PATCH
        return torch.cat([self._full_size(some, fine, finest, full) for some, fine, finest in parts])

    def _in_time(self, index: int, maps: Tensor, frames: int) -> Tensor:
        return self.motion_modules[index](maps, frames) if hasattr(self, "motion_modules") else maps

    def _full_size(self, path: Tensor, second: Tensor, first: Tensor, size: tuple[int, int]) -> Tensor:
        scratch, (rows, columns) = self.scratch, first.shape[-2:]
        path = scratch.refinenet2(path + second, (rows, columns))
        path = scratch.refinenet1(path + first, (2 * rows, 2 * columns))
        path = enlarged(scratch.output_conv1(path).float(), size)
        before, _, last = scratch.output_conv2
        path = F.relu_(F.conv2d(path, before.weight.float(), before.bias.float(), padding=1))
        return F.conv2d(path, last.weight.float(), last.bias.float())


class DepthAnything(nn.Module):
    """RGB images in 0..1 (normalised inside) to depth, float32; sides must be divisible by 14.

    A relative network returns inverse depth of unknown scale and shift, 0 and up, larger is nearer; a metric
    one returns metres, larger is farther.
    """

    head: DPT  # of a video network
    depth_head: DPT  # of a single-image network

    def __init__(self, family: Family):
        super().__init__()
        self.family = family
        self.pretrained = DINOv2(family)
        self.add_module("head" if family.frames else "depth_head", DPT(family))

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, 1, H, W]``; a video network takes and returns ``[B, T, ...]``."""
        if images.dim() != (5 if self.family.frames else 4):
            raise ValueError(
                f"{self.family.name} takes images [{'B, T' if self.family.frames else 'B'}, 3, H, W], not "
                f"{list(images.shape)}."
            )
        features = self.encode(images.flatten(0, -4))
        depth = self.decode(features, images.shape[1] if self.family.frames else 1)
        return depth.unflatten(0, images.shape[:-3])

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute all that depends on one frame only, for ``[B, 3, H, W]``.

        Return four maps ``[B, C, h, w]`` of decreasing size, in the parameters' dtype.
        """
        if any(edge % PATCH for edge in images.shape[-2:]):
            raise ValueError(
                f"{self.family.name} needs sizes divisible by {PATCH}, not "
                f"{images.shape[-1]}x{images.shape[-2]}."
            )
        images = images.float()
        # numbers, so nothing is copied to the device
        normalised = torch.stack([(images[:, c] - MEAN[c]) / DEVIATION[c] for c in range(3)], 1)
        return self._dpt.prepare(self.pretrained(normalised))

    def decode(self, features: tuple[Tensor, ...], frames: int = 1) -> Tensor:
        """Return depth ``[B T, 1, H, W]`` from the maps that ``encode`` returned.

        They are those of B clips of ``frames`` frames T each, one after the other.
        """
        if self.family.frames and frames > self.family.frames:
            raise ValueError(
                f"{self.family.name} takes at most {self.family.frames} frames at a time, not {frames}."
            )
        depth, most = self._dpt.finish(features, frames), self.family.max_depth
        return F.relu_(depth) if most is None else torch.sigmoid(depth) * most

    @property
    def _dpt(self) -> DPT:
        return self.head if self.family.frames else self.depth_head
