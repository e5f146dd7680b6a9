"""Which views an HEVC stream has, from its parameter sets."""

from __future__ import annotations

from ..bits import BitReader
from . import spatial
from .nal_units import HEADER, PREFIX_SEI, VPS, kind, units
from .parameter_sets import LEVEL, MULTIVIEW, PROFILE, REFERENCE_DISPLAYS, SCALABILITY_TYPES


def views_of(extradata: bytes) -> tuple[int, int] | None:
    """Return the numbers of the left and the right view of a stream with two; None for any other.

    ``extradata`` is FFmpeg's: a configuration record, or parameter sets after start codes.
    """
    try:
        sets = _sets(extradata)
        found = _view_ids(sets[VPS][0])
        left = next((left for unit in sets.get(PREFIX_SEI, ()) if (left := _left(unit)) is not None), None)
    except (IndexError, KeyError, ValueError):
        return None
    if found is None or found[0] == found[1]:
        return None
    return (found[1], found[0]) if left == found[1] else found


def _sets(extradata: bytes) -> dict[int, list[bytes]]:
    if extradata[:1] == b"\1":
        return spatial.parameter_sets(extradata)
    found: dict[int, list[bytes]] = {}
    for unit in units(extradata):
        found.setdefault(kind(unit), []).append(unit)
    return found


def _view_ids(vps: bytes) -> tuple[int, int] | None:
    """Return the view of each of two layers; raise IndexError if the set is incomplete."""
    bits = BitReader(vps[HEADER:])
    bits.u(4 + 2)  # vps_video_parameter_set_id, vps_base_layer_internal_flag, vps_base_layer_available_flag
    layers, sub_layers = bits.u(6) + 1, bits.u(3)
    bits.u(1 + 16 + PROFILE + LEVEL)
    if layers != 2 or sub_layers:
        return None
    bits.u(1)  # vps_sub_layer_ordering_info_present_flag
    for _ in range(3):
        bits.ue()
    highest, layer_sets = bits.u(6), bits.ue()
    if layer_sets > 1:
        return None
    bits.u(layer_sets * (highest + 1))  # layer_id_included_flag
    if bits.u(1) or not bits.u(1):  # vps_timing_info_present_flag, vps_extension_flag
        return None
    bits.align()
    bits.u(LEVEL)  # profile_tier_level(0, 0)
    splitting, mask = bits.u(1), bits.u(SCALABILITY_TYPES)
    if splitting or mask != 1 << (SCALABILITY_TYPES - 1 - MULTIVIEW):
        return None
    length = bits.u(3) + 1  # dimension_id_len_minus1
    if bits.u(1):  # vps_nuh_layer_id_present_flag
        bits.u(6)
    bits.u(length)  # dimension_id
    if not (length := bits.u(4)):  # view_id_len
        return None
    return bits.u(length), bits.u(length)


def _left(message: bytes) -> int | None:
    """Return the left view of the first reference display; None if the message is another."""
    bits = BitReader(message[HEADER:])
    if bits.u(8) != REFERENCE_DISPLAYS:
        return None
    bits.u(8)  # payloadSize
    bits.ue()  # prec_ref_display_width
    if bits.u(1):  # ref_viewing_distance_flag
        bits.ue()
    bits.ue()  # num_ref_displays_minus1
    return bits.ue()
