"""The parameter sets and the message by which an HEVC stream says that its layers are two views.

Clauses are those of ITU-T H.265: 7 for the base layer, F for layers, G for views.
"""

from __future__ import annotations

from typing import NamedTuple

from ..bits import BitReader, BitWriter
from .nal_units import HEADER, PREFIX_SEI

LAYERS = 2
PROFILE, LEVEL = 88, 8  # bits of profile_tier_level for one sub-layer (7.3.3)
# of Multiview Main (G.11.1.1): number 6, progressive, not packed, frames only, at most 8 bits and 4:2:0
MULTIVIEW_MAIN = 6 << 80 | 1 << (79 - 6) | 0xBF80 << 32
MULTIVIEW = 1  # the bit of scalability_mask_flag for views (table F.1)
SCALABILITY_TYPES = 16
REFERENCE_DISPLAYS = 176  # payloadType of three_dimensional_reference_displays_info (G.14.2.3)


class PictureFormat(NamedTuple):
    """Coded width and height in luma samples, chroma format, and the bit depths less 8 (7.4.3.2.1).

    ``window`` is what is cut off at the left, right, top and bottom, in chroma samples; empty if nothing is.
    """

    width: int
    height: int
    chroma: int
    luma_depth: int
    chroma_depth: int
    window: tuple[int, ...] = ()

    @property
    def is_multiview_main(self) -> bool:
        """Whether the profile Multiview Main allows such pictures (G.11.1.1)."""
        return (self.chroma, self.luma_depth, self.chroma_depth) == (1, 0, 0)


def picture_format(sps: bytes) -> PictureFormat:
    """Return the format of a base layer's sequence parameter set; raise ValueError for an unsupported one."""
    bits = BitReader(sps[HEADER:])
    bits.u(4)  # sps_video_parameter_set_id
    _refuse_sub_layers(bits.u(3))
    bits.u(1)  # sps_temporal_id_nesting_flag
    bits.u(PROFILE + LEVEL)
    bits.ue()  # sps_seq_parameter_set_id
    chroma = bits.ue()
    if chroma == 3:
        bits.u(1)  # separate_colour_plane_flag
    width, height = bits.ue(), bits.ue()
    window = tuple(bits.ue() for _ in range(4)) if bits.u(1) else ()  # conformance_window_flag
    return PictureFormat(width, height, chroma, bits.ue(), bits.ue(), window)


def two_views(vps: bytes, pictures: PictureFormat) -> bytes:
    """Return a base layer's video parameter set, extended for a second, independent view in layer 1.

    Raise ValueError if it has sub-layers, layers or timing already.
    """
    old, new = BitReader(vps[HEADER:]), BitWriter()

    def keep(count: int) -> int:
        value = old.u(count)
        new.u(count, value)
        return value

    keep(4)  # vps_video_parameter_set_id
    keep(2)  # vps_base_layer_internal_flag, vps_base_layer_available_flag
    if old.u(6):
        raise ValueError("The encoder's stream has layers already.")
    new.u(6, LAYERS - 1)  # vps_max_layers_minus1
    _refuse_sub_layers(keep(3))
    keep(1)  # vps_temporal_id_nesting_flag
    keep(16)  # vps_reserved_0xffff_16bits
    keep(PROFILE)
    level = keep(LEVEL)
    keep(1)  # vps_sub_layer_ordering_info_present_flag
    buffers = [old.ue() for _ in range(3)]  # max_dec_pic_buffering, max_num_reorder, max_latency_increase
    for value in buffers:
        new.ue(value)
    if old.u(6) or old.ue() or old.u(1):  # vps_max_layer_id, _num_layer_sets_minus1, _timing_info_present
        raise ValueError("The encoder's stream has layers or timing information already.")
    new.u(6, LAYERS - 1)  # vps_max_layer_id
    new.ue(1)  # vps_num_layer_sets_minus1
    new.u(LAYERS, 0b11)  # layer_id_included_flag of the set 1
    new.u(1, 0)  # vps_timing_info_present_flag
    new.u(1, 1)  # vps_extension_flag
    new.align(1)  # vps_extension_alignment_bit_equal_to_one
    _extend(new, level, buffers, pictures)
    new.u(1, 0)  # vps_extension2_flag
    return new.unit(vps[:HEADER])


def reference_displays() -> bytes:
    """Return the message that names view 0 as the left and view 1 as the right one (G.14.2.3)."""
    payload = BitWriter()
    payload.ue(31)  # prec_ref_display_width
    payload.u(1, 0)  # ref_viewing_distance_flag
    payload.ue(0)  # num_ref_displays_minus1
    payload.ue(0)  # left_view_id
    payload.ue(1)  # right_view_id
    payload.u(6, 0)  # exponent_ref_display_width
    payload.u(1, 0)  # mantissa_ref_display_width: 31 - 30 bits
    payload.u(1, 0)  # additional_shift_present_flag
    payload.u(1, 0)  # three_dimensional_reference_displays_extension_flag
    body = payload.stopped()  # payload_bit_equal_to_one and zeros (7.3.5)
    message = BitWriter()
    message.u(8, REFERENCE_DISPLAYS)
    message.u(8, len(body))
    message.u(8 * len(body), int.from_bytes(body, "big"))
    return message.unit(bytes((PREFIX_SEI << 1, 1)))


def _extend(new: BitWriter, level: int, buffers: list[int], pictures: PictureFormat) -> None:
    """Write vps_extension (F.7.3.2.1.1)."""
    index_bits = 2 if pictures.is_multiview_main else 1  # for three or two profile_tier_levels
    new.u(LEVEL, level)  # profile_tier_level(0, 0): the base layer's profile
    new.u(1, 0)  # splitting_flag
    for number in range(SCALABILITY_TYPES):
        new.u(1, number == MULTIVIEW)  # scalability_mask_flag
    new.u(3, 0)  # dimension_id_len_minus1
    new.u(1, 0)  # vps_nuh_layer_id_present_flag: layer 1 has the number 1
    new.u(1, 1)  # dimension_id: ViewOrderIdx of layer 1
    new.u(4, 1)  # view_id_len
    new.u(1, 0)  # view_id_val of layer 0
    new.u(1, 1)  # view_id_val of layer 1
    new.u(1, 0)  # direct_dependency_flag: no prediction between the layers
    new.ue(0)  # num_add_layer_sets
    new.u(1, 0)  # vps_sub_layers_max_minus1_present_flag
    new.u(1, 0)  # max_tid_ref_present_flag
    new.u(1, 0)  # default_ref_layers_active_flag
    if pictures.is_multiview_main:
        new.ue(2)  # vps_num_profile_tier_level_minus1: the base part's, the one at the top, and this
        new.u(1, 1)  # vps_profile_present_flag
        new.u(PROFILE, MULTIVIEW_MAIN)
        new.u(LEVEL, level)
    else:
        new.ue(1)  # vps_num_profile_tier_level_minus1: layer 1 has the base layer's profile
    new.ue(0)  # num_add_olss
    new.u(2, 0)  # default_output_layer_idc: every layer is shown
    for index in (1, 2) if pictures.is_multiview_main else (1, 1):
        new.u(index_bits, index)  # profile_tier_level_idx of each layer
    new.ue(0)  # vps_num_rep_formats_minus1
    _represent(new, pictures)
    new.u(1, 1)  # max_one_active_ref_layer_flag
    new.u(1, 0)  # vps_poc_lsb_aligned_flag
    new.u(1, 1)  # poc_lsb_not_present_flag of layer 1: its IDR pictures carry none
    new.u(1, 0)  # sub_layer_flag_info_present_flag (dpb_size, F.7.3.2.1.3)
    for value in (*buffers[:1] * LAYERS, *buffers[1:]):
        new.ue(value)  # max_vps_dec_pic_buffering_minus1 of each layer, _num_reorder_pics, _latency_increase
    new.ue(0)  # direct_dep_type_len_minus2
    new.u(1, 0)  # direct_dependency_all_layers_flag
    new.ue(0)  # vps_non_vui_extension_length
    new.u(1, 0)  # vps_vui_present_flag


def _represent(new: BitWriter, pictures: PictureFormat) -> None:
    """Write rep_format (F.7.3.2.1.2)."""
    new.u(16, pictures.width)  # pic_width_vps_in_luma_samples
    new.u(16, pictures.height)  # pic_height_vps_in_luma_samples
    new.u(1, 1)  # chroma_and_bit_depth_vps_present_flag
    new.u(2, pictures.chroma)  # chroma_format_vps_idc
    if pictures.chroma == 3:
        new.u(1, 0)  # separate_colour_plane_vps_flag
    new.u(4, pictures.luma_depth)  # bit_depth_vps_luma_minus8
    new.u(4, pictures.chroma_depth)  # bit_depth_vps_chroma_minus8
    new.u(1, bool(pictures.window))  # conformance_window_vps_flag
    for offset in pictures.window:
        new.ue(offset)


def _refuse_sub_layers(count: int) -> None:
    if count:
        raise ValueError("The encoder's stream has temporal sub-layers.")
