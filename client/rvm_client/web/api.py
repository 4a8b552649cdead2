"""The routes of the page: JSON in, JSON out."""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from rvm_client import __version__
from rvm_client.errors import RvmError, printable
from rvm_client.options import is_url
from rvm_client.output_types import OutputType
from rvm_client.web.book import new_id
from rvm_client.web.guard import COOKIE, Guard, as_response, set_cookie
from rvm_client.web.house import House
from rvm_client.web.records import Job, LookKind, Video
from rvm_client.web.refusals import RefusedError, not_found
from rvm_client.web.wishes import parse_wish

STATIC = Path(__file__).parent / "static"
_LONGEST_NAME = 200
_OFFSET = re.compile(r"\d{1,15}")
_JSON_TIMEOUT_S = 20.0
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\\]+")

Answer = Callable[[Request], Awaitable[Response]]


class Api:
    """What the routes do."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._book = house.book

    def routes(self) -> list[Route | Mount]:
        """All routes."""
        video, job = "/api/videos/{video_id}", "/api/jobs/{job_id}"
        return [
            Route("/", self.page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/login", self.login, methods=["POST"]),
            Route("/api/settings", self.settings),
            Route("/api/videos", self.videos),
            Route("/api/videos", self.add_video, methods=["POST"]),
            Route(video, self.video),
            Route(video, self.remove_video, methods=["DELETE"]),
            Route(f"{video}/source", self.upload, methods=["PUT"]),
            Route(f"{video}/background", self.upload_background, methods=["PUT"]),
            Route(f"{video}/jobs", self.add_job, methods=["POST"]),
            Route(f"{video}/estimate", self.estimate, methods=["POST"]),
            Route(f"{video}/describe", self.describe, methods=["POST"]),
            Route(job, self.remove_job, methods=["DELETE"]),
            Route("/api/forget", self.forget, methods=["POST"]),
            Route("/api/events", self.events),
            Route("/files/{video_id}/{file}", self.file),
        ]

    # The page, and who is there.

    async def page(self, request: Request) -> Response:
        """The page itself; its browser gets a session."""
        response = FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})
        if self._house.door is None and self._session_of(request) is None:
            set_cookie(request, response, self._new_session())
        return response

    async def login(self, request: Request) -> Response:
        """Let in who knows the password."""
        door = self._house.door
        if door is not None:
            door.check((await _json(request)).get("password"))
        response = Response(status_code=204)
        set_cookie(request, response, self._new_session())
        return response

    async def settings(self, request: Request) -> Response:
        """What the page has to know before anything else."""
        options = self._house.options
        return JSONResponse(
            {
                "version": __version__,
                "needs_password": self._house.door is not None
                and self._session_of(request) is None,
                "limits": {
                    "upload_bytes": options.limits.upload_bytes,
                    "duration_seconds": options.settings.max_duration_seconds,
                    "frame_pixels": options.settings.max_frame_pixels,
                    "frames": options.settings.max_frames,
                },
                "keep_seconds": options.keep_seconds,
                "output_types": [_described(kind) for kind in OutputType],
                "models": [],
            }
        )

    def _new_session(self) -> str:
        if self._book.session_count() >= self._house.options.limits.sessions:
            raise RefusedError(503, "too many people use this page; try again later")
        return self._book.new_session()[1]

    def _session_of(self, request: Request) -> str | None:
        token = request.cookies.get(COOKIE)
        return None if token is None else self._book.session_of(token)

    def _session(self, request: Request) -> str:
        session = self._session_of(request)
        if session is None:
            raise RefusedError(401, "this browser has no session here; load the page anew")
        return session

    # Videos.

    async def videos(self, request: Request) -> Response:
        """All of the session."""
        shown = [self._house.shown(v) for v in self._book.videos(self._session(request))]
        return JSONResponse({"videos": shown})

    async def add_video(self, request: Request) -> Response:
        """A new one, to be uploaded or fetched."""
        session, given = self._session(request), await _json(request)
        if len(self._book.videos(session)) >= self._house.options.limits.videos_of_a_session:
            raise RefusedError(429, "the list is full; remove a video first")
        url, kind = given.get("url"), _look_kind(given)
        video = (
            self._from_url(session, url, kind)
            if url is not None
            else self._from_file(session, given, kind)
        )
        self._book.add_video(video)
        if url is not None:
            self._house.workshop.fetch(video)
        return JSONResponse(self._house.shown(video), 201)

    def _from_url(self, session: str, url: object, kind: LookKind) -> Video:
        if not isinstance(url, str) or not is_url(url) or len(url) > 8192:
            raise RefusedError(422, "url must be an http or https URL")
        name = url.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
        return Video(
            id=new_id(),
            session=session,
            name=_clean_name(name),
            state="fetching",
            url=url,
            look_kind=kind,
        )

    def _from_file(self, session: str, given: dict[str, Any], kind: LookKind) -> Video:
        size = given.get("bytes")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise RefusedError(422, "bytes must be the size of the file, at least 1")
        self._house.check_room(size)
        return Video(
            id=new_id(),
            session=session,
            name=_clean_name(given.get("name")),
            state="uploading",
            total_bytes=size,
            look_kind=kind,
        )

    async def video(self, request: Request) -> Response:
        """One of them."""
        return JSONResponse(self._house.shown(self._own_video(request)))

    async def remove_video(self, request: Request) -> Response:
        """Stop its work; its files go."""
        await self._remove(self._own_video(request))
        return Response(status_code=204)

    async def forget(self, request: Request) -> Response:
        """Everything of this session goes."""
        for video in self._book.videos(self._session(request)):
            await self._remove(video)
        return Response(status_code=204)

    async def _remove(self, video: Video) -> None:
        await self._house.uploads.stop(self._house.folders.of(video))
        await run_in_threadpool(self._house.workshop.remove, video)

    def _own_video(self, request: Request) -> Video:
        session = self._session(request)
        video = self._book.video(request.path_params["video_id"])
        if video is None or video.session != session:
            raise not_found()
        return video

    async def upload(self, request: Request) -> Response:
        """A part of the source, or all of it."""
        video = self._own_video(request)
        if video.state != "uploading" or video.total_bytes is None:
            raise RefusedError(409, "this video is there already")
        offset = request.headers.get("upload-offset", "0")
        if not _OFFSET.fullmatch(offset):
            raise RefusedError(422, "Upload-Offset must be a number of bytes")

        def tell(received: int) -> None:
            self._book.change_video(video.id, kept=False, received_bytes=received)
            if received != video.total_bytes:
                self._house.workshop.more_came(video, received)

        received = await self._house.uploads.receive(
            video.session,
            self._house.folders.source(video),
            request.stream(),
            int(offset),
            video.total_bytes,
            tell,
        )
        self._book.touch(video.id)
        if received == video.total_bytes:
            self._house.workshop.all_came(video)
        return JSONResponse({"received_bytes": received})

    async def upload_background(self, request: Request) -> Response:
        """A picture or a video to stand behind the person."""
        video, background_id = self._own_video(request), new_id()
        limits = self._house.options.limits
        self._house.check_room(int(request.headers.get("content-length") or 0))
        target = self._house.folders.background(video, background_id)
        try:
            await self._house.uploads.receive(
                video.session, target, request.stream(), 0, limits.upload_bytes
            )
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        now = self._own_video(request)
        self._book.change_video(video.id, backgrounds=(*now.backgrounds, background_id))
        return JSONResponse({"background": f"file:{background_id}"}, 201)

    # Jobs.

    async def add_job(self, request: Request) -> Response:
        """A new job of a video."""
        video, given = self._own_video(request), await _json(request)
        if video.state != "ready":
            raise RefusedError(409, "the video is not there yet")
        waiting = [
            job
            for v in self._book.videos(video.session)
            for job in self._book.jobs(v.id)
            if not job.is_over
        ]
        if len(waiting) >= self._house.options.limits.jobs_waiting:
            raise RefusedError(429, f"{len(waiting)} jobs wait already; wait until one is done")
        wish = parse_wish(given.get("fields", {}), given.get("output_types"), video.backgrounds)
        job = Job(
            id=new_id(),
            video_id=video.id,
            session=video.session,
            fields=wish.fields,
            output_types=tuple(kind.value for kind in wish.output_types),
            look_kind=_look_kind(given),
        )
        self._book.add_job(job)
        self._book.touch(video.id)
        self._house.workshop.matte(job)
        return JSONResponse(job.shown(self._house.places().get(job.id, 0)), 201)

    async def remove_job(self, request: Request) -> Response:
        """Cancel one that waits or is at work; remove one that is over, with its files."""
        session = self._session(request)
        job = self._book.job(request.path_params["job_id"])
        if job is None or job.session != session:
            raise not_found()
        await run_in_threadpool(self._house.workshop.end_job, job)
        return Response(status_code=204)

    async def estimate(self, request: Request) -> Response:
        """How long a job would take, and how large its files would be."""
        video, given = self._own_video(request), await _json(request)
        parse_wish(given.get("fields", {}), given.get("output_types"), video.backgrounds)
        return JSONResponse({"seconds": None, "bytes": None, "based_on": "nothing measured yet"})

    async def describe(self, request: Request) -> Response:
        """The same job for others: as JSON, and as a command."""
        video, given = self._own_video(request), await _json(request)
        wish = parse_wish(given.get("fields", {}), given.get("output_types"), video.backgrounds)
        jobs = [{"input": {**wish.fields, "output_type": kind.value}} for kind in wish.output_types]
        return JSONResponse({"jobs": jobs, "commands": ["rvm-matte ..." for _ in jobs]})

    # What the page listens to, and files.

    async def events(self, request: Request) -> Response:
        """All that changes, from now on, beginning with how it is."""
        session = self._session(request)
        listener = self._house.hub.listen(session)
        listener.put("machine", "", self._house.machine())
        for video in self._book.videos(session):
            listener.put("video", video.id, self._house.shown(video))

        async def stream() -> Any:
            try:
                async for text in listener.stream():
                    yield text
            finally:
                self._house.hub.leave(listener)

        return StreamingResponse(
            stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    async def file(self, request: Request) -> Response:
        """A file of a video, by the names that were told to the page."""
        video, name = self._own_video(request), request.path_params["file"]
        known = self._house.files(video)
        if name not in known:
            raise not_found()
        content_type, download_name = known[name]
        path = self._house.folders.of(video) / name
        if not path.is_file():
            raise not_found()
        is_download = request.query_params.get("download") == "1"
        return FileResponse(
            path,
            media_type=content_type,
            filename=download_name if is_download else None,
            headers={"Cache-Control": "private, no-cache"},
        )


def application(house: House) -> Starlette:
    """The whole page as an ASGI application."""
    return Starlette(
        routes=Api(house).routes(),
        middleware=[Middleware(Guard, options=house.options)],
        exception_handlers={
            RefusedError: _on_refused,
            RvmError: _on_error,
            404: _on_404,
            405: _on_404,
        },
        lifespan=house.lifespan,
    )


async def _on_refused(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RefusedError)
    return as_response(exc)


async def _on_error(_request: Request, exc: Exception) -> Response:
    return JSONResponse({"error": str(exc)}, 422)


async def _on_404(_request: Request, _exc: Exception) -> Response:
    return as_response(not_found())


async def _json(request: Request) -> dict[str, Any]:
    """The body as an object, read with limits of its size and time."""
    body = bytearray()
    with anyio.move_on_after(_JSON_TIMEOUT_S) as scope:
        async for part in request.stream():
            body += part
            if len(body) > 65_536:
                raise RefusedError(413, "the request is too large")
    if scope.cancelled_caught:
        raise RefusedError(408, "the request took too long to come")
    try:
        given = json.loads(bytes(body) or b"{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise RefusedError(422, "the request must be a JSON object")
    return given


def _look_kind(given: dict[str, Any]) -> LookKind:
    return "stacked" if given.get("look") == "stacked" else "webm"


def _clean_name(name: object) -> str:
    """A name for people. It never becomes part of a path."""
    text = _NO_NAME.sub(" ", name if isinstance(name, str) else "").strip()
    return printable(text)[:_LONGEST_NAME] or "video"


def _described(kind: OutputType) -> dict[str, Any]:
    facts = kind.facts
    return {
        "name": kind.value,
        "suffix": facts.suffix,
        "content_type": facts.content_type,
        "keeps_alpha": facts.keeps_alpha,
        "has_sound": facts.has_sound,
        "takes_background": facts.takes_background,
        "crf_bounds": facts.crf_bounds,
        "is_video": facts.is_video,
    }
