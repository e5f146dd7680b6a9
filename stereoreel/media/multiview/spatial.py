"""The boxes of Apple's spatial video, in the sample description of an MP4 or MOV file.

``hvcC`` holds the parameter sets of the base layer, ``lhvC`` those of layer 1 (ISO/IEC 14496-15, 8.3.3 and
9.5.3). ``vexu`` and ``hfov`` are defined by Apple, *ISO Base Media File Format and Apple HEVC Stereo Video*.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from ..layouts.atoms import bodies, make, without
from .nal_units import HEADER, PPS, PREFIX_SEI, SPS, VPS, kind, moved
from .parameter_sets import picture_format, reference_displays, two_views

OWN = (b"hvcC", b"lhvC", b"vexu", b"hfov")
FIXED = 22  # bytes of an HEVCDecoderConfigurationRecord before its arrays
COMPLETE = 0x80  # array_completeness: no such parameter sets are in the frames
FROM_THE_ENCODER = 5  # payloadType of user_data_unregistered: x265's list of its own options
LEFT, RIGHT = 1, 2  # bits of stri


class Spatial(NamedTuple):
    """What a spatial video says of its views.

    ``baseline`` is the distance of the lenses in micrometres, ``disparity`` the shift that brings the views
    to a comfortable depth in 1/10000 of the width, ``field`` the horizontal field of view in 1/1000 degree.
    Without ``described``, the file says nothing more than what decoding both layers needs.
    """

    baseline: int = 0
    disparity: int = 0
    field: int = 0
    half_sphere: bool = False
    described: bool = True

    def applied(self, inside: bytes) -> bytes:
        """Return the boxes of an HEVC sample description, with both layers declared."""
        record = bodies(inside)[b"hvcC"]
        described = extended_usage(self) + field_of_view(self) if self.described else b""
        return base_record(record) + layer_record(record) + without(inside, *OWN) + described


def base_record(record: bytes) -> bytes:
    """Return the box ``hvcC`` with two views in its video parameter set; ``record`` is the body of one.

    Raise ValueError if the parameter sets are not those of one plain layer.
    """
    sets = parameter_sets(record)
    vps = two_views(sets[VPS][0], picture_format(sets[SPS][0]))
    messages = [unit for unit in sets.get(PREFIX_SEI, ()) if unit[HEADER] != FROM_THE_ENCODER]
    messages.append(reference_displays())
    arrays = ((VPS, [vps]), (SPS, sets[SPS]), (PPS, sets[PPS]), (PREFIX_SEI, messages))
    return make(b"hvcC", record[:FIXED] + _arrays(arrays))


def layer_record(record: bytes) -> bytes:
    """Return the box ``lhvC`` of layer 1, whose parameter sets have the base layer's content."""
    sets = parameter_sets(record)
    head = struct.pack(
        ">BHBB",
        1,  # configurationVersion
        0xF000 | struct.unpack_from(">H", record, 13)[0] & 0xFFF,  # min_spatial_segmentation_idc
        0xFC | record[15] & 3,  # parallelismType
        0xC0 | record[21] & 0x3F,  # numTemporalLayers, temporalIdNested, lengthSizeMinusOne
    )
    arrays = ((number, [moved(unit, 1) for unit in sets[number]]) for number in (SPS, PPS))
    return make(b"lhvC", head + _arrays(arrays))


def extended_usage(spatial: Spatial) -> bytes:
    """Return the box ``vexu``: which eyes there are, which is shown alone, and how they were filmed."""
    eyes = _full(b"stri", bytes((LEFT | RIGHT,))) + _full(b"hero", bytes((LEFT,)))
    if spatial.baseline:
        eyes += make(b"cams", _full(b"blin", struct.pack(">I", spatial.baseline)))
    eyes += make(b"cmfy", _full(b"dadj", struct.pack(">i", spatial.disparity)))
    # flat is what players assume
    projection = make(b"proj", _full(b"prji", b"hequ")) if spatial.half_sphere else b""
    return make(b"vexu", make(b"eyes", eyes) + projection)


def field_of_view(spatial: Spatial) -> bytes:
    """Return the box ``hfov``; empty if the field of view is not known."""
    return make(b"hfov", struct.pack(">I", spatial.field)) if spatial.field else b""


def parameter_sets(record: bytes) -> dict[int, list[bytes]]:
    """Return the NAL units in the arrays of a ``hvcC``, by type; raise ValueError if they are incomplete."""
    found: dict[int, list[bytes]] = {}
    try:
        arrays, at = record[FIXED], FIXED + 1
        for _ in range(arrays):
            (count,) = struct.unpack_from(">H", record, at + 1)
            at += 3
            for _ in range(count):
                (size,) = struct.unpack_from(">H", record, at)
                unit = record[at + 2 : at + 2 + size]
                found.setdefault(kind(unit), []).append(unit)
                at += 2 + size
    except (struct.error, IndexError):
        raise ValueError("The stream's parameter sets are incomplete.") from None
    return found


def _arrays(arrays: Iterable[tuple[int, list[bytes]]]) -> bytes:
    """Return the arrays of a decoder configuration record, after their number."""
    written = [
        struct.pack(">BH", COMPLETE | number, len(sets))
        + b"".join(struct.pack(">H", len(unit)) + unit for unit in sets)
        for number, sets in arrays
    ]
    return bytes((len(written),)) + b"".join(written)


def _full(name: bytes, body: bytes) -> bytes:
    """Return a full box of version 0 without flags (ISO/IEC 14496-12, 4.2)."""
    return make(name, bytes(4) + body)
