"""The two steps that touch every pixel of a frame: into the network, and from its result.

Foreground and alpha in 0..255 are written as A * x + b with the full-resolution
x = [rgb, sum of rgb] in 0..255. A and b come at the working size [N,4,h,w], the frames as
bytes [N,H,W,3]. A GPU takes a frame at once; a CPU takes strips that stay in its cache, since
it waits for memory longer than it computes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm_export.network import resize


def working_size_image(frames: Tensor, ratio: float) -> Tensor:
    """uint8 [N,H,W,3] -> RGB in 0..1, float32 [N,3,h,w] in channels-last order."""
    images: list[Tensor] = []
    # Frame by frame: a whole clip in float at full resolution would not stay in any cache.
    for frame in torch.split(frames, 1):
        planar = frame.permute(0, 3, 1, 2).float()
        images.append(planar if ratio == 1 else resize(planar, ratio))
    # A GPU gets the frames of YUV planar.
    return (torch.cat(images) / 255).contiguous(memory_format=torch.channels_last)


def linear_model(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The refiner's A and b for 0..1, made to do at the small size all that can be done there.

    Adding the frame to the residual is adding 1 to A; the mean of rgb is a third of the sum; b
    carries the factor 255, and the half that makes cutting off the fraction round.
    """
    a[:, :3] += 1
    a[:, 3:] /= 3
    return a, b * 255 + 0.5


def write_frames(frames: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 frames [N,H,W,3], A and b of `linear_model` -> uint8 fgr as frames, pha [N,H,W,1]."""
    fgr = torch.empty_like(frames)
    pha = torch.empty_like(frames[:, :, :, :1])
    for n in range(frames.size(0)):
        if frames.is_cuda:
            write_at_once(frames[n], a[n], b[n], fgr[n], pha[n])
        else:
            write_in_strips(frames[n], a[n], b[n], fgr[n], pha[n])
    return fgr, pha


def write_at_once(frame: Tensor, a: Tensor, b: Tensor, fgr: Tensor, pha: Tensor) -> None:
    """One frame: uint8 [H,W,3], A and b [4,h,w] -> into uint8 fgr [H,W,3] and pha [H,W,1]."""
    # Planar: the resize and the multiply-add then run over whole rows.
    large = torch.cat([a, b])[None].contiguous()
    size = [frame.size(0), frame.size(1)]
    if large.size(2) != size[0] or large.size(3) != size[1]:
        large = F.interpolate(large, size, mode="bilinear", align_corners=False)
    rgb = frame.permute(2, 0, 1).float()
    x = torch.cat([rgb, rgb.sum(dim=0, keepdim=True)])
    y = torch.addcmul(large[0, 4:], large[0, :4], x).clamp_(0, 255)
    fgr.copy_(y[:3].permute(1, 2, 0))
    pha.copy_(y[3:].permute(1, 2, 0))


def write_in_strips(
    frame: Tensor,
    a: Tensor,
    b: Tensor,
    fgr: Tensor,
    pha: Tensor,
    # PyTorch shares work among threads from 2**15 numbers on; more would leave the cache.
    strip_pixels: int = 3 * 2**14,
) -> None:
    """As `write_at_once`, in strips of whole rows.

    A and b are resized along x first, which is work on few rows, and put in the order of the
    frame's bytes. Along y the resize is a small matrix product of neighbouring rows. So at
    full resolution everything runs over memory in its order.
    """
    height, width = frame.size(0), frame.size(1)
    small_height = a.size(1)
    color, alpha = widened(a, b, width)
    rows = max(8, strip_pixels // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, weights = row_weights(small_height, height, top, bottom, a)
        last = first + weights.size(1)
        x = frame[top:bottom].float()
        total = x[:, :, 0] + x[:, :, 1]
        total += x[:, :, 2]
        write_levels(torch.mm(weights, color[first:last]), x, fgr[top:bottom])
        write_levels(torch.mm(weights, alpha[first:last]), total, pha[top:bottom])


def widened(a: Tensor, b: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """A and b [4,h,w] resized along x: [h, A then b of the row's W*3 numbers], and of alpha's W."""
    height = a.size(1)
    wide = F.interpolate(torch.cat([a, b]), [width], mode="linear", align_corners=False)
    wide = wide.view(2, 4, height, width)
    color = wide[:, :3].permute(2, 0, 3, 1).reshape(height, 2 * 3 * width)
    return color, wide[:, 3].permute(1, 0, 2).reshape(height, 2 * width)


def row_weights(
    small_height: int, height: int, top: int, bottom: int, like: Tensor
) -> tuple[int, Tensor]:
    """What the rows top..bottom of a bilinear resize take from which small rows.

    The first small row, and the weights [bottom - top, small rows] of it and those after it.
    """
    scale = small_height / height
    # Pixels are squares with their centres at halves (align_corners=False).
    first = math.floor(max(0.0, (top + 0.5) * scale - 0.5))
    last = math.ceil(min(small_height - 1.0, (bottom - 0.5) * scale - 0.5))
    rows = torch.arange(top, bottom, dtype=like.dtype, device=like.device)
    centers = ((rows + 0.5) * scale - 0.5).clamp_(0, small_height - 1)
    small_rows = torch.arange(first, max(first, last) + 1, dtype=like.dtype, device=like.device)
    distances = (centers[:, None] - small_rows).abs_()
    return first, (1 - distances).clamp_(min=0)


def write_levels(model: Tensor, x: Tensor, target: Tensor) -> None:
    """A * x + b as bytes: the model [R, A then b], x and the target with as many numbers as A."""
    a, b = torch.chunk(model, 2, dim=1)
    y = torch.addcmul(b, a, x.view(a.size())).clamp_(0, 255)
    # By way of int32: from float to bytes PyTorch converts one number at a time.
    target.view(a.size()).copy_(y.to(torch.int32))
