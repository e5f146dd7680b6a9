"""People, animals, vehicles, plants and furniture of simple solids, at random."""

from __future__ import annotations

import numpy as np

from benchmarks.depth_prior.solids import (
    BOX,
    BUSH,
    CARD,
    CLOUDY,
    CYLINDER,
    FACE,
    FADE,
    FLAT,
    GRAIN,
    SPHERE,
    SPOTS,
    STRIPES,
    TILES,
    TREE,
    WAVES,
    WINDOWS,
    Paint,
    turned,
)

SKINS = ((0.95, 0.76, 0.65), (0.85, 0.62, 0.48), (0.65, 0.43, 0.3), (0.4, 0.26, 0.18), (0.25, 0.16, 0.12))
HAIR = ((0.06, 0.05, 0.05), (0.2, 0.12, 0.07), (0.55, 0.4, 0.2), (0.7, 0.7, 0.7))


class Things:
    """Random people, animals and things; each stands at ``x``, ``z`` on the height ``y``, in metres."""

    def __init__(self, random: np.random.Generator):
        self.random = random

    def u(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def maybe(self, share: float) -> bool:
        return self.random.random() < share

    def side(self) -> int:
        return self.random.choice([-1, 1])

    def color(self, muted=None):
        """Return a random colour, often a muted one."""
        muted = self.u(0, 1) if muted is None else muted
        color = self.random.random(3)
        grey = color.mean()
        return np.clip(grey + (color - grey) * (1 - muted * 0.8), 0, 1) * self.u(0.25, 1.0)

    def paint(
        self, size=1.0, kinds=(FLAT, CLOUDY, CLOUDY, STRIPES, TILES, SPOTS, GRAIN, FADE, WAVES), color=None
    ):
        first = self.color() if color is None else np.asarray(color)
        contrast = self.u(0.05, 1) ** 1.5
        second = np.clip(first + contrast * (self.color() - first), 0, 1)
        return Paint(kinds[self.random.integers(len(kinds))], first, second, size * self.u(0.1, 0.8))

    def skin(self) -> np.ndarray:
        return np.array(SKINS[self.random.integers(5)])

    def plant(self, size=1.0):
        green = np.array([self.u(0.1, 0.5), self.u(0.25, 0.6), self.u(0.05, 0.3)])
        if self.maybe(0.25):
            green = self.color()
        texture = GRAIN if self.maybe(0.6) else CLOUDY
        return Paint(texture, green, green * self.u(0.2, 0.7), size * self.u(0.05, 0.2))

    def person(self, s, x, z, y=0.0, tall=None, turn=None, sits=False):
        tall = self.u(1.5, 1.9) if tall is None else tall
        turn = self.u(-0.7, 0.7) if turn is None else turn
        axes = turned(turn)
        right, front = axes[0], -axes[2]
        skin = self.skin() * self.u(0.8, 1.1)
        if self.maybe(0.12):
            skin = self.color()
        head_r = 0.068 * tall * (1 if self.maybe(0.85) else self.u(1.0, 1.8))
        hip = y + tall * (0.3 if sits else 0.5)
        shoulder = hip + tall * 0.31
        base = np.array([x, 0, z])
        lean = front * self.u(-0.05, 0.12)

        def at(height, aside=0.0, ahead=0.0):
            share = (height - hip) / (shoulder - hip)
            return base + np.array([0, height, 0]) + right * aside + front * ahead + lean * max(share, 0)

        top = self.paint(0.4, (FLAT, FLAT, CLOUDY, STRIPES, TILES, SPOTS, FADE, GRAIN))
        low = self.paint(0.4, (FLAT, FLAT, CLOUDY, FADE, GRAIN))
        flesh = Paint(CLOUDY, skin, skin * 0.85, 0.3)
        head = at(shoulder + tall * 0.1 + head_r * 0.55, 0, 0.02)
        look = turned(turn + self.u(-0.5, 0.5))
        s.add(
            SPHERE,
            head,
            (head_r * 0.88, head_r * 1.25, head_r),
            Paint(FACE, skin, skin * self.u(0.1, 0.4)),
            look,
        )
        shade = np.array(HAIR[self.random.integers(4)])
        hair = Paint(GRAIN if self.maybe(0.5) else CLOUDY, shade, shade * 0.5, 0.05)
        if self.maybe(0.15):
            hair = self.paint(0.2)
        if self.maybe(0.92):
            s.add(SPHERE, head + look[2] * head_r * 0.25 + np.array([0, head_r * 0.35, 0]),
                  (head_r * 1.02, head_r * 1.1, head_r * 1.0), hair, look)  # fmt: skip
        if self.maybe(0.35):
            drop = self.u(0.8, 2.6) * head_r
            s.add(SPHERE, head + look[2] * head_r * 0.6 - np.array([0, drop * 0.6, 0]),
                  (head_r * 1.15, head_r + drop, head_r * 0.6), hair, look)  # fmt: skip
        if self.maybe(0.1):
            s.add(
                CYLINDER,
                head + np.array([0, head_r * 1.1, 0]),
                (head_r * 1.1, head_r * 0.4, head_r * 1.1),
                self.paint(),
            )
        s.add(CYLINDER, at(shoulder + tall * 0.05), (head_r * 0.5, tall * 0.07, head_r * 0.5), flesh)
        wide = tall * self.u(0.1, 0.135)
        s.add(SPHERE, at((hip + shoulder) / 2 + 0.02 * tall), (wide, tall * 0.2, wide * 0.62), top, axes)
        s.add(SPHERE, at(shoulder - tall * 0.02), (wide * 1.15, tall * 0.075, wide * 0.6), top, axes)
        s.add(SPHERE, at(hip), (wide * 0.95, tall * 0.11, wide * 0.7), low, axes)
        sleeve = top if self.maybe(0.7) else flesh
        for side in (-1, 1):
            a = at(shoulder - tall * 0.02, side * wide * 1.15)
            b = at(shoulder - tall * 0.19, side * wide * self.u(1.1, 1.7), self.u(-0.05, 0.15) * tall)
            raised = self.maybe(0.2)
            c = (
                b + np.array([0, tall * self.u(0.0, 0.2), 0])
                if raised
                else b - np.array([0, tall * self.u(0.02, 0.16), 0])
            )
            c = c + front * tall * self.u(0.0, 0.15) - right * side * self.u(-0.02, 0.1) * tall
            s.limb(a, b, tall * 0.03, sleeve)
            s.limb(b, c, tall * 0.025, sleeve)
            s.add(SPHERE, c + (c - b) * 0.15, (tall * 0.028,) * 3, flesh)
            h = at(hip, side * wide * 0.55)
            if sits:
                knee = h + front * tall * 0.24
                foot = knee - np.array([0, tall * 0.27, 0])
            else:
                step = self.u(-0.12, 0.12) * tall
                knee, foot = (
                    at(y + tall * 0.27, side * wide * 0.6, step),
                    at(y + 0.03, side * wide * 0.6, -step),
                )
            s.limb(h, knee, tall * 0.048, low)
            s.limb(knee, foot, tall * 0.035, low if self.maybe(0.8) else flesh)

    def animal(self, s, x, z, y=0.0, size=None):
        size = self.u(0.25, 1.5) if size is None else size
        axes = turned(self.u(-3.1, 3.1))
        fur = self.paint(0.5 * size, (CLOUDY, GRAIN, FLAT, SPOTS, FADE))
        up = np.array([0, size, 0])
        base = np.array([x, y, z])
        fat = self.u(0.16, 0.4)
        leg = self.u(0.15, 0.5)
        body = base + up * (leg + fat * 0.8)
        s.add(SPHERE, body, (fat * size, fat * size, self.u(0.4, 0.6) * size), fur, axes)
        head = body + axes[2] * 0.5 * size + up * self.u(0.05, 0.4)
        r = self.u(0.13, 0.28) * size
        s.limb(body + axes[2] * 0.3 * size, head, r * 0.8, fur)
        s.add(
            SPHERE,
            head,
            (r, r, r * 1.2),
            Paint(FACE, fur.first, fur.second * 0.3),
            -axes if self.maybe(0.5) else axes,
        )
        for side in (-1, 1):
            ear = head + axes[0] * side * r * 0.6 + np.array([0, r, 0])
            s.limb(ear, ear + np.array([0, r * self.u(0.2, 2), 0]), r * 0.25, fur)
            for end in (-0.35, 0.35):
                hip = base + axes[0] * side * fat * 0.6 * size + axes[2] * end * size + up * (leg + fat * 0.3)
                s.limb(hip, hip * [1, 0, 1] + [0, y + 0.02, 0], size * self.u(0.05, 0.1), fur)
        if self.maybe(0.6):
            s.limb(
                body - axes[2] * 0.5 * size,
                body - axes[2] * 0.85 * size + up * self.u(-0.2, 0.4),
                size * 0.06,
                fur,
            )

    def car(self, s, x, z, turn):
        axes = turned(turn)
        body = self.paint(1, (FLAT, FLAT, FADE))
        tall, long, wide = self.u(0.35, 0.6), self.u(1.6, 2.6), self.u(0.8, 1.0)
        base = np.array([x, 0, z])
        if self.maybe(0.2):  # a van or a bus
            tall, long = self.u(0.8, 1.6), self.u(2, 6)
            s.add(
                BOX,
                base + [0, tall + 0.3, 0],
                (wide * 1.2, tall, long),
                Paint(WINDOWS, body.first, self.color(), 1.2),
                axes,
            )
        else:
            s.add(BOX, base + [0, tall + 0.3, 0], (wide, tall * 0.7, long), body, axes)
            glass = Paint(FADE, self.color() * 0.3, self.color() * 0.5)
            s.add(
                SPHERE,
                base + [0, 0.3 + 1.5 * tall, 0] + axes[2] * self.u(-0.4, 0.2),
                (wide * 0.92, tall * 1.3, long * 0.6),
                glass,
                axes,
            )
        for side in (-1, 1):
            for end in (-0.6, 0.6):
                place = base + axes[0] * side * wide + axes[2] * end * long + [0, 0.33, 0]
                s.add(SPHERE, place, (0.15, 0.34, 0.34), Paint(FLAT, np.full(3, 0.05), np.full(3, 0.1)), axes)

    def tree(self, s, x, z, tall=None):
        tall = self.u(2.5, 12) if tall is None else tall
        bark = self.paint(0.5, (GRAIN, CLOUDY), np.array([0.3, 0.2, 0.12]) * self.u(0.4, 1.6))
        s.add(CYLINDER, (x, tall * 0.3, z), (tall * 0.03, tall * 0.3, tall * 0.03), bark)
        leaves = self.plant(tall * 0.3)
        if self.maybe(0.5):
            for _ in range(self.random.integers(1, 4)):
                place = (
                    x + self.u(-0.15, 0.15) * tall,
                    tall * self.u(0.55, 0.85),
                    z + self.u(-0.1, 0.1) * tall,
                )
                s.add(SPHERE, place, (tall * self.u(0.12, 0.3),) * 3, leaves)
        else:
            s.add(CARD, (x, tall * 0.68, z), (tall * 0.35, tall * 0.38, 1), leaves, None, TREE)

    def furniture(self, s, x, z, y=0.0):
        axes = turned(self.u(-0.6, 0.6) if self.maybe(0.5) else 0.0)
        wood = self.paint(0.6, (FLAT, CLOUDY, STRIPES, GRAIN, FADE))
        base = np.array([x, y, z])
        kind = self.random.integers(6)
        if kind == 0:  # a table
            w, d, h = self.u(0.4, 1.1), self.u(0.3, 0.6), self.u(0.4, 0.8)
            s.add(BOX, base + [0, h, 0], (w, 0.03, d), wood, axes)
            for i in (-1, 1):
                for k in (-1, 1):
                    s.add(
                        BOX,
                        base + axes[0] * i * w * 0.9 + axes[2] * k * d * 0.9 + [0, h / 2, 0],
                        (0.03, h / 2, 0.03),
                        wood,
                        axes,
                    )
            for _ in range(self.random.integers(0, 4)):
                self.small(
                    s, x + self.u(-0.6, 0.6) * w, z + self.u(-0.6, 0.6) * d, y + h + 0.03, self.u(0.05, 0.15)
                )
        elif kind == 1:  # a sofa or bed
            w = self.u(0.6, 1.2)
            s.add(BOX, base + [0, 0.22, 0], (w, 0.22, 0.45), wood, axes)
            s.add(BOX, base + [0, 0.5, 0] + axes[2] * 0.4, (w, 0.4, 0.12), wood, axes)
        elif kind == 2:  # a shelf
            h = self.u(0.5, 1.1)
            s.add(
                BOX,
                base + [0, h, 0],
                (self.u(0.3, 0.9), h, 0.2),
                Paint(TILES, wood.first, self.color(), self.u(0.1, 0.3)),
                axes,
            )
        elif kind == 3:  # a lamp
            h = self.u(0.8, 1.7)
            s.add(CYLINDER, base + [0, h / 2, 0], (0.02, h / 2, 0.02), wood)
            s.add(SPHERE, base + [0, h, 0], (0.18, 0.15, 0.18), Paint(FLAT, np.full(3, 1.3), np.full(3, 1.0)))
        elif kind == 4:  # a plant
            self.bush(s, x, z, self.u(0.3, 0.7), y)
        else:  # a chair
            s.add(BOX, base + [0, 0.45, 0], (0.22, 0.03, 0.22), wood, axes)
            s.add(BOX, base + [0, 0.7, 0] + axes[2] * 0.2, (0.22, 0.25, 0.03), wood, axes)
            for i in (-1, 1):
                for k in (-1, 1):
                    s.add(
                        BOX,
                        base + axes[0] * i * 0.2 + axes[2] * k * 0.2 + [0, 0.22, 0],
                        (0.02, 0.22, 0.02),
                        wood,
                        axes,
                    )

    def bush(self, s, x, z, size, y=0.0):
        leaves = self.plant(size)
        if self.maybe(0.5):
            s.add(
                CARD,
                (x, y + size * 0.6, z),
                (size, size * self.u(0.6, 1.2), 1),
                leaves,
                None,
                BUSH if self.maybe(0.6) else TREE,
            )
        else:
            s.add(SPHERE, (x, y + size * 0.4, z), (size * 0.8, size * 0.7, size * 0.6), leaves)

    def small(self, s, x, z, y, size):
        """Add something that stands on a table or the ground."""
        skin = self.paint(size)
        h = size * self.u(0.4, 2)
        kind = self.random.integers(4)
        if kind == 0:
            s.add(
                BOX,
                (x, y + h, z),
                (size * self.u(0.4, 1.2), h, size * self.u(0.4, 1.2)),
                skin,
                turned(self.u(-1, 1)),
            )
        elif kind == 1:
            s.add(CYLINDER, (x, y + h, z), (size * 0.6, h, size * 0.6), skin)
        elif kind == 2:
            s.add(SPHERE, (x, y + h, z), (size * self.u(0.6, 1), h, size * self.u(0.6, 1)), skin)
        else:
            s.add(CYLINDER, (x, y + h, z), (size * 0.6, h, size * 0.6), skin)
            s.add(SPHERE, (x, y + 2 * h, z), (size * self.u(0.3, 1.2),) * 3, self.paint(size))
