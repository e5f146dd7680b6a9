"""A job removes only its own files, and after any damage the same command completes the film."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from stereoreel.cli.main import main
from stereoreel.film import CLAIM, job_folder
from stereoreel.film.job_root import CUTS, MARK, PLANS, SHARED, alone
from tests.support.films import command, graph, hashes, make, source


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / "film.mp4")


@pytest.fixture(scope="module")
def wanted(video, tmp_path_factory):
    """Return the frames of an uninterrupted film."""
    path = tmp_path_factory.mktemp("wanted") / "film.mp4"
    make(video, path, keep=True)
    return hashes(path)


class Cancel(Exception):
    """Derive from Exception, as ComfyUI's does."""


@pytest.fixture(scope="module")
def interrupted(video, tmp_path_factory):
    """Return a job cancelled after two of its five units, to be copied."""
    path = tmp_path_factory.mktemp("interrupted") / "film.mp4"

    def tick(done, total):
        if done >= 50:
            raise Cancel

    with pytest.raises(Cancel):
        make(video, path, tick=tick)
    return job_folder(path)


@pytest.fixture
def path(interrupted, tmp_path):
    shutil.copytree(interrupted, job_folder(tmp_path / "film.mp4"))
    return tmp_path / "film.mp4"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# What a job may remove


@pytest.mark.parametrize(
    "foreign", ["thesis.txt", "sub/thesis.txt", "cuts.json", "units/00000.json", "0badf00d0bad/thesis.txt"]
)
def test_other_folder_is_refused(video, tmp_path, foreign):
    job = tmp_path / "out"
    (job / foreign).parent.mkdir(parents=True)
    (job / foreign).write_text("[]")
    with pytest.raises(FileExistsError, match="out is not empty and holds no job of StereoReel"):
        make(video, tmp_path / "film.mp4", folder=job)
    assert tree(tmp_path) == {f"out/{foreign}": b"[]"}


@pytest.mark.parametrize("what", ["file", "link to a file", "dangling link"])
def test_job_that_is_no_folder_is_refused(video, tmp_path, what):
    (tmp_path / "thesis.txt").write_text("mine")
    job = tmp_path / "out"
    if what == "file":
        job = tmp_path / "thesis.txt"
    else:
        os.symlink("thesis.txt" if what == "link to a file" else "nowhere", job)
    with pytest.raises(NotADirectoryError, match="a job needs a folder"):
        make(video, tmp_path / "film.mp4", folder=job)
    assert tree(tmp_path)["thesis.txt"] == b"mine" and not (tmp_path / "nowhere").exists()


def test_foreign_files_in_a_job_are_kept(path, video, wanted):
    """The film itself may be there too."""
    job = job_folder(path)
    [identity] = job.glob("*/")
    notes = [
        job / "thesis.txt",
        job / "sub" / "a.nut",
        identity / "mine.json",
        identity / "units" / "holiday.nut",
        identity / "units" / "00001.txt",
        identity / "units" / "unit-12345678x" / "00000.json",
        identity / "units" / "00001.0.nut.part",
        identity / "units" / "album" / "00000.0.nut",
    ]
    for note in notes:
        note.parent.mkdir(exist_ok=True)
        note.write_text("mine")
    assert make(video, job / "film.mp4", folder=job) == [job / "film.mp4"]
    assert [path for path in sorted(job.rglob("*")) if path.is_file()] == sorted(
        [*notes, job / "film.mp4", job / MARK]
    )
    assert all(note.read_text() == "mine" for note in notes)


@pytest.mark.parametrize("which", ["identity", "units", "a unit of a worker"])
def test_links_in_a_job_are_not_followed(path, video, which, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    for name in ("00000.json", "00007.0.nut", "job.json", "unit"):
        (album / name).write_text("mine")
    [identity] = job_folder(path).glob("*/")
    place = {
        "identity": identity,
        "units": identity / "units",
        "a unit of a worker": identity / "units" / "unit-abcdefgh",
    }[which]
    if place.exists():
        shutil.rmtree(place)
    os.symlink(album, place)
    before = tree(album)
    if which == "a unit of a worker":
        make(video, path)
    else:
        with pytest.raises(FileExistsError, match="is a link, but a job needs a folder there"):
            make(video, path)
    assert tree(album) == before


def test_finished_job_empties_its_folder(video, tmp_path):
    (tmp_path / "out").mkdir()
    make(video, tmp_path / "out" / "film.mp4", folder=tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["film.mp4"]


@pytest.mark.parametrize("name", [MARK, CUTS, PLANS, "job.json"])
def test_part_that_a_killed_process_left_is_removed(video, path, name):
    root = job_folder(path)
    folder = next(root.glob("*/job.json")).parent if name == "job.json" else root
    part = folder / f"{name}.0a1b2c3d.part"
    part.write_text("half")
    (root / SHARED).touch()
    other = root / "notes.0a1b2c3d.part"
    other.touch()
    make(video, path, keep=True)
    assert not part.exists() and not (root / SHARED).exists() and other.exists()


def test_jobs_of_a_folder_write_one_after_another(tmp_path, monkeypatch):
    with alone(tmp_path):
        monkeypatch.setattr("stereoreel.film.job_root.WAIT", 0.1)
        with pytest.raises(BlockingIOError, match="in use by process"), alone(tmp_path):
            pass
    with alone(tmp_path):
        pass
    assert not os.listdir(tmp_path)


# A film that is complete


@pytest.mark.parametrize("killed", [False, True], ids=["finished", "killed between completion and exit"])
def test_same_command_recognises_its_film(video, tmp_path, capsys, monkeypatch, killed):
    film = tmp_path / "film.mp4"
    if killed:
        monkeypatch.setattr("stereoreel.film.job.Job.forget", lambda job: None)
    assert main(command(tmp_path, video, film)) == 0
    monkeypatch.undo()
    assert job_folder(film).exists() == killed
    before = film.read_bytes(), film.stat().st_mtime_ns
    monkeypatch.setattr("stereoreel.film.segment.Maker.make", lambda *_: pytest.fail("a unit was computed"))
    for more in ([], ["--overwrite"]):
        assert main([*command(tmp_path, video, film), *more]) == 0
        said = capsys.readouterr()
        assert f"{film} is already complete." in said.err and said.out.splitlines()[-1] == str(film)
    assert (film.read_bytes(), film.stat().st_mtime_ns) == before and not job_folder(film).exists()


@pytest.mark.parametrize("change", ["option", "source", "truncated", "another film"])
def test_other_film_is_not_recognised(video, tmp_path, capsys, change):
    film, words = tmp_path / "film.mp4", command(tmp_path, video, tmp_path / "film.mp4")
    assert main(words) == 0
    if change == "option":
        words += ["--set", "stereo.divergence=1"]
    elif change == "source":
        words[words.index("--input") + 1] = str(source(tmp_path / "other.mp4", seed=9))
    elif change == "truncated":
        film.write_bytes(film.read_bytes()[:-2000])
    else:
        film.write_bytes(video.read_bytes())
    before = film.read_bytes()
    assert main(words) == 1
    assert (
        "already exists" in capsys.readouterr().err
        and film.read_bytes() == before
        and not job_folder(film).exists()
    )
    assert main([*words, "--overwrite"]) == 0 and film.read_bytes() != before


def test_film_of_two_files_is_complete_with_both(video, tmp_path, capsys):
    words = [*command(tmp_path, video, tmp_path / "film_L.mp4"), "--set", "encode.layout=two_files"]
    assert main(words) == 0 and main(words) == 0
    assert "already complete" in capsys.readouterr().err
    (tmp_path / "film_R.mp4").unlink()
    assert main(words) == 0 and (tmp_path / "film_R.mp4").exists()


def test_claim_is_a_tag_of_the_file(video, tmp_path):
    import av

    make(video, tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as file:
        assert re.fullmatch(r"\w{12}-0", file.metadata[CLAIM])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("lost", [50, 2000])
def test_truncated_film_is_not_complete(video, tmp_path, suffix, lost):
    """Its frames may be complete, but not its audio or its index."""
    film, made = tmp_path / f"film{suffix}", graph(format="h264" if suffix == ".mp4" else "ffv1")
    make(video, film, made)
    os.truncate(film, film.stat().st_size - lost)
    before = film.read_bytes()
    with pytest.raises(FileExistsError, match="already exists"):
        make(video, film, made)
    assert film.read_bytes() == before


def test_second_file_belongs_to_its_film(video, tmp_path):
    two = graph(layout="two_files")
    make(video, tmp_path / "m.mp4", two)
    before = (tmp_path / "m_R.mp4").read_bytes()
    with pytest.raises(FileExistsError, match=r"m_R\.mp4 already exists"):
        make(video, tmp_path / "m_R.mp4", two)
    assert (tmp_path / "m_R.mp4").read_bytes() == before


def test_existing_files_of_a_film_are_not_rewritten(video, tmp_path):
    two = graph(layout="two_files")
    make(video, tmp_path / "m.mp4", two)
    before = (tmp_path / "m.mp4").stat().st_mtime_ns
    (tmp_path / "m_R.mp4").unlink()
    assert make(video, tmp_path / "m.mp4", two) == [tmp_path / "m.mp4", tmp_path / "m_R.mp4"]
    assert (tmp_path / "m.mp4").stat().st_mtime_ns == before and (tmp_path / "m_R.mp4").exists()


@pytest.mark.parametrize("job", ["film.mp4", "film.mp4/job", "film_depth.mp4"])
def test_output_inside_the_job_is_refused(video, tmp_path, job):
    made = graph()
    made["4"]["inputs"]["depth"] = ["2", 0]
    with pytest.raises(IsADirectoryError, match="would be both a file and a folder"):
        make(video, tmp_path / "film.mp4", made, folder=tmp_path / job)
    assert list(tmp_path.iterdir()) == []


def test_journal_that_is_a_link_is_not_followed(path, video, wanted, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    [journal] = job_folder(path).glob("*/journal.txt")
    journal.unlink()
    os.symlink(tmp_path / "thesis.txt", journal)
    make(video, path, keep=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine" and hashes(path) == wanted


# Damage


DAMAGE = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "list": lambda data: b"[]",
    "object": lambda data: b"{}",
    "null": lambda data: b"null",
    "number": lambda data: b"7",
    "text": lambda data: b'"x"',
    "not JSON": lambda data: b"<html>",
    "not UTF-8": lambda data: b'{"\xff": 1}',
    "nulls": lambda data: bytes(len(data)),
    "nested": lambda data: b"[" * 100_000,
    "list of lists": lambda data: b"[[], [1, 2, 3], [null]]",
    "huge number": lambda data: b"1" * 10_000,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "file",
    ["cuts.json", "*/job.json", "*/units/00000.json", "*/units/00000.0.nut", "*/journal.txt", MARK, "*/lock"],
)
def test_corrupt_job_resumes(path, video, wanted, file, damage):
    [spoilt] = job_folder(path).glob(file)
    spoilt.write_bytes(DAMAGE[damage](spoilt.read_bytes()))
    if file == "*/lock" and damage not in ("empty", "truncated"):
        with pytest.raises(FileExistsError, match="is not a lock of StereoReel"):
            make(video, path)
        return
    make(video, path, keep=True)
    assert hashes(path) == wanted


def changed(record: Path, **changes) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"units": []},
        {"units": [[0, 76, 0, 76, 9]]},
        {"units": [[0, 10, 0, 10]]},
        {"units": [[0, 999, 0, 999]]},
        {"units": [[5, 84, 5, 84]]},
        {"units": [[0, 84.0, 0, 84]]},
        {"units": "x"},
        {"units": None},
        {"identity": {}},
        {"identity": []},
        {"identity": {"made": 3}},
        {"identity": None},
        {"format": None},
        {"format": "1"},
    ],
    ids=str,
)
def test_wrong_manifest_is_rewritten(path, video, wanted, changes):
    [manifest] = job_folder(path).glob("*/job.json")
    changed(manifest, **changes)
    if "format" in changes:
        with pytest.raises(ValueError, match="made by another version of StereoReel"):
            make(video, path)
        return
    make(video, path, keep=True)
    assert hashes(path) == wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": [0, 20, 0, 21]},
        {"unit": []},
        {"unit": None},
        {"files": []},
        {"files": None},
        {"files": [{}]},
        {"files": [None]},
        {"files": [{"name": "../../../thesis.txt", "bytes": 4, "sha256": "x", "ahead": 0}]},
        {"frames": [[]]},
        {"frames": [["x"]]},
        {"frames": 3},
        {"frames": [[], []]},
        {"seconds": "x"},
        {"costs": []},
        {"costs": {"a": None}},
        {"more": 1},
    ],
    ids=str,
)
def test_wrong_record_is_recomputed(path, video, wanted, changes, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    [record] = job_folder(path).glob("*/units/00000.json")
    changed(record, **changes)
    said = []
    make(video, path, keep=True, said=said)
    assert (
        said[0].startswith("Unit 0 ")
        and hashes(path) == wanted
        and (tmp_path / "thesis.txt").read_text() == "mine"
    )


@pytest.mark.parametrize(
    "files",
    [
        lambda files: files[:1],
        lambda files: [*files, files[0]],
        lambda files: [{**one, "ahead": -9} for one in files],
        lambda files: files[::-1],
    ],
)
def test_record_with_other_files_is_recomputed(video, tmp_path, files):
    path, made = tmp_path / "film_L.mp4", graph(layout="two_files")
    make(video, path, made, keep=True)
    [record] = job_folder(path).glob("*/units/00000.json")
    changed(record, files=files(json.loads(record.read_text())["files"]))
    path.unlink()
    said = []
    make(video, path, made, keep=True, said=said)
    assert said[0].startswith("Unit 0 ") and path.exists()


def test_other_corrupt_job_is_ignored(path, video):
    [manifest] = job_folder(path).glob("*/job.json")
    facts = json.loads(manifest.read_text())
    del facts["identity"]["encode"]
    manifest.write_text(json.dumps(facts))
    said = []
    make(video, path, graph(crf=30), said=said)
    assert path.exists()


def test_record_of_another_unit_is_recomputed(path, video, wanted):
    one, other = sorted(job_folder(path).glob("*/units/0000?.json"))
    other.write_bytes(one.read_bytes())
    said = []
    make(video, path, keep=True, said=said)
    assert said[0].startswith("Unit 1 ") and hashes(path) == wanted


@pytest.fixture(scope="module")
def searched(video, tmp_path_factory):
    """Return the frames of a film with detected cuts, and its folder, in which only the cuts are stored."""
    folder = tmp_path_factory.mktemp("searched")
    searching = graph()
    searching["1"]["inputs"]["cuts"] = True
    del searching["2"]["inputs"]["cuts"]
    (folder / "graph.json").write_text(json.dumps(searching))
    assert main(film_command(folder, video)) == 0
    frames = hashes(folder / "film.mp4")
    shutil.rmtree(next(job_folder(folder / "film.mp4").glob("*/")))
    (folder / "film.mp4").unlink()
    return frames, folder


def film_command(folder: Path, video: Path) -> list[str]:
    output = ["--output", str(folder / "film.mp4"), "--keep-job", "--verify", "--device", "cpu"]
    return ["film", str(folder / "graph.json"), "--input", str(video), *output]


@pytest.mark.parametrize(
    "places", [[3, 2], [0, 5], [-1], [10**30], ["x"], [1.5], [True], "abc", None, [99999]]
)
def test_impossible_cuts_are_detected_again(video, searched, tmp_path, places):
    """Cuts are detected in the source, so that the stored ones matter."""
    detected_again(video, searched, tmp_path, lambda file, cuts, bars: [*file, places, bars])


@pytest.mark.parametrize("bars", [[1], [[0, 1, 2, 3]], [[0, 1, 1, -1, 0]], [[0, 1.5, 1, 0, 0]], "abc", None])
def test_impossible_bars_are_detected_again(video, searched, tmp_path, bars):
    detected_again(video, searched, tmp_path, lambda file, cuts, _: [*file, cuts, bars])


def detected_again(video, searched, tmp_path, changed):
    """Run a film again whose job holds changed places; it must be as before, and so must the record."""
    frames, folder = searched
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    record = job_folder(tmp_path / "film.mp4") / "cuts.json"
    known = json.loads(record.read_text())
    *file, cuts, bars = known[0]
    assert cuts
    record.write_text(json.dumps([changed(file, cuts, bars)]))
    assert main(film_command(tmp_path, video)) == 0
    assert hashes(tmp_path / "film.mp4") == frames
    assert json.loads(record.read_text()) == known
