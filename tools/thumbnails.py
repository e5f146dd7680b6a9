"""Render the thumbnails of the template browser from the results of the bundled workflows on the sample.

    python tools/thumbnails.py                  write workflows/*.jpg
    python tools/thumbnails.py start look       only these

A thumbnail is square and shows frames that its workflow computes, and the order of the stages where that is
the point. ComfyUI's own nodes are left out, since the terminal has none of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image, ImageDraw, ImageEnhance, ImageFont
from torch import Tensor

from stereoreel.core.clip import Clip, apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.pull import pull
from stereoreel.image.page import to_image
from stereoreel.media.layouts.layout import pack
from stereoreel.models.headless import Headless
from stereoreel.sample import FILE
from stereoreel.stages.depth.views import Colors
from stereoreel.workflow import graph as workflow
from stereoreel.workflow.layout import COLORS, part
from stereoreel.workflow.node_specs import BY_ID
from stereoreel.workflow.orders import BUNDLED, BY_KIND
from stereoreel.workflow.templates import TITLES

WORKFLOWS = ROOT / "workflows"
SIDE, GAP, QUALITY = 512, 6, 84
SMALL = "extract.max_side=320"  # for tiles
BEACH, SQUARE = 0.9, 0.3  # moments of the sample's two shots, as shares of its length
CHIPS = {
    "vsr": "upscale",
    "upscale": "upscale",
    "interpolate": "frames",
    "depth": "depth",
    "stereo": "stereo",
}
UPSCALERS = {kind: BY_KIND[kind].name.removesuffix(" Upscale") for kind in ("vsr", "upscale")}
INK, SHADE = (244, 244, 240), (18, 19, 22)


def graph_of(name: str) -> workflow.Graph:
    """Return a bundled workflow without ComfyUI's own nodes: their inputs come from what is above them."""
    graph = workflow.read(WORKFLOWS / "api" / f"{name}.json")
    ours = {node_id: node for node_id, node in graph.items() if node["class_type"] in BY_ID}
    if "1" not in ours:  # the source is an image that ComfyUI ships
        ours = {"1": {"class_type": "StereoReelExtract", "inputs": {"video": "sample"}}, **ours}
    for node in ours.values():
        inputs = {key: _above(graph, ours, value) for key, value in node["inputs"].items()}
        node["inputs"] = {key: value for key, value in inputs.items() if value is not None}
    if not any(BY_ID[node["class_type"]].output_node for node in ours.values()):
        ours["end"] = {"class_type": "StereoReelEncode", "inputs": {"clip": [list(ours)[-1], 0]}}
    return ours


def _above(graph: workflow.Graph, ours: workflow.Graph, value):
    """Return the link of an input to one of our nodes; None if it has none, or comes as audio or a rate."""
    if not isinstance(value, list) or value[0] in ours:
        return value
    links = [one for one in graph[value[0]]["inputs"].values() if isinstance(one, list)]
    found = (_above(graph, ours, link) for link in links if value[1] == 0)
    return next((link for link in found if link), None)


def frames_at(clip: Clip, moments: Iterable[float]) -> list[Tensor]:
    """Return frames ``[H, W, C]``, or pairs of them, at shares of a clip's length."""
    numbers = [round(moment * (clip.info.frames - 1)) for moment in moments]
    found, order = {}, sorted(set(numbers))
    with closing(pull(select_frames([clip], order), Headless("cpu"), chunk_frames=1)) as chunks:
        for number, (chunk,) in zip(order, chunks):
            found[number] = chunk.select(-4, 0).clone()
    return [found[number] for number in numbers]


class Result:
    """What a workflow computes of the sample; options are set like ``--set`` in the terminal."""

    def __init__(self, name: str, *options: str):
        graph = workflow.override(graph_of(name), list(options))
        depths = [key for key, node in graph.items() if node["class_type"] == BY_KIND["depth"].id]
        for node in graph.values():
            if node["class_type"] == BY_KIND["encode"].id and depths:
                node["inputs"]["depth"] = [depths[-1], 0]
        assembly = workflow.Assembly(graph, lambda video: FILE)
        self.job = (assembly.sinks or assembly.looks)[0]

    def frames(self, *moments: float) -> list[Tensor]:
        """Return frames ``[H, W, C]``, or pairs of them, at shares of the length."""
        return frames_at(self.job.clip, moments)

    def depths(self, *moments: float) -> list[Image.Image]:
        """Return the depth in colours."""
        assert self.job.depth
        colors = apply(Colors(label="thumbnail"), self.job.depth)["clip"]
        return [to_image(frame) for frame in frames_at(colors, moments)]

    def sheet(self) -> Image.Image:
        """Return the image of a report."""
        return self.job.node.report(self.job.clip, self.job.settings, Headless("cpu"), self.job.name).image


def anaglyph(pair: Tensor) -> Image.Image:
    return to_image(pack(pair[:, None], "anaglyph")[0])


def eyes(pair: Tensor) -> list[Image.Image]:
    return [to_image(view) for view in pair]


def crop(image: Image.Image, width: int = SIDE, height: int = SIDE, x: float = 0.5) -> Image.Image:
    """Fill a size with an image, cut where it is too wide; ``x`` is the share of the cut at the left."""
    scale = max(width / image.width, height / image.height)
    large = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = round((large.width - width) * x), (large.height - height) // 2
    return large.crop((left, top, left + width, top + height))


def split(first: Image.Image, second: Image.Image, slant: int = 0) -> Image.Image:
    """Return the first image at the left and the second at the right of a white line that leans."""
    mask = Image.new("L", (SIDE, SIDE))
    edge = [(SIDE // 2 + slant, 0), (SIDE // 2 - slant, SIDE)]
    ImageDraw.Draw(mask).polygon([*edge, (0, SIDE), (0, 0)], fill=255)
    whole = Image.composite(first, second, mask)
    ImageDraw.Draw(whole).line(edge, fill=INK, width=GAP)
    return whole


def grid(images: list[Image.Image], columns: int) -> Image.Image:
    """Return images as tiles with gaps."""
    rows = -(-len(images) // columns)
    width, height = (SIDE - (columns - 1) * GAP) // columns, (SIDE - (rows - 1) * GAP) // rows
    whole = Image.new("RGB", (SIDE, SIDE), SHADE)
    for number, image in enumerate(images):
        place = (number % columns * (width + GAP), number // columns * (height + GAP))
        whole.paste(crop(image, width, height), place)
    return whole


def cards(images: list[Image.Image]) -> Image.Image:
    """Return images as a stack of cards, the last on top."""
    side, whole = 360, Image.new("RGB", (SIDE, SIDE), SHADE)
    step = (SIDE - side - 2 * GAP) // (len(images) - 1)
    for number, image in enumerate(images):
        place = GAP + number * step
        light = 0.72 ** (len(images) - 1 - number)
        shade = ImageEnhance.Brightness(image).enhance(light)
        whole.paste(Image.new("RGB", (side + 4, side + 4), INK), (place - 2, place - 2))
        whole.paste(crop(shade, side, side), (place, place))
    return whole


def inset(whole: Image.Image, small: Image.Image) -> Image.Image:
    """Return an image with a small one, its pixels seen, in the lower left corner."""
    side = SIDE * 2 // 5
    tiny = small.resize((side // 5, side // 5), Image.Resampling.BOX).resize(
        (side, side), Image.Resampling.NEAREST
    )
    framed = Image.new("RGB", (side + 2 * GAP, side + 2 * GAP), INK)
    framed.paste(tiny, (GAP, GAP))
    whole.paste(framed, (2 * GAP, SIDE - framed.height - 2 * GAP))
    return whole


def chips(image: Image.Image, name: str) -> Image.Image:
    """Draw the order of the stages of a bundled order along the lower edge."""
    return labelled(image, [kind for kind in BUNDLED[name][0] if kind in CHIPS])


def labelled(image: Image.Image, kinds: list[str], texts: Mapping[str, str] = CHIPS) -> Image.Image:
    """Draw kinds of stages along the lower edge, in the colours of their groups on the canvas."""
    bar = Image.new("RGB", (SIDE, 62), SHADE)
    image.paste(Image.blend(image.crop((0, SIDE - 62, SIDE, SIDE)), bar, 0.8), (0, SIDE - 62))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(21)
    width = (SIDE - GAP * (len(kinds) + 3)) // len(kinds)
    for number, kind in enumerate(kinds):
        left = 2 * GAP + number * (width + GAP)
        box = (left, SIDE - 50, left + width, SIDE - 12)
        draw.rounded_rectangle(box, 10, fill=COLORS[part(BY_KIND[kind].id)])
        draw.text((left + width / 2, SIDE - 31), texts[kind], SHADE, font, anchor="mm")
    return image


def _start(name: str) -> Image.Image:
    result = Result(name, "extract.duration=0")
    [pair] = result.frames(SQUARE)
    return split(crop(eyes(pair)[0], x=0.8), crop(anaglyph(pair), x=0.8), slant=90)


def _default(name: str) -> Image.Image:
    [pair] = Result(name).frames(BEACH)
    return chips(crop(anaglyph(pair), x=0.6), name)


def _clean(name: str) -> Image.Image:
    [pair] = Result(name).frames(0.7)
    return chips(grid([crop(eye, SIDE, SIDE // 2, 0.5) for eye in eyes(pair)], 1), name)


def _last(name: str) -> Image.Image:
    [pair] = Result(name).frames(0.15)
    return chips(grid([crop(eye, SIDE // 2, SIDE, 0.75) for eye in eyes(pair)], 2), name)


def _depth_first(name: str) -> Image.Image:
    result = Result(name)
    [pair], [depth] = result.frames(0.96), result.depths(0.96)
    return chips(split(crop(depth, x=0.6), crop(anaglyph(pair), x=0.6)), name)


def _depth_from_source(name: str) -> Image.Image:
    result = Result(name)
    [pair], [depth] = result.frames(0.42), result.depths(0.42)
    return chips(split(crop(eyes(pair)[0], x=0.7), crop(depth, x=0.7), slant=120), name)


def _batch(name: str) -> Image.Image:
    moments = [0.05, 0.2, 0.35, 0.55, 0.65, 0.75, 0.82, 0.9, 0.98]
    return grid([anaglyph(pair) for pair in Result(name, SMALL).frames(*moments)], 3)


def _look(name: str) -> Image.Image:
    result = Result(name)
    [pair], [depth] = result.frames(BEACH), result.depths(BEACH)
    return grid([crop(one, x=0.6) for one in (*eyes(pair), depth, anaglyph(pair))], 2)


def _keep(name: str) -> Image.Image:
    strips = []
    for divergence in (1, 5):
        result = Result(name, f"stereo.divergence={divergence}", "encode.resume=off")
        [pair] = result.frames(0.25)
        strips.append(crop(anaglyph(pair), SIDE, SIDE // 3, 0.5))
    [depth] = result.depths(0.25)
    return grid([strips[0], crop(depth, SIDE, SIDE // 3), strips[1]], 1)


def _repack(name: str) -> Image.Image:
    """A pair of the sample, in a packing from above and one from below."""
    [pair] = Result("start", "extract.duration=0").frames(0.7)
    squeezed = to_image(pack(pair[:, None], "half_sbs")[0])
    return grid([squeezed.resize((SIDE, SIDE // 2)), crop(anaglyph(pair), SIDE, SIDE // 2)], 1)


def _spatial(name: str) -> Image.Image:
    """The layers of one frame: the right view behind the left one."""
    [pair] = Result(name, "stereo.divergence=5").frames(0.6)
    left, right = eyes(pair)
    return cards([crop(right, x=0.7), crop(left, x=0.7)])


def _compare(name: str) -> Image.Image:
    [frame] = Result(name, "extract.duration=0", "compare.sweep=0", "extract.max_side=320").frames(0.6)
    return labelled(crop(to_image(frame)), list(UPSCALERS), UPSCALERS)


def _by_shot(name: str) -> Image.Image:
    """Two shots, each above the upscaler that it could have."""
    frames = Result(name, SMALL).frames(SQUARE, BEACH)
    tiles = [crop(to_image(frame), SIDE // 2, SIDE, x=x) for frame, x in zip(frames, (0.6, 0.5))]
    return labelled(grid(tiles, 2), list(UPSCALERS), UPSCALERS)


def _live(name: str) -> Image.Image:
    result = Result(name, "vsr.live=")
    return cards([crop(to_image(frame), x=0.5) for frame in result.frames(0.6, 0.75, 0.85, 0.98)])


def _core(name: str) -> Image.Image:
    [pair] = Result(name).frames(0.8)
    view = crop(eyes(pair)[0], x=0.45)
    return inset(view, view)


def _holes(name: str) -> Image.Image:
    """The right view, and what the source never shows of it."""
    graph = graph_of(name)
    stereo = next(key for key, node in graph.items() if node["class_type"] == BY_KIND["stereo"].id)
    graph[stereo]["inputs"] |= {"fill": "stretch", "divergence": 6.0}
    encode, shown = BY_KIND["encode"].id, []
    graph = {key: node for key, node in graph.items() if node["class_type"] != encode}
    for slot in (2, 4):
        end = {"class_type": encode, "inputs": {"clip": [stereo, slot]}}
        clip = workflow.Assembly({**graph, "end": end}, lambda video: FILE).sinks[0].clip
        shown.append(to_image(frames_at(clip, [0.5])[0]))
    right, holes = shown[0], shown[1].convert("L")
    return crop(Image.composite(Image.new("RGB", right.size, (255, 64, 160)), right, holes), x=0.45)


def _folder(name: str) -> Image.Image:
    """Several films as a stack, the last in 3D."""
    result = Result(name)
    moments = (0.1, SQUARE, BEACH)
    pairs = result.frames(*moments)
    return cards([*(crop(eyes(pair)[0], x=0.7) for pair in pairs[:-1]), crop(anaglyph(pairs[-1]), x=0.7)])


def _sheet(*options: str) -> Callable[[str], Image.Image]:
    """Return a function that shows the upper part of a report's image."""

    def made(name: str) -> Image.Image:
        sheet = Result(name, *options).sheet().convert("RGB")
        side = min(sheet.size)
        return crop(sheet.crop((0, 0, side, side)))

    return made


MADE: dict[str, Callable[[str], Image.Image]] = {
    "start": _start,
    "default": _default,
    "clean_source": _clean,
    "upscale_last": _last,
    "depth_first": _depth_first,
    "depth_from_source": _depth_from_source,
    "image_batch": _batch,
    "look": _look,
    "comfort": _sheet("comfort.samples=4", SMALL),
    "keep_depth": _keep,
    "repack": _repack,
    "apple_spatial": _spatial,
    "advise": _sheet("advise.calibration=0", "advise.samples=4"),
    "order_lab": _sheet("orders.orders=default; upscale last", "orders.shots=1", "orders.frames=3", SMALL),
    "compare_upscalers": _compare,
    "by_shot": _by_shot,
    "live_upscale": _live,
    "core_upscaler": _core,
    "folder": _folder,
    "inpaint_holes": _holes,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as start; default: all")
    for name in parser.parse_args().names or TITLES:
        path = WORKFLOWS / f"{TITLES[name]}.jpg"
        MADE[name](name).save(path, quality=QUALITY, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
