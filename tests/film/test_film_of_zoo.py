"""A film in units of a file with edit lists, a jumping clock or separate fields is that of one run."""

import warnings

import pytest

from tests.media import zoo
from tests.media.workshop import Workshop, reference
from tests.support.films import facts, hashes, make, run


@pytest.mark.parametrize(
    "name", ["edit-two.mp4", "edit-back.mp4", "jump-0.ts", "fields.ts", "pause-65.avi", "gaps-last.ts"]
)
def test_units_of_unusual_files_are_those_of_one_run(name, tmp_path):
    graph = {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "cuts": False}},
        "2": {
            "class_type": "StereoReelInterpolate",
            "inputs": {"clip": ["1", 0], "model": "builtin", "quality": "fast", "cuts": "9, 20, 31"},
        },
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["2", 0], "speed": "fast"}},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the jump
        video = zoo.ZOO[name].make(Workshop(tmp_path))
        make(video, tmp_path / "film.mp4", graph, keep=True)
        frames = run(video, tmp_path / "run.mp4", graph)
    assert hashes(tmp_path / "film.mp4") == frames
    assert facts(tmp_path / "film.mp4") == facts(tmp_path / "run.mp4")
    assert reference(tmp_path / "film.mp4") == reference(tmp_path / "run.mp4")
