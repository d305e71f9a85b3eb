"""The scans of a batch: each has a path, the path as the user gave it, and a name in results of its own."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from spinelift.errors import SpineliftError, printable
from spinelift.io.dxa.read import scan_sha256
from spinelift.io.dxa.scan import scan_id
from spinelift.io.ukb_names import DXA_FIELD, UkbName

_DIGITS = 12
"""Hex digits of a hash in a name: 50,000 different files of one name collide with probability 4e-6."""


@dataclass(frozen=True)
class Scan:
    """One scan: its absolute path, the path as given or the name of an upload, and its name in results.

    ``digits``: of the hash of its content, where another scan has the same name.
    """

    path: Path
    given: str
    name: str
    digits: str = ""

    @property
    def scan_id(self) -> str:
        """Name of the result, which no other scan of the run has."""
        return f"{self.name}-{self.digits}" if self.digits else self.name

    @property
    def ukb(self) -> UkbName | None:
        """Numbers of a UK Biobank name."""
        name = UkbName.parse(self.given)
        return name if name is not None and name.field == DXA_FIELD else None

    def with_hash(self, sha256: str) -> "Scan":
        """The same scan with its hash in the id."""
        return replace(self, digits=sha256[:_DIGITS])


def name_scans(paths: Iterable[Path]) -> tuple[list[Scan], int]:
    """Scans of paths in order, and how many paths were left out as copies of another one.

    Where several files would have one id, equal ones are one scan, and each different one has the hash of
    its content in its id. Ids that differ in upper and lower case alone count as one.
    """
    groups: dict[str, list[Scan]] = {}
    for path in paths:
        scan = named_scan(path)
        groups.setdefault(scan.name.casefold(), []).append(scan)
    scans: list[Scan] = []
    copies = 0
    for group in groups.values():
        if len(group) > 1:
            different = {_hash(scan): scan for scan in reversed(group)}
            copies += len(group) - len(different)
            group = list(different.values())
            if len(group) > 1:
                group = [scan.with_hash(sha256) for sha256, scan in different.items()]
        scans += group
    return scans, copies


def named_scan(path: Path) -> Scan:
    """The scan of a path, named as if it were alone."""
    scan = Scan(Path(os.path.abspath(path)), printable(str(path)), "")  # noqa: PTH100
    return replace(scan, name=scan_id(path, partial(_hash, scan)))


def _hash(scan: Scan) -> str:
    """Hash of the content; of the path if it cannot be read, which the prediction will find."""
    try:
        return scan_sha256(scan.path)
    except SpineliftError:
        return hashlib.sha256(scan.given.encode()).hexdigest()
