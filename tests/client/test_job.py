"""A job's fields: what they mean, and one clear sentence where they cannot be used."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.signed_urls import SIGNED_TEXTS

from rvm_client.errors import UsageError
from rvm_client.job import parse_job
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.refinements import Refinements

URL = "https://example.com/a.mp4"
FOLDER = Path("folder")


def options(**fields: Any) -> MatteOptions:
    return parse_job({"video_url": URL, **fields}).matte_options(FOLDER)


def test_defaults() -> None:
    made = options()
    assert made == MatteOptions(output_type=OutputType.GREENSCREEN, downsample_ratio=0.25)
    assert (made.audio, made.warm_start, made.preview, made.background) == (True, True, None, None)


@pytest.mark.parametrize(
    ("name", "output_type"),
    [
        ("greenscreen", OutputType.GREENSCREEN),
        ("webm", OutputType.ALPHA),
        ("transparent", OutputType.ALPHA),
        ("prores4444", OutputType.ALPHA_PRORES),
        ("alpha_hevc", OutputType.ALPHA_HEVC),
        ("hevc", OutputType.ALPHA_HEVC),
        ("safari", OutputType.ALPHA_HEVC),
        ("auto_web", OutputType.AUTO_WEB),
        ("web", OutputType.AUTO_WEB),
        ("matte", OutputType.MATTE),
        ("foreground_and_matte", OutputType.FOREGROUND_AND_MATTE),
        ("png_sequence", OutputType.PNG_SEQUENCE),
        ("png", OutputType.PNG_SEQUENCE),
    ],
)
def test_output_types(name: str, output_type: OutputType) -> None:
    assert options(output_type=name).output_type is output_type


def test_fields_become_options() -> None:
    made = options(
        audio=False,
        warm_start=False,
        preview=True,
        max_width=640,
        max_height=480,
        crf=30,
        start_seconds=1,
        end_seconds=2.5,
        background="#0a141e",
    )
    assert (made.audio, made.warm_start) == (False, False)
    assert made.preview == FOLDER / "preview.jpg"
    assert options(downsample_ratio=1).downsample_ratio == 1.0
    assert (made.max_width_pixels, made.max_height_pixels, made.crf) == (640, 480, 30)
    assert (made.start_seconds, made.end_seconds) == (1.0, 2.5)
    assert made.background == (10, 20, 30)
    assert options(bitrate=2_000_000).bitrate_bits_per_second == 2_000_000
    assert options().refinements.is_nothing
    assert options(source_type="auto").refinements == Refinements(source_type="auto")


def test_trim_is_the_same_as_its_two_fields() -> None:
    trimmed = options(trim={"start_seconds": 1, "end_seconds": 2.5})
    assert trimmed == options(start_seconds=1, end_seconds=2.5)
    assert options(trim={"end_seconds": 2}).start_seconds is None


def test_a_background_is_fetched_only_where_it_is_a_url() -> None:
    job = parse_job({"video_url": URL, "background": "https://example.com/beach.jpg"})
    assert job.background_url == "https://example.com/beach.jpg"
    assert job.matte_options(FOLDER).background == FOLDER / "background"
    assert parse_job({"video_url": URL, "background": "navy"}).background_url is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"colour": "red"}, "no field 'colour'"),
    "type": ({"output_type": "bmp"}, "output_type is 'bmp'"),
    "ratio": ({"downsample_ratio": 2}, "downsample_ratio is 2"),
    "scheme of the video": ({"video_url": "file:///etc/passwd"}, "video_url is '.../passwd'"),
    "colour": ({"background": "navyish"}, "background is 'navyish'; it must be a colour"),
    "file as background": ({"background": "/etc/passwd"}, "background is '.../passwd'"),
    "scheme": ({"background": "file:///etc/passwd"}, "background is '.../passwd'"),
    "background of alpha": (
        {"background": "navy", "output_type": "webm"},
        "background does not go with output_type alpha",
    ),
    "crf": ({"crf": 5}, "crf is 5; it must be 10 to 40 with output_type greenscreen"),
    "crf of VP9": ({"crf": 60, "output_type": "webm"}, "crf is 60; it must be 10 to 50"),
    "crf of ProRes": ({"crf": 20, "output_type": "prores"}, "crf does not go with output_type"),
    "bitrate of PNG": ({"bitrate": 10**6, "output_type": "png"}, "bitrate does not go with"),
    "bitrate": ({"bitrate": 10}, "bitrate is 10; it must be 100000 to 100000000 bits per second"),
    "source type": (
        {"source_type": "blue"},
        "source_type is 'blue'; it must be person, green_screen or auto",
    ),
    "crf and bitrate": ({"crf": 20, "bitrate": 10**6}, "give one"),
    "crf as text": ({"crf": "20"}, "crf is '20'; it must be a whole number"),
    "width": ({"max_width": 5}, "max_width is 5; it must be 16 to 8192 pixels"),
    "height": ({"max_height": 1.5}, "max_height is 1.5; it must be a whole number"),
    "audio": ({"audio": "no"}, "audio is 'no'; it must be true or false"),
    "warm start": ({"warm_start": 1}, "warm_start is 1; it must be true or false"),
    "preview": ({"preview": "yes"}, "preview is 'yes'; it must be true or false"),
    "negative start": ({"start_seconds": -1}, "start_seconds is -1; it must be a number of"),
    "start as text": ({"trim": {"start_seconds": "1"}}, "trim.start_seconds is '1'"),
    "end before start": ({"start_seconds": 3, "end_seconds": 3}, "above start_seconds (3)"),
    "end in trim": ({"trim": {"start_seconds": 3, "end_seconds": 1}}, "end_seconds is 1"),
    "unknown in trim": ({"trim": {"from": 1}}, "there is no field 'trim.from'"),
    "trim": ({"trim": 5}, "trim is 5; it must be an object with start_seconds"),
    "two trims": ({"trim": {"end_seconds": 3}, "start_seconds": 1}, "mean the same"),
    "one upload URL, two files": (
        {"upload_url": "https://x/put", "output_type": "foreground_and_matte"},
        "upload_url takes one file, but foreground_and_matte makes another one",
    ),
    "one upload URL and a preview": (
        {"upload_url": "https://x/put", "preview": True},
        "upload_url takes one file, but preview makes another one",
    ),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_one_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_job({"video_url": URL, **fields})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_url() -> None:
    with pytest.raises(UsageError, match="video_url is missing"):
        parse_job({})


@pytest.mark.parametrize("text", [*SIGNED_TEXTS, "mailto:hidden@example.com"])
@pytest.mark.parametrize(
    "fields",
    [
        lambda text: {"video_url": {"url": text}},
        lambda text: {"video_url": [text]},
        lambda text: {"video_url": f"ftp:{text}"},
        lambda text: {"background": f"ftp:{text}"},
        lambda text: {"upload_url": text.removeprefix("https:")},
        lambda text: {"output_type": text},
        lambda text: {"crf": text},
        lambda text: {"cloudinary_folder": text},
        lambda text: {"trim": {"start_seconds": text}},
        lambda text: {text: 1},
        lambda text: {"trim": {text: 1}},
        lambda text: {"trim": text},
    ],
)
def test_a_secret_is_not_shown(text: str, fields: Callable[[str], dict[str, Any]]) -> None:
    with pytest.raises(UsageError) as refused:
        parse_job({"video_url": URL, **fields(text)})
    assert "hidden" not in str(refused.value)


S3_CONFIG = {
    "accessId": "the-id",
    "accessSecret": "the-secret",
    "bucketName": "results",
    "endpointUrl": "https://s3.example.com",
}


def test_a_bucket_comes_beside_the_input() -> None:
    job = parse_job({"video_url": URL}, S3_CONFIG)
    bucket = job.s3_config
    assert bucket is not None
    assert bucket.access_id.get_secret_value() == "the-id"
    assert bucket.access_secret.get_secret_value() == "the-secret"
    assert (bucket.bucket_name, bucket.endpoint_url) == ("results", "https://s3.example.com")
    assert "the-" not in repr(job) + repr(bucket) + bucket.model_dump_json()
    assert parse_job({"video_url": URL}, None).s3_config is None
    assert parse_job({"video_url": URL}, {}).s3_config is None
    with pytest.raises(UsageError, match="no field 's3Config'"):
        parse_job({"video_url": URL, "s3Config": S3_CONFIG})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("the-secret", "s3Config must be an object with accessId, accessSecret, bucketName, endp"),
        ({"accessSecret": ""}, "s3Config.accessSecret cannot be used; it must be the secret of"),
        ({"accessId": 12345}, "s3Config.accessId cannot be used; it must be the id of an access"),
        ({"bucketName": "the-secret/.."}, "s3Config.bucketName cannot be used; it must be the"),
        ({"endpointUrl": "the-secret"}, "s3Config.endpointUrl cannot be used; it must be the http"),
        ({"region": "the-secret"}, "there is no field 's3Config.region'; the fields are accessId"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_named_and_not_shown(given: object, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_job({"video_url": URL}, S3_CONFIG | given if isinstance(given, dict) else given)
    assert str(refused.value).startswith(message)
    assert "the-" not in "".join(traceback.format_exception(refused.value)).partition("Error: ")[2]


@pytest.mark.parametrize("name", S3_CONFIG)
def test_a_bucket_needs_all_its_fields(name: str) -> None:
    given = {key: value for key, value in S3_CONFIG.items() if key != name}
    with pytest.raises(UsageError, match=rf"s3Config\.{name} is missing; it must be "):
        parse_job({"video_url": URL}, given)
