"""How MOV and MP4 hold HEVC: parameters in a record of their own, units with their lengths.

The record is the HEVCDecoderConfigurationRecord of ISO/IEC 14496-15, 8.3.3.1.
"""

from dataclasses import dataclass

from rvm_client.hevc.nal_units import NalUnit

_LENGTH_SIZE_BYTE = 21
_ARRAYS_BYTE = 22


@dataclass(frozen=True)
class Configuration:
    """What a file says of its HEVC stream before the first picture."""

    units: tuple[NalUnit, ...]
    """Parameter sets and messages, of all layers."""
    length_bytes: int
    """How many bytes the length of a unit takes."""

    @classmethod
    def parse(cls, record: bytes) -> "Configuration | None":
        """What the record says; None: it is none, such as a stream with start codes."""
        if len(record) <= _ARRAYS_BYTE or record[0] != 1:
            return None
        units: list[NalUnit] = []
        # Views, so that what is behind is not copied with each unit.
        rest = memoryview(record)[_ARRAYS_BYTE + 1 :]
        for _ in range(record[_ARRAYS_BYTE]):
            count, rest = int.from_bytes(rest[1:3], "big"), rest[3:]
            for _ in range(count):
                unit, rest = _first(rest, 2)
                if unit is None:
                    return None
                units.append(unit)
        return cls(tuple(units), (record[_LENGTH_SIZE_BYTE] & 3) + 1)

    def has_layer(self, layer: int) -> bool:
        """Whether there are parameters of the layer."""
        return any(unit.layer == layer for unit in self.units)

    def split(self, packet: bytes) -> list[NalUnit]:
        """The units of a packet, up to one that is cut short."""
        units, rest = [], memoryview(packet)
        while rest:
            unit, rest = _first(rest, self.length_bytes)
            if unit is None:
                break
            units.append(unit)
        return units


def _first(data: memoryview, length_bytes: int) -> tuple[NalUnit | None, memoryview]:
    """The first unit, if it is whole, and what lies behind it."""
    end = length_bytes + int.from_bytes(data[:length_bytes], "big")
    if len(data) < end:
        return None, data[:0]
    try:
        return NalUnit.parse(bytes(data[length_bytes:end])), data[end:]
    except ValueError:
        return None, data[:0]
