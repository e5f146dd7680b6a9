"""Compose random scenes: portraits, rooms, streets, landscapes, animals, table tops, and solids at random."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.depth_prior.camera import defocused
from benchmarks.depth_prior.solids import (
    BOX,
    CARD,
    CLOUDY,
    CYLINDER,
    FADE,
    FLAT,
    GRAIN,
    GROUND,
    HILLS,
    RECTANGLE,
    ROAD,
    ROOM,
    SKYLINE,
    SPHERE,
    SPOTS,
    STRIPES,
    TILES,
    TREE,
    WAVES,
    WINDOWS,
    Light,
    Paint,
    Solids,
    View,
    turned,
)
from benchmarks.depth_prior.things import Things

SHARES = {
    "portrait": 0.34,
    "interior": 0.15,
    "street": 0.17,
    "landscape": 0.12,
    "creature": 0.09,
    "table": 0.07,
    "anything": 0.06,
}
SHALLOW = {"portrait": 0.6, "creature": 0.5, "table": 0.5}  # share of them with a blurred background


class Scenes(Things):
    """Random places, and scenes in them.

    A scene adds its solids, and returns the eye, what it looks at, the field of view in degrees, and whether
    it is indoors.
    """

    def room(self, s, deep=None):
        wide, tall, deep = self.u(1.6, 5), self.u(2.3, 3.6), self.u(2.5, 8) if deep is None else deep
        wall = self.paint(1.5, (FLAT, FLAT, FADE, CLOUDY, TILES, STRIPES))
        s.add(ROOM, (0, tall / 2, deep / 2 - 2), (wide, tall / 2 + 0.02, deep / 2 + 2), wall)
        back = deep
        s.add(GROUND, (0, 0, 0), (1, 1, 1), self.paint(1.0, (FLAT, CLOUDY, TILES, STRIPES, GRAIN)))
        if self.maybe(0.6):
            white = self.u(0.4, 1.0)
            s.add(GROUND, (0, tall, 0), (1, 1, 1), Paint(FLAT, np.full(3, white), np.full(3, white)))
        for _ in range(self.random.integers(0, 5)):  # windows, doors and pictures
            size = (self.u(0.2, 1.0), self.u(0.2, 0.9), 0.02)
            bright = self.color() * (self.u(0.5, 2) if self.maybe(0.5) else 1)
            texture = self.random.choice([FLAT, CLOUDY, TILES, FADE, WAVES, SPOTS])
            look = Paint(texture, bright, self.color(), self.u(0.1, 0.6))
            if self.maybe(0.6):
                s.add(BOX, (self.u(-wide, wide), self.u(0.8, tall - 0.5), back - 0.02), size, look)
            else:
                side = self.side()
                s.add(
                    BOX,
                    (side * (wide - 0.02), self.u(0.8, tall - 0.5), self.u(1, back)),
                    size,
                    look,
                    turned(math.pi / 2),
                )
        return wide, deep

    def sky(self):
        kind = self.random.integers(5)
        if kind == 0:
            low, high = np.array([0.75, 0.85, 0.95]), np.array([0.2, 0.45, 0.85])
        elif kind == 1:
            low = high = np.full(3, self.u(0.6, 1.0))
            high = high * self.u(0.7, 1.0)
        elif kind == 2:
            low, high = np.array([1.0, 0.6, 0.35]), np.array([0.35, 0.35, 0.6])
        elif kind == 3:
            low, high = np.array([0.1, 0.1, 0.2]), np.array([0.01, 0.01, 0.05])
        else:
            low, high = self.color(), self.color()
        clouds = [self.u(0.2, 0.7) if self.maybe(0.5) else 0.0, self.u(0, 999), self.u(0.3, 1)]
        return np.array([low * self.u(0.8, 1.1), high, clouds])

    def ground(self, s, kinds=None):
        look = (
            self.plant(2.0)
            if self.maybe(0.5)
            else self.paint(2.0, kinds or (CLOUDY, GRAIN, FLAT, TILES, WAVES))
        )
        s.add(GROUND, (0, 0, 0), (1, 1, 1), look)

    def distance(self, s, nearest=20):
        """Add hills, woods or a skyline."""
        for _ in range(self.random.integers(0, 5)):
            z = nearest * 10 ** self.u(0, 1.3)
            outline = [HILLS, HILLS, SKYLINE, TREE][self.random.integers(4)]
            if outline == TREE:
                for _ in range(self.random.integers(1, 5)):
                    self.tree(s, self.u(-0.6, 0.6) * z, z, self.u(4, 15))
                continue
            look = (
                self.plant(z * 0.2) if outline == HILLS else self.paint(z * 0.1, (WINDOWS, FLAT, TILES, FADE))
            )
            s.add(
                CARD,
                (self.u(-0.3, 0.3) * z, 0, z),
                (z * self.u(1, 2.5), z * self.u(0.08, 0.5), 1),
                look,
                None,
                outline,
            )

    def outdoors(self, s):
        """Add a background for people and things."""
        self.ground(s)
        self.distance(s)
        if self.maybe(0.15):  # a forest
            for _ in range(self.random.integers(8, 20)):
                z = self.u(3, 25)
                self.tree(s, self.u(-0.7, 0.7) * z, z, self.u(6, 18))
        for _ in range(self.random.integers(0, 6)):
            x, z = self.u(-1, 1), self.u(3, 25)
            kind = self.random.integers(5)
            if kind == 0:
                self.tree(s, x * z, z)
            elif kind == 1:
                self.bush(s, x * z, z, self.u(0.4, 2))
            elif kind == 2:
                size = (self.u(1, 6), self.u(1.5, 10), self.u(1, 6))
                s.add(
                    BOX, (x * z * 1.3, size[1], z + size[2]), size, self.facade(), turned(self.u(-0.6, 0.6))
                )
            elif kind == 3:
                self.person(s, x * z * 0.5, z)
            else:
                s.add(
                    BOX,
                    (x * z, 0.5, z),
                    (self.u(1, 5), self.u(0.3, 1.2), 0.1),
                    self.paint(0.5),
                    turned(self.u(-0.4, 0.4)),
                )

    def facade(self):
        if self.maybe(0.6):
            return Paint(WINDOWS, self.color(), self.color() * self.u(0.1, 1), self.u(1, 3))
        return self.paint(2)

    def portrait(self, s):
        indoors = self.maybe(0.5)
        if indoors:
            wide, deep = self.room(s)
            for _ in range(self.random.integers(0, 4)):
                self.furniture(s, self.u(-0.9, 0.9) * wide, self.u(1.2, deep - 0.3))
        else:
            self.outdoors(s)
        tall = self.u(1.5, 1.9)
        away = 0.38 * 8 ** self.u(0, 1)
        aside = self.u(-0.3, 0.3) * away
        self.person(s, aside, away, tall=tall, turn=self.u(-1.2, 1.2) if self.maybe(0.8) else self.u(-3, 3))
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            z = away * self.u(0.75, 2.5)
            if indoors:
                z = min(z, deep - 0.4)
            self.person(s, aside + self.side() * self.u(0.5, 1.2) * (0.5 + 0.4 * z), z)
        if self.maybe(0.25):  # a table in front, with things on it
            h = self.u(0.75, 1.1)
            s.add(
                BOX,
                (aside, h, away * 0.7),
                (self.u(0.5, 1.5), 0.04, self.u(0.1, 0.25) * away),
                self.paint(0.5),
            )
            for _ in range(self.random.integers(0, 3)):
                self.small(
                    s, aside + self.u(-0.4, 0.4), away * self.u(0.55, 0.7), h + 0.04, self.u(0.03, 0.08)
                )
        eye = np.array([self.u(-0.2, 0.2), tall * self.u(0.75, 1.05), 0])
        centre = tall * (self.u(0.82, 0.95) if away < 0.8 else self.u(0.65, 0.92))
        aim = np.array([aside + self.u(-0.22, 0.22) * away, centre, away])
        return eye, aim, self.u(28, 65), indoors

    def interior(self, s):
        wide, deep = self.room(s)
        for _ in range(self.random.integers(2, 7)):
            self.furniture(s, self.u(-0.9, 0.9) * wide, self.u(0.8, deep - 0.3))
        for _ in range(self.random.choice([0, 1, 1, 2, 3])):
            self.person(
                s, self.u(-0.7, 0.7) * wide, self.u(1.3, deep - 0.4), turn=self.u(-3, 3), sits=self.maybe(0.4)
            )
        if self.maybe(0.15):
            self.animal(s, self.u(-0.6, 0.6) * wide, self.u(1, deep - 1), size=self.u(0.3, 0.8))
        eye = np.array([self.u(-0.6, 0.6) * wide, self.u(0.5, 2.1), -self.u(0, 1.5)])
        aim = np.array([self.u(-0.5, 0.5) * wide, self.u(0.3, 1.6), deep * self.u(0.5, 1)])
        return eye, aim, self.u(40, 85), True

    def street(self, s):
        half = self.u(2.5, 8)
        road = Paint(
            ROAD, np.full(3, self.u(0.15, 0.5)), np.full(3, self.u(0.6, 1.0)), half * self.u(0.6, 1.2)
        )
        s.add(
            GROUND,
            (self.u(0, 3), 0, 0),
            (1, 1, 1),
            road if self.maybe(0.6) else self.paint(1.5, (TILES, CLOUDY, GRAIN, FLAT)),
        )
        if self.maybe(0.6):
            for side in (-1, 1):
                s.add(
                    BOX,
                    (side * (half + 3), 0, 60),
                    (3, 0.12, 80),
                    self.paint(1.0, (TILES, CLOUDY, FLAT, GRAIN)),
                )
        for side in (-1, 1):
            z, open_side = self.u(0, 8), self.maybe(0.25)
            while z < 70:
                size = (self.u(3, 8), self.u(2.5, 14), self.u(3, 9))
                if not open_side and self.maybe(0.8):
                    s.add(
                        BOX,
                        (side * (half + self.u(3, 5) + size[0]), size[1], z + size[2]),
                        size,
                        self.facade(),
                    )
                elif self.maybe(0.6):
                    self.tree(s, side * (half + self.u(2, 6)), z)
                z += 2 * size[2] + self.u(0, 6)
        if self.maybe(0.5):
            z = self.u(25, 90)
            s.add(BOX, (self.u(-10, 10), 5, z), (self.u(5, 20), self.u(3, 12), 4), self.facade())
        self.distance(s, 60)
        for _ in range(self.random.integers(0, 5)):
            turn = self.u(-0.1, 0.1) if self.maybe(0.7) else self.u(-3, 3)
            self.car(s, self.side() * self.u(0.2, 1.0) * half, 3 + 30 * self.u(0, 1) ** 1.5, turn)
        for _ in range(self.random.integers(0, 7)):
            self.person(s, self.u(-1.3, 1.3) * half, 1.5 + 20 * self.u(0, 1) ** 1.5, turn=self.u(-3, 3))
        for _ in range(self.random.integers(0, 5)):
            x, z, h = self.side() * (half + self.u(0, 1)), self.u(1.5, 25), self.u(0.5, 5)
            s.add(CYLINDER, (x, h / 2, z), (0.06, h / 2, 0.06), self.paint(0.5))
            if self.maybe(0.4):
                s.add(BOX, (x, h, z), (self.u(0.2, 0.5), self.u(0.15, 0.4), 0.03), self.paint(0.3))
        eye = np.array([self.u(-0.9, 0.9) * half, self.u(0.7, 2.2) if self.maybe(0.8) else self.u(2, 12), 0])
        turn = self.u(-0.35, 0.35) if self.maybe(0.7) else self.u(-1.2, 1.2)
        aim = eye + [math.sin(turn), self.u(-0.25, 0.1), math.cos(turn)]
        return eye, aim, self.u(30, 80), False

    def landscape(self, s):
        self.ground(s)
        self.distance(s, 12)
        self.distance(s, 60)
        for _ in range(self.random.integers(0, 7)):
            z = 2 + 25 * self.u(0, 1) ** 1.5
            self.bush(s, self.u(-0.8, 0.8) * z, z, self.u(0.3, 1.5))
        for _ in range(self.random.integers(0, 4)):
            z = 3 + 30 * self.u(0, 1) ** 1.5
            self.tree(s, self.u(-0.8, 0.8) * z, z)
        for _ in range(self.random.integers(0, 4)):
            z, r = 1.5 + 15 * self.u(0, 1) ** 1.5, self.u(0.2, 1.5)
            s.add(
                SPHERE,
                (self.u(-0.7, 0.7) * z, 0.1 * r, z),
                (r, r * self.u(0.4, 0.9), r),
                self.paint(1, (GRAIN, CLOUDY)),
            )
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            z = self.u(1.0, 8)
            if self.maybe(0.6):
                self.animal(s, self.u(-0.4, 0.4) * z, z)
            else:
                self.person(s, self.u(-0.4, 0.4) * z, z, turn=self.u(-3, 3))
        if self.maybe(0.3):  # leaves or grass close to the camera
            for _ in range(self.random.integers(1, 4)):
                self.bush(s, self.u(-0.5, 0.5), self.u(0.6, 1.2), self.u(0.1, 0.35), self.u(0, 0.4))
        eye = np.array([0, self.u(0.3, 2.2) if self.maybe(0.75) else self.u(2, 25), 0])
        aim = eye + [self.u(-0.3, 0.3), self.u(-0.3, 0.12), 1]
        return eye, aim, self.u(30, 75), False

    def furnished(self, s):
        wide, deep = self.room(s)
        for _ in range(self.random.integers(0, 4)):
            self.furniture(s, self.u(-0.9, 0.9) * wide, self.u(1.5, deep - 0.3))

    def creature(self, s):
        """An animal or a toy from close by."""
        indoors = self.maybe(0.4)
        if indoors:
            self.furnished(s)
        else:
            self.outdoors(s)
            for _ in range(self.random.integers(0, 4)):
                self.bush(s, self.u(-2, 2), self.u(2, 6), self.u(0.3, 1.0))
        size = self.u(0.3, 1.2)
        away = size * self.u(1.0, 3.0)
        self.animal(s, self.u(-0.2, 0.2) * away, away, size=size)
        if self.maybe(0.3):
            self.animal(
                s,
                self.side() * self.u(0.4, 0.9) * away,
                away * self.u(1.0, 2.0),
                size=size * self.u(0.6, 1.3),
            )
        eye = np.array([0, size * self.u(0.3, 1.8), 0])
        aim = np.array([self.u(-0.2, 0.2) * away, size * self.u(0.35, 0.9), away])
        return eye, aim, self.u(30, 65), indoors

    def table(self, s):
        indoors = self.maybe(0.7)
        if indoors:
            self.furnished(s)
        else:
            self.outdoors(s)
        h, z = 0.75, self.u(0.6, 1.0)
        s.add(BOX, (0, h - 0.03, z), (self.u(0.5, 1.5), 0.03, self.u(0.3, 0.6)), self.paint(0.4))
        for _ in range(self.random.integers(1, 8)):
            self.small(s, self.u(-0.35, 0.35), z + self.u(-0.35, 0.35), h, self.u(0.02, 0.12))
        if self.maybe(0.3):
            self.person(s, self.u(-0.3, 0.3), z + self.u(0.5, 0.9), sits=True, turn=self.u(-0.5, 0.5))
        if self.maybe(0.2):  # hands of somebody behind the camera
            flesh = Paint(CLOUDY, self.skin(), self.skin(), 0.2)
            for side in (-1, 1):
                s.limb(
                    (side * 0.3, h + 0.05, 0.1), (side * self.u(0.05, 0.2), h + 0.06, z - 0.15), 0.04, flesh
                )
        eye = np.array([self.u(-0.2, 0.2), h + self.u(0.1, 0.7), 0])
        aim = np.array([self.u(-0.1, 0.1), h + self.u(-0.05, 0.15), z])
        return eye, aim, self.u(30, 65), indoors

    def anything(self, s):
        """Solids at random before a wall or in a room."""
        if self.maybe(0.5):
            self.room(s)
        else:
            self.ground(s)
            s.add(CARD, (0, 0, 12), (40, 40, 1), self.paint(3), None, RECTANGLE)
        for _ in range(self.random.integers(3, 14)):
            z = self.u(0.8, 8)
            place = (self.u(-0.7, 0.7) * z, 1.2 + self.u(-0.4, 0.4) * z, z)
            size = z * np.array([self.u(0.01, 0.2), self.u(0.02, 0.35), self.u(0.01, 0.2)])
            axes = (
                turned(self.u(-3, 3)) if self.maybe(0.5) else np.linalg.qr(self.random.normal(size=(3, 3)))[0]
            )
            s.add(self.random.choice([SPHERE, BOX, CYLINDER]), place, size, self.paint(0.3 * z), axes)
        return (
            np.array([0, 1.2, 0]),
            np.array([self.u(-1, 1), 1.2 + self.u(-0.7, 0.7), 3]),
            self.u(40, 75),
            False,
        )

    def view(self, eye, aim, angle: float, shape: tuple[int, int]) -> View:
        """Return a camera, nearly level, with a field of view of ``angle`` degrees."""
        forward = (aim - eye) / np.linalg.norm(aim - eye)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        above = np.cross(forward, right)
        roll = self.random.normal() * 0.04
        cos, sin = math.cos(roll), math.sin(roll)
        axes = np.stack([cos * right + sin * above, cos * above - sin * right, forward])
        focal = 0.5 / math.tan(math.radians(angle) / 2) * min(1.0, shape[1] / shape[0]) ** 0.5
        return View(eye, axes, focal)

    def light(self, indoors: bool) -> Light:
        angle, tilt = self.u(0, 6.28), self.u(0.15, 1.3)
        sun = np.array([math.cos(angle) * math.cos(tilt), math.sin(tilt), math.sin(angle) * math.cos(tilt)])
        lamp = self.u(0, 0.5) if self.maybe(0.4) else 0.0
        strength = np.array([self.u(0, 0.9), self.u(0.25, 0.8), lamp])
        sky = self.sky()
        haze = 0.0 if indoors or self.maybe(0.3) else 10 ** self.u(-3, -1.3)
        return Light(sun, strength, np.array([*(sky[0] * self.u(0.7, 1)), haze]), sky)

    def scene(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return a picture ``[h, w, 3]``, without an upper limit, and its inverse depth ``[h, w]``."""
        name = list(SHARES)[self.random.choice(len(SHARES), p=list(SHARES.values()))]
        solids = Solids()
        eye, aim, angle, indoors = getattr(self, name)(solids)
        if name in SHALLOW and self.maybe(0.08):  # a studio
            backdrop = self.paint(2, (FLAT, FADE, CLOUDY))
            solids.add(CARD, (0, 0, 6), (60, 60, 1), backdrop, None, RECTANGLE)
        image, depth = solids.render(
            self.random, shape, self.view(eye, aim, angle, shape), self.light(indoors)
        )
        if self.maybe(SHALLOW.get(name, 0.1)):
            middle = depth[shape[0] // 3 : shape[0] * 5 // 6, shape[1] // 4 : shape[1] * 3 // 4]
            sharp = float(np.percentile(middle, self.u(60, 95)))
            image = defocused(image, depth, sharp, self.u(0.005, 0.03) * shape[0])
        return image, depth
