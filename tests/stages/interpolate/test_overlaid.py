"""Text that stands or scrolls stays whole, whatever a model makes of the frames around it."""

from fractions import Fraction

import pytest
import torch

from benchmarks.support import text_scenes
from benchmarks.support.scenes import Camera, street
from benchmarks.support.text_scenes import Overlay, laid, lettered, subtitle
from stereoreel.core.clip import Shot
from stereoreel.core.options import resolve
from stereoreel.nets import film_interpolation
from stereoreel.stages.interpolate import OPTIONS
from stereoreel.stages.interpolate.film import FilmNetwork
from stereoreel.stages.interpolate.networks import NetworkInterpolator
from stereoreel.stages.interpolate.overlaid import Overlaid
from stereoreel.stages.interpolate.pairs import Moment, OutputFrame
from stereoreel.stages.interpolate.rife import RifeNetwork
from stereoreel.stages.interpolate.stage import InterpolationStage
from tests.support.rife_nets import network

WIDTH, HEIGHT, SPEED = 480, 270, -3.3
CAMERA = Camera(truck=(9.0, 0.0))
HALF = resolve(OPTIONS, {"precision": "fp32"})
pytestmark = pytest.mark.skipif(text_scenes.font_file() is None, reason="DejaVu Sans is not installed")


def rife():
    return RifeNetwork(network("4.25"), HALF, torch.float32)


def film():
    torch.manual_seed(0)
    return FilmNetwork(film_interpolation.FILM(8, (8, 8, 8, 8)).eval(), torch.float32)


def news() -> Overlay:
    line = ("Breaking: the low tide came in at noon and the harbour is closed",)
    return Overlay(*lettered(line, 16.0, outline=1.0), (20.3, 229.5), (SPEED, 0.0))


def three(overlay: Overlay) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a frame, the one in the middle, and the next; and where the text is opaque in the middle."""
    frames, opacity = laid(street(1, WIDTH, HEIGHT, camera=CAMERA).clip(3, 0.5)[0], [overlay], 2.0, 0.5)
    return frames, opacity[1] > 0.95


def between(interpolator, frames, depth=None):
    moments = [
        Moment(number, frames[[index]], None if depth is None else depth[[index]])
        for number, index in enumerate((0, 2))
    ]
    with torch.inference_mode():
        return interpolator.interpolate([OutputFrame(*moments, Fraction(1, 2))])[0]


def psnr(made, truth) -> float:
    return float(-10 * torch.log10((made - truth).square().mean()))


@pytest.mark.parametrize("overlay", [lambda: subtitle(WIDTH, HEIGHT), news], ids=["subtitle", "news"])
@pytest.mark.parametrize("model", [rife, film])
def test_text_is_whole_in_a_frame_of_any_network(model, overlay):
    frames, opaque = three(overlay())
    alone = NetworkInterpolator(model(), torch.device("cpu"), HALF)
    plain, whole = (between(one, frames).chunks["clip"][0] for one in (alone, Overlaid(alone)))
    assert psnr(whole[opaque], frames[1][opaque]) >= psnr(plain[opaque], frames[1][opaque]) + 5
    assert psnr(whole, frames[1]) > psnr(plain, frames[1])


def test_depth_and_both_views_keep_the_plane_of_their_text():
    frames, opaque = three(subtitle(WIDTH, HEIGHT))
    pair = torch.stack([frames, frames.flip(-2)])
    depth = torch.where(opaque[None], 0.9, 0.2).expand(3, -1, -1)[..., None]
    moments = [Moment(number, pair[:, [index]], depth[[index]]) for number, index in enumerate((0, 2))]
    alone = NetworkInterpolator(rife(), torch.device("cpu"), HALF)
    with torch.inference_mode():
        plain, whole = (
            one.interpolate([OutputFrame(*moments, Fraction(1, 2))])[0] for one in (alone, Overlaid(alone))
        )
    apart, before = (
        float((made.chunks["depth"][0, ..., 0][opaque] - 0.9).abs().mean()) for made in (whole, plain)
    )
    assert apart < before / 3
    for view, (truth, shown) in enumerate(((frames[1], opaque), (frames[1].flip(-2), opaque.flip(-1)))):
        after, before = (psnr(made.chunks["clip"][view, 0][shown], truth[shown]) for made in (whole, plain))
        assert after > before + 5
    assert whole.trust[0, 0, ..., 0][opaque].mean() > plain.trust[0, 0, ..., 0][opaque].mean()


def test_frames_without_text_are_the_networks_own():
    frames = street(1, WIDTH, HEIGHT, camera=Camera(truck=(3.0, 0.0))).clip(3, 0.5)[0]
    alone = NetworkInterpolator(rife(), torch.device("cpu"), HALF)
    assert torch.equal(*(between(one, frames).chunks["clip"] for one in (alone, Overlaid(alone))))


def test_chunks_do_not_matter_and_source_frames_pass_through(tensor_clip):
    frames = laid(street(1, 320, 180, camera=CAMERA).clip(5)[0], [subtitle(320, 180)])[0]
    options = resolve(OPTIONS, {"precision": "fp32", "multiplier": 3, "batch": 1})
    stage = InterpolationStage(Overlaid(NetworkInterpolator(rife(), torch.device("cpu"), options)), options)
    with torch.inference_mode():
        one, other = (
            torch.cat(
                [out["clip"] for out in stage(Shot(0, tensor_clip(frames).info), iter(frames.split(size)))]
            )
            for size in (1, 5)
        )
    assert torch.equal(one, other) and torch.equal(one[::3], frames)
