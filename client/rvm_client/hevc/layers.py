"""Two streams of one layer as one of two layers, and back."""

from collections.abc import Iterable

from rvm_client.errors import LayersDifferError
from rvm_client.hevc.nal_units import NalType, NalUnit, joined, split
from rvm_client.hevc.parameter_sets import (
    ALPHA_LAYER,
    alpha_channel_info,
    coded_picture,
    level,
    reordered_pictures,
    with_alpha_layer,
    without_level,
)


def merged_parameters(colour: bytes, alpha: bytes) -> bytes:
    """What decoders need before the first picture, of two encoders with the same settings.

    Args:
        colour, alpha: VPS, SPS and PPS of each, with start codes.

    Raises:
        LayersDifferError: they are not the same but for the level, or not such as can be layers.
    """
    try:
        # Numbers of SPS and PPS are shared by layers: equal ones must say the same.
        vps, sps, pps = _common_sets(split(colour), split(alpha))
        vps = with_alpha_layer(vps, coded_picture(sps))
    except (ValueError, EOFError) as exc:
        raise LayersDifferError(f"a stream cannot have an alpha layer: {exc}") from exc
    layers = [unit.in_layer(layer) for unit in (sps, pps) for layer in (0, ALPHA_LAYER)]
    return joined([vps, *layers, alpha_channel_info()])


def _common_sets(colour: list[NalUnit], alpha: list[NalUnit]) -> list[NalUnit]:
    """VPS, SPS and PPS that describe both streams: the colour's, if alpha needs no higher level."""
    sets = []
    for kind in (NalType.VPS, NalType.SPS, NalType.PPS):
        ours, theirs = _only(colour, kind), _only(alpha, kind)
        if without_level(ours) != without_level(theirs) or level(ours) < level(theirs):
            raise LayersDifferError("the encoders of colour and alpha have different parameters")
        sets.append(ours)
    return sets


def _only(units: list[NalUnit], kind: NalType) -> NalUnit:
    found = [unit for unit in units if unit.kind == kind]
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} parameter sets of type {kind.name}")
    return found[0]


def reorder_delay(parameters: bytes) -> int:
    """How many pictures a decoder has to have before it can show the first one."""
    return reordered_pictures(_only(split(parameters), NalType.VPS))


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


def alone(units: Iterable[NalUnit], layer: int) -> bytes:
    """The units of one layer as a stream of one layer, with start codes.

    The VPS, which is of all layers, is left as it is: decoders of one layer stop reading before
    its extension.
    """
    return joined(
        unit.in_layer(0) for unit in units if unit.layer == layer or unit.kind == NalType.VPS
    )


def _slices(stream: bytes) -> list[NalUnit]:
    return [unit for unit in split(stream) if unit.is_slice]
