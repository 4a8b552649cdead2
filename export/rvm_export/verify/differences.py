"""How much two mattes differ, and how much they may."""

from dataclasses import asdict, dataclass

from torch import Tensor

from rvm_export.errors import VerificationError
from rvm_export.wire import Precision


@dataclass(frozen=True)
class Difference:
    """Between two mattes, in levels of 0..255."""

    pha_max: float
    pha_mean: float
    fgr_max: float
    fgr_mean: float

    def as_dict(self) -> dict[str, float]:
        """For the manifest."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Tolerance:
    """The largest difference that is still right, and why."""

    pha_max: float
    mean: float
    fgr_max: float

    def check(self, difference: Difference, what: str) -> None:
        """Raises: VerificationError: `what` differs by more."""
        worst_mean = max(difference.pha_mean, difference.fgr_mean)
        if (
            difference.pha_max > self.pha_max
            or difference.fgr_max > self.fgr_max
            or worst_mean > self.mean
        ):
            raise VerificationError(
                f"{what} differs by up to {difference.pha_max:g} levels of alpha and "
                f"{difference.fgr_max:g} of foreground, {worst_mean:.3f} on average; at most "
                f"{self.pha_max:g}, {self.fgr_max:g} and {self.mean:g} are right"
            )


TOLERANCES = {
    # float32 results agree to 1e-4; a value near the middle of two levels may round either way.
    Precision.FP32: Tolerance(pha_max=1, mean=0.01, fgr_max=1),
    # Half rounds each layer to 11 bits. Single pixels on the edge of a hair move by levels.
    Precision.FP16: Tolerance(pha_max=8, mean=0.2, fgr_max=16),
}

# The golden frames are RGB: halving their chroma changes single pixels much, and all of them by
# 0.05 levels of alpha and 1.5 of foreground on average.
HALVED_CHROMA = Tolerance(pha_max=255, mean=2, fgr_max=255)


def difference(actual: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> Difference:
    """The differences of (fgr, pha) pairs of uint8 tensors of the same shapes."""
    fgr = (actual[0].int() - expected[0].int()).abs().float()
    pha = (actual[1].int() - expected[1].int()).abs().float()
    return Difference(float(pha.max()), float(pha.mean()), float(fgr.max()), float(fgr.mean()))


def worst(found: list[Difference]) -> Difference:
    """The largest of each figure."""
    return Difference(
        max(d.pha_max for d in found),
        max(d.pha_mean for d in found),
        max(d.fgr_max for d in found),
        max(d.fgr_mean for d in found),
    )
