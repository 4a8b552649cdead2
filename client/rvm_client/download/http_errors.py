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
    """What one kind of exception becomes; `{where}` is the URL's host and path."""

    kinds: tuple[type[BaseException], ...]
    sentence: str
    error: type[DownloadError] | type[TransientError] | type[UsageError]


# The first rule that fits is used, so the narrow ones come before their base classes.
RULES: Final = (
    Rule(
        (ssl.SSLCertVerificationError,),
        "the certificate of {where} is not valid for that name or not signed by a known authority",
        DownloadError,
    ),
    Rule(
        (ssl.SSLError, urllib3_errors.SSLError),
        "no secure connection to {where} could be made",
        TransientError,
    ),
    Rule(
        (socket.gaierror, socket.herror, urllib3_errors.NameResolutionError),
        "the name of the host in {where} could not be resolved; check the URL",
        DownloadError,
    ),
    Rule(
        (urllib3_errors.DecodeError,),
        "the body of {where} does not match its Content-Encoding",
        DownloadError,
    ),
    Rule(
        (ConnectionRefusedError,),
        "the host of {where} does not accept connections",
        TransientError,
    ),
    Rule(
        (urllib3_errors.ReadTimeoutError, requests_errors.ReadTimeout),
        "{where} stopped sending",
        TransientError,
    ),
    Rule(
        (TimeoutError, urllib3_errors.TimeoutError, requests_errors.Timeout),
        "the host of {where} did not answer in time",
        TransientError,
    ),
    Rule(
        (
            ConnectionError,
            http.client.BadStatusLine,
            http.client.IncompleteRead,
            urllib3_errors.ProtocolError,
            urllib3_errors.PoolError,
            requests_errors.ConnectionError,
            requests_errors.ChunkedEncodingError,
        ),
        "the connection to {where} broke",
        TransientError,
    ),
    Rule(
        (http.client.HTTPException, urllib3_errors.InvalidHeader, requests_errors.InvalidHeader),
        "the answer of {where} is not valid HTTP",
        DownloadError,
    ),
    Rule(
        (ValueError,),
        "{where} is not an address that can be fetched; check the URL",
        UsageError,
    ),
    Rule((BaseException,), "{where} could not be fetched", DownloadError),
)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Errors of a route that come and go; all other plain errors of the system are final.
_TRANSIENT_ERRNO = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def network_error(error: BaseException, where: str) -> DownloadError | TransientError | UsageError:
    """What a foreign exception becomes that came while `where` was being fetched."""
    root = root_of(error)
    rule = next(rule for rule in RULES if isinstance(root, rule.kinds))
    kind = TransientError if _is_passing(root) else rule.error
    return kind(rule.sentence.format(where=where))


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
