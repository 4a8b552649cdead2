"""NAL units, bits and layers, against a reader of the standard's tables and on made-up streams."""

import numpy as np
import pytest
from tests.support.hevc_reader import Bits, unit_of

from rvm_client.errors import LayersDifferError
from rvm_client.hevc import Configuration, alone, merged_parameters, merged_picture
from rvm_client.hevc.bits import BitReader, BitWriter
from rvm_client.hevc.nal_units import NalType, NalUnit, joined, split

PAYLOADS = [
    b"\x00\x00\x00\x00\x00\x00\x01\x80",
    b"\x00\x00\x01\x00\x00\x02\x00\x00\x03\x00\x00\x04",
    b"\x00\x00\x03\x00\x00\x03\x01",
    b"\x01\x00\x00\x80",
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=bytes.hex)
def test_no_payload_looks_like_a_start_code(payload: bytes) -> None:
    unit = NalUnit.of_payload(NalType.VPS, payload)
    assert unit.payload == payload
    content = bytes(unit)
    assert not any(content[i : i + 3] in (b"\0\0\0", b"\0\0\1", b"\0\0\2") for i in range(20))
    assert split(joined([unit, unit])) == [unit, unit]
    read = unit_of(content)
    assert (read.nal_unit_type, read.nuh_layer_id, read.nuh_temporal_id_plus1) == (32, 0, 1)
    assert read.bits.text == "".join(f"{byte:08b}" for byte in payload)


def test_noise_survives_protection() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        # Few values, so that runs of zeros are common; a payload ends in a bit that is set.
        payload = bytes(rng.integers(0, 5, 60, np.uint8)) + b"\x80"
        unit = NalUnit.of_payload(NalType.PPS, payload)
        assert unit.payload == payload
        assert unit_of(bytes(unit)).bits.text == "".join(f"{byte:08b}" for byte in payload)


def test_a_unit_changes_its_layer_and_nothing_else() -> None:
    unit = NalUnit.parse(b"\x26\x01\xaf\x12")
    moved = unit.in_layer(1)
    assert (moved.kind, moved.layer, moved.temporal_id_plus1) == (19, 1, 1)
    assert bytes(moved) == b"\x26\x09\xaf\x12"
    assert bytes(moved.in_layer(0)) == bytes(unit)


def test_numbers_are_read_as_they_were_written() -> None:
    numbers = [0, 1, 2, 3, 6, 7, 8, 254, 255, 256, 65_534]
    writer = BitWriter()
    for number in numbers:
        writer.ue(number)
        writer.u(number, 17)
    writer.trailing_bits()
    ours, other = BitReader(writer.payload()), Bits("".join(f"{b:08b}" for b in writer.payload()))
    for number in numbers:
        assert (ours.ue(), ours.u(17)) == (other.ue(), other.u(17)) == (number, number)
    other.assert_trailing()
    with pytest.raises(EOFError):
        ours.u(64)


def slice_of(kind: int, body: bytes = b"\x80") -> bytes:
    return joined([NalUnit(kind, 0, 1, body)])


def test_pictures_of_different_kinds_are_no_layers() -> None:
    both = split(merged_picture(slice_of(19, b"\x01"), slice_of(19, b"\x02")))
    assert [(unit.layer, unit.body) for unit in both] == [(0, b"\x01"), (1, b"\x02")]
    for colour, alpha in ((19, 1), (0, 1)):
        with pytest.raises(LayersDifferError, match="different kinds"):
            merged_picture(slice_of(colour), slice_of(alpha))
    with pytest.raises(LayersDifferError, match="different kinds"):
        merged_picture(b"", b"")


def test_parameters_that_differ_or_are_missing_are_no_layers() -> None:
    with pytest.raises(LayersDifferError, match="it has 0 parameter sets of type VPS"):
        merged_parameters(b"", b"")
    with pytest.raises(LayersDifferError, match="ends before its level"):
        merged_parameters(slice_of(32), slice_of(32))
    with pytest.raises(LayersDifferError, match="different parameters"):
        merged_parameters(slice_of(32, b"\x01" * 30), slice_of(32, b"\x02" * 30))


def test_a_layer_is_taken_out() -> None:
    vps, base, alpha = (
        NalUnit(kind, layer, 1, b"\x80") for kind, layer in ((32, 0), (1, 0), (1, 1))
    )
    assert split(alone([vps, base, alpha], 1)) == [vps, alpha.in_layer(0)]
    assert split(alone([vps, base, alpha], 0)) == [vps, base]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x00\x00\x00\x01" + bytes(40),
        b"\x01" + bytes(20) + b"\x03\x05",
        b"\x01" + bytes(20) + b"\x03\x01\x20\x00\x01\xff\xff\x40",
        b"\x01" + bytes(20) + b"\x03\x01\x20\xff\xff",
    ],
    ids=["nothing", "start codes", "no arrays", "cut short", "many"],
)
def test_a_record_that_is_none_is_no_configuration(record: bytes) -> None:
    """It comes out of files."""
    found = Configuration.parse(record)
    assert found is None or not found.units


def test_a_packet_that_is_cut_short_gives_what_is_whole() -> None:
    configuration = Configuration((), 4)
    packet = b"\0\0\0\3\x26\x01\xaf" + b"\0\0\0\3\x26\x09\xaf"
    assert [unit.layer for unit in configuration.split(packet)] == [0, 1]
    for cut in range(8, len(packet)):
        assert [unit.layer for unit in configuration.split(packet[:cut])] == [0]
    assert configuration.split(b"\0\0\0\0\0\0") == []
