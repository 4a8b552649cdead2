"""Jobs: checked, estimated, described, added, ended."""

from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rvm_client.web.bodies import look_kind, read_json
from rvm_client.web.database import new_id
from rvm_client.web.descriptions import describe
from rvm_client.web.estimates import estimate
from rvm_client.web.house import House
from rvm_client.web.records import Job, Video
from rvm_client.web.refusals import RefusedError, not_found
from rvm_client.web.wishes import Wish, look_type, parse_wish


class JobRoutes:
    """What is done with jobs."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        video = "/api/videos/{video_id}"
        return [
            Route(f"{video}/jobs", self.add, methods=["POST"]),
            Route(f"{video}/estimate", self.estimate, methods=["POST"]),
            Route(f"{video}/describe", self.describe, methods=["POST"]),
            Route("/api/jobs/{job_id}", self.end, methods=["DELETE"]),
        ]

    async def add(self, request: Request) -> Response:
        """A new job of a video."""
        house = self._house
        video, wish, given = await self._wish(request)
        if video.state != "ready":
            raise RefusedError(409, "the video is not there yet; wait until it is")
        waiting = len(house.book.unfinished(video.session))
        if waiting >= house.options.limits.jobs_waiting:
            raise RefusedError(429, f"{waiting} jobs wait already; wait until one is done")
        house.check_room(0)
        job = Job(
            id=new_id(),
            video_id=video.id,
            session=video.session,
            fields=wish.fields,
            output_types=tuple(kind.value for kind in wish.output_types),
            look_kind=look_kind(given),
        )
        house.book.add_job(job)
        house.book.touch(video.id)
        house.workshop.mattes.do(job)
        return JSONResponse(job.shown(video, house.places().get(job.id, 0)), 201)

    async def end(self, request: Request) -> Response:
        """Cancel one that waits or is at work; remove one that is over, with its files."""
        session = self._house.door.session(request)
        job = self._house.book.job(request.path_params["job_id"])
        if job is None or job.session != session:
            raise not_found()
        await run_in_threadpool(self._house.workshop.mattes.end, job)
        return Response(status_code=204)

    async def estimate(self, request: Request) -> Response:
        """How long a job would take, and how large its files would be."""
        video, wish, given = await self._wish(request)
        made = {*wish.parts, look_type(look_kind(given))}
        options, measures = wish.options(Path()), self._house.measures
        return JSONResponse(estimate(video, options, wish.parts, made, measures))

    async def describe(self, request: Request) -> Response:
        """The same job for other programs."""
        video, wish, _ = await self._wish(request)
        return JSONResponse(describe(wish, video))

    async def _wish(self, request: Request) -> tuple[Video, Wish, dict[str, Any]]:
        given, video = await read_json(request), self._house.own_video(request)
        fields, types = given.get("fields", {}), given.get("output_types")
        return video, parse_wish(fields, types, video.backgrounds), given
