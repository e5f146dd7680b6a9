"""Models of ncnn, a graph and its weights: loaded like checkpoints, or refused in one sentence."""

import struct

import pytest
import torch

from benchmarks.support.image_nets import Compact, RRDBNet, random_net
from stereoreel.models import catalog, weights
from stereoreel.models.intact import fault
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.upscale import network
from tests.support import ncnn_writer
from tests.support.ncnn_writer import HALF, Writer


def halved(net: torch.nn.Module) -> torch.nn.Module:
    """Return the network with weights as float16 holds them."""
    return net.half().float()


def small(**sizes) -> torch.nn.Module:
    return halved(random_net(Compact, **sizes))


@pytest.mark.parametrize("half", [True, False], ids=["float16", "float32"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_compact_of_any_scale(scale, half, tmp_path):
    net = small(scale=scale, width=5)  # an odd count of float16 numbers is padded
    path = ncnn_writer.compact(net, Writer(half)).save(tmp_path / "net.bin")
    assert_same(network.read(path), net, "Compact", scale)


def test_compact_with_plain_rectifiers(tmp_path):
    net = small()  # its PReLU has the slope 0.25 everywhere
    path = ncnn_writer.compact(net, Writer(), "ReLU").save(tmp_path / "net.bin")
    assert_same(network.read(path), net, "Compact", 4)


def test_resize_after_the_network_is_left_to_the_stage(tmp_path):
    """The files of animevideov3 for 2 and 3 times are the network for 4 times and a resize."""
    net, writer = small(), Writer()
    ncnn_writer.compact(net, writer).layer("Interp", [f"binaryop_{writer.count}"], "0=3 1=0.5 2=0.5")
    assert_same(network.read(writer.save(tmp_path / "net.bin")), net, "Compact", 4)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "separate"])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_rrdbnet(scale, fused, tmp_path):
    net = halved(random_net(RRDBNet, scale=scale, width=8, blocks=2))
    path = ncnn_writer.rrdb(net, Writer(), fused).save(tmp_path / "net.bin")
    assert_same(network.read(path), net, "ESRGAN", scale)


@pytest.mark.parametrize("scale", [2, 4])
def test_span(scale, tmp_path):
    net = ncnn_writer.random_span(scale)
    path = ncnn_writer.span(net, Writer(half=False)).save(tmp_path / "net.bin")
    found = network.read(path)
    assert_same(found, net, "SPAN", scale)
    convolutions = sum(isinstance(part, torch.nn.Conv2d) for part in found.model.modules())
    assert convolutions == 22, "merged once, not for every image"


def test_span_with_another_mean(tmp_path):
    mean = (0.485, 0.456, 0.406)
    net = ncnn_writer.random_span()
    path = ncnn_writer.span(net, Writer(half=False), mean).save(tmp_path / "net.bin")
    net.mean = torch.tensor(mean).view(1, 3, 1, 1)
    assert_same(network.read(path), net, "SPAN", 2)


@torch.inference_mode()
def assert_same(found, net, architecture: str, scale: int) -> None:
    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    assert (found.architecture.id, found.scale) == (architecture, scale)
    torch.testing.assert_close(found.model(image), net(image), atol=1e-5, rtol=1e-4)


# Chosen like a checkpoint


@pytest.fixture
def pair(host):
    return ncnn_writer.compact(small(scale=2), Writer()).save(host.folder("upscale") / "sub" / "mine.bin")


def test_pair_is_listed_once_and_runs(pair, host, tensor_clip):
    assert catalog.own_files("upscale", host) == ["sub/mine.bin"]
    for name in ("sub/mine.bin", "sub/mine.param"):
        stage = catalog.load("upscale", name, host, precision="fp32")
        assert stage.network.scale == 2


def test_both_halves_identify_a_job(pair, host):
    files = Plan("upscale", {"model": "sub/mine.bin"}, "Upscale").files(host)
    assert sorted(path.name for path in files) == ["mine.bin", "mine.param"]


@pytest.mark.parametrize("gone", [".bin", ".param"])
def test_missing_half_is_named(gone, pair, host):
    pair.with_suffix(gone).unlink()
    left = "sub/mine.param" if gone == ".bin" else "sub/mine.bin"
    with pytest.raises(ValueError, match=rf"half of an ncnn model.*mine\{gone}.*same folder"):
        catalog.load("upscale", left, host)


def test_repaired_graph_is_found_without_a_restart(pair, host):
    graph = pair.with_suffix(".param")
    text = graph.read_text("utf-8")
    graph.write_text(text[: text.index("PReLU")], encoding="utf-8")
    assert "truncated" in fault(pair, files=host.file_cache)
    graph.write_text(text, encoding="utf-8")
    assert fault(pair, files=host.file_cache) is None


def test_other_kinds_refuse_it(pair, host):
    with pytest.raises(ValueError, match="ncnn model, which only the RealESRGAN node loads"):
        weights.read(pair)


# Refused


def refused(path) -> str:
    with pytest.raises(ValueError) as error:
        network.read(path)
    said = str(error.value)
    assert type(error.value) is ValueError and path.stem in said and "\n" not in said and len(said) < 400, (
        said
    )
    return said


@pytest.mark.parametrize("keep", [0, 3, 4, 100, -1])
def test_truncated_weights(keep, pair):
    pair.write_bytes(pair.read_bytes()[:keep])
    assert "ends after" in refused(pair) and "ends after" in fault(pair)


def test_more_weights_than_the_graph_describes(pair):
    pair.write_bytes(pair.read_bytes() + bytes(8))
    assert "8 bytes more" in refused(pair) and "8 bytes more" in fault(pair)


def test_quantised_weights(pair):
    contents = pair.read_bytes()
    pair.write_bytes(contents.replace(HALF, struct.pack("<I", 0x000D4B38), 1))
    assert "quantised" in refused(pair)


GRAPHS = {
    "empty": lambda text: "",
    "web page": lambda text: "<!DOCTYPE html><html>404</html>",
    "cut": lambda text: text[: len(text) // 2],
    "cut at a line": lambda text: "\n".join(text.split("\n")[:6]),
    "zeros": lambda text: "\0" * 500,
    "binary": lambda text: "".join(map(chr, range(128, 900))),
    "int8": lambda text: text.replace("6=", "8=2 6=", 1),
    "other layer": lambda text: text.replace("PixelShuffle", "Deconvolution"),
    "huge sizes": lambda text: text.replace("0=16 1=3", "0=999999999 1=99999", 1),
    "negative sizes": lambda text: text.replace("0=16 1=3", "0=-16 1=-3", 1),
    "huge scale": lambda text: text.replace("1=2.0 2=2.0", "1=1e9 2=1e9"),
    "infinite scale": lambda text: text.replace("1=2.0 2=2.0", "1=inf 2=nan"),
    "huge width": lambda text: text.replace("1=2.0 2=2.0", "1=2.0 2=1e9"),
    "wide padding": lambda text: text.replace("4=1", "4=5000", 1),
    "count of many digits": lambda text: text.replace("\n", "\n" + "9" * 5000, 1),
    "no number": lambda text: text.replace("4=1", "4=one", 1),
    "many blobs": lambda text: text.replace(" 1 1 ", " 1 999999999 ", 1),
    "unknown blob": lambda text: text.replace("pixelshuffle_8 interp", "nothing interp"),
    "another operation": lambda text: text.replace("0=0\n", "0=2\n"),
    "another shuffle": lambda text: text.replace(" pixelshuffle_8 0=2", " pixelshuffle_8 0=1"),
    "arrays": lambda text: text.replace("0=2\n", "-23300=2,2,2\n"),
    "stride": lambda text: text.replace("4=1", "3=2 4=1", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", GRAPHS)
def test_bad_graphs(case, pair):
    graph = pair.with_suffix(".param")
    text = graph.read_text("utf-8")
    changed = GRAPHS[case](text)
    assert changed != text
    graph.write_text(changed, encoding="utf-8")
    refused(pair)


def test_long_graph_is_not_read(pair):
    with open(pair.with_suffix(".param"), "ab") as file:
        file.truncate(5 << 20)
    assert "too long" in refused(pair)
