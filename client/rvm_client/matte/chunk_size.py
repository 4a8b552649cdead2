"""How many frames go to the model in one request."""

from rvm_client.matte.transport import ChunkShape, ring_slots
from rvm_client.pixels import PixelLayout

# A processor gains nothing from more frames at once, and each frame of 1920x1080 costs 50 MB on
# the way. A GPU does: it is idle between requests.
_PIXELS_ON_PROCESSOR = 2 * 1920 * 1080
_PIXELS_ON_GPU = 4 * 1920 * 1080
_MAX_FRAMES = 8


def frames_per_request(
    width_pixels: int,
    height_pixels: int,
    *,
    on_gpu: bool,
    layout: PixelLayout,
    queue_depth: int,
    room_bytes: int,
) -> int:
    """T for frames of this size, 1 to 8.

    Args:
        width_pixels, height_pixels: of a frame.
        on_gpu: whether the model runs on a GPU.
        layout: of the frames.
        queue_depth: chunks that wait between two stages.
        room_bytes: shared memory for the session and the server's part of it, see
            `shared_room_bytes`. A container has 64 MB unless it is given more.
    """
    pixels = width_pixels * height_pixels
    wanted = min((_PIXELS_ON_GPU if on_gpu else _PIXELS_ON_PROCESSOR) // pixels, _MAX_FRAMES)
    # The embedded server takes as much of the same memory for the pixels as one slot each way.
    copies = ring_slots(queue_depth) + 1
    one_frame = copies * ChunkShape(1, height_pixels, width_pixels).slot_bytes(layout)
    room = room_bytes // one_frame
    # Without room for one frame they all go in messages, where this limit is none.
    return max(1, min(wanted, room) if room else wanted)
