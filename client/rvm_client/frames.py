"""What flows between the stages: small frozen records."""

from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction

from rvm_client.pixels import RGB, PixelLayout, UInt8Array


class Role(str, Enum):
    """What the results of a chunk are for."""

    FRAMES = "frames"
    """They belong to the output."""
    WARM_UP = "warm_up"
    """They only move the model's state, and are thrown away."""
    AFTER = "after"
    """They follow the segment that is asked for, and show how the next one should begin."""


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its frames are read."""

    width_pixels: int
    height_pixels: int
    time_base: Fraction
    """Seconds of one unit of presentation timestamp."""
    average_fps: Fraction
    """From the header; real frames may come at any other times."""
    duration_seconds: float | None
    frame_count_from_header: int | None
    """From the header or from duration and rate: good for progress, not for counting."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width to height of one pixel."""
    first_pts: int = 0
    """Timestamp of the first frame of the output; not 0 where the file's clock starts elsewhere."""
    origin_seconds: Fraction = Fraction(0)
    """The time on the file's clock that timestamp 0 stands for: not 0 after a trimmed start."""
    color_primaries: int = 1
    """Primaries of the RGB that comes out (ITU-T H.273); 1, BT.709, also where none are said."""
    color_trc: int = 1
    """Transfer characteristics of the RGB that comes out, likewise."""
    tone_mapped: bool = False
    """The source is HDR (PQ or HLG), and was mapped to BT.709."""
    layout: PixelLayout = RGB
    """How the pixels of its frames lie, to the model and back; see `layouts`."""

    def __post_init__(self) -> None:
        if self.width_pixels < 1 or self.height_pixels < 1:
            raise ValueError(f"a video of {self.width_pixels}x{self.height_pixels} pixels")


@dataclass(frozen=True)
class SourceChunk:
    """T consecutive frames on their way to the model."""

    src: UInt8Array
    """[T,H,W,3] RGB, full range; or [T,H*3/2,W], as the video's layout says."""
    pts: tuple[int, ...]
    """T presentation timestamps in units of the video's time base."""
    role: Role = Role.FRAMES
    resets_state: bool = False
    """The model's state is emptied before this chunk."""

    def __post_init__(self) -> None:
        if self.src.shape[0] != len(self.pts):
            raise ValueError(f"{self.src.shape[0]} frames with {len(self.pts)} timestamps")


@dataclass(frozen=True)
class MatteChunk:
    """T consecutive frames that came back from the model.

    The arrays may be views of memory that later results take: they are valid until as many more
    chunks have been asked for as the session's queue holds, and one.
    """

    fgr: UInt8Array
    """[T,H,W,3] straight (not premultiplied) foreground colour, RGB, full range; or in planes,
    [T,H*3/2,W], as the video's layout says."""
    pha: UInt8Array
    """[T,H,W] alpha, 0 transparent to 255 opaque."""
    pts: tuple[int, ...]
    """As in the SourceChunk it was made from."""
    starts_scene: bool = False
    """Its first frame is the first of the video, or the first after a cut that was found."""
    src: UInt8Array | None = None
    """The source's frames, as `fgr`, in memory of their own; only where they were asked for."""
    dropped: UInt8Array | None = None
    """[T,H,W] alpha of what was seen and is not kept; only where it was asked for."""


@dataclass(frozen=True)
class Picture:
    """One frame on its way into the files of the output.

    The arrays are those of its chunk, which may be valid no longer than the picture is written;
    what outlasts that is `kept`.
    """

    fgr: UInt8Array
    """[H,W,3] straight foreground colour, RGB, full range; or [H*3/2,W]."""
    pha: UInt8Array
    """[H,W] alpha."""
    pts: int
    """Presentation timestamp in units of the video's time base."""
    seconds: float
    """Presentation time since the first frame."""
    dropped: UInt8Array | None = None
    """[H,W] alpha of what is not kept, where it is to be shown."""

    def kept(self) -> "Picture":
        """A copy with arrays of its own."""
        dropped = None if self.dropped is None else self.dropped.copy()
        return replace(self, fgr=self.fgr.copy(), pha=self.pha.copy(), dropped=dropped)
