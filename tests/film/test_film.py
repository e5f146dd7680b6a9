"""A film in units: finished units are kept, and the frames equal those of an uninterrupted run."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from stereoreel.cli.main import main
from stereoreel.core import partition
from stereoreel.core.clip import apply
from stereoreel.core.transforms import Recut
from stereoreel.film import FilmSettings, Unfinished, film, job_folder, resumes
from stereoreel.film import run as film_run
from stereoreel.media.bits import sized
from stereoreel.media.multiview import nal_units
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from stereoreel.stages.interpolate import builtin as interpolation
from tests.support.films import SHOTS, command, facts, graph, hashes, make, run, sink, source
from tests.support.hearing import Hearing
from tests.support.media_files import moving, write_video

FRAMES = 2 * sum(SHOTS)


class Cancel(Exception):
    """Derive from Exception, as ComfyUI's does."""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / "film.mp4")


def until(frames):
    """Return a tick that cancels after this many frames."""

    def tick(done, total):
        if done >= frames:
            raise Cancel

    return tick


@pytest.mark.parametrize(
    "encode",
    [
        {},
        {"format": "hevc", "layout": "half_sbs"},
        {"format": "prores"},
        {"format": "ffv1", "layout": "full_tb"},
        {"format": "mv_hevc"},
        {"format": "mv_hevc_mp4", "layout": "vr180"},
        {"device": "tv_3d_tb"},
    ],
    ids=str,
)
def test_file_equals_an_uninterrupted_run(video, tmp_path, encode):
    suffix = {"prores": ".mov", "ffv1": ".mkv", "mv_hevc": ".mov"}.get(encode.get("format"), ".mp4")
    made, wanted = (tmp_path / f"{name}{suffix}" for name in ("film", "run"))
    frames = run(video, wanted, graph(**encode))
    assert make(video, made, graph(**encode), keep=True) == [made]
    assert hashes(made) == frames and len(frames) == FRAMES
    assert facts(made) == facts(wanted)


def test_cancelled_film_resumes(video, tmp_path):
    path, said = tmp_path / "film.mp4", []
    frames = run(video, tmp_path / "run.mp4")
    with pytest.raises(Cancel):
        make(video, path, tick=until(50))
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("film")] == ["film.mp4.job"]
    begun = []
    make(
        video,
        path,
        said=said,
        keep=True,
        observer=Hearing(chunk=lambda frames, shown: begun.append(frames)),
    )
    assert said == ["Resuming: 2 of 5 units are complete."]
    assert sum(begun) == FRAMES - 28  # the shots of 20 and 8 frames were there
    assert hashes(path) == frames and facts(path) == facts(tmp_path / "run.mp4")


def test_layers_of_a_resumed_film_are_those_of_its_units(video, tmp_path):
    path, made = tmp_path / "film.mov", graph(format="mv_hevc")
    with pytest.raises(Cancel):
        make(video, path, made, tick=until(50))
    make(video, path, made, keep=True)
    units = [pictures(unit) for unit in sorted(job_folder(path).glob("*/units/*.nut"))]
    found = pictures(path)
    assert found == [packet for unit in units for packet in unit] and len(units) == 5
    assert [layers for layers, _ in found] == [[0, 1]] * FRAMES
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"view_ids": "-1"}
        shown = [frame.pts * frame.time_base for frame in container.decode(stream)]
    assert shown == [Fraction(index, 50) for index in range(FRAMES) for _ in range(2)]


def pictures(path):
    """Return the layers and the bytes of the pictures in each packet."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            data = bytes(packet)
            units = sized(data, 4) if path.suffix == ".mov" else nal_units.units(data)
            coded = [unit for unit in units if nal_units.kind(unit) < nal_units.FIRST_NON_VCL]
            if packet.size:
                found.append(([nal_units.layer(unit) for unit in coded], coded))
    return found


def test_finished_job_is_removed(video, tmp_path):
    make(video, tmp_path / "film.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


def test_failed_unit_is_reported_and_the_others_continue(video, tmp_path, monkeypatch):
    path, said = tmp_path / "film.mp4", []
    real = interpolation.load

    def load(*given):
        stage = real(*given)

        class Failing:
            nets, joint = stage.nets, stage.joint

            def __call__(self, shot, *chunks):
                if shot.start == SHOTS[0]:
                    raise RuntimeError("the second shot is cursed")
                return stage(shot, *chunks)

        return Failing()

    monkeypatch.setattr(interpolation, "load", load)
    with pytest.raises(Unfinished, match=r"1 of 5 units are missing.*cursed.*Run it again"):
        make(video, path, said=said)
    assert said == ["Unit 1 (frames 20 to 27) failed: Interpolate Frames (node 2): the second shot is cursed"]
    assert not path.exists()
    monkeypatch.undo()
    make(video, path, said=said, keep=True)
    assert said[1:] == ["Resuming: 4 of 5 units are complete."]
    assert hashes(path) == run(video, tmp_path / "run.mp4")


def test_frames_are_hashed_on_request_alone(video, tmp_path):
    for number, words in enumerate(([], ["--verify"])):
        path = tmp_path / f"{number}.mp4"
        assert main([*command(tmp_path, video, path), "--keep-job", *words]) == 0
        records = [json.loads(file.read_text()) for file in job_folder(path).glob("*/units/*.json")]
        assert [bool(record["frames"]) for record in records] == [bool(words)] * len(records)
    assert hashes(path) == run(video, tmp_path / "run.mp4")


def test_corrupt_unit_is_recomputed(video, tmp_path):
    path, said = tmp_path / "film.mp4", []
    make(video, path, keep=True)
    frames, units = hashes(path), sorted(job_folder(path).glob("*/units/*.nut"))
    data = bytearray(units[1].read_bytes())
    data[len(data) // 2] ^= 255
    units[1].write_bytes(data)
    units[2].write_bytes(units[2].read_bytes()[:-1])
    units[3].unlink()
    record = units[4].with_suffix("").with_suffix(".json")
    record.write_text(record.read_text()[:40])
    path.unlink()
    make(video, path, said=said, keep=True)
    assert said == [
        *(f"Unit {number} is corrupt on disk and is recomputed." for number in (1, 2, 3, 4)),
        "Resuming: 1 of 5 units are complete.",
    ]
    assert hashes(path) == frames


def test_second_process_is_refused(video, tmp_path):
    path, refused = tmp_path / "film.mp4", []

    def tick(done, total):
        if not refused:
            with pytest.raises(
                BlockingIOError, match=r"film.mp4.job.* is in use by process \d+ on .*\. Wait for it"
            ) as error:
                make(video, path)
            refused.append(error)

    make(video, path, tick=tick)
    assert refused and path.exists()


def test_source_and_workflow_identify_a_job(video, tmp_path):
    path, said = tmp_path / "film.mp4", []
    with pytest.raises(Cancel):
        make(video, path, tick=until(30))
    with pytest.raises(Cancel):
        make(source(tmp_path / "other.mp4", seed=9), path, tick=until(30), said=said)
    with pytest.raises(Cancel):
        make(video, path, graph(crf=30), tick=until(30), said=said)
    assert "This is a new job, because the source changed. The units of the earlier one stay in" in said[0]
    assert any("crf of the encoder changed" in line for line in said[1:])
    make(video, path, said=said)
    assert said[-1] == "Resuming: 2 of 5 units are complete."
    assert path.exists() and len(list(job_folder(path).glob("*/job.json"))) == 2  # those of the other two


def test_unjoinable_formats_are_refused(video, tmp_path):
    with pytest.raises(ValueError, match="size_mb to 0"):
        make(video, tmp_path / "film.mp4", graph(size_mb=2))
    with pytest.raises(ValueError, match="Choose another format"):
        make(video, tmp_path / "film.webp", graph(format="webp"))


def test_separate_depth_and_view_files(video, tmp_path):
    made = graph(layout="two_files")
    made["4"]["inputs"]["depth"] = ["2", 0]
    job = sink(video, made)
    assert job.depth is not None
    files = make(video, tmp_path / "film_L.mp4", made)
    run(video, tmp_path / "run_L.mp4", made)
    assert [file.name for file in files] == ["film_L.mp4", "film_R.mp4", "film_L_depth.mp4"]
    for file in files:
        assert facts(file) == facts(tmp_path / file.name.replace("film", "run"))


def test_split_shot_equals_an_uninterrupted_run(video, tmp_path, monkeypatch):
    monkeypatch.setattr(partition, "LONGEST", 16)
    monkeypatch.setattr(partition, "LEAD", 4)
    path = tmp_path / "film.mp4"
    frames = run(video, tmp_path / "run.mp4")
    make(video, path, keep=True)
    assert hashes(path) == frames and facts(path) == facts(tmp_path / "run.mp4")
    # the shots of 20, 24 and 18 frames are two each
    assert len(list(job_folder(path).glob("*/units/*.nut"))) == 8


def test_variable_times_stay_exact(tmp_path):
    times, random = [Fraction(0)], np.random.default_rng(0)
    for _ in range(29):
        times.append(times[-1] + Fraction(int(random.integers(1, 4)), 90))
    video = write_video(tmp_path / "film.mp4", moving(30), times=times)
    made = {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "cuts": False}},
        "2": {"class_type": "StereoReelKeep", "inputs": {"clip": ["1", 0]}},
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["2", 0]}},
    }
    job = sink(video, made)
    clip = apply(Recut("7, 8, 20"), job.clip)["clip"]
    film(RenderRequest(clip, tmp_path / "made.mp4", job.settings), Headless("cpu"), FilmSettings(group=1))
    assert facts(tmp_path / "made.mp4")["frames"] == times
    run(video, tmp_path / "run.mp4", made)
    assert facts(tmp_path / "made.mp4") == facts(tmp_path / "run.mp4")


def test_long_films_from_files_use_units_automatically(video, monkeypatch, tensor_clip):
    def asked(**given):
        job = sink(video, graph(**given))
        return resumes(job.clip, job.settings)

    assert asked(resume="on") and not asked() and not asked(resume="off")
    monkeypatch.setattr(film_run, "LONG", 50)
    assert asked() and not asked(format="webp") and not asked(size_mb=3.0) and not asked(resume="off")
    assert not resumes(tensor_clip(frames=60), sink(video).settings)


def test_command(video, tmp_path, capsys):
    path, metrics = tmp_path / "film.mp4", tmp_path / "film.prom"
    words = command(tmp_path, video, path)
    assert main([*words, "--plan"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["    0  frames 0 to 19", "    1  frames 20 to 27"]
    assert main([*words, "--json", "--metrics", str(metrics), "--keep-job"]) == 0
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["units"] for one in figures] == [1, 2, 3, 4, 5]
    assert f"stereoreel_film_frames {FRAMES}\n" in metrics.read_text()
    assert main([*words, "--set", "encode.size_mb=3"]) == 1
    assert "Set size_mb to 0" in capsys.readouterr().err


def test_journal_and_figures(video, tmp_path):
    path, seen = tmp_path / "film.mp4", []
    make(video, path, keep=True, observer=Hearing(unit_done=lambda figures: seen.append(figures())))
    journal = next(job_folder(path).glob("*/journal.txt")).read_text().splitlines()
    assert (
        len(journal) == 7
        and journal[0].endswith(f"begun: {FRAMES} frames in 5 units")
        and "unit 0 (frames 0 to 19) made in" in journal[1]
    )
    assert [one["units"] for one in seen] == [1, 2, 3, 4, 5] and seen[-1]["frames"] == FRAMES
    assert seen[-1]["stages"]["Stereo Pair (node 3)"]["frames"] == FRAMES
    assert seen[-1]["bytes"] == seen[-1]["bytes_expected"] > 0 and seen[-1]["seconds_left"] == 0
