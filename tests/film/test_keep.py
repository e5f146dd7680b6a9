"""Keep Frames: stored frames are not recomputed when downstream options change, and are equal."""

from dataclasses import dataclass

import pytest
import torch

from stereoreel.core.clip import Clip, apply
from stereoreel.core.keep import Keep
from stereoreel.core.options import resolve
from stereoreel.core.transforms import Recut
from stereoreel.film import FilmSettings, film
from stereoreel.film.segment import frame_hashes
from stereoreel.media.read.decode import FileSource
from stereoreel.media.write.options import OPTIONS
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from tests.support.films import CUTS, hashes, source
from tests.support.hearing import Hearing

SEEN = []


@dataclass(frozen=True)
class Slow:
    """Depth that is slow; every frame of it is counted."""

    strength: float = 1.0
    label: str = "Slow"
    nets = ()
    joint = True

    def load(self, host):
        return self

    def describe(self, clip):
        return clip.replace(channels=1)

    def __call__(self, shot, chunks):
        for chunk in chunks:
            SEEN.append(chunk.shape[-4])
            yield chunk.mean(-1, keepdim=True) * self.strength


def pair(video, root, divergence=2.0, strength=1.0):
    clip = apply(Recut(CUTS), Clip(FileSource(video, cuts=False)))["clip"]
    depth = apply(Keep(str(root)), apply(Slow(strength), clip)["clip"])["clip"]
    stereo = Plan("stereo", {"model": "builtin", "divergence": divergence}, "stereo")
    return apply(stereo, clip, depth)["clip"]


def counted(make) -> int:
    SEEN.clear()
    make()
    return sum(SEEN)


@pytest.fixture
def video(tmp_path):
    return source(tmp_path / "in.mp4", sound=False)


def test_changed_divergence_computes_no_depth(video, tmp_path):
    host, settings = Headless("cpu"), resolve(OPTIONS, {"speed": "fast"})

    def make(**given):
        film(
            RenderRequest(pair(video, tmp_path / "kept", **given), tmp_path / "film.mp4", settings),
            host,
            FilmSettings(group=8, keep=True, verify=True),
        )
        (tmp_path / "film.mp4").unlink()

    assert counted(make) == 42
    assert counted(lambda: make(divergence=3.0)) == 0
    assert counted(lambda: make(strength=0.5)) == 42
    assert not list(tmp_path.rglob("*.part"))


def test_kept_frames_equal_computed_ones(video, tmp_path):
    host, settings, wanted = Headless("cpu"), resolve(OPTIONS, {"speed": "fast"}), []
    clip = pair(video, tmp_path / "kept")
    write(
        RenderRequest(clip, tmp_path / "run.mp4", settings),
        host,
        Hearing(chunk=lambda frames, shown: wanted.extend(frame_hashes(shown()[0]))),
    )
    for name in ("computed.mp4", "kept.mp4"):
        film(
            RenderRequest(clip, tmp_path / name, settings),
            host,
            FilmSettings(group=8, keep=True, verify=True),
        )
        assert hashes(tmp_path / name) == wanted


def test_pairs_and_colours_are_stored_with_16_bits(tensor_clip, tmp_path):
    host, settings = Headless("cpu"), resolve(OPTIONS, {"speed": "fast"})
    images = torch.rand(12, 32, 64, 3)
    clips = tensor_clip(images, cuts=(5,)), tensor_clip(images.mean(-1, keepdim=True), cuts=(5,))
    both = apply(Plan("stereo", {"model": "builtin"}, "stereo"), *clips)
    seen = []
    for name in ("a.mp4", "b.mp4"):
        clip = apply(Keep(str(tmp_path / "kept")), both["clip"])["clip"]
        hearing = Hearing(chunk=lambda frames, shown: seen.append(shown()[0].clone()))
        film(
            RenderRequest(clip, tmp_path / name, settings),
            host,
            FilmSettings(group=1, keep=True, verify=True),
            hearing,
        )
    assert torch.equal(torch.cat(seen[: len(seen) // 2], 1), torch.cat(seen[len(seen) // 2 :], 1))
    assert len(list((tmp_path / "kept").rglob("*.nut"))) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[: len(data) // 2] + b"\0" + data[len(data) // 2 + 1 :],
        lambda data: b"",
    ],
    ids=["truncated", "one byte", "empty"],
)
def test_corrupt_kept_frames_are_recomputed(video, tmp_path, damage):
    host, settings = Headless("cpu"), resolve(OPTIONS, {"speed": "fast"})

    def make(name):
        clip = pair(video, tmp_path / "kept")
        film(
            RenderRequest(clip, tmp_path / name, settings),
            host,
            FilmSettings(group=8, keep=True, verify=True),
        )

    make("a.mp4")
    file = sorted((tmp_path / "kept").rglob("*.nut"))[0]
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    computed = counted(lambda: make("b.mp4"))
    assert 0 < computed < 42 and file.read_bytes() == whole
    assert hashes(tmp_path / "b.mp4") == hashes(tmp_path / "a.mp4")
