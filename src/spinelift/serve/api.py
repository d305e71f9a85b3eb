"""Routes of ``/v1``: predictions and their files, of the session that asks."""

import asyncio
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from spinelift.inference.outputs import CURVES_JSON
from spinelift.inference.tables import summary_csv
from spinelift.report import VIEWER
from spinelift.serve.access import client_of
from spinelift.serve.documents import JobDocument, RefusalDocument, job_document, media_type
from spinelift.serve.guard import RESULT_CSP
from spinelift.serve.job import Job, State
from spinelift.serve.jobs import FIRST
from spinelift.serve.problems import not_found, problem_response
from spinelift.serve.server import Server
from spinelift.serve.uploads import receive
from spinelift.serve.work import SUMMARY

WAIT_S = 0.05
"""Seconds between two looks at a job that a client waits for."""
_CHUNK = 1 << 20
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "spacing": {"type": "string", "example": "2.427,2.419"},
                        "area": {"type": "string", "enum": ["total-body"]},
                    },
                }
            }
        },
    }
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": RefusalDocument, "content": {"application/problem+json": {}}, "description": text}
    for status, text in {
        400: "No multipart form with a file", 401: "No token, or a wrong one", 413: "Too large",
        422: "A value, or a scan, that cannot be used", 429: "Too many requests",
        503: "The queue is full, or too many uploads at the same time", 507: "No room on the disk",
    }.items()
}  # fmt: skip
router = APIRouter(prefix="/v1")


def server_of(request: Request) -> Server:
    """The server that a request came to."""
    server: Server = request.app.state.server
    return server


def owner_of(request: Request) -> str:
    """Owner of the jobs that a request may see."""
    owner: str = request.state.owner
    return owner


This = Annotated[Server, Depends(server_of)]
Owner = Annotated[str, Depends(owner_of)]


def own_job(job_id: str, server: This, owner: Owner) -> Job:
    """A job of the session; RefusedError if there is none."""
    job = server.jobs.get(job_id, owner)
    if job is None:
        raise not_found("prediction")
    return job


OwnJob = Annotated[Job, Depends(own_job)]


def document_of(server: Server, job: Job, positions: dict[str, int] | None = None) -> JobDocument:
    """The document of a job; ``positions``: of all jobs that wait, if they are known."""
    positions = server.jobs.positions() if positions is None else positions
    position = positions.get(job.id) if job.state is State.QUEUED else None
    return job_document(job, position, _first(server, job))


@router.post(
    "/predictions", status_code=202, response_model=JobDocument, responses=PROBLEMS, openapi_extra=FORM
)
async def predict(request: Request, server: This, owner: Owner, wait: bool = False) -> Response:
    """Predict one scan: `file`, or several, which are the DICOM files of one folder.

    `spacing`: height and width of a pixel, mm, which pictures need. With `?wait=true` the response is the
    document of `curves.json`, or the problem of the scan.
    """
    with server.upload(client_of(request)) as folder:
        uploads = await receive(request, folder, server.settings.limits, apart=False)
        name, options = uploads.scan_name, uploads.options
        (job,) = await run_in_threadpool(server.jobs.add, owner, [(name, folder / "0000")], options)
    if wait:
        return await _curves(request, server, job)
    document = document_of(server, job)
    return JSONResponse(document.model_dump(mode="json"), 202, {"Location": document.links.self})


@router.get("/predictions", response_model=list[JobDocument])
def predictions(server: This, owner: Owner) -> list[JobDocument]:
    """Predictions of this session, newest first."""
    jobs, positions = server.jobs.of(owner), server.jobs.positions()
    return [document_of(server, job, positions) for job in jobs]


@router.get("/predictions.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def table(server: This, owner: Owner) -> Response:
    """Measures of this session's predictions, with the columns of `summary.csv`."""
    folders = [server.jobs.results(job) for job in server.jobs.of(owner) if job.state is State.DONE]
    headers = {"Content-Disposition": 'attachment; filename="summary.csv"'}
    return Response(summary_csv(folders), media_type="text/csv", headers=headers)


@router.get("/predictions/{job_id}", response_model=JobDocument)
def prediction(server: This, job: OwnJob) -> JobDocument:
    """One prediction."""
    return document_of(server, job)


@router.delete(
    "/predictions/{job_id}", response_model=JobDocument, responses={204: {"description": "Removed"}}
)
def delete(server: This, job: OwnJob) -> Response:
    """Cancel a prediction that has not ended; remove one that has, with its files."""
    if server.jobs.cancel(job):
        after = server.jobs.get(job.id, job.owner) or replace(job, state=State.CANCELLED)
        return JSONResponse(document_of(server, after).model_dump(mode="json"))
    server.jobs.remove(job)
    return Response(status_code=204)


@router.get("/predictions/{job_id}/files.zip", response_class=Response)
def archive(server: This, job: OwnJob) -> Response:
    """All files of a result as a zip."""
    if job.state is not State.DONE:
        raise not_found("result")
    file = TemporaryFile(dir=server.jobs.folder / "incoming")  # noqa: SIM115 (closed when it has been sent)
    stem = job.result.scan_id
    with zipfile.ZipFile(file, "w") as packed:
        for name in job.result.files:
            packed.write(server.jobs.results(job) / name, f"{stem}/{name}")
    file.seek(0)

    def chunks() -> Iterator[bytes]:
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk

    headers = {"Content-Disposition": f'attachment; filename="{stem}.zip"'}
    return StreamingResponse(chunks(), media_type="application/zip", headers=headers)


@router.get("/predictions/{job_id}/files/{name}", response_class=Response)
def file(server: This, job: OwnJob, name: str, download: Annotated[bool, Query()] = False) -> Response:
    """One file of a result, of those that the prediction lists."""
    path = _file(server, job, name)
    if path is None:
        raise not_found("file")
    stem = job.result.scan_id
    headers = {"Content-Disposition": f'attachment; filename="{stem}_{name}"'} if download else {}
    if path.suffix == ".html":
        headers["Content-Security-Policy"] = RESULT_CSP
    return FileResponse(path, media_type=media_type(name), headers=headers)


async def _curves(request: Request, server: Server, job: Job) -> Response:
    """The document of ``curves.json`` once the job has ended, or its problem."""
    while True:
        now = await run_in_threadpool(server.jobs.get, job.id, job.owner)
        if now is None or now.state is State.CANCELLED:
            raise not_found("prediction")
        if now.state.is_final:
            break
        if await request.is_disconnected():
            return Response(status_code=400)
        await asyncio.sleep(WAIT_S)
    links = {"Content-Location": f"/v1/predictions/{job.id}"}
    if now.result.problem:
        return problem_response(422, now.result.problem, links)
    path = server.jobs.results(now) / CURVES_JSON
    return FileResponse(path, media_type="application/json", headers=links)


def _first(server: Server, job: Job) -> tuple[dict[str, Any], dict[str, int]] | None:
    """Summary and files that a running job has already."""
    if job.state is not State.RUNNING:
        return None
    folder = server.jobs.path(job) / FIRST
    try:
        summary = json.loads((folder / SUMMARY).read_bytes())
        return summary, {VIEWER: (folder / VIEWER).stat().st_size}
    except OSError:  # not there yet
        return None


def _file(server: Server, job: Job, name: str) -> Path | None:
    """Path of a file of a job, if it is one of the list."""
    if job.state is State.DONE and name in job.result.files:
        path = server.jobs.results(job) / name
    elif job.state is State.RUNNING and name == VIEWER:
        path = server.jobs.path(job) / FIRST / VIEWER
    else:
        return None
    return path if path.is_file() else None
