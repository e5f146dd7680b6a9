"""Job identity as plain values. Equal identities give equal frames."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import av
import torch

from .. import __version__
from ..core import excerpt
from ..core.clip import Clip, Source, Step
from ..core.error_context import naming
from ..core.file_cache import FileCache
from ..core.files import sha256
from ..core.host import Host
from ..core.options import Options
from ..core.shot_switch import ShotSwitch
from ..core.tensor_source import TensorSource
from ..media.read.decode import FileSource
from ..media.read.probe import fingerprint
from ..models.lazy_stage import Plan

SAMPLE = 1 << 20  # bytes read at the beginning, in the middle and at the end of a file
PLACES = ("path", "source", "stage")  # names, which are not part of the identity
FOUND = "found"  # by looking ahead
# options that came later: they count if they are not at their default, so that older films resume
LATER = (
    "baseline_mm",
    "spatial_field",
    "disparity_shift",
    "device",
    "subtitles",
    "subtitle_depth",
    "subtitle_size",
)
LATER_OF = {"stereo": ("strength", "plan")}  # the same, of stages
# options that change no frame; the subtitles that are burned are part of the graph
NOT_THE_FRAMES = ("download", "filename_prefix", "resume", "save_to_temp", "subtitle_source")


def described(
    clips: Sequence[Clip], settings: Options, host: Host, known: dict[int, dict] | None = None
) -> dict:
    """Describe the clips' sources, stages, models and weights, and their encoding, as JSON values.

    ``auto`` is resolved, so that missing weights raise FileNotFoundError now. ``known`` caches the
    description of each maker between calls on the same graph.
    """
    known = {} if known is None else known
    makers = excerpt.makers_of(clips)
    number = {id(maker): place for place, maker in enumerate(makers)}

    def inputs(used: Sequence[Clip]) -> list:
        return [[number[id(clip.maker)], clip.port] for clip in used]

    graph: list[dict] = []
    for maker in makers:
        if id(maker) not in known:
            known[id(maker)] = _stage(maker.recipe, host) if isinstance(maker, Step) else _source(maker)
        if isinstance(maker, Step):
            graph.append({"stage": maker.label, **known[id(maker)], "inputs": inputs(maker.inputs)})
        else:
            graph.append({"source": maker.label, **known[id(maker)]})
    return {"version": __version__, "made": graph, "clips": inputs(clips), "encode": _encoding(settings)}


def digest(identity: dict) -> str:
    """Return twelve hexadecimal digits for an identity; file paths are not part of it."""
    return _short(identity, lambda name, one: name not in PLACES)


def claim(identity: dict) -> str:
    """Return the digits that identify a finished film: ``digest`` without what was found in the source.

    That is what was detected in its frames, and what stages found by looking ahead.
    """
    return _short(
        identity,
        lambda name, one: (
            name not in (*PLACES, FOUND, "bars")
            and not (name == "cuts" and one.get("sensitivity") is not None)
        ),
    )


def _short(identity: dict, counts: Callable[[str, dict], bool]) -> str:
    result = [{name: value for name, value in one.items() if counts(name, one)} for one in identity["made"]]
    return _hash(json.dumps({**identity, "made": result}, sort_keys=True).encode())[:12]


def environment(host: Host) -> dict:
    """Return the versions and device that may change the last bits of a frame."""
    device = (
        torch.cuda.get_device_name(host.device)
        if host.device.type == "cuda"
        else f"{host.device.type} {platform.machine()}"
    )
    return {"torch": torch.__version__, "av": av.__version__, "device": device}


def differences(old: dict, new: dict) -> list[str]:
    """Return the changes between two identities, such as ``divergence of Stereo Pair (node 5)``."""
    found = [
        f"{name} of the encoder"
        for name in {**old["encode"], **new["encode"]}
        if old["encode"].get(name) != new["encode"].get(name)
    ]
    if len(old["made"]) != len(new["made"]) or old["clips"] != new["clips"]:
        found.append("the workflow")
    for before, after in zip(old["made"], new["made"]):
        if "source" in after:
            found += ["the source"] * any(
                before.get(name) != after[name] for name in after if name not in ("path", "source")
            )
            continue
        chosen = {
            name: (before.get(name), after.get(name))
            for name in ("recipe", "model", "weights", "inputs", FOUND)
        }
        found += [f"{name} of {after['stage']}" for name, (one, other) in chosen.items() if one != other]
        was, now = before.get("options", {}), after.get("options", {})
        found += [f"{name} of {after['stage']}" for name in {**was, **now} if was.get(name) != now.get(name)]
    return found + ["StereoReel's version"] * (old["version"] != new["version"])


def _encoding(settings: Options) -> dict:
    defaults = {one.name: one.default for one in fields(type(settings)) if one.name in LATER}
    return {
        name: value
        for name, value in vars(settings).items()
        if name not in NOT_THE_FRAMES and not (name in defaults and value == defaults[name])
    }


def _stage(recipe, host: Host) -> dict:
    if isinstance(recipe, ShotSwitch):
        return _switch(recipe, host)
    if not isinstance(recipe, Plan):
        return {
            "recipe": getattr(recipe, "recorded_as", type(recipe).__name__),
            "options": dict(_fields(recipe)),
        }
    with naming(recipe.label):
        entry, _ = recipe.choose(host)
    files = {
        role: host.weights(recipe.kind, part.file)
        for role, part in entry.parts.items()
        if not part.optional or _there(host, recipe, part)
    }
    wanted, later = recipe.wanted, LATER_OF.get(recipe.kind, ())
    given = vars(wanted)
    options = {
        name: value
        for name, value in given.items()
        if name not in ("model", *NOT_THE_FRAMES) and not (name in later and wanted.unchanged(name))
    }
    found = {name: value for name, value in vars(recipe.settings).items() if value != given[name]}
    weights = {role: _of_weights(path, host.file_cache) for role, path in files.items()}
    facts = {"recipe": recipe.kind, "model": entry.name, "weights": weights, "options": options}
    return {**facts, FOUND: found} if found else facts


def _switch(recipe: ShotSwitch, host: Host) -> dict:
    measured = claim(described([recipe.choices.source], Options(), host))
    facts = {"recipe": recipe.kind, "options": {**vars(recipe.choices.options), "measured": measured}}
    return {**facts, FOUND: {"plan": recipe.found}} if recipe.found else facts


def _there(host: Host, recipe: Plan, part) -> bool:
    try:
        return host.weights(recipe.kind, part.file).is_file()
    except FileNotFoundError:
        return False


def _of_weights(path: Path, files: FileCache) -> str:
    """Return the SHA-256 of a file, or a hash of the files of a folder."""
    if path.is_dir():
        inside = (file for file in sorted(path.iterdir()) if file.is_file())
        return _hash("".join(f"{file.name}{_of_weights(file, files)}" for file in inside).encode())
    return files.get(path, "sha256", lambda: sha256(path))


def _fields(recipe) -> Iterator[tuple[str, str]]:
    """Yield the fields of a recipe without a model."""
    for name, value in sorted(vars(recipe).items()):
        if name not in ("label", "root", "nets"):  # names, and where frames are kept
            yield name, _written(value)


def _written(value) -> str:
    """Return a value's repr; options keep the form that is in the digests of unfinished films."""
    if isinstance(value, Options):
        return f"namespace({', '.join(f'{name}={one!r}' for name, one in vars(value).items())})"
    return repr(value)


def _transparency(source: FileSource) -> dict:
    """Return how transparent parts are shown; a later picture may have some, which the first one has not."""
    if not source.facts.alpha and not source.facts.pictures:
        return {}
    return {"background": source.background, "opacity": source.opacity}


def _source(source: Source) -> dict:
    info = source.info
    facts: dict = {
        "size": [info.width, info.height, info.channels, info.views],
        "fps": str(info.fps),
        "frames": info.frames,
        "cuts": list(info.cuts),
        "color": repr(info.color),
        "times": info.times and _hash(repr(info.times).encode()),
    }
    if info.bars:
        facts["bars"] = [list(one) for one in info.bars]
    if info.pixel_aspect != 1:
        facts["pixel_aspect"] = str(info.pixel_aspect)
    if isinstance(source, FileSource):
        path, size, changed = fingerprint(source.facts.path)
        return {
            **facts,
            "path": path,
            "bytes": size,
            "changed": changed,
            "sample": _sample(path if not source.facts.pictures else source.facts.pictures[0]),
            "window": list(source.window),
            **({"every": source.selection.every} if source.selection.every > 1 else {}),
            "sensitivity": source.sensitivity,
            **({"whole_frames": True} if source.bars == "off" else {}),
            **_transparency(source),
            **({"sound": fingerprint(source.facts.sound)[1:]} if source.facts.sound else {}),
            **({"linear_light": source.linear_light} if source.facts.is_float else {}),
        }
    if isinstance(source, TensorSource):
        return {**facts, "content": content(source._images)}
    raise ValueError(
        f"{source.label} has no stable identity, so no job can resume from it. Save it to a file first."
    )


def content(frames: torch.Tensor) -> str:
    """Return the hash of a tensor's values."""
    state = hashlib.blake2b(digest_size=16)
    for frame in frames:
        state.update(bits(frame))
    return state.hexdigest()


def bits(tensor: torch.Tensor) -> memoryview:
    """Return a tensor's values as bytes, for every dtype including bfloat16."""
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data.cast("B")


def _sample(path: str | os.PathLike) -> str:
    state, size = hashlib.blake2b(digest_size=16), os.path.getsize(path)
    with open(path, "rb") as file:
        for place in (0, max(0, size // 2 - SAMPLE // 2), max(0, size - SAMPLE)):
            file.seek(place)
            state.update(file.read(SAMPLE))
    return state.hexdigest()


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
