"""Comparing two clips: the right pixels of the right clip at the right time."""

from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.core.transforms import Split
from stereoreel.viewing import compare
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID


def compared(first, second, host, **options):
    clip = compare.compare(
        first, second, resolve(compare.OPTIONS, {"label": "", "other_label": "", **options}), "Compare"
    )
    made = frames(clip, host)
    assert made.shape[-4:-1] == (clip.info.frames, clip.info.height, clip.info.width)
    return made


@pytest.fixture
def two(tensor_clip):
    """Return two clips of four frames, black and mid-grey."""
    return tensor_clip(torch.zeros(4, 20, 40, 3)), tensor_clip(torch.full((4, 20, 40, 3), 0.5))


def test_split_shows_one_clip_on_each_side(two, host):
    made = compared(*two, host, position=0.25)
    assert torch.equal(made[:, :, :9], torch.zeros(4, 20, 9, 3)) and torch.equal(
        made[:, :, 11:], torch.full((4, 20, 29, 3), 0.5)
    )
    assert (made[:, :, 9:11] == 1).all(-1).any()  # the line


@pytest.mark.parametrize("position", [0.0, 1.0])
def test_split_at_an_end_shows_one_clip(two, host, position):
    assert torch.equal(
        compared(*two, host, position=position), torch.full((4, 20, 40, 3), 0.5 * (1 - position))
    )


@pytest.mark.parametrize(("mode", "shape"), [("side by side", (4, 20, 80, 3)), ("above", (4, 40, 40, 3))])
def test_complete_frames_side_by_side_or_stacked(two, host, mode, shape):
    made = compared(*two, host, mode=mode)
    assert made.shape == shape and made[0, 5, 5, 0] == 0 and made[0, -5, -5, 0] == 0.5


def test_difference_is_amplified(two, tensor_clip, host):
    near = tensor_clip(torch.full((4, 20, 40, 3), 0.05))
    torch.testing.assert_close(
        compared(two[0], near, host, mode="difference", gain=10.0), torch.full((4, 20, 40, 3), 0.5)
    )


def test_smaller_clip_is_upscaled_to_the_larger_size(two, tensor_clip, host):
    large = tensor_clip(torch.full((4, 40, 80, 3), 0.25))
    made = compared(two[1], large, host)
    torch.testing.assert_close(made[:, :, :30], torch.full((4, 40, 30, 3), 0.5))
    torch.testing.assert_close(made[:, :, 50:], torch.full((4, 40, 30, 3), 0.25))


@pytest.mark.parametrize("chunked", [1, 3, 100])
def test_slower_clip_repeats_frames_and_keeps_its_cuts(tensor_clip, host, chunked):
    slow = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 8, 8, 3) / 10
    fast = tensor_clip(torch.zeros(9, 8, 8, 3), fps=Fraction(50))
    clip = compare.compare(
        tensor_clip(slow, cuts=(3,)),
        fast,
        resolve(compare.OPTIONS, {"position": 1.0, "label": ""}),
        "Compare",
    )
    assert (clip.info.fps, clip.info.frames, clip.info.cuts) == (50, 9, (6,))
    shown = frames(clip, host, chunk_frames=chunked)[:, 0, 0, 0]
    torch.testing.assert_close(shown, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4]) / 10)


def test_sweep_starts_left_and_reaches_the_right_at_half_time(two, host):
    made = compared(*two, host, sweep=0.16)  # four frames of 25 a second
    assert (made[0, :, 5:] == 0.5).all() and (made[2, :, :35] == 0).all()


def test_labels_change_only_their_corner(tensor_clip, host):
    gray = tensor_clip(torch.full((2, 80, 160, 3), 0.5))
    changed = (
        (compared(gray, gray, host) != compared(gray, gray, host, label="A", other_label="B")).any(-1).any(0)
    )
    assert (
        changed[-8:, :8].any()
        and changed[-8:, -8:].any()
        and not changed[:50].any()
        and not changed[:, 40:120].any()
    )


def test_pairs_are_compared_view_by_view(two, host):
    pairs = [apply(Split("Pair"), clip)["clip"] for clip in two]
    assert compared(*pairs, host).shape == (2, 4, 20, 20, 3)
    with pytest.raises(ValueError, match="Compare stereo clips with stereo clips"):
        compared(pairs[0], two[1], host)


def test_different_aspect_ratios_are_refused(two, tensor_clip, host):
    with pytest.raises(ValueError, match="different aspect ratios"):
        compared(two[0], tensor_clip(size=(20, 20)), host)


def test_node_requires_both_clips(two):
    with pytest.raises(ValueError, match=r"Compare Clips \(node 7\): nothing is connected to other"):
        build.stage(BY_ID["StereoReelCompare"], {"clip": two[0]}, {}, "7")
