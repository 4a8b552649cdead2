"""NAL units, of which an HEVC stream is made (ITU-T H.265, 7.3.1 and annex B)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

_START_CODE = re.compile(b"\x00\x00\x01")
# What would look like a start code within a unit gets a 3 before its last byte.
_TO_PROTECT = re.compile(b"\x00\x00(?=[\x00-\x03])")
_HEADER_BYTES = 2


class NalType(IntEnum):
    """The types that are told apart here (table 7-1); pictures are all below VPS."""

    VPS = 32
    SPS = 33
    PPS = 34
    PREFIX_SEI = 39


@dataclass(frozen=True)
class NalUnit:
    """One unit, without its start code."""

    kind: int
    """nal_unit_type."""
    layer: int
    """nuh_layer_id: 0 is the base layer."""
    temporal_id_plus1: int
    body: bytes
    """What follows the header, protected against looking like a start code."""

    @classmethod
    def parse(cls, unit: bytes) -> "NalUnit":
        """A unit with its two bytes of header.

        Raises:
            ValueError: there is no header.
        """
        if len(unit) < _HEADER_BYTES:
            raise ValueError("a NAL unit has no header")
        header = int.from_bytes(unit[:_HEADER_BYTES], "big")
        return cls(header >> 9 & 0x3F, header >> 3 & 0x3F, header & 7, unit[_HEADER_BYTES:])

    @classmethod
    def of_payload(cls, kind: int, payload: bytes, layer: int = 0) -> "NalUnit":
        """A unit with a raw payload, which is not protected yet."""
        return cls(kind, layer, 1, _TO_PROTECT.sub(b"\x00\x00\x03", payload))

    @property
    def payload(self) -> bytes:
        """The raw payload: the body without its protection."""
        return self.body.replace(b"\x00\x00\x03", b"\x00\x00")

    @property
    def is_slice(self) -> bool:
        """It carries a part of a picture."""
        return self.kind < NalType.VPS

    def in_layer(self, layer: int) -> "NalUnit":
        """The same unit in another layer."""
        return replace(self, layer=layer)

    def __bytes__(self) -> bytes:
        header = self.kind << 9 | self.layer << 3 | self.temporal_id_plus1
        return header.to_bytes(_HEADER_BYTES, "big") + self.body


def split(stream: bytes) -> list[NalUnit]:
    """The units of a stream with start codes (annex B).

    Raises:
        ValueError: a unit is cut short.
    """
    marks = [(match.start(), match.end()) for match in _START_CODE.finditer(stream)]
    # What lies behind the last unit begins where the stream ends.
    following = [*marks, (len(stream), 0)][1:]
    # A longer start code begins with a zero, which a unit never ends with.
    return [
        NalUnit.parse(stream[start:end].rstrip(b"\x00"))
        for (_, start), (end, _) in zip(marks, following, strict=True)
    ]


def joined(units: Iterable[NalUnit]) -> bytes:
    """A stream of units with start codes."""
    return b"".join(b"\x00\x00\x00\x01" + bytes(unit) for unit in units)
