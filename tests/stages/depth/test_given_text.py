"""A mask says where text is: its strokes lie on one plane for each block, and nothing else changes."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, ClipInfo, Shot
from stereoreel.core.pull import frames, pull
from stereoreel.core.tensor_source import TensorSource
from stereoreel.stages.depth.given_text import GivenText
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID

WIDTH, HEIGHT, COUNT = 256, 144, 18
DEPTH = BY_ID["StereoReelDepth"]
LINES = ((20, 16), (60, 100))  # left and top of two blocks


def images():
    return torch.rand(COUNT, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))


def mask(scale: float = 1.0) -> torch.Tensor:
    """Return a mask ``[h, w]`` of two blocks of letters, drawn by Pillow, at another size too."""
    picture = Image.new("L", (WIDTH, HEIGHT))
    for place in LINES:
        ImageDraw.Draw(picture).text(place, "Read me", 255, font_size=14)
    picture = picture.point(lambda level: 255 * (level > 127))
    sized = picture.resize((round(WIDTH * scale), round(HEIGHT * scale)), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(sized) / np.float32(255))


def slope() -> torch.Tensor:
    """Return depth that rises to the right, and over time."""
    across = torch.linspace(0.1, 0.7, WIDTH).expand(COUNT, HEIGHT, WIDTH)
    return (across + 0.005 * torch.arange(COUNT)[:, None, None])[..., None]


def clip_of(tensor, cuts=(), bars=()):
    source = TensorSource(tensor, 25, cuts=False, label="Frames")
    source.info = source.info.replace(cuts=cuts, bars=bars)
    return Clip(source)


def depth_of(text=None, bars=(), **options):
    inputs = {"clip": clip_of(images(), bars=bars), "depth": clip_of(slope()), "text": text}
    return build.stage(DEPTH, inputs, {"edges": "smooth", **options}, "")["depth"]


@pytest.mark.parametrize("size", [1.0, 2.0, 0.5], ids=["same size", "twice", "half"])
@pytest.mark.parametrize("one", [True, False], ids=["one for all", "every frame"])
def test_each_block_lies_on_one_plane(size, one, host):
    text = mask(size)[None, ..., None]
    made = frames(depth_of(clip_of(text if one else text.repeat(COUNT, 1, 1, 1))), host)[..., 0]
    plain = frames(depth_of(burned_text="off"), host)[..., 0]
    strokes = mask() > 0.5
    levels = []
    for left, top in LINES:
        block = torch.zeros_like(strokes)
        block[top : top + 18, left : left + 70] = strokes[top : top + 18, left : left + 70]
        assert block.sum() > 60
        planes = made[:, block]
        assert ((planes - planes.median(1, keepdim=True).values).abs() * 0.02 * WIDTH <= 0.1).all()
        beneath = plain[:, block].amax(1)
        assert (planes[:, 0] >= beneath - 0.02).all() and (planes[:, 0] <= 0.9).all()
        levels.append(planes[:, 0])
    assert (levels[0] != levels[1]).any()
    far = torch.nn.functional.max_pool2d(strokes.float()[None, None], 25, 1, 12)[0, 0] == 0
    assert torch.equal(made[:, far], plain[:, far])


def test_chunks_and_shots_do_not_matter(host):
    text = mask()[None, ..., None].repeat(COUNT, 1, 1, 1)
    text[:5] = 0
    made = [
        torch.cat([chunk for (chunk,) in pull(depth_of(clip_of(text)), host, size)]) for size in (1, 7, COUNT)
    ]
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])
    assert not torch.equal(made[0], frames(depth_of(burned_text="off"), host))


def test_a_model_takes_a_mask_too_within_bars(host):
    bars = (Bars(0, 6, 6),)
    text = clip_of(mask(2.0)[None, ..., None])
    inputs = {"clip": clip_of(images(), bars=bars), "text": text}
    made = frames(build.stage(DEPTH, inputs, {"model": "builtin"}, "")["depth"], host)[..., 0]
    block = mask() > 0.5
    block[: LINES[1][1]] = False
    planes = made[:, block & (torch.arange(HEIGHT) < HEIGHT - 6)[:, None]]
    assert (planes - planes.median(1, keepdim=True).values).abs().max() * 0.02 * WIDTH <= 0.1


def test_a_block_that_moves_keeps_its_number_and_a_new_one_gets_another():
    given, seen = GivenText(), []
    for place in range(12):
        picture = np.zeros((90, 160), np.uint8)
        picture[20:28, 20 + 2 * place : 60 + 2 * place : 4] = 255
        picture[60:68, 30:80:4] = 255 if place >= 6 else 0
        seen.append(given.add(picture))
    assert {block.number for blocks in seen for block in blocks} == {1, 2}
    assert [len(blocks) for blocks in seen] == [1] * 6 + [2] * 6
    assert {block.first for block in seen[-1]} == {0, 6}


@pytest.mark.parametrize(("size", "options", "said"), [
    ((COUNT - 1, HEIGHT, WIDTH), {}, "text has 17 frames, but clip has 18"),
    ((1, 64, 64), {}, "text has 64x64 pixels, which is not the shape of the 256x144 frames"),
    ((1, HEIGHT, WIDTH), {"burned_text": "off"}, "text is connected, but burned_text is off"),
])  # fmt: skip
def test_a_mask_that_does_not_fit_is_refused_before_the_first_frame(size, options, said):
    with pytest.raises(ValueError, match=said):
        depth_of(clip_of(torch.zeros(*size, 1)), **options)
    with pytest.raises(ValueError, match=said):
        inputs = {"clip": clip_of(images()), "text": clip_of(torch.zeros(*size, 1))}
        build.stage(DEPTH, inputs, options, "")


def test_live_depth_does_not_wait_for_a_mask(host):
    recipe = depth_of(clip_of(mask()[None, ..., None])).maker.recipe
    info = ClipInfo(WIDTH, HEIGHT, Fraction(25), COUNT)
    shot = Shot(0, info, lambda: False)
    made = recipe.load(host)(
        shot, iter([images()]), iter([slope()]), iter([mask().expand(COUNT, -1, -1)[..., None]])
    )
    assert len(next(made)) == COUNT
