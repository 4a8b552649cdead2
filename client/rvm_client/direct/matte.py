"""What comes back for one frame."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rvm_client.errors import UsageError
from rvm_client.frames import MatteChunk
from rvm_client.pixels import Colour, UInt8Array, composite


class Matte(NamedTuple):
    """A frame, taken apart: `foreground, alpha = matte`. The arrays are the caller's own."""

    foreground: UInt8Array
    """[H,W,3] uint8: the straight (not premultiplied) colour of the person, RGB, 0 to 255."""
    alpha: UInt8Array
    """[H,W] uint8: 0 where the person is not, 255 where nothing else is."""

    @property
    def rgba(self) -> UInt8Array:
        """[H,W,4] uint8, straight alpha: what PNG files and most libraries of pictures take."""
        return np.dstack((self.foreground, self.alpha))

    def over(self, background: UInt8Array | Colour) -> UInt8Array:
        """The person over something else, [H,W,3] uint8.

        Args:
            background: a colour, three numbers of 0 to 255, or a picture [H,W,3] of uint8.

        Raises:
            UsageError: a picture of another size or kind.
        """
        behind = np.asarray(background)
        is_fitting = behind.dtype == np.uint8 and behind.shape == self.foreground.shape
        if behind.ndim > 1 and not is_fitting:
            raise UsageError(
                f"the background is {behind.dtype} of shape {list(behind.shape)}; it must be a "
                f"colour, or uint8 of shape {list(self.foreground.shape)}"
            )
        return composite(self.foreground, self.alpha, background)


def kept(chunk: MatteChunk) -> Iterator[Matte]:
    """The mattes of a chunk, in memory of their own."""
    for foreground, alpha in zip(chunk.fgr, chunk.pha, strict=True):
        yield Matte(foreground.copy(), alpha.copy())
