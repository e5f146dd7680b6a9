"""Advice for all kinds of footage, and that the advised workflow runs."""

import json
from fractions import Fraction

import pytest
import torch
from PIL import Image

from stereoreel.analysis.advisor import OPTIONS
from stereoreel.analysis.advisor.advice import advise
from stereoreel.analysis.advisor.finding import Finding
from stereoreel.analysis.advisor.measure import measure
from stereoreel.analysis.advisor.verdict import verdict
from stereoreel.cli.main import main
from stereoreel.core.clip import ClipInfo, apply
from stereoreel.core.options import resolve
from stereoreel.media import open as extract
from stereoreel.models.lazy_stage import Plan
from stereoreel.workflow import graph as workflow
from stereoreel.workflow import orders
from stereoreel.workflow.node_specs import BY_ID
from tests.support.rife_nets import network

HD = ClipInfo(1920, 1080, Fraction(25), 5000)
CLEAN = {
    "noise": 0.5,
    "blockiness": 0.02,
    "resolution": 1080.0,
    "interlaced": 0.0,
    "duplicates": 0.0,
    "motion": 2.0,
    "large_motion": 12.0,
    "flicker": 0.3,
    "cuts": 12.0,
}


def advised(host, info=HD, **found):
    return verdict(
        info,
        {name: Finding(value, "", f"{name} is {value}.") for name, value in {**CLEAN, **found}.items()},
        host,
    )


def value_of(found, what):
    return next(choice.value for choice in found.choices if choice.what == what)


def test_clean_source_is_upscaled_directly_before_depth(host):
    found = advised(host)
    assert found.order == "upscale before depth" and found.alternative.value == "upscale last"
    assert found.kinds.index("interpolate") < found.kinds.index("vsr") == found.kinds.index("depth") - 1


@pytest.fixture
def rife(tmp_path):
    folder = tmp_path / "models" / "rife"
    folder.mkdir(parents=True)
    torch.save(network("4.26").state_dict(), folder / "flownet.pkl")


@pytest.mark.parametrize("dirt", [{}, {"flicker": 5.0}, {"noise": 8.0}], ids=["clean", "flicker", "noise"])
def test_a_trained_interpolation_network_gets_upscaled_frames(host, rife, dirt):
    found = advised(host, **dirt)
    assert found.order == "default" and ("rife-flownet" in found.choices[0].why) == (not dirt)
    assert found.alternative.value == "depth first"


@pytest.mark.parametrize(
    "info, lines",
    [(HD.replace(fps=Fraction(60)), 1080.0), (HD.replace(width=3840, height=2160), 2160.0)],
    ids=["smooth", "4K"],
)
def test_a_trained_interpolation_network_decides_nothing_without_upscaled_frames(host, rife, info, lines):
    found = advised(host, info, resolution=lines)
    assert found.order == "upscale before depth" and "rife" not in found.choices[0].why


@pytest.mark.parametrize(
    "dirt, word, other",
    [
        ({"noise": 8.0}, "noise", "depth first"),
        ({"blockiness": 0.6}, "compression", "depth first"),
        ({"flicker": 5.0}, "flicker", "upscale last"),
    ],
)
def test_dirty_source_is_cleaned_first_by_vsr(host, dirt, word, other):
    found = advised(host, **dirt)
    assert found.order == "default" and found.kinds[0] == "vsr" and found.alternative.value == other
    assert all(word in why for why in (found.choices[0].why, found.alternative.why))


def test_upscaled_file_is_reduced_to_its_native_size(host):
    found = advised(host, resolution=540.0)
    assert found.options["extract"] == {"max_side": 960} and "540" in next(
        choice.why for choice in found.choices if choice.what == "size"
    )
    assert "extract" not in advised(host, resolution=1000.0).options


def test_uncertain_findings_decide_nothing(host):
    unsure = {
        "resolution": Finding(300.0, "lines", "Cannot be determined.", False),
        "noise": Finding(9.0, "levels", "Cannot be determined.", False),
    }
    found = verdict(HD, {**{name: Finding(value, "", "") for name, value in CLEAN.items()}, **unsure}, host)
    assert found.order == "upscale before depth" and "extract" not in found.options


def test_4k_is_not_upscaled(host):
    found = advised(host, ClipInfo(3840, 2160, Fraction(25), 100), resolution=2160.0)
    assert found.options["vsr"] == {"factor": 1.0}


def test_smooth_film_is_not_interpolated_and_repeats_are_skipped(host):
    fast = HD.replace(fps=Fraction(60))
    assert (
        "interpolate" not in advised(host, fast).kinds
        and value_of(advised(host, fast), "interpolation") == "none"
    )
    assert advised(host, fast, duplicates=0.5).options["interpolate"]["duplicates"] == "smooth"


def test_large_motion_is_estimated_at_half_size(host):
    assert advised(host, large_motion=90.0).options["interpolate"]["scale"] == "0.5"
    assert "scale" not in advised(host).options.get("interpolate", {})


@pytest.mark.parametrize(
    "found",
    [{}, {"noise": 9.0, "duplicates": 0.2}, {"resolution": 400.0, "flicker": 4.0}, {"interlaced": 1.0}],
)
@pytest.mark.parametrize(
    "info",
    [HD, HD.replace(width=176, height=144), HD.replace(width=7680, height=4320, fps=Fraction(60))],
    ids=str,
)
def test_advice_is_a_valid_order_with_valid_options(host, info, found):
    made = advised(host, info, **{"resolution": float(info.height), **found})
    graph = orders.api(("extract", *made.kinds, "encode"))
    for node in graph.values():
        declared = BY_ID[node["class_type"]]
        known = {option.name: option for option in declared.options}
        for name, value in made.options.get(declared.kind, {}).items():
            known[name].check(value)
    assert set(made.options) <= {BY_ID[node["class_type"]].kind for node in graph.values()}
    assert all(choice.value and choice.why for choice in (*made.choices, made.alternative))


@pytest.mark.parametrize("name, lines", [("bigbuckbunny.mp4", 540), ("carphone_pristine.mp4", 144)])
def test_real_clips_are_recognised(name, lines, host, measured_clip):
    """Both are clean. One was upscaled, and repeats a frame a second because it was made for 24 fps."""
    measured = measured_clip(name)
    found = verdict(measured.info, measured.findings, host)
    assert (
        found.order == "upscale before depth" and abs(measured.findings["resolution"].value / lines - 1) < 0.1
    )
    assert ("extract" in found.options) == (lines < measured.info.height)


def test_terminal_writes_page_report_and_a_workflow_that_runs(real_clip, tmp_path, capsys):
    folder = tmp_path / "advice"
    clip = str(real_clip("carphone_pristine.mp4"))
    words = ["--output", str(folder), "--samples", "2", "--calibration", "1", "--device", "cpu"]
    assert main(["advise", clip, *words]) == 0
    printed = capsys.readouterr().out
    assert (
        "192x144" in printed and "Recommended: extract → " in printed and "Cost: On this machine" in printed
    )
    figures = json.loads((folder / "advice.json").read_text())
    assert set(CLEAN) <= set(figures["source"]["findings"]) and figures["cost"]["seconds"] > 0
    shown = Image.open(folder / "advice.png")
    assert json.loads(shown.text["workflow"]) == json.loads((folder / "workflow.json").read_text())
    graph = workflow.read(folder / "workflow.api.json")
    assert graph["1"]["inputs"]["video"] == "carphone_pristine.mp4"
    words = ["--input", clip, "--output", str(tmp_path / "made.mp4"), "--device", "cpu"]
    assert main(["run", str(folder / "workflow.api.json"), *words, "--set", "extract.duration=0.1"]) == 0


def test_workflow_opens_what_was_measured(real_clip, host):
    clip = extract.open_file(
        real_clip("carphone_pristine.mp4"),
        resolve(extract.OPTIONS, {"start": 1, "duration": 1, "max_side": 88}),
        "Extract",
    )
    found = advise(clip, resolve(OPTIONS, {"samples": 1, "calibration": 0}), host, "a part")
    opened = found.graph["1"]["inputs"]
    assert (
        opened["duration"] == pytest.approx(1, abs=0.04)
        and opened["start"] == pytest.approx(1, abs=0.04)
        and opened["max_side"] == 88
    )


def test_stereo_pair_is_refused(tensor_clip, host):
    stereo = Plan("stereo", {"model": "builtin"}, "stereo")
    pair = apply(stereo, tensor_clip(), tensor_clip(channels=1))["clip"]
    with pytest.raises(ValueError, match="Connect the source"):
        advise(pair, resolve(OPTIONS, {}), host, "a pair")


def test_reasons_are_correct_without_interpolation(host):
    found = advised(host, HD.replace(fps=Fraction(60)))
    assert "quarter" not in found.choices[0].why and found.alternative.value == "upscale last"


def test_black_frames(tensor_clip, host):
    images = torch.zeros(24, 48, 64, 3)
    images[12:] = torch.rand(12, 48, 64, 3, generator=torch.Generator().manual_seed(0))
    for clip in (tensor_clip(images), tensor_clip(images[:12]), tensor_clip(torch.rand(3, 8, 8, 3))):
        assert set(CLEAN) <= set(measure(clip, host, samples=3).findings)


def test_figures_as_json(real_clip, tmp_path, capsys):
    clip = str(real_clip("carphone_pristine.mp4"))
    main(["advise", clip, "--output", str(tmp_path), "--samples", "1", "--calibration", "0", "--json"])
    assert json.loads(capsys.readouterr().out)["cost"] is None


def test_missing_file_error(tmp_path, capsys):
    assert main(["advise", str(tmp_path / "no.mp4")]) == 1
    assert "There is no file" in capsys.readouterr().err
