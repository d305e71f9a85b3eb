"""What a server is started with."""

from dataclasses import dataclass, field
from pathlib import Path

from spinelift.serve.node.config import NodeConfig


@dataclass(frozen=True)
class Limits:
    """Bounds of what clients can make a server do.

    Parameters
    ----------
    upload_bytes
        Largest body of a request.
    files
        Most files of one request.
    queued
        Most jobs that wait.
    uploads
        Requests that may send files at the same time, half of them of one client.
    per_minute
        POST requests of one client address in a minute.
    keep_s
        Seconds that a job is kept after it ended.
    upload_s
        Seconds that an upload may take.
    job_s, worker_bytes
        Time, and memory of its process, that one job may take. A Dask cluster has its own bounds.
    """

    upload_bytes: int = 512 << 20
    files: int = 1000
    queued: int = 1000
    uploads: int = 16
    per_minute: int = 600
    upload_s: float = 900
    keep_s: float = 24 * 3600
    job_s: float = 120
    worker_bytes: int = 3 << 30


@dataclass(frozen=True)
class Settings:
    """Options of ``spinelift serve``.

    Parameters
    ----------
    data
        Absolute path of the folder of the jobs.
    bundle
        Path of a model bundle; None for the shipped one.
    workers
        Processes; with a ``scheduler`` (address of a Dask scheduler), jobs that it has at a time. 0: one
        thread of this process.
    hostnames
        Names that clients may call the server by, besides addresses and ``localhost``.
    token
        What clients must know; None: nothing, on a loopback address.
    node
        Configuration of the DICOM node; None for no node.
    """

    data: Path
    bundle: str | None = None
    workers: int = 2
    scheduler: str | None = None
    hostnames: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    node: NodeConfig | None = None
    limits: Limits = Limits()
