"""Bits in HEVC's raw payloads: numbers of fixed length, and Exp-Golomb codes.

Names and codes are those of ITU-T H.265, section 9.2 for ue(v).
"""


class BitReader:
    """Reads a payload from its first bit on.

    Raises:
        EOFError: from every read: the payload ends before.
    """

    def __init__(self, payload: bytes) -> None:
        self._value = int.from_bytes(payload, "big")
        self._length = 8 * len(payload)
        self.position = 0
        """How many bits were read."""

    def u(self, bits: int) -> int:
        """An unsigned number of so many bits."""
        end = self.position + bits
        if end > self._length:
            raise EOFError("the payload ends within a number")
        self.position = end
        return self._value >> (self._length - end) & ((1 << bits) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb code."""
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def copy_to(self, writer: "BitWriter", bits: int) -> int:
        """Read a number, and write it as it was."""
        value = self.u(bits)
        writer.u(value, bits)
        return value

    def copy_ue_to(self, writer: "BitWriter") -> int:
        """The same with an Exp-Golomb code."""
        value = self.ue()
        writer.ue(value)
        return value


class BitWriter:
    """Writes a payload, bit by bit."""

    def __init__(self) -> None:
        self._value = 0
        self._length = 0

    def u(self, value: int, bits: int) -> None:
        """An unsigned number of so many bits."""
        assert 0 <= value < 1 << bits
        self._value = self._value << bits | value
        self._length += bits

    def ue(self, value: int) -> None:
        """An unsigned Exp-Golomb code."""
        bits = (value + 1).bit_length()
        self.u(0, bits - 1)
        self.u(value + 1, bits)

    def align(self, filler: int = 1) -> None:
        """Fill the byte with bits of one kind."""
        while self._length % 8:
            self.u(filler, 1)

    def trailing_bits(self) -> None:
        """What ends a payload: a one, then zeros up to the byte."""
        self.u(1, 1)
        self.align(0)

    def payload(self) -> bytes:
        """What was written, which fills whole bytes."""
        assert self._length % 8 == 0
        return self._value.to_bytes(self._length // 8, "big")
