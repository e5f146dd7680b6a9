"""Depth of a textured picture by the published inference of Depth Anything 2, and by our stage."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.stages.depth import OPTIONS
from stereoreel.stages.depth.stage import DepthStage

CPU = torch.device("cpu")
ASPECTS = [(9, 21), (9, 16), (3, 4), (1, 1), (4, 3), (16, 9), (2, 1), (12, 5), (21, 9)]
SIDES = (384, 392, 518, 700, 1036)


def textured(height, width, seed=0):
    """Return a picture ``[H, W, 3]`` of 8 bits with fine and coarse detail."""
    noise = np.random.default_rng(seed)
    picture = sum(
        cv2.resize(
            noise.random((max(2, height // step), max(2, width // step), 3)),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        for step in (1, 3, 12, 60)
    )
    return (picture * 255 / 4).astype(np.uint8)


def dpt_size(height, width, side):
    """Return the size of MiDaS's ``Resize``: aspect ratio kept, a lower bound, multiples of 14."""
    scale = max(side / height, side / width)

    def multiple(edge):
        rounded = (np.round(edge / 14) * 14).astype(int)
        return int(rounded if rounded >= side else (np.ceil(edge / 14) * 14).astype(int))

    return multiple(scale * height), multiple(scale * width)


def infer_image(net, picture, side):
    """Run Depth Anything V2's ``infer_image``: OpenCV's cubic filter in, corners in place out."""
    height, width = picture.shape[:2]
    rows, columns = dpt_size(height, width, side)
    resized = cv2.resize(picture / 255.0, (columns, rows), interpolation=cv2.INTER_CUBIC)
    depth = net(torch.from_numpy(resized).float().permute(2, 0, 1)[None])
    return F.interpolate(depth, (height, width), mode="bilinear", align_corners=True)[0, 0]


def made(network, picture):
    """Return the stage's depth ``[H, W]`` of one frame."""
    frames = torch.from_numpy(picture)[None].float() / 255
    info = ClipInfo(picture.shape[1], picture.shape[0], 25, 1)
    stage = DepthStage(network, network.options, CPU)
    return torch.cat(list(stage(Shot(0, info), [frames])))[0, ..., 0]


def options(side, **given):
    return resolve(OPTIONS, {"resolution": side, "edges": "smooth", "precision": "fp32", **given})


def away(depth, published):
    """Return the mean difference of ``[H, W]`` after the best scale and shift, in parts of the range.

    What the stage clips to its range, 4 % of the samples, is left out, with the pixels that it is mixed into.
    """
    clipped = ((depth <= 0) | (depth >= 1)).float()[None, None]
    kept = F.max_pool2d(clipped, 5, 1, 2)[0, 0] == 0
    x, y = published[kept].double(), depth[kept].double()
    slope = ((x - x.mean()) * (y - y.mean())).mean() / x.var(correction=0)
    return (slope * (x - x.mean()) + y.mean() - y).abs().mean().item()
