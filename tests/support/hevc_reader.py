"""A reader of HEVC's NAL units and parameter sets, from the syntax tables of ITU-T H.265.

It shares nothing with what writes them: bits are text here, and every element is read by the
name that the standard gives it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

Fields = dict[str, Any]


@dataclass(frozen=True)
class Unit:
    """A NAL unit: its header, and the bits of its payload."""

    nal_unit_type: int
    nuh_layer_id: int
    nuh_temporal_id_plus1: int
    content: bytes
    """As it lies in the file, header included."""

    @property
    def bits(self) -> "Bits":
        payload, zeros = bytearray(), 0
        for byte in self.content[2:]:
            if zeros >= 2 and byte == 3:
                zeros = 0
                continue
            zeros = zeros + 1 if byte == 0 else 0
            payload.append(byte)
        return Bits("".join(f"{byte:08b}" for byte in payload))


def unit_of(content: bytes) -> Unit:
    """Table 7.3.1.2."""
    head = f"{content[0]:08b}{content[1]:08b}"
    assert head[0] == "0"
    return Unit(int(head[1:7], 2), int(head[7:13], 2), int(head[13:16], 2), content)


class Bits:
    """The bits of a payload, read one element at a time."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def u(self, count: int) -> int:
        taken = self.text[self.at : self.at + count]
        assert len(taken) == count
        self.at += count
        return int(taken, 2) if taken else 0

    def ue(self) -> int:
        start = self.text.index("1", self.at)
        zeros, self.at = start - self.at, start + 1
        value: int = 2**zeros - 1 + self.u(zeros)
        return value

    def assert_trailing(self) -> None:
        """rbsp_trailing_bits, and nothing behind."""
        rest = self.text[self.at :]
        assert rest[0] == "1"
        assert set(rest[1:]) <= {"0"}
        assert len(rest) <= 8


def hvcc(path: Path) -> tuple[list[Unit], int]:
    """The units of the file's decoder configuration, and how long lengths are in packets."""
    with av.open(str(path)) as container:
        record = container.streams.video[0].codec_context.extradata
    assert record is not None
    assert record[0] == 1
    units, at = [], 23
    for _ in range(record[22]):
        kind, count = record[at] & 0x3F, int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            units.append(unit_of(record[at + 2 : at + 2 + size]))
            assert units[-1].nal_unit_type == kind
            at += 2 + size
    assert at == len(record)
    return units, (record[21] & 3) + 1


def packets(path: Path) -> Iterator[tuple["av.Packet[Any]", list[Unit]]]:
    """Each packet of the video with its units."""
    _, size = hvcc(path)
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            data, units = bytes(packet), []
            while data:
                length = int.from_bytes(data[:size], "big")
                units.append(unit_of(data[size : size + length]))
                assert len(units[-1].content) == length
                data = data[size + length :]
            if units:
                yield packet, units


def layer_frames(path: Path, layer: int) -> list[av.VideoFrame]:
    """One layer, decoded as if there were no other: its units with nuh_layer_id 0."""
    decoder = av.CodecContext.create("hevc", "r")
    assert isinstance(decoder, av.video.codeccontext.VideoCodecContext)
    sets, _ = hvcc(path)
    frames = []
    before = _annex_b([u for u in sets if u.nal_unit_type in (33, 34)], layer)
    vps = b"\0\0\0\1" + next(u.content for u in sets if u.nal_unit_type == 32)
    for packet, units in packets(path):
        one: av.Packet[Any] = av.Packet(vps + before + _annex_b(units, layer))
        one.pts, one.dts, one.time_base = packet.pts, packet.dts, packet.time_base
        frames += decoder.decode(one)
    return frames + decoder.decode(None)


def _annex_b(units: list[Unit], layer: int) -> bytes:
    stream = b""
    for unit in units:
        if unit.nuh_layer_id == layer:
            head = unit.nal_unit_type << 9 | unit.nuh_temporal_id_plus1
            stream += b"\0\0\0\1" + head.to_bytes(2, "big") + unit.content[2:]
    return stream


def read_sps(unit: Unit) -> Fields:
    """Table 7.3.2.2.1 up to the bit depths."""
    bits = unit.bits
    bits.u(4)
    sps: Fields = {"sps_max_sub_layers_minus1": bits.u(3)}
    bits.u(1)
    assert sps["sps_max_sub_layers_minus1"] == 0
    sps |= _profile_tier_level(bits, True)
    names = ("sps_seq_parameter_set_id", "chroma_format_idc", "width", "height")
    sps |= {name: bits.ue() for name in names}
    sps["window"] = [bits.ue() for _ in range(4)] if bits.u(1) else [0] * 4
    return sps | {name: bits.ue() for name in ("bit_depth_luma_minus8", "bit_depth_chroma_minus8")}


def read_vps(unit: Unit) -> Fields:
    """Tables 7.3.2.1 and F.7.3.2.1.1, of two layers at most, to the last bit."""
    bits = unit.bits
    vps: Fields = {"vps_id": bits.u(4), "base_layer_internal": bits.u(1)}
    vps |= {"base_layer_available": bits.u(1), "max_layers_minus1": bits.u(6)}
    vps |= {"max_sub_layers_minus1": bits.u(3), "temporal_id_nesting": bits.u(1)}
    assert bits.u(16) == 0xFFFF
    vps |= _profile_tier_level(bits, True)
    first = 0 if bits.u(1) else vps["max_sub_layers_minus1"]
    for _ in range(first, vps["max_sub_layers_minus1"] + 1):
        vps["buffering"] = (bits.ue(), bits.ue(), bits.ue())
    vps |= {"max_layer_id": bits.u(6), "num_layer_sets_minus1": bits.ue()}
    vps["layer_sets"] = [
        [bits.u(1) for _ in range(vps["max_layer_id"] + 1)]
        for _ in range(vps["num_layer_sets_minus1"])
    ]
    if bits.u(1):
        vps["timing"] = (bits.u(32), bits.u(32))
        if bits.u(1):
            bits.ue()
        assert bits.ue() == 0
    if bits.u(1):
        while bits.at % 8:
            assert bits.u(1) == 1
        vps["extension"] = _vps_extension(bits, vps)
        assert bits.u(1) == 0
    bits.assert_trailing()
    return vps


def _profile_tier_level(bits: Bits, profile_present: bool) -> Fields:
    """Table 7.3.3 without sub-layers."""
    fields: Fields = {}
    if profile_present:
        fields = {"profile_space": bits.u(2), "tier": bits.u(1), "profile_idc": bits.u(5)}
        fields["compatibility"] = bits.u(32)
        fields["constraints"] = (bits.u(4), bits.u(43), bits.u(1))
    return fields | {"level_idc": bits.u(8)}


def _vps_extension(bits: Bits, vps: Fields) -> Fields:
    layers = vps["max_layers_minus1"]
    assert layers == 1
    found: Fields = {"levels": [_profile_tier_level(bits, False)["level_idc"]]}
    found["splitting_flag"] = bits.u(1)
    found["scalability_mask"] = [bits.u(1) for _ in range(16)]
    types = sum(found["scalability_mask"])
    lengths = [bits.u(3) + 1 for _ in range(types - found["splitting_flag"])]
    found["layer_id_in_nuh"] = bits.u(6) if bits.u(1) else 1
    found["dimension_id"] = [bits.u(length) for length in lengths]
    assert bits.u(4) == 0  # view_id_len
    found["direct_dependency"] = bits.u(1)
    independent = 1 if found["direct_dependency"] else 2
    found["num_add_layer_sets"] = bits.ue() if independent > 1 else 0
    assert found["num_add_layer_sets"] == 0
    if bits.u(1):
        bits.u(3 * (layers + 1))
    if bits.u(1) and found["direct_dependency"]:
        bits.u(3)
    found["default_ref_layers_active"] = bits.u(1)
    profiles = bits.ue()
    for _ in range(2, profiles + 1):
        found["levels"].append(_profile_tier_level(bits, bool(bits.u(1)))["level_idc"])
    added, found["default_output_layer_idc"] = bits.ue(), bits.u(2)
    assert (added, vps["num_layer_sets_minus1"]) == (0, 1)
    in_set = sum(vps["layer_sets"][0])
    if found["default_output_layer_idc"] == 2:
        found["output_layer_flags"] = [bits.u(1) for _ in range(in_set)]
    if profiles:
        width = math.ceil(math.log2(profiles + 1))
        found["profile_tier_level_idx"] = [bits.u(width) for _ in range(in_set)]
    return found | _formats_and_buffers(bits, in_set, found["direct_dependency"])


def _formats_and_buffers(bits: Bits, in_set: int, depends: int) -> Fields:
    assert bits.ue() == 0  # vps_num_rep_formats_minus1
    found: Fields = {"rep_format": _rep_format(bits)}
    found |= {"max_one_active_ref_layer": bits.u(1), "poc_lsb_aligned": bits.u(1)}
    found["poc_lsb_not_present"] = None if depends else bits.u(1)
    assert bits.u(1) == 0  # sub_layer_flag_info_present_flag
    found["dpb_pictures"] = [bits.ue() for _ in range(in_set)]
    found |= {"dpb_reorder": bits.ue(), "dpb_latency": bits.ue()}
    kind_bits = bits.ue() + 2
    if bits.u(1) or depends:
        bits.u(kind_bits)
    assert bits.ue() == 0  # vps_non_vui_extension_length
    assert bits.u(1) == 0  # vps_vui_present_flag
    return found


def _rep_format(bits: Bits) -> Fields:
    found: Fields = {"width": bits.u(16), "height": bits.u(16)}
    assert bits.u(1) == 1
    found |= {"chroma_format_idc": bits.u(2), "depth": (bits.u(4), bits.u(4))}
    return found | {"window": [bits.ue() for _ in range(4)] if bits.u(1) else [0] * 4}
