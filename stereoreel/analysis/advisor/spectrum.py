"""Effective height in lines of detail, independent of the frame size."""

from __future__ import annotations

import math

import numpy as np

from ...core.clip import ClipInfo
from .finding import Finding
from .kernels import KERNELS, passband
from .native_resolution import DIP, NativeResolution
from .windows import Window

SEGMENT = 256  # pixels of one spectrum
LOWEST = 0.03  # cycles per pixel; the window smears lower frequencies
RATIOS = (*np.arange(0.2, 0.96, 0.0125).round(4), 1 / 3, 2 / 3, 1.0)
ROUNDING = 0.1  # power of rounding to whole levels
FAINT = 0.05  # of the floor: a smaller residual after subtracting it counts as nothing
MTF10 = 4.6  # -log of the power at a tenth of the contrast, the usual limit of resolution
DEEP, NONE = 0.2, 0.85  # dips across and down of an image that was only widened
HINT = 0.85  # a dip that counts if the spectrum agrees
SAME = 0.08  # largest difference of the two
BETTER = 0.6  # largest error of the upscaled hypothesis relative to the native one
ENLARGED = 0.95  # of the height: with a smaller effective height frames count as upscaled
OPEN = 0.6  # least share of frequencies above the noise for an image to count as native
LOOKS = 3  # windows to search for traces of kernels


class Spectrum:
    """Power spectrum along both axes (Welch), fitted by a power law, blur, a kernel and noise.

    The kernel is represented by its passband and its images. The spectrum minus the noise floor is fitted for
    every ratio and kernel; the traces that a kernel leaves in the pixels (see ``NativeResolution``) decide if
    there are any. For a soft image that was not upscaled, a tenth of contrast is the limit.
    """

    def __init__(self) -> None:
        self.power: list[list[np.ndarray]] = [[], []]  # by axis (down, across)
        self.traces, self.looks, self.size = NativeResolution(), 0, (0, 0)

    def add(self, window: Window) -> None:
        image = window.noise[len(window.noise) // 2]
        for axis, lines in enumerate((image.T, image)):
            if lines.shape[1] >= 16:
                self.power[axis].append(_power(lines))
        if self.looks < LOOKS and min(image.shape) >= 32:
            self.looks += 1
            self.traces.add(image, window.origin, window.full)

    def findings(self, info: ClipInfo, sigma: float) -> dict[str, Finding]:
        if not all(self.power):
            text = f"The frames, {info.height} pixels high, are too small to measure their detail."
            return {"resolution": Finding(float(info.height), "lines", text, False)}
        ratio, sure, enlarged = self._ratio(sigma, info.height)
        return {"resolution": _describe(info, ratio, sure, enlarged)}

    def _ratio(self, sigma: float, height: int) -> tuple[float, bool, bool]:
        """Return detail as a share of the frame's, whether that is certain, and whether it was upscaled."""
        fits = [_fit(np.mean(power, 0), sigma) for power in self.power]
        errors = {key: math.hypot(fits[0][key][0], fits[1][key][0]) for key in fits[0] if key in fits[1]}
        native = ("", 1.0)
        best = min(errors, key=errors.__getitem__, default=native)
        dips = self.traces.dips()
        if dips and dips[0][0] < DIP:
            _, ratio, down, across = dips[0]
            return (1.0 if down > NONE and across < DEEP else ratio), True, True
        for depth, ratio, _, _ in dips:
            nearby = min(
                (error for (_, other), error in errors.items() if abs(other / ratio - 1) < SAME),
                default=math.inf,
            )
            if (
                depth < HINT
                and nearby < BETTER * errors.get(native, math.inf)
                and nearby < 1.2 * errors[best]
            ):
                return ratio, True, True
        if best != native and errors[best] < BETTER * errors.get(native, math.inf):
            return best[1], False, True
        softest = min(_limit(fit[native][1]) if native in fit else 1.0 for fit in fits)
        return softest, softest > ENLARGED and _visible_share(self.power, sigma) > OPEN, False


def _describe(info: ClipInfo, ratio: float, sure: bool, enlarged: bool) -> Finding:
    lines = ratio * info.height
    if ratio >= ENLARGED:
        meaning = "native resolution" if sure else "but noise or blur hides the finest detail"
        text = (
            f"The frames hold about as much detail as their height of {info.height} pixels allows: {meaning}."
        )
        return Finding(float(info.height), "lines", text, sure)
    if not enlarged:
        text = (
            f"The frames are {info.height} pixels high and hold detail for about {lines:.0f}: soft, but not "
            "visibly upscaled."
        )
    elif sure:
        text = (
            f"The frames are {info.height} pixels high, but were upscaled by {1 / ratio:.2f} from "
            f"{lines:.0f}. Downscaling first loses nothing."
        )
    else:
        text = (
            f"The frames are {info.height} pixels high and were probably upscaled by {1 / ratio:.2f} from "
            f"{lines:.0f}; this is not certain."
        )
    return Finding(lines, "lines", text, sure)


def _power(lines: np.ndarray) -> np.ndarray:
    """Return the mean power spectrum of lines ``[N, W]``, 0 to 1/2 cycles per pixel.

    White noise has its variance everywhere.
    """
    length = min(SEGMENT, 2 ** int(math.log2(lines.shape[1])))
    window = np.hanning(length + 2)[1:-1].astype(np.float32)
    window /= np.sqrt(np.square(window).sum())
    total = np.zeros(length // 2 + 1)
    starts = range(0, lines.shape[1] - length + 1, length // 2)
    for start in starts:
        some = lines[:, start : start + length]
        total += np.square(np.abs(np.fft.rfft((some - some.mean(1, keepdims=True)) * window, axis=1))).mean(0)
    return total / len(starts)


def _visible_share(power: list[list[np.ndarray]], sigma: float) -> float:
    """Return the share of frequencies at which the image exceeds its noise."""
    return float(np.mean([np.mean(np.mean(some, 0) > 1.2 * (sigma**2 + ROUNDING)) for some in power]))


def _fit(power: np.ndarray, sigma: float) -> dict[tuple[str, float], tuple[float, np.ndarray]]:
    """Return by kernel and ratio the error of the best fit, in nepers, and its coefficients.

    The coefficients are level, fall and blur.
    """
    count = len(power)
    floor = min(1.1 * sigma**2 + ROUNDING, float(np.sort(power)[: max(2, count // 12)].mean()))
    used = np.linspace(0, 0.5, count) >= LOWEST
    left = np.log(np.maximum(np.maximum(power - floor, FAINT * floor), 1e-12))[used]
    clear = power[used] > (1 + 2 * FAINT) * floor
    found = {}
    for name, ratio in [("", 1.0), *((name, ratio) for name in KERNELS for ratio in RATIOS if ratio < 1)]:
        source, gain = (part[used] for part in passband(name, float(ratio), count))
        some = clear & (gain > -11)
        if np.count_nonzero(some) >= 6:
            parts = np.stack([np.ones_like(source), -np.log(source), -np.square(source)], 1)
            found[name, float(ratio)] = _solved(parts, gain, left, some, FAINT * floor)
    return {key: value for key, value in found.items() if value}


def _solved(
    parts: np.ndarray, gain: np.ndarray, left: np.ndarray, some: np.ndarray, least: float
) -> tuple[float, np.ndarray] | None:
    for used in (3, 2):  # no negative blur
        solution = np.linalg.lstsq(parts[some][:, :used], (left - gain)[some], rcond=None)[0]
        if used == 2 or solution[2] >= 0:
            break
    if solution[1] < 0:
        return None
    fitted = np.logaddexp(parts[:, :used] @ solution + gain, math.log(least))
    error = math.sqrt(np.mean(np.square(np.clip(fitted - left, -4, 4))))
    return error, np.append(solution, np.zeros(3 - used))


def _limit(solution: np.ndarray) -> float:
    """Return the frequency at which blur leaves a tenth of the contrast, as a share of the highest."""
    return min(1.0, 2 * math.sqrt(MTF10 / max(solution[2], 1e-9)))
