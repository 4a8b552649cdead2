"""The page itself, who is let in, and what it listens to."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from rvm_client import __version__
from rvm_client.job import Job
from rvm_client.output_types import OutputType
from rvm_client.web.bodies import read_json
from rvm_client.web.events import Listener
from rvm_client.web.house import House
from rvm_client.web.refusals import RefusedError, not_found

STATIC = Path(__file__).parent / "static"


class PageRoutes:
    """What belongs to no video."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/", self.page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/login", self.login, methods=["POST"]),
            Route("/api/settings", self.settings),
            Route("/api/events", self.events),
            Route("/files/{video_id}/{file}", self.file),
        ]

    async def page(self, request: Request) -> Response:
        """The page; its browser gets a session, unless a password comes first."""
        response = FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})
        self._house.door.greet(request, response)
        return response

    async def login(self, request: Request) -> Response:
        """Let in who knows the password."""
        response = Response(status_code=204)
        given = await read_json(request)
        self._house.door.login(request, given.get("password"), response)
        return response

    async def settings(self, request: Request) -> Response:
        """What the page has to know before anything else."""
        house, options = self._house, self._house.options
        is_outside = house.door.is_locked and house.door.session_of(request) is None
        return JSONResponse({
            "version": __version__,
            "needs_password": is_outside,
            "limits": {
                "upload_bytes": options.limits.upload_bytes,
                "duration_seconds": options.settings.max_duration_seconds,
                "frame_pixels": options.settings.max_frame_pixels,
                "frames": options.settings.max_frames,
            },
            "keep_seconds": options.keep_seconds,
            "fields": list(Job.model_fields),
            "output_types": [_described(kind) for kind in OutputType],
            "models": house.workshop.workplace.machine.models,
        })  # fmt: skip

    async def events(self, request: Request) -> Response:
        """All that changes, from now on, beginning with how it is."""
        house, session = self._house, self._house.door.session(request)
        if house.hub.count(session) >= house.options.limits.listeners_of_a_session:
            raise RefusedError(429, "the page is open too often; close some of its tabs")
        listener = house.hub.listen(session)
        listener.put("machine", "", house.machine())
        for video in house.book.videos(session):
            listener.put("video", video.id, house.shown(video))
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._told(listener), media_type="text/event-stream", headers=headers
        )

    async def _told(self, listener: Listener) -> AsyncIterator[str]:
        try:
            async for text in listener.stream():
                yield text
        finally:
            self._house.hub.leave(listener)

    async def file(self, request: Request) -> Response:
        """A file of a video, by one of the names that the page was told."""
        video, name = self._house.own_video(request), request.path_params["file"]
        known = self._house.files(video).get(name)
        path = self._house.folders.of(video) / name
        if known is None or not path.is_file():
            raise not_found()
        is_download = request.query_params.get("download") == "1"
        return FileResponse(
            path,
            media_type=known.content_type,
            filename=known.name if is_download else None,
            headers={"Cache-Control": "private, no-cache"},
        )


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
