"""Every exception of the HTTP stack and of the disk, and what it becomes.

    requests, urllib3, http.client, ssl, socket, OSError
        -> DownloadError   the download has failed
        -> TransientError  it may succeed when tried again
        -> UsageError      the URL itself cannot be fetched

requests and urllib3 put the whole URL into their messages, and a query is often a signature.
Their words are therefore never repeated, and an error is chained to the exception at the
root, below those that carry the URL, so that a printed stack trace shows no secret either.
"""

import errno
import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests.exceptions as requests_errors
import urllib3.exceptions as urllib3_errors

from rvm_client.errors import DownloadError, UsageError
from rvm_client.net import TransientError


@dataclass(frozen=True)
class Rule:
    """What one kind of exception becomes; `{place}` is the URL's host and path."""

    kinds: tuple[type[BaseException], ...]
    sentence: str
    error: type[DownloadError] | type[TransientError] | type[UsageError]


FOREIGN: Final = (
    requests_errors.RequestException,
    urllib3_errors.HTTPError,
    urllib3_errors.ProxySchemeUnsupported,
    http.client.HTTPException,
    OSError,
    UnicodeError,
)

FALLBACK: Final = Rule(FOREIGN, "{place} could not be fetched", DownloadError)

# The first rule that fits is used, so the narrow ones come before their base classes.
RULES: Final = (
    Rule(
        (ssl.SSLCertVerificationError,),
        "the certificate of {place} is not valid for that name or not signed by a known authority",
        DownloadError,
    ),
    Rule(
        (
            UnicodeError,
            http.client.InvalidURL,
            requests_errors.InvalidURL,
            requests_errors.InvalidSchema,
            requests_errors.MissingSchema,
            requests_errors.URLRequired,
            urllib3_errors.LocationValueError,
        ),
        "{place} is not an address that can be fetched; check the URL",
        UsageError,
    ),
    Rule(
        (urllib3_errors.NameResolutionError, socket.gaierror, socket.herror),
        "the name of the host in {place} could not be resolved; check the URL",
        DownloadError,
    ),
    Rule(
        (
            urllib3_errors.DecodeError,
            requests_errors.ContentDecodingError,
        ),
        "the body of {place} does not match its Content-Encoding",
        DownloadError,
    ),
    Rule(
        (
            ConnectionRefusedError,
            urllib3_errors.NewConnectionError,
        ),
        "the host of {place} does not accept connections",
        TransientError,
    ),
    Rule(
        (urllib3_errors.ReadTimeoutError, requests_errors.ReadTimeout),
        "{place} stopped sending",
        TransientError,
    ),
    Rule(
        (
            TimeoutError,
            urllib3_errors.TimeoutError,
            requests_errors.Timeout,
        ),
        "the host of {place} did not answer in time",
        TransientError,
    ),
    Rule(
        (ssl.SSLError, urllib3_errors.SSLError, requests_errors.SSLError),
        "no secure connection to {place} could be made",
        TransientError,
    ),
    Rule(
        (
            urllib3_errors.InvalidHeader,
            urllib3_errors.HeaderParsingError,
            urllib3_errors.ResponseNotChunked,
            urllib3_errors.BodyNotHttplibCompatible,
            requests_errors.InvalidHeader,
            http.client.UnknownProtocol,
            http.client.UnknownTransferEncoding,
            http.client.UnimplementedFileMode,
            http.client.LineTooLong,
        ),
        "the answer of {place} is not valid HTTP",
        DownloadError,
    ),
    Rule(
        (
            urllib3_errors.TimeoutStateError,
            urllib3_errors.UnrewindableBodyError,
            urllib3_errors.ResponseError,
            urllib3_errors.ProxyError,
            urllib3_errors.ProxySchemeUnsupported,
            requests_errors.ProxyError,
            requests_errors.RetryError,
            requests_errors.TooManyRedirects,
            requests_errors.UnrewindableBodyError,
            requests_errors.StreamConsumedError,
            requests_errors.HTTPError,
            requests_errors.InvalidJSONError,
            http.client.ImproperConnectionState,
        ),
        "{place} could not be fetched",
        DownloadError,
    ),
    Rule(
        (
            ConnectionError,
            http.client.HTTPException,
            requests_errors.ConnectionError,
            requests_errors.ChunkedEncodingError,
            urllib3_errors.ProtocolError,
            urllib3_errors.PoolError,
        ),
        "the connection to {place} broke",
        TransientError,
    ),
)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Errors of a route that come and go; all other plain errors of the system are final.
_TRANSIENT_ERRNO = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def rule_for(error: BaseException) -> Rule:
    """The rule that fits `error`; `FALLBACK` if none does."""
    return next((rule for rule in RULES if isinstance(error, rule.kinds)), FALLBACK)


def network_error(error: BaseException, place: str) -> DownloadError | TransientError | UsageError:
    """What a foreign exception becomes that came while `place` was being fetched."""
    root = root_of(error)
    rule = rule_for(root)
    kind = TransientError if _is_passing(root) else rule.error
    return kind(rule.sentence.format(place=place))


def storage_error(error: OSError, path: Path) -> DownloadError:
    """What an error of the disk becomes that came while `path` was being written."""
    if error.errno in _NO_ROOM:
        return DownloadError(f"no room left for the download in {path.parent}; free some space")
    reason = error.strerror or type(error).__name__
    return DownloadError(f"the download cannot be written to {path.parent}: {reason}")


def root_of(error: BaseException) -> BaseException:
    """The exception that requests and urllib3 have wrapped, often several times."""
    if isinstance(error, urllib3_errors.DecodeError):
        return error  # it wraps what each decoder raises, of which there is no end
    for inner in (getattr(error, "reason", None), *reversed(error.args)):
        if isinstance(inner, BaseException):
            return root_of(inner)
    return error


def _is_passing(root: BaseException) -> bool:
    if isinstance(root, socket.gaierror):
        return root.errno == socket.EAI_AGAIN
    return isinstance(root, OSError) and root.errno in _TRANSIENT_ERRNO
