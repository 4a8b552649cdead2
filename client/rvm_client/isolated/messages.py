"""What the worker and a decoding process say to each other.

Requests are pickled, because the worker is trusted. Replies are JSON and are checked against the
models below, because whoever wrote the file may by now be who answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from rvm_client.frames import Role, VideoInfo
from rvm_client.options import Limits, MatteOptions
from rvm_client.pixels import I420, RGB, PixelLayout

MAX_REPLY_BYTES = 64 * 1024
# What one packet of sound may have; real ones have some kilobytes.
SOUND_BYTES = 1 << 20

# --- Requests


@dataclass(frozen=True)
class Begin:
    """The first of all: the folder with the files that will be asked for."""

    folder: Path


@dataclass(frozen=True)
class OpenVideo:
    """See VideoReader. With it comes the connection that the rest goes over."""

    path: Path
    options: MatteOptions
    limits: Limits
    keeps_alpha: bool
    takes_planes: bool


@dataclass(frozen=True)
class StartChunks:
    """The frames are wanted, so many in a chunk; None: one by one, with alpha, as stored."""

    frames_per_chunk: int | None


@dataclass(frozen=True)
class FillBlock:
    """Put the next chunk there. The memory comes with the first mention of its number."""

    number: int


@dataclass(frozen=True)
class DropBlock:
    """This memory will not be named again."""

    number: int


@dataclass(frozen=True)
class ReadPicture:
    """See `read_picture`. With it come a connection, and the memory for the picture."""

    path: Path
    width_pixels: int
    height_pixels: int
    stretch: float


@dataclass(frozen=True)
class OpenSound:
    """See FileSound. With it come a connection, and memory for a packet or a piece."""

    path: Path


@dataclass(frozen=True)
class NextSound:
    """The next packet, or decoded piece."""

    end_seconds: float
    """Where the sound ends by now, on the output's clock."""


@dataclass(frozen=True)
class StartSound:
    """Which packets or pieces are wanted."""

    origin_seconds: float | None
    decoded: tuple[str, int] | None
    """Channel layout and rate of decoded pieces; None: packets as they are."""


Request = (
    Begin
    | OpenVideo
    | StartChunks
    | FillBlock
    | DropBlock
    | ReadPicture
    | OpenSound
    | StartSound
    | NextSound
)

# --- Replies

_Pts = Annotated[int, Field(ge=-(1 << 62), le=1 << 62)]
_Term = Annotated[int, Field(ge=1, le=1 << 62)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Side = Annotated[int, Field(ge=1, le=1 << 16)]
_Code = Annotated[int, Field(ge=0, le=255)]
_Name = Annotated[str, Field(pattern=r"^[ -~]{1,400}$")]
_Level = Annotated[float, Field(allow_inf_nan=False)]
_Row = tuple[_Level, _Level, _Level, _Level]


class AnyReply(BaseModel):
    """What all replies have."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    remarks: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(default=(), max_length=32)
    """Sentences for the log, or of what is lost."""


class Ready(AnyReply):
    """The process is there and can be given a job."""

    kind: Literal["ready"] = "ready"
    refuses_calls: bool


class Confined(AnyReply):
    """It sees the job's folder."""

    kind: Literal["confined"] = "confined"
    sees_only_the_folder: bool


class Failed(AnyReply):
    """The end of what was asked for."""

    kind: Literal["failed"] = "failed"
    cause: Literal["input", "memory", "sound", "internal"]
    text: Annotated[str, Field(max_length=2000)]


class Progress(AnyReply):
    """What is known of a video's decoding by now."""

    decoder: _Name
    damaged_packets: Annotated[int, Field(ge=0, le=1 << 62)]


class VideoOpened(Progress):
    """A VideoInfo."""

    kind: Literal["video"] = "video"
    width_pixels: _Side
    height_pixels: _Side
    time_base: tuple[_Term, _Term]
    average_fps: tuple[_Term, _Term]
    duration_seconds: _Seconds | None
    frame_count_from_header: Annotated[int, Field(ge=0, le=1 << 62)] | None
    sample_aspect_ratio: tuple[_Term, _Term]
    first_pts: _Pts
    origin_seconds: tuple[_Pts, _Term]
    color_primaries: _Code
    color_trc: _Code
    tone_mapped: bool
    planes_to_rgb: tuple[_Row, ...] | None = Field(min_length=3, max_length=3)
    """The matrix of I420; None: RGB."""

    def info(self) -> VideoInfo:
        """As the pipeline has it."""
        layout: PixelLayout = RGB if self.planes_to_rgb is None else I420(self.planes_to_rgb)
        return VideoInfo(
            width_pixels=self.width_pixels,
            height_pixels=self.height_pixels,
            time_base=Fraction(*self.time_base),
            average_fps=Fraction(*self.average_fps),
            duration_seconds=self.duration_seconds,
            frame_count_from_header=self.frame_count_from_header,
            sample_aspect_ratio=Fraction(*self.sample_aspect_ratio),
            first_pts=self.first_pts,
            origin_seconds=Fraction(*self.origin_seconds),
            color_primaries=self.color_primaries,
            color_trc=self.color_trc,
            tone_mapped=self.tone_mapped,
            layout=layout,
        )


class ChunkFilled(Progress):
    """Frames are in the block that was to be filled next."""

    kind: Literal["chunk"] = "chunk"
    pts: tuple[_Pts, ...] = Field(min_length=1)
    role: Role


class VideoEnded(Progress):
    """There are no more frames."""

    kind: Literal["video_end"] = "video_end"


class PictureRead(AnyReply):
    """It is in the block; or the file is no image."""

    kind: Literal["picture"] = "picture"
    is_image: bool


class SoundOpened(AnyReply):
    """A track, as its header and its first decoded frame say."""

    kind: Literal["sound"] = "sound"
    codec: _Name
    rate: Annotated[int, Field(ge=1, le=1 << 24)]
    channels: Annotated[int, Field(ge=1, le=64)]
    picture_end_seconds: Annotated[float, Field(allow_inf_nan=False)] | None
    stored_rate: Annotated[int, Field(ge=0, le=1 << 24)]
    stored_layout: _Name
    stored_format: _Name | None
    starts_early: bool
    bits_per_second: Annotated[int, Field(ge=0, le=1 << 40)]
    extradata_hex: Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$", max_length=32 * 1024)]


class NoSound(AnyReply):
    """There is none that can be used."""

    kind: Literal["no_sound"] = "no_sound"


class SoundRead(AnyReply):
    """A packet, or a piece of float samples, is in the block."""

    kind: Literal["sound_part"] = "sound_part"
    size_bytes: Annotated[int, Field(ge=0, le=SOUND_BYTES)]
    pts: _Pts
    duration: Annotated[int, Field(ge=0, le=1 << 40)] = 0


class SoundEnded(AnyReply):
    """There is no more."""

    kind: Literal["sound_end"] = "sound_end"


Reply = Annotated[
    Ready
    | Confined
    | Failed
    | VideoOpened
    | ChunkFilled
    | VideoEnded
    | PictureRead
    | SoundOpened
    | NoSound
    | SoundRead
    | SoundEnded,
    Field(discriminator="kind"),
]

REPLIES: TypeAdapter[Reply] = TypeAdapter(Reply)


def described(info: VideoInfo, decoder: str, damaged_packets: int) -> VideoOpened:
    """The reply that says what `VideoOpened.info` gives back."""
    layout = info.layout
    return VideoOpened(
        decoder=decoder,
        damaged_packets=damaged_packets,
        width_pixels=info.width_pixels,
        height_pixels=info.height_pixels,
        time_base=info.time_base.as_integer_ratio(),
        average_fps=info.average_fps.as_integer_ratio(),
        duration_seconds=info.duration_seconds,
        frame_count_from_header=info.frame_count_from_header,
        sample_aspect_ratio=info.sample_aspect_ratio.as_integer_ratio(),
        first_pts=info.first_pts,
        origin_seconds=info.origin_seconds.as_integer_ratio(),
        color_primaries=info.color_primaries,
        color_trc=info.color_trc,
        tone_mapped=info.tone_mapped,
        planes_to_rgb=layout.to_rgb if isinstance(layout, I420) else None,
    )


def finite(seconds: float | None) -> float | None:
    """The number, if it is one."""
    return seconds if seconds is not None and math.isfinite(seconds) else None
