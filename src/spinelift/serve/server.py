"""The parts of a running server, which its routes share."""

from dataclasses import dataclass

from spinelift.serve.jobs import Jobs
from spinelift.serve.pool import Pool
from spinelift.serve.settings import Settings


@dataclass(frozen=True)
class Server:
    """Settings, jobs and workers of a server."""

    settings: Settings
    jobs: Jobs
    pool: Pool
