"""What canvas and terminal say of the models on a machine, and of those it could have."""

import pytest

from stereoreel.cli.main import main
from stereoreel.models import catalog
from stereoreel.models.overview import overview, recommended
from tests.support.weights_shop import TINY, publish


@pytest.fixture
def put(host):
    def save(kind: str, name: str) -> None:
        path = host.folder(kind) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TINY)

    return save


def test_a_machine_without_weights_runs_builtin_and_is_offered_free_models(host):
    for kind, facts in overview(host).items():
        assert set(facts["auto"].values()) == {"builtin"}
        offered = catalog.models(kind)[facts["recommended"]["quality"]]
        assert offered.commercial and all(part.url for part in offered.parts.values())
    depth = overview(host)["depth"]
    assert depth["recommended"]["quality"] == "video-depth-anything-small"
    model = depth["models"]["video-depth-anything-small"]
    assert model["title"] == "Video Depth Anything Small" and model["license"] == "Apache-2.0"
    assert model["offer"]["size"] == "116 MB" and model["offer"]["source"] == "huggingface.co"
    assert depth["models"]["builtin"]["brief"] == "a guess from motion and layout"


def test_a_model_that_is_here_is_chosen_and_no_longer_offered(host, put, monkeypatch):
    publish(monkeypatch, "depth", "video-depth-anything-small", TINY)
    put("depth", "video_depth_anything_vits.pth")
    depth = overview(host)["depth"]
    assert depth["auto"]["quality"] == depth["recommended"]["quality"] == "video-depth-anything-small"
    model = depth["models"]["video-depth-anything-small"]
    assert model["missing"] == [] and model["offer"] is None and not model["fault"]


def test_a_corrupt_file_is_reported_and_never_replaced_unasked(host, put):
    put("depth", "video_depth_anything_vits.pth")  # smaller than the published one
    model = overview(host)["depth"]["models"]["video-depth-anything-small"]
    assert "video_depth_anything_vits.pth" in model["fault"] and model["offer"] is None
    assert recommended("depth", host).name != "video-depth-anything-small"


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_no_reason_praises_weights_that_are_not_there(kind, host):
    entry, reason = catalog.pick(kind, "auto", host)
    assert entry.parts == {} and "the best" not in reason and "with its weights present" not in reason


def test_every_model_without_weights_says_what_it_does_and_every_other_has_a_title():
    for kind in catalog.KINDS:
        for entry in catalog.models(kind).values():
            if entry.arch == "builtin" and len(catalog.models(kind)) > 1:
                assert entry.brief and not entry.brief.endswith(".")
            elif entry.arch != "builtin":
                assert entry.title


def test_the_terminal_lists_what_it_recommends_without_fetching(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("STEREOREEL_MODELS", str(tmp_path))
    monkeypatch.setattr("stereoreel.models.headless.enclosing_models", lambda: None)
    monkeypatch.setattr("stereoreel.models.headless.best_device", lambda: "cpu")
    assert main(["fetch", "--recommended", "--list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:-1]] == ["upscale", "vsr", "interpolate", "depth"]
    assert "Video Depth Anything Small" in said[3] and "Apache-2.0" in said[3] and "116 MB" in said[3]
    assert said[-1] == "to download in all: 144 MB" and list(tmp_path.iterdir()) == []
