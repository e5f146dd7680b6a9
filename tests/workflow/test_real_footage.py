"""Every bundled order on real footage: size, rate, count, duration and sound, read back from the file."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from stereoreel.cli.main import main
from stereoreel.media.read.probe import probe
from stereoreel.workflow import orders

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
SIDE = 192  # pixels, so that all orders run on all frames in a minute or two


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


@pytest.mark.parametrize("order", orders.BUNDLED)
@pytest.mark.parametrize(
    ("name", "size", "fps", "count"),
    [
        ("bigbuckbunny.mp4", (192, 108), Fraction(25), 132),
        ("carphone_pristine.mp4", (192, 144), Fraction(30000, 1001), 120),
    ],
)
def test_every_order_on_a_real_clip(order, name, size, fps, count, real_clip, tmp_path):
    source, target = real_clip(name), tmp_path / "out.mp4"
    arguments = [
        "--input",
        str(source),
        "--output",
        str(target),
        "--set",
        f"extract.max_side={SIDE}",
        "--set",
        "encode.speed=fast",
    ]
    assert main(["run", str(API / f"{order}.json"), *arguments]) == 0
    facts = probe(target)
    assert (facts.width, facts.height, facts.fps, facts.frames) == (
        4 * size[0],
        2 * size[1],
        2 * fps,
        2 * count,
    )
    assert abs(facts.duration - count / fps) <= 1 / fps
    if name == "bigbuckbunny.mp4":
        copied, original = sound(target), sound(source)
        # the last one begins after the picture ends
        assert copied == original[: len(copied)] and len(original) - len(copied) <= 1
