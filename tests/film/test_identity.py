"""Job identities are stable across releases, so that a film resumes after an update."""

from fractions import Fraction

import torch

from stereoreel.core.clip import Clip
from stereoreel.core.options import Options
from stereoreel.core.tensor_source import TensorSource
from stereoreel.film.identity import described, differences, digest
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID

# An option that is added or another default changes it, and films begun before start again: that must be
# meant.
KNOWN, KEPT = "d0ae3ef7d21b", "35938275d974"


def source() -> Clip:
    frames = torch.arange(6 * 32 * 48 * 3, dtype=torch.float32).view(6, 32, 48, 3) / (6 * 32 * 48 * 3)
    return Clip(TensorSource(frames, Fraction(25), cuts=False))


def every_stage(clip: Clip) -> list[Clip]:
    """Return a graph of every kind, with some options set and others left at their defaults."""

    def node(name: str, inputs: dict, **options) -> dict:
        return build.stage(BY_ID[f"StereoReel{name}"], inputs, options, "1")

    clean = node("VSR", {"clip": clip}, model="builtin", factor="1.5", radius=1, live="")["clip"]
    large = node("RealESRGAN", {"clip": clean}, model="builtin", fit="short side", pixels=64)["clip"]
    depth = node("Depth", {"clip": large}, model="builtin", smoothing=0.5)["depth"]
    given = node("Depth", {"clip": large, "depth": depth}, given="near black", dilate=2)["depth"]
    kept = node("Keep", {"clip": given}, folder="kept/depth")["clip"]
    smooth = node(
        "Interpolate", {"clip": large, "depth": kept}, model="builtin", multiplier=3, cuts="2", loop=False
    )
    pair = node(
        "Stereo",
        {"clip": smooth["clip"], "depth": smooth["depth"]},
        model="builtin",
        divergence=3,
        swap_eyes="on",
    )
    return [
        node("Compare", {"clip": pair["left"], "other": clip}, mode="difference", gain=2)["clip"],
        pair["clip"],
    ]


def test_digest_of_a_graph_is_stable(host):
    settings = build.settings_of(BY_ID["StereoReelEncode"], {"format": "hevc", "crf": 20, "size_mb": 3})
    identity = described(every_stage(source()), settings, host) | {"version": "any"}
    assert digest(identity) == KNOWN


def test_later_options_count_if_they_are_set(host):
    node, clips = BY_ID["StereoReelEncode"], every_stage(source())
    plain, stated = (
        described(clips, build.settings_of(node, {"format": "mv_hevc", **given}), host)
        for given in ({}, {"baseline_mm": 19.2})
    )
    assert digest(plain) != digest(stated)
    assert differences(plain, stated) == differences(stated, plain) == ["baseline_mm of the encoder"]


def test_digest_of_kept_frames_is_stable(host):
    """It names the folder of kept frames and does not depend on the encoder."""
    assert digest(described(every_stage(source()), Options(), host) | {"version": "any"}) == KEPT
