"""HTTP whose every connection is checked, bounded in time and breakable.

The guard sits where the socket is made. urllib3 asks for a connection to a name; `Dialler`
looks the name up, checks the addresses and connects to one of those, so the address that is
used is the one that was checked, on each redirect and each retry. The name still goes into
the Host header, into TLS and into the check of the certificate.

Proxy settings and `.netrc` are not used: a proxy would look the name up itself.
"""

import http.client
import socket
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from typing import Any, Final
from urllib.parse import urljoin

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection

from rvm_client import __version__
from rvm_client.closing import Closing
from rvm_client.errors import DownloadError, UsageError
from rvm_client.net.addresses import AddressInfo, acceptable_url, redacted_url, resolve
from rvm_client.net.deadline import Deadline

# All that an exchange over HTTP can raise; requests' own exceptions are OSErrors.
HTTP_ERRORS: Final = (
    OSError,
    http.client.HTTPException,
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.ProxySchemeUnsupported,
    UnicodeError,
)
_MAX_REDIRECTS = 5


class Dialler(Closing):
    """Makes checked connections. Closing it forgets them; it does not close them."""

    def __init__(
        self, deadline: Deadline, connect_timeout_s: float, *, allow_private_addresses: bool
    ) -> None:
        self._deadline = deadline
        self._connect_timeout_s = connect_timeout_s
        self._allow_private_addresses = allow_private_addresses
        self._breakable = ExitStack()

    def close(self) -> None:
        """Forget the connections: the deadline breaks them no more."""
        self._breakable.close()

    @property
    def pools(self) -> dict[str, type[HTTPConnectionPool]]:
        """urllib3's pools by scheme, with connections that are made here."""
        return {"http": self.pool(HTTPConnectionPool), "https": self.pool(HTTPSConnectionPool)}

    def pool(self, kind: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        """`kind` of pool, whose connections are made here."""

        def new_connection(connection: HTTPConnection) -> socket.socket:
            return self.connect(connection._dns_host, connection.port)

        dialled = type("DialledConnection", (kind.ConnectionCls,), {"_new_conn": new_connection})
        return type("DialledPool", (kind,), {"ConnectionCls": dialled})

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to the first public address of `host` that answers.

        Raises:
            UsageError: `host` has an address that is not public.
            OSError: it has no address, or none answers within the limit.
            RvmError: see `Deadline.check`.
        """
        failure: OSError | None = None
        for address in self._resolve(host, port):
            try:
                return self._connect(address)
            except OSError as exc:
                self._deadline.check()
                failure = exc
        raise failure or socket.gaierror(socket.EAI_NONAME, "no address")

    def _resolve(self, host: str, port: int) -> list[AddressInfo]:
        """`resolve`, in a thread: the system's resolver knows no time limit of ours."""
        answer: futures.Future[list[AddressInfo]] = futures.Future()

        def look_up() -> None:
            try:
                result = resolve(host, port, allow_private_addresses=self._allow_private_addresses)
            except Exception as exc:
                with suppress(futures.InvalidStateError):
                    answer.set_exception(exc)
            else:
                with suppress(futures.InvalidStateError):
                    answer.set_result(result)

        def give_up() -> None:
            answer.cancel()

        with self._deadline.interrupting(give_up):
            Thread(target=look_up, name="name look-up", daemon=True).start()
            try:
                return answer.result(self._connect_timeout_s)
            except futures.CancelledError:
                self._deadline.check()
                raise
            except futures.TimeoutError as exc:
                answer.cancel()
                raise socket.gaierror(socket.EAI_AGAIN, "the resolver is slow") from exc

    def _connect(self, address: AddressInfo) -> socket.socket:
        family, kind, protocol, _, sockaddr = address
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(self._connect_timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._breakable.enter_context(_breakable(sock, self._deadline))
            sock.connect(sockaddr)
        except BaseException:
            sock.close()
            raise
        return sock


class GuardedSession(requests.Session):
    """Leaves redirects to `open_url`.

    requests works out the next hop even when it is told not to follow it, and for that reads
    the redirect's own body whole, however long it is.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None

    def location(self, response: requests.Response) -> str | None:
        """Where `response` redirects to, if it does."""
        return super().get_redirect_target(response)


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, dialler: Dialler) -> None:
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = dialler.pools

    def proxy_manager_for(self, proxy: str, **_: Any) -> Any:
        raise requests.exceptions.ProxyError(f"no proxy is used, got {len(proxy)} characters")


@contextmanager
def guarded_session(
    deadline: Deadline, connect_timeout_s: float, *, allow_private_addresses: bool
) -> Iterator[GuardedSession]:
    """A session whose every connection is made by a `Dialler`."""
    with (
        Dialler(
            deadline, connect_timeout_s, allow_private_addresses=allow_private_addresses
        ) as dialler,
        GuardedSession() as session,
    ):
        session.trust_env = False
        session.headers["User-Agent"] = f"rvm-triton/{__version__}"
        # Video is compressed already, and only a plain body can be resumed at an offset.
        session.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            session.mount(scheme, _GuardedAdapter(dialler))
        yield session


def open_url(
    session: GuardedSession,
    url: str,
    *,
    headers: dict[str, str],
    timeout_s: tuple[float, float],
    allow_private_addresses: bool,
) -> requests.Response:
    """GET `url`, follow redirects, and return the answer with its body still to be read.

    `timeout_s` is (connect, idle). Redirects are followed here because requests would accept
    credentials, other schemes and a step down from https in them.

    Raises:
        UsageError: a URL on the way must not be fetched.
        DownloadError: too many redirects, or one from https down to http.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        response = session.get(
            url, headers=headers, stream=True, allow_redirects=False, timeout=timeout_s
        )
        location = session.location(response)
        if location is None:
            return response
        response.close()
        url = _redirected(url, location, allow_private_addresses=allow_private_addresses)
    raise DownloadError(f"{redacted_url(url)} is still a redirect after {_MAX_REDIRECTS} redirects")


def _redirected(url: str, location: str, *, allow_private_addresses: bool) -> str:
    try:
        target = acceptable_url(
            urljoin(url, location), allow_private_addresses=allow_private_addresses
        )
    except UsageError as exc:
        raise UsageError(f"{redacted_url(url)} redirects elsewhere, and {exc}") from exc
    except ValueError as exc:
        raise DownloadError(f"{redacted_url(url)} redirects to what is not a URL") from exc
    if url.lower().startswith("https:") and not target.lower().startswith("https:"):
        # The rest of the way would be open to anybody, with a signature in it, perhaps.
        raise DownloadError(
            f"{redacted_url(url)} redirects from https to http, which is not followed"
        )
    return target


@contextmanager
def _breakable(sock: socket.socket, deadline: Deadline) -> Iterator[None]:
    # A duplicate stays valid when TLS takes over the socket, and breaks the same connection.
    with sock.dup() as duplicate:

        def shut_down() -> None:
            with suppress(OSError):
                duplicate.shutdown(socket.SHUT_RDWR)

        with deadline.interrupting(shut_down):
            yield
