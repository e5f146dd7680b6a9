"""Comfort of films with bars: the picture is judged as Stereo renders it, and its bars are not."""

import pytest
import torch

import stereoreel
from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, apply
from stereoreel.core.options import resolve
from stereoreel.core.pull import frames
from stereoreel.core.transforms import Recut, Split
from stereoreel.viewing import comfort

HEIGHT, WIDTH, LENGTH = 120, 320, 12
LETTERBOX, PILLARBOX = (28, 28, 0, 0), (0, 0, 60, 60)
MARGINS = pytest.mark.parametrize("margins", [LETTERBOX, PILLARBOX], ids=["letterbox", "pillarbox"])
STRENGTHS = pytest.mark.parametrize(
    "options",
    [
        {"divergence": 4.0},
        {"divergence": 4.0, "screen": "tv", "limit": True, "border": 4.0},
        {"strength": "normal", "screen": "tv"},
        {"strength": "strong", "screen": "phone", "floating_window": True},
    ],
    ids=["auto", "limit", "normal", "strong"],
)


def picture(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return frames and depth of two shots, far and near, whose depth is uneven towards the top."""
    noise = torch.rand(1, height // 2, width // 2, 3, generator=torch.Generator().manual_seed(1))
    images = noise.repeat_interleave(2, 1).repeat_interleave(2, 2).expand(LENGTH, -1, -1, -1)
    across = torch.linspace(0, 1, width).expand(height, -1).clone()
    across[height // 2 :] *= 0.3
    low, high = across[..., None] * 0.6, 0.4 + across[..., None] * 0.6
    return images.contiguous(), torch.stack([low] * (LENGTH // 2) + [high] * (LENGTH // 2))


def clip_of(images: torch.Tensor, margins=None) -> Clip:
    clip = stereoreel.from_tensor(images, 25, cuts=False)
    clip.maker.info = clip.info.replace(bars=(Bars(0, *margins),) if margins else ())
    return apply(Recut(str(LENGTH // 2), "Cuts"), clip)["clip"]


def pairs(margins, options, wider=None):
    """Return a pair from a film with bars, and one from its picture alone, of so much more divergence."""
    top, bottom, left, right = margins
    inside = (..., slice(top, HEIGHT - bottom), slice(left, WIDTH - right), slice(None))
    alone = picture(HEIGHT - top - bottom, WIDTH - left - right)
    barred = torch.zeros(LENGTH, HEIGHT, WIDTH, 3), torch.zeros(LENGTH, HEIGHT, WIDTH, 1)
    for whole, part in zip(barred, alone):
        whole[inside] = part
    return [
        stereoreel.stereo(clip_of(images, bars), clip_of(depth), **settings)
        for (images, depth), bars, settings in (
            (barred, margins, options),
            (alone, None, {**options, **({"divergence": options["divergence"] * wider} if wider else {})}),
        )
    ]


def measured(pair, host, screen="tv"):
    settings = resolve(comfort.OPTIONS, {"screen": screen, "samples": 0})
    return comfort.report(pair, settings, host, "Comfort").figures


@STRENGTHS
def test_a_letterboxed_film_is_as_comfortable_as_its_picture(options, host):
    barred, alone = (measured(pair, host) for pair in pairs(LETTERBOX, options))
    assert barred == alone


def test_a_pillarboxed_film_is_as_comfortable_as_its_picture_shown_as_wide(host):
    wider = WIDTH / (WIDTH - 120)
    barred, alone = (measured(pair, host) for pair in pairs(PILLARBOX, {"divergence": 4.0}, wider))
    assert barred["frames"] == LENGTH and barred["nearest"]["percent"] > 0.5
    for end in ("nearest", "farthest"):
        assert barred[end]["pixels"] == pytest.approx(alone[end]["pixels"], abs=1e-3)
        assert barred[end]["percent"] * wider == pytest.approx(alone[end]["percent"], abs=1e-3)


@MARGINS
@STRENGTHS
def test_comfort_of_bars_is_that_of_the_views_which_stereo_renders(margins, options, host):
    """The views, matched by OpenCV, have the parallax that Comfort finds in depth and settings."""
    pair, _ = pairs(margins, options)
    found = measured(pair, host)
    left, right = margins[2:]
    inside = frames(pair, host)[:, :, margins[0] : HEIGHT - margins[1], left : WIDTH - right]
    seen = stereoreel.from_tensor(torch.cat([*inside], -2).contiguous(), 25, cuts=False)
    matched = measured(apply(Recut(str(LENGTH // 2)), apply(Split("Pair"), seen)["clip"])["clip"], host)
    share = (WIDTH - left - right) / WIDTH
    for number in (0, LENGTH - 1):
        ours, theirs = (one["worst"]["moments"][number] for one in (found, matched))
        assert ours[1:] == pytest.approx([share * degrees for degrees in theirs[1:]], abs=0.12)


@MARGINS
def test_bars_of_a_foreign_pair_are_no_part_of_what_is_judged(margins, host):
    pair, _ = pairs(margins, {"divergence": 4.0})
    views = torch.cat([*frames(pair, host)], -2)
    two = apply(Split("Pair"), stereoreel.from_tensor(views, 25, cuts=False))["clip"]
    known = apply(Known(margins), two)["clip"]
    left, right = margins[2:]
    inside = frames(pair, host)[:, :, margins[0] : HEIGHT - margins[1], left : WIDTH - right]
    alone = stereoreel.from_tensor(torch.cat([*inside], -2).contiguous(), 25, cuts=False)
    found, picture = measured(known, host), measured(apply(Split("Pair"), alone)["clip"], host)
    share = (WIDTH - left - right) / WIDTH
    for end in ("nearest", "farthest"):
        assert found[end]["percent"] == pytest.approx(picture[end]["percent"] * share)
    assert found["unknown"] == picture["unknown"]
    overlay = frames(comfort.overlay(known, resolve(comfort.OPTIONS, {}), "Comfort"), host)
    assert overlay.shape == (LENGTH, HEIGHT, WIDTH, 3) and overlay[:, : margins[0]].sum() == 0


class Known:
    """A recipe that says where the bars of its input are."""

    label, framewise, places_bars = "Known", True, True

    def __init__(self, margins):
        self.margins = margins
        self.nets, self.joint = [], True

    def describe(self, clip):
        return clip.replace(bars=(Bars(0, *self.margins),))

    def load(self, host):
        return self

    def __call__(self, shot, chunks):
        yield from chunks
