"""Damage media files as disks, networks, bad writers and attackers do; a number reproduces its mutant."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import numpy as np

from tests.attack.media_seeds import CONTAINERS, TITLE

SEED = 20_240
EXTREMES = (
    0,
    1,
    2,
    3,
    7,
    *((1 << bits) + step for bits in (7, 8, 15, 16, 31, 32, 40, 63, 64) for step in (-1, 0)),
)
KNOWN = (64, 48, 25, 10, 2, 1, 44100, 48000, 12800, 90000, 1000, 25000, 40, 40_000, 400_000)  # in the headers
SIZES = tuple(
    zip(
        (0, 1, 65535, 16383, 12000, 1, 65535, 63, 32, 640), (0, 1, 65535, 16383, 12000, 65535, 1, 47, 24, 480)
    )
)
SUFFIXES = (".mp4", ".mkv", ".avi", ".ts", ".flv", ".ogg", ".gif", ".wav", ".png", ".y4m", ".txt", "")
TEXTS = (
    b"\xff\xfe\xfa\x80\x81bad",
    b"a\0b\0c\0d\0e\0",
    b"\n\r\x1b[31mred",
    b"%s%n%d%s%n",
    b"\xed\xa0\x80\xed\xb0\x80zz",
    b"\xf0\x9f\x8e\xac\xf0\x9f\x8e\xac",
)

Y4M_WORDS = (
    b"W0 W65535 W16000 H-1 H16000 W99999999999 F0:0 F1:0 F0:1 F1000000:1 F1:1000000 A0:0 "
    b"A1:0 A65535:1 C444p16 Cmono C420p14 Ix It "
).split()


class Element(NamedTuple):
    """A box, chunk, packet or page: its type, the place of its size, its body, and its checksum."""

    kind: str
    size_at: int
    size_bytes: int
    body: int
    stop: int
    order: str = "big"
    start: int = 0
    checksum: str = ""


class Mutant(NamedTuple):
    """Case ``number``: a damaged file, the damage, and the original container."""

    number: int
    container: str
    done: str
    path: Path


def make_mutant(number: int, seeds: dict[str, list[Path]], folder: Path) -> Mutant:
    """Write case ``number`` into ``folder``.

    Containers and mutators take turns; the number seeds the rest.
    """
    rng = np.random.default_rng([SEED, number])
    container, name = nature(number)
    seed, mutate = seeds[container][rng.integers(len(seeds[container]))], MUTATORS[name]
    case = _Case(rng, container, seed, seeds, folder)
    data = bytearray(seed.read_bytes())
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        data = bytearray(mutate(case, data))
    suffix = str(rng.choice(SUFFIXES)) if name == "swapped ending" else seed.suffix
    path = folder / f"case_{number}{suffix}"
    path.write_bytes(data)
    return Mutant(number, container, name, path)


def nature(number: int) -> tuple[str, str]:
    """Return the container and the mutator of a case."""
    return CONTAINERS[number % len(CONTAINERS)], list(MUTATORS)[number // len(CONTAINERS) % len(MUTATORS)]


class _Case(NamedTuple):
    rng: np.random.Generator
    container: str
    seed: Path
    seeds: dict[str, list[Path]]
    folder: Path

    def below(self, limit: int) -> int:
        return int(self.rng.integers(max(1, limit)))

    def pick(self, items):
        return items[self.below(len(items))]

    def number(self) -> int:
        return (
            self.pick(EXTREMES)
            if self.below(4)
            else int(self.rng.integers(1 << 32)) << self.pick((0, 0, 16, 32))
        )

    def element(self, data: bytearray) -> Element | None:
        """Return an element of a random type, so that rare headers are hit as often as frames."""
        found = list(elements(self.container, bytes(data)))
        if not found:
            return None
        kind = self.pick(sorted({one.kind for one in found}))
        return self.pick([one for one in found if one.kind == kind])


def bit_flips(case: _Case, data: bytearray) -> bytearray:
    for _ in range(case.pick((1, 3, 30, 300))):
        if data:
            data[case.below(len(data))] ^= 1 << case.below(8)
    return data


def head_flips(case: _Case, data: bytearray) -> bytearray:
    for _ in range(case.pick((1, 2, 8))):
        if data:
            data[case.below(min(len(data), 1024))] ^= 1 << case.below(8)
    return data


def runs(case: _Case, data: bytearray) -> bytearray:
    start, length = case.below(len(data)), case.pick((4, 64, 1000, 20_000))
    data[start : start + length] = case.pick((b"\0", b"\xff", bytes([case.below(256)]))) * len(
        data[start : start + length]
    )
    return data


def truncated(case: _Case, data: bytearray) -> bytearray:
    return data[
        : case.pick(
            (
                0,
                1,
                3,
                12,
                100,
                case.below(len(data)),
                case.below(len(data)),
                case.below(len(data)),
                len(data) - 1,
            )
        )
    ]


def duplicated(case: _Case, data: bytearray) -> bytearray:
    start, at, length = (
        case.below(len(data)),
        case.below(len(data)),
        case.pick((16, 188, 1000, 8000, len(data))),
    )
    return data[:at] + data[start : start + length] + data[at:]


def missing(case: _Case, data: bytearray) -> bytearray:
    start = case.below(len(data))
    return data[:start] + data[start + case.pick((1, 16, 188, 1000, 8000)) :]


def spliced(case: _Case, data: bytearray) -> bytearray:
    same = (
        case.seeds[case.container]
        if case.below(2)
        else [path for paths in case.seeds.values() for path in paths]
    )
    other = case.pick(same).read_bytes()
    return (
        data[: case.pick((len(data), case.below(len(data))))]
        + other[case.pick((0, case.below(len(other)))) :]
    )


def sizes(case: _Case, data: bytearray) -> bytearray:
    one = case.element(data)
    if one is None or not one.size_bytes:
        return fields(case, data)
    limit = 1 << 8 * one.size_bytes
    old = int.from_bytes(data[one.size_at : one.size_at + one.size_bytes], one.order)
    value = (
        case.pick(
            (
                0,
                1,
                7,
                8,
                old - 1,
                old + 1,
                old * 2,
                limit - 1,
                limit // 2,
                limit // 2 - 1,
                case.below(1 << 16),
            )
        )
        % limit
    )
    data[one.size_at : one.size_at + one.size_bytes] = value.to_bytes(one.size_bytes, one.order)
    return mended(case, data, one)


def fields(case: _Case, data: bytearray) -> bytearray:
    """Set a number in an element's body to an extreme value."""
    one = case.element(data)
    if one is None or one.stop <= one.body:
        return head_flips(case, data)
    width = case.pick((1, 2, 4, 4, 8))
    reach = one.stop - one.body if case.below(2) else min(one.stop - one.body, 48)
    at = one.body + case.below(reach) // width * width
    width = min(width, one.stop - at)
    data[at : at + width] = (case.number() % (1 << 8 * width)).to_bytes(width, case.pick(("big", "little")))
    return mended(case, data, one)


def known_numbers(case: _Case, data: bytearray) -> bytearray:
    """Set a size, rate or count in a header to an extreme value."""
    places = []
    for value in KNOWN:
        for width, order in ((2, "big"), (2, "little"), (4, "big"), (4, "little")):
            if value < 1 << 8 * width:
                wanted, at = value.to_bytes(width, order), -1
                while (at := data.find(wanted, at + 1)) >= 0 and len(places) < 4000:
                    if value > 2 or at < 2000:
                        places.append((at, width, order))
    if not places:
        return head_flips(case, data)
    at, width, order = case.pick(places)
    data[at : at + width] = (case.number() % (1 << 8 * width)).to_bytes(width, order)
    for one in elements(case.container, bytes(data)):
        if one.body <= at < one.stop:
            mended(case, data, one)
    return data


def dimensions(case: _Case, data: bytearray) -> bytearray:
    """Change width and height that are stored next to each other."""
    places = []
    for width, order in ((1, "big"), (2, "big"), (2, "little"), (4, "big"), (4, "little")):
        wide, high, at = (64).to_bytes(width, order), (48).to_bytes(width, order), -1
        while (at := data.find(wide, at + 1)) >= 0:
            for gap in range(4):
                if data[at + width + gap : at + 2 * width + gap] == high:
                    places.append((at, at + width + gap, width, order))
    if not places:
        return known_numbers(case, data)
    *places, width, order = case.pick(places)
    for at, value in zip(places, case.pick(SIZES)):
        data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)
    for one in elements(case.container, bytes(data)):
        if one.body <= places[0] < one.stop:
            mended(case, data, one)
    return data


def moved_elements(case: _Case, data: bytearray) -> bytearray:
    """Delete an element, duplicate it, or swap it with another."""
    one, other = case.element(data), case.element(data)
    if one is None or other is None:
        return duplicated(case, data)
    if one.start > other.start:
        one, other = other, one
    first, second = data[one.start : one.stop], data[other.start : other.stop]
    what = case.below(3)
    if what == 0:
        return data[: one.start] + data[one.stop :]
    if what == 1 or other.start < one.stop:
        return data[: one.stop] + first + data[one.stop :]
    return data[: one.start] + second + data[one.stop : other.start] + first + data[other.stop :]


def tags(case: _Case, data: bytearray) -> bytearray:
    """Insert invalid text: not UTF-8, with zeros, with control characters."""
    wanted = case.pick(
        (
            TITLE.encode(),
            b"Second part",
            b"first line",
            b"und",
            b"Lavf",
            b"Lavc",
            b"VideoHandler",
            b"SoundHandler",
        )
    )
    places, at = [], -1
    while (at := data.find(wanted, at + 1)) >= 0:
        places.append(at)
    text = case.pick(TEXTS)
    at = case.pick(places) if places else case.below(len(data))
    data[at : at + len(wanted)] = (text * len(wanted))[: len(wanted)]
    for one in elements(case.container, bytes(data)):
        if one.body <= at < one.stop:
            mended(case, data, one)
    return data


def words(case: _Case, data: bytearray) -> bytearray:
    """Replace a word in the text header of YUV4MPEG, or a codec's name elsewhere."""
    if case.container == "y4m":
        head, _, rest = bytes(data).partition(b"\n")
        parts = head.split(b" ")
        parts[case.below(len(parts))] = case.pick(Y4M_WORDS)
        return bytearray(b" ".join(parts) + b"\n" + rest)
    names = (
        b"avc1 mp4a jpeg sowt tx3g FMP4 V_MPEG4/ISO/AVC A_AC3 A_FLAC V_VP8 A_OPUS V_FFV1 "
        b"S_TEXT/UTF8 OpusHead VP80 GIF89a vide soun text vids auds isom matroska webm "
    ).split()
    found = [name for name in names if name in data]
    if not found:
        return fields(case, data)
    name = case.pick(found)
    others = [b"raw ", b"\0\0\0\0", b"\xff\xff\xff\xff", *found]
    others += b"hvc1 av01 rawv mp4v twos alac ec-3 V_AV1 V_UNCOMPRESSED A_PCM/INT/LIT A_AAC S_VOBSUB".split()
    return bytearray(
        bytes(data).replace(name, case.pick(others)[: len(name)].ljust(len(name), b"\0"), case.pick((1, -1)))
    )


def times(case: _Case, data: bytearray) -> bytearray:
    """Rewrite the same packets with invalid times: huge, negative, backwards, all equal, none."""
    source, target = case.folder / f"plain{case.seed.suffix}", case.folder / f"times{case.seed.suffix}"
    source.write_bytes(data)
    with suppress(av.error.FFmpegError, ValueError, OverflowError, MemoryError, RuntimeError):
        _remux(case, source, target)
    made = target.read_bytes() if target.exists() else b""
    for path in (source, target):
        path.unlink(missing_ok=True)
    return bytearray(made or data)


def _remux(case: _Case, source: Path, target: Path) -> None:
    shift, share = case.pick(SHIFTS), case.pick((0.05, 0.3, 1.0))
    with (
        av.open(str(source), metadata_errors="replace") as old,
        av.open(str(target), "w", options={"fflags": "+bitexact"}) as new,
    ):
        streams = {
            stream.index: new.add_stream_from_template(stream, opaque=True)
            for stream in old.streams
            if stream.type in ("video", "audio")
        }
        for packet in old.demux([old.streams[index] for index in streams]):
            if packet.dts is None:
                continue
            if case.rng.random() < share:
                shift(case, packet)
            packet.stream = streams[packet.stream.index]
            with suppress(av.error.FFmpegError):
                new.mux(packet)


def _later(case: _Case, packet: av.Packet) -> None:
    by = case.pick((-(1 << 33), -100_000, -1, 1, 5, 1000, 1 << 20, 1 << 31, 1 << 33, 1 << 45, 1 << 61))
    packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) + by, packet.dts + by


def _shown(case: _Case, packet: av.Packet) -> None:
    packet.pts = packet.dts + case.pick((0, 1, 5, 1000, 1 << 31, 1 << 45))


def _alike(case: _Case, packet: av.Packet) -> None:
    packet.pts = packet.dts = 0


def _lasting(case: _Case, packet: av.Packet) -> None:
    packet.duration = case.pick((0, 1, 1 << 31, 1 << 45))


SHIFTS = (_later, _later, _shown, _alike, _lasting)


def as_is(case: _Case, data: bytearray) -> bytearray:
    return data


MUTATORS: dict[str, Callable[[_Case, bytearray], bytearray]] = {
    "bit flips": bit_flips,
    "head flips": head_flips,
    "runs": runs,
    "truncated": truncated,
    "duplicated": duplicated,
    "missing": missing,
    "spliced": spliced,
    "sizes": sizes,
    "fields": fields,
    "more fields": fields,
    "known numbers": known_numbers,
    "dimensions": dimensions,
    "moved elements": moved_elements,
    "tags": tags,
    "words": words,
    "times": times,
    "swapped ending": as_is,
}


# How the containers are built, as far as damaging them well needs it.


def elements(container: str, data: bytes) -> Iterator[Element]:
    """Return the elements of a file of a container; nonsense ends the list."""
    with suppress(struct.error, IndexError, RecursionError):
        yield from LISTED.get(container, _slices)(data)


def mended(case: _Case, data: bytearray, one: Element) -> bytearray:
    """Repair checksums in three of four cases, so that a reader gets to what they cover."""
    if case.below(4) == 0 or one.stop > len(data):
        return data
    if one.checksum == "ogg":
        data[one.start + 22 : one.start + 26] = bytes(4)
        data[one.start + 22 : one.start + 26] = crc(data[one.start : one.stop]).to_bytes(4, "little")
    elif one.checksum == "nut":
        data[one.stop - 4 : one.stop] = crc(data[one.body : one.stop - 4]).to_bytes(4, "big")
    elif one.checksum == "section":
        at = one.start + 5
        length = 3 + (int.from_bytes(data[at + 1 : at + 3], "big") & 0xFFF)
        if at + length <= one.stop and length > 7:
            data[at + length - 4 : at + length] = crc(data[at : at + length - 4], 0xFFFFFFFF).to_bytes(
                4, "big"
            )
    return data


@cache
def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value >> 31 else value << 1) & 0xFFFFFFFF
        table.append(value)
    return table


def crc(data: bytes, value: int = 0) -> int:
    """Return the checksum of Ogg, NUT and (starting from all ones) MPEG-TS."""
    table = _table()
    for byte in data:
        value = (value << 8 ^ table[value >> 24 ^ byte]) & 0xFFFFFFFF
    return value


PARENTS = set(b"moov trak mdia minf stbl edts udta ilst moof traf mvex dinf sv3d proj wave".split())
INSIDE = {b"stsd": 8, b"meta": 4, b"avc1": 78, b"jpeg": 78, b"mp4a": 28, b"sowt": 28}


def _boxes(data: bytes, at: int = 0, stop: int | None = None) -> Iterator[Element]:
    stop = len(data) if stop is None else stop
    while at + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + size if 8 <= size <= stop - at else stop
        yield Element(kind.decode("latin-1"), at, 4, at + 8, end, start=at)
        if kind in PARENTS or kind in INSIDE:
            yield from _boxes(data, at + 8 + INSIDE.get(kind, 0), end)
        at = end


MASTER_CODES = (
    b"1A45DFA3 18538067 1549A966 1654AE6B AE E0 E1 55B0 1F43B675 A0 1C53BB6B BB B7 1043A770 "
    b"45B9 B6 80 1254C367 7373 67C8 63C0 114D9B74 4DBB "
)
MASTERS = {int(code, 16) for code in MASTER_CODES.split()}


def _ebml(data: bytes, at: int = 0, stop: int | None = None) -> Iterator[Element]:
    stop = len(data) if stop is None else stop
    while at < stop:
        wide = 9 - data[at].bit_length()
        code = int.from_bytes(data[at : at + wide], "big")
        size_at = at + wide
        long = 9 - data[size_at].bit_length()
        size = int.from_bytes(data[size_at : size_at + long], "big") & ((1 << 7 * long) - 1)
        body = size_at + long
        end = min(stop, body + size)
        yield Element(f"{code:x}", size_at, long, body, end, start=at)
        if code in MASTERS:
            yield from _ebml(data, body, end)
        at = end


def _riff(data: bytes, at: int = 0, stop: int | None = None) -> Iterator[Element]:
    stop = len(data) if stop is None else stop
    while at + 8 <= stop:
        kind, size = struct.unpack_from("<4sI", data, at)
        end = min(stop, at + 8 + size)
        yield Element(kind.decode("latin-1"), at + 4, 4, at + 8, end, "little", at)
        if kind in (b"RIFF", b"LIST"):
            yield from _riff(data, at + 12, end)
        at = end + size % 2


def _ts(data: bytes) -> Iterator[Element]:
    for at in range(0, len(data) - 187, 188):
        pid, begins = int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF, data[at + 1] & 0x40
        section = begins and pid in (0, 17, 0x1000)
        body = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 and not section else 0)
        yield Element(
            f"pid {pid}{' head' if begins else ''}",
            at + 4,
            1,
            at + 5 if section else min(body, at + 180),
            at + 188,
            start=at,
            checksum="section" if section else "",
        )


def _flv(data: bytes) -> Iterator[Element]:
    yield Element("header", 5, 4, 3, 9)
    at = 13
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        end = min(len(data), at + 11 + size)
        yield Element(f"tag {data[at]}", at + 1, 3, at + 4, end, start=at)
        at = end + 4


def _ogg(data: bytes) -> Iterator[Element]:
    at = data.find(b"OggS")
    while at >= 0 and at + 27 <= len(data):
        count = data[at + 26]
        body = at + 27 + count
        end = min(len(data), body + sum(data[at + 27 : body]))
        kind = "first page" if data[at + 5] & 2 else "page"
        yield Element(f"{kind} head", at + 26, 1, at + 4, end, start=at, checksum="ogg")
        yield Element(kind, at + 26, 1, body, end, start=at, checksum="ogg")
        at = data.find(b"OggS", end)


def _nut(data: bytes) -> Iterator[Element]:
    for code in (b"NM", b"NS", b"NK", b"NX", b"NI"):
        at = -1
        while (at := data.find(code, at + 1)) >= 0:
            forward, body = 0, at + 8
            while data[body] & 0x80:
                forward, body = forward << 7 | data[body] & 0x7F, body + 1
            forward, body = forward << 7 | data[body], body + 1
            if body + forward <= len(data) and forward > 4 and crc(data[body : body + forward]) == 0:
                yield Element(
                    code.decode(), at + 8, body - at - 8, body, body + forward, start=at, checksum="nut"
                )


def _start_codes(data: bytes) -> Iterator[Element]:
    at = data.find(b"\0\0\1")
    while at >= 0 and at + 4 <= len(data):
        end = data.find(b"\0\0\1", at + 3)
        end = len(data) if end < 0 else end
        yield Element(f"{data[at + 3]:x}", at + 4, 2, at + 4, end, start=at)
        at = end if end < len(data) else -1


def _asf(data: bytes, at: int = 0, stop: int | None = None) -> Iterator[Element]:
    stop = len(data) if stop is None else stop
    while at + 24 <= stop:
        size = struct.unpack_from("<Q", data, at + 16)[0]
        end = at + size if 24 <= size <= stop - at else stop
        kind = data[at : at + 4].hex()
        yield Element(kind, at + 16, 8, at + 24, end, "little", at)
        if kind in ("3026b275", "b503bf5f"):  # the header and its extension
            yield from _asf(data, at + (30 if kind == "3026b275" else 46), end)
        at = end


def _klv(data: bytes) -> Iterator[Element]:
    at = 0
    while at + 17 <= len(data):
        long = data[at + 16]
        wide = 1 + (long & 0x7F if long & 0x80 else 0)
        size = int.from_bytes(data[at + 17 : at + 16 + wide], "big") if long & 0x80 else long
        end = min(len(data), at + 16 + wide + size)
        yield Element(data[at + 4 : at + 16].hex(), at + 16, wide, at + 16 + wide, end, start=at)
        at = end


def _slices(data: bytes) -> Iterator[Element]:
    yield Element("head", 6, 2, 0, min(len(data), 32))
    for at in range(32, len(data), 512):
        yield Element("rest", at, 2, at, min(len(data), at + 512), start=at)


LISTED = {
    "mp4": _boxes,
    "mov": _boxes,
    "mkv": _ebml,
    "webm": _ebml,
    "avi": _riff,
    "mpegts": _ts,
    "flv": _flv,
    "ogg": _ogg,
    "nut": _nut,
    "mpeg": _start_codes,
    "asf": _asf,
    "mxf": _klv,
    "h264": _start_codes,
}
