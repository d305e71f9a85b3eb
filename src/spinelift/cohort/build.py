"""A store from two folders of archives: find visits, process new ones, write manifest and pairs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl
from dask.utils import parse_bytes

from spinelift import engine
from spinelift.cohort.leave import read_withdrawn, remove_others
from spinelift.cohort.manifest import PARTS, compact
from spinelift.cohort.record import FAILED, Record, failed_record, part_path, read_part, write_part
from spinelift.cohort.stages import Settings, process_visit
from spinelift.errors import ConfigError
from spinelift.files import make_folder, remove_unfinished
from spinelift.io.visits import Visit, find_visits
from spinelift.progress import Advance

Progress = Callable[[str, int], AbstractContextManager[Advance]]
Work = Callable[[Visit], Record]


@dataclass(frozen=True)
class Plan:
    """A build of the store ``out`` from folders of archives and of segmentations by another program.

    ``workers`` local processes with ``memory`` each are started, unless ``scheduler`` is the address of a
    Dask scheduler. ``retry_failed``: process failed visits again. ``withdrawn``: list of people who are
    left out and removed, whatever the folders hold.
    """

    dxa: Path
    mri: Path
    out: Path
    labels: Path | None = None
    settings: Settings = field(default_factory=Settings)
    workers: int = 1
    scheduler: str | None = None
    memory: str = "4GiB"
    retry_failed: bool = False
    withdrawn: Path | None = None


def build(
    plan: Plan,
    *,
    digest: str,
    progress: Progress,
    log: Callable[[str], None],
    work: Work | None = None,
) -> pl.DataFrame:
    """Build a store of exactly the archives in the folders, or continue building; returns the manifest.

    Visits of an earlier build whose archives are gone, and withdrawn people, are removed first.
    ``digest`` is the hash of what records depend on besides the files (``Settings.load_and_hash``): a record
    with another one is made again. ``work`` makes a visit's record in place of ``process_visit``.
    Raises NoScansError if no archives are found, OutputError if the store cannot be written.
    """
    if bool(plan.labels) != bool(plan.settings.label_scheme):
        raise ConfigError(
            found="label maps without a scheme, or a scheme without label maps",
            expected="--mri-labels and --mri-label-scheme together",
            do="Give both or neither.",
        )
    left = read_withdrawn(plan.withdrawn) if plan.withdrawn else set()
    found = find_visits(plan.dxa, plan.mri, plan.labels)
    visits = [visit for visit in found.visits if visit.eid not in left]
    if found.unknown:
        log(f"ignored {len(found.unknown)} files with names of another kind")
    parts = plan.out / PARTS
    make_folder(parts)
    remove_unfinished(plan.out, *parts.iterdir())
    if left:
        log(f"{len(left)} people withdrew, with {len(found.visits) - len(visits)} visits in the folders")
    gone, people = remove_others(plan.out, parts, {visit.key for visit in visits})
    if gone:
        log(f"{gone} visits left the store, and with them all data of {people} people")
    todo = [v for v in visits if not _is_done(v, parts, digest, plan.retry_failed)]
    log(f"{len(visits)} visits, {len(visits) - len(todo)} of them already done")
    if todo:
        task = work or partial(process_visit, settings=plan.settings, digest=digest)
        results = engine.run(
            task, todo, workers=plan.workers, scheduler=plan.scheduler, memory=_bytes(plan.memory)
        )
        with closing(results), progress("visits", len(todo)) as advance:
            for visit, result in results:
                record = result if isinstance(result, Record) else failed_record(visit, result, digest)
                write_part(parts, record)
                advance(1)
    return compact(plan.out)


def _bytes(memory: str) -> int:
    try:
        return int(parse_bytes(memory))
    except ValueError:
        do = "Give a number and a unit."
        raise ConfigError(found=f"--memory {memory}", expected="a size such as 4GiB", do=do) from None


def _is_done(visit: Visit, parts: Path, digest: str, retry_failed: bool) -> bool:
    path = part_path(parts, visit.key)
    if not path.is_file():
        return False
    record = read_part(path, arrays=False)
    if retry_failed and record.status == FAILED:
        return False
    return record.fingerprint == visit.fingerprint and record.settings == digest
