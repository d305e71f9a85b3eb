"""The web application: page, ``/v1``, health and metrics, behind one guard."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from spinelift.errors import SpineliftError
from spinelift.serve import about, access, api, batches, dicomweb, guard, health
from spinelift.serve.jobs import Jobs
from spinelift.serve.node.node import Node
from spinelift.serve.pool import Pool
from spinelift.serve.problems import RefusedError, response_to
from spinelift.serve.server import Server
from spinelift.serve.settings import Settings
from spinelift.version import __version__

PAGE = Path(__file__).parent / "page"
_ABOUT = "3D spines from DXA scans. Research use only; not a medical device."


def create_app(settings: Settings) -> FastAPI:
    """The application; its workers start and end with it.

    Raises OutputError if the folder cannot be used, BundleError if the bundle cannot.
    """
    jobs = Jobs(settings.data, settings.limits)
    server = Server(settings, jobs, Pool(jobs, settings), Node(jobs, settings.node))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.pool.start()
        server.node.start()
        try:
            yield
        finally:
            await run_in_threadpool(server.node.stop)
            await run_in_threadpool(server.pool.stop)
            jobs.close()

    app = FastAPI(
        title="spinelift", version=__version__, description=_ABOUT, lifespan=lifespan,
        docs_url=None, redoc_url=None,  # they load scripts from another host
    )  # fmt: skip
    app.state.server = server
    app.include_router(api.router)
    app.include_router(batches.router)
    app.include_router(dicomweb.router)
    app.include_router(about.router)
    app.include_router(health.router)
    app.include_router(access.router)
    if PAGE.is_dir():
        app.mount("/static", StaticFiles(directory=PAGE), name="static")
        app.add_api_route("/", _page, include_in_schema=False)
    for error in (RefusedError, SpineliftError, sqlite3.OperationalError):
        app.add_exception_handler(error, lambda _, error: response_to(error))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.state.metrics = health.Metrics(server)
    app.add_middleware(guard.Guard, settings=settings, metrics=app.state.metrics)
    return app


def _page() -> Response:
    return FileResponse(PAGE / "index.html")


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    names = ", ".join(sorted({str(part["loc"][-1]) for part in error.errors()}))
    found = f"a value of {names} that cannot be used"
    return response_to(RefusedError(422, found=found, expected="one as in /openapi.json", do="Correct it."))


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    found, expected = "no such page, or another method than it has", "a path and a method of /openapi.json"
    headers = dict(error.headers or {})
    return response_to(
        RefusedError(
            error.status_code, found=found, expected=expected, do="Check the address.", headers=headers
        )
    )
