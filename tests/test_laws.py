"""The laws of the design, for every stage and every model that needs no weights."""

from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch

from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames, pull
from stereoreel.core.tensor_source import TensorSource
from stereoreel.media.open import OPTIONS as EXTRACT
from stereoreel.media.write.options import OPTIONS as ENCODE
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from stereoreel.workflow import graph as workflow
from stereoreel.workflow import orders
from tests.support.lookahead import lookahead
from tests.support.moving_texture import HEIGHT, WIDTH, scene

MODELS = [
    (kind, name)
    for kind in catalog.KINDS
    for name, entry in catalog.models(kind).items()
    if not entry.file and not entry.needs
]
every_model = pytest.mark.parametrize(
    ("kind", "model"), MODELS, ids=[f"{kind}-{name}" for kind, name in MODELS]
)


@dataclass(frozen=True)
class Luma:
    """Brightness as depth, for stages that need one."""

    label: str = "Luma"
    joint: bool = False
    nets: tuple = ()

    def describe(self, clip):
        return clip.replace(channels=1)

    def load(self, host):
        return self

    def __call__(self, shot, chunks):
        for chunk in chunks:
            yield chunk[..., :3].mean(-1, keepdim=True)


@dataclass(frozen=True)
class Mirror(Luma):
    label: str = "Mirror"

    def describe(self, clip):
        return clip

    def __call__(self, shot, chunks):
        for chunk in chunks:
            yield chunk.flip(2)


def outputs(kind, model, clip, **options):
    """Return all outputs of a stage over a clip; Stereo and Interpolate also get a depth."""
    inputs = [clip] if kind not in ("stereo", "interpolate") else [clip, apply(Luma(), clip)["clip"]]
    return apply(Plan(kind, {"model": model, **options}, kind), *inputs)


def run(kind, model, clip, **options):
    return outputs(kind, model, clip, **options)["clip"]


def all_frames(clips, host, chunk):
    """Return every output of a stage, from one pull."""
    made = list(zip(*pull(list(clips.values()), host, chunk)))
    return [torch.cat(chunks, -4) for chunks in made]


@every_model
@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunk_law(kind, model, chunk, tensor_clip, host):
    clips = outputs(kind, model, tensor_clip(scene(11)))
    for some, whole in zip(all_frames(clips, host, chunk), all_frames(clips, host, 11), strict=True):
        assert torch.equal(some, whole)


@every_model
def test_shot_law(kind, model, tensor_clip, host):
    first, second = scene(6, seed=1), scene(5, seed=2)
    joined = all_frames(outputs(kind, model, tensor_clip(torch.cat([first, second]), cuts=(6,))), host, 4)
    alone = [all_frames(outputs(kind, model, tensor_clip(shot)), host, 4) for shot in (first, second)]
    for whole, *parts in zip(joined, *alone, strict=True):
        assert torch.equal(whole, torch.cat(parts, dim=-4))


PLAN = "0,3,0.4,,,2,0.6\n6,5,0.6,2,0.7\n"


@pytest.mark.parametrize("fill", ["background", "inpaint"])
@pytest.mark.parametrize("strength", ["by hand", "strong"])
def test_laws_hold_with_a_plan_of_shots(fill, strength, tensor_clip, host):
    """A shot depends on its own line of the plan, and not on chunks."""
    first, second = scene(6, seed=1), scene(5, seed=2)
    options = {"strength": strength, "fill": fill, "border": 1.0, "floating_window": True}
    joined = outputs(
        "stereo", "builtin", tensor_clip(torch.cat([first, second]), cuts=(6,)), plan=PLAN, **options
    )
    whole = all_frames(joined, host, 11)
    lines = PLAN.splitlines()
    alone = [
        all_frames(outputs("stereo", "builtin", tensor_clip(shot), plan=plan, **options), host, 4)
        for shot, plan in ((first, lines[0]), (second, lines[1].replace("6,", "0,", 1)))
    ]
    for some, one, *parts in zip(all_frames(joined, host, 2), whole, *alone, strict=True):
        assert torch.equal(some, one) and torch.equal(one, torch.cat(parts, dim=-4))
    plain = all_frames(
        outputs("stereo", "builtin", tensor_clip(first), **{**options, "strength": "by hand"}), host, 4
    )
    assert not torch.equal(alone[0][0], plain[0])


def with_bars(clip, bars):
    """Return a clip whose frames have grey bars, for two shots of five frames or more."""
    images, result = clip.maker._images.clone(), []
    for number, frame in enumerate(images):
        *_, (_, top, bottom, left, right) = (one for one in bars if one.start <= number)
        height, width = frame.shape[:2]
        full = frame.new_full(frame.shape, 0.06)
        rows, columns = slice(top, height - bottom), slice(left, width - right)
        full[rows, columns] = frame[rows, columns]
        result.append(full)
    source = TensorSource(torch.stack(result), clip.info.fps, cuts=False, label="Frames")
    source.info = clip.info.replace(bars=bars)
    return Clip(source)


@every_model
def test_laws_hold_for_a_clip_with_bars(kind, model, tensor_clip, host):
    """Of chunks, shots and facts; bars and the picture's place in the frame follow ``info``."""
    bars = Bars(0, 4, 3), Bars(6, 0, 0, 8, 8)
    joined = with_bars(tensor_clip(torch.cat([scene(6, seed=1), scene(5, seed=2)]), cuts=(6,)), bars)
    clips = outputs(kind, model, joined)
    made = all_frames(clips, host, 11)
    for some, whole in zip(all_frames(clips, host, 2), made, strict=True):
        assert torch.equal(some, whole)
    alone = [
        with_bars(tensor_clip(scene(count, seed=seed)), (one._replace(start=0),))
        for count, seed, one in ((6, 1, bars[0]), (5, 2, bars[1]))
    ]
    parts = zip(*(all_frames(outputs(kind, model, shot), host, 4) for shot in alone))
    for whole, both in zip(made, parts, strict=True):
        assert torch.equal(whole, torch.cat(both, dim=-4))
    info = clips["clip"].info
    assert made[0].shape[-4:] == (info.frames, info.height, info.width, info.channels)
    if kind != "depth":
        assert (made[0][..., 0, 0, :] - 0.06).abs().max() < 1e-6


RATES = [
    {},
    {"multiplier": 3},
    {"target_fps": "60"},
    {"target_fps": "24000/1001"},
    {"target_fps": "10"},
    {"slow_motion": True},
]
OPTIONS = {
    "upscale": [{}, {"factor": 1.5}, {"factor": 1.0}],
    "vsr": [{}, {"factor": 3.25}],
    "interpolate": RATES,
}


@every_model
@pytest.mark.parametrize("cuts", [(), (1,), (4, 5, 9)])
def test_info_law(kind, model, cuts, tensor_clip, host):
    for options in OPTIONS.get(kind, [{}]):
        clip = run(kind, model, tensor_clip(scene(11), cuts=cuts), **options)
        made = frames(clip, host, 4)
        info = clip.info
        views = (2,) if info.views == 2 else ()
        assert made.shape == (*views, info.frames, info.height, info.width, info.channels), options
        assert len(info.cuts) == len(cuts) and list(info.cuts) == sorted(info.cuts) and info.fps > 0
        if "slow_motion" not in options:
            assert abs(info.duration - Fraction(11, 25)) <= 1 / info.fps / 2


@every_model
def test_memory_law(kind, model, tensor_clip, host):
    """In a long shot a stage reads at most a chunk and 64 frames ahead of its output."""
    clip = tensor_clip(scene(4).repeat(50, 1, 1, 1))
    made, worst = lookahead(clip, run(kind, model, clip), host, 5)
    assert made >= 200 and worst <= 5 + 64


@every_model
def test_values_stay_in_range_and_finite(kind, model, tensor_clip, host):
    made = frames(run(kind, model, tensor_clip(frames=5)), host)
    assert made.dtype == torch.float32 and made.min() >= 0 and made.max() <= 1


@every_model
@pytest.mark.parametrize(("count", "size"), [(1, (36, 52)), (3, (1, 1)), (2, (2, 3)), (2, (25, 31))])
def test_small_odd_and_single_frames_run(kind, model, count, size, tensor_clip, host):
    clip = run(kind, model, tensor_clip(frames=count, size=size))
    assert frames(clip, host).shape[-4] == clip.info.frames


@every_model
def test_alpha_passes_through_image_stages(kind, model, tensor_clip, host):
    clip = run(kind, model, tensor_clip(frames=3, channels=4))
    assert frames(clip, host).shape[-1] == (1 if kind == "depth" else 4)


@every_model
def test_stages_process_a_pair_after_stereo(kind, model, tensor_clip, host):
    pair = run("stereo", "builtin", tensor_clip(scene(4)))
    if kind == "stereo":
        with pytest.raises(ValueError, match="already has two views"):
            run(kind, model, pair)
        return
    clip = run(kind, model, pair)
    made = frames(clip, host, 3)
    assert made.shape[:2] == (2, clip.info.frames) and torch.equal(made, frames(clip, host, 1))


@pytest.mark.parametrize("kind", ["upscale", "vsr"])
def test_order_law_upscaling_and_mirroring_agree(kind, tensor_clip, host):
    clip = tensor_clip(scene(3))
    after = frames(
        apply(Mirror(), run(kind, "builtin", clip, **({"strength": 0.0} if kind == "vsr" else {})))["clip"],
        host,
    )
    before = frames(
        run(kind, "builtin", apply(Mirror(), clip)["clip"], **({"strength": 0.0} if kind == "vsr" else {})),
        host,
    )
    torch.testing.assert_close(after, before, atol=2e-6, rtol=0)


LEGAL = [
    *(order for order, _ in orders.BUNDLED.values()),
    ("extract", "encode"),
    ("extract", "depth", "encode"),
    ("extract", "depth", "interpolate", "stereo", "encode"),
    ("extract", "depth", "upscale", "interpolate", "vsr", "stereo", "interpolate", "upscale", "encode"),
    ("extract", "upscale", "vsr", "interpolate", "interpolate", "encode"),
]


@pytest.mark.parametrize("order", LEGAL, ids="-".join)
def test_order_law_every_order_with_matching_sockets_runs(order, tensor_clip, host, monkeypatch):
    monkeypatch.setattr(
        "stereoreel.media.open.open_file",
        lambda path, options, name, **more: tensor_clip(scene(5), cuts=(3,)),
    )
    (job,) = workflow.Assembly(orders.api(order), lambda name: name).sinks
    made = frames(job.clip, host, 2)
    doubled = 2 ** sum(word in ("upscale", "vsr") for word in order)
    faster = 2 ** order.count("interpolate")
    assert made.shape[-4:] == (5 * faster, HEIGHT * doubled, WIDTH * doubled, 3)
    assert job.clip.info.views == 1 + ("stereo" in order) and job.clip.info.fps == 25 * faster


@pytest.mark.parametrize(("order", "said"), [
    (("extract", "stereo", "encode"), "needs a depth map"),
    (("depth", "encode"), "begins with extract"),
    (("extract", "depth"), "ends with encode"),
    (("extract", "depth", "stereo", "stereo", "encode"), "cannot run twice"),
    (("extract", "sharpen", "encode"), "Unknown stage: sharpen"),
    (("extract", "comfort", "encode"), "Unknown stage: comfort"),
    (("extract", "depth", "stereo", "depth", "encode"), "before stereo"),
])  # fmt: skip
def test_order_law_impossible_orders_are_refused(order, said):
    with pytest.raises(ValueError, match=said):
        orders.api(order)


class Cancelled(Exception):
    pass


def test_cancel_law_nothing_is_left_under_the_final_name(tensor_clip, host, tmp_path):
    clip = run("interpolate", "builtin", tensor_clip(scene(40)))

    def tick(done, total):
        if done >= 32:
            raise Cancelled

    host.tick = tick
    with pytest.raises(Cancelled):
        write(RenderRequest(clip, tmp_path / "film.mp4", resolve(ENCODE, {})), host)
    assert list(tmp_path.iterdir()) == []


def test_option_defaults_pass_their_own_checks():
    for kind in catalog.KINDS:
        catalog.settings_of(kind, {})
    resolve(EXTRACT, {})
    resolve(ENCODE, {})
