"""What is read and written of the sets of parameters of a stream with an alpha layer.

The syntax is that of ITU-T H.265: 7.3.2.1 (VPS), 7.3.2.2 (SPS), 7.3.3 (profile, tier and level),
F.7.3.2.1.1 (the VPS's extension), F.14.2.8 (the SEI message).
"""

from dataclasses import dataclass

from rvm_client.hevc.bits import BitReader, BitWriter
from rvm_client.hevc.nal_units import NalType, NalUnit

ALPHA_LAYER = 1

_PROFILE_BITS = 88
_LEVEL_BITS = 8
_BEFORE_BUFFERING_BITS = 4 + 2 + 6 + 3 + 1 + 16 + _PROFILE_BITS + _LEVEL_BITS + 1
"""Of a VPS with one sub-layer."""
_AUXILIARY = 3
"""The bit of the scalability mask that stands for auxiliary pictures (table F.1)."""
_AUX_ALPHA = 1
"""Their kind (table F.2)."""
_SCALABILITY_BITS = 16
_CHROMA_4_2_0 = 1
_ALPHA_CHANNEL_INFO = 165
_OPAQUE = 255


@dataclass(frozen=True)
class CodedPicture:
    """The size of what is coded, and what of it is shown; all in units of the syntax."""

    width: int
    height: int
    window: tuple[int, int, int, int]
    """Left, right, top and bottom of what is not shown, in chroma pixels."""


# Where tier and level are in the payload, in bytes: for a bit rate of its own, each encoder finds
# those that it needs.
_TIER_BYTE = {NalType.VPS: 4, NalType.SPS: 1}
_LEVEL_BYTE = {NalType.VPS: 15, NalType.SPS: 12}
_TIER = 0x20


def _check_length(parameters: NalUnit) -> None:
    if len(parameters.payload) <= _LEVEL_BYTE[NalType(parameters.kind)]:
        raise ValueError("a parameter set ends before its level")


def level(parameters: NalUnit) -> tuple[int, int]:
    """Tier and level of a VPS or SPS, the higher the more it asks for; nothing of a PPS."""
    if parameters.kind not in _LEVEL_BYTE:
        return 0, 0
    _check_length(parameters)
    kind, payload = NalType(parameters.kind), parameters.payload
    return payload[_TIER_BYTE[kind]] & _TIER, payload[_LEVEL_BYTE[kind]]


def without_level(parameters: NalUnit) -> bytes:
    """All else that a parameter set says."""
    payload = bytearray(parameters.payload)
    if parameters.kind in _LEVEL_BYTE:
        _check_length(parameters)
        kind = NalType(parameters.kind)
        payload[_TIER_BYTE[kind]] &= ~_TIER
        payload[_LEVEL_BYTE[kind]] = 0
    return bytes(payload)


def coded_picture(sps: NalUnit) -> CodedPicture:
    """What an SPS says of its pictures.

    Raises:
        ValueError: they are none of 8-bit 4:2:0.
    """
    bits = BitReader(sps.payload)
    bits.u(4)
    sub_layers = bits.u(3)
    bits.u(1)
    _check_one_sub_layer(sub_layers)
    bits.u(_PROFILE_BITS + _LEVEL_BITS)
    bits.ue()
    chroma = bits.ue()
    if chroma != _CHROMA_4_2_0:
        raise ValueError(f"the chroma format is {chroma}; an alpha layer needs 4:2:0")
    width, height = bits.ue(), bits.ue()
    window = (0, 0, 0, 0)
    if bits.u(1):
        window = (bits.ue(), bits.ue(), bits.ue(), bits.ue())
    if (bits.ue(), bits.ue()) != (0, 0):
        raise ValueError("the pictures have more than 8 bits")
    return CodedPicture(width, height, window)


def reordered_pictures(vps: NalUnit) -> int:
    """How many pictures may come before one in decoding that come after it in presentation."""
    bits = BitReader(vps.payload)
    bits.u(_BEFORE_BUFFERING_BITS)
    bits.ue()
    return bits.ue()


def with_alpha_layer(vps: NalUnit, picture: CodedPicture) -> NalUnit:
    """The VPS of a stream with one layer as that of the same with alpha as its second layer.

    Raises:
        ValueError: there is more in it than one layer of one rate.
    """
    old, new = BitReader(vps.payload), BitWriter()
    for size in (4, 1, 1):  # its id; the base layer is in the stream
        old.copy_to(new, size)
    if old.u(6):
        raise ValueError("the stream has more than one layer")
    new.u(1, 6)
    _check_one_sub_layer(old.copy_to(new, 3))
    for size in (1, 16, _PROFILE_BITS):
        old.copy_to(new, size)
    level_idc = old.copy_to(new, _LEVEL_BITS)
    old.copy_to(new, 1)
    buffering = (old.copy_ue_to(new), old.copy_ue_to(new), old.copy_ue_to(new))
    _write_layer_sets(old, new)
    _copy_timing(old, new)
    if old.u(1):
        raise ValueError("the VPS has an extension")
    new.u(1, 1)
    new.align()
    _write_extension(new, level_idc, buffering, picture)
    new.u(0, 1)  # no second extension
    new.trailing_bits()
    return NalUnit.of_payload(NalType.VPS, new.payload())


def alpha_channel_info() -> NalUnit:
    """The message that says what the alpha layer's luma means: 0 transparent, 255 opaque.

    Straight alpha: colours are to be multiplied by it (alpha_channel_use_idc 0).
    """
    message = BitWriter()
    message.u(0, 1)  # not cancelled
    message.u(0, 3)  # straight
    message.u(0, 3)  # of 8 bits
    message.u(0, 9)
    message.u(_OPAQUE, 9)
    message.u(0, 1)  # to be interpolated between them
    message.u(0, 1)  # not clipped
    message.trailing_bits()
    content = message.payload()
    sei = BitWriter()
    sei.u(_ALPHA_CHANNEL_INFO, 8)
    sei.u(len(content), 8)
    sei.u(int.from_bytes(content, "big"), 8 * len(content))
    sei.trailing_bits()
    return NalUnit.of_payload(NalType.PREFIX_SEI, sei.payload())


def _check_one_sub_layer(sub_layers_minus1: int) -> None:
    if sub_layers_minus1:
        raise ValueError("the stream has several rates in it (temporal sub-layers)")


def _write_layer_sets(old: BitReader, new: BitWriter) -> None:
    """The base layer alone is a set; both layers are another one."""
    if (old.u(6), old.ue()) != (0, 0):
        raise ValueError("the stream has more than one layer set")
    new.u(ALPHA_LAYER, 6)
    new.ue(1)
    new.u(0b11, 2)


def _copy_timing(old: BitReader, new: BitWriter) -> None:
    if not old.copy_to(new, 1):
        return
    old.copy_to(new, 32)
    old.copy_to(new, 32)
    if old.copy_to(new, 1):
        old.copy_ue_to(new)
    if old.copy_ue_to(new):
        raise ValueError("the VPS has parameters of a reference decoder")


def _write_extension(
    new: BitWriter, level_idc: int, buffering: tuple[int, int, int], picture: CodedPicture
) -> None:
    new.u(level_idc, _LEVEL_BITS)  # of the base layer; its profile is that of the whole stream
    _write_what_the_layer_is(new)
    new.u(0, 1)  # rates of layers are not given
    new.u(0, 1)  # nor which of them may be referred to
    new.u(0, 1)  # nor that all references are active
    new.ue(2)  # three profiles and levels: of the whole, of the base layer, of the alpha layer,
    new.u(0, 1)  # which has the same profile
    new.u(level_idc, _LEVEL_BITS)
    new.ue(0)  # no additional sets for output,
    new.u(0, 2)  # and of each set all layers are put out
    new.u(1, 2)  # the base layer has the second of the three,
    new.u(2, 2)  # the alpha layer the third
    _write_picture(new, picture)
    new.u(1, 1)  # at most one layer is referred to
    new.u(0, 1)  # counts of pictures are not aligned
    new.u(1, 1)  # pictures of alpha that begin anew do not carry theirs, as in a stream of its own
    _write_buffering(new, buffering)
    new.ue(0)  # kinds of dependence have two bits,
    new.u(0, 1)  # and there is none
    new.ue(0)  # nothing beside what players have to know
    new.u(0, 1)  # nothing of how it is to be used


def _write_what_the_layer_is(new: BitWriter) -> None:
    new.u(0, 1)  # ids are not split
    new.u(1 << _SCALABILITY_BITS - 1 - _AUXILIARY, _SCALABILITY_BITS)
    new.u(0, 3)  # what it is has one bit
    new.u(0, 1)  # its number is its place
    new.u(_AUX_ALPHA, 1)
    new.u(0, 4)  # no views
    new.u(0, 1)  # it does not depend on the base layer
    new.ue(0)  # so there may be more sets; there are none


def _write_picture(new: BitWriter, picture: CodedPicture) -> None:
    new.ue(0)  # one format of pictures for both layers
    new.u(picture.width, 16)
    new.u(picture.height, 16)
    new.u(1, 1)
    new.u(_CHROMA_4_2_0, 2)
    new.u(0, 4)  # 8 bits of luma,
    new.u(0, 4)  # and of chroma
    new.u(1 if any(picture.window) else 0, 1)
    if any(picture.window):
        for pixels in picture.window:
            new.ue(pixels)


def _write_buffering(new: BitWriter, buffering: tuple[int, int, int]) -> None:
    """For the set of both layers: each holds as many pictures as the base layer alone."""
    pictures, reordered, latency = buffering
    new.u(0, 1)
    new.ue(pictures)
    new.ue(pictures)
    new.ue(reordered)
    new.ue(latency)
