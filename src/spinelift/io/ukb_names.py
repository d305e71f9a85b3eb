"""Names of UK Biobank's bulk files, ``<eid>_<field>_<instance>_<array>.zip``: parser and formatter."""

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import PurePath

DXA_FIELD = 20158
"""Data field of the DXA images."""
DIXON_FIELD = 20201
"""Data field of the neck-to-knee Dixon MRI."""
MAX_EID = 10**18 - 1
"""Largest participant number: 18 digits fit a signed 64-bit integer."""
MAX_FIELD, MAX_INSTANCE, MAX_ARRAY = 999_999, 999, 999

_NUMBER = "(0|[1-9][0-9]*)"  # ASCII digits without leading zeros
_NAME = re.compile("_".join([_NUMBER] * 4))


@dataclass(frozen=True, order=True)
class UkbName:
    """The four numbers of a bulk file; raises ValueError if one is out of bounds.

    ``eid`` is the participant, from 1 (UK Biobank's own have seven digits, 1000000 to 6999999), ``field`` the
    data field, from 1; ``instance`` and ``array`` are the visit and the item within the visit, from 0.
    """

    eid: int
    field: int
    instance: int
    array: int = 0

    def __post_init__(self) -> None:
        fits = 1 <= self.eid <= MAX_EID and 1 <= self.field <= MAX_FIELD
        if not (fits and 0 <= self.instance <= MAX_INSTANCE and 0 <= self.array <= MAX_ARRAY):
            raise ValueError(f"no name of a bulk file: {self.eid}_{self.field}_{self.instance}_{self.array}")

    @classmethod
    def parse(cls, path: str | PathLike[str]) -> "UkbName | None":
        """Numbers in the name of a file or folder, whatever its suffix; None if it is no such name."""
        match = _NAME.fullmatch(PurePath(path).stem)
        try:
            return cls(*map(int, match.groups())) if match else None
        except ValueError:
            return None

    @property
    def visit(self) -> str:
        """``<eid>_<instance>``."""
        return visit_key(self.eid, self.instance)

    @property
    def item(self) -> str:
        """``<eid>_<instance>_<array>``."""
        return f"{self.visit}_{self.array}"

    @property
    def zip(self) -> str:
        """``<eid>_<field>_<instance>_<array>.zip``."""
        return f"{self.eid}_{self.field}_{self.instance}_{self.array}.zip"


def visit_key(eid: int, instance: int) -> str:
    """``<eid>_<instance>``: the name of a visit in results."""
    return f"{eid}_{instance}"
