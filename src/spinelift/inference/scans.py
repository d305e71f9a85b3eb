"""The scans of a batch: each has a path, the path as the user gave it, and a name in results of its own."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spinelift.errors import SpineliftError, printable
from spinelift.io.dxa.read import scan_sha256
from spinelift.io.dxa.scan import scan_id
from spinelift.io.ukb_names import DXA_FIELD, UkbName

_DIGITS = 12
"""Hex digits of a hash in a name: 50,000 different files of one name collide with probability 4e-6."""


@dataclass(frozen=True)
class Scan:
    """One scan: its absolute path, the path as given, and its id, which no other scan of the run has."""

    path: Path
    given: str
    scan_id: str

    @property
    def ukb(self) -> UkbName | None:
        """Numbers of a UK Biobank name."""
        name = UkbName.parse(self.path)
        return name if name is not None and name.field == DXA_FIELD else None

    def with_hash(self, sha256: str) -> "Scan":
        """The same scan with its hash in the id."""
        return Scan(self.path, self.given, f"{self.scan_id}-{sha256[:_DIGITS]}")


def name_scans(paths: Iterable[Path]) -> tuple[list[Scan], int]:
    """Scans of paths in order, and how many paths were left out as copies of another one.

    Where several files would have one id, equal ones are one scan, and each different one has the hash of
    its content in its id. Ids that differ in upper and lower case alone count as one.
    """
    groups: dict[str, list[Scan]] = {}
    for path in paths:
        text = printable(str(path))
        name = scan_id(path, hashlib.sha256(text.encode()).hexdigest())
        groups.setdefault(name.casefold(), []).append(Scan(Path(os.path.abspath(path)), text, name))  # noqa: PTH100
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


def _hash(scan: Scan) -> str:
    """Hash of the content; of the path if it cannot be read, which the prediction will find."""
    try:
        return scan_sha256(scan.path)
    except SpineliftError:
        return hashlib.sha256(scan.given.encode()).hexdigest()
