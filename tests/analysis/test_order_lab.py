"""The order lab: fair samples, figures worked out by hand, honest confidence, and files in the terminal."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import stereoreel
from benchmarks.support.image_nets import RRDBNet, random_net, save
from stereoreel.analysis.metrics import gradient_energy
from stereoreel.analysis.order_lab.agreement import Agreement, Flip, scales
from stereoreel.analysis.order_lab.figures import recommended, workflow_of
from stereoreel.analysis.order_lab.lab import Lab, measure
from stereoreel.analysis.order_lab.measures import (
    NEAR,
    edge_alignment,
    edge_distance,
    eye_difference,
    lasting_detail,
    relief,
)
from stereoreel.analysis.order_lab.options import OPTIONS, compared, stage_options
from stereoreel.analysis.order_lab.places import PLACES, Gallery, Kept, crop_size, places
from stereoreel.analysis.order_lab.reference import Reference
from stereoreel.analysis.order_lab.runs import part_of, windows
from stereoreel.analysis.order_lab.statistics import difference, mean
from stereoreel.analysis.order_lab.tally import MEASURES
from stereoreel.analysis.order_lab.verdict import EVEN, LIKELY, SURE, judge
from stereoreel.cli.main import main
from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, ClipInfo
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.core.tensor_source import TensorSource
from stereoreel.image.resize import resize
from stereoreel.models.headless import Headless
from stereoreel.workflow import graph as workflow
from stereoreel.workflow.orders import BUNDLED, COMPARED
from tests.support.media_files import write_video

ROOT = Path(__file__).resolve().parents[2]
BUILTIN = {f"{kind}_model": "builtin" for kind in ("vsr", "upscale", "interpolate", "depth")}


def settings(**options):
    return resolve(OPTIONS, {**BUILTIN, **options})


def texture(height, width, seed=0):
    coarse = torch.rand(1, height // 4, width // 4, 3, generator=torch.Generator().manual_seed(seed))
    return resize(coarse, height, width)[0]


def sliding(count=24, height=48, width=64, step=2, still=16):
    """Return a texture that moves left by ``step`` pixels a frame; the upper ``still`` rows do not move."""
    wide = texture(height, width + step * count)
    moving = torch.stack([wide[:, step * number : step * number + width] for number in range(count)])
    moving[:, :still] = wide[:still, :width]
    return moving


@pytest.fixture(scope="module")
def clip():
    source = TensorSource(sliding(), Fraction(25), cuts=False)
    source.info = source.info.replace(cuts=(10,))
    return Clip(source)


@pytest.fixture(scope="module")
def found(clip):
    return measure(clip, settings(shots=2, frames=3), Headless("cpu"))


# Places


def test_places_are_evenly_spread_and_never_across_a_cut():
    info = ClipInfo(64, 48, Fraction(25), 100, cuts=(24, 50, 52, 80))
    for sampling in range(20):
        chosen = windows(info, 4, 10, sampling)
        assert len(chosen) == 4
        for part, (start, stop) in enumerate(chosen):
            assert 25 * part <= start < stop <= 25 * part + 25 and 2 <= stop - start <= 10
            assert not any(start < cut < stop for cut in info.cuts)
    assert windows(info, 4, 10, 1) == windows(info, 4, 10, 1) != windows(info, 4, 10, 2)


def test_short_clips_have_fewer_places_and_short_shots_shorter_ones():
    assert windows(ClipInfo(64, 48, Fraction(25), 7), 5, 10) == [(0, 7)]
    assert windows(ClipInfo(64, 48, Fraction(25), 12, cuts=(2, 9)), 1, 10) == [(2, 9)]
    with pytest.raises(ValueError, match=r"no motion to judge the orders by\. Choose another clip"):
        windows(ClipInfo(64, 48, Fraction(25), 3, cuts=(1, 2)), 1, 2)


def test_every_order_receives_exactly_its_frames(clip, host):
    part = part_of(clip, (12, 17))
    assert part.info.cuts == () and torch.equal(frames(part, host), sliding()[12:17])


def test_a_film_with_bars_is_measured_too(host):
    """Its Stereo has a third input, the text on the bars."""
    pictures = sliding(4)
    pictures[:, :12] = pictures[:, 36:] = 0
    source = TensorSource(pictures, Fraction(25), cuts=False)
    source.info = source.info.replace(bars=(Bars(0, 12, 12),))
    orders = "extract, depth, stereo, encode; extract, upscale, depth, stereo, encode"
    found = measure(Clip(source), settings(shots=1, frames=2, orders=orders), host)
    assert len(found.figures["orders"]) == 2


# Options


def test_orders_are_named_or_spelled_out():
    assert list(compared("all", "vsr")) == list(COMPARED)
    some = compared("default, upscale_last; extract, depth, stereo, upscale, encode", "upscale")
    assert some == {
        "default": ("upscale", "interpolate", "depth", "stereo"),
        "upscale last": ("interpolate", "depth", "stereo", "upscale"),
        "depth, stereo, upscale": ("depth", "stereo", "upscale"),
    }


@pytest.mark.parametrize("text", ["default, clean_source", "Default; CLEAN SOURCE;", "clean-source, default"])
def test_orders_may_be_named_like_bundled_workflows_in_any_case(text):
    assert compared(text, "upscale") == {
        "default": ("upscale", "interpolate", "depth", "stereo"),
        "clean source": ("interpolate", "upscale", "depth", "stereo"),
    }


def test_every_bundled_order_has_a_name():
    for name in BUNDLED:
        found = compared(f"{name}; depth, stereo", "vsr")
        assert name.replace("_", " ") in found and len(found) == 2


def test_an_order_that_is_named_twice_counts_once():
    assert list(compared("all, clean_source; Depth First; depth, vsr, interpolate, stereo", "vsr")) == list(
        COMPARED
    )


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ("default", "at least two different orders"),
        ("clean_source; upscale before depth", "at least two different orders"),
        ("default; stereo, depth", "Put depth somewhere before stereo"),
        ("default; depth, vsr", "Put stereo after depth"),
        (
            "default; sideways",
            "Unknown order or stage 'sideways'. Orders: default; clean source; upscale last",
        ),
        ("default; comfort, depth, stereo", "Unknown order or stage 'comfort'"),
        ("default, depth, stereo", "'depth' is a stage, not an order. Separate orders of stages"),
    ],
)
def test_invalid_orders_are_refused_before_the_first_frame(clip, orders, said):
    with pytest.raises(ValueError, match=said):
        Lab(clip, settings(orders=orders), Headless("cpu"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("interpolate.loop=true", "leave interpolate.loop off"),
        ("depth.shine=1", "Unknown option shine"),
        ("shine=1", "KIND.OPTION=VALUE"),
        ("vsr.factor=9", "between 1.0 and 4.0"),
    ],
)
def test_invalid_options_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        stage_options(settings(settings=given))


def test_stage_options_are_set_by_kind():
    options = stage_options(
        settings(factor=3.0, settings="stereo.divergence=3; depth.edges=smooth"), ["vsr.factor=1.5"]
    )
    assert options["stereo"] == {"divergence": "3"} and options["depth"]["edges"] == "smooth"
    assert options["vsr"]["factor"] == "1.5" and options["upscale"]["factor"] == 3.0


# Figures by hand


def test_edge_distance_is_the_displacement():
    picture, depth = torch.zeros(2, 40, 80)
    picture[:, 40:] = 1
    for moved, near in ((0, 1), (5, 0)):
        depth[:] = 0
        depth[:, 40 + moved :] = 1
        away, share, edges = edge_alignment(depth, edge_distance(picture))
        assert (
            away == pytest.approx(moved, abs=0.6)
            and share == near
            and edges == pytest.approx(1 / 80, rel=0.1)
        )
    assert moved > NEAR


def test_edge_distance_without_matching_edges():
    depth = torch.zeros(40, 80)
    flat = edge_distance(torch.zeros(40, 80))
    assert math.isnan(edge_alignment(depth, flat)[0])
    depth[:, 40:] = 1
    assert edge_alignment(depth, flat)[:2] == (10, 0)


def test_noise_is_not_lasting_detail():
    picture = texture(64, 96)
    noise = 0.1 * torch.randn(2, 64, 96, 3, generator=torch.Generator().manual_seed(1))
    still, everywhere = np.zeros((64, 96, 2), np.float32), torch.ones(64, 96, dtype=torch.bool)
    clean = lasting_detail(picture, picture, still, everywhere)
    assert clean == pytest.approx(gradient_energy(picture[None]), rel=1e-3)
    assert gradient_energy(picture[None] + noise) > 1.5 * clean
    assert lasting_detail(picture + noise[0], picture + noise[1], still, everywhere) == pytest.approx(
        clean, rel=0.05
    )
    blurred = resize(resize(picture[None], 16, 24, "area"), 64, 96)[0]
    assert lasting_detail(blurred, blurred, still, everywhere) < 0.8 * clean
    assert math.isnan(lasting_detail(picture, picture, still, ~everywhere))


def test_view_difference_ignores_disocclusions():
    """A box 6 pixels in front of a wall hides part of it from the right view."""
    wall, box = texture(32, 80), texture(32, 80, 1)
    left, right, parallax = wall.clone(), wall.clone(), torch.zeros(32, 80)
    left[8:24, 30:50], parallax[8:24, 30:50] = box[8:24, 30:50], 6
    right[8:24, 24:44] = box[8:24, 30:50]
    assert eye_difference(left, right, parallax) == pytest.approx(0, abs=1e-6)
    assert eye_difference(left, (right + 0.1), parallax) == pytest.approx(0.1, abs=1e-5)
    assert eye_difference(left, right, parallax - 2) > 0.05


def test_relief_ignores_outliers():
    depth = torch.linspace(0.2, 0.7, 10000).view(100, 100).clone()
    depth[0, 0], depth[-1, -1] = 0, 1
    assert relief(depth) == pytest.approx(0.48, abs=0.005)


def test_source_motion_is_scaled_to_the_result_and_interpolated(host, tensor_clip):
    reference = Reference(tensor_clip(sliding(4, 96, 128, still=32)), 192, 256, host)
    inner = np.s_[100:180, 40:200]
    for end, wanted in (((1, 0), -4), ((0, Fraction(1, 2)), -2), ((2, 0), -8)):
        motion, visible = reference.between((0, 0), end)
        assert (
            np.median(motion[inner][..., 0]) == pytest.approx(wanted, abs=0.15)
            and abs(np.median(motion[inner][..., 1])) < 0.15
        )
        assert (
            (motion[:50] == 0).all()
            and visible[inner].float().mean() > 0.95
            and not visible[100:180, 0].any()
        )
    assert reference.between((1, 0), (1, 0)) is None


# Certainty


def test_interval_contains_the_mean_and_shrinks_with_more_places():
    random = np.random.default_rng(0)
    samples = [list(5 + random.normal(0, 1) + random.normal(0, 0.2, 10)) for _ in range(20)]
    few, many = mean(samples[:4], 0), mean(samples, 0)
    assert many.low < many.mean < many.high and many.high - many.low < few.high - few.low
    assert mean(samples, 0) == many != mean(samples, 1)
    assert mean([[math.nan, 2.0], [math.nan]], 0) == (2, 2, 2) and math.isnan(mean([[math.nan]], 0).mean)


def test_differences_are_paired():
    """Places differ by far more than orders do."""
    samples = [[place * 10.0 + moment for moment in range(5)] for place in range(5)]
    apart = difference([[value + 0.1 for value in place] for place in samples], samples, 0)
    assert apart == pytest.approx((0.1, 0.1, 0.1))


def judged(places=5, seconds=None, flips=(), **changes):
    """A verdict on orders that agree in everything except what ``changes`` says: a factor for each figure."""
    random = np.random.default_rng(0)
    base = {one.name: random.uniform(4, 6, (places, 8)) for one in MEASURES}
    figures = {
        order: {name: (values * changed.get(name, 1)).tolist() for name, values in base.items()}
        for order, changed in changes.items()
    }
    means = {order: {name: mean(samples, 0) for name, samples in of.items()} for order, of in figures.items()}
    times = {order: [(seconds or {}).get(order, 1.0)] * places for order in figures}
    return judge(figures, means, times, places, 0, flips)


def test_best_order_is_certain_only_with_enough_places():
    better = {"flicker": 0.8, "sharpness": 1.2}
    for shots, sure in ((5, SURE), (4, LIKELY)):
        verdict = judged(shots, {"a": 9}, a=better, b={}, c={})
        assert (verdict.order, verdict.sure) == ("a", sure)
        assert verdict.against["b"].better == ("flicker", "sharpness") and not verdict.against["b"].worse
    assert (
        "better in flicker" in verdict.text
        and "9.0 times as slow" in verdict.text
        and "Look at the sheet" in verdict.text
    )


def test_equal_orders_are_decided_by_cost():
    verdict = judged(5, {"b": 0.5}, a={}, b={"flicker": 1.01}, c={"holes": 3, "relief": 0.5, "gradients": 2})
    assert (verdict.order, verdict.sure) == ("b", EVEN) and "2.0 times as fast" in verdict.text


def test_mixed_results_are_even():
    verdict = judged(5, {"c": 0.5}, a={"flicker": 0.8, "sharpness": 0.8}, b={}, c={"parallax jitter": 2})
    assert (verdict.order, verdict.sure) == ("a", LIKELY) and "does not beat b" in verdict.text


def test_flat_depth_is_reported():
    assert "flatter" in judged(5, a={"parallax jitter": 0.5, "relief": 0.5}, b={}, c={}).text


def flip(*orders, places=((3, 6),), deeper=None):
    return Flip(orders, places, deeper)


def test_an_order_is_never_recommended_across_a_reversal_in_silence():
    better = {"flicker": 0.8, "sharpness": 1.2}
    alone = judged(5, a=better, b={}, c={})
    assert alone.sure == SURE and not alone.warnings
    verdict = judged(5, flips=[flip("a", "b")], a=better, b={}, c={})
    assert (verdict.order, verdict.sure) == ("a", LIKELY)
    assert (
        "Warning: near and far are reversed at 1 of 5 excerpts (frames 3-5). There b contradicts a"
        in verdict.text
    )
    assert verdict.reversed_at(4) == {"b"} and verdict.reversed_at(6) == set()


def test_a_reversal_between_other_orders_is_reported_too():
    verdict = judged(5, flips=[flip("b", "c")], a={"flicker": 0.8, "sharpness": 1.2}, b={}, c={})
    assert (verdict.order, verdict.sure) == ("a", SURE)
    assert "near and far are reversed between b and c at 1 of 5 excerpts" in verdict.text


def test_an_order_that_most_others_contradict_is_not_taken_from_equals():
    flips = [flip("a", "b"), flip("a", "c")]
    assert judged(5, {"a": 0.5}, a={}, b={}, c={}).order == "a"
    verdict = judged(5, {"a": 0.5}, flips=flips, a={}, b={}, c={})
    assert verdict.order == "b" and "There a contradicts b" in verdict.text


def test_another_scale_of_depth_is_reported():
    deep = [flip("a", "b", deeper=2.5)]
    verdict = judged(5, flips=deep, a={"flicker": 0.8, "sharpness": 1.2}, b={}, c={})
    assert (
        verdict.sure == SURE
        and "the depth of a has 2.5 times the relief of b at 1 of 5 excerpts" in verdict.text
    )


# Agreement


def test_reversed_depth_is_found_frame_by_frame():
    agreement = Agreement(["a", "b", "c"])
    ramp = torch.linspace(0.2, 0.8, 120).expand(80, 120)
    for other in (ramp, 1 - ramp, ramp, torch.full_like(ramp, 0.5)):
        for moment in range(4):
            agreement.see("a", moment, ramp + 0.01 * moment)
            agreement.see("b", moment, 0.5 * ramp)
            agreement.see("c", moment, ramp if moment < 2 else other)
        agreement.finish()
    places = [(0, 2), (10, 12), (20, 22), (30, 32)]
    assert [(one.orders, one.places) for one in agreement.reversed(places)] == [
        (("a", "c"), ((10, 12),)),
        (("b", "c"), ((10, 12),)),
    ]
    assert agreement.correlations["a", "b"][0] == pytest.approx([1] * 4)
    assert agreement.correlations["a", "c"][1] == pytest.approx([1, 1, -1, -1])
    assert len(agreement.correlations["a", "c"][3]) == 2  # a flat map has neither near nor far


def test_another_scale_is_found_excerpt_by_excerpt():
    relief = {"a": [[4.0, 4.0], [4.0]], "b": [[1.0, 2.0], [3.0]], "c": [[4.1], [4.1]]}
    found = list(scales(relief, [(0, 2), (10, 12)]))
    assert [(one.orders, one.places) for one in found] == [(("a", "b"), ((0, 2),)), (("c", "b"), ((0, 2),))]
    assert found[0].deeper == pytest.approx(4 / 1.5)


# The lab


def test_every_order_reports_every_figure(found):
    assert list(found.figures["orders"]) == list(COMPARED)
    for order in found.figures["orders"].values():
        assert all(math.isfinite(order["quality"][one.name]["mean"]) for one in MEASURES)
        assert (
            set(order["time"]["stages"]) == {"vsr", "interpolate", "depth", "stereo"}
            and len(order["time"]["by_place"]) == 2
        )
    assert json.loads(json.dumps(found.figures))["models"] == dict.fromkeys(
        ("vsr", "interpolate", "depth", "stereo"), "builtin"
    )
    assert all(f"{one.name}, {one.unit}" in found.text for one in MEASURES)


def test_the_sheet_holds_the_verdict_and_is_as_wide_as_a_page(found):
    assert found.image.width == 1600
    recommended = found.figures["recommended"]
    assert recommended["warnings"] == [
        line for line in recommended["reasons"] if line.startswith("Warning: ")
    ]
    assert len(found.figures["depth"]["correlation"]) == 15  # pairs of six orders


def test_places_of_the_lab_keep_clear_of_the_cut(found):
    assert found.figures["places"] == [[5, 8], [17, 20]]


def test_upscaling_views_independently_makes_them_differ(found):
    apart = {name: order["quality"]["eye difference"] for name, order in found.figures["orders"].items()}
    last = apart.pop("upscale last")
    assert all(last["low"] > other["high"] for other in apart.values())


def test_bad_upscaler_spoils_only_depth_downstream_of_it(clip, host):
    """The network has random weights."""
    save(random_net(RRDBNet), host.models[0] / "upscale_models" / "noise.pth")
    chosen = settings(
        upscaler="upscale",
        upscale_model="noise.pth",
        orders="upscale, depth, stereo; depth, upscale, stereo",
        shots=2,
        frames=2,
    )
    figures = measure(clip, chosen, host).figures
    after, before = (order["quality"]["depth edges"] for order in figures["orders"].values())
    assert after["high"] < 0.5 * before["low"] and figures["models"]["upscale"] == "noise.pth"


def test_recommendation_can_be_loaded(found):
    graph = workflow_of(found.figures, "film.mp4")
    kinds = [node.kind for node in workflow.declared(graph).values()]
    assert recommended(found.figures) == tuple(kinds) and found.figures["recommended"]["order"] in COMPARED
    assert graph["1"]["inputs"]["video"] == "film.mp4"
    assert all(
        node["inputs"]["model"] == "builtin"
        for node in graph.values()
        if node["class_type"] in ("StereoReelVSR", "StereoReelDepth")
    )


def test_equal_sampling_gives_equal_figures(clip):
    def quality(sampling):
        chosen = settings(
            orders="depth, stereo, upscale; upscale, depth, stereo", shots=1, frames=2, sampling=sampling
        )
        figures = measure(clip, chosen, Headless("cpu")).figures
        return figures["places"], {name: order["quality"] for name, order in figures["orders"].items()}

    first = quality(7)
    assert quality(7) == first and quality(8) != first


def test_orders_are_compared_at_the_largest_size_and_lowest_rate(clip):
    chosen = settings(orders="depth, stereo; default; depth, stereo, interpolate, upscale", shots=1, frames=3)
    figures = measure(clip, chosen, Headless("cpu")).figures
    assert (figures["width"], figures["height"], figures["fps"]) == (128, 96, 25)
    sharpness = {name: order["quality"]["sharpness"]["mean"] for name, order in figures["orders"].items()}
    assert sharpness["depth, stereo"] == pytest.approx(sharpness["default"], rel=0.2)


def test_depth_of_real_footage_is_reversed_in_no_order(real_clip):
    """Motion alone does not say which of two surfaces is in front; both orders decide alike."""
    chosen = settings(orders="interpolate after depth; upscale last", shots=2, frames=3)
    report = measure(stereoreel.open(real_clip("carphone_pristine.mp4")), chosen, Headless("cpu"))
    assert not report.figures["depth"]["contradictions"]
    assert "reversed" not in report.text


def kept(frame=0):
    """Return three orders that agree except in a corner of one's depth."""
    picture, depth = (255 * texture(200, 320)).byte(), torch.full((200, 320), 100, dtype=torch.uint8)
    other = depth.clone()
    other[150:, 260:] = 200
    return Kept(frame, False, picture, {"a": (picture, depth), "b": (picture, depth), "c": (picture, other)})


def test_crops_show_where_orders_differ():
    place = places(kept())[0]
    left, top, right, bottom = place.box
    assert left <= 270 < right and top <= 160 < bottom and (bottom - top, right - left) == crop_size(200, 320)
    assert (place.depths["c"] == 200).sum() == 60 * 50 and (place.depths["a"] == 100).all()


def test_memory_of_the_sheet_is_bounded():
    gallery = Gallery()
    for shot in range(9):
        gallery.add(place for moment in (0, 1) for place in places(kept(10 * shot + moment)))
        assert len(gallery._best) + len(gallery._others) <= 2 * PLACES
    assert len(gallery.places) == PLACES and len({place.frame // 10 for place in gallery.places}) == PLACES
    rows, columns = crop_size(200, 320)
    assert all(
        crop.untyped_storage().nbytes() == 3 * rows * columns
        for place in gallery.places
        for crop in place.crops.values()
    )


def test_terminal_writes_all_files_and_a_workflow_that_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "small.mp4", (255 * sliding(8)).round().byte().numpy(), Fraction(25))
    words = ["--orders", "depth,stereo,upscale; upscale,depth,stereo"]
    words += ["--shots", "1", "--frames", "2", "--json", "-"]
    for option in ("upscale.model=builtin", "depth.model=builtin", "extract.duration=0.2"):
        words += ["--set", option]
    assert main(["orders", "small.mp4", *words]) == 0
    figures = json.loads(capsys.readouterr().out)
    folder = tmp_path / "output" / "orders_small_00001"
    assert json.loads((folder / "figures.json").read_text()) == figures and figures["places"] == [[1, 3]]
    assert (
        "Recommended: " in (folder / "report.txt").read_text()
        and Image.open(folder / "sheet.png").width == 1600
    )
    [graph] = folder.glob("*.api.json")
    assert figures["recommended"]["order"].replace(", ", "_") == graph.name.removesuffix(".api.json")
    assert main(["run", str(graph), "--input", "small.mp4", "--output", "pair.mp4"]) == 0
    assert main(["orders", "small.mp4", "--orders", "default; stereo, depth"]) == 1
    assert "Put depth somewhere before stereo" in capsys.readouterr().err


def test_bundled_workflow_runs_in_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "small.mp4", (255 * sliding(4)).round().byte().numpy(), Fraction(25))
    bundled = workflow.read(ROOT / "workflows" / "api" / "order_lab.json")
    bundled["2"]["inputs"] |= {
        **BUILTIN,
        "orders": "depth, stereo, upscale; upscale, depth, stereo",
        "shots": 1,
        "frames": 2,
    }
    (tmp_path / "graph.json").write_text(json.dumps(bundled))
    assert main(["run", "graph.json", "--input", "small.mp4"]) == 0
    assert "Confidence: " in capsys.readouterr().out and (tmp_path / "output" / "orders_00001.png").is_file()
