"""RunPod's REST API of one endpoint: jobs are posted, asked for and cancelled."""

import http.client
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from rvm_client.config import Settings
from rvm_client.errors import AccessError, ConfigError, EndpointError, UsageError
from rvm_client.net import (
    HTTP_ERRORS,
    Backoff,
    Deadline,
    TransientError,
    guarded_session,
    is_transient_status,
    parse_retry_after,
    redacted_url,
    with_retries,
)

_CONNECT_TIMEOUT_S = 10.0
_ANSWER_TIMEOUT_S = 60.0
# A job that is cancelled at the end of a run has no more than this.
_CANCEL_TIMEOUT_S = 10.0
# How often is no matter: how long, the caller says.
BACKOFF = Backoff(attempts=10**6, first_wait_s=1.0, longest_wait_s=15.0)


@dataclass(frozen=True)
class RemoteJob:
    """What the endpoint says of a job."""

    status: str
    """IN_QUEUE, IN_PROGRESS, COMPLETED, FAILED, CANCELLED or TIMED_OUT."""
    output: Any = None
    error: str = ""
    execution_seconds: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.status not in ("IN_QUEUE", "IN_PROGRESS", "RUNNING")


class RunPodApi:
    """The endpoint with its key. Each call waits while the endpoint asks for it, or is away.

    Args:
        url: of the API, without the endpoint.
        endpoint_id: RunPod's name of the endpoint.
        key: the API key; no message shows it.
        away_timeout_s: how long the endpoint may be away or refuse to be asked so often.
    """

    def __init__(self, url: str, endpoint_id: str, key: str, away_timeout_s: float) -> None:
        self._url = f"{url.rstrip('/')}/{endpoint_id}"
        self._name = f"the RunPod endpoint {endpoint_id}"
        self._key = key
        self._away_timeout_s = away_timeout_s

    @classmethod
    def configured(cls, endpoint_id: str, settings: Settings) -> "RunPodApi":
        """As the environment says.

        Raises:
            UsageError: that is no endpoint's name.
            ConfigError: there is no key.
        """
        if not endpoint_id.isalnum():
            raise UsageError(
                f"{endpoint_id!r} is not the id of a RunPod endpoint, which is letters and digits"
            )
        if settings.runpod_api_key is None:
            raise ConfigError("set RUNPOD_API_KEY to a key that may call the endpoint")
        key = settings.runpod_api_key.get_secret_value()
        return cls(settings.runpod_api_url, endpoint_id, key, settings.runpod_away_timeout_s)

    def check(self) -> None:
        """Make sure that there is such an endpoint, and that the key opens it.

        Raises:
            AccessError: the key is refused.
            EndpointError: there is no such endpoint, or it stays away.
        """
        if self._call("GET", "health") is None:
            raise EndpointError(f"{self._name} does not exist; check its id")

    def post(self, job_input: Mapping[str, Any]) -> str:
        """Post a job; returns its id. One whose answer is lost may be there twice.

        Raises:
            AccessError, EndpointError: as `check`.
        """
        answer = self._call("POST", "run", {"input": job_input})
        if answer is None:
            raise EndpointError(f"{self._name} does not exist; check its id")
        job_id = answer.get("id")
        if not isinstance(job_id, str) or not job_id:
            raise EndpointError(f"{self._name} took a job and told no id of it")
        return job_id

    def status(self, job_id: str) -> RemoteJob | None:
        """What has become of a job; None: the endpoint knows nothing of it any more.

        Raises:
            AccessError, EndpointError: as `check`.
        """
        answer = self._call("GET", f"status/{job_id}")
        if answer is None:
            return None
        output = answer.get("output")
        return RemoteJob(
            str(answer.get("status", "")),
            output,
            _error_of(answer.get("error"), output),
            _number(answer.get("executionTime")) / 1000,
        )

    def cancel(self, job_id: str) -> None:
        """Cancel a job, as far as the endpoint can be reached at once."""
        with Deadline(_CANCEL_TIMEOUT_S) as deadline:
            self._attempt("POST", f"cancel/{job_id}", None, deadline)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """The answer; None: 404."""

        def away() -> EndpointError:
            return EndpointError(
                f"{self._name} was away for more than {self._away_timeout_s:g} s "
                "(RVM_RUNPOD_AWAY_TIMEOUT_S); what is left is for the next run"
            )

        with Deadline(self._away_timeout_s, overdue=away) as deadline:
            return with_retries(
                lambda: self._attempt(method, path, body, deadline),
                EndpointError,
                BACKOFF,
                deadline,
            )

    def _attempt(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline: Deadline
    ) -> dict[str, Any] | None:
        # The API is where our own setting says, so it may be anywhere.
        with guarded_session(deadline, _CONNECT_TIMEOUT_S, allow_private_addresses=True) as session:
            try:
                response = session.request(
                    method,
                    f"{self._url}/{path}",
                    json=body,
                    headers={"Authorization": f"Bearer {self._key}"},
                    timeout=(_CONNECT_TIMEOUT_S, _ANSWER_TIMEOUT_S),
                    allow_redirects=False,
                )
            except HTTP_ERRORS as exc:
                deadline.check()
                # Not its text, nor itself: they may have the headers of the request.
                where = redacted_url(self._url)
                raise TransientError(
                    f"{self._name} cannot be reached at {where} ({type(exc).__name__})"
                ) from None
        return self._read(response)

    def _read(self, response: requests.Response) -> dict[str, Any] | None:
        status = response.status_code
        if status == http.client.NOT_FOUND:
            return None
        said = f"{self._name} answered {status} {http.client.responses.get(status, '')}".rstrip()
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise AccessError(f"{said}: the key in RUNPOD_API_KEY does not open it")
        if is_transient_status(status):
            asked_s = parse_retry_after(response.headers.get("Retry-After"))
            raise TransientError(said, asked_s)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if status >= http.client.MULTIPLE_CHOICES or not isinstance(answer, dict):
            raise EndpointError(f"{said}, which is not understood")
        return answer


def _error_of(error: object, output: object) -> str:
    """The sentence of a failed job: RunPod passes it on as text, as JSON in a text, or within."""
    if error is None and isinstance(output, dict):
        error = output.get("error")
    if isinstance(error, str):
        try:
            within = json.loads(error)
        except ValueError:
            return error
        error = within
    if isinstance(error, dict):
        error = error.get("error_message") or error.get("message") or error
    return "" if error is None else str(error)


def _number(value: object) -> float:
    number = float(value) if isinstance(value, int | float) else 0.0
    return number if math.isfinite(number) else 0.0
