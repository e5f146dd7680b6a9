"""The order study: degraded sources, equal depth input, paired gains, and verdicts that can go either way."""

import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from benchmarks.order_study import degrade
from benchmarks.order_study.cells import Row
from benchmarks.order_study.claims import outcomes
from benchmarks.order_study.contrasts import DEPENDS, OPEN, REFUTED, SUPPORTED, Rows, both, judged, vanishing
from benchmarks.order_study.effects import Effect, mean_effect, student
from benchmarks.order_study.scores import Places, view_scores
from benchmarks.order_study.truth import all_frames, kept
from benchmarks.order_study.workshop import EXACT, STEREO, Seen, Workshop
from stereoreel.analysis.trial import trial
from stereoreel.core.options import resolve
from stereoreel.stages import stereo
from stereoreel.stages.stereo.parallax import Parallax
from stereoreel.workflow.orders import BY_KIND, COMPARED

# Not by its folder on sys.path: names of other benchmarks are those of packages.
BENCHMARK = spec_from_file_location(
    "benchmark_of_orders", Path(__file__).resolve().parents[2] / "benchmarks" / "orders.py"
)
orders = sys.modules[BENCHMARK.name] = module_from_spec(BENCHMARK)
BENCHMARK.loader.exec_module(orders)
TINY = orders.Extent(20, 1, 0, {"720p": ("clean", "noise 10")}, network=(518,))


@pytest.fixture(scope="module")
def shot():
    return orders.truth_of("street 1", 160, 96, 3, 4)


@pytest.fixture(scope="module")
def tiny():
    return measured(TINY)


def measured(extent: orders.Extent) -> tuple[list[Row], dict]:
    with torch.no_grad():
        return orders.one_scene(extent, "street 1", "720p", 1, "builtin")


def test_equal_seed_prints_equal_tables(tiny):
    rows, found = tiny
    again, found_again = measured(replace(TINY, sources={"720p": ("clean",)}))
    tables = orders.tables(TINY, Rows(again, 1), {"street 1, 720p": found_again})
    assert tables == orders.tables(
        TINY, Rows([row for row in rows if row.source == "clean"], 1), {"street 1, 720p": found}
    )
    assert "nan" not in tables["Both views near depth edges, dB, depth by builtin 26"]


def test_seed_selects_the_scene(shot):
    other = orders.truth_of("street 1", 160, 96, 4, 4)
    assert not other.frames.equal(shot.frames)


def test_every_claim_gets_a_row_and_a_verdict(tiny):
    rows = Rows(tiny[0], 1)
    made = outcomes(rows, orders.setting_of(TINY, rows))
    assert [one.letter for one in made] == [*"abcdefghij", "eyes"]
    assert all(one.measured and one.verdict and one.claim for one in made)
    assert made[7].verdict == "cannot be decided here"


def test_every_order_has_finite_scores(tiny):
    for row in tiny[0]:
        missing = {name for name, value in row.scores.items() if value != value}
        assert missing <= {"frames", "between"} and (not missing or row.order == "upscale last"), (
            row.order,
            row.depth,
            missing,
        )


def test_depth_input_of_every_order_has_the_same_height(shot, host):
    shop = Workshop(shot, host, Seen("builtin", 30))
    seen = {}
    for order in COMPARED:
        trial(order, kept(shot.source(), "source"), {"stereo": STEREO}, "upscale", shop.make)
        seen[order] = shop.predicted.shape[1:]
    assert set(seen.values()) == {(30, 50)}


def test_shared_steps_are_computed_once(shot, host):
    shop, source = Workshop(shot, host), kept(shot.source(), "source")
    for order in COMPARED:
        trial(order, source, {"stereo": STEREO}, "upscale", shop.make)
    kinds = [key[0] for key in shop.computed]
    # the source, the upscaled source, and that with either depth
    assert kinds.count("interpolate") == 4 and kinds.count("stereo") == 6
    assert kinds.count("upscale") == 3  # the source, the interpolated source, and a pair
    assert kinds.count("depth") == 5  # that of the interpolated source serves two orders


def test_smaller_depth_is_scored_as_stereo_uses_it(shot, host):
    shop = Workshop(shot, host, Seen(EXACT, None))
    made = trial("depth first", kept(shot.source(), "source"), {"stereo": STEREO}, "upscale", shop.make)
    frames, small = all_frames(made.frames), all_frames(made.depth)
    assert small.shape[1] < frames.shape[1]
    parallax = Parallax(resolve(stereo.OPTIONS, STEREO), 25.0)(small, frames)
    torch.testing.assert_close(
        parallax / (STEREO["divergence"] / 100 * frames.shape[2]),
        shop.depth_in_stereo(made.depth, made.frames)[..., 0],
    )


def test_exact_views_are_stereos_of_the_true_depth(shot, host):
    shop = Workshop(shot, host, Seen(EXACT, None))
    frames = kept(shot.frames, "truth")
    depth = shop.make(BY_KIND["depth"], {"clip": frames}, {}, "")["depth"]
    assert all_frames(depth).equal(shot.depth)
    pair = all_frames(shop.make(BY_KIND["stereo"], {"clip": frames, "depth": depth}, STEREO, "")["clip"])
    places = Places(shot)
    right, swapped = (view_scores(some, shot, places)["eyes"] for some in (pair, pair.flip(0)))
    assert right > 33 and right > swapped + 8
    pair[:, shot.scored] = shot.eyes
    assert view_scores(pair, shot, places) == {
        "eyes": float("inf"),
        "edges": float("inf"),
        "flicker": 0,
        "rivalry": 0,
    }
    assert 0.85 < places.visible.float().mean() < 1


def test_noise_has_the_stated_sigma():
    gray = torch.full((3, 90, 160, 3), 0.5)
    for sigma in (10, 25):
        assert (255 * (degrade.noisy(gray, sigma, 1) - gray)).std().item() == pytest.approx(sigma, rel=0.02)
    assert degrade.noisy(gray, 10, 1).equal(degrade.noisy(gray, 10, 1)) and not degrade.noisy(
        gray, 10, 2
    ).equal(degrade.noisy(gray, 10, 1))


def test_blurred_edge_has_the_stated_width():
    edge = torch.zeros(1, 40, 80, 3)
    edge[:, :, 40:] = 1
    slope = degrade.blurred(edge, 1.5)[0, 20, :, 0].diff()
    place = torch.arange(79.0)
    centre = (slope * place).sum()
    assert ((slope * (place - centre).square()).sum().sqrt()).item() == pytest.approx(1.5, abs=0.05)


def test_higher_crf_gives_a_smaller_file_and_a_worse_image(shot):
    source = degrade.eight_bit(shot.source())
    sizes = [len(degrade.encoded(source, crf)) for crf in (18, 28, 35, 45)]
    errors = [(degrade.compressed(source, crf) - source).square().mean().item() for crf in (18, 28, 35, 45)]
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)
    assert degrade.compressed(source, 28).equal(degrade.compressed(source, 28))


def test_generated_texture_changes_at_block_borders(shot):
    still = shot.frames[:1].expand(8, -1, -1, -1)
    step = degrade.generated(still, 5, block=4).diff(dim=0).square().mean((1, 2, 3)).sqrt()
    assert step[3] > 3 * step[[0, 1, 2, 4, 5, 6]].max()


def test_interval_coverage():
    values = torch.randn(300, 6, generator=torch.Generator().manual_seed(2)).tolist()
    held = [(effect := mean_effect(some, resamples=500)).low <= 0 <= effect.high for some in values]
    assert 0.92 <= sum(held) / len(held) <= 0.99
    assert student(5, 0.975) == pytest.approx(2.5706, abs=1e-3) and student(1, 0.975) == pytest.approx(
        12.706, abs=0.02
    )


def test_the_interval_of_one_value_is_unbounded():
    effect = mean_effect([3.0])
    assert effect.mean == 3 and effect.low == -float("inf") and judged({"": effect}, 1).word == OPEN


@pytest.mark.parametrize("effects, word", [
    ({"a": Effect(3, 1, 5, 6), "b": Effect(4, 2, 6, 6)}, SUPPORTED),
    ({"a": Effect(0.2, -1, 1, 6), "b": Effect(-4, -6, -2, 6)}, REFUTED),
    ({"a": Effect(3, 1, 5, 6), "b": Effect(0.2, -1, 1, 6)}, DEPENDS),
    ({"a": Effect(3, -1, 7, 6)}, OPEN),
    ({"a": Effect(3, 1, 5, 6), "b": Effect(3, -1, 7, 6)}, OPEN),
    # surely above 0, not surely as large as claimed, nor surely smaller
    ({"a": Effect(1, 0.5, 2.5, 6)}, OPEN),
])  # fmt: skip
def test_verdicts_on_a_claimed_gain_of_two(effects, word):
    assert judged(effects, 2).word == word


def test_vanishing_effects_and_combined_verdicts():
    none, some = {"a": Effect(0.2, -1, 1, 6)}, {"b": Effect(3, 1, 5, 6)}
    assert vanishing(none, 2).word == SUPPORTED and vanishing(some, 2).word == REFUTED
    assert str(both(judged(none, 2), judged(some, 2))) == "depends: holds for b; fails for a"


def test_gains_are_paired_by_equal_conditions():
    def row(scene, source, order, value):
        return Row(scene, 90, source, "vsr builtin", "builtin 65", order, {"f1": value})

    rows = Rows([row("a", "clean", "x", 1.0), row("a", "clean", "y", 0.5), row("a", "noisy", "x", 9.0),
                 row("b", "clean", "x", 4.0), row("b", "clean", "y", 2.5)])  # fmt: skip
    assert rows.gain("f1", {"order": "x"}, {"order": "y"}).mean == 1.0
    assert rows.gain("f1", {"order": "x"}, {"order": "y"}, relative=True).mean == pytest.approx(100 * 1 / 1.5)
    assert rows.gain("f1", {"order": "x"}, {"order": "y"}, source="noisy").count == 0
