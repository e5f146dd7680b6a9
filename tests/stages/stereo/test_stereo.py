"""What each view shows, against scenes with exact left and right views."""

from fractions import Fraction
from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F

from benchmarks.support import scenes
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import pull
from stereoreel.image.edge_snap import snap
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages import stereo
from stereoreel.stages.stereo import builtin, warp
from stereoreel.stages.stereo.parallax import ScreenPlane


@pytest.fixture(scope="module", autouse=True, params=["torch", "numba"])
def way(request):
    """Both warps; results must hold for either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEREOREEL_NUMBA", "1" if request.param == "numba" else "0")
        if request.param == "numba" and warp.compiled() is None:
            pytest.skip("numba is not installed; it is optional")
        yield request.param


def info(frames, **changes):
    count, height, width, channels = frames.shape
    return ClipInfo(width, height, Fraction(25), count, channels).replace(**changes)


def pair(frames, depth, chunk=None, **options):
    """Return the stage's complete output for a shot passed in ``chunk`` frames at a time."""
    stage = builtin.load(None, resolve(stereo.OPTIONS, options), Headless("cpu"))
    size = chunk or len(frames)
    made = list(stage(Shot(0, info(frames)), iter(frames.split(size)), iter(depth.split(size))))
    return {port: torch.cat([piece[port] for piece in made], -4) for port in made[0]}


def fixed(divergence, view="both", convergence=0.0, **options):
    return {
        "divergence": divergence,
        "view": view,
        "convergence": convergence,
        "convergence_mode": "fixed",
        **options,
    }


def random_pair(frames=3, height=20, width=57, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    depth = F.interpolate(
        torch.rand(frames, 1, 5, 7, generator=generator), (height, width), mode="nearest"
    ).movedim(1, -1)
    return torch.rand(frames, height, width, channels, generator=generator), (depth * 4).round() / 4


def near_steps(depth, reach=8):
    """Return the pixels within ``reach`` of a jump in depth."""
    jump = torch.zeros_like(depth)
    jump[:, 1:] = (depth[:, 1:] - depth[:, :-1]).abs() > 0.03
    jump[1:] = jump[1:].maximum(((depth[1:] - depth[:-1]).abs() > 0.03).float())
    return F.max_pool2d(jump[None, None], 2 * reach + 1, 1, reach)[0, 0] > 0


def backward_warp(image, disparity, sign):
    """Sample the frame through the source's own disparity, as most tools do."""
    height, width = disparity.shape
    x = (torch.arange(width) - sign * disparity) / (width - 1) * 2 - 1
    y = (torch.arange(height) / (height - 1) * 2 - 1)[:, None].expand_as(x)
    grid, planes = torch.stack([x, y], -1)[None], image.movedim(-1, 0)[None]
    sampled = F.grid_sample(planes, grid, padding_mode="border", align_corners=True)
    return sampled[0].movedim(0, -1)


@lru_cache
def views(seed, width, height):
    """Return the source view of a street, and for both views the exact image and the hidden pixels.

    The parallax is up to 3 % of the width.
    """
    scene = scenes.street(seed, width, height, divergence=3.0, convergence=0.0)
    return (
        scene,
        scene.render(),
        [
            (view, sign, scene.render(eye=sign), scene.holes(sign))
            for view, sign in (("left", 1.0), ("right", -1.0))
        ],
    )


@pytest.fixture(scope="module", params=[(1280, 720, 3), (1920, 1080, 1)], ids=["720p", "1080p"])
def scores(request, way):
    """Return means over scenes with parallax up to 3 % of the width.

    PSNR where visible, PSNR near edges, IoU of holes, PSNR of a backward warp.
    """
    width, height, scene_count = request.param
    rows = []
    for seed in range(1, scene_count + 1):
        scene, source, eyes = views(seed, width, height)
        for index, (view, sign, truth, hidden) in enumerate(eyes):
            made = pair(source.image[None], source.depth[None, ..., None], **fixed(3.0, view))
            picture, holes = made["clip"][index, 0], made[f"{view}_holes"][0, ..., 0] > 0.5
            naive = backward_warp(source.image, scene.disparity(source.depth), sign)
            edges = ~hidden & near_steps(truth.depth)
            rows.append(
                [
                    psnr(picture, truth.image, ~hidden),
                    psnr(picture, truth.image, edges),
                    ((holes & hidden).sum() / (holes | hidden).sum()).item(),
                    psnr(naive, truth.image, ~hidden),
                ]
            )
    return torch.tensor(rows).mean(0).tolist()


def test_visible_pixels_reach_42_db(scores):
    assert scores[0] >= 42


def test_object_edges_reach_32_db(scores):
    assert scores[1] >= 32


def test_hole_masks_mark_disocclusions(scores):
    assert scores[2] >= 0.95


def test_beats_backward_warping_by_12_db(scores):
    assert scores[0] - scores[3] >= 12


def test_smaller_depth_is_snapped_to_image_edges():
    _, source, eyes = views(1, 640, 360)
    small = F.interpolate(source.depth[None, None], (180, 320), mode="area")[0, 0][None, ..., None]
    seen = {}
    for edges in ("snap", "smooth"):
        pictures = [
            pair(source.image[None], small, **fixed(3.0, view), edges=edges)["clip"][index, 0]
            for index, (view, *_) in enumerate(eyes)
        ]
        seen[edges] = [
            psnr(picture, truth.image, ~hidden) for picture, (_, _, truth, hidden) in zip(pictures, eyes)
        ]
    assert min(snap - smooth for snap, smooth in zip(*seen.values())) > 3
    assert min(seen["snap"]) > 37


@pytest.mark.parametrize("softened", [False, True])
def test_snapping_at_source_size_improves_larger_views(softened):
    """As in orders with Depth before the upscaler; a model's depth is soft."""
    _, large, eyes = views(1, 1280, 720)
    source = F.interpolate(large.image.movedim(-1, 0)[None], (360, 640), mode="area")[0].movedim(0, -1)
    depth = F.interpolate(large.depth[None, None], (172, 306), mode="area")
    depth = F.avg_pool2d(F.pad(depth, (1, 1, 1, 1), mode="replicate"), 3, 1) if softened else depth
    ways = {
        "snap": snap(depth[0, 0], source),
        "smooth": F.interpolate(depth, (360, 640), mode="bilinear")[0, 0],
    }
    seen = {
        name: [
            psnr(
                pair(large.image[None], way[None, ..., None], **fixed(3.0, view))["clip"][index, 0],
                truth.image,
                ~hidden,
            )
            for index, (view, _, truth, hidden) in enumerate(eyes)
        ]
        for name, way in ways.items()
    }
    assert min(first - second for first, second in zip(*seen.values())) > 0.4


def test_each_view_moves_by_half_of_the_parallax():
    scene = scenes.street(5, 320, 180, divergence=6.0, convergence=0.4)
    source = scene.render()
    made = pair(source.image[None], source.depth[None, ..., None], **fixed(6.0, "both", 0.4))
    for index, sign in enumerate((0.5, -0.5)):
        visible = ~scene.holes(sign)
        assert psnr(made["clip"][index, 0], scene.render(eye=sign).image, visible) > 34


@pytest.mark.parametrize("options", [fixed(0.0), fixed(5.0, convergence=0.25), fixed(5.0, "left", 0.25)])
def test_zero_parallax_is_bit_identical(options):
    frames, depth = random_pair()
    depth = depth if options["divergence"] == 0 else torch.full_like(depth, 0.25)
    made = pair(frames, depth, **options)
    assert torch.equal(made["clip"], torch.stack([frames, frames]))
    assert made["left_holes"].sum() == made["right_holes"].sum() == 0


@pytest.mark.parametrize("shift", [1, 2, -2])
@pytest.mark.parametrize("view", ["left", "right"])
def test_flat_scene_shifts_by_integer_pixels(shift, view):
    frames, _ = random_pair(width=64)
    # 4 pixels from depth 0 to 1
    made = pair(frames, torch.full((3, 20, 64, 1), 0.5 + shift / 4), **fixed(6.25, view, 0.5, fill="stretch"))
    picture, holes = made["clip"][0 if view == "left" else 1], made[f"{view}_holes"]
    move = shift if view == "left" else -shift
    assert torch.equal(picture, frames[:, :, (torch.arange(64) - move).clamp(0, 63)])
    gone = slice(0, move) if move > 0 else slice(64 + move, 64)
    assert holes[:, :, gone].min() == 1 and holes.sum() == holes[:, :, gone].numel()


@pytest.mark.parametrize("options", [fixed(7.3), fixed(4.1, convergence=0.5), {"divergence": 7.3}])
def test_mirrored_scene_gives_mirrored_views(options):
    frames, depth = random_pair(width=101)
    made, mirrored = pair(frames, depth, **options), pair(frames.flip(2), depth.flip(2), **options)
    assert torch.equal(mirrored["clip"][1], made["clip"][0].flip(2))
    assert torch.equal(mirrored["right_holes"], made["left_holes"].flip(2))


@pytest.mark.parametrize("width", [1, 2, 3, 7])
@pytest.mark.parametrize("parallax", [4.0, 5.3, 9.5])
@pytest.mark.parametrize("background", [0.0, 0.3])
def test_thin_bars_keep_their_width(width, parallax, background):
    frames, depth = torch.zeros(1, 4, 100, 3), torch.full((1, 4, 100, 1), background)
    frames[:, :, 50 : 50 + width], depth[:, :, 50 : 50 + width] = 1, 1
    made = pair(frames, depth, **fixed(parallax))
    assert (made["clip"] > 0.5).all(-1).sum(-1).eq(width).all()


def test_holes_are_filled_from_the_background():
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    frames, depth = blue.expand(1, 8, 80, 3).clone(), torch.zeros(1, 8, 80, 1)
    frames[:, :, 30:50], depth[:, :, 30:50] = red, 1
    made = pair(frames, depth, **fixed(10.0))
    for eye, side in enumerate(("left", "right")):
        holes = made[f"{side}_holes"][..., 0] > 0
        assert holes.sum() == 8 * 4
        torch.testing.assert_close(made["clip"][eye][holes], blue.expand(32, 3), rtol=0, atol=1 / 512)


def test_slanted_surfaces_have_no_holes():
    width = 200
    frames, _ = random_pair(1, 6, width)
    depth = (torch.arange(width) / width).expand(1, 6, width)[..., None]
    for lean in (depth, depth.flip(2)):
        made = pair(frames, lean, **fixed(10.0, convergence=0.5))
        assert made["left_holes"][:, :, 10:-10].sum() == made["right_holes"][:, :, 10:-10].sum() == 0


@pytest.mark.parametrize("chunk", [1, 2, 7])
@pytest.mark.parametrize("size", [(24, 40), (18, 9001)])
def test_results_do_not_depend_on_chunks_and_are_repeatable(chunk, size):
    frames, depth = random_pair(7, *size)
    small = F.interpolate(depth.movedim(-1, 1), (12, 20)).movedim(1, -1)
    whole, cut = pair(frames, small), pair(frames, small, chunk)
    assert all(torch.equal(whole[port], cut[port]) for port in whole)


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 5), (3, 2)])
@pytest.mark.parametrize("view", ["both", "left", "right"])
def test_smallest_frames(size, view):
    frames, depth = random_pair(2, *size)
    made = pair(frames, depth, divergence=10.0, view=view)
    assert made["clip"].shape == (2, 2, *size, 3) and made["clip"].isfinite().all()
    if size[1] == 1:
        assert torch.equal(made["clip"], torch.stack([frames, frames]))


@pytest.mark.parametrize("change", ["three channels", "half size", "alpha", "half precision"])
def test_other_input_types_are_accepted(change):
    frames, depth = random_pair(2, 20, 60, 4 if change == "alpha" else 3)
    expected = pair(frames, depth, divergence=6.0)
    if change == "three channels":
        torch.testing.assert_close(
            pair(frames, depth.expand(-1, -1, -1, 3), divergence=6.0), expected, rtol=0, atol=0
        )
    elif change == "half size":
        assert pair(frames, depth[:, ::2, ::2], divergence=6.0)["clip"].shape == expected["clip"].shape
    elif change == "alpha":
        torch.testing.assert_close(
            pair(frames[..., :3], depth, divergence=6.0)["clip"], expected["clip"][..., :3], rtol=0, atol=0
        )
    else:
        made = pair(frames.half(), depth.half(), divergence=6.0)
        assert {made[port].dtype for port in made} == {torch.float16}
        torch.testing.assert_close(made["clip"].float(), expected["clip"], rtol=0, atol=1e-3)


def test_non_finite_depth_counts_as_far_or_near():
    frames, depth = random_pair(1)
    strange = depth.clone()
    strange[0, 2:5, 10:20], strange[0, 9:12, 10:20] = torch.nan, torch.inf
    plain = depth.clone()
    plain[0, 2:5, 10:20], plain[0, 9:12, 10:20] = 0, 1
    assert torch.equal(pair(frames, strange, **fixed(6.0))["clip"], pair(frames, plain, **fixed(6.0))["clip"])


def test_one_view_may_be_the_source_and_views_may_be_swapped():
    frames, depth = random_pair()
    for index, view in enumerate(("left", "right")):
        made, swapped = (
            pair(frames, depth, **fixed(8.0, view)),
            pair(frames, depth, **fixed(8.0, view, swap_eyes=True)),
        )
        assert torch.equal(made["clip"][1 - index], frames) and not torch.equal(made["clip"][index], frames)
        assert torch.equal(swapped["clip"], made["clip"].flip(0)) and torch.equal(
            swapped["left_holes"], made["right_holes"]
        )


def test_automatic_convergence_splits_the_parallax_and_moves_slowly():
    depth = torch.full((60, 30, 40, 1), 0.2)
    depth[:, :, 10:20] = 0.8
    depth[30:, :, 20:] = 1.0  # something near comes in at once
    planes = torch.stack([*map(ScreenPlane(25.0).follow, depth[..., 0])])
    assert planes[0].item() == pytest.approx(0.5) and planes[29].item() == pytest.approx(0.5)
    assert 0 < planes.diff().max() < 0.005 and planes[-1] > 0.53


def test_small_bright_spot_does_not_move_the_plane():
    depth = torch.full((10, 60, 80), 0.3)
    depth[:, 30:] = 0.6
    depth[4:6, 10:16, 10:16] = 1.0
    planes = torch.stack([*map(ScreenPlane(25.0).follow, depth)])
    assert planes.max() - planes.min() < 1e-6


def test_outputs_are_described_before_the_first_frame():
    clip = ClipInfo(64, 48, Fraction(25), 10, cuts=(4,), times=tuple(Fraction(i, 25) for i in range(10)))
    made = stereo.describe(resolve(stereo.OPTIONS, {}), clip, clip.replace(channels=1, width=32, height=24))
    assert made["clip"] == clip.replace(views=2)
    assert made["left_holes"] == made["right_holes"] == clip.replace(channels=1)


@pytest.mark.parametrize(
    ("frames", "depth", "words"),
    [
        ({"views": 2}, {}, "two views"),
        ({"channels": 1}, {}, "colour frames"),
        ({}, {"views": 2}, "single-view"),
    ],
)
def test_wrong_inputs_are_refused_with_a_remedy(frames, depth, words):
    clip = ClipInfo(64, 48, Fraction(25), 10)
    with pytest.raises(ValueError, match=words):
        stereo.describe(
            resolve(stereo.OPTIONS, {}), clip.replace(**frames), clip.replace(channels=1).replace(**depth)
        )


def test_colour_image_as_depth_is_refused(host, tensor_clip):
    frames = tensor_clip(frames=3)
    plan = Plan("stereo", {"model": "builtin"}, "Stereo")
    grey = tensor_clip(torch.rand(3, 32, 48, 1).expand(-1, -1, -1, 3))
    assert next(pull([apply(plan, frames, grey)["clip"]], host))
    with pytest.raises(ValueError, match="do not bypass"):
        next(pull([apply(plan, frames, tensor_clip(frames=3, seed=1))["clip"]], host))
