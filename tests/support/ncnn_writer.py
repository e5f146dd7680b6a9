"""Write a random network as ncnn's converters do: a graph in text, and flagged weights in layer order."""

from pathlib import Path

import torch
from torch import nn

HALF = bytes.fromhex("476b3001")
FULL = bytes(4)


class Writer:
    """Layers one after another; ``weights`` are float16 or float32."""

    def __init__(self, half: bool = True):
        self.half, self.lines, self.weights, self.count = half, ["Input data 0 1 data"], b"", 0

    def layer(self, kind: str, reads: list[str], given: str = "") -> str:
        """Add a layer and return the blob that it writes."""
        self.count += 1
        name = f"{kind.lower()}_{self.count}"
        self.lines.append(f"{kind} {name} {len(reads)} 1 {' '.join(reads)} {name} {given}".strip())
        return name

    def constant(self, numbers: torch.Tensor, given: str) -> str:
        self.weights += numbers.numpy().astype("<f4").tobytes()
        return self.layer("MemoryData", [], given)

    def convolution(self, net: nn.Conv2d, blob: str, extra: str = "") -> str:
        outputs, _, side, _ = net.weight.shape
        flag, dtype = (HALF, "<f2") if self.half else (FULL, "<f4")
        numbers = net.weight.detach().numpy().astype(dtype).tobytes()
        self.weights += flag + numbers + bytes(-len(numbers) % 4)
        self.weights += net.bias.detach().numpy().astype("<f4").tobytes()
        sizes = f"0={outputs} 1={side} 4={side // 2} 5=1 6={net.weight.numel()} {extra}"
        return self.layer("Convolution", [blob], sizes)

    def rectifier(self, slopes: torch.Tensor, blob: str) -> str:
        self.weights += slopes.detach().numpy().astype("<f4").tobytes()
        return self.layer("PReLU", [blob], f"0={len(slopes)}")

    def save(self, path: Path) -> Path:
        """Write both files; return the path of the weights."""
        path.parent.mkdir(parents=True, exist_ok=True)
        blobs = sum(int(line.split()[3]) for line in self.lines)
        text = "\n".join(["7767517", f"{len(self.lines)} {blobs}", *self.lines]) + "\n"
        path.with_suffix(".param").write_text(text, encoding="utf-8")
        path.with_suffix(".bin").write_bytes(self.weights)
        return path.with_suffix(".bin")


def compact(net: nn.Module, writer: Writer, rectifiers: str = "PReLU") -> Writer:
    """A Compact of ``benchmarks.support.image_nets``."""
    blob = "data"
    for part in net.body:
        if isinstance(part, nn.Conv2d):
            blob = writer.convolution(part, blob)
        elif rectifiers == "PReLU":
            blob = writer.rectifier(part.weight, blob)
        else:
            blob = writer.layer("ReLU", [blob], "0=0.25")
    blob = writer.layer("PixelShuffle", [blob], f"0={net.scale}")
    base = writer.layer("Interp", ["data"], f"0=1 1={float(net.scale)} 2={float(net.scale)}")
    writer.layer("BinaryOp", [blob, base], "0=0")
    return writer


def rrdb(net: nn.Module, writer: Writer, fused: bool = True) -> Writer:
    """An RRDBNet of ``benchmarks.support.image_nets``; rectifiers inside the convolutions, or after them."""

    def rectified(part: nn.Conv2d, blob: str) -> str:
        if fused:
            return writer.convolution(part, blob, "9=2 -23310=1,2.000000e-01")
        return writer.layer("ReLU", [writer.convolution(part, blob)], "0=2.0e-01")

    def scaled(blob: str, base: str) -> str:
        if fused:
            return writer.layer("Eltwise", [blob, base], "0=1 -23301=2,2.000000e-01,1.000000e+00")
        return writer.layer("BinaryOp", [writer.layer("BinaryOp", [blob], "0=2 1=1 2=0.2"), base], "0=0")

    blob = writer.layer("Reorg", ["data"], f"0={net.shuffle}") if net.shuffle > 1 else "data"
    first = trunk = writer.convolution(net.conv_first, blob)
    for block in net.body:
        outer = trunk
        for dense in (block.rdb1, block.rdb2, block.rdb3):
            seen = [trunk]
            for index in range(4):
                joined = writer.layer("Concat", seen, "0=0") if index else trunk
                seen.append(rectified(getattr(dense, f"conv{index + 1}"), joined))
            trunk = scaled(writer.convolution(dense.conv5, writer.layer("Concat", seen, "0=0")), trunk)
        trunk = scaled(trunk, outer)
    blob = writer.layer("BinaryOp", [writer.convolution(net.conv_body, trunk), first], "0=0")
    for part in (net.conv_up1, net.conv_up2):
        blob = rectified(part, writer.layer("Interp", [blob], "0=1 1=2.0 2=2.0"))
    writer.convolution(net.conv_last, rectified(net.conv_hr, blob))
    return writer


def span(net: nn.Module, writer: Writer, mean: tuple[float, ...] = (0.4488, 0.4371, 0.4040)) -> Writer:
    """A SPAN of spandrel, whose three convolutions in a row are merged into one."""
    constant = writer.constant(torch.tensor(mean), "0=1 1=1 2=3")
    blob = writer.layer("BinaryOp", ["data", constant], "0=1")
    first = blob = writer.convolution(
        net.conv_1.eval_conv, writer.layer("BinaryOp", [blob], "0=2 1=1 2=2.550000e+02")
    )
    kept = []
    for number in range(1, 7):
        block, base = getattr(net, f"block_{number}"), blob
        inner = blob
        for part in (block.c1_r, block.c2_r, block.c3_r):
            last = writer.convolution(part.eval_conv, inner)
            inner = writer.layer("Swish", [last]) if part is not block.c3_r else last
            kept += [inner] if part is block.c1_r else []
        attention = writer.layer("BinaryOp", [writer.layer("Sigmoid", [last])], "0=1 1=1 2=5.000000e-01")
        blob = writer.layer("BinaryOp", [writer.layer("BinaryOp", [last, base], "0=0"), attention], "0=2")
        kept += [blob] if number == 1 else []
    end = writer.convolution(net.conv_2.eval_conv, blob)
    joined = writer.layer("Concat", [first, end, kept[1], kept[-1]], "0=0")
    blob = writer.convolution(net.upsampler[0], writer.convolution(net.conv_cat, joined))
    scale = int((net.upsampler[0].out_channels // 3) ** 0.5)
    writer.layer("PixelShuffle", [blob], f"0={scale}")
    return writer


def random_span(scale: int = 2, width: int = 8) -> nn.Module:
    """A small SPAN with random weights, merged."""
    from spandrel.architectures.SPAN import SPAN

    torch.manual_seed(0)
    net = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=width, upscale=scale).eval()
    with torch.inference_mode():
        net(torch.zeros(1, 3, 8, 8))
    return net
