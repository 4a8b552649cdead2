"""What may be done to the edge of a matte, as it may be asked for."""

import re
from dataclasses import dataclass

from rvm_client.errors import UsageError
from rvm_client.subject import shown_text

SHRINK_BOUNDS_PIXELS = (-16.0, 16.0)
FEATHER_BOUNDS_PIXELS = (0.0, 32.0)
EDGES_FORMS = (
    "some of shrink=PIXELS, feather=PIXELS, despill=0 to 1 and levels=BLACK:WHITE, joined by commas"
)

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_FORMS = {
    **dict.fromkeys(("shrink", "feather", "despill"), _NUMBER),
    "levels": f"{_NUMBER}:{_NUMBER}",
}


@dataclass(frozen=True)
class Edges:
    """The edge of a matte; by default it stays as it is.

    Raises:
        UsageError: a number is out of its bounds.
    """

    shrink_pixels: float = 0.0
    """How far the edge moves inward; below 0 outward."""
    feather_pixels: float = 0.0
    """How much softer the edge gets, half inside and half outside."""
    despill: float = 0.0
    """0 to 1: how much of the old background's tint is taken off."""
    levels: tuple[float, float] = (0.0, 1.0)
    """Alpha, of 0 to 1, that becomes 0, and alpha that becomes 1."""

    def __post_init__(self) -> None:
        _check("shrink_pixels", self.shrink_pixels, SHRINK_BOUNDS_PIXELS)
        _check("feather_pixels", self.feather_pixels, FEATHER_BOUNDS_PIXELS)
        _check("despill", self.despill, (0, 1))
        black, white = self.levels
        if not 0 <= black < white <= 1:
            raise UsageError(
                f"levels are {black:g} and {white:g}; they must be 0 to 1, and the first below the "
                "second"
            )

    @classmethod
    def parse(cls, text: str) -> "Edges":
        """What a text means: see EDGES_FORMS.

        Raises:
            UsageError: nothing, or it says something twice.
        """
        found: dict[str, str] = {}
        for part in text.split(","):
            name, _, value = (side.strip() for side in part.partition("="))
            pattern = _FORMS.get(name)
            if name in found or pattern is None or not re.fullmatch(pattern, value):
                raise UsageError(f"edges is {shown_text(text)}; it must be {EDGES_FORMS}")
            found[name] = value
        shrink, feather, despill = (
            float(found.get(name, 0)) for name in ("shrink", "feather", "despill")
        )
        black, _, white = found.get("levels", "0:1").partition(":")
        return cls(shrink, feather, despill, (float(black), float(white)))

    @property
    def may_recolour(self) -> bool:
        """Colours change, too: a tint is taken off, or alpha may grow."""
        grows = self.shrink_pixels < 0 or self.feather_pixels > 0 or self.levels[1] < 1
        return grows or self.despill > 0


def _check(name: str, value: float, bounds: tuple[float, float]) -> None:
    # Also refuses what is no number.
    if not bounds[0] <= value <= bounds[1]:
        raise UsageError(f"{name} is {value:g}; it must be {bounds[0]:g} to {bounds[1]:g}")
