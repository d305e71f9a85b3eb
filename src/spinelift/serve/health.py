"""Health of a server, for those who run it: ``/healthz``, ``/readyz``."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from spinelift.serve.api import server_of

router = APIRouter()


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Whether the process is alive."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """Whether it takes work: 200 once every worker has done a first prediction, else 503."""
    ready = server_of(request).pool.ready.is_set()
    return JSONResponse({"ready": ready}, 200 if ready else 503)
