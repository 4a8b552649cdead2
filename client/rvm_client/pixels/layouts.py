"""How the pixels of a frame lie in memory: as RGB, or in planes of YUV as codecs have them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rvm_client.pixels.yuv_matrix import RGB_TO_BT709, Matrix

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Rgb:
    """[H,W,3], full range."""

    name: ClassVar[str] = "RGB"

    def frame_shape(self, height_pixels: int, width_pixels: int) -> tuple[int, ...]:
        """The shape of one frame."""
        return height_pixels, width_pixels, 3

    def size_pixels(self, frame: UInt8Array) -> tuple[int, int]:
        """Height and width of one frame."""
        return frame.shape[0], frame.shape[1]

    def rgb_at(
        self, frame: UInt8Array, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[Any]:
        """The colours of some pixels, [rows,columns,3], 0 to 255."""
        colours: UInt8Array = frame[rows[:, np.newaxis], columns]
        return colours


@dataclass(frozen=True)
class I420:
    """[H*3/2,W], 8-bit 4:2:0 of even size: H rows of luma, then the bytes of U, then those of V."""

    to_rgb: Matrix
    """RGB = to_rgb[:, :3] @ (Y, U, V) + to_rgb[:, 3], for the source's planes."""
    from_rgb: Matrix = RGB_TO_BT709
    """Y, U and V of the foreground, likewise."""
    name: ClassVar[str] = "I420"

    def frame_shape(self, height_pixels: int, width_pixels: int) -> tuple[int, ...]:
        """The shape of one frame."""
        return height_pixels * 3 // 2, width_pixels

    def size_pixels(self, frame: UInt8Array) -> tuple[int, int]:
        """Height and width of one frame."""
        return frame.shape[0] * 2 // 3, frame.shape[1]

    def rgb_at(
        self, frame: UInt8Array, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[Any]:
        """The colours of some pixels of the source, [rows,columns,3], 0 to 255."""
        luma, chroma = planes(frame)
        yuv = np.empty((len(rows), len(columns), 3), np.float32)
        yuv[..., 0] = luma[rows[:, np.newaxis], columns]
        yuv[..., 1:] = np.moveaxis(chroma[:, rows[:, np.newaxis] // 2, columns // 2], 0, -1)
        matrix = np.array(self.to_rgb, np.float32)
        rgb: npt.NDArray[np.float32] = yuv @ matrix[:, :3].T + matrix[:, 3]
        return rgb.clip(0, 255, out=rgb)


PixelLayout = Rgb | I420

RGB = Rgb()


def planes(packed: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Luma [H,W] and chroma [2,H/2,W/2] of I420 [H*3/2,W]; no copies of a contiguous array."""
    height, width = packed.shape[0] * 2 // 3, packed.shape[1]
    chroma = packed[height:].reshape(2, height // 2, width // 2)
    return packed[:height], chroma
