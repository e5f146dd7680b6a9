"""A rendered picture as a camera and a codec leave it: out of focus, exposed, noisy, compressed."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image


def defocused(image, depth, sharp, strength):
    """Blur what is away from inverse depth ``sharp``, by ``strength`` pixels at infinity."""
    circle = np.abs(depth / max(sharp, 1e-3) - 1) * strength
    circle = np.minimum(cv2.blur(circle, (3, 3)), 2 * strength)
    behind = depth < 0.8 * sharp
    result = image
    for sigma in strength * np.array([0.2, 0.4, 0.7, 1.0, 1.5]):
        # what is in focus does not spread over what is behind it
        own = np.where(behind, 1.0, 0.03).astype(np.float32)
        soft = (
            cv2.GaussianBlur(image * own[..., None], (0, 0), sigma)
            / cv2.GaussianBlur(own, (0, 0), sigma)[..., None]
        )
        share = np.clip(circle / (0.2 * strength) - sigma / (0.2 * strength) + 1, 0, 1)[..., None]
        result = result * (1 - share) + soft * share
    return result


def finished(image, random, size):
    """Return a picture as a camera and a codec would leave it, uint8 ``[h, w, 3]``."""
    u = random.uniform
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    level = np.percentile(image.mean(-1), u(60, 98)) + 1e-3
    image = image / level * u(0.45, 0.95)
    image = image / (1 + image * u(0, 0.3))
    image = np.clip(image, 0, None) ** u(0.6, 1.3)
    grey = image.mean(-1, keepdims=True)
    image = grey + (image - grey) * u(0.2, 1.5)
    image = image * (1 + random.normal(size=3) * 0.08)
    if random.random() < 0.3:
        y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
        image = image * (1 - u(0, 0.5) * ((x - u(-0.4, 0.4)) ** 2 + y**2) / 2)[..., None]
    if random.random() < 0.3:
        image = image + u(0, 0.25)
    if random.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), u(0.3, 1.0))
    if random.random() < 0.6:
        image = image + random.standard_normal(image.shape, np.float32) * np.float32(0.08 * u(0, 1) ** 2)
    image = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    if random.random() < 0.3:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(u(35, 95)))
        image = np.array(Image.open(file))
    return image
