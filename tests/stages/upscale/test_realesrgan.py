"""RealESRGAN and related models: the plain network's values at any size, in tiles and batches."""

import logging
from collections import Counter
from itertools import cycle

import pytest
import torch
import torch.nn.functional as F

from benchmarks.support.image_nets import Compact, RRDBNet, random_net, save
from stereoreel.core.clip import Shot, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.core.transforms import Split
from stereoreel.image import tiles
from stereoreel.image.resize import resize
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.upscale import OPTIONS, spandrel
from stereoreel.stages.upscale.network import ImageNetwork, read
from stereoreel.stages.upscale.work import Budget, Work
from tests.support.lookahead import lookahead

pytestmark = pytest.mark.usefixtures("stand_ins")  # small networks under the published files' names

CPU = torch.device("cpu")
NETS = {
    "x2": (RRDBNet, {"scale": 2}),
    "x4": (RRDBNet, {"scale": 4}),
    "x1": (RRDBNet, {"scale": 1}),
    "compact-x4": (Compact, {"scale": 4}),
    "compact-x2": (Compact, {"scale": 2}),
}
every_net = pytest.mark.parametrize("name", NETS)


def make(name, tmp_path, suffix=".pth", seed=0):
    kind, sizes = NETS[name]
    net = random_net(kind, seed, **sizes)
    return net, save(net, tmp_path / "models" / "upscale" / f"{name}{suffix}")


def stage(path, **options):
    settings = resolve(OPTIONS, {"precision": "fp32", **options})
    return spandrel.ImageUpscaler(ImageNetwork(read(path), CPU, settings.precision), settings)


def plain(net, images):
    """Run the network alone on frames ``[T, H, W, 3]``.

    They are mirrored to a multiple of the squares whose pixels it gathers, as the realesrgan package does.
    """
    height, width = images.shape[1:3]
    multiple = getattr(net, "shuffle", 1)
    padded = F.pad(images.movedim(-1, 1), (0, -width % multiple, 0, -height % multiple), "reflect")
    with torch.inference_mode():
        return net(padded).clamp(0, 1)[..., : height * net.scale, : width * net.scale].movedim(1, -1)


def run(made_stage, images, tensor_clip):
    with torch.inference_mode():
        shot = Shot(0, tensor_clip(images).info)
        return torch.cat(list(made_stage(shot, iter(images.split(3)))))


@every_net
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("size", [(32, 48), (25, 31), (6, 9)])
def test_equals_the_network_at_every_size(name, suffix, size, tmp_path, tensor_clip):
    net, path = make(name, tmp_path, suffix)
    images = torch.rand(2, *size, 3)
    made = run(stage(path, factor=max(1, net.scale)), images, tensor_clip)
    assert made.std() > 0.02
    torch.testing.assert_close(made, plain(net, images), atol=1e-5, rtol=0)


@every_net
def test_equals_spandrel(name, tmp_path, tensor_clip):
    import spandrel as library

    _, path = make(name, tmp_path)
    wrapped = library.ModelLoader().load_from_file(path).eval()
    images = torch.rand(2, 27, 38, 3)
    made = run(stage(path, factor=max(1, wrapped.scale)), images, tensor_clip)
    # not the wrapper, which pads to a multiple of 4 if the network gathers pixels
    with torch.inference_mode():
        wanted = wrapped.model(images.movedim(-1, 1)).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["x2", "compact-x4"])
def test_batches_of_one_and_four_agree(name, tmp_path, tensor_clip):
    _, path = make(name, tmp_path)
    images = torch.rand(5, 33, 40, 3)
    one, four = (run(stage(path, batch=batch), images, tensor_clip) for batch in (1, 4))
    torch.testing.assert_close(one, four, atol=1e-5, rtol=0)


@every_net
def test_tiles_leave_no_seam(name, tmp_path, tensor_clip):
    _, path = make(name, tmp_path)
    images = torch.rand(1, 150, 203, 3)
    whole, tiled = (run(stage(path, tile=tile), images, tensor_clip) for tile in (0, 96))
    torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("rows", "columns", "pixels", "halo", "multiple"),
    [
        (720, 1280, 200_000, 20, 4),
        (1080, 1920, 500_000, 36, 4),
        (128, 128, 1 << 20, 16, 1),
        (97, 333, 9000, 8, 1),
        (64, 4096, 30_000, 24, 8),
    ],
)
def test_tiles_are_equal_aligned_and_overlap(rows, columns, pixels, halo, multiple):
    grid = tiles.grid(rows, columns, pixels, halo, multiple)
    assert grid.height * grid.width <= pixels or grid.height * grid.width <= (6 * halo) ** 2
    for starts, side, length in ((grid.tops, grid.height, rows), (grid.lefts, grid.width, columns)):
        assert (
            starts[0] == 0 and starts[-1] + side == length and all(start % multiple == 0 for start in starts)
        )
        assert all(here + side - there >= 2 * halo for here, there in zip(starts, starts[1:]))
    picture = torch.rand(3, rows, columns)
    torch.testing.assert_close(grid.join(grid.cut(picture)), picture, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        grid.join(grid.cut(picture.repeat(1, 2, 2), 2), 2), picture.repeat(1, 2, 2), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"factor": 1.0}, (37, 54)),
        ({"factor": 1.5}, (56, 81)),
        ({"factor": 2.0}, (74, 108)),
        ({"factor": 3.25}, (120, 176)),
        ({"factor": 4.0}, (148, 216)),
        ({"fit": "width", "pixels": 100}, (69, 100)),
        ({"fit": "height", "pixels": 96}, (96, 140)),
        ({"fit": "short side", "pixels": 64}, (64, 93)),
        ({"fit": "width", "pixels": 32}, (22, 32)),
    ],
)
@pytest.mark.parametrize("name", ["x2", "compact-x4", "x1"])
def test_output_size_is_exact(name, options, size, tmp_path, tensor_clip, host):
    net, _ = make(name, tmp_path)
    clip = tensor_clip(frames=2, size=(37, 54))
    plan = Plan("upscale", {"model": f"{name}.pth", "precision": "fp32", **options}, "Upscale")
    made = apply(plan, clip)["clip"]
    assert (made.info.height, made.info.width) == size
    wanted = resize(plain(net, frames(clip, host)), *size)
    torch.testing.assert_close(frames(made, host), wanted, atol=1e-5, rtol=0)


def test_alpha_is_kept_and_resized(tmp_path, tensor_clip):
    net, path = make("x2", tmp_path)
    images = torch.rand(3, 20, 28, 4)
    made = run(stage(path), images, tensor_clip)
    torch.testing.assert_close(made[..., :3], plain(net, images[..., :3]), atol=1e-5, rtol=0)
    torch.testing.assert_close(made[..., 3:], resize(images[..., 3:], 40, 56))


@pytest.mark.parametrize(
    "options",
    [{}, {"reuse": "tiles"}, {"batch": 3}, {"steady": 0.7}, {"tile": 96}, {"reuse": "off"}],
    ids=lambda given: "-".join(map(str, given)) or "default",
)
def test_chunk_and_shot_laws(options, tmp_path, tensor_clip, host):
    make("x2", tmp_path)
    images = torch.rand(11, 28, 40, 3)
    images[3] = images[2]
    images[8] = images[7] = images[6]
    plan = Plan("upscale", {"model": "x2.pth", **options}, "Upscale")
    whole = frames(apply(plan, tensor_clip(images, cuts=(6,)))["clip"], host, 11)
    for chunk in (1, 2, 7):
        assert torch.equal(frames(apply(plan, tensor_clip(images, cuts=(6,)))["clip"], host, chunk), whole)
    alone = [frames(apply(plan, tensor_clip(part))["clip"], host, 4) for part in images.split([6, 5])]
    assert torch.equal(torch.cat(alone), whole)


def test_memory_law_in_a_still_shot(tmp_path, tensor_clip, host):
    make("compact-x2", tmp_path)
    clip = tensor_clip(torch.rand(1, 16, 16, 3).repeat(300, 1, 1, 1))
    made, worst = lookahead(
        clip, apply(Plan("upscale", {"model": "compact-x2.pth"}, "Upscale"), clip)["clip"], host, 5
    )
    assert made == 300 and worst <= 64


def test_equal_frames_are_computed_once(tmp_path, tensor_clip):
    _, path = make("x2", tmp_path)
    first, second = torch.rand(2, 24, 24, 3)
    film = torch.stack([first, first, first, second, second, first])
    used = stage(path)
    made = run(used, film, tensor_clip)
    assert used.counts == Counter({"frames computed": 3, "frames reused": 3})
    torch.testing.assert_close(made, run(stage(path, reuse="off"), film, tensor_clip), atol=1e-5, rtol=0)


def test_threshold_reuses_similar_frames_without_drift(tmp_path, tensor_clip):
    """Brightness rises by a quarter of a step a frame: every fifth exceeds a step since the last computed."""
    _, path = make("x2", tmp_path)
    film = torch.full((16, 24, 24, 3), 0.5) + torch.arange(16).view(-1, 1, 1, 1) * 0.251 / 255
    used = stage(path, reuse_threshold=1.0)
    run(used, film, tensor_clip)
    assert used.counts["frames computed"] == 4 and used.counts["frames reused"] == 12


def test_unchanged_tiles_are_reused_and_exact(tmp_path, tensor_clip):
    _, path = make("compact-x2", tmp_path)
    film = torch.rand(1, 160, 224, 3).repeat(6, 1, 1, 1)
    film[3:, 20:30, 40:60] = 0.9
    film[4, 100:120, 30:50] = 0.1
    used = stage(path, reuse="tiles")
    made = run(used, film, tensor_clip)
    whole = run(stage(path, reuse="off"), film, tensor_clip)
    torch.testing.assert_close(made, whole, atol=2e-3, rtol=0)
    still = used.counts["tiles reused"] / (used.counts["tiles reused"] + used.counts["tiles computed"])
    assert used.counts["frames reused"] == 2 and still > 0.4
    assert torch.equal(made[3][100:, 200:], made[2][100:, 200:]), "what stands still keeps its very bits"


def test_out_of_memory_retries_with_smaller_tiles(tmp_path, tensor_clip, caplog):
    """The network refuses large inputs, as a device does; no frame is lost or computed twice."""
    net, path = make("compact-x2", tmp_path)
    used = stage(path, batch=4)
    largest = []

    def scarce(module, given):
        largest.append(given[0].shape[0] * given[0].shape[-2] * given[0].shape[-1])
        if largest[-1] > 9000:
            raise torch.OutOfMemoryError("the device has no memory left")

    used.network.nets[0].register_forward_pre_hook(scarce)
    images = torch.rand(7, 130, 170, 3)
    with caplog.at_level(logging.WARNING):
        made = run(used, images, tensor_clip)
    torch.testing.assert_close(made, plain(net, images), atol=2e-3, rtol=0)
    assert "Out of memory" in caplog.text and sum(size > 9000 for size in largest) <= 6


def test_too_little_memory_is_an_error(tmp_path, tensor_clip):
    _, path = make("compact-x2", tmp_path)
    used = stage(path)

    def nothing(module, given):
        raise torch.OutOfMemoryError("the device has no memory left")

    used.network.nets[0].register_forward_pre_hook(nothing)
    with pytest.raises(torch.OutOfMemoryError):
        run(used, torch.rand(1, 64, 64, 3), tensor_clip)


def broken(descriptor, fault, precise_too=False):
    """Return a network whose half-precision form makes ``fault`` of bright images, and of black ones."""

    def spoil(module, given, out):
        half = next(module.parameters()).dtype != torch.float32 or any(
            p.dtype != torch.float32 for p in module.parameters()
        )
        if half or precise_too:
            out = out.clone()
            mean = given[0].mean((1, 2, 3))
            out[(mean > 0.6) | (mean == 0)] = fault
        return out

    descriptor.model.register_forward_hook(spoil)
    return descriptor


@pytest.mark.parametrize(("fault", "said"), [(float("nan"), "contains NaN"), (0.0, "is black")])
def test_broken_frame_is_recomputed_in_float32(fault, said, tmp_path, tensor_clip, caplog):
    net, path = make("compact-x2", tmp_path)
    settings = resolve(OPTIONS, {"precision": "bf16", "batch": 2})
    used = spandrel.ImageUpscaler(ImageNetwork(broken(read(path), fault), CPU, "bf16"), settings)
    images = bright_second(torch.rand(4, 24, 24, 3))
    with caplog.at_level(logging.WARNING):
        made = run(used, images, tensor_clip)
    torch.testing.assert_close(made, plain(net, images), atol=1e-5, rtol=0)
    assert f"frame 1 {said}" in caplog.text


def bright_second(images):
    images[1] = 0.5 + images[1] / 2
    return images


@pytest.mark.parametrize(
    ("fault", "said"), [(float("nan"), "frame 6 contains NaN"), (0.0, "frame 6 is black")]
)
def test_frame_broken_in_float32_is_an_error(fault, said, tmp_path, tensor_clip):
    _, path = make("compact-x2", tmp_path)
    used = spandrel.ImageUpscaler(
        ImageNetwork(broken(read(path), fault, precise_too=True), CPU, "bf16"), resolve(OPTIONS, {"batch": 2})
    )
    with torch.inference_mode(), pytest.raises(RuntimeError, match=said):
        list(used(Shot(5, tensor_clip().info), iter([bright_second(torch.rand(4, 24, 24, 3))])))


def test_black_source_may_stay_black(tmp_path, tensor_clip):
    _, path = make("compact-x2", tmp_path)
    used = spandrel.ImageUpscaler(
        ImageNetwork(broken(read(path), 0.0, precise_too=True), CPU, "bf16"), resolve(OPTIONS, {})
    )
    assert run(used, torch.zeros(1, 24, 24, 3), tensor_clip).max() == 0


def test_tile_mosaic_is_detected(tmp_path):
    _, path = make("compact-x2", tmp_path)
    network = ImageNetwork(read(path), CPU, "fp32")
    work = Work(network, Budget(network, tile=96))
    shades = cycle([0.2, 0.8, 0.5])
    for net in (network.nets[0], network.exact.model):
        net.register_forward_hook(
            lambda module, given, out: torch.stack([torch.full_like(one, next(shades)) for one in out])
        )
    work.budget._reach = 8
    with torch.inference_mode(), pytest.raises(RuntimeError, match="frame 3 shows visible tiles"):
        work(torch.rand(1, 3, 600, 600), [3])


def test_wrong_scale_is_an_error(tmp_path):
    _, path = make("compact-x2", tmp_path)
    descriptor = read(path)
    descriptor.scale = 3
    network = ImageNetwork(descriptor, CPU, "fp32")
    with torch.inference_mode(), pytest.raises(RuntimeError, match="Model output is 48x48; expected 72x72"):
        budget = Budget(network)
        budget.fit()
        Work(network, budget)(torch.rand(1, 3, 24, 24), [0])


@every_net
def test_half_precision_stays_close(name, tmp_path, tensor_clip):
    """First and last convolutions in float32 keep the image exact; only the synthesised detail differs."""
    _, path = make(name, tmp_path)
    images = torch.rand(1, 48, 64, 3)
    exact, half = (
        run(stage(path, precision=precision), images, tensor_clip) for precision in ("fp32", "bf16")
    )
    error = (exact - half).square().mean().sqrt()
    assert half.dtype == torch.float32 and 0 < error < 1 / 255


def test_denoise_mixes_the_two_files_of_a_model(tmp_path, tensor_clip, host):
    strong, weak = (random_net(Compact, seed, scale=4) for seed in (1, 2))
    save(strong, tmp_path / "models/upscale/realesr-general-x4v3.pth")
    clip = tensor_clip(frames=1, size=(20, 24))
    plan = {"model": "realesr-general-x4v3", "factor": 4, "precision": "fp32"}
    torch.testing.assert_close(
        frames(apply(Plan("upscale", plan, "U"), clip)["clip"], host),
        plain(strong, frames(clip, host)),
        atol=1e-5,
        rtol=0,
    )
    with pytest.raises(FileNotFoundError, match=r"realesr-general-wdn-x4v3\.pth"):
        frames(apply(Plan("upscale", {**plan, "denoise": 0.3}, "U"), clip)["clip"], host)
    save(weak, tmp_path / "models/upscale/realesr-general-wdn-x4v3.pth")
    with torch.no_grad():
        for mine, other in zip(strong.parameters(), weak.parameters()):
            mine.lerp_(other, 0.7)
    mixed = frames(apply(Plan("upscale", {**plan, "denoise": 0.3}, "U"), clip)["clip"], host)
    torch.testing.assert_close(mixed, plain(strong, frames(clip, host)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"not a checkpoint at all", "not a checkpoint"),
        ({"weight": torch.zeros(3)}, "spandrel does not support it"),
    ],
)
def test_other_files_are_refused(content, said, tmp_path):
    path = tmp_path / "odd.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=rf"odd\.pth.* {said}"):
        read(path)


class Evil:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_pickle_with_code_is_refused(tmp_path, capsys):
    torch.save({"params": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="contains code"):
        read(tmp_path / "evil.pth")
    assert "never run" not in capsys.readouterr().out


def test_views_stay_synchronous_if_one_repeats_frames(tmp_path, tensor_clip, host):
    """Repeated frames arrive in smaller chunks; those of the other view do not."""
    net = random_net(RRDBNet, scale=2)
    (tmp_path / "models" / "upscale").mkdir(parents=True)
    save(net, tmp_path / "models" / "upscale" / "net.pth")
    left, right = torch.rand(1, 16, 20, 3).repeat(6, 1, 1, 1), torch.rand(6, 16, 20, 3)
    pair = apply(Split(), tensor_clip(torch.cat([left, right], 2)))["clip"]
    plan = Plan("upscale", {"model": "net.pth"}, "Upscale")
    made = frames(apply(plan, pair)["clip"], host)
    for eye, images in zip(made, (left, right)):
        torch.testing.assert_close(eye, frames(apply(plan, tensor_clip(images))["clip"], host))
