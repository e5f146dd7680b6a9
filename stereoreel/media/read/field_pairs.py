"""Detect H.264 fields that are coded as pictures of their own, two of which make one frame (PAFF)."""

from __future__ import annotations

from collections.abc import Iterator

from ..bits import BitReader, separated, sized

SLICES, SPS, PPS = (1, 5), 7, 8  # types of NAL units
HEADER = 32  # bytes of a slice that are read at most
HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 134, 135, 138, 139)


class FieldPairs:
    """Whether each packet of a stream, given in decoding order, begins a frame or completes the previous one.

    Streams of another codec, and those whose headers allow no single fields, cost nothing.
    """

    def __init__(self, stream):
        context = stream.codec_context
        self._active = context.name == "h264"
        self._sets: dict[int, _Sequence] = {}
        self._of_picture: dict[int, int] = {}  # which sequence parameter set a picture parameter set is for
        self._open: tuple[int, bool] | None = None  # frame number and parity of a field without its pair
        self._length = 0  # bytes of the size in front of each NAL unit; 0: start codes separate them
        extradata = bytes(context.extradata or b"") if self._active else b""
        if extradata[:1] == b"\1" and len(extradata) > 6:
            self._length = (extradata[4] & 3) + 1
            units = _listed(extradata)
        else:
            units = separated(extradata)
        for unit in units:
            self._learn(unit)

    def completes(self, packet) -> bool:
        """Whether the packet holds only the second field of a frame."""
        if not self._active or not (self._has_fields or packet.is_keyframe):
            return False
        data = bytes(packet)
        begun = found = 0
        for unit in sized(data, self._length) if self._length else separated(data):
            self._learn(unit)
            if self._has_fields and unit[0] & 31 in SLICES and (picture := self._picture(unit)):
                found += 1
                begun += self._begins(*picture)
        return bool(found) and not begun

    @property
    def _has_fields(self) -> bool:
        return any(one.has_fields for one in self._sets.values())

    def _learn(self, unit: bytes) -> None:
        kind = unit[0] & 31
        try:
            if kind == SPS:
                bits = BitReader(unit[1:])
                one = _Sequence(bits)
                self._sets[one.number] = one
            elif kind == PPS:
                bits = BitReader(unit[1:HEADER])
                number = bits.ue()
                self._of_picture[number] = bits.ue()
        except IndexError:
            pass  # a corrupt header; the decoder reports it

    def _picture(self, unit: bytes) -> tuple[int, bool | None] | None:
        """Return frame number and parity (None: a frame) of the picture that a slice begins, if it does."""
        try:
            bits = BitReader(unit[1:HEADER])
            if bits.ue():  # the number of its first macroblock
                return None
            bits.ue()
            sequence = self._sets.get(self._of_picture.get(bits.ue(), -1)) or next(iter(self._sets.values()))
            if sequence.planes:
                bits.u(2)
            number = bits.u(sequence.number_bits)
            if not sequence.has_fields or not bits.u(1):
                return number, None
            return number, bool(bits.u(1))
        except IndexError:
            return None

    def _begins(self, number: int, bottom: bool | None) -> bool:
        """Whether a picture begins a frame; note whether it waits for its other field."""
        pair = bottom is not None and self._open == (number, not bottom)
        self._open = None if pair or bottom is None else (number, bottom)
        return not pair


class _Sequence:
    """What a sequence parameter set says of slice headers."""

    def __init__(self, bits: BitReader):
        profile = bits.u(8)
        bits.u(16)
        self.number = bits.ue()
        self.planes = False  # colour planes coded apart
        if profile in HIGH_PROFILES:
            chroma = bits.ue()
            self.planes = chroma == 3 and bool(bits.u(1))
            bits.ue()
            bits.ue()
            bits.u(1)
            if bits.u(1):
                for number in range(12 if chroma == 3 else 8):
                    if bits.u(1):
                        _skip_scaling(bits, 16 if number < 6 else 64)
        self.number_bits = bits.ue() + 4
        self._skip_order(bits)
        bits.ue()
        bits.u(1)
        bits.ue()
        bits.ue()
        self.has_fields = not bits.u(1)

    def _skip_order(self, bits: BitReader) -> None:
        kind = bits.ue()
        if kind == 0:
            bits.ue()
        elif kind == 1:
            bits.u(1)
            bits.ue()
            bits.ue()
            for _ in range(bits.ue()):
                bits.ue()


def _skip_scaling(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.ue()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


def _listed(record: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of an MP4 or Matroska track (ISO/IEC 14496-15)."""
    at = 5
    for mask in (31, 255):
        count, at = (record[at] & mask if at < len(record) else 0), at + 1
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            if unit := record[at + 2 : at + 2 + size]:
                yield unit
            at += 2 + size
