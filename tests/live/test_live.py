"""Live equals the full film, delayed: equal frames for any pushes and every live stage."""

from fractions import Fraction
from itertools import cycle

import pytest
import torch

from benchmarks.support.image_nets import Compact, RRDBNet, random_net, save
from benchmarks.support.vsr_nets import checkpoint, small
from stereoreel.core.clip import apply
from stereoreel.core.pull import pull
from stereoreel.live import Session
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from tests.support import flashvsr_nets
from tests.support.moving_texture import scene
from tests.support.rife_nets import network as rife

pytestmark = pytest.mark.usefixtures("stand_ins")  # small networks under the published files' names

STAGES = {
    "lanczos": ("upscale", {"model": "builtin"}),
    "esrgan": ("upscale", {"model": "RealESRGAN_x2plus.pth", "batch": 1}),
    "compact steady": ("upscale", {"model": "compact.pth", "steady": 0.8, "factor": 3.0}),
    "compact in batches": ("upscale", {"model": "compact.pth", "batch": 3, "reuse": "tiles"}),
    "fusion": ("vsr", {"model": "builtin", "factor": 1.5}),
    "fusion of seven": ("vsr", {"model": "builtin", "radius": 3, "factor": 1.0}),
    "motion": ("interpolate", {"model": "builtin"}),
    "motion, smooth": ("interpolate", {"model": "builtin", "multiplier": 3, "duplicates": "smooth"}),
    "24 to 60": ("interpolate", {"model": "builtin", "target_fps": "60"}),
    "24 to 10": ("interpolate", {"model": "builtin", "target_fps": "10"}),
}  # fmt: skip
AHEAD = 3  # frames that BasicVSR's windows see beyond themselves: fewer than usual, for a short test
NETWORKS = {
    "flashvsr": ("vsr", {"model": "flashvsr-v1.1", "precision": "fp32"}, 42, 24),
    "basicvsr++": (
        "vsr",
        {"model": "basicvsr-plusplus-reds4", "precision": "fp32", "window": 2},
        12,
        2 + AHEAD,
    ),
    "rife": ("interpolate", {"model": "rife.pth", "precision": "fp32", "multiplier": 3}, 13, 1),
}
PUSHES = {"1": [1], "3": [3], "12": [12], "mixed": [1, 5, 2, 12, 1]}
every_stage = pytest.mark.parametrize("stage", STAGES)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save(random_net(RRDBNet, width=8), folder / "upscale" / "RealESRGAN_x2plus.pth")
    save(random_net(Compact, scale=2), folder / "upscale" / "compact.pth")
    flashvsr_nets.save(folder / "vsr")
    torch.save(
        checkpoint(small("BasicVSR++")),
        folder / "vsr" / catalog.models("vsr")["basicvsr-plusplus-reds4"].file,
    )
    (folder / "interpolate").mkdir()
    torch.save(rife("4.15.lite").state_dict(), folder / "interpolate" / "rife.pth")
    return folder


@pytest.fixture
def host(models):
    from stereoreel.models.headless import Headless

    return Headless("cpu", models=models)


def plan(stage: str, **options) -> Plan:
    kind, given = STAGES[stage]
    return Plan(kind, {**given, **options}, stage)


def pushes(frames, sizes):
    """Split the film into pieces of these sizes, repeated."""
    start = 0
    for size in cycle(sizes):
        if start >= len(frames):
            return
        yield frames[start : start + size]
        start += size


def live(session, what, frames, sizes, **given):
    """Return the output of each push, and of the flush."""
    made = [session.push(what, piece, **given)["clip"] for piece in pushes(frames, sizes)]
    return made, session.flush()["clip"]


def offline(what, frames, host, tensor_clip, cuts=()):
    clips = apply(what, tensor_clip(frames, fps=Fraction(24), cuts=cuts))
    return torch.cat([chunk for (chunk,) in pull(clips["clip"], host, 7)])


@every_stage
def test_live_is_bit_identical_to_offline(stage, host, tensor_clip):
    """As soon as ready it is the film; with a constant delay the film follows the placeholders."""
    frames, cuts = scene(21), (8, 17)
    whole = offline(plan(stage), frames, host, tensor_clip, cuts)
    for name, sizes in PUSHES.items():
        made, rest = live(Session(host), plan(stage), frames, sizes, mode="as ready", cuts=cuts)
        assert torch.equal(torch.cat([*made, rest]), whole), name
    for name, sizes in PUSHES.items():
        session, taken = Session(host), 0
        made, rest = live(session, plan(stage), frames, sizes, cuts=cuts)
        for piece, out in zip(pushes(frames, sizes), made, strict=True):
            assert len(out) == results(stage, taken + len(piece)) - results(stage, taken), name
            taken += len(piece)
        filled = session.figures.filled
        assert filled == -(-session.delay * results(stage, 24) // 24)
        assert torch.equal(torch.cat([*made, rest])[filled:], whole), name


def results(stage: str, count: int) -> int:
    """Return how many results belong to the first ``count`` frames at 24 a second."""
    _, options = STAGES[stage]
    if options.get("target_fps"):
        return int(count * Fraction(options["target_fps"]) / 24 + Fraction(1, 2))
    return count * (options.get("multiplier", 2) if STAGES[stage][0] == "interpolate" else 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_latency_of_models_with_look_ahead_is_as_declared(name, host, tensor_clip, monkeypatch):
    monkeypatch.setattr("stereoreel.stages.vsr.basicvsr.AHEAD", AHEAD)
    kind, options, count, delay = NETWORKS[name]
    what, frames, times = Plan(kind, options, name), scene(count), options.get("multiplier", 1)
    whole = offline(what, frames, host, tensor_clip)
    for sizes in ([1, 5, 2, 12], [12]):
        session = Session(host)
        made, rest = live(session, what, frames, sizes, cuts="none")
        assert session.delay == delay and session.figures.filled == times * delay
        assert [len(one) for one in made] == [times * len(piece) for piece in pushes(frames, sizes)]
        torch.testing.assert_close(torch.cat([*made, rest])[times * delay :], whole, rtol=0, atol=2e-6)


def test_burst_differs_at_most_by_rounding(host, tensor_clip):
    """On a CPU, ESRGAN shares a single frame among cores and gives each core frames of a batch.

    Unless the batch is 1.
    """
    options = {"model": "RealESRGAN_x2plus.pth", "precision": "fp32"}
    what, frames = Plan("upscale", options, "esrgan"), scene(13)
    whole = offline(what, frames, host, tensor_clip)
    for sizes in PUSHES.values():
        made, rest = live(Session(host), what, frames, sizes)
        torch.testing.assert_close(torch.cat([*made, rest]), whole, rtol=0, atol=2e-6)


@every_stage
def test_latency_is_as_declared(stage, host):
    session = Session(host)
    given = 0
    for number, frame in enumerate(scene(20).split(1), 1):
        given += len(session.push(plan(stage), frame, mode="as ready")["clip"])
        assert given >= results(stage, max(0, number - session.delay))


@every_stage
def test_first_frames_are_plain_resizes(stage, host):
    session, frames = Session(host), scene(3)
    made = session.push(plan(stage), frames)["clip"]
    filled = session.figures.filled
    if filled:
        from stereoreel.image.resize import resize

        rate = results(stage, 24) / 24
        for number in range(filled):
            assert torch.equal(made[number], resize(frames[int(number / rate)][None], *made.shape[1:3])[0])
    else:
        assert session.delay == 0


def test_cuts_equal_those_of_the_film(host):
    from stereoreel.core.clip import Clip
    from stereoreel.core.tensor_source import TensorSource

    torch.manual_seed(3)
    frames = torch.cat([scene(9, seed=1), 1 - scene(9, seed=7).flip(1)])
    clip = Clip(TensorSource(frames, 24))
    (whole,) = zip(*pull(apply(plan("fusion"), clip)["clip"], host, 7))
    assert clip.info.cuts == (9,)
    for sizes in PUSHES.values():
        made, rest = live(Session(host), plan("fusion"), frames, sizes, mode="as ready")
        assert torch.equal(torch.cat([*made, rest]), torch.cat(whole))


def test_pair_and_depth_equal_those_of_the_film(host, tensor_clip):
    pair = torch.stack([scene(11), scene(11, seed=1)])
    session = Session(host)
    made = [
        session.push(plan("fusion"), pair[:, start : start + 3], cuts="none")["clip"]
        for start in range(0, 11, 3)
    ]
    made = torch.cat([*made, session.flush()["clip"]], 1)[:, session.figures.filled :]
    for eye in (0, 1):
        assert torch.equal(made[eye], offline(plan("fusion"), pair[eye], host, tensor_clip))


def test_depth_is_interpolated_with_its_frames(host, tensor_clip):
    frames, depth = scene(9), scene(9, seed=5)[..., :1]
    clips = apply(plan("motion"), tensor_clip(frames, fps=24), tensor_clip(depth, fps=24))
    whole = [
        torch.cat(chunks)
        for chunks in zip(*pull([clips[port] for port in ("clip", "depth", "confidence")], host))
    ]
    session = Session(host)
    made = [
        session.push(plan("motion"), frames[at : at + 2], depth[at : at + 2], mode="as ready")
        for at in range(0, 9, 2)
    ] + [session.flush()]
    for port, wanted in zip(("clip", "depth", "confidence"), whole):
        assert torch.equal(torch.cat([one[port] for one in made]), wanted)


def test_models_declare_their_latency():
    for kind in ("vsr", "interpolate"):
        for entry in catalog.models(kind).values():
            assert bool(entry.delay) != (entry.arch == "nvidia"), entry.name
