"""Two streams of one layer as one of two layers, and back."""

from rvm_client.hevc.nal_units import NalType, NalUnit, joined, split
from rvm_client.hevc.parameter_sets import (
    ALPHA_LAYER,
    alpha_channel_info,
    coded_picture,
    with_alpha_layer,
)


class LayersDifferError(ValueError):
    """Two streams are not alike enough to be layers of one."""


def merged_parameters(colour: bytes, alpha: bytes) -> bytes:
    """What decoders need before the first picture, of two encoders with the same settings.

    Args:
        colour, alpha: VPS, SPS and PPS of each, with start codes.

    Raises:
        LayersDifferError: they are not the same, or not such as can be layers.
    """
    # Numbers of SPS and PPS are shared by layers: equal ones must say the same.
    if colour != alpha:
        raise LayersDifferError("the encoders of colour and alpha have different parameters")
    try:
        units = {unit.kind: unit for unit in split(colour)}
        vps, sps, pps = (units[kind] for kind in (NalType.VPS, NalType.SPS, NalType.PPS))
        vps = with_alpha_layer(vps, coded_picture(sps))
    except KeyError as exc:
        raise LayersDifferError(f"a stream has no parameter set of type {exc}") from exc
    except (ValueError, EOFError) as exc:
        raise LayersDifferError(f"a stream cannot have an alpha layer: {exc}") from exc
    layers = [unit.in_layer(layer) for unit in (sps, pps) for layer in (0, ALPHA_LAYER)]
    return joined([vps, *layers, alpha_channel_info()])


def merged_picture(colour: bytes, alpha: bytes) -> bytes:
    """An access unit: the colour's slices, then those of alpha in the layer of alpha.

    Raises:
        LayersDifferError: one may be decoded without what came before, and the other not.
    """
    base, auxiliary = _slices(colour), _slices(alpha)
    kinds = {unit.kind for unit in base}
    if not base or kinds != {unit.kind for unit in auxiliary}:
        raise LayersDifferError("pictures of colour and alpha are of different kinds")
    return joined([*base, *(unit.in_layer(ALPHA_LAYER) for unit in auxiliary)])


def alone(stream: bytes, layer: int) -> bytes:
    """The units of one layer as a stream of one layer, with its parameter sets.

    The VPS is left as it is: decoders of one layer stop reading before its extension.

    Args:
        stream: units with start codes.
        layer: 0, or that of alpha.
    """
    units = split(stream)
    return joined(
        unit.in_layer(0)
        for unit in units
        if unit.layer == layer or unit.kind == NalType.VPS
    )


def _slices(stream: bytes) -> list[NalUnit]:
    return [unit for unit in split(stream) if unit.is_slice]
