"""The types of output, and what is true of each: a row of one table."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class FileRole(str, Enum):
    """What a file of the result shows."""

    OUTPUT = "output"
    MATTE = "matte"
    """The alpha matte, beside an output without alpha."""
    PREVIEW = "preview"
    """One picture."""
    HEVC = "hevc"
    """The same for Safari, beside an output for other browsers."""
    POSTER = "poster"
    """What a player shows before the video begins."""
    PAGE = "page"
    """HTML that shows the files beside it."""


@dataclass(frozen=True)
class FilePart:
    """What a file of a result is."""

    suffix: str
    content_type: str


# What is of another kind than the output.
_PARTS = {
    FileRole.PREVIEW: FilePart(".jpg", "image/jpeg"),
    FileRole.HEVC: FilePart(".mov", "video/quicktime"),
    FileRole.POSTER: FilePart(".webp", "image/webp"),
    FileRole.PAGE: FilePart(".html", "text/html"),
}
# Those that would be taken for the output otherwise, or for a file of another one.
_ENDINGS = {FileRole.MATTE: ".matte", FileRole.PREVIEW: ".preview"}


class OutputType(str, Enum):
    """What the encode stage writes."""

    GREENSCREEN = "greenscreen"
    """H.264 MP4 over a colour."""
    ALPHA = "alpha"
    """VP9 WebM with straight alpha."""
    ALPHA_PRORES = "alpha_prores"
    """ProRes 4444 MOV with straight alpha."""
    ALPHA_HEVC = "alpha_hevc"
    """HEVC MOV with straight alpha as a second layer."""
    MATTE = "matte"
    """The alpha matte alone, as grey H.264 MP4."""
    FOREGROUND_AND_MATTE = "foreground_and_matte"
    """Two H.264 MP4 files: the straight foreground colour, and the matte."""
    ALPHA_STACKED = "alpha_stacked"
    """H.264 MP4 of twice the height: the straight colour above, the alpha as grey below."""
    PNG_SEQUENCE = "png_sequence"
    """A zip file of RGBA PNG pictures with straight alpha."""
    AUTO_WEB = "auto_web"
    """What a web page needs: `ALPHA` and `ALPHA_HEVC`, a poster, and the HTML."""

    ANIMATED_WEBP = "animated_webp"
    """An animated WebP picture with straight alpha."""
    ANIMATED_AVIF = "animated_avif"
    """An animated AVIF picture with straight alpha."""
    GIF = "gif"
    """An animated GIF picture, each pixel of which is there or not."""

    @property
    def facts(self) -> "OutputFacts":
        """Its row of the table."""
        return _FACTS[self]

    @property
    def suffix(self) -> str:
        """The file name suffix of the container."""
        return self.facts.suffix

    def beside(self, output: Path, role: FileRole) -> Path:
        """Where the file with another role lies: beside the output, with its name."""
        return output.parent / f"{output.stem}{self.ending(role)}"

    def ending(self, role: FileRole) -> str:
        """What follows the name that a result's files share."""
        return _ENDINGS.get(role, "") + self._part(role).suffix

    def content_type(self, role: FileRole) -> str:
        """The media type of the file with the role."""
        return self._part(role).content_type

    def _part(self, role: FileRole) -> FilePart:
        return _PARTS.get(role) or FilePart(self.facts.suffix, self.facts.content_type)


@dataclass(frozen=True)
class AnimationLimits:
    """What an animated picture may have, so that chats and mail take it."""

    longest_side_pixels: int
    """Larger ones are scaled down."""
    frames_per_second: int
    """Of more frames, every second, third, ... is kept, as few as needed."""
    seconds: int
    """Longer ones are refused."""


@dataclass(frozen=True)
class OutputFacts:
    """What is true of one type of output. How it is encoded, `encode` knows."""

    suffix: str
    content_type: str
    """The media type of its files."""
    is_video: bool = True
    keeps_alpha: bool = False
    has_sound: bool = True
    is_stacked: bool = False
    """The lower half of each picture is the alpha, as grey."""
    takes_background: bool = False
    """Something stands behind the person."""
    takes_planes: bool = False
    """Its frames can be made of I420: it keeps 8-bit 4:2:0."""
    crf_bounds: tuple[int, int] | None = None
    """Constant quality that makes sense; None: its encoder has one quality."""
    animation: AnimationLimits | None = None
    """Its file is one animated picture within these limits."""
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
_HEVC_CRF_BOUNDS = (10, 40)

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
    OutputType.ALPHA_HEVC: OutputFacts(
        ".mov",
        "video/quicktime",
        keeps_alpha=True,
        takes_planes=True,
        crf_bounds=_HEVC_CRF_BOUNDS,
        aliases=("hevc", "safari"),
        format_name="hevc",
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
    OutputType.ALPHA_STACKED: OutputFacts(
        ".mp4",
        "video/mp4",
        keeps_alpha=True,
        is_stacked=True,
        takes_planes=True,
        crf_bounds=_H264_CRF_BOUNDS,
        can_be_joined=True,
        aliases=("stacked",),
        format_name="stacked",
    ),
    OutputType.PNG_SEQUENCE: OutputFacts(
        ".zip",
        "application/zip",
        is_video=False,
        keeps_alpha=True,
        has_sound=False,
        aliases=("png",),
    ),
    OutputType.ANIMATED_WEBP: OutputFacts(
        ".webp",
        "image/webp",
        is_video=False,
        keeps_alpha=True,
        has_sound=False,
        animation=AnimationLimits(longest_side_pixels=512, frames_per_second=20, seconds=10),
        aliases=("webp",),
    ),
    OutputType.ANIMATED_AVIF: OutputFacts(
        ".avif",
        "image/avif",
        is_video=False,
        keeps_alpha=True,
        has_sound=False,
        animation=AnimationLimits(longest_side_pixels=512, frames_per_second=20, seconds=10),
        aliases=("avif",),
    ),
    OutputType.GIF: OutputFacts(
        ".gif",
        "image/gif",
        is_video=False,
        keeps_alpha=True,
        has_sound=False,
        animation=AnimationLimits(longest_side_pixels=480, frames_per_second=15, seconds=10),
    ),
    OutputType.AUTO_WEB: OutputFacts(
        ".webm",
        "video/webm",
        keeps_alpha=True,
        roles=(FileRole.OUTPUT, FileRole.HEVC, FileRole.POSTER, FileRole.PAGE),
        aliases=("web",),
        format_name="web",
    ),
}
