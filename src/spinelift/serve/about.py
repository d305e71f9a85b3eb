"""``/v1/server``: what makes the results, for the foot of the page."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from spinelift.report import RESEARCH_USE
from spinelift.serve.api import server_of
from spinelift.version import __version__

router = APIRouter(prefix="/v1")


class BundleDocument(BaseModel):
    """The bundle of networks; ``sha256`` is that of its card."""

    name: str
    version: str
    sha256: str


class ServerDocument(BaseModel):
    """Version and bundle of a server."""

    version: str
    bundle: BundleDocument
    use: str


@router.get("/server", response_model=ServerDocument)
def about(request: Request) -> Any:
    """Version of spinelift, bundle, and what results may be used for."""
    ref = server_of(request).pool.ref
    return ServerDocument(version=__version__, bundle=BundleDocument(**vars(ref)), use=RESEARCH_USE)
