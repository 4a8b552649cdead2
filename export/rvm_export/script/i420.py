"""Between pictures packed as I420 and RGB, by matrices that the caller gives.

A packed picture of H x W pixels is uint8 [H*3/2,W] in contiguous memory: the bytes of Y [H,W],
then those of U [H/2,W/2], then those of V [H/2,W/2]. Where H is no multiple of 4, U and V do not
begin at the start of a row, so they are taken from the flat bytes.

A matrix [3,4] holds the factors of three components and an offset, for levels of 0..255. All
arithmetic is float32, without matrix products, which a GPU may round to 11 bits.
"""

import torch
from torch import Tensor


def check_packed(src: Tensor) -> None:
    """Packed pictures [B,T,H*3/2,W] of even height and width."""
    if src.dim() != 4 or src.numel() == 0:
        raise ValueError(
            f"src has the shape {list(src.size())}; it must be [B,T,H*3/2,W], none of them 0"
        )
    if src.size(2) % 3 != 0:
        raise ValueError(
            f"src has {src.size(2)} rows, which is not divisible by 3; it must have H*3/2"
        )
    # An even height has its rows in threes.
    if src.size(3) % 2 != 0:
        raise ValueError(f"the pictures of src are {src.size(3)} pixels wide; it must be even")


def check_matrix(name: str, matrix: Tensor) -> None:
    """A matrix [3,4]."""
    if list(matrix.size()) != [3, 4]:
        raise ValueError(f"{name} has the shape {list(matrix.size())}; it must be [3, 4]")


def planes(packed: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 [N,H*3/2,W] -> the same memory as luma [N,H,W], chroma [N,2,H/2,W/2]."""
    count, width = packed.size(0), packed.size(2)
    height = packed.size(1) // 3 * 2
    flat = packed.view(count, -1)
    luma = flat[:, : height * width].view(count, height, width)
    return luma, flat[:, height * width :].view(count, 2, height // 2, width // 2)


def rgb_frames(packed: Tensor, to_rgb: Tensor) -> Tensor:
    """uint8 [N,H*3/2,W] -> RGB [N,H,W,3], each chroma sample for its four pixels."""
    luma, chroma = planes(packed)
    rgb = frames_like(luma)
    for n in range(luma.size(0)):
        write_rgb(luma[n], chroma[n], to_rgb, rgb[n])
    return rgb


def frames_like(luma: Tensor) -> Tensor:
    """Memory for RGB [N,H,W,3]: planar where a GPU works, pixel by pixel on a CPU.

    Each is the order in which `write_frames` reads and writes the fastest there.
    """
    count, height, width = luma.size(0), luma.size(1), luma.size(2)
    if luma.is_cuda:
        return luma.new_empty([count, 3, height, width]).permute(0, 2, 3, 1)
    return luma.new_empty([count, height, width, 3])


def write_rgb(luma: Tensor, chroma: Tensor, to_rgb: Tensor, rgb: Tensor) -> None:
    """One picture: luma [H,W], chroma [2,H/2,W/2] -> into RGB [H,W,3]."""
    height, width = chroma.size(1), chroma.size(2)
    colour = combination(chroma, to_rgb[:, 1:3], rounding_offset(to_rgb))
    # One number of colour for two rows of two pixels.
    blocks = combination(
        luma.view(1, height, 2, width, 2), to_rgb[:, :1], colour.view(3, height, 1, width, 1)
    )
    rgb.copy_(blocks.clamp_(0, 255).view(3, 2 * height, 2 * width).permute(1, 2, 0))


def packed_frames(rgb: Tensor, from_rgb: Tensor, like: Tensor) -> Tensor:
    """RGB [N,H,W,3] -> uint8 as `like` [N,H*3/2,W], its chroma that of the mean of four pixels."""
    packed = torch.empty_like(like)
    luma, chroma = planes(packed)
    for n in range(rgb.size(0)):
        write_planes(rgb[n].permute(2, 0, 1), from_rgb, luma[n], chroma[n])
    return packed


def write_planes(rgb: Tensor, from_rgb: Tensor, luma: Tensor, chroma: Tensor) -> None:
    """One picture: RGB [3,H,W] -> into luma [H,W], chroma [2,H/2,W/2]."""
    offset = rounding_offset(from_rgb)
    y = combination(rgb, from_rgb[:1, :3], offset[:1])
    luma.copy_(y[0].clamp_(0, 255))
    rows = rgb[:, 0::2].float()
    rows += rgb[:, 1::2]
    sums = rows[:, :, 0::2] + rows[:, :, 1::2]
    uv = combination(sums, from_rgb[1:, :3] / 4, offset[1:])
    chroma.copy_(uv.clamp_(0, 255))


def combination(components: Tensor, factors: Tensor, offset: Tensor) -> Tensor:
    """The sums of C components by factors [R,C]: [C,...] or [1,...] each -> float32 [R,...]."""
    for index in range(factors.size(1)):
        shape = [-1] + [1] * (components.dim() - 1)
        offset = torch.addcmul(offset, components[index], factors[:, index].view(shape))
    return offset


def rounding_offset(matrix: Tensor) -> Tensor:
    """The offsets [3,1,1], with the half that makes cutting off the fraction round."""
    return (matrix[:, 3] + 0.5).view(3, 1, 1)
