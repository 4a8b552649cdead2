"""The page as an ASGI application: JSON in, JSON out."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from rvm_client.errors import RvmError
from rvm_client.web.guard import Guard
from rvm_client.web.house import House
from rvm_client.web.job_routes import JobRoutes
from rvm_client.web.page_routes import PageRoutes
from rvm_client.web.refusals import RefusedError, as_response, not_found
from rvm_client.web.video_routes import VideoRoutes

# Nobody reads it: who asked has gone.
_GONE = 499


def application(house: House) -> Starlette:
    """All routes, behind the guard."""
    return Starlette(
        routes=[r for kind in (PageRoutes, VideoRoutes, JobRoutes) for r in kind(house).routes()],
        middleware=[Middleware(Guard, options=house.options)],
        exception_handlers={
            RefusedError: _on_refused,
            RvmError: _on_error,
            ClientDisconnect: _on_gone,
            404: _on_unknown,
            405: _on_unknown,
            500: _on_fault,
        },
        lifespan=house.lifespan,
    )


async def _on_refused(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RefusedError)
    return as_response(exc)


async def _on_error(_request: Request, exc: Exception) -> Response:
    return JSONResponse({"error": str(exc)}, 422)


async def _on_gone(_request: Request, _exc: Exception) -> Response:
    return Response(status_code=_GONE)


async def _on_unknown(_request: Request, _exc: Exception) -> Response:
    return as_response(not_found())


async def _on_fault(_request: Request, exc: Exception) -> Response:
    return JSONResponse({"error": f"an internal error ({type(exc).__name__}); try again"}, 500)
