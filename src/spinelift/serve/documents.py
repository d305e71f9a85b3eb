"""The documents of the HTTP interface: their form, which is the OpenAPI schema, and an example of each."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spinelift.errors import printable
from spinelift.inference.outputs import CURVES_CSV
from spinelift.serve.job import Job, State, timestamp

MEDIA_TYPES = {
    ".csv": "text/csv; charset=utf-8", ".dcm": "application/dicom", ".gif": "image/gif",
    ".glb": "model/gltf-binary", ".html": "text/html; charset=utf-8", ".json": "application/json",
    ".pdf": "application/pdf", ".png": "image/png", ".stl": "model/stl",
}  # fmt: skip
_ID = "6f1e0c3a9b5d4e7f8a2b1c0d9e8f7a6b"


class FileDocument(BaseModel):
    """A file of a result."""

    name: str = Field(examples=[CURVES_CSV])
    bytes: int = Field(examples=[31415])
    type: str = Field(examples=["text/csv; charset=utf-8"])
    url: str = Field(examples=[f"/v1/predictions/{_ID}/files/{CURVES_CSV}"])


class ProblemDocument(BaseModel):
    """Why a scan has no result; the class of the error and its exit code are those of the commands."""

    error: str = Field(examples=["NoSpacingError"])
    found: str = Field(examples=["a picture, which has no pixel size"])
    expected: str = Field(examples=["the pixel size in mm"])
    do: str = Field(examples=["Give the height and width of a pixel, mm."])
    exit_code: int | None = Field(examples=[15])


class RefusalDocument(ProblemDocument):
    """A problem document (RFC 9457): why a request was refused."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Service Unavailable"])
    status: int = Field(examples=[503])
    detail: str = Field(examples=["Found 1000 jobs that wait already. Expected …"])


class Links(BaseModel):
    """Addresses of a job."""

    self: str = Field(examples=[f"/v1/predictions/{_ID}"])
    archive: str = Field(examples=[f"/v1/predictions/{_ID}/files.zip"])


class JobDocument(BaseModel):
    """A job. ``summary`` and the 3D page in ``files`` can be there while it still runs."""

    model_config = ConfigDict(title="Prediction")

    id: str = Field(examples=[_ID])
    batch: str | None = Field(examples=[None])
    name: str = Field(examples=["1234567_20158_2_0.zip"])
    status: State = Field(examples=["done"])
    position: int | None = Field(description="Place in the queue, from 1.", examples=[None])
    created: str = Field(examples=["2026-01-31T12:00:00Z"])
    started: str | None = Field(examples=["2026-01-31T12:00:00Z"])
    finished: str | None = Field(examples=["2026-01-31T12:00:02Z"])
    expires: str = Field(examples=["2026-02-01T12:00:02Z"])
    scan_id: str | None = Field(examples=["1234567_2_0"])
    warnings: list[str] = Field(examples=[[]])
    error: ProblemDocument | None = Field(examples=[None])
    summary: dict[str, Any] | None = Field(
        description="`measures` and `screening` of curves.json.",
        examples=[{"measures": {"ferguson_deg": {"value": 15.9, "interval90": [14.5, 17.3]}}}],
    )
    files: list[FileDocument]
    links: Links


class BatchDocument(BaseModel):
    """A batch: its jobs, and how many of them are in each state."""

    id: str = Field(examples=[_ID])
    counts: dict[State, int] = Field(
        examples=[{"queued": 2, "running": 1, "done": 5, "failed": 0, "cancelled": 0}]
    )
    predictions: list[JobDocument]


def job_document(
    job: Job, position: int | None, first: tuple[dict[str, Any], dict[str, int]] | None = None
) -> JobDocument:
    """The document of a job; ``first``: summary and files that a running one has already."""
    result, url = job.result, f"/v1/predictions/{job.id}"
    summary, sizes = (result.summary, result.files) if first is None else first
    scan_id = result.scan_id or (summary or {}).pop("scan_id", None)
    files = [
        FileDocument(name=name, bytes=size, type=media_type(name), url=f"{url}/files/{name}")
        for name, size in sizes.items()
    ]
    error = ProblemDocument(**vars(result.problem)) if result.problem else None
    return JobDocument(
        id=job.id, batch=job.batch or None, name=printable(job.name) or scan_id or "scan", status=job.state,
        position=position,
        created=timestamp(job.created) or "", started=timestamp(job.started),
        finished=timestamp(job.finished), expires=timestamp(job.expires) or "",
        scan_id=scan_id, warnings=list(result.warnings),
        error=error, summary=summary,
        files=files, links=Links(self=url, archive=f"{url}/files.zip"),
    )  # fmt: skip


def media_type(name: str) -> str:
    """Media type of a file of a result."""
    return MEDIA_TYPES["." + name.rpartition(".")[2]]
