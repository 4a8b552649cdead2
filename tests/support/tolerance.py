"""How close two results have to be, and why."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# float32 sums of the same numbers in another order differ by some 1e-6. 1e-4 is a fortieth of a
# level.
FLOAT_TOLERANCE = 1e-4
# The guided filter divides such a difference by 1e-5 where the picture is flat. With exact means
# the goldens, which are float32 themselves, are missed by 3e-4. 1e-3 is a quarter of a level.
REFINED_TOLERANCE = 1e-3
# After rounding to 0..255, a value close to the middle of two levels may go either way.
LEVEL_TOLERANCE = 1


def assert_close(
    actual: Array, expected: Array, what: str, float_tolerance: float = FLOAT_TOLERANCE
) -> None:
    """Same shape and dtype; floats to a tolerance, uint8 to one level."""
    assert actual.dtype == expected.dtype, what
    if actual.dtype == np.uint8:
        actual, expected = actual.astype(np.int16), expected.astype(np.int16)
        atol: float = LEVEL_TOLERANCE
    else:
        atol = float_tolerance
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=what)
