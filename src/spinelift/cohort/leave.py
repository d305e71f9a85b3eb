"""People and visits that leave a store: withdrawn from the study, or with archives that are gone."""

import re
from collections.abc import Collection
from pathlib import Path

from spinelift.cohort.manifest import MANIFEST, PARTS, compact, read_table
from spinelift.cohort.record import all_parts
from spinelift.errors import ConfigError, DamagedFileError
from spinelift.files import remove_files
from spinelift.io.ukb_names import visit_key

MANY, MANY_SHARE = 10, 0.1
"""A build stops if at least so many visits, and more than this share, have lost archives."""
_EID = re.compile(r"-?\d+(\.0*)?")
_HEADING = re.compile(r"(n_|f\.)?eid\b.*|participant.?id.*", re.IGNORECASE)


def read_withdrawn(path: Path) -> set[int]:
    """Participants of a withdrawal list: one number a line, or CSV with the column eid, else the first one.

    Raises ConfigError, which names lines and no numbers, if it is missing, is no such list, or names nobody.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        raise _no_list("a withdrawal list that is missing, or is no text in UTF-8") from None
    rows = {k: [c.strip(" \"'") for c in re.split("[,;\t]", line)] for k, line in enumerate(lines, 1)}
    rows = {k: row for k, row in rows.items() if any(row)}
    column, first = 0, next(iter(rows), 0)
    if first and not any(map(_EID.fullmatch, rows[first])):
        column = next((k for k, cell in enumerate(rows.pop(first)) if _HEADING.fullmatch(cell)), 0)
    people = set()
    for number, row in rows.items():
        if column >= len(row) or not _EID.fullmatch(row[column]):
            raise _no_list(f"no participant number in line {number} of the withdrawal list")
        people.add(int(row[column].split(".")[0]))
    if not people:
        raise _no_list("a withdrawal list that names nobody")
    return people


def _no_list(found: str) -> ConfigError:
    do = "Pass the file as UK Biobank sends it, or leave --withdrawn out."
    return ConfigError(found=found, expected="one EID a line, or a CSV file with a column eid", do=do)


def stored_visits(store: Path, held: Collection[str]) -> set[str]:
    """Keys of the visits of a store: those with parts, ``held``, and those of a whole manifest."""
    try:
        rows = read_table(store / MANIFEST).select("eid", "instance").rows()
    except DamagedFileError:  # it is made again from the parts
        rows = []
    return set(held) | {visit_key(eid, instance) for eid, instance in rows}


def remove_visits(store: Path, gone: Collection[str]) -> None:
    """Remove visits from all files of a store.

    Manifest, pairs and splits are made again at once, and the report, which shows bodies, is removed: a build
    that is killed later leaves nobody behind.
    """
    if gone:
        remove_files(path for path in all_parts(store / PARTS) if path.stem in gone)
        remove_files([store / "report.html", store / "verdict.json"])
        compact(store)


def check_missing(missing: int, known: int) -> None:
    """Raise ConfigError if so many of the known visits have lost an archive that a folder must be wrong."""
    if missing >= MANY and missing > MANY_SHARE * known:
        raise ConfigError(
            found=f"{missing} of the store's {known} visits without the archives that they were made from",
            expected="folders that hold almost all of them",
            do="Check --dxa and --mri: a folder may be mistyped or not mounted. If archives were removed on "
            "purpose, give --remove-missing.",
        )
