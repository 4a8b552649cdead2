"""What the user wishes, and what the machine allows.

The command's flags and a job's fields both become `MatteOptions`; the settings become `Limits`.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rvm_client.config import Settings
from rvm_client.errors import UsageError
from rvm_client.machine import Hardware
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pixels import Colour
from rvm_client.refinements import Refinements
from rvm_client.wire import Variant

ModelName = Literal["mobilenetv3", "resnet50"]

# Longest side that the network sees when the ratio follows from the size of the picture.
# RVM's authors recommend min(512 / longest side, 1), and about half as much again for people
# shown whole.
AUTO_LONGEST_SIDE_PIXELS = 512
QUALITY_LONGEST_SIDE_PIXELS = 768

BITRATE_BOUNDS = (100_000, 100_000_000)
SIZE_BOUNDS_PIXELS = (16, 8192)


@dataclass(frozen=True)
class Limits:
    """What the machine allows: the largest source, beyond which is an InputError, and its GPU."""

    max_duration_seconds: float = 3600.0
    max_frame_pixels: int = 4096 * 2304
    max_frames: int = 216_000
    hardware: Hardware = field(default_factory=Hardware)
    """Where a GPU may be that decodes and encodes; by default it is not looked for."""
    jobs_at_once: int = 1
    """Videos that are worked on at the same time: each gets its part of cores and memory. The part
    is the same when the others are idle, so that a video's result does not depend on them."""

    @classmethod
    def configured(cls, settings: Settings, *, jobs_at_once: int = 1) -> "Limits":
        """As the environment says."""
        return cls(
            settings.max_duration_seconds,
            settings.max_frame_pixels,
            settings.max_frames,
            Hardware.configured(settings),
            jobs_at_once,
        )

    def in_software(self) -> "Limits":
        """The same, with all codecs in software."""
        return replace(self, hardware=Hardware())


@dataclass(frozen=True)
class Segment:
    """A part of a result that is made on its own, to be joined with the others.

    It is counted in timestamps of the whole, which must have been opened before.
    """

    origin_pts: int
    """What the whole takes from the file's timestamps."""
    first_pts: int
    """The timestamp of the whole's first frame."""
    start_pts: int
    """Of the segment's first frame."""
    end_pts: int | None
    """Of the first frame of the next segment; None: it is the last."""
    frames_before: int
    """About as many frames of the whole come before it. A chunk begins where one of the whole
    would, since sums in another order may round to another level."""
    lead_frames: int
    """As many of those before it come first, with the role WARM_UP."""
    after_frames: int
    """As many of those behind it come last, with the role AFTER."""


@dataclass(frozen=True)
class Also:
    """One more result of the same frames, in the quality that is usual for its type."""

    output_type: OutputType
    target: Path


@dataclass(frozen=True)
class MatteOptions:
    """How one video is matted.

    Raises:
        UsageError: a value is out of its range.
    """

    output_type: OutputType = OutputType.GREENSCREEN
    downsample_ratio: float | None = None
    """0 < ratio <= 1; None chooses it by the size of the picture."""
    longest_side_pixels: int = AUTO_LONGEST_SIDE_PIXELS
    """What the network sees at most when the ratio is chosen."""
    model: ModelName = "mobilenetv3"
    """The network that mattes."""
    or_default_model: bool = False
    """Where the server has no such model, take the one that all have, and say so."""
    prefer_quality: bool = False
    """Slower encoder settings that look better."""
    background: Colour | Path | None = None
    """Behind the person in greenscreen output: a colour, or an image or video file; None: green."""
    audio: bool = True
    """Keep the sound."""
    warm_start: bool = True
    """Let the model see the first frames, and those after each cut, before they count."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    """The part of the source to matte; None: from its start, to its end."""
    max_width_pixels: int | None = None
    max_height_pixels: int | None = None
    """Scale down to fit; never up."""
    crf: int | None = None
    """Constant quality of the H.264, HEVC or VP9 encoder; None: what fits the output type."""
    bitrate_bits_per_second: int | None = None
    """Average bit rate of the H.264, HEVC or VP9 encoder, in place of constant quality."""
    preview: Path | None = None
    """A PNG or JPEG file for one picture of the person over a checkerboard."""
    poster: Path | None = None
    """A WebP file for one picture of the person with nothing behind."""
    page: Path | None = None
    """An HTML file that shows the videos and the poster of `auto_web`."""
    also: tuple[Also, ...] = ()
    """More results beside the first, each of another type: one inference, several encoders."""
    refinements: Refinements = field(default_factory=Refinements)
    """What is done to the mattes before they are encoded."""
    frames_per_request: int | None = None
    """T; None chooses by the size of the picture."""
    segment: Segment | None = None
    """What of the result is made; None: all."""

    def __post_init__(self) -> None:
        ratio = self.downsample_ratio
        if ratio is not None and not 0 < ratio <= 1:
            raise UsageError(
                f"the downsample ratio is {ratio}; it must be above 0 and at most 1, or auto"
            )
        if self.frames_per_request is not None and self.frames_per_request < 1:
            raise UsageError(f"{self.frames_per_request} frames a request; it must be at least 1")
        takes_background = any(t.facts.takes_background for t in self.output_types)
        if self.background is not None and not takes_background:
            fitting = " or ".join(t.value for t in OutputType if t.facts.takes_background)
            raise UsageError(
                f"background does not go with output_type {self.output_type.value}, which keeps "
                f"the person alone; it goes with {fitting}"
            )
        if self.model not in [variant.value for variant in Variant]:
            known = " or ".join(variant.value for variant in Variant)
            raise UsageError(f"the model is {self.model!r}; it must be {known}")
        if len(set(self.output_types)) != len(self.output_types):
            names = ", ".join(t.value for t in self.output_types)
            raise UsageError(f"the output types are {names}; give each of them once")
        if any(also.output_type is OutputType.AUTO_WEB for also in self.also):
            raise UsageError("auto_web is several results; give it as the first output type")
        self._check_rate()
        self._check_trim()
        _check_bounds("max_width", self.max_width_pixels, SIZE_BOUNDS_PIXELS, "pixels")
        _check_bounds("max_height", self.max_height_pixels, SIZE_BOUNDS_PIXELS, "pixels")

    @property
    def output_types(self) -> tuple[OutputType, ...]:
        """Of all results, the first one's first."""
        return (self.output_type, *(also.output_type for also in self.also))

    def alone(self, also: Also) -> "MatteOptions":
        """The options of one of the further results."""
        background = self.background if also.output_type.facts.takes_background else None
        return replace(
            self,
            output_type=also.output_type,
            background=background,
            crf=None,
            bitrate_bits_per_second=None,
            preview=None,
            poster=None,
            page=None,
            also=(),
        )

    def unfolded(self, target: Path) -> "MatteOptions":
        """The same, with the parts of a set (`auto_web`) as results of their own.

        Args:
            target: where the first result is going to be.
        """
        kind = self.output_type
        if kind is not OutputType.AUTO_WEB:
            return self
        hevc = Also(OutputType.ALPHA_HEVC, kind.beside(target, FileRole.HEVC))
        return replace(
            self,
            output_type=OutputType.ALPHA,
            also=(hevc, *self.also),
            poster=kind.beside(target, FileRole.POSTER),
            page=kind.beside(target, FileRole.PAGE),
        )

    @property
    def variant(self) -> Variant:
        """Of the model."""
        return Variant(self.model)

    def _check_rate(self) -> None:
        if self.crf is None and self.bitrate_bits_per_second is None:
            return
        if self.crf is not None and self.bitrate_bits_per_second is not None:
            raise UsageError("crf and bitrate are two ways to choose the quality; give one")
        bounds = self.output_type.facts.crf_bounds
        if bounds is None:
            given = "crf" if self.crf is not None else "bitrate"
            raise UsageError(
                f"{given} does not go with output_type {self.output_type.value}, which has one "
                "quality; leave it out"
            )
        _check_bounds("crf", self.crf, bounds, f"with output_type {self.output_type.value}")
        _check_bounds("bitrate", self.bitrate_bits_per_second, BITRATE_BOUNDS, "bits per second")

    def _check_trim(self) -> None:
        start, end = self.start_seconds, self.end_seconds
        if start is not None and not 0 <= start < math.inf:
            raise UsageError(f"start_seconds is {start}; it must be at least 0")
        if end is not None and not (start or 0.0) < end < math.inf:
            raise UsageError(
                f"end_seconds is {end}; it must be a number above start_seconds ({start or 0.0:g})"
            )

    def ratio_for(self, width_pixels: int, height_pixels: int) -> float:
        """The given ratio, or min(longest side allowed / longest side of the picture, 1)."""
        if self.downsample_ratio is not None:
            return self.downsample_ratio
        return min(self.longest_side_pixels / max(width_pixels, height_pixels), 1.0)


def is_url(text: str) -> bool:
    """Whether a source or a background is meant as a URL; `download` says if it may be fetched."""
    return "://" in text


def _check_bounds(name: str, value: int | None, bounds: tuple[int, int], unit: str) -> None:
    if value is not None and not bounds[0] <= value <= bounds[1]:
        raise UsageError(f"{name} is {value}; it must be {bounds[0]} to {bounds[1]} {unit}")
