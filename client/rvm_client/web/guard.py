"""What every request passes: by which name we are called, from which page, as whom."""

import hashlib
import hmac
import time
from collections import deque
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rvm_client.web.hosts import is_allowed_host, is_loopback_host
from rvm_client.web.refusals import RefusedError
from rvm_client.web.settings import PageOptions

COOKIE = "rvm_web"
PAGE_HEADER = "X-RVM-Page"
COOKIE_SECONDS = 7 * 86_400
_SAFE_METHODS = ("GET", "HEAD")
_OWN_SITES = ("same-origin", "none")
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Nothing in a stranger's file is ever run, whatever it says it is.
_FILE_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
}


class Guard:
    """Refuses what is called by another name or comes from another site; sets headers."""

    def __init__(self, app: ASGIApp, options: PageOptions) -> None:
        self._app = app
        self._allowed = options.allowed_hosts
        self._is_exposed = not is_loopback_host(options.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                is_file = scope["path"].startswith("/files/")
                headers["Content-Security-Policy"] = _FILE_POLICY if is_file else _PAGE_POLICY
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await as_response(refusal)(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> RefusedError | None:
        host = headers.get("host", "")
        if not is_allowed_host(host, self._allowed, is_exposed=self._is_exposed):
            return RefusedError(
                421, f"this server is not called {host[:100]!r}; allow the name with --allowed-host"
            )
        if method in _SAFE_METHODS:
            return None
        if headers.get(PAGE_HEADER) != "1":
            return RefusedError(403, f"the header {PAGE_HEADER}: 1 is missing; use the page")
        if not _is_own_page(headers, host):
            return RefusedError(403, "another site's page may do nothing here")
        return None


def _is_own_page(headers: Headers, host: str) -> bool:
    """Whether a browser says that our own page sends this. Others than browsers say nothing."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        return False
    # Behind a proxy that encrypts, the scheme is not the one that we see.
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


def as_response(refusal: RefusedError) -> Response:
    """A refusal as the page reads it."""
    headers = {"Retry-After": "30"} if refusal.status in (429, 503) else {}
    return JSONResponse({"error": str(refusal), **refusal.more}, refusal.status, headers)


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Let the browser show `token` from now on."""
    is_encrypted = "https" in (
        request.url.scheme,
        request.headers.get("x-forwarded-proto", "").lower(),
    )
    response.set_cookie(
        COOKIE,
        token,
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=is_encrypted,
    )


class Door:
    """Compares passwords, and no more often than a guesser would need.

    Args:
        password: the right one.
        tries: wrong ones within `window_s`; after these nobody is let in for a while, since
            behind a proxy all have one address.
        window_s: seconds.
    """

    def __init__(self, password: str, tries: int = 10, window_s: float = 60.0) -> None:
        self._digest = hashlib.sha256(password.encode()).digest()
        self._tries, self._window_s = tries, window_s
        self._wrong = deque[float]()

    def check(self, password: object) -> None:
        """Raises: RefusedError: it is not the right one, or too many were wrong lately."""
        now_s = time.monotonic()
        while self._wrong and now_s - self._wrong[0] > self._window_s:
            self._wrong.popleft()
        if len(self._wrong) >= self._tries:
            raise RefusedError(429, "too many wrong passwords; try again in a minute")
        given = password if isinstance(password, str) else ""
        if not hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self._digest):
            self._wrong.append(now_s)
            raise RefusedError(401, "this is not the password")
