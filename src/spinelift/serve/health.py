"""For those who run a server: ``/healthz``, ``/readyz``, ``/metrics``. Nothing personal."""

import os
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from spinelift.serve.job import Job, Result
from spinelift.serve.server import Server

_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120)
router = APIRouter()


class Metrics:
    """Counters of a server, which Prometheus reads; routes by their templates."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(self)
        self._requests = Counter(
            "spinelift_requests", "Requests.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "spinelift_request_seconds", "Time of requests.", ["route"], registry=self.registry
        )
        self._jobs = Counter(
            "spinelift_jobs_ended", "Jobs that ended, by error.", ["error"], registry=self.registry
        )
        self._job_seconds = Histogram(
            "spinelift_job_seconds", "Time of jobs, with waiting.", buckets=_SECONDS, registry=self.registry
        )
        server.pool.on_finish.append(self._finished)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS") else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Jobs in each state now, and whether the workers are ready (called by the registry)."""
        jobs = GaugeMetricFamily("spinelift_jobs", "Jobs that are kept, by state.", labels=["state"])
        for state, count in self._server.jobs.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        yield GaugeMetricFamily("spinelift_ready", "Workers are ready.", value=float(_is_ready(self._server)))

    def _finished(self, job: Job, result: Result) -> None:
        self._jobs.labels(result.problem.error if result.problem else "").inc()
        self._job_seconds.observe(max(self._server.jobs.now() - job.created, 0))


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process is alive."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not ready"}})
def readyz(request: Request) -> Response:
    """Whether work is taken: every worker has done a first prediction, and jobs can be kept."""
    ready = _is_ready(request.app.state.server)
    return JSONResponse({"ready": ready}, 200 if ready else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _is_ready(server: Server) -> bool:
    folder = server.jobs.folder / "incoming"
    return server.pool.is_working and os.access(folder, os.W_OK)
