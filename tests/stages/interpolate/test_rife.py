"""Interpolate with models: their own frames, in batches, encoded once, with exact time and cuts."""

from fractions import Fraction

import pytest
import torch

from benchmarks.support.scenes import Camera, Layer, Scene, Texture
from stereoreel.core.clip import Shot, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames, pull
from stereoreel.models import catalog
from stereoreel.models.lazy_stage import Plan
from stereoreel.nets import film_interpolation, rife
from stereoreel.stages.interpolate import OPTIONS
from stereoreel.stages.interpolate.networks import NetworkInterpolator
from stereoreel.stages.interpolate.rife import RifeNetwork
from stereoreel.stages.interpolate.stage import InterpolationStage
from tests.support.rife_nets import network

SIZE = (44, 70)  # divides by nothing


@pytest.fixture
def put(tmp_path):
    """Return a function that saves a network as a publisher does and returns the file's name."""

    def save(net, name="net.pth", prefix="", rename=lambda key: key):
        path = tmp_path / "models" / "interpolate" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {rename(prefix + key): tensor for key, tensor in net.state_dict().items()}
        if path.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(state, path)
        else:
            torch.save(state, path)
        return name

    return save


def interpolated(model, host, clip, depth=None, chunk=None, **options):
    """Return every output of Interpolate as a tensor."""
    plan = Plan("interpolate", {"model": model, "precision": "fp32", **options}, "Interpolate")
    clips = apply(plan, clip, *([depth] if depth else []))
    parts = list(pull(list(clips.values()), host, chunk))
    return {port: torch.cat([chunks[index] for chunks in parts], -4) for index, port in enumerate(clips)}


def alone(net, first, second, t, **given):
    """Return one frame ``[H, W, 3]`` by the network alone, and its motion."""
    pair = [
        torch.nn.functional.pad(image.movedim(-1, 0)[None], rife.padding(*image.shape[:2], net.family))
        for image in (first, second)
    ]
    with torch.inference_mode():
        between = rife.crop(net(*pair, torch.tensor([float(t)]), **given), *first.shape[:2])
    return between.image[0].movedim(0, -1).clamp(0, 1), between


def photo(count, size=SIZE, seed=1):
    """Return smooth moving texture ``[count, H, W, 3]``."""
    wall = Layer("plane", 0.2, Texture(seed), (size[1] / 2, size[0] / 2))
    scene = Scene(size[1], size[0], (wall,), Camera(pan=(2.3, 0.7)))
    return torch.stack([scene.render(t).image for t in range(count)])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("version", ["4.6", "4.15.lite", "4.25"])
def test_frames_equal_the_networks(version, batch, put, host, tensor_clip):
    net, images = network(version), photo(3)
    out = interpolated(put(net), host, tensor_clip(images), multiplier=5, batch=batch)["clip"]
    for index in range(15):
        source, part = divmod(index, 5)
        if not part or source == 2:
            assert torch.equal(out[index], images[source])
        else:
            torch.testing.assert_close(
                out[index], alone(net, *images[source : source + 2], Fraction(part, 5))[0], atol=1e-4, rtol=0
            )


@pytest.mark.parametrize(
    ("name", "prefix", "rename"),
    [
        ("flownet_v4.15.pkl", "module.", str),
        ("rife415.pth", "", str),
        ("mine.safetensors", "", lambda key: key.replace("block", "blocks.", 1)),
    ],
)
def test_every_packing_runs(name, prefix, rename, put, host, tensor_clip):
    net, images = network(), photo(2)
    file = put(net, name, prefix, lambda key: rename(key) if key.startswith("block") else key)
    out = interpolated(file, host, tensor_clip(images))["clip"]
    torch.testing.assert_close(out[1], alone(net, *images, 0.5)[0], atol=1e-4, rtol=0)


def test_film_runs_at_every_time(put, host, tensor_clip):
    torch.manual_seed(0)
    net, images = film_interpolation.FILM(8, (8, 8, 8, 8)).eval(), photo(3)
    out = interpolated(put(net, "film.safetensors"), host, tensor_clip(images), multiplier=3)["clip"]
    pair = [
        torch.nn.functional.pad(image.movedim(-1, 0)[None], film_interpolation.padding(*SIZE))
        for image in images[1:]
    ]
    with torch.inference_mode():
        wanted = (
            net(*pair, torch.tensor([2 / 3])).image[0, :, : SIZE[0], : SIZE[1]].movedim(0, -1).clamp(0, 1)
        )
    torch.testing.assert_close(out[5], wanted, atol=1e-4, rtol=0)
    assert torch.equal(out[::3], images)


def test_every_frame_is_encoded_once(host, tensor_clip):
    options = resolve(OPTIONS, {"multiplier": 5, "precision": "fp32", "batch": 4})
    network_of = RifeNetwork(network(), options, torch.float32)
    seen = []
    network_of.net.encode.register_forward_hook(lambda *given: seen.append(1))
    stage = InterpolationStage(NetworkInterpolator(network_of, host.device, options), options)
    with torch.inference_mode():
        out = list(stage(Shot(0, tensor_clip(photo(4)).info), iter(photo(4).split(2))))
    assert len(out) == 20 and len(seen) == 4


@pytest.mark.parametrize("batch", [1, 3])
def test_chunk_and_shot_laws(batch, put, host, tensor_clip):
    file, images = put(network()), photo(9)
    whole = interpolated(file, host, tensor_clip(images, cuts=(4,)), target_fps="60", batch=batch)
    for chunk in (1, 2, 9):
        again = interpolated(
            file, host, tensor_clip(images, cuts=(4,)), target_fps="60", batch=batch, chunk=chunk
        )
        assert all(torch.equal(again[port], whole[port]) for port in whole)
    second = interpolated(file, host, tensor_clip(images[4:]), multiplier=2, batch=batch)["clip"]
    joined = interpolated(file, host, tensor_clip(images, cuts=(4,)), multiplier=2, batch=batch)["clip"]
    assert torch.equal(joined[8:], second)


def test_depth_and_alpha_follow_the_images(put, host, tensor_clip):
    net, images, depth = (
        network(),
        torch.cat([photo(2), photo(2, seed=5)[..., :1]], -1),
        photo(2, seed=3)[..., :1],
    )
    out = interpolated(put(net), host, tensor_clip(images), depth=tensor_clip(depth))
    _, between = alone(net, *images[..., :3], 0.5)
    for port, values in (("clip", images[..., 3:]), ("depth", depth)):
        wanted = rife.blend(between, *(image.movedim(-1, 0)[None] for image in values))[0].movedim(0, -1)
        torch.testing.assert_close(out[port][1][..., -1:], wanted, atol=1e-4, rtol=0)


def test_depth_of_another_size_keeps_its_size(put, host, tensor_clip):
    out = interpolated(
        put(network()), host, tensor_clip(photo(2)), depth=tensor_clip(photo(2, (22, 35))[..., :1])
    )
    assert out["depth"].shape == (4, 22, 35, 1) and out["clip"].shape == (4, *SIZE, 3)


def test_views_are_independent(put, host, tensor_clip):
    from stereoreel.core.clip import Clip
    from stereoreel.core.transforms import Split

    file, left, right = put(network()), photo(2), photo(2, seed=7)
    pair = apply(Split("Split"), tensor_clip(torch.cat([left, right], 2)))["clip"]
    assert isinstance(pair, Clip) and pair.info.views == 2
    out = interpolated(file, host, pair)
    assert out["confidence"].shape == (2, 4, *SIZE, 1)
    for eye, images in enumerate((left, right)):
        torch.testing.assert_close(
            out["clip"][eye], interpolated(file, host, tensor_clip(images))["clip"], atol=1e-4, rtol=0
        )


def test_frames_between_equal_ones_are_copies(put, host, tensor_clip):
    images = photo(1).repeat(3, 1, 1, 1)
    out = interpolated(put(network()), host, tensor_clip(images), multiplier=3)
    assert torch.equal(out["clip"], images[:1].repeat(9, 1, 1, 1)) and out["confidence"].min() == 1


def test_half_precision_leaves_motion_in_float32(put, host, tensor_clip):
    file, clip = put(network("4.25")), tensor_clip(photo(2))
    exact, half = (
        interpolated(file, host, clip, precision=precision)["clip"] for precision in ("fp32", "bf16")
    )
    assert half.dtype == torch.float32 and 0 < (exact - half).abs().mean() < 0.02


def test_bad_files_are_refused(put, host, tensor_clip):
    odd = put(torch.nn.Linear(3, 3), "odd.pth")
    with pytest.raises(ValueError, match="not a RIFE checkpoint"):
        interpolated(odd, host, tensor_clip(photo(2)))
    with pytest.raises(ValueError, match=r"RIFE 4\.25, 4\.26 has no ensemble"):
        interpolated(put(network("4.25")), host, tensor_clip(photo(2)), ensemble=True)


# What time demands, the same for every model: shown with builtin, which needs no file.


def ramp(values):
    """Return frames of one grey each ``[T, 32, 32, 3]``, so that a frame shows its origin."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 32, 32, 3).contiguous()


def grays(out):
    return [round(float(frame.mean()), 4) for frame in out["clip"]]


def test_the_last_frame_may_end_the_clip(host, tensor_clip):
    clip = tensor_clip(photo(4))
    kept, ended = (
        interpolated("builtin", host, clip, multiplier=3, ending=ending)["clip"]
        for ending in ("keep duration", "last frame")
    )
    assert (
        len(kept) == 12
        and len(ended) == 10
        and torch.equal(ended, kept[:10])
        and torch.equal(ended[-1], photo(4)[-1])
    )


def test_loop_interpolates_to_its_first_frame(put, host, tensor_clip):
    net, images = network(), photo(3)
    out = interpolated(put(net), host, tensor_clip(images), multiplier=2, loop=True)["clip"]
    assert len(out) == 6
    torch.testing.assert_close(out[5], alone(net, images[2], images[0], 0.5)[0], atol=1e-4, rtol=0)


def test_loop_needs_one_shot(host, tensor_clip):
    with pytest.raises(ValueError, match="single shot"):
        interpolated("builtin", host, tensor_clip(photo(4), cuts=(2,)), loop=True)


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("", [0.0, 0.0, 0.0, 0.0, 0.4, 0.4, 0.4, 0.4]),
        ("0: blend", [0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4]),
        ("0-9: hold", [0.0, 0.0, 0.0, 0.0, 0.4, 0.4, 0.4, 0.4]),
        ("0-9: hold; 0: blend", [0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4]),
    ],
)
def test_schedule_keeps_the_duration(schedule, wanted, host, tensor_clip):
    out = interpolated("builtin", host, tensor_clip(ramp([0.0, 0.4])), multiplier=4, schedule=schedule)
    assert len(out["clip"]) == 8
    if schedule:
        assert grays(out) == wanted


def test_schedule_sets_the_steps(put, host, tensor_clip):
    file, clip = put(network()), tensor_clip(photo(3))
    free, stepped = (
        interpolated(file, host, clip, multiplier=4, schedule=schedule)["clip"] for schedule in ("", "0: 2")
    )
    # batches differ
    torch.testing.assert_close(stepped[[0, 2, 4, 5, 6]], free[[0, 2, 4, 5, 6]], atol=1e-4, rtol=0)
    assert torch.equal(stepped[1], stepped[0]) and torch.equal(stepped[3], stepped[2])


@pytest.mark.parametrize("written", ["hold", "5-3: hold", "1: 0", "1: faster", "1 2: hold"])
def test_invalid_schedule_is_refused(written, host, tensor_clip):
    with pytest.raises(ValueError, match="A schedule is written like"):
        interpolated("builtin", host, tensor_clip(photo(2)), schedule=written)


def test_motion_skips_repeated_frames_and_keeps_time(put, host, tensor_clip):
    """Drawn on threes: every third frame is new, and motion is smooth from one new frame to the next."""
    net, drawn = network(), photo(3)
    film_on_threes = drawn.repeat_interleave(3, 0)
    out = interpolated(put(net), host, tensor_clip(film_on_threes), multiplier=1, duplicates="smooth")["clip"]
    assert len(out) == 9 and torch.equal(out[::3], drawn)
    for place in (1, 2, 4, 5):
        wanted = alone(net, drawn[place // 3], drawn[place // 3 + 1], Fraction(place % 3, 3))[0]
        torch.testing.assert_close(out[place], wanted, atol=1e-4, rtol=0)
    assert torch.equal(out[7], drawn[2]) and torch.equal(out[8], drawn[2])


def test_real_hold_stays(put, host, tensor_clip):
    drawn = photo(2)
    held = torch.cat([drawn[:1].repeat(8, 1, 1, 1), drawn[1:]])
    out = interpolated(put(network()), host, tensor_clip(held), multiplier=2, duplicates="smooth")["clip"]
    assert torch.equal(out[:15], drawn[:1].repeat(15, 1, 1, 1)) and not torch.equal(out[15], drawn[0])


def test_compression_noise_does_not_hide_repeats(put, host, tensor_clip):
    drawn = photo(3).repeat_interleave(2, 0)
    noisy = (drawn + 0.002 * torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    out = interpolated(put(network()), host, tensor_clip(noisy), multiplier=1, duplicates="smooth")["clip"]
    assert (
        not torch.equal(out[1], noisy[1])
        and not torch.equal(out[3], noisy[3])
        and torch.equal(out[2], noisy[2])
    )


@pytest.mark.parametrize(("uncertain", "wanted"), [("hold", [0.1, 0.1, 0.9]), ("blend", [0.1, 0.5, 0.9])])
def test_unreliable_motion_uses_the_fallback(uncertain, wanted, host, tensor_clip):
    """Noise that changes into other noise has no motion, so the fallback is used."""
    noise = torch.rand(2, 64, 96, 3, generator=torch.Generator().manual_seed(0))
    images = torch.stack([noise[0] * 0.2, 0.8 + noise[1] * 0.2])
    kept, mended = (
        interpolated("builtin", host, tensor_clip(images), target_fps="37.5", uncertain=way)
        for way in ("keep", uncertain)
    )
    assert mended["confidence"][1].mean() < 0.05 and mended["confidence"][0].min() == 1
    instead = images[0] if uncertain == "hold" else torch.lerp(*images, 2 / 3)
    if uncertain == "hold":
        instead = images[1]  # two thirds of the way
    torch.testing.assert_close(mended["clip"][1], instead, atol=0.05, rtol=0)
    assert kept["clip"].shape == mended["clip"].shape


def test_confidence_is_high_for_simple_motion(host, tensor_clip):
    out = interpolated("builtin", host, tensor_clip(photo(2, (96, 128))))
    assert out["confidence"][1, 8:-8, 8:-8].min() > 0.9


@pytest.mark.parametrize(("cuts", "crossed"), [("auto", False), ("none", True), ("1", True), ("2", False)])
def test_cuts_can_be_given_or_ignored(cuts, crossed, tensor_clip, host):
    from stereoreel.workflow import build
    from stereoreel.workflow.node_specs import BY_ID

    images = torch.cat([photo(2), photo(2, seed=9)])
    clip = tensor_clip(images, cuts=(2,))
    out = build.stage(BY_ID["StereoReelInterpolate"], {"clip": clip}, {"model": "builtin", "cuts": cuts}, "4")
    made_frames = frames(out["clip"], host)
    assert torch.equal(made_frames[3], images[1]) is not crossed
    assert out["cuts"] == {"auto": "2", "none": "none"}.get(cuts, cuts)


@pytest.mark.parametrize("cuts", ["0", "4", "2, 9", "soon"])
def test_invalid_cuts_are_refused(cuts, tensor_clip):
    from stereoreel.workflow import build
    from stereoreel.workflow.node_specs import BY_ID

    with pytest.raises(ValueError, match=r"cuts must be (between|auto)"):
        build.stage(
            BY_ID["StereoReelInterpolate"],
            {"clip": tensor_clip(photo(4))},
            {"model": "builtin", "cuts": cuts},
            "4",
        )


@pytest.mark.parametrize("fallback", ["builtin", "network"])
def test_frames_are_never_blended_across_a_cut(fallback, put, host, tensor_clip):
    model = "builtin" if fallback == "builtin" else put(network())
    images = torch.cat([photo(3), photo(3, seed=9)])
    out = interpolated(model, host, tensor_clip(images, cuts=(3,)), multiplier=4)["clip"]
    assert torch.equal(out[8:12], images[2:3].repeat(4, 1, 1, 1)) and torch.equal(out[12], images[3])


@pytest.mark.parametrize("name", ["flownet.pkl", "train_log/flownet.pkl"])
def test_auto_takes_a_rife_under_its_authors_name(name, put, host):
    put(network(), name, "module.")
    entry, reason = catalog.choose("interpolate", "auto", host)
    assert entry.name == "rife-flownet" and entry.file == name, reason
    assert catalog.own_files("interpolate", host) == []


def test_auto_reads_a_file_whose_name_says_nothing(put, host):
    """The author's archives name every version flownet.pkl, also those that are too old."""
    put(network(), "flownet.pkl", rename=lambda key: key.replace("convblock.0.conv", "convblock.0.0"))
    entry, reason = catalog.choose("interpolate", "auto", host)
    assert entry.name == "builtin" and "passing over rife-flownet: flownet.pkl" in reason
    assert "version 4.4 or older" in reason
    put(network(), "flownet.pkl")
    assert catalog.choose("interpolate", "auto", host)[0].name == "rife-flownet"
