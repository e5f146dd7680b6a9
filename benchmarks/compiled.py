"""Measure what lies between decoder and encoder, with numba's compiled loops and without them.

    python benchmarks/compiled.py [--json]

Each row is the CPU time of one frame on one thread, the least of nine, both ways interleaved, and how far the
results are apart (PSNR). Planes are those of 8-bit 4:2:0 for an encoder, from two views side by side.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stereoreel.image.resize import resize
from stereoreel.media.colour import BT709
from stereoreel.media.write.picture import Pictures

ROUNDS = 9
SWITCH = "STEREOREEL_NUMBA"


def scene(height: int, width: int) -> torch.Tensor:
    """Return a smooth picture with noise, ``[H, W, 3]`` in 0..1."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, height // 16, width // 16, 3, generator=random)
    noise = torch.rand(height, width, 3, generator=random)
    return (resize(coarse, height, width, "bilinear")[0] * 0.9 + noise * 0.1).clamp_(0, 1)


def enlarged(height: int, width: int) -> Callable[[], np.ndarray]:
    frames = scene(height, width)[None]
    return lambda: resize(frames, 2 * height, 2 * width).numpy()


def planes(height: int, width: int) -> Callable[[], av.VideoFrame]:
    views = [view.contiguous() for view in scene(height, width).chunk(2, 1)]
    writer = Pictures((width, height), BT709, "yuv420p")
    return lambda: writer.frame(writer.quantize(*views), 0, Fraction(1, 25))


ROWS = {
    "1280x720 enlarged x2": enlarged(720, 1280),
    "640x272 enlarged x2": enlarged(272, 640),
    "2560x1440 to planes": planes(1440, 2560),
    "2560x544 to planes": planes(544, 2560),
}


def measure(work: Callable[[], np.ndarray | av.VideoFrame]) -> dict[str, float]:
    spent, results = {"0": math.inf, "1": math.inf}, {}
    for number in range(ROUNDS + 1):  # the first one loads
        for numba in spent:
            os.environ[SWITCH] = numba
            begun = time.process_time()
            results[numba] = work()
            if number:
                spent[numba] = min(spent[numba], time.process_time() - begun)
    one, other = (
        made.to_ndarray() / 255 if isinstance(made, av.VideoFrame) else made for made in results.values()
    )
    error = float(np.square(one.astype(np.float64) - other).mean())
    apart = math.inf if error == 0 else -10 * math.log10(error)
    return {"with_ms": 1e3 * spent["1"], "without_ms": 1e3 * spent["0"], "psnr_db": apart}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: measure(work) for name, work in ROWS.items()}
    for name, row in found.items():
        print(
            f"{name:24}{row['with_ms']:7.1f} ms, without {row['without_ms']:6.1f} ms, {row['psnr_db']:.1f} dB"
        )
    if options.json:
        ratio = {name: row["without_ms"] / row["with_ms"] for name, row in found.items()}
        print(json.dumps({**found, "ratio": ratio}))


if __name__ == "__main__":
    main()
