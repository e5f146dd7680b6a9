"""Stereo against a photograph: the right view of a Middlebury pair from its left view and disparity."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.resize import resize
from stereoreel.models.headless import Headless
from stereoreel.stages import stereo
from stereoreel.stages.stereo import builtin
from tests.support.trained_weights import PHOTOGRAPHS, unpacked

NEAREST = 60.0  # pixels of disparity at depth 1


class Photographs:
    """Both views ``[H, W, 3]``, and the left one's depth, unknown pixels as far as their row's neighbours."""

    def __init__(self, left, right, disparity):
        self.left, self.right = (torch.from_numpy(np.array(Image.open(path))) / 255 for path in (left, right))
        measured = np.load(disparity)["arr_0"].astype(np.float32)
        self.known = np.isfinite(measured)
        self.depth = torch.from_numpy(np.stack([filled(row) for row in measured])) / NEAREST

    def render(self, depth=None, image=None, **options):
        """Return the right view and its holes."""
        height, width = self.left.shape[:2]
        given = {"divergence": NEAREST / width * 100, "convergence_mode": "fixed", "convergence": 0.0}
        stage = builtin.load(
            None, resolve(stereo.OPTIONS, given | {"view": "right"} | options), Headless("cpu")
        )
        made = next(
            stage(
                Shot(0, ClipInfo(width, height, Fraction(25), 1)),
                iter([(self.left if image is None else image)[None]]),
                iter([(self.depth if depth is None else depth)[None, ..., None]]),
            )
        )
        return made["clip"][1, 0], made["right_holes"][0, ..., 0] > 0

    def smaller(self, factor):
        height, width = self.depth.shape
        return resize(self.depth[None, ..., None], height // factor, width // factor, "area")[0, ..., 0]

    def seen(self):
        """Return a mask of what the left view shows where its disparity was measured."""
        known, holes = self.render(image=torch.from_numpy(self.known).float()[..., None].repeat(1, 1, 3))
        return ~holes & (known[..., 0] > 0.5)


def filled(row):
    """Return a row of disparities in which each unknown one is the smaller of its known neighbours."""
    places = np.arange(len(row))
    known = np.isfinite(row)
    before = np.maximum.accumulate(np.where(known, places, -1))
    after = np.minimum.accumulate(np.where(known, places, len(row))[::-1])[::-1]
    ends = np.append(row, np.inf)[[before, after]]
    return np.where(known, row, ends.min(0))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, session_folder):
    folder = tmp_path_factory.mktemp("photographs")
    names = ("motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz")
    return Photographs(*(unpacked(PHOTOGRAPHS, name, folder, session_folder) for name in names))


def psnr(first, second, where):
    return float(-10 * torch.log10((first - second)[where].square().mean()))


def test_visible_pixels(photographs):
    made, _ = photographs.render()
    assert psnr(made, photographs.right, photographs.seen()) > 28.2


def test_holes_are_filled_without_streaks_and_nearer_to_the_photograph(photographs):
    scores, rough = {}, {}
    for fill in ("stretch", "blend", "background", "photograph"):
        made, holes = photographs.render(fill="stretch" if fill == "photograph" else fill)
        made = photographs.right if fill == "photograph" else made
        holes[:, -62:] = False  # beyond the left photograph's border
        scores[fill] = psnr(made, photographs.right, holes)
        rough[fill] = made.diff(dim=0)[holes[1:] & holes[:-1]].abs().mean()
    assert scores["background"] > 17 > scores["blend"] + 1 > scores["stretch"] + 1
    assert rough["background"] < rough["photograph"] < 0.5 * rough["stretch"]


@pytest.mark.parametrize(("factor", "least"), [(2, 27.0), (4, 24.8)])
def test_smaller_depth_is_aligned_with_the_photograph(photographs, factor, least):
    small, seen = photographs.smaller(factor), photographs.seen()
    snapped, smooth = (
        psnr(photographs.render(small, edges=edges)[0], photographs.right, seen)
        for edges in ("snap", "smooth")
    )
    assert snapped > least and snapped > smooth + 1.5
