"""The file cache: facts are found once, found again when a file changes, and shared."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stereoreel.core.clip import Clip
from stereoreel.core.file_cache import FileCache
from stereoreel.film import cuts
from stereoreel.media.read.decode import FileSource
from stereoreel.models.headless import Headless
from stereoreel.models.intact import digest
from tests.support.media_files import moving, write_video


class Reader:
    """Read files through a cache, and count how often."""

    def __init__(self, most: int = 128):
        self.files, self.reads = FileCache(most), 0

    def text(self, path: Path) -> str:
        return self.files.get(path, "text", lambda: self._read(path))

    def _read(self, path: Path) -> str:
        self.reads += 1
        return path.read_text()


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("one")
    return path


def test_file_is_read_once_under_all_its_names(path):
    reader, folder = Reader(), path.with_name("folder")
    folder.mkdir()
    names = path, path, folder / ".." / path.name
    assert [reader.text(name) for name in names] == ["one"] * 3 and reader.reads == 1


def test_changed_file_is_read_again(path):
    reader = Reader()
    reader.text(path)
    path.write_text("other")
    assert (reader.text(path), reader.reads) == ("other", 2)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        reader.text(path)


def test_cache_keeps_the_latest_files(path):
    reader, paths = Reader(most=2), [path.with_name(f"{number}.txt") for number in range(3)]
    for one in paths:
        one.write_text(one.stem)
    for number in (0, 1, 0, 2, 0):
        assert reader.text(paths[number]) == str(number)
    assert reader.reads == 3
    assert reader.text(paths[1]) == "1" and reader.reads == 4


def test_known_facts_are_accepted(path):
    reader = Reader()
    assert not reader.files.knows(path, "text")
    reader.files.put(path, "text", "known")
    assert (reader.files.knows(path, "text"), reader.text(path), reader.reads) == (True, "known", 0)


@pytest.fixture
def video(tmp_path) -> Path:
    return write_video(
        tmp_path / "a.mp4", np.concatenate([moving(20, 160, 96), 255 - moving(20, 160, 96)[:, ::-1] // 2])
    )


def test_video_is_probed_and_searched_once(video):
    files, ticks = FileCache(), []
    first = FileSource(video, files=files, tick=lambda done, total: ticks.append(done))
    assert not first.searched and first.info.cuts == (20,) and ticks
    ticks.clear()
    again = FileSource(video, files=files, tick=lambda done, total: ticks.append(done))
    assert again.facts is first.facts and again.searched and again.info.cuts == (20,) and not ticks
    assert not FileSource(video, files=files, sensitivity=0.4).searched
    assert not FileSource(video, files=files, start=0.4).searched
    assert not FileSource(video).searched


def test_stored_cuts_are_known_to_the_next_job(video, tmp_path):
    source = FileSource(video)
    cuts.write(tmp_path / "job", [Clip(source)])
    files = FileCache()
    cuts.read(tmp_path / "job", files)
    assert FileSource(video, files=files).searched
    [record] = json.loads((tmp_path / "job" / "cuts.json").read_text())
    assert record[-2:] == [list(source.info.cuts), []]


def test_hosts_of_one_job_hash_weights_once(tmp_path):
    path, files = tmp_path / "weights.pth", FileCache()
    torch.save({"weight": torch.zeros(3)}, path)
    hosts = [Headless("cpu", models=tmp_path, file_cache=files) for _ in range(2)]
    first = digest(path, hosts[0].file_cache)
    assert hosts[1].file_cache.get(path, "sha256", lambda: "hashed again") == first
    assert not Headless("cpu", models=tmp_path).file_cache.knows(path, "sha256")
