"""Train the network that guesses nearness from one picture, on scenes that are rendered here.

    python -m benchmarks.depth_prior.train SCENES OUT.safetensors [--scenes N] [--steps N] [--workers N]

SCENES is a folder for the rendered pictures, which later runs use again. A picture is 64x64, 80x48 or 48x80
pixels, and its target the square root of inverse depth, so that near things do not drown the rest. The loss
is the error, that of its gradients, and the order of random pairs of points.

Workers share the weights and update them without waiting for each other (Recht et al., "Hogwild", 2011). Only
with one worker can a run be repeated exactly. The weights of `builtin` depth took the defaults: 22,400 scenes
and 20,000 steps of one worker, about 40 minutes of one core after ten of rendering. No picture that was not
rendered here was ever shown to the network.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.multiprocessing
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.depth_prior.camera import finished
from benchmarks.depth_prior.scenes import Scenes
from stereoreel.nets.depth_prior import DepthPrior

SEED = 7000
SHAPES = ((64, 64), (48, 80), (64, 64), (48, 80), (80, 48))
SHARD, VARIANTS = 400, 3  # scenes a file, pictures a scene
BATCH, PAIRS = 24, 300
RATE, WARM = 2e-3, 30  # learning rate, steps until it is reached
LEVELS = 200  # steps of the stored targets per unit
FAINT = 0.04  # difference of nearness below which two points have no order


def render(folder: Path, index: int) -> None:
    """Write the pictures ``[N, h, w, 3]`` and targets ``[N, h, w]`` of some scenes, uint8."""
    path = folder / f"{index:03d}.npz"
    if path.exists():
        return
    random, size = np.random.default_rng(SEED + index), SHAPES[index % len(SHAPES)]
    images, targets = [], []
    for _ in range(SHARD):
        scene = Scenes(random).scene((size[0] * 3 // 2, size[1] * 3 // 2))
        for image, target in (variant(*scene, size, random) for _ in range(VARIANTS)):
            images.append(image)
            targets.append(target)
    np.savez(path, images=np.stack(images), targets=np.stack(targets))


def variant(image, depth, size, random) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of a scene as a camera leaves it, with its target."""
    height, width = depth.shape
    if random.random() < 0.5:
        part = random.uniform(0.65, 1)
        rows, columns = int(height * part), int(width * part)
        top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
        image, depth = (some[top : top + rows, left : left + columns] for some in (image, depth))
    if random.random() < 0.25:  # shade that has nothing to do with depth
        reach = int(random.integers(2, 12))
        shade = random.standard_normal((size[0] // reach + 2, size[1] // reach + 2), np.float32)
        shade = cv2.resize(shade, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        image = image * np.exp(shade * random.uniform(0, 0.25))[..., None]
    depth = cv2.resize(np.ascontiguousarray(depth), size[::-1], interpolation=cv2.INTER_AREA)
    target = np.clip(depth / max(np.percentile(depth, 97), 1e-3), 0, 1.15) ** 0.5
    image = finished(np.ascontiguousarray(image, np.float32), random, size)
    return image, (target * LEVELS + 0.5).astype(np.uint8)


def batch(shards, random) -> tuple[Tensor, Tensor]:
    """Return pictures ``[N, 3, h, w]`` in 0..1 and targets ``[N, h, w]``."""
    images, targets = shards[random.integers(len(shards))]
    chosen = random.integers(0, len(targets), BATCH)
    x = torch.from_numpy(images[chosen]).float().div_(255).movedim(-1, 1)
    target = torch.from_numpy(targets[chosen]).float().div_(LEVELS)
    if random.random() < 0.5:
        x, target = x.flip(-1), target.flip(-1)
    if random.random() < 0.2:
        x = x[:, random.permutation(3)]
    x = x * torch.empty(BATCH, 3, 1, 1).uniform_(0.85, 1.15) + torch.empty(BATCH, 1, 1, 1).uniform_(-0.1, 0.1)
    mean = x.mean((2, 3), keepdim=True)
    x = (mean + (x - mean) * torch.empty(BATCH, 1, 1, 1).uniform_(0.7, 1.3)).clamp(0, 1)
    return x.contiguous(memory_format=torch.channels_last), target.contiguous()


def loss_of(found: Tensor, target: Tensor) -> Tensor:
    loss = F.smooth_l1_loss(found, target, beta=0.05)
    first, second = torch.randint(0, target[0].numel(), (2, len(target), PAIRS))
    apart, wanted = (
        some.flatten(1).gather(1, first) - some.flatten(1).gather(1, second) for some in (found, target)
    )
    weight = (wanted.abs() > FAINT) * (0.3 + wanted.abs())
    order = (weight * F.softplus(-12 * wanted.sign() * apart)).sum() / weight.sum()
    error, slopes = found - target, torch.zeros(())
    for step in (1, 2, 4):
        coarse = F.avg_pool2d(error[:, None], step)[:, 0]
        slopes = slopes + coarse.diff(dim=1).abs().mean() + coarse.diff(dim=2).abs().mean()
    return loss + 0.3 * order + 0.5 * slopes


def work(rank: int, net: DepthPrior, count: Tensor, options: argparse.Namespace) -> None:
    """Train the shared ``net``; the first worker keeps a running mean of it and writes that."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED + rank)
    random = np.random.default_rng(rank)
    files = [np.load(path) for path in sorted(options.folder.glob("*.npz"))]
    shards = [(file["images"], file["targets"]) for file in files]
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-2)
    mean, seen, begin = copy.deepcopy(net).eval(), 0, time.monotonic()
    while (done := int(count)) < options.steps:
        for group in optimizer.param_groups:
            decay = 0.5 * (1 + math.cos(math.pi * done / options.steps))
            group["lr"] = RATE * min(1.0, (done + 1) / WARM) * decay + 1e-5
        x, target = batch(shards, random)
        with torch.autocast("cpu", torch.bfloat16):
            found = net.train()(x)
        loss = loss_of(found.float(), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        count += 1
        if rank == 0:
            blend(mean, net, 1 - 0.995 ** (int(count) - seen))
            seen = int(count)
            if done % 100 < options.workers:
                print(f"{done} steps, {time.monotonic() - begin:.0f} s, loss {loss.item():.3f}", flush=True)
                save(mean, options.out)
    if rank == 0:
        save(mean, options.out)


def save(net: DepthPrior, path: Path) -> None:
    save_file({name: halved(part) for name, part in net.state_dict().items()}, path)


def blend(mean: DepthPrior, net: DepthPrior, share: float) -> None:
    with torch.no_grad():
        for old, new in zip(mean.state_dict().values(), net.state_dict().values()):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)


def halved(part: Tensor) -> Tensor:
    return (part.half() if part.is_floating_point() else part).contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the rendered scenes")
    parser.add_argument("out", type=Path, help="file of the weights")
    parser.add_argument("--scenes", type=int, default=22400)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for index in range(math.ceil(options.scenes / SHARD)):
        render(options.folder, index)
    torch.manual_seed(SEED)
    net, count = (
        DepthPrior().to(memory_format=torch.channels_last).share_memory(),
        torch.zeros((), dtype=torch.int64),
    )
    torch.multiprocessing.spawn(work, (net, count.share_memory_(), options), nprocs=options.workers)


if __name__ == "__main__":
    main()
