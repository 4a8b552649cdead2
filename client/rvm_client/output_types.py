"""The types of output, and what is true of each: a row of one table."""

from dataclasses import dataclass
from enum import Enum


class FileRole(str, Enum):
    """What a file of the result shows."""

    OUTPUT = "output"
    MATTE = "matte"
    """The alpha matte, beside an output without alpha."""
    PREVIEW = "preview"
    """One picture."""


class OutputType(str, Enum):
    """What the encode stage writes."""

    GREENSCREEN = "greenscreen"
    """H.264 MP4 over a colour."""
    ALPHA = "alpha"
    """VP9 WebM with straight alpha."""
    ALPHA_PRORES = "alpha_prores"
    """ProRes 4444 MOV with straight alpha."""
    MATTE = "matte"
    """The alpha matte alone, as grey H.264 MP4."""
    FOREGROUND_AND_MATTE = "foreground_and_matte"
    """Two H.264 MP4 files: the straight foreground colour, and the matte."""
    PNG_SEQUENCE = "png_sequence"
    """A zip file of RGBA PNG pictures with straight alpha."""

    @property
    def facts(self) -> "OutputFacts":
        """Its row of the table."""
        return _FACTS[self]

    @property
    def suffix(self) -> str:
        """The file name suffix of the container."""
        return self.facts.suffix


@dataclass(frozen=True)
class OutputFacts:
    """What is true of one type of output. How it is encoded, `encode` knows."""

    suffix: str
    content_type: str
    """The media type of its files."""
    is_video: bool = True
    keeps_alpha: bool = False
    has_sound: bool = True
    takes_background: bool = False
    """Something stands behind the person."""
    takes_planes: bool = False
    """Its frames can be made of I420: it keeps 8-bit 4:2:0."""
    crf_bounds: tuple[int, int] | None = None
    """Constant quality that makes sense; None: its encoder has one quality."""
    roles: tuple[FileRole, ...] = (FileRole.OUTPUT,)
    """What its files show, without a preview."""
    can_be_joined: bool = False
    """Segments that were encoded on their own become one file."""
    aliases: tuple[str, ...] = ()
    """Other names that a job may give it."""
    format_name: str | None = None
    """What a job's output calls the format of a video with alpha."""
    smaller_type: OutputType | None = None
    """What a file that is too large for its store is encoded again as."""


# The codecs take 0 to 51 and 0 to 63. Below these bounds files grow huge and look no better,
# above them the edge of the person falls apart.
_H264_CRF_BOUNDS = (10, 40)
_VP9_CRF_BOUNDS = (10, 50)

_FACTS = {
    OutputType.GREENSCREEN: OutputFacts(
        ".mp4",
        "video/mp4",
        takes_background=True,
        takes_planes=True,
        crf_bounds=_H264_CRF_BOUNDS,
        can_be_joined=True,
    ),
    OutputType.ALPHA: OutputFacts(
        ".webm",
        "video/webm",
        keeps_alpha=True,
        takes_planes=True,
        crf_bounds=_VP9_CRF_BOUNDS,
        aliases=("webm", "transparent"),
        format_name="webm",
        can_be_joined=True,
    ),
    OutputType.ALPHA_PRORES: OutputFacts(
        ".mov",
        "video/quicktime",
        keeps_alpha=True,
        aliases=("prores", "prores4444"),
        format_name="prores",
        smaller_type=OutputType.ALPHA,
        can_be_joined=True,
    ),
    OutputType.MATTE: OutputFacts(
        ".mp4",
        "video/mp4",
        has_sound=False,
        takes_planes=True,
        crf_bounds=_H264_CRF_BOUNDS,
        can_be_joined=True,
    ),
    OutputType.FOREGROUND_AND_MATTE: OutputFacts(
        ".mp4",
        "video/mp4",
        takes_planes=True,
        crf_bounds=_H264_CRF_BOUNDS,
        roles=(FileRole.OUTPUT, FileRole.MATTE),
        can_be_joined=True,
    ),
    OutputType.PNG_SEQUENCE: OutputFacts(
        ".zip",
        "application/zip",
        is_video=False,
        keeps_alpha=True,
        has_sound=False,
        aliases=("png",),
    ),
}
