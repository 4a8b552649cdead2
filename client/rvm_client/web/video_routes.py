"""Videos: added, uploaded, shown, removed."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rvm_client.options import is_url
from rvm_client.web.bodies import clean_name, look_kind, read_json, read_number
from rvm_client.web.database import new_id
from rvm_client.web.house import House
from rvm_client.web.records import Video
from rvm_client.web.refusals import RefusedError

_LONGEST_URL = 8192


class VideoRoutes:
    """What is done with videos before they are matted."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        video = "/api/videos/{video_id}"
        return [
            Route("/api/videos", self.videos),
            Route("/api/videos", self.add, methods=["POST"]),
            Route(video, self.video),
            Route(video, self.remove, methods=["DELETE"]),
            Route(f"{video}/source", self.upload, methods=["PUT"]),
            Route(f"{video}/background", self.upload_background, methods=["PUT"]),
            Route("/api/forget", self.forget, methods=["POST"]),
        ]

    async def videos(self, request: Request) -> Response:
        """All of the session."""
        session = self._house.door.session(request)
        shown = [self._house.shown(video) for video in self._house.book.videos(session)]
        return JSONResponse({"videos": shown})

    async def add(self, request: Request) -> Response:
        """A new one, to be uploaded or fetched."""
        house, session = self._house, self._house.door.session(request)
        given = await read_json(request)
        if len(house.book.videos(session)) >= house.options.limits.videos_of_a_session:
            raise RefusedError(429, "the list is full; remove a video first")
        video = _from_url(session, given) if "url" in given else _from_file(session, given)
        house.check_room(video.total_bytes or 0)
        house.folders.make(video)
        house.book.add_video(video)
        if video.url is not None:
            house.workshop.sources.fetch(video)
        return JSONResponse(house.shown(video), 201)

    async def video(self, request: Request) -> Response:
        """One of them."""
        return JSONResponse(self._house.shown(self._house.own_video(request)))

    async def remove(self, request: Request) -> Response:
        """Stop its work; its files go."""
        await self._house.remove(self._house.own_video(request))
        return Response(status_code=204)

    async def forget(self, request: Request) -> Response:
        """Everything of this session goes."""
        for video in self._house.book.videos(self._house.door.session(request)):
            await self._house.remove(video)
        return Response(status_code=204)

    async def upload(self, request: Request) -> Response:
        """A part of the source, or all of it."""
        house, video = self._house, self._house.own_video(request)
        total = video.total_bytes
        if video.state != "uploading" or total is None:
            raise RefusedError(409, "this video is there already", received_bytes=total)
        offset = read_number(request, "Upload-Offset")
        if offset + read_number(request, "Content-Length") > total:
            raise RefusedError(413, f"the file was said to have {total} bytes, and this is more")

        def tell(received: int) -> None:
            house.book.change_video(video.id, kept=False, received_bytes=received)
            if received != total:
                house.workshop.sources.more_came(video, received)

        source = house.folders.source(video)
        received = await house.uploads.receive(
            video.session, source, request.stream(), offset, total, tell
        )
        house.book.touch(video.id)
        if received == total:
            house.workshop.sources.all_came(video)
        return JSONResponse({"received_bytes": received})

    async def upload_background(self, request: Request) -> Response:
        """A picture or a video to stand behind the person."""
        house, video, background_id = self._house, self._house.own_video(request), new_id()
        if len(video.backgrounds) >= house.options.limits.backgrounds_of_a_video:
            raise RefusedError(429, "this video has too many backgrounds; add it to the list anew")
        house.check_room(read_number(request, "Content-Length"))
        target = house.folders.background(video, background_id)
        try:
            most = house.options.limits.upload_bytes
            await house.uploads.receive(video.session, target, request.stream(), 0, most)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        now = house.own_video(request)
        house.book.change_video(video.id, backgrounds=(*now.backgrounds, background_id))
        house.book.touch(video.id)
        return JSONResponse({"background": f"file:{background_id}"}, 201)


def _from_url(session: str, given: dict[str, Any]) -> Video:
    url = given["url"]
    if not isinstance(url, str) or not is_url(url) or len(url) > _LONGEST_URL:
        raise RefusedError(422, "url must be an http or https URL")
    path = url.partition("?")[0].partition("#")[0].partition("://")[2]
    return Video(
        id=new_id(),
        session=session,
        name=clean_name(path.partition("/")[2].rpartition("/")[2]),
        state="fetching",
        url=url,
        look_kind=look_kind(given),
    )


def _from_file(session: str, given: dict[str, Any]) -> Video:
    size = given.get("bytes")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise RefusedError(422, "bytes must be the size of the file, at least 1")
    return Video(
        id=new_id(),
        session=session,
        name=clean_name(given.get("name")),
        state="uploading",
        total_bytes=size,
        look_kind=look_kind(given),
    )
