"""Routes of ``/v1/batches``: many scans in one request, of the session that asks."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from spinelift.serve.access import client_of
from spinelift.serve.api import FORM, PROBLEMS, Owner, This, document_of
from spinelift.serve.documents import BatchDocument
from spinelift.serve.job import Job, State, clean_name
from spinelift.serve.problems import not_found
from spinelift.serve.server import Server
from spinelift.serve.uploads import receive

router = APIRouter(prefix="/v1")


@router.post(
    "/batches", status_code=202, response_model=BatchDocument, responses=PROBLEMS, openapi_extra=FORM
)
async def predict_batch(request: Request, server: This, owner: Owner) -> Response:
    """Predict many scans: each `file` is one."""
    with server.upload(client_of(request)) as folder:
        uploads = await receive(request, folder, server.settings.limits, apart=True)
        scans = [(clean_name(name), path.parent) for name, path in uploads.files]
        options = uploads.options
        batch_id = server.jobs.new_id()
        jobs = await run_in_threadpool(server.jobs.add, owner, scans, options, batch=batch_id)
    document = _batch(server, batch_id, jobs)
    return JSONResponse(document.model_dump(mode="json"), 202, {"Location": f"/v1/batches/{batch_id}"})


@router.get("/batches/{batch_id}", response_model=BatchDocument)
def batch(server: This, owner: Owner, batch_id: str) -> BatchDocument:
    """A batch of this session."""
    jobs = server.jobs.of(owner, batch_id)[::-1]
    if not jobs:
        raise not_found("batch")
    return _batch(server, batch_id, jobs)


@router.delete("/batches/{batch_id}", response_model=BatchDocument)
def cancel_batch(server: This, owner: Owner, batch_id: str) -> BatchDocument:
    """Cancel the predictions of a batch that have not ended."""
    for job in server.jobs.of(owner, batch_id):
        server.jobs.cancel(job)
    return batch(server, owner, batch_id)


def _batch(server: Server, batch_id: str, jobs: list[Job]) -> BatchDocument:
    counts = {state: sum(job.state is state for job in jobs) for state in State}
    positions = server.jobs.positions()
    documents = [document_of(server, job, positions) for job in jobs]
    return BatchDocument(id=batch_id, counts=counts, predictions=documents)
