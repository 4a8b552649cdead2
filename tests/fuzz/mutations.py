"""Damage, drawn from a seed: bytes flipped, cut, spliced, moved, and numbers changed."""

import struct
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytearray, bytes, Random], None]

# Numbers at which programs stumble.
_NUMBERS = (0, 1, 2, 3, 5, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# Headers lie at the start, in MP4 and its kin also at the end.
_HEADER_BYTES = 600
_LARGEST_PIECE_BYTES = 2000


def mutated(seed: bytes, other: bytes, random: Random) -> bytes:
    """A damaged copy.

    Args:
        seed: an intact file.
        other: another one, for pieces of it.
        random: decides all.
    """
    data = bytearray(seed)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        if data:
            random.choice(_MUTATIONS)(data, other, random)
    return bytes(data)


def _flip_bits(data: bytearray, _other: bytes, random: Random) -> None:
    for _ in range(random.choice((1, 4, 32))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _flip_header(data: bytearray, _other: bytes, random: Random) -> None:
    for _ in range(random.choice((1, 2, 8))):
        data[_in_header(data, random)] = random.randrange(256)


def _noise(data: bytearray, _other: bytes, random: Random) -> None:
    start, end = _piece(data, random)
    data[start:end] = random.randbytes(end - start)


def _zeros(data: bytearray, _other: bytes, random: Random) -> None:
    start, end = _piece(data, random)
    data[start:end] = bytes(end - start)


def _number(data: bytearray, _other: bytes, random: Random) -> None:
    """A number of a header, of 2, 4 or 8 bytes in either order."""
    form = random.choice("HIQ")
    order = random.choice("<>")
    value = random.choice(_NUMBERS) << random.choice((0, 0, 0, 8, 16, 31))
    place = _in_header(data, random)
    packed = struct.pack(order + form, value & ((1 << 8 * struct.calcsize(form)) - 1))
    data[place : place + len(packed)] = packed[: len(data) - place]


def _cut_off(data: bytearray, _other: bytes, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def _cut_out(data: bytearray, _other: bytes, random: Random) -> None:
    start, end = _piece(data, random)
    del data[start:end]


def _twice(data: bytearray, _other: bytes, random: Random) -> None:
    start, end = _piece(data, random)
    data[start:start] = data[start:end]


def _move(data: bytearray, _other: bytes, random: Random) -> None:
    start, end = _piece(data, random)
    piece = data[start:end]
    del data[start:end]
    place = random.randrange(len(data) + 1)
    data[place:place] = piece


def _splice(data: bytearray, other: bytes, random: Random) -> None:
    """A piece of another file."""
    start, end = _piece(bytearray(other), random)
    place = random.randrange(len(data))
    data[place : place + random.choice((0, end - start))] = other[start:end]


def _move_box(data: bytearray, _other: bytes, random: Random) -> None:
    """A box of MP4, or anything that looks like one, to another place."""
    places = [i for i in range(4, len(data) - 4) if data[i : i + 4].isalpha()]
    if not places:
        return
    start = random.choice(places) - 4
    size = min(struct.unpack_from(">I", data, start)[0], len(data) - start)
    box = data[start : start + size]
    if random.random() < 0.5:
        del data[start : start + size]
    place = max(0, random.choice(places) - 4)
    data[place:place] = box


_MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _flip_header,
    _flip_header,
    _noise,
    _zeros,
    _number,
    _number,
    _number,
    _cut_off,
    _cut_out,
    _twice,
    _move,
    _splice,
    _move_box,
)


def _piece(data: bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data))
    return start, min(len(data), start + 1 + random.randrange(_LARGEST_PIECE_BYTES))


def _in_header(data: bytearray, random: Random) -> int:
    place = random.randrange(min(len(data), _HEADER_BYTES))
    return len(data) - 1 - place if random.random() < 0.4 else place
