"""Enlarge images by whole factors on a CPU: every phase of the filter is one pass of OpenCV.

All outputs of a phase lie at the same place between their inputs, so they share the weights.
"""

from __future__ import annotations

import numpy as np

FACTORS = range(2, 5)  # with more phases the passes, which read the image once each, gain nothing
SHORTEST = 16  # inputs of an axis whose ends do not meet
CHANNELS = range(1, 5)


class Polyphase:
    """One axis: ``first`` inputs and ``weights`` of every output, as ``filter_weights`` returns them."""

    def __init__(self, source: int, first: np.ndarray, weights: np.ndarray):
        self.source, self.target = source, len(first)
        self.factor = self.target // source
        self._first, self._weights = first, weights
        middle = source // 2
        outputs = middle * self.factor + np.arange(self.factor)
        taps = [np.trim_zeros(weights[output], "b").astype(np.float32) for output in outputs]
        self._phases = list(zip(taps, (middle - first[outputs]).tolist()))
        self._reach = max(map(len, taps)) // 2 + 1

    @staticmethod
    def serves(source: int, target: int, channels: int) -> bool:
        """Whether an axis of ``source`` inputs can be enlarged to ``target`` outputs."""
        whole = target % source == 0 and target // source in FACTORS
        return whole and source >= SHORTEST and channels in CHANNELS

    def horizontal(self, image: np.ndarray, out: np.ndarray) -> None:
        """``[N, source, C]`` to ``out`` ``[N, target, C]``, float32."""
        import cv2

        phases = [_filter(image, taps[None], (anchor, 0)) for taps, anchor in self._phases]
        # neighbours in the result, one after the other, are the channels of one wide pixel
        cv2.merge(phases, dst=out.reshape(*image.shape[:2], -1))
        for outputs, inputs, dense in self._ends():
            np.matmul(dense, image[:, inputs], out=out[:, outputs])

    def vertical(self, image: np.ndarray, out: np.ndarray) -> None:
        """``[source, N, C]`` to ``out`` ``[target, N, C]``, float32."""
        for phase, (taps, anchor) in enumerate(self._phases):
            _filter(image, taps[:, None], (0, anchor), out[phase :: self.factor])
        for outputs, inputs, dense in self._ends():
            np.einsum("ok,knc->onc", dense, image[inputs], out=out[outputs])

    def _ends(self):
        """Yield the outputs of both ends, whose filters reach beyond the image, with inputs and weights."""
        count = self._reach * self.factor
        for outputs in (slice(0, count), slice(self.target - count, self.target)):
            first, weights = self._first[outputs], self._weights[outputs]
            begin, end = first.min(), min(self.source, first.max() + weights.shape[1])
            dense = np.zeros((count, end - begin), np.float32)
            rows, columns = np.nonzero(weights)
            dense[rows, first[rows] - begin + columns] = weights[rows, columns]
            yield outputs, slice(begin, end), dense


def _filter(
    image: np.ndarray, kernel: np.ndarray, anchor: tuple[int, int], out: np.ndarray | None = None
) -> np.ndarray:
    import cv2

    return cv2.filter2D(image, cv2.CV_32F, kernel, out, anchor, borderType=cv2.BORDER_REPLICATE)
