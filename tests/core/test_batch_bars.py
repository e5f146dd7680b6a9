"""Bars of IMAGE batches: found as in any film, at no cost where there are none, and a choice."""

import numpy as np
import pytest
import torch

from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip
from stereoreel.core.options import resolve
from stereoreel.core.tensor_source import TensorSource
from stereoreel.image.bar_sides import profile
from stereoreel.image.bars import NO_BARS, BarFinder, Margins
from stereoreel.media.extract_options import ExtractOptions
from stereoreel.media.open import from_clip
from tests.support.letterbox import Barred, barred


def batch(*shots: Barred) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([barred(shot, 320, 180) for shot in shots])) / 255


def searched(images: torch.Tensor, cuts: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the margins of a batch's shots from every one of its frames."""
    finder = BarFinder((320, 180))
    for number, image in enumerate(images):
        finder.cut() if number in cuts else None
        finder.add(profile(image.mean(-1).numpy(), 0, 1))
    return [tuple(one) for one in finder.margins()]


@pytest.mark.parametrize(
    "margins", [NO_BARS, Margins(24, 24), Margins(0, 0, 40, 40), Margins(20, 20, 32, 32)]
)
@pytest.mark.parametrize("light", [1.0, 0.15])
def test_a_batch_has_the_bars_that_a_search_of_all_frames_finds(margins, light):
    for seed in range(3):
        images = batch(Barred(margins, 10, 6.0, 1.0, light=light, seed=seed))
        found = TensorSource(images, 25)._find_bars(())
        assert ([one.margins for one in found] or [(0, 0, 0, 0)]) == searched(images, ())
        assert not any(margins) or light < 1 or found[0].margins == tuple(margins)


def test_shots_of_a_batch_that_need_no_search_count_as_shots_without_bars():
    """Two bright full shots, one within bars, and one that is too dark to tell: it has none."""
    full = [Barred(frames=12, seed=seed) for seed in (1, 2)]
    images = batch(*full, Barred(Margins(24, 24), 12, seed=3), Barred(frames=12, light=0.01, seed=4))
    found = TensorSource(images, 25)._find_bars((12, 24, 36))
    assert found == (Bars(0), Bars(24, 24, 24), Bars(36))
    assert [one.margins for one in found] == [*dict.fromkeys(searched(images, (12, 24, 36))), (0, 0, 0, 0)]


def test_a_bright_batch_without_bars_costs_a_glance_at_its_edges():
    """Only the edges are read: what is inside, even where it is not a number, does not matter."""
    images = torch.full((40, 90, 160, 3), torch.nan)
    images[:, :2] = images[:, -2:] = 0.5
    images[:, :, :2] = images[:, :, -2:] = 0.5
    assert TensorSource(images, 25)._find_bars(()) == ()


@pytest.mark.parametrize("choice", ["off", "crop", "keep"])
def test_bars_of_a_batch_are_a_choice_by_way_of_extract_video(choice):
    """An IMAGE batch becomes a VIDEO in ComfyUI's Create Video, whose clip Extract Video takes."""
    clip = Clip(TensorSource(batch(Barred(Margins(24, 24), 6)), 25))
    made = from_clip(clip, resolve(ExtractOptions, {"bars": choice}), "Extract")
    assert made.info.height == (132 if choice == "crop" else 180)
    assert made.info.bars == ((Bars(0, 24, 24),) if choice == "keep" else ())
