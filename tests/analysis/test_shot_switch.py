"""The shot switch: noisy shots from one branch, clean ones from another, each computed once."""

import json

import pytest
import torch

import stereoreel
from stereoreel.analysis.advisor.measure import measure
from stereoreel.analysis.advisor.verdict import verdict
from stereoreel.analysis.shot_switch import verdicts
from stereoreel.analysis.shot_switch.table import parsed
from stereoreel.cli.main import main
from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.partition import units
from stereoreel.core.pull import frames, look_ahead
from stereoreel.core.transforms import Unbarred
from stereoreel.film import job_folder, plans
from stereoreel.media.write.request import files_read
from stereoreel.workflow import graph as workflow
from tests.support.counting import Counting
from tests.support.films import hashes, make, run, sink
from tests.support.media_files import write_video

LENGTHS = (6, 4, 8, 5, 4)  # frames of the shots, of which the second and the fourth are noisy
CUTS = (6, 10, 18, 23)
SIZE = (48, 64)


def scene(noise: float = 8.0, sizes: tuple[int, int] = SIZE) -> torch.Tensor:
    """Return smooth textures, another one in every shot, with noise of so many levels in every second."""
    random = torch.Generator().manual_seed(5)
    shots = []
    for number, length in enumerate(LENGTHS):
        still = torch.nn.functional.avg_pool2d(torch.rand(1, 3, *sizes, generator=random), 9, 1, 4) - 0.5
        shot = (0.5 + 2 * still.movedim(1, -1)).repeat(length, 1, 1, 1)
        shots.append(shot + torch.randn(shot.shape, generator=random) * noise / 255 * (number % 2))
    return torch.cat(shots).clamp(0.05, 0.95)


@pytest.fixture
def clip(tensor_clip) -> Clip:
    return tensor_clip(scene(), cuts=CUTS)


def scaled(clip: Clip, by: float, seen: list | None = None) -> Clip:
    stage = Counting(lambda chunk: chunk * by, f"by {by}")
    if seen is not None:
        seen.append(stage)
    return apply(stage, clip)["clip"]


def doubled(clip: Clip) -> Clip:
    return stereoreel.interpolate(clip, model="builtin", quality="fast")


def upscaled(clip: Clip) -> Clip:
    return stereoreel.upscale(clip, model="builtin", factor=2)


def mixed(noisy: Clip, clean: Clip, host) -> torch.Tensor:
    """Return the frames of a switch as they are in each branch computed alone."""
    pictures = [frames(one, host) for one in (clean, noisy)]
    edges = [0, *noisy.info.cuts, noisy.info.frames]
    shots = list(zip(edges, edges[1:]))
    return torch.cat([pictures[number % 2].narrow(-4, a, b - a) for number, (a, b) in enumerate(shots)], -4)


def test_each_shot_comes_from_its_branch_and_only_that_is_computed(clip, host):
    seen: list[Counting] = []
    switch = stereoreel.shot_switch(scaled(clip, 0.5, seen), scaled(clip, 0.25, seen))
    result = frames(switch, host)
    assert [stage.seen for stage in seen] == [LENGTHS[1] + LENGTHS[3], LENGTHS[0] + LENGTHS[2] + LENGTHS[4]]
    assert torch.equal(result, mixed(scaled(clip, 0.5), scaled(clip, 0.25), host))
    table = parsed(switch.maker.recipe.found)
    assert [(shot.start, shot.verdict) for shot in table] == [
        (0, "clean"), (6, "noisy"), (10, "clean"), (18, "noisy"), (23, "clean"),
    ]  # fmt: skip


def test_each_shot_has_its_own_order_of_stages(clip, host):
    first = doubled(stereoreel.vsr(clip, model="builtin", factor=2))
    last = upscaled(doubled(clip))
    switch = stereoreel.shot_switch(first, last)
    assert (switch.info.width, switch.info.frames) == (128, 54)
    assert torch.equal(frames(switch, host), mixed(first, last, host))


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunk_law(chunk, clip, host):
    switch = doubled(stereoreel.shot_switch(upscaled(clip), stereoreel.vsr(clip, model="builtin", factor=2)))
    assert torch.equal(frames(switch, host, chunk), frames(switch, host))


def test_shot_law(clip, tensor_clip, host):
    def of(source: Clip) -> torch.Tensor:
        return frames(stereoreel.shot_switch(doubled(scaled(source, 0.5)), doubled(source)), host)

    edges, pictures = [0, *CUTS, sum(LENGTHS)], scene()
    alone = [of(tensor_clip(pictures[start:stop])) for start, stop in zip(edges, edges[1:])]
    assert torch.equal(of(clip), torch.cat(alone))


def test_source_that_cannot_be_read_in_parts_gives_the_same(clip, host):
    class Whole:
        label = "Whole"
        info, chunks = clip.info, clip.maker.chunks

    def of(source: Clip) -> torch.Tensor:
        switch = stereoreel.shot_switch(doubled(scaled(source, 0.5)), doubled(source), source=clip)
        return frames(switch, host)

    assert torch.equal(of(Clip(Whole())), of(clip))


def test_depth_pairs_and_stages_after_it(clip, tensor_clip, host):
    depth = tensor_clip(scene(0)[..., :1], cuts=CUTS)
    pair = stereoreel.stereo(clip, depth, model="builtin", divergence=3)
    flat = stereoreel.stereo(clip, depth, model="builtin", divergence=0)
    switch = stereoreel.shot_switch(flat, pair)
    assert switch.info.views == 2
    assert torch.equal(frames(switch, host), mixed(flat, pair, host))
    maps = stereoreel.shot_switch(scaled(depth, 0.5), depth, source=clip)
    both = stereoreel.stereo(clip, maps, model="builtin")
    wanted = stereoreel.stereo(clip, scaled(depth, 0.5), model="builtin")
    wanted = mixed(wanted, stereoreel.stereo(clip, depth, model="builtin"), host)
    assert torch.equal(frames(both, host), wanted)


def test_stages_after_it_see_the_picture_within_the_bars(clip, host):
    """Bars are those of both branches; if the branches disagree, all of the frame is picture."""
    clip.maker.info = clip.info.replace(bars=(Bars(0, 6, 6, 0, 0), Bars(10, 0, 0, 8, 8)))
    noisy, clean = upscaled(clip), stereoreel.vsr(clip, model="builtin", factor=2)
    switch = stereoreel.shot_switch(noisy, clean)
    assert switch.info.bars == noisy.info.bars != ()
    wanted = mixed(*(doubled(one) for one in (noisy, clean)), host)
    assert torch.equal(frames(doubled(switch), host), wanted)
    bare = stereoreel.shot_switch(clip, apply(Unbarred(), clip)["clip"])
    assert bare.info.bars == () and frames(bare, host).shape[-4] == sum(LENGTHS)


def test_opacity_stays_if_both_branches_have_it(clip, tensor_clip):
    alpha = tensor_clip(torch.rand(sum(LENGTHS), *SIZE, 1), cuts=CUTS)
    clip.maker.info = clip.info.replace(alpha=alpha)
    assert stereoreel.shot_switch(upscaled(clip), upscaled(clip)).info.alpha is alpha
    assert stereoreel.shot_switch(doubled(clip), doubled(clip)).info.alpha is None


def test_excerpts_equal_the_film(clip, host):
    switch = stereoreel.shot_switch(doubled(scaled(clip, 0.5)), doubled(clip))
    whole, some = frames(switch, host), [0, 1, 13, 14, 30, 40, 53]
    [seen] = select_frames([stereoreel.shot_switch(doubled(scaled(clip, 0.5)), doubled(clip))], some)
    assert torch.equal(frames(seen, host), whole[some])


def test_units_end_where_the_branch_changes(clip, host):
    switch = stereoreel.shot_switch(scaled(clip, 0.5), clip, plan="0,noisy\n10,clean\n")
    look_ahead([switch], host, lambda label, text: None)
    assert [unit.start for unit in units([switch])] == [0, 10]
    assert [unit.start for unit in units([clip])] == [0]


def test_limits_decide(clip, host):
    def verdicts_of(**options) -> list[str]:
        switch = stereoreel.shot_switch(clip, clip, **options)
        look_ahead([switch], host, lambda label, text: None)
        return [shot.verdict for shot in parsed(switch.maker.recipe.found)]

    assert verdicts_of(noise=20) == ["clean"] * 5
    assert verdicts_of(noise=0) == ["noisy"] * 5
    assert verdicts_of(noise=100, compression=0) == ["noisy"] * 5


def test_blocks_count_as_noise(tensor_clip, host):
    pictures = scene(0, (96, 128))
    blocky = pictures.clone()
    coarse = torch.nn.functional.avg_pool2d(pictures[6:10].movedim(-1, 1), 8)
    blocky[6:10] = coarse.repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)
    blocky = (blocky * 255).round() / 255
    clip = tensor_clip(blocky, cuts=CUTS)
    switch = stereoreel.shot_switch(clip, clip)
    look_ahead([switch], host, lambda label, text: None)
    assert [shot.verdict for shot in parsed(switch.maker.recipe.found)][1] == "noisy"


def test_what_is_found_is_said_once(clip, host):
    switch, said = stereoreel.shot_switch(scaled(clip, 0.5), clip), []
    for _ in range(2):
        look_ahead([switch], host, lambda label, text: said.append((label, text)))
    assert said == [("Shot Switch", "5 shots, 2 of them noisy, at frames 6, 18")]


def test_every_second_of_a_long_shot_may_be_seen():
    info = stereoreel.from_tensor(torch.rand(2, 8, 8, 3), 10, cuts=False).info.replace(frames=1000)
    assert verdicts.excerpts(info, 100, 102) == [(100, 102)]
    assert verdicts.excerpts(info, 0, 50) == [(23, 27)]
    spans = verdicts.excerpts(info, 100, 900)
    assert len(spans) == verdicts.MOST and spans[0] == (178, 182) and spans[-1] == (818, 822)


def test_the_advisor_names_the_switch_for_mixed_footage_only(clip, tensor_clip, host):
    def remarks(clip: Clip) -> tuple[str, ...]:
        measured = measure(clip, host, samples=8, window=3)
        return verdict(measured.info, measured.findings, host).remarks

    assert any("Shot Switch" in one for one in remarks(clip))
    for noise in (0, 1.0):
        assert not remarks(tensor_clip(scene(noise), cuts=CUTS))
    pictures = scene(0)
    even = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1)) * 2.8 / 255
    assert not remarks(tensor_clip(pictures + even, cuts=CUTS))  # excerpts on both sides of the limit


@pytest.mark.parametrize(("change", "said"), [
    (lambda clip: upscaled(clip), "64x48 and 128x96 pixels. Let both branches upscale to the same size."),
    (lambda clip: doubled(clip), "Let both branches interpolate to the same rate."),
    (lambda clip: stereoreel.depth(clip, model="builtin"), "are of different kinds"),
], ids=["size", "rate", "kind"])  # fmt: skip
def test_branches_that_differ_are_refused(change, said, clip):
    with pytest.raises(ValueError, match="Shot Switch: The inputs") as error:
        stereoreel.shot_switch(clip, change(clip))
    assert said in str(error.value)


def test_missing_or_wrong_sources_are_refused(clip, tensor_clip):
    other = tensor_clip(scene(), cuts=CUTS)
    with pytest.raises(ValueError, match="are not made of one clip"):
        stereoreel.shot_switch(clip, other)
    with pytest.raises(ValueError, match=r"differ in the number of shots \(1 and 5\)"):
        stereoreel.shot_switch(clip, other, source=tensor_clip(scene()))
    with pytest.raises(ValueError, match="The inputs have different cuts"):
        stereoreel.shot_switch(clip, tensor_clip(scene(), cuts=CUTS[:2]), source=clip)
    pair = stereoreel.stereo(clip, stereoreel.depth(clip, model="builtin"), model="builtin")
    with pytest.raises(ValueError, match="The source is a stereo pair"):
        stereoreel.shot_switch(clip, clip, source=pair)


def test_the_unprocessed_source_is_measured(clip):
    clean = stereoreel.vsr(clip, model="builtin", factor=1)
    switch = stereoreel.shot_switch(doubled(clean), scaled(doubled(clean), 0.5))
    assert switch.maker.recipe.choices.source is clip


@pytest.mark.parametrize(("plan", "said"), [
    ("0", "Line 1 of the plan is '0'. Write the first frame of a shot, and noisy or clean, such as 48"),
    ("0,dirty", "Line 1 of the plan is '0,dirty'."),
    ("6,noisy", "The plan begins with frame 6. Let its first line be the shot at frame 0."),
    ("0,noisy\n18,clean\n6,noisy", "Line 3 of the plan has frame 6 after frame 18."),
    ("shot,verdict", "Shot Switch's plan holds no shots."),
])  # fmt: skip
def test_bad_plans_are_refused_when_the_node_is_made(plan, said, clip):
    with pytest.raises(ValueError) as error:
        stereoreel.shot_switch(clip, clip, plan=plan)
    assert said in str(error.value)


def test_plan_with_other_shots_is_refused_before_the_first_frame(clip, host):
    seen: list[Counting] = []
    switch = stereoreel.shot_switch(scaled(clip, 0.5, seen), clip, plan="0,clean\n7,noisy")
    with pytest.raises(ValueError, match="The plan has a shot at frame 7, but no shot begins there"):
        frames(switch, host)
    assert seen[0].seen == 0


# in a film


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "film.mp4"
    pictures = (scene() * 255).round().byte().numpy()
    return write_video(path, pictures, 25, options={"crf": "1", "preset": "ultrafast"})


def graph(**switch) -> dict:
    cuts = ", ".join(map(str, CUTS))
    return {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "cuts": False}},
        "2": {
            "class_type": "StereoReelInterpolate",
            "inputs": {"clip": ["1", 0], "model": "builtin", "cuts": cuts, "multiplier": 1},
        },
        "3": {"class_type": "StereoReelVSR", "inputs": {"clip": ["2", 0], "model": "builtin"}},
        "4": {"class_type": "StereoReelRealESRGAN", "inputs": {"clip": ["2", 0], "model": "builtin"}},
        "5": {
            "class_type": "StereoReelShotSwitch",
            "inputs": {"noisy": ["3", 0], "clean": ["4", 0], **switch},
        },
        "6": {"class_type": "StereoReelEncode", "inputs": {"clip": ["5", 0], "speed": "fast"}},
    }


def test_film_in_units_equals_a_run_and_resumes_with_the_stored_verdicts(video, tmp_path, monkeypatch):
    judge, calls, path = verdicts.Verdicts._judged, [], tmp_path / "film.mp4"
    monkeypatch.setattr(verdicts.Verdicts, "_judged", lambda *given: calls.append(1) or judge(*given))

    class Cancel(Exception):
        pass

    def tick(done, total):
        if done >= 12:
            raise Cancel

    with pytest.raises(Cancel):
        make(video, path, graph(), tick=tick)
    [stored] = json.loads((job_folder(path) / "plans.json").read_text()).values()
    assert [text.startswith("shot,verdict,noise") for text in stored] == [False, False, False, True]
    make(video, path, graph(), keep=True)
    assert len(calls) == 1 and hashes(path) == run(video, tmp_path / "run.mp4", graph())
    assert hashes(path) != run(video, tmp_path / "all.mp4", graph(plan="0,clean"))


def test_edited_verdicts_in_the_job_are_another_job(video, tmp_path):
    path, said = tmp_path / "film.mp4", []
    make(video, path, graph(), keep=True)
    file = job_folder(path) / "plans.json"
    [(name, [*others, _])] = json.loads(file.read_text()).items()
    path.unlink()
    file.write_text(json.dumps({name: [*others, "0,clean\n"]}))
    make(video, path, graph(), keep=True, said=said)
    assert any("because found of Shot Switch (node 5) changed" in line for line in said)
    path.unlink()
    file.write_text(json.dumps({name: [*others, "0,clean\n7,noisy"]}))  # no such shot: measured again
    make(video, path, graph(), keep=True, said=said)
    assert "6,noisy" in json.loads(file.read_text())[name][-1]


def test_worker_takes_the_verdicts_of_the_head(video, host):
    head, worker = sink(video, graph()).clip, sink(video, graph()).clip
    look_ahead([head], host, lambda label, text: None)
    plans.recall([worker], plans.found([head]))
    assert worker.maker.recipe.turns == head.maker.recipe.turns == list(CUTS)


def test_table_is_written_edited_and_obeyed_in_the_terminal(video, tmp_path, capsys):
    plan, file = tmp_path / "plan.csv", tmp_path / "graph.json"
    file.write_text(json.dumps(graph()))
    words = [
        "film",
        str(file),
        "--input",
        str(video),
        "--output",
        str(tmp_path / "out.mp4"),
        "--device",
        "cpu",
    ]
    assert main([*words, "--write-shot-plan", str(plan)]) == 0
    assert "5 shots, 2 of them noisy" in capsys.readouterr().err
    lines = plan.read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[:3]] == [
        ["shot", "verdict"],
        ["0", "clean"],
        ["6", "noisy"],
    ]
    assert not (tmp_path / "out.mp4").exists()
    assert main([*words, "--plan", "--unit", "27"]) == 0
    units_found = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in units_found] == ["0", "6", "10", "18", "23"]
    plan.write_text("0;noisy\r\n10;clean\r\n")
    assert main([*words, "--plan", "--unit", "27", "--shot-plan", str(plan)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main([*words, "--shot-plan", str(plan), "--keep-job", "--verify", "--unit", "8"]) == 0
    assert hashes(tmp_path / "out.mp4") == run(video, tmp_path / "r.mp4", graph(plan="0,noisy\n10,clean"))
    assert main([*words, "--shot-plan", str(plan), "--write-shot-plan", str(tmp_path / "p.csv")]) == 1
    assert "no stage had to find one" in capsys.readouterr().err
    assert main(["film", "upscale_last", *words[2:], "--shot-plan", str(plan)]) == 1
    assert "--shot-plan: this workflow has no Shot Switch. Leave the plan out" in capsys.readouterr().err


def test_measured_file_is_not_overwritten(video, tmp_path, host):
    """Nor is one that only the switch reads, because it is connected to source alone."""
    made = graph(source=["8", 0])
    other = write_video(tmp_path / "other.mp4", (scene() * 255).byte().numpy(), 25)
    made["7"] = {"class_type": "StereoReelExtract", "inputs": {"video": "other.mp4"}}
    made["8"] = {**made["2"], "inputs": {**made["2"]["inputs"], "clip": ["7", 0]}}
    files = {"film.mp4": video, "other.mp4": other}
    job = workflow.Assembly(made, lambda name: files[name]).sinks[0]
    assert other in files_read([job.clip], host)
