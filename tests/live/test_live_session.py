"""Live sessions with irregular streams, and with several streams, threads and hosts."""

import sys
import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from benchmarks.support.image_nets import Compact, random_net, save
from stereoreel.core.meter import resident
from stereoreel.image.resize import resize
from stereoreel.live import PostProcessor, Session, Sessions, Upscaler
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from tests.support.moving_texture import scene

ROOT = Path(__file__).resolve().parents[2]
FUSION, LANCZOS = Plan("vsr", {"model": "builtin"}, "VSR"), Plan("upscale", {"model": "builtin"}, "Upscale")


class Clock:
    """Advance only when set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def film(session, plan, frames, size=1, **given):
    """Return all results of a stream, without the placeholders at its start."""
    filled = session.figures.filled
    made = [session.push(plan, piece, **given)["clip"] for piece in frames.split(size)]
    return torch.cat([*made, session.flush()["clip"]])[session.figures.filled - filled :]


def plain(frames, factor=2):
    return resize(frames, frames.shape[1] * factor, frames.shape[2] * factor)


def test_interleaved_streams_do_not_mix(host):
    frames = [scene(8), 1 - scene(8, seed=4)]
    sessions, made = [Session(host), Session(host)], ([], [])
    for number in range(8):
        for which in (0, 1):
            made[which].append(sessions[which].push(FUSION, frames[which][number : number + 1])["clip"])
    for which in (0, 1):
        whole = torch.cat([*made[which], sessions[which].flush()["clip"]])[2:]
        assert torch.equal(whole, film(Session(host), FUSION, frames[which], 8))


def test_changed_size_restarts_the_session(host):
    session, small = Session(host), scene(5)[:, :20, :30]
    session.push(FUSION, scene(7))
    first = session.push(FUSION, small[:1])["clip"]
    assert torch.equal(first, plain(small[:1])) and session.figures.dropped == 2
    again = torch.cat([session.push(FUSION, small[1:])["clip"], session.flush()["clip"]])
    assert torch.equal(torch.cat([first, again])[2:], film(Session(host), FUSION, small))


def test_gap_restarts_the_session(host):
    clock = Clock()
    session = Session(host, gap=5, clock=clock)
    session.push(FUSION, scene(4))
    clock.now = 4.9
    assert session.push(FUSION, scene(1))["clip"].shape[0] == 1 and session.figures.dropped == 0
    clock.now = 10.0
    frames = scene(6, seed=3)
    assert (
        torch.equal(film(session, FUSION, frames), film(Session(host), FUSION, frames))
        and session.figures.dropped == 2
    )


@pytest.mark.parametrize(
    ("change", "filled"),
    [({"strength": 0.3}, 0), ({"radius": 3}, 1), ({"radius": 1}, 0), ({"factor": 3.0}, 2)],
)
def test_changed_options_cost_at_most_one_refill(change, filled, host):
    """Frames before the change are unaffected; those after it equal a film that begins there."""
    session, frames, other = Session(host), scene(12), Plan("vsr", {"model": "builtin", **change}, "VSR")
    made = [session.push(FUSION, frames[:6], cuts="none")["clip"]]
    made += [session.push(other, frame, cuts="none")["clip"] for frame in frames[6:].split(1)]
    assert sum(map(len, made)) == 12 and session.figures.filled == 2 + filled
    rest, wanted = session.flush()["clip"], film(Session(host), other, frames[6:], cuts="none")
    assert torch.equal(torch.cat([*made[-(6 - session.delay) :], rest]), wanted)
    if "factor" not in change:
        before = torch.cat(made)[2 : 2 + 6 - session.figures.dropped + filled]
        known = film(Session(host), FUSION, frames[:6], cuts="none")
        assert all(any(torch.equal(one, other) for other in known) for one in before[:4])


def test_switching_models_does_not_reload_them(tmp_path):
    host = Headless("cpu", models=tmp_path)
    file = save(random_net(Compact, scale=2), tmp_path / "upscale" / "compact.pth")
    network, session, frames = Plan("upscale", {"model": "compact.pth"}, "Upscale"), Session(host), scene(3)
    first = session.push(network, frames)["clip"]
    assert torch.equal(session.push(LANCZOS, frames)["clip"], plain(frames))
    file.unlink()
    assert torch.equal(session.push(network, frames)["clip"], first)


def test_size_factor_and_strength_change_without_reloading(tmp_path):
    host = Headless("cpu", models=tmp_path)
    file = save(random_net(Compact, scale=2), tmp_path / "upscale" / "compact.pth")
    session, frames, wanted = Session(host), scene(3), [(1.5, 0.0), (2.0, 0.7), (3.0, 0.2)]
    plans = [
        Plan("upscale", {"model": "compact.pth", "factor": factor, "steady": steady}, "Upscale")
        for factor, steady in wanted
    ]
    alone = [Session(host).push(plan, frames, cuts="none")["clip"] for plan in plans]
    session.push(plans[0], frames[:, :20, :30])
    file.unlink()
    for plan, known in zip(plans, alone):
        assert torch.equal(session.push(plan, frames, cuts="none")["clip"], known)
    assert session.figures.filled == session.figures.dropped == 0


def test_offloaded_networks_resume(tmp_path):
    """The host moves networks at every fifth push: no frame is wrong, and pending ones are counted."""

    class Roaming(Headless):
        pushes = 0

        def place(self, nets, memory):
            self.pushes += 1
            if self.pushes % 5 == 0:
                for parameter in nets[0].parameters():
                    parameter.data = parameter.data.clone()
            return nets

    host = Roaming("cpu", models=tmp_path)
    save(random_net(Compact, scale=2), tmp_path / "upscale" / "compact.pth")
    plan, frames = Plan("upscale", {"model": "compact.pth", "steady": 0.5}, "Upscale"), scene(4)
    session, made = Session(host), []
    for frame in frames.split(1):
        made.append(session.push(plan, frame, cuts="none")["clip"])
    again = [session.push(plan, frame, cuts="none")["clip"] for frame in frames.split(1)]
    assert torch.equal(torch.cat(again), torch.cat(made)) and session.figures.dropped == 0


def test_failed_push_restarts_the_session(host):
    session = Session(host)
    session.push(FUSION, scene(4))
    with pytest.raises(ValueError, match="VSR: the frames contain NaN"):
        session.push(FUSION, torch.full((1, 36, 52, 3), torch.nan))
    frames = scene(5, seed=2)
    assert torch.equal(film(session, FUSION, frames), film(Session(host), FUSION, frames))


def test_cancel_takes_effect_within_a_chunk_and_leaves_no_thread(tmp_path):
    class Cancelled(Exception):
        pass

    def cancel(done, total):
        raise Cancelled

    before = threading.active_count()
    session = Session(Headless("cpu", models=tmp_path, on_tick=cancel))
    with pytest.raises(Cancelled):
        session.push(FUSION, scene(20))
    assert threading.active_count() == before


def test_unclosed_session_ends_its_thread(host):
    session = Session(host)
    session.push(FUSION, scene(3))
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "stereoreel-live"]
    del session
    thread.join(20)
    assert not thread.is_alive()


def test_pushed_frames_are_copied_and_unchanged(host):
    session, buffer, frames = Session(host), torch.empty(1, 36, 52, 3), scene(6)
    made = []
    for frame in frames.split(1):
        buffer.copy_(frame)
        made.append(session.push(FUSION, buffer)["clip"])
        assert torch.equal(buffer, frame)
        buffer.fill_(0.5)
    assert torch.equal(torch.cat([*made, session.flush()["clip"]])[2:], film(Session(host), FUSION, frames))


def test_loop_is_refused(host):
    with pytest.raises(ValueError, match="Turn one of them off"):
        Session(host).push(Plan("interpolate", {"model": "builtin", "loop": True}, "Interpolate"), scene(2))


def test_memory_of_a_thousand_pushes(host):
    session, frames = Session(host), torch.rand(10, 1, 20, 24, 3)
    for number in range(1300):
        session.push(FUSION if number % 200 < 20 else LANCZOS, frames[number % 10])
        if number == 300:
            before = resident()
    assert resident() - before < 8 << 20
    assert len(session.push(LANCZOS, frames[0])["clip"]) == 1


def test_idle_sessions_are_closed_and_their_number_is_limited(host):
    clock = Clock()
    sessions = Sessions(lambda: Session(host), most=2, idle=300, clock=clock)
    for name in ("a", "b", "c"):
        clock.now += 10
        with sessions.use(name) as session:
            session.push(FUSION, scene(3))
    assert sessions.names() == ["b", "c"]
    clock.now = 325.0
    sessions.sweep()
    assert sessions.names() == ["c"]
    assert sessions.close("c") and not sessions.close("c") and sessions.names() == []
    with sessions.use("c") as session:
        assert session.taken == 0
    sessions.close_all()


def test_session_is_refused_if_all_are_in_use(host):
    sessions = Sessions(lambda: Session(host), most=1)
    with (
        sessions.use("a"),
        pytest.raises(RuntimeError, match="1 live sessions are in use"),
        sessions.use("b"),
    ):
        pass
    sessions.close_all()


def test_second_user_waits_and_can_be_cancelled(host):
    sessions, order, inside, go = Sessions(lambda: Session(host)), [], threading.Event(), threading.Event()

    def first():
        with sessions.use("a") as session:
            inside.set()
            go.wait(20)
            order.append(len(session.push(LANCZOS, scene(2))["clip"]))

    def cancel():
        raise InterruptedError

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(20)
    with pytest.raises(InterruptedError), sessions.use("a", cancel):
        pass
    with sessions.use("a", go.set) as session:
        order.append(session.taken)
    thread.join(20)
    assert order == [2, 2]
    sessions.close_all()


def test_upscaler_equals_a_stage_and_reports_its_latency(host):
    frames = scene(9)
    with Upscaler("builtin", kind="vsr", host=host, factor=2) as upscaler:
        made = [upscaler.push(piece) for piece in (frames[:1], frames[1:4], frames[4:])]
        assert [len(one) for one in made] == [0, 2, 5] and upscaler.delay == 2 and upscaler.latency > 0
        assert torch.equal(torch.cat([*made, upscaler.flush()]), film(Session(host), FUSION, frames))
        upscaler.change(factor=3)
        assert upscaler.push((255 * frames[:5]).byte()).shape == (3, 108, 156, 3)


def test_asynchronous_frames_are_equal_and_on_time(host):
    frames = scene(24)
    whole = film(Session(host), FUSION, frames)
    with Upscaler("builtin", kind="vsr", host=host, constant=True, beside=True, delay=4) as upscaler:
        made = [upscaler.push(piece) for piece in frames.split(4)]
        assert [len(one) for one in made] == [4] * 6 and upscaler.delay == 6
        assert torch.equal(torch.cat([*made, upscaler.flush()])[6:], whole)
    with Upscaler("builtin", kind="vsr", host=host, beside=True) as upscaler:
        made = [upscaler.push(piece) for piece in frames.split(4)]
        assert torch.equal(torch.cat([*made, upscaler.flush()]), whole)


def test_post_processor_accepts_frames_of_streaming_applications():
    post = PostProcessor("cpu", model="builtin", factor=2)
    frames = (255 * scene(3)).byte()
    made = post(video=list(frames.split(1)))["video"]
    assert made.shape == (3, 72, 104, 3) and made.dtype == torch.float32
    assert post(frames, factor=3)["video"].shape == (3, 108, 156, 3)
    post.cleanup()


def test_scope_finds_a_post_processor_at_the_entry_point(monkeypatch):
    """A stand-in for Scope's modules: what it requires of a pipeline, and the form of its frames."""
    scope, config = ModuleType("scope"), type("BasePipelineConfig", (), {})
    parts = {
        "pipelines.base_schema": {
            "BasePipelineConfig": config,
            "ModeDefaults": dict,
            "UsageType": SimpleNamespace(POSTPROCESSOR="post"),
        },
        "pipelines.interface": {"Pipeline": object, "Requirements": SimpleNamespace},
        "plugins": {"hookimpl": lambda hook: hook},
        "core": {},
        "pipelines": {},
    }
    monkeypatch.setitem(sys.modules, "scope", scope)
    monkeypatch.setitem(sys.modules, "pydantic", SimpleNamespace(Field=lambda default, **facts: default))
    for name, contents in parts.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, "scope.core" if name == "core" else f"scope.core.{name}", module)
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    registered = []
    import_module(project["entry-points"]["scope"]["stereoreel"]).register_pipelines(registered.append)
    pipeline = registered[0](device="cpu", model="builtin", factor=2.0, height=512)
    frames = list((255 * scene(3)).byte().split(1))
    assert pipeline.prepare().input_size == 1 and registered[0].get_config_class().usage == ["post"]
    assert pipeline(video=frames, prompts=["a street"])["video"].shape == (3, 72, 104, 3)
    assert pipeline(video=frames[:1], factor=3.0)["video"].shape == (1, 108, 156, 3)
    pipeline.cleanup()
