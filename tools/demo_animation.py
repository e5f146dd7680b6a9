"""Render the moving picture of the README: the default workflow's result on the sample, both views in turn.

    python tools/demo_animation.py         writes docs/demo.webp (640 pixels wide, about two minutes)

The clip goes on while the view alternates, so that motion shows the interpolation and the change of the view
shows the depth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image

from stereoreel.core.pull import pull
from stereoreel.image.page import to_image
from stereoreel.models.headless import Headless
from stereoreel.sample import FILE
from stereoreel.workflow import graph as workflow

WIDTH, FRAMES = 640, 64  # a multiple of two turns, so that the picture repeats without a jerk of the view
STEP = 2  # of the result's 50 frames a second
TURN = 4  # shown frames per view
QUALITY = 50


def pictures() -> Iterator[Image.Image]:
    """Yield the frames to show: every ``STEP``-th of the result, from the left and the right eye in turn."""
    clip = (
        workflow.Assembly(workflow.read(ROOT / "workflows/api/default.json"), lambda name: FILE).sinks[0].clip
    )
    height = round(clip.info.height * WIDTH / clip.info.width)
    with closing(pull(clip, Headless("cpu"))) as chunks:
        pairs = (pair for (chunk,) in chunks for pair in chunk.unbind(1))
        for number, pair in enumerate(islice(pairs, 0, FRAMES * STEP, STEP)):
            view = pair[number // TURN % 2]
            yield to_image(view).resize((WIDTH, height), Image.Resampling.LANCZOS)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    first, *others = pictures()
    place = ROOT / "docs/demo.webp"
    first.save(place, save_all=True, append_images=others, duration=40, loop=0, quality=QUALITY, method=6)
    print(f"{place} ({place.stat().st_size // 1024} KiB)")


if __name__ == "__main__":
    main()
