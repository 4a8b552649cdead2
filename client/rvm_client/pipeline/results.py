"""What the pipeline tells of a video: how far it is, and what was written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rvm_client.options import ModelName
from rvm_client.output_types import FileRole, OutputType


@dataclass(frozen=True)
class MatteProgress:
    """How far the work has come."""

    frames_done: int
    frames_expected: int | None
    """From the header; None where the file does not say."""


@dataclass(frozen=True)
class StageSeconds:
    """How long each stage was at work. They overlap, so they add up to more than the whole."""

    decode: float
    matte: float
    encode: float


@dataclass(frozen=True)
class MatteResult:
    """What was written."""

    path: Path
    """The file with the role `output`."""
    files: Mapping[FileRole, Path]
    also: Mapping[OutputType, Mapping[FileRole, Path]]
    """The files of the further results."""
    output_type: OutputType
    width_pixels: int
    height_pixels: int
    frames: int
    warm_up_frames: int
    """Frames that went through the model beside these, for its state only."""
    cuts: int
    """Cuts between scenes that were found; 0 without a warm start."""
    keyed_frames: int
    """Frames with a screen behind the person, by which their mattes were made sharper."""
    average_fps: float
    duration_seconds: float
    bytes: int
    """The bytes of all files."""
    downsample_ratio: float
    transport: str
    """How frames went to the model: "shared memory" or "gRPC"."""
    pixel_layout: str
    """What they were: "RGB" or "I420"."""
    video_decoder: str
    video_encoder: str
    """FFmpeg's names of what was used at the end; `..._nvdec` and `..._nvenc` on a GPU."""
    model: ModelName
    """The network that made it."""
    model_version: str
    """The version of its model."""
    processing_seconds: float
    stage_seconds: StageSeconds
    warnings: tuple[str, ...] = ()
    """What of the source is not in the output as it should be, or was made in another way than
    was wished for, a sentence each."""

    def folded(self, asked: OutputType) -> "MatteResult":
        """The same as the set that was asked for, of which these are the parts; see `unfolded`."""
        if asked is self.output_type:
            return self
        also = dict(self.also)
        hevc = also.pop(OutputType.ALPHA_HEVC)[FileRole.OUTPUT]
        files = {**self.files, FileRole.HEVC: hevc}
        in_order = {role: files[role] for role in FileRole if role in files}
        return replace(self, output_type=asked, files=in_order, also=also)
