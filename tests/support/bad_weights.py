"""Corrupt and hostile weight files by name, each written by a function of a path."""

import functools
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict

import torch

from tests.support.weights_shop import safetensors, whole


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harm",)


def entry(shape, begin, end, dtype="F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def saved(contents, **options) -> bytes:
    made = io.BytesIO()
    torch.save(contents, made, **options)
    return made.getvalue()


def state() -> dict:
    return {"conv.weight": torch.arange(108.0).view(4, 3, 3, 3), "conv.bias": torch.ones(4)}


def zipped(files: dict, method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return made.getvalue()


def tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name))
    return made.getvalue()


def scripted() -> bytes:
    return zipped(
        {
            "net/data.pkl": pickle.dumps({}, 2),
            "net/constants.pkl": b"",
            "net/code/__torch__.py": "def forward(self): ...",
        }
    )


def patched(contents: bytes, old: bytes, new: bytes) -> bytes:
    assert contents.count(old) >= 1 and len(old) == len(new)
    return contents.replace(old, new)


@functools.cache
def contents() -> dict[str, bytes]:
    """Return files of raw bytes; none of them may open as a network."""
    one, zip_, old = whole(400), saved(state()), saved(state(), _use_new_zipfile_serialization=False)
    small = {"a": entry([4], 0, 16)}
    data = bytes(16)
    bomb = zipped({"archive/data.pkl": bytes(3 << 20)}, zipfile.ZIP_DEFLATED)
    central = zip_.rindex(b"PK\x01\x02")
    return {
        "empty": b"",
        "one byte": b"\x80",
        "zeros": bytes(500),
        "text": b"not a checkpoint at all",
        "web page": b"<!DOCTYPE html><html>404</html>",
        "web page after blanks": b"\n\n <HTML>404</HTML>",
        "xml": b"<?xml version='1.0'?><Error/>",
        "lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 67\n",
        "json": b'{"error": "gated"}',
        "list": b"[]",
        "safetensors cut in its length": one[:5],
        "safetensors cut in its header": one[:30],
        "safetensors cut in the middle": one[:200],
        "safetensors cut at the end": one[:-1],
        "safetensors and more": one + b"x",
        "header longer than the file": safetensors(small, data, 1 << 40),
        "header of no length": safetensors(small, data, 0),
        "header in the wrong byte order": struct.pack(">Q", len(json.dumps(small)))
        + safetensors(small, data)[8:],
        "header that is no JSON": struct.pack("<Q", 12) + b"{hello world" + data,
        "header of lists": struct.pack("<Q", 2) + b"{]" + data,
        "deep header": safetensors({}, b"")[:0] + struct.pack("<Q", 20_005) + b'{"a":' + b"[" * 20_000 + data,
        "overlapping tensors": safetensors({**small, "b": entry([2], 4, 12)}, data),
        "a hole between tensors": safetensors({"a": entry([2], 8, 16)}, data),
        "unknown type": safetensors({"a": entry([4], 0, 16, "F99")}, data),
        "type of another size": safetensors({"a": entry([4], 0, 16, "F64")}, data),
        "four bits": safetensors({"a": entry([32], 0, 16, "F4")}, data),
        "unsigned": safetensors({"a": entry([8], 0, 16, "U16")}, data),
        "negative shape": safetensors({"a": entry([-4], 0, 16)}, data),
        "huge shape": safetensors({"a": entry([1 << 62], 0, 16)}, data),
        "shape of nothing": safetensors({"a": entry([0, 1 << 40], 0, 0)}, b""),
        "no tensors": safetensors({}, b""),
        "a name twice": struct.pack("<Q", 109)
        + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(54)
        + data,
        "zip cut in its head": zip_[:3],
        "zip cut in the middle": zip_[: len(zip_) // 2],
        "zip cut in its directory": zip_[: central + 20],
        "zip cut at the end": zip_[:-1],
        "zip of other files": zipped({"notes.txt": "hello"}),
        "compressed zip": bomb,
        "zip that declares more than it holds": patched(zip_, *_claims(zip_)),
        "empty zip": zipped({}),
        "zip without tensors": zipped(
            {"archive/data.pkl": pickle.dumps({"a": 1}, 2), "archive/version": "3"}
        ),
        "zip with an empty pickle": zipped({"archive/data.pkl": b"", "archive/version": "3"}),
        "zip with a broken pickle": zipped(
            {"archive/data.pkl": b"\x80\x02}q\x00(X\xff\xff\xff\x7fa", "archive/version": "3"}
        ),
        "code in a zip": saved({"params": Harmful()}),
        "code in an old file": saved(Harmful(), _use_new_zipfile_serialization=False),
        "code in a pickle": pickle.dumps(Harmful(), 2),
        "code in a new pickle": pickle.dumps(Harmful(), 4),
        "code in a zip of the fourth protocol": saved(Harmful(), pickle_protocol=4),
        "a module": saved(torch.nn.Linear(2, 2)),
        "TorchScript": scripted(),
        "tar": tar(),
        "old file cut in its pickle": old[:200],
        "old file cut in its tensors": old[:-9],
        "old file of one pickle": old[:30],
        "pickle of a list": pickle.dumps([1, 2], 2),
        "pickle of itself": saved(circle()),
        "numbers instead of tensors": saved({"conv.weight": 3, "conv.bias": [1.0]}),
        "names that are numbers": saved({1: torch.ones(3)}),
        "sparse": saved({"a": torch.ones(3, 3).to_sparse()}),
        "on the meta device": saved({"a": torch.empty(3, device="meta")}),
        "complex": saved({"a": torch.zeros(2, dtype=torch.complex64)}),
        "expanded": saved({"a": torch.zeros(1).expand(1 << 20, 1 << 20)}),
        "one tensor": saved(torch.ones(3)),
        "an empty wrapper": saved({"params_ema": OrderedDict()}),
    }


def circle() -> dict:
    made = {}
    made["params"] = made
    return made


def _claims(zip_: bytes) -> tuple[bytes, bytes]:
    """Return the pickle's central record, and one that declares two gigabytes."""
    begin = zip_.index(b"PK\x01\x02")
    record = zip_[begin : begin + 46]
    return record, record[:20] + struct.pack("<II", 2 << 30, 2 << 30) + record[28:]


def strange(state: dict, seed: int) -> dict:
    """Change some tensors of a state dict at random, as no trainer would."""
    generator = torch.Generator().manual_seed(seed)

    def pick(count: int) -> int:
        return int(torch.randint(count, (1,), generator=generator))

    made = dict(state)
    for _ in range(1 + pick(3)):
        key = list(made)[pick(len(made))]
        tensor = made.pop(key)
        made |= (
            {key: torch.tensor(1.0)},
            {key: torch.zeros(0)},
            {key: tensor.flatten()},
            {key: tensor[None]},
            {key: tensor[:1]},
            {},
            {f"{key}.more": tensor},
            {key.replace(".0.", ".777777777."): tensor},
            {key: torch.zeros(3, 100_000)},
            {key: tensor.to(torch.int8)},
            {key: tensor.double()},
            {key: tensor.movedim(0, -1)},
            {f"module.{key}": tensor},
            {"": tensor},
            {key: torch.full_like(tensor.float(), float("nan"))},
            {key: tensor.to(torch.float8_e4m3fn)},
            {key.partition(".")[2]: tensor},
        )[pick(17)]
        if not made:
            return {"left": tensor}
    return made
