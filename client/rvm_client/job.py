"""A job's input, from JSON to a frozen `Job`."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from rvm_client.errors import UsageError
from rvm_client.net import redacted_url
from rvm_client.options import (
    AUTO_LONGEST_SIDE_PIXELS,
    QUALITY_LONGEST_SIDE_PIXELS,
    MatteOptions,
    is_url,
)
from rvm_client.output_types import OutputType
from rvm_client.pixels import COLOUR_FORMS, Colour, parse_colour
from rvm_client.refinement_fields import (
    ALLOWED,
    NESTED,
    EdgesField,
    EdgesFields,
    ExcludeField,
    SubjectField,
    SubjectFields,
)
from rvm_client.refinements import Refinements, SourceType

DEFAULT_DOWNSAMPLE_RATIO = 0.25
FAST_DOWNSAMPLE_RATIO = 0.125

# Files in the folder of a job.
BACKGROUND_NAME = "background"
PREVIEW_NAME = "preview.jpg"

_ALIASES = {alias: kind.value for kind in OutputType for alias in kind.facts.aliases}


def _type_names() -> str:
    """The output types with their other names, as a message lists them."""
    names = [
        f"{kind.value} ({', '.join(kind.facts.aliases)})" if kind.facts.aliases else kind.value
        for kind in OutputType
    ]
    return f"{', '.join(names[:-1])} or {names[-1]}"


# What each field allows, as the error message says it.
_ALLOWED = {
    "video_url": "an http or https URL",
    "output_type": _type_names(),
    "downsample_ratio": 'a number above 0 and at most 1, or "auto"',
    "speed": "fast, quality or best",
    "preset": "fast, quality or best",
    "cloudinary_folder": "names joined by /, of letters, digits, - _ . and spaces, without ..",
    "upload_url": "an http or https URL that takes a PUT",
    "background": f"{COLOUR_FORMS}, or the http or https URL of an image or a video",
    "audio": "true or false",
    "warm_start": "true or false",
    "preview": "true or false",
    "trim": "an object with start_seconds, end_seconds or both",
    "start_seconds": "a number of seconds, at least 0",
    "end_seconds": "a number of seconds, above start_seconds",
    "max_width": "a whole number of pixels",
    "max_height": "a whole number of pixels",
    "crf": "a whole number",
    "bitrate": "a whole number of bits per second",
    "source_type": "person, green_screen or auto",
    **ALLOWED,
}
_S3_ALLOWED = {
    "accessId": "the id of an access key",
    "accessSecret": "the secret of the access key",
    "bucketName": "the name of a bucket",
    "endpointUrl": "the http or https URL of an S3-compatible service",
}

_HTTP_URL = r"^(?i:https?)://\S+$"
# Names joined by slashes, none of them made of dots alone.
_NAME = r"[. ]*[\w\-][\w\-. ]*"
_FOLDER = rf"^{_NAME}(/{_NAME})*$"

_BUCKET = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,254}$"

# What has no mark of a URL.
_PLAIN = re.compile(r"[^/\\?#;&=@:%]*|#\w*")

Speed = Literal["fast", "quality", "best"]


def _without_alias(value: object) -> object:
    return _ALIASES.get(value, value) if isinstance(value, str) else value


def _real_number(value: object) -> object:
    # JSON's true is no ratio, nor is "0.5": a client that sends them has a mistake to mend.
    if isinstance(value, bool | str) and value != "auto":
        raise PydanticCustomError("ratio", "not a number")
    return value


def _colour_or_url(value: str) -> str:
    if parse_colour(value) is None and not re.match(_HTTP_URL, value):
        raise PydanticCustomError("background", "neither a colour nor a URL")
    return value


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_real_number)]


class Trim(BaseModel):
    """The part of the source to matte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_seconds: Seconds | None = None
    end_seconds: Seconds | None = None


class S3Config(BaseModel):
    """RunPod's `s3Config`: the bucket that a job brings along."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_id: Annotated[SecretStr, Field(alias="accessId", min_length=1, max_length=255)]
    access_secret: Annotated[SecretStr, Field(alias="accessSecret", min_length=1, max_length=255)]
    bucket_name: Annotated[str, Field(alias="bucketName", pattern=_BUCKET)]
    endpoint_url: Annotated[
        str, Field(alias="endpointUrl", pattern=_HTTP_URL, max_length=8192, repr=False)
    ]


class Job(BaseModel):
    """What one job asks for; `parse_job` makes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    video_url: Annotated[str, Field(pattern=_HTTP_URL, max_length=8192)]
    output_type: Annotated[OutputType, BeforeValidator(_without_alias)] = OutputType.GREENSCREEN
    downsample_ratio: Annotated[
        Literal["auto"] | Annotated[float, Field(gt=0, le=1)] | None,
        BeforeValidator(_real_number),
    ] = None
    speed: Speed | None = None
    preset: Speed | None = None
    cloudinary_folder: Annotated[str, Field(pattern=_FOLDER, max_length=255)] = "rvm-output"
    upload_url: Annotated[str, Field(pattern=_HTTP_URL, max_length=8192)] | None = None
    background: Annotated[str, Field(max_length=8192), AfterValidator(_colour_or_url)] | None = None
    audio: StrictBool = True
    warm_start: StrictBool = True
    preview: StrictBool = False
    trim: Trim | None = None
    start_seconds: Seconds | None = None
    end_seconds: Seconds | None = None
    max_width: StrictInt | None = None
    max_height: StrictInt | None = None
    crf: StrictInt | None = None
    bitrate: StrictInt | None = None
    source_type: SourceType = "person"
    subject: SubjectField | None = None
    exclude: ExcludeField = ()
    edges: EdgesField | None = None

    # No field: RunPod passes it on beside the input, and in the input it is refused.
    _s3_config: S3Config | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_speed(self) -> "Job":
        if self.speed and self.preset and self.speed != self.preset:
            raise PydanticCustomError(
                "two_speeds",
                "speed is {speed} and preset is {preset}, but they mean the same; give one",
                {"speed": repr(self.speed), "preset": repr(self.preset)},
            )
        return self

    @model_validator(mode="after")
    def _one_trim(self) -> "Job":
        if self.trim and (self.start_seconds is not None or self.end_seconds is not None):
            raise PydanticCustomError(
                "two_trims",
                "trim and start_seconds or end_seconds mean the same; give one of them",
            )
        return self

    @model_validator(mode="after")
    def _one_file_for_one_url(self) -> "Job":
        if self.upload_url is None:
            return self
        several = len(self.output_type.facts.roles) > 1
        if several or self.preview:
            raise PydanticCustomError(
                "one_url",
                "upload_url takes one file, but {what} makes another one; leave one of them out",
                {"what": self.output_type.value if several else "preview"},
            )
        return self

    @property
    def s3_config(self) -> S3Config | None:
        """The job's own bucket for its results; `upload_url` comes first."""
        return self._s3_config

    @property
    def background_url(self) -> str | None:
        """Where to fetch the background; None: it is a colour, or not given."""
        given = self.background
        return given if given is not None and is_url(given) else None

    @property
    def prefers_quality(self) -> bool:
        """Slower, better settings for the encoder."""
        return (self.speed or self.preset) in ("quality", "best")

    @property
    def is_best(self) -> bool:
        """The better network, too, where the server has it."""
        return (self.speed or self.preset) == "best"

    def matte_options(self, folder: Path) -> MatteOptions:
        """The options, with the files of the job in `folder`.

        An explicit ratio wins over the speed, and the speed over the default ratio.

        Raises:
            UsageError: fields that do not go together, or a number out of its bounds.
        """
        ratio: float | None = DEFAULT_DOWNSAMPLE_RATIO
        longest_side_pixels = AUTO_LONGEST_SIDE_PIXELS
        if self.downsample_ratio is not None:
            ratio = None if self.downsample_ratio == "auto" else self.downsample_ratio
        elif self.prefers_quality:
            ratio, longest_side_pixels = None, QUALITY_LONGEST_SIDE_PIXELS
        elif self.speed or self.preset:
            ratio = FAST_DOWNSAMPLE_RATIO
        return MatteOptions(
            output_type=self.output_type,
            downsample_ratio=ratio,
            longest_side_pixels=longest_side_pixels,
            model="resnet50" if self.is_best else "mobilenetv3",
            or_default_model=self.is_best,
            prefer_quality=self.prefers_quality,
            background=self._background(folder),
            audio=self.audio,
            warm_start=self.warm_start,
            start_seconds=self.trim.start_seconds if self.trim else self.start_seconds,
            end_seconds=self.trim.end_seconds if self.trim else self.end_seconds,
            max_width_pixels=self.max_width,
            max_height_pixels=self.max_height,
            crf=self.crf,
            bitrate_bits_per_second=self.bitrate,
            preview=folder / PREVIEW_NAME if self.preview else None,
            refinements=self._refinements(),
        )

    def _refinements(self) -> Refinements:
        return Refinements(
            source_type=self.source_type,
            subject=(self.subject or SubjectFields()).subject(self.exclude),
            edges=(self.edges or EdgesFields()).edges,
        )

    def _background(self, folder: Path) -> Colour | Path | None:
        if self.background_url is not None:
            return folder / BACKGROUND_NAME
        return None if self.background is None else parse_colour(self.background)


_NESTED: dict[str, type[BaseModel]] = {"trim": Trim, **NESTED}


def parse_job(job_input: object, s3_config: object = None) -> Job:
    """Validate a job's `input`, and the `s3Config` beside it.

    Raises:
        UsageError: one sentence: the field, what it got and what is allowed.
    """
    if not isinstance(job_input, dict):
        raise UsageError(
            f"the job's input is {_shown(job_input)}; it must be an object with a video_url"
        )
    try:
        job = Job.model_validate(job_input)
    except ValidationError as exc:
        raise UsageError(_sentence(exc.errors()[0])) from exc
    # What the fields say together is checked before anything is fetched.
    job.matte_options(Path())
    job._s3_config = _parse_s3_config(s3_config)
    return job


def _parse_s3_config(given: object) -> S3Config | None:
    """None where there is nothing in it. Errors show no value: it may be a misplaced secret."""
    if given is None or given == {}:
        return None
    if not isinstance(given, dict):
        raise UsageError(f"s3Config must be an object with {', '.join(_S3_ALLOWED)}")
    try:
        return S3Config.model_validate(given)
    except ValidationError as exc:
        error = exc.errors(include_input=False)[0]
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        raise UsageError(
            f"there is no field {_shown(f's3Config.{name}')}; the fields are "
            f"{', '.join(_S3_ALLOWED)}"
        )
    problem = "is missing" if error["type"] == "missing" else "cannot be used"
    raise UsageError(f"s3Config.{name} {problem}; it must be {_S3_ALLOWED[name]}")


def _sentence(error: ErrorDetails) -> str:
    if not error["loc"]:  # several fields together
        return error["msg"]
    path = field = str(error["loc"][0])
    model: type[BaseModel] = Job
    for part in error["loc"][1:]:
        if isinstance(part, str):
            if field not in _NESTED:  # which of several types it was tried as
                break
            model, field = _NESTED[field], part
        path = f"{path}.{part}"
    if error["type"] == "extra_forbidden":
        return f"there is no field {_shown(path)}; the fields are {', '.join(model.model_fields)}"
    if error["type"] == "missing":
        return f"{path} is missing; it must be {_ALLOWED[field]}"
    return f"{path} is {_shown(error['input'])}; it must be {_ALLOWED[field]}"


def _shown(value: Any) -> str:
    """The value in a message, cut short, without what may be a secret.

    A text with any of the marks of a URL, as it may be written, is shown as one.
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        value = redacted_url(value)
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
