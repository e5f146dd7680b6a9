"""Comfort of a complete clip: from Stereo's own graph, or by matching for any other pair."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.support import scenes
from stereoreel.cli.main import main
from stereoreel.core.clip import apply
from stereoreel.core.options import resolve
from stereoreel.core.transforms import Split, Trim
from stereoreel.image.flow import grayscale
from stereoreel.image.page import ACCENT
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.stereo.matching import matched
from stereoreel.stages.stereo.overlay import BEHIND, BORDER, FAINT, FRONT, STRONG
from stereoreel.viewing import comfort
from stereoreel.workflow.graph import Assembly
from stereoreel.workflow.orders import api
from tests.support.media_files import write_video


def measured(clip, host, **options):
    return comfort.report(clip, resolve(comfort.OPTIONS, options), host, "Comfort")


@pytest.fixture
def stereo_pair(tensor_clip):
    """Return a stereo pair of ten frames with 4 % divergence.

    A quarter of the frame is in front, the rest on the zero-parallax plane.
    """
    depth = torch.zeros(10, 40, 200, 1)
    depth[:, :, 60:110] = 1
    options = {"divergence": 4.0, "convergence_mode": "fixed", "convergence": 0.0, "screen": "cinema"}
    return apply(
        Plan("stereo", options, "Stereo"), tensor_clip(torch.full((10, 40, 200, 3), 0.5)), tensor_clip(depth)
    )["clip"]


@pytest.mark.parametrize("samples", [0, 3])
def test_pair_from_stereo_is_measured_by_its_depth_and_settings(stereo_pair, host, samples):
    found = measured(stereo_pair, host, samples=samples).figures
    assert found["frames"] == (samples or 10) and found["screen"] == "cinema"
    assert (
        found["beyond_limit"] == {"front": 0.25, "behind": 0}
        and found["nearest"]["percent"] == pytest.approx(4)
        and found["unknown"] == 0
    )


def test_screen_can_differ_from_stereos(stereo_pair, host):
    found = measured(stereo_pair, host, screen="phone").figures
    assert found["screen"] == "phone" and found["nearest"]["mm"] == pytest.approx(0.04 * 155)
    assert found["beyond_limit"]["front"] == 0.25  # 6.2 mm where 6.0 are comfortable


def test_downstream_stages_do_not_change_comfort(stereo_pair, host):
    larger = apply(Plan("upscale", {"model": "builtin"}, "Upscale"), stereo_pair)["clip"]
    assert measured(larger, host).figures == measured(stereo_pair, host).figures


def test_trimmed_pair_is_measured_within_its_window(host, tensor_clip):
    """The second half of this film is on the zero-parallax plane; only its first half is in front."""
    depth = torch.zeros(10, 40, 200, 1)
    depth[:5, :, 60:110] = 1
    options = {"divergence": 4.0, "convergence_mode": "fixed", "convergence": 0.0, "screen": "cinema"}
    pair = apply(
        Plan("stereo", options, "Stereo"), tensor_clip(torch.rand(10, 40, 200, 3)), tensor_clip(depth)
    )["clip"]
    found = measured(apply(Trim(5, 10, "Slice"), pair)["clip"], host, samples=0).figures
    assert found["frames"] == 5 and found["beyond_limit"]["front"] < 0.01


def test_the_overlay_can_be_encoded_in_the_terminal(tmp_path):
    write_video(
        tmp_path / "small.mp4",
        np.random.default_rng(0).integers(0, 255, (5, 64, 96, 3), np.uint8),
        Fraction(25),
    )
    graph = api(("extract", "depth", "stereo", "encode"))
    graph["4"]["inputs"]["clip"] = ["5", 3]
    graph["5"] = {"class_type": "StereoReelComfort", "inputs": {"clip": ["3", 0]}}
    made = Assembly(graph, lambda name: tmp_path / "small.mp4")
    assert [sink.clip.info.frames for sink in made.sinks] == [5] and made.sinks[0].clip.info.views == 1


@pytest.fixture(scope="module")
def street():
    """Return a scene's two views, 2 % apart from nearest to farthest, and the left one's true parallax."""
    scene = scenes.street(5, 640, 360, divergence=2.0, convergence=0.5)
    left, right = (scene.render(eye=eye) for eye in (0.5, -0.5))
    return left.image, right.image, 0.02 * 640 * (left.depth - 0.5)


def test_matching_finds_the_parallax_of_a_pair_without_depth(street):
    left, right, truth = street
    found = matched(*(grayscale(eye[None])[0] for eye in (left, right)))
    known = ~found.isnan()
    error = (found - truth).abs()[known]
    assert known.float().mean() > 0.9 and error.median() < 0.3 and (error < 0.8).float().mean() > 0.93


def test_foreign_pair_is_measured_by_matching(street, host, tensor_clip):
    left, right, truth = street
    pair = apply(Split("Pair"), tensor_clip(torch.cat([left, right], 1)[None]))["clip"]
    found = measured(pair, host)
    percent = truth / 6.4
    for end, place in (("nearest", 0.998), ("farthest", 0.002)):
        assert found.figures[end]["percent"] == pytest.approx(
            percent.flatten().sort().values[int(place * percent.numel())].item(), abs=0.15
        )
    assert 0 < found.figures["unknown"] < 0.1 and "matching" in found.text


def test_single_view_has_no_comfort(tensor_clip, host):
    with pytest.raises(ValueError, match="Connect Stereo's clip"):
        measured(tensor_clip(), host)


def test_the_page_shows_verdict_legend_worst_frame_and_histogram(stereo_pair, host):
    page = measured(stereo_pair, host).image
    assert page.width == 1600
    colors = {color for _, color in page.getcolors(1 << 24)}
    tints = [mixed(tint, share) for tint in (FRONT, BEHIND) for share in (FAINT, STRONG)]
    assert colors >= {ACCENT, *tints, mixed(BORDER, 1)}  # the verdict, and the legend
    column = 28 + 1544 * 85 // 200  # in the near quarter, which is beyond the limit
    strong = [y for y in range(page.height) if page.getpixel((column, y)) == mixed(FRONT, STRONG)]
    assert len(strong) > 200  # of the frame's 309 rows


def mixed(color, share):
    return tuple(round(255 * (0.5 + (value - 0.5) * share)) for value in color)


@pytest.mark.parametrize(
    ("screen", "said"),
    [
        ("tv", "25.0 % of the pixels are beyond the limits of a tv screen. Reduce the parallax to about 78 % "
               "of what it is"),
        ("cinema", "about 54 % of what it is, for example with Stereo's divergence or strength."),
    ],
)  # fmt: skip
def test_the_verdict_says_by_how_much_the_parallax_is_too_strong(stereo_pair, host, screen, said):
    found = measured(stereo_pair, host, screen=screen)
    assert said in found.figures["verdict"] and found.figures["verdict"] in found.text.splitlines()
    assert found.text.startswith("Comfort score ") and ", unsafe: crossed unsafe" in found.text


def test_a_pair_that_follows_the_verdict_is_comfortable(tensor_clip, host):
    depth = torch.zeros(3, 40, 200, 1)
    depth[:, :, 60:110] = 1
    options = {"divergence": 0.54 * 4, "convergence_mode": "fixed", "convergence": 0.0, "screen": "cinema"}
    pair = apply(
        Plan("stereo", options, "Stereo"), tensor_clip(torch.rand(3, 40, 200, 3)), tensor_clip(depth)
    )["clip"]
    assert measured(pair, host).figures["verdict"] == "The parallax is within the limits of a cinema screen."


def test_borders_that_cut_off_objects_in_front_are_part_of_the_verdict(tensor_clip, host):
    depth = torch.zeros(3, 40, 200, 1)
    depth[:, :, :50] = 1
    options = {"divergence": 1.0, "convergence_mode": "fixed", "convergence": 0.0, "screen": "tv"}
    pair = apply(
        Plan("stereo", options, "Stereo"), tensor_clip(torch.rand(3, 40, 200, 3)), tensor_clip(depth)
    )["clip"]
    assert measured(pair, host).figures["verdict"] == (
        "The parallax is within the limits of a tv screen. "
        "Side borders cut off objects in front: try Stereo's floating_window."
    )


def test_terminal_prints_findings_and_writes_the_page(tmp_path, monkeypatch, capsys):
    graph = api(("extract", "depth", "stereo", "encode"))
    graph["4"] = {"class_type": "StereoReelComfort", "inputs": {"clip": ["3", 0], "samples": 2}}
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    write_video(
        tmp_path / "small.mp4",
        np.random.default_rng(0).integers(0, 255, (5, 64, 96, 3), np.uint8),
        Fraction(25),
    )
    monkeypatch.chdir(tmp_path)
    assert main(["run", "graph.json", "--input", "small.mp4"]) == 0
    assert "2 frames on a tv screen" in capsys.readouterr().out
    assert Image.open(tmp_path / "output" / "comfort_00001.png").width == 1600
