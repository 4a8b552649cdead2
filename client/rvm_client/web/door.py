"""Who is let in: a password where there is one, and a session for each browser."""

import hashlib
import hmac
import time
from collections import deque

from starlette.requests import Request
from starlette.responses import Response

from rvm_client.web.database import Sessions
from rvm_client.web.refusals import RefusedError
from rvm_client.web.settings import PageOptions

COOKIE = "rvm_web"
COOKIE_SECONDS = 7 * 86_400
# Wrong passwords of one address within a minute, and of all: a proxy has one address for all.
_TRIES, _ALL_TRIES = 10, 100
_WINDOW_S = 60.0


class Door:
    """Lets browsers in. In the loop's thread only."""

    def __init__(self, options: PageOptions, sessions: Sessions) -> None:
        self._options, self._sessions = options, sessions
        password = options.password.get_secret_value() if options.password else None
        self._digest = None if password is None else hashlib.sha256(password.encode()).digest()
        self._wrong = deque[tuple[float, str]]()

    @property
    def is_locked(self) -> bool:
        """Whether there is a password."""
        return self._digest is not None

    def session_of(self, request: Request) -> str | None:
        """The session of a browser; None: it has none."""
        token = request.cookies.get(COOKIE)
        return None if token is None else self._sessions.of(token)

    def session(self, request: Request) -> str:
        """Raises: RefusedError: the browser has none."""
        session = self.session_of(request)
        if session is None:
            what = "give the password first" if self.is_locked else "load the page anew"
            raise RefusedError(401, f"this browser is not known here; {what}")
        return session

    def greet(self, request: Request, response: Response) -> None:
        """Begin a session, unless the browser has one or a password comes first."""
        if not self.is_locked and self.session_of(request) is None:
            self._begin(request, response)

    def login(self, request: Request, password: object, response: Response) -> None:
        """Begin a session for who knows the password.

        Raises:
            RefusedError: it is not the right one, or too many were wrong lately.
        """
        if self._digest is not None:
            self._check(request.client.host if request.client else "", password, self._digest)
        if self.is_locked or self.session_of(request) is None:
            self._begin(request, response)

    def _check(self, address: str, password: object, digest: bytes) -> None:
        now_s = time.monotonic()
        while self._wrong and now_s - self._wrong[0][0] > _WINDOW_S:
            self._wrong.popleft()
        own = sum(of == address for _, of in self._wrong)
        if own >= _TRIES or len(self._wrong) >= _ALL_TRIES:
            raise RefusedError(429, "too many wrong passwords; try again in a minute")
        given = password if isinstance(password, str) else ""
        if not hmac.compare_digest(hashlib.sha256(given.encode()).digest(), digest):
            self._wrong.append((now_s, address))
            raise RefusedError(401, "this is not the password")

    def _begin(self, request: Request, response: Response) -> None:
        if self._sessions.count() >= self._options.limits.sessions:
            raise RefusedError(503, "too many browsers use this page; try again later")
        # A proxy that encrypts says so. Who lies about it harms nobody else.
        schemes = (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
        response.set_cookie(
            COOKIE,
            self._sessions.new(),
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure="https" in schemes,
        )
