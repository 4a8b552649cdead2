"""What every request passes: by which name we are called, from which page, as whom."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rvm_client.web.hosts import is_allowed_host, is_loopback_host
from rvm_client.web.refusals import RefusedError, as_response
from rvm_client.web.settings import PageOptions

PAGE_HEADER = "X-RVM-Page"
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
                is_static = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if is_static else "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await as_response(refusal)(scope, receive, send_with_headers)

    def _refusal(self, method: str, path: str, headers: Headers) -> RefusedError | None:
        host = headers.get("host", "")
        if not is_allowed_host(host, self._allowed, is_exposed=self._is_exposed):
            return RefusedError(
                421, f"this server is not called {host[:100]!r}; allow the name with --allowed-host"
            )
        # A link to the page may stand anywhere.
        if path != "/" and not _is_own_page(headers, host):
            return RefusedError(403, "another site's page may do nothing here")
        if method not in _SAFE_METHODS and headers.get(PAGE_HEADER) != "1":
            return RefusedError(403, f"the header {PAGE_HEADER}: 1 is missing; use the page")
        return None


def _is_own_page(headers: Headers, host: str) -> bool:
    """Whether a browser says that our own page sends this. Others than browsers say nothing."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        return False
    # Behind a proxy that encrypts, the scheme is not the one that we see.
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()
