"""FlashVSR's decisions before the first frame: memory plans, tiles, files; and its colour correction."""

import hashlib
from types import SimpleNamespace

import pytest
import torch

from stereoreel.core.file_cache import FileCache
from stereoreel.core.options import resolve
from stereoreel.models import catalog
from stereoreel.models.headless import Headless
from stereoreel.stages.vsr import OPTIONS
from stereoreel.stages.vsr.flashvsr import FlashVSR, load, plan
from stereoreel.stages.vsr.flashvsr import color as colors
from stereoreel.stages.vsr.flashvsr import weights as files
from tests.support import flashvsr_nets as tiny

pytestmark = pytest.mark.usefixtures("stand_ins")  # small networks under the published files' names

PUBLISHED = SimpleNamespace(width=1536, heads=12, blocks=30, inner=8960)
GIB = 2**30


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for version in ("1.1", "1"):
        tiny.save(folder / "vsr", version, vae=True)
    return folder


@pytest.fixture
def host(models):
    return Headless("cpu", models=models)


def test_adain_matches_mean_and_deviation():
    made, wanted = torch.randn(2, 3, 20, 30) * 0.1 + 0.2, torch.randn(2, 3, 20, 30) * 0.2 - 0.1
    out = colors.corrected(made, wanted, "adain")
    torch.testing.assert_close(out.mean((2, 3)), wanted.mean((2, 3)), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.std((2, 3)), wanted.std((2, 3)), atol=1e-2, rtol=0)


def test_wavelet_replaces_only_the_low_band():
    rows = torch.arange(128.0)
    detail = 0.2 * (-1.0) ** torch.arange(128)
    wave = 0.5 * torch.sin(rows / 128 * torch.pi)
    made, wanted = (
        (one[:, None] + torch.zeros(128))[None, None].expand(1, 3, -1, -1)
        for one in (detail - 0.3, wave - 0.2)
    )
    out = colors.corrected(made, wanted, "wavelet")[0, 0]
    torch.testing.assert_close(out[40:88, 64], (wave - 0.2 + detail)[40:88], atol=0.06, rtol=0)


@pytest.mark.parametrize("method", ["adain", "wavelet"])
def test_tint_is_corrected(method):
    truth = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(2)) - 0.5
    tinted = truth + torch.tensor([0.2, -0.1, 0.0]).view(1, 3, 1, 1)
    before, after = (
        (tinted - truth).abs().mean(),
        (colors.corrected(tinted, truth, method) - truth).abs().mean(),
    )
    assert after < 0.4 * before


def made_for(height, width, free, **given):
    return plan.make(plan.Work(height, width, PUBLISHED, torch.bfloat16), free, given.pop("kept", 3), **given)


def test_plan_by_free_memory():
    """1920x1152, by the free GiB."""
    wanted = {
        None: ("device", 3, 0),
        48: ("device", 3, 0),
        20: ("device", 2, 0),
        16: ("int8", 3, 0),
        14: ("int8", 2, 0),
        12: ("cpu", 3, 0),
    }
    for gib, (store, kept, tile) in wanted.items():
        made = made_for(1152, 1920, gib and gib * GIB)
        assert (made.store, made.kept, made.tile) == (store, kept, tile), gib
        assert gib is None or made.bytes <= gib * GIB
    tiled = made_for(1152, 1920, 8 * GIB)
    assert 0 < tiled.tile < 1152 and tiled.store == "cpu" and tiled.bytes <= 8 * GIB
    assert made_for(1152, 1920, GIB).bytes < tiled.bytes


def test_plan_has_the_known_cache_sizes():
    """Three slots of 1920x1152 are 8.90 GiB; the chunk's own is a fourth."""
    three, two = (plan.Ring.bytes(30, 12, 1920 * 1152 // 16384, kept, 2)[0] for kept in (3, 2))
    assert three * 3 / 4 == pytest.approx(8.90 * GIB, rel=0.01) and two * 2 / 3 == pytest.approx(
        5.93 * GIB, rel=0.01
    )


def test_explicit_options_are_used_and_reported():
    made = made_for(1152, 1920, 6 * GIB, store="int8", tile=1024)
    assert (made.store, made.kept, made.tile) == ("int8", 3, 1024)
    assert made.line(1152, 1920, 6 * GIB).startswith(
        "FlashVSR at 1920x1152: tiles of 1024 pixels, 3 slots in 8 bits"
    )
    assert made_for(768, 1280, None, kept=4).kept == 4


@pytest.mark.parametrize(
    ("length", "tile"), [(128, 512), (1152, 512), (2176, 1024), (3840, 768), (1280, 256), (640, 512)]
)
def test_tiles_cover_a_side_and_overlap(length, tile):
    pieces = plan.cuts(length, tile)
    assert (
        pieces[0][0] == 0 and pieces[-1][1] == length and len({stop - start for start, stop in pieces}) == 1
    )
    assert all(
        later[0] < earlier[1] and later[0] > earlier[0] and later[0] % 128 == 0
        for earlier, later in zip(pieces, pieces[1:])
    )


def test_tile_weights_sum_to_one_without_a_ramp_at_the_border():
    areas = [tuple(edge // 8 for edge in area) for area in plan.regions(1152, 1920, 768)]
    total, shares = torch.zeros(144, 240), plan.weights(areas, 144, 240)
    for (top, bottom, left, right), share in zip(areas, shares):
        total[top:bottom, left:right] += share
        assert share.min() > 0
    torch.testing.assert_close(total, torch.ones(144, 240))
    assert (shares[0][0, :30] == 1).all()


def test_each_official_version_uses_its_own_rule(host):
    old, new = (
        catalog.load("vsr", name, host, precision="fp32") for name in ("flashvsr-v1", "flashvsr-v1.1")
    )
    assert not old.projector.causal and new.projector.causal
    full = catalog.load("vsr", "flashvsr-v1.1", host, decoder="full")
    assert type(full.decoder).__name__ == "WanDecoder"


def test_full_needs_its_file_and_the_error_names_it(tmp_path):
    tiny.save(tmp_path / "vsr")
    host = Headless("cpu", models=tmp_path)
    catalog.load("vsr", "flashvsr-v1.1", host)
    with pytest.raises(FileNotFoundError, match=r"Wan2\.1_VAE\.pth"):
        catalog.load("vsr", "flashvsr-v1.1", host, decoder="full")


def test_repacked_files_and_prefixes_run(tmp_path, host):
    from safetensors.torch import save_file

    place = tmp_path / "vsr"
    place.mkdir()
    save_file(tiny.dit_state(), place / "FlashVSR1_1.safetensors")
    save_file(
        {f"LQ_proj_in.{key}": tensor for key, tensor in tiny.projector_state().items()},
        place / "LQ_proj_in.safetensors",
    )
    save_file(tiny.decoder_state(), place / "TCDecoder.safetensors")
    save_file({"prompt": tiny.prompt()}, place / "Prompt.safetensors")
    single = {
        **tiny.dit_state(),
        **{f"lq_proj_in.{key}": tensor for key, tensor in tiny.projector_state().items()},
        **{f"tc_decoder.{key}": tensor for key, tensor in tiny.decoder_state().items()},
        "positive_conditioning": tiny.prompt(),
    }
    save_file(
        {key: tensor.half() for key, tensor in single.items()}, place / "flashvsr_v1.1_fp16.safetensors"
    )
    official = catalog.load("vsr", "flashvsr-v1.1", host, precision="fp32")
    other = Headless("cpu", models=tmp_path)
    for name, close in (("flashvsr-v1.1", 0), ("flashvsr-v1.1-single", 0.01)):
        for net, wanted in zip(catalog.load("vsr", name, other, precision="fp32").nets, official.nets):
            for tensor, truth in zip(net.state_dict().values(), wanted.state_dict().values(), strict=True):
                torch.testing.assert_close(tensor, truth, atol=close, rtol=close)


def entry(version, known):
    return SimpleNamespace(name="flashvsr-v1.1", params={"version": version, "known": known}, parts={})


def test_mixed_versions_are_refused(tmp_path):
    path = tmp_path / "LQ_proj_in.ckpt"
    path.write_bytes(b"of version 1")
    known = {hashlib.sha256(b"of version 1").hexdigest(): {"version": "1", "bytes": 12}}
    files.refuse_mixed(entry("1", known), {"projector": path}, FileCache())
    with pytest.raises(ValueError, match=r"is of FlashVSR 1 but flashvsr-v1\.1 needs 1\.1"):
        files.refuse_mixed(entry("1.1", known), {"projector": path}, FileCache())
    named = tmp_path / "FlashVSR-v1.1" / "dit.safetensors"
    named.parent.mkdir()
    named.write_bytes(b"")
    with pytest.raises(ValueError, match=r"is of FlashVSR 1\.1"):
        files.refuse_mixed(entry("1", known), {"dit": named}, FileCache())


def test_pickle_with_code_is_refused(tmp_path):
    import pickle

    tiny.save(tmp_path / "vsr")
    bad = tmp_path / "vsr" / "FlashVSR-v1.1" / "posi_prompt.pth"
    bad.write_bytes(pickle.dumps(print, 2))
    with pytest.raises(ValueError, match=r"opened safely|contains code"):
        catalog.load("vsr", "flashvsr-v1.1", Headless("cpu", models=tmp_path))


def test_load_returns_the_stage_of_an_entry(host):
    made, _ = catalog.choose("vsr", "flashvsr-v1", host)
    assert isinstance(load(made, resolve(OPTIONS, {"precision": "fp32"}), host), FlashVSR)
