"""Convert depth to parallax, with automatic convergence and comfort limits."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...core.clip import Shot
from ...image.edge_snap import snap
from ...image.resize import Resizer
from . import StereoOptions
from .bar_text import held
from .comfort import BY_HAND, STRENGTHS, border_ramp, scale_foreground, screen_of, soft_clamp
from .shot_table import Course, parsed

# of the parallax, for the left and the right eye
SHARES = {"both": (0.5, 0.5), "left": (1.0, 0.0), "right": (0.0, 1.0)}
NEAR, FAR = 0.95, 0.05  # the ends of a scene's depth, as shares of its pixels
SECONDS = 2.0  # time constant with which the automatic screen plane follows the scene
SAMPLES = 96  # rows and columns that it samples
# the border's ramp separates neighbours by half of a surface's limit: its middle is 1.5 times its mean
STEEPEST = 0.375


class Parallax:
    """Signed parallax of one shot, chunk by chunk: positive in front of the screen, in frame pixels.

    A ``course`` replaces the divergence and the convergence of the options. A course and limits are
    fractions of a width ``wider`` than the frames, because these have bars.
    """

    def __init__(self, options: StereoOptions, fps: float, course: Course | None = None, wider: float = 1.0):
        self.options, self.plane, self.course, self.wider = options, ScreenPlane(fps), course, wider
        self._resize = Resizer()

    def __call__(self, depths: Tensor, images: Tensor, text: Tensor | None = None) -> Tensor:
        """Return ``[T, H, W]``, float32, of depth ``[T, h, w, 1 or 3]`` of frames ``[T, H, W, C]``.

        The result is on the depth's device. ``text`` ``[T, H, W, 1]`` is that of ``bar_text.BarText``.
        """
        # unknown depth counts as far
        options, depths = self.options, depths[..., :1].float().nan_to_num(0, posinf=1, neginf=0)
        fixed, sized, width = (
            depths.new_full((len(depths),), options.convergence),
            self._sized(depths, images),
            images.shape[2],
        )
        if options.foreground_scale:
            depths, fixed, sized = (
                scale_foreground(part, options.foreground_scale) for part in (depths, fixed, sized)
            )
        if self.course:
            percent = self.wider * width / 100
            strength, offset = self.course.take(len(depths)).to(sized.device).mul(percent).unbind(-1)
            parallax = sized[..., 0] * strength[:, None, None] - offset[:, None, None]
        else:
            automatic = options.convergence_mode == "auto"
            planes = (
                torch.stack([self.plane.follow(frame) for frame in depths[..., 0]]) if automatic else fixed
            )
            parallax = (sized[..., 0] - planes[:, None, None]) * (options.divergence / 100 * width)
        if limits := limits_of(options):
            parallax = soft_clamp(parallax, *(limit * self.wider * width for limit in limits))
        if options.border:
            parallax = parallax * border_ramp(width, ramp_share(options) * width, parallax.device)
        if text is not None:
            parallax = held(parallax, text, self.wider * width, options.divergence / 100 / self.wider)
        return parallax

    def _sized(self, depths: Tensor, images: Tensor) -> Tensor:
        """Return depth at the size of the frames."""
        (rows, columns), (height, width) = depths.shape[1:3], images.shape[1:3]
        if (rows, columns) == (height, width):
            return depths
        if self.options.edges == "snap" and rows <= height and columns <= width:
            return torch.stack(
                [snap(depth, image.to(depth.device)) for depth, image in zip(depths[..., 0], images)]
            )[..., None]
        return self._resize(depths, height, width, "bilinear")


class Courses:
    """The courses of shots by the options' plan, which is read once for all of them."""

    def __init__(self, options: StereoOptions):
        self._shots, self._by_hand = parsed(options.plan), options.strength == BY_HAND

    def of(self, shot: Shot) -> Course | None:
        """Return that of a shot; None if there is no plan and strength is set by hand.

        Raise ValueError if a plan is needed.
        """
        if self._shots:
            return Course(self._shots, shot)
        if self._by_hand:
            return None
        raise ValueError(
            "Stereo's strength is found by looking ahead, which is not possible here. Set strength to by "
            "hand, or write a plan."
        )


def as_rendered(
    options: StereoOptions, courses: Courses, shot: Shot
) -> tuple[StereoOptions, Course | None, float]:
    """Return the options, the course and the ``wider`` of ``Parallax`` with which a shot is rendered.

    Of a shot with bars only the picture is rendered, but its effect is in percent of the full width.
    """
    course = courses.of(shot)
    strongest = course.strongest(limits_of(options)) if course else options.divergence
    # bars at the sides belong to the width that a screen shows
    wider = full_width(shot) / shot.info.width
    options = replace(options, divergence=strongest * wider, border=options.border * wider, plan="")
    return options, course, wider


def full_width(shot: Shot) -> int:
    """Return the width of a shot's frames, bars included."""
    return shot.frame[0] if shot.frame else shot.info.width


def limits_of(options: StereoOptions) -> tuple[float, float] | None:
    """Return the largest parallax in front and behind, as fractions of the width; None if there is none."""
    screen = screen_of(options.screen)
    if options.strength != BY_HAND:
        return screen.limits(STRENGTHS[options.strength])
    return (screen.front, screen.behind) if options.limit else None


def ramp_share(options: StereoOptions) -> float:
    """Return the border ramp's width as a fraction of the frame's: as requested, unless too steep."""
    return max(options.border, options.divergence * max(SHARES[options.view]) * 1.5 / (2 * STEEPEST)) / 100


class ScreenPlane:
    """The zero-parallax depth: the middle of the scene's range, smoothed over time from the first frame on.

    The middle minimises the largest parallax in front of or behind the screen.
    """

    def __init__(self, fps: float):
        self.plane: Tensor | None = None
        self.rate = 1 - math.exp(-1 / (fps * SECONDS))

    def follow(self, depth: Tensor) -> Tensor:
        """Take the next frame ``[H, W]``; return its plane, a scalar tensor."""
        steps = [max(1, side // SAMPLES) for side in depth.shape]
        seen = depth[:: steps[0], :: steps[1]].flatten().sort().values
        far, near = (seen[round(share * (len(seen) - 1))] for share in (FAR, NEAR))
        middle = (far + near) / 2
        self.plane = middle if self.plane is None else self.plane + (middle - self.plane) * self.rate
        return self.plane
