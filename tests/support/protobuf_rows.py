"""A protobuf message as its bytes, a row for each field."""

from collections.abc import Iterator
from typing import Any

_BYTES_A_ROW = 16


def rows(data: bytes, descriptor: Any, *, short: str = "") -> str:
    """Offset, bytes and meaning of each field of a message, with gRPC's prefix before them.

    Args:
        data: the message.
        descriptor: its descriptor. Fields are strings, bytes, packed integers or messages.
        short: a field of bytes of which only the size is shown.
    """
    prefix = b"\0" + len(data).to_bytes(4, "big")
    lines = list(_lines(0, prefix, f"gRPC: not compressed, a message of {len(data)} bytes"))
    lines += _message(data, descriptor, len(prefix), "", short)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _message(data: bytes, descriptor: Any, offset: int, indent: str, short: str) -> Iterator[str]:
    counts: dict[str, int] = {}
    at = 0
    while at < len(data):
        tag, behind = _varint(data, at)
        size, start = _varint(data, behind)
        end = start + size
        field = descriptor.fields_by_number[tag >> 3]
        index = counts[field.name] = counts.get(field.name, -1) + 1
        here, head, content = offset + at, data[at:start], data[start:end]
        name = f"{indent}{field.name}"
        if field.message_type:
            yield from _lines(here, head, f"{name} {index}, {size} bytes")
            yield from _message(content, field.message_type, offset + start, f"{indent}  ", short)
        elif field.name == short:
            yield from _lines(here, head, f"{name} {index}: {size} bytes that follow")
        elif field.type == field.TYPE_STRING:
            yield from _lines(here, head + content, f'{name} "{content.decode()}"')
        elif field.type == field.TYPE_BYTES:
            yield from _lines(here, head + content, f"{name} {index}")
        else:
            yield from _lines(here, head + content, f"{name} {_varints(content)}")
        at = end


def _lines(offset: int, data: bytes, meaning: str) -> Iterator[str]:
    for start in range(0, len(data), _BYTES_A_ROW):
        row = data[start : start + _BYTES_A_ROW].hex(" ")
        yield f"{offset + start:4}  {row:{3 * _BYTES_A_ROW}} {'' if start else meaning}"


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


def _varints(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values
