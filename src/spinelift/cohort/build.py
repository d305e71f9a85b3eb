"""A store from two folders of archives: find visits, process new ones, write manifest and pairs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl
from dask.utils import parse_bytes

from spinelift import engine
from spinelift.cohort.leave import check_missing, read_withdrawn, remove_visits, stored_visits
from spinelift.cohort.manifest import PARTS, compact, read_splits, write_sealed_json
from spinelift.cohort.record import FAILED, Record, all_parts, failed_record, read_part, write_part
from spinelift.cohort.stages import Settings, process_visit
from spinelift.cohort.status import RUNNING
from spinelift.errors import ConfigError, DamagedFileError
from spinelift.files import make_folder, remove_files, remove_unfinished
from spinelift.io.visits import Visit, find_visits
from spinelift.progress import Advance

Progress = Callable[[str, int], AbstractContextManager[Advance]]
Work = Callable[[Visit], Record]


@dataclass(frozen=True)
class Plan:
    """A build of the store ``out`` from folders of archives and of segmentations by another program.

    ``workers`` local processes with ``memory`` each are started, unless ``scheduler`` is the address of a
    Dask scheduler. ``retry_failed``: process failed visits again. ``withdrawn``: list of people who are
    left out and removed, whatever the folders hold. ``remove_missing``: many visits may have lost archives.
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
    remove_missing: bool = False


@dataclass(frozen=True)
class _Held:
    """What a build must know of a part: both archives' names, and what the result depends on."""

    archives: tuple[str, str]
    status: str
    made_from: tuple[str, str]

    def is_complete(self, visit: Visit) -> bool:
        """Whether a visit has the archives, by kind, that the part was made from."""
        return all(path or not name for name, path in zip(self.archives, (visit.dxa, visit.mri), strict=True))


def build(
    plan: Plan,
    *,
    progress: Progress,
    log: Callable[[str], None],
    digest: str | None = None,
    work: Work | None = None,
) -> pl.DataFrame:
    """Build a store of exactly the archives in the folders, or continue building; returns the manifest.

    Withdrawn people, and visits of an earlier build whose archives are gone, are removed first.
    ``digest`` is the hash of what records depend on besides the files, by default
    ``Settings.load_and_hash``: a record with another one is made again. ``work`` makes a visit's record in
    place of ``process_visit``.
    Raises NoScansError if no archives are found, ConfigError if so many of the store's are missing that a
    folder must be wrong, DamagedFileError if ``splits.json`` was changed, OutputError if the store cannot be
    written.
    """
    if bool(plan.labels) != bool(plan.settings.label_scheme):
        raise ConfigError(
            found="label maps without a scheme, or a scheme without label maps",
            expected="--mri-labels and --mri-label-scheme together",
            do="Give both or neither.",
        )
    left = read_withdrawn(plan.withdrawn) if plan.withdrawn else set()
    parts = plan.out / PARTS
    if not parts.is_dir():
        find_visits(plan.dxa, plan.mri, plan.labels)  # a mistyped folder makes no store
    make_folder(parts)
    read_splits(plan.out)  # fails now rather than at the end
    remove_unfinished(plan.out, *parts.iterdir())
    held = _read_parts(parts, log)
    known = stored_visits(plan.out, held)
    _remove(plan.out, known, {key for key in known if int(key.split("_")[0]) in left}, log)
    known = {key for key in known if int(key.split("_")[0]) not in left}
    found = find_visits(plan.dxa, plan.mri, plan.labels)
    visits = [visit for visit in found.visits if visit.eid not in left]
    for kind, count in found.ignored.items():
        log(f"ignored {count} files {kind}")
    if left:
        log(f"{len(left)} people withdrew, with {len(found.visits) - len(visits)} visits in the folders")
    complete = {v.key for v in visits if v.key not in held or held[v.key].is_complete(v)}
    if not plan.remove_missing:
        check_missing(len(known - complete), len(known))
    _remove(plan.out, known, known - {visit.key for visit in visits}, log)
    running = plan.out / RUNNING
    write_sealed_json(running, {"visits": len(visits), "todo": None})
    digest = digest or plan.settings.load_and_hash()
    todo = [v for v in visits if not _is_done(v, held.get(v.key), digest, plan.retry_failed)]
    log(f"{len(visits)} visits, {len(visits) - len(todo)} of them already done")
    write_sealed_json(running, {"visits": len(visits), "todo": len(todo)})
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
    manifest = compact(plan.out)
    remove_files([running])
    return manifest


def _bytes(memory: str) -> int:
    try:
        return int(parse_bytes(memory))
    except ValueError:
        do = "Give a number and a unit."
        raise ConfigError(found=f"--memory {memory}", expected="a size such as 4GiB", do=do) from None


def _read_parts(parts: Path, log: Callable[[str], None]) -> dict[str, _Held]:
    """Parts of an earlier build, by visit; damaged ones are removed, so that they are made again."""
    held, bad = {}, []
    for path in all_parts(parts):
        try:
            record = read_part(path, arrays=())
        except DamagedFileError:
            bad.append(path)
        else:
            made_from = record.fingerprint, record.settings
            held[record.key] = _Held((record.dxa_name, record.mri_name), record.status, made_from)
    if bad:
        log(f"{len(bad)} parts are damaged or of another version, and are made again")
        remove_files(bad)
    return held


def _remove(store: Path, known: set[str], gone: set[str], log: Callable[[str], None]) -> None:
    remove_visits(store, gone)
    if gone:
        people = {key.split("_")[0] for key in gone} - {key.split("_")[0] for key in known - gone}
        log(f"{len(gone)} visits left the store, and with them all data of {len(people)} people")


def _is_done(visit: Visit, held: _Held | None, digest: str, retry_failed: bool) -> bool:
    if held is None or (retry_failed and held.status == FAILED):
        return False
    return held.made_from == (visit.fingerprint, digest)
