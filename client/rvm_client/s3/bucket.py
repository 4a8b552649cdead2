"""Which bucket of which S3-compatible service is meant, by RunPod's variables or fields."""

import re
import urllib.parse
from dataclasses import dataclass, field

from rvm_client.errors import ConfigError

# Hosts of services that write the bucket in front of their own name. RunPod's examples give
# BUCKET_ENDPOINT_URL in this form. A host that is not listed is taken as it is: "minio.s3.lan"
# is not the bucket "minio".
_SERVICE_HOST = re.compile(
    r"^(?:(?P<bucket>.+)\.)?(?P<service>"
    r"s3[.-](?:dualstack\.)?(?P<aws>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"|s3\.amazonaws\.com"
    r"|s3\.(?P<other>[a-z0-9-]+)\.(?:backblazeb2|wasabisys|scw)\.(?:com|cloud)"
    r"|(?P<spaces>[a-z]{3}\d)\.digitaloceanspaces\.com"
    r"|s3api-(?P<runpod>[a-z0-9-]+)\.runpod\.io"
    r"|[0-9a-f]{32}(?:\.eu|\.fedramp)?\.r2\.cloudflarestorage\.com"
    r")$"
)

# Services without regions of their own accept this one.
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class BucketNames:
    """What those who can mend it call each part of a bucket."""

    endpoint_url: str
    bucket: str
    access_key_id: str
    secret_access_key: str


OF_THE_ENVIRONMENT = BucketNames(
    "BUCKET_ENDPOINT_URL", "BUCKET_NAME", "BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY"
)
OF_A_JOB = BucketNames(
    "s3Config.endpointUrl", "s3Config.bucketName", "s3Config.accessId", "s3Config.accessSecret"
)


@dataclass(frozen=True)
class S3Bucket:
    """One bucket and the right to write to it."""

    endpoint_url: str
    name: str
    region: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    names: BucketNames = OF_THE_ENVIRONMENT

    @classmethod
    def from_settings(
        cls,
        endpoint_url: str,
        access_key_id: str,
        secret_access_key: str,
        name: str | None = None,
        region: str | None = None,
        names: BucketNames = OF_THE_ENVIRONMENT,
    ) -> "S3Bucket":
        """Fill in what RunPod's convention leaves out.

        The bucket may stand in `name`, before the service's host
        (`https://my-bucket.s3.eu-west-1.amazonaws.com`) or as the path
        (`https://host/my-bucket`); the region follows from the host of the known services.

        Raises:
            ConfigError: if the URL is none, or names no bucket or another one than `name`.
        """
        endpoint, url_bucket, url_region = _split_endpoint(endpoint_url, names.endpoint_url)
        if name and url_bucket and name != url_bucket:
            raise ConfigError(
                f"{names.endpoint_url} names the bucket {url_bucket!r} and {names.bucket} "
                f"{name!r}: give one of them"
            )
        bucket = name or url_bucket
        if not bucket:
            raise ConfigError(
                f"{names.endpoint_url} ({endpoint}) names no bucket: set {names.bucket} too"
            )
        return cls(
            endpoint_url=endpoint,
            name=bucket,
            region=region or url_region or _DEFAULT_REGION,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            names=names,
        )

    @classmethod
    def beside(
        cls,
        name: str,
        endpoint_url: str,
        access_key_id: str,
        secret_access_key: str,
        *,
        region: str | None = None,
    ) -> "S3Bucket":
        """The bucket `name` of the service of a URL, whatever bucket stands in that.

        Raises:
            ConfigError: if the URL is none.
        """
        endpoint, _, url_region = _split_endpoint(endpoint_url, OF_THE_ENVIRONMENT.endpoint_url)
        region = region or url_region or _DEFAULT_REGION
        return cls(endpoint, name, region, access_key_id, secret_access_key)


def _split_endpoint(endpoint_url: str, url_name: str) -> tuple[str, str | None, str | None]:
    """The service's own URL, the bucket and the region, where the URL tells them."""
    try:
        parts = urllib.parse.urlsplit(endpoint_url)
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.SplitResult("", "", "", "", ""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        # The value is not shown: it may hold credentials.
        raise ConfigError(
            f"{url_name} must be an http or https URL without credentials, such as "
            "https://my-bucket.s3.eu-west-1.amazonaws.com"
        )
    path_bucket = parts.path.strip("/") or None
    if path_bucket and "/" in path_bucket:
        raise ConfigError(
            f"{url_name} has the path {parts.path!r}: at most the bucket's name is allowed"
        )
    match = _SERVICE_HOST.match(parts.hostname)
    if match is None:
        return f"{parts.scheme}://{parts.netloc}", path_bucket, None
    region = next(filter(None, match.group("aws", "other", "spaces", "runpod")), None)
    service = match["service"] + (f":{port}" if port else "")
    return f"{parts.scheme}://{service}", match["bucket"] or path_bucket, region
