"""The Python front: functions with the nodes' names, defaults, checks and frames."""

import hashlib
import inspect
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import stereoreel
from stereoreel.cli.main import main
from stereoreel.film import job_folder
from stereoreel.workflow.node_specs import NODES
from tests.support.media_files import moving, write_video

ROOT = Path(__file__).resolve().parents[1]
BY_KIND = {node.kind: node for node in NODES}
FUNCTIONS = {
    "open": "extract",
    "write": "encode",
    **{kind: kind for kind in ("upscale", "vsr", "interpolate", "depth", "stereo")},
}
OWN = {
    "open": {"video", "folder", "index"},
    "write": {"filename_prefix", "format", "save_to_temp", "device"},
}  # the path names them


@pytest.fixture
def film(tmp_path):
    """Twelve frames of 64x48 in two shots."""
    frames = np.concatenate([moving(6), 255 - moving(6)[:, ::-1]])
    return write_video(tmp_path / "film.mp4", frames, Fraction(25)) or tmp_path / "film.mp4"


@pytest.fixture
def clip(film):
    return stereoreel.open(film)


def hashes(path):
    """Return a hash of every decoded frame."""
    with av.open(str(path)) as file:
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in file.decode(video=0)]


def in_a_new_python(code: str) -> str:
    """Return the output of a program that does not inherit how the tests' threads wait."""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean, capture_output=True, text=True, check=True
    ).stdout


def test_import_starts_nothing_and_loads_no_torch():
    code = (
        "import os, sys, threading, json; before = dict(os.environ), threading.enumerate(), sys.path[:];"
        "import stereoreel; after = dict(os.environ), threading.enumerate(), sys.path[:];"
        "print(json.dumps([before[0] == after[0], before[1:] == after[1:],"
        "sorted({'torch', 'numpy', 'av', 'yaml'} & set(sys.modules)),"
        "sorted(set(stereoreel.__all__) - set(dir(stereoreel)))]))"
    )
    assert json.loads(in_a_new_python(code)) == [True, True, [], []]


def test_front_sets_no_variable():
    code = (
        "import os, torch; before = dict(os.environ);"
        "import stereoreel; stereoreel.open; print(before == dict(os.environ))"
    )
    assert in_a_new_python(code).strip() == "True"


def test_terminal_sets_thread_waiting_before_torch_loads():
    code = (
        "import os, sys\n"
        "class Asked:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'torch': print(os.environ.get('OMP_WAIT_POLICY'), flush=True); os._exit(0)\n"
        "sys.meta_path.insert(0, Asked())\n"
        "import stereoreel.__main__"
    )
    assert in_a_new_python(code).strip() == "PASSIVE"


def test_every_public_name_is_documented():
    asked = {
        "open",
        "upscale",
        "vsr",
        "interpolate",
        "depth",
        "stereo",
        "write",
        "frames",
        "live",
        "__version__",
    }
    assert asked <= set(stereoreel.__all__)
    for name in stereoreel.__all__:
        assert name == "__version__" or inspect.getdoc(getattr(stereoreel, name))
    assert not hasattr(stereoreel, "upscaled")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_names_and_defaults_match_the_nodes(name):
    function, node = getattr(stereoreel, name), BY_KIND[FUNCTIONS[name]]
    keywords = inspect.signature(function).parameters
    options = [option for option in node.options if option.name not in {"packed", *OWN.get(name, ())}]
    assert {option.name: option.default for option in options} == {
        option.name: keywords[option.name].default for option in options
    }
    left = set(keywords) - {option.name for option in options} - {socket.name for socket in node.inputs}
    assert left <= {"path", "format", "overwrite", "watch_on", "device", "host"}
    for option in options:
        assert f"\n{option.name}: {option.text.split()[0]}" in function.__doc__
    assert f"stereoreel.{name}(" in function.__doc__


def test_frames_equal_those_of_the_workflow(film, tmp_path):
    settings = [
        "vsr.factor=1.5",
        "interpolate.multiplier=3",
        "depth.smoothing=0.5",
        "stereo.divergence=4",
        "encode.format=ffv1",
    ]
    graph = json.loads((ROOT / "workflows" / "api" / "default.json").read_text(encoding="utf-8"))
    graph["6"]["inputs"]["depth"] = ["4", 0]
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    sets = [word for one in settings for word in ("--set", one)]
    terminal = [
        "run",
        str(tmp_path / "graph.json"),
        "--input",
        str(film),
        "--output",
        str(tmp_path / "terminal.mkv"),
    ]
    assert main([*terminal, "--device", "cpu", *sets]) == 0
    large = stereoreel.interpolate(stereoreel.vsr(stereoreel.open(film), factor=1.5), multiplier=3)
    depth = stereoreel.depth(large, smoothing=0.5)
    pair = stereoreel.stereo(large, depth, divergence=4)
    made = stereoreel.write(pair, tmp_path / "python.mkv", depth=depth, device="cpu")
    assert made == [tmp_path / "python.mkv", tmp_path / "python_depth.mkv"]
    for ending in ("", "_depth"):
        assert hashes(tmp_path / f"python{ending}.mkv") == hashes(tmp_path / f"terminal{ending}.mkv")


def test_interpolate_moves_a_depth_along(clip):
    smooth, depth = stereoreel.interpolate(
        clip, depth=stereoreel.depth(clip, model="builtin"), model="builtin", multiplier=2
    )
    assert (smooth.info.frames, depth.info.frames, depth.info.channels) == (24, 24, 1)
    assert isinstance(stereoreel.interpolate(clip), stereoreel.Clip)


def test_given_depth_runs_no_model(clip):
    given = stereoreel.from_tensor(torch.linspace(0, 1, 64).expand(12, 48, 64)[..., None], 25, cuts=False)
    seen = torch.cat(list(stereoreel.frames(stereoreel.depth(clip, depth=given), device="cpu")))
    assert seen.shape == (12, 48, 64, 1)
    assert seen[..., -8:, :].mean() > 0.8 > 0.2 > seen[..., :8, :].mean()


def test_frames_arrive_in_chunks_and_may_be_changed(clip):
    chunks = list(stereoreel.frames(clip, chunk_frames=5, device="cpu"))
    assert [len(chunk) for chunk in chunks] == [5, 5, 2] and chunks[0].dtype == torch.float32
    before = chunks[1].clone()
    chunks[0].zero_()
    assert torch.equal(chunks[1], before) and chunks[1].requires_grad_() is chunks[1]


def test_closing_frames_stops_every_stage(clip):
    ended = []

    def watched(chunks):
        try:
            yield from chunks
        finally:
            ended.append(True)

    chunks = stereoreel.frames(stereoreel.apply(clip, watched), chunk_frames=1, device="cpu")
    next(chunks)
    assert not ended
    chunks.close()
    assert ended == [True]


def test_custom_function_receives_each_shot_and_view(clip):
    calls = []

    def darker(chunks):
        calls.append(0)
        for chunk in chunks:
            calls[-1] += len(chunk)
            yield chunk / 2

    assert clip.info.cuts == (6,)
    pair = stereoreel.stereo(clip, stereoreel.depth(clip, model="builtin"))
    plain, dark = (
        torch.cat(list(stereoreel.frames(one, device="cpu")), 1)
        for one in (pair, stereoreel.apply(pair, darker))
    )
    assert torch.equal(dark, plain / 2) and calls == [6, 6, 6, 6]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (lambda chunks: (chunk[1:] for chunk in chunks), "5 frames were yielded for 6 taken"),
        (lambda chunks: iter(()), "0 frames were yielded for 6 taken"),
        (
            lambda chunks: (chunk[:, :8] for chunk in chunks),
            r"yield tensors \[T, 48, 64, 3\], not \[6, 8, 64, 3\]",
        ),
        (lambda chunks: (chunk.numpy() for chunk in chunks), "not ndarray"),
    ],
)
def test_custom_function_keeps_count_and_size(stage, said, clip):
    with pytest.raises(ValueError, match=f"<lambda>: .*{said}"):
        list(stereoreel.frames(stereoreel.apply(clip, stage), device="cpu", chunk_frames=6))


@pytest.mark.parametrize("kind", ["float", "uint8", "tensor"])
def test_tensor_as_a_clip(kind):
    images = moving(4)
    given = {"float": images / 255, "uint8": images, "tensor": torch.from_numpy(images).float() / 255}[kind]
    clip = stereoreel.from_tensor(given, 23.976)
    assert clip.info.fps == Fraction(24000, 1001) and (
        clip.info.width,
        clip.info.height,
        clip.info.frames,
    ) == (64, 48, 4)
    torch.testing.assert_close(
        torch.cat(list(stereoreel.frames(clip, device="cpu"))),
        torch.from_numpy(images) / 255,
        atol=1e-6,
        rtol=0,
    )


def test_pair_is_written_and_read_back(clip):
    pair = torch.cat(
        list(
            stereoreel.frames(stereoreel.stereo(clip, stereoreel.depth(clip, model="builtin")), device="cpu")
        ),
        1,
    )
    back = stereoreel.from_tensor(pair, 25)
    assert (back.info.views, back.info.width, back.info.frames) == (2, 64, 12)
    assert torch.equal(torch.cat(list(stereoreel.frames(back, device="cpu")), 1), pair)


def test_audio_of_a_tensor_and_of_another_clip(clip, tmp_path):
    images, tone = moving(10), 0.5 * torch.sin(torch.arange(9600) / 20).expand(2, -1)
    loud = stereoreel.from_tensor(images, 25, audio=(tone, 24000))
    [path] = stereoreel.write(
        stereoreel.from_tensor(images, 25), tmp_path / "loud.mkv", audio=loud, device="cpu"
    )
    with av.open(str(path)) as file:
        heard = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    loudest = np.abs(heard).max() / (np.iinfo(heard.dtype).max if heard.dtype.kind == "i" else 1)
    assert 0.4 < loudest < 0.6
    with pytest.raises(ValueError, match="has no audio"):
        stereoreel.write(loud, tmp_path / "silent.mkv", audio=clip)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "h264"), ("a.MOV", "prores"), ("a.mkv", "ffv1"), ("a.webp", "webp"), ("a.gif", "gif")],
)
def test_suffix_selects_the_format(name, codec, clip, tmp_path):
    [path] = stereoreel.write(clip, tmp_path / name, device="cpu")
    assert path == tmp_path / name and path.stat().st_size
    if codec != "webp":  # FFmpeg cannot read animated ones
        with av.open(str(path)) as file:
            assert file.streams.video[0].codec_context.name == codec


def test_long_film_uses_units_and_resumes(clip, tmp_path):
    """``resume`` is the node's; the function has it as an argument."""
    path, seen = tmp_path / "film.mkv", []

    def stop(done, total):
        seen.append(done)
        if done >= 6:
            raise KeyboardInterrupt

    options = {"resume": "on", "format": "ffv1"}
    with pytest.raises(KeyboardInterrupt):
        stereoreel.write(clip, path, host=stereoreel.Headless("cpu", on_tick=stop), **options)
    assert not path.exists() and job_folder(path).is_dir()
    assert stereoreel.write(clip, path, device="cpu", **options) == [path] and not job_folder(path).exists()
    [whole] = stereoreel.write(clip, tmp_path / "whole.mkv", device="cpu", resume="off")
    assert hashes(path) == hashes(whole)
    with pytest.raises(ValueError, match="your own function identity cannot be resumed"):

        def identity(chunks):
            yield from chunks

        stereoreel.write(stereoreel.apply(clip, identity), tmp_path / "own.mkv", **options)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (
            lambda clip: stereoreel.depth(clip, modle="auto"),
            TypeError,
            r"depth\(\) has no keyword 'modle'; did you mean 'model'\?",
        ),
        (lambda clip: stereoreel.open("sample", durations=1), TypeError, "did you mean 'duration'"),
        (
            lambda clip: stereoreel.write(clip, "a.mp4", filename_prefix="b"),
            TypeError,
            "no keyword 'filename_prefix'",
        ),
        (
            lambda clip: stereoreel.depth(clip, smoothing=3),
            ValueError,
            "Estimate Depth: smoothing must be between 0.0 and 1.0, not 3",
        ),
        (
            lambda clip: next(stereoreel.frames(stereoreel.depth(clip, model="midas"), device="cpu")),
            ValueError,
            "Estimate Depth: Unknown depth model 'midas'",
        ),
        (
            lambda clip: stereoreel.stereo(clip, None),
            ValueError,
            "Stereo Pair: nothing is connected to depth",
        ),
        (
            lambda clip: stereoreel.stereo(clip, clip, view="up"),
            ValueError,
            "view must be one of both, left, right",
        ),
        (
            lambda clip: stereoreel.upscale(torch.rand(1, 8, 8, 3)),
            TypeError,
            "clip takes a clip, not Tensor. Create one with open",
        ),
        (lambda clip: stereoreel.frames("film.mp4"), TypeError, "clip takes a clip, not str"),
        (
            lambda clip: stereoreel.open("nowhere.mp4"),
            FileNotFoundError,
            "Extract Video: There is no file nowhere.mp4",
        ),
        (
            lambda clip: stereoreel.open(torch.rand(1, 8, 8, 3)),
            TypeError,
            "not Tensor. Use from_tensor for frames",
        ),
        (lambda clip: stereoreel.open("nowhere.mp4", max_side=-2), ValueError, "max_side must be between"),
        (
            lambda clip: stereoreel.from_tensor(torch.rand(8, 8, 3)),
            ValueError,
            r"not torch.float32 \[8, 8, 3\]",
        ),
        (
            lambda clip: stereoreel.write(clip, "a.mov", format="h264"),
            ValueError,
            "The format h264 writes .mp4 files, not a.mov. Write to a.mp4",
        ),
        (
            lambda clip: stereoreel.write(clip, "a.avi"),
            ValueError,
            "a.avi implies no format. Use one of the suffixes .mp4, .mov, .mkv",
        ),
        (lambda clip: stereoreel.write(clip, "a"), ValueError, "a implies no format"),
        (
            lambda clip: stereoreel.write(clip, "a.mp4", layout="rgbd"),
            ValueError,
            "Connect a depth clip to the depth input",
        ),
        (
            lambda clip: stereoreel.write(
                stereoreel.upscale(clip, model="realesrgan-x2plus"), "a.mp4", device="cpu"
            ),
            FileNotFoundError,
            "RealESRGAN Upscale: realesrgan-x2plus needs RealESRGAN_x2plus.pth",
        ),
    ],
)
def test_errors_leave_no_file(call, kind, said, clip, tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(kind, match=said):
        call(clip)
    assert not list(empty.iterdir())


def test_source_and_finished_file_are_safe(clip, film, tmp_path):
    before = film.read_bytes()
    with pytest.raises(ValueError, match="is a file that this job reads"):
        stereoreel.write(clip, film, overwrite=True, device="cpu")
    (tmp_path / "there.mp4").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        stereoreel.write(clip, tmp_path / "there.mp4", device="cpu")
    assert film.read_bytes() == before and (tmp_path / "there.mp4").read_bytes() == b"mine"
