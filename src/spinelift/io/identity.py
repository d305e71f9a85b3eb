"""Whether two archives are of one person: header fields that are compared in memory and never kept."""

import re
import secrets
import unicodedata
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from spinelift.errors import IdentityMismatchError
from spinelift.io.ukb_names import UkbName

FIELDS = ("PatientID", "PatientBirthDate", "PatientSex")
OTHER_NAME = "PatientID is not the participant of the file's name: another pseudonym, or a misnamed file."

_KEY = secrets.token_bytes(32)
_PLACEHOLDER = re.compile(r"anon\w*|de-?ident\w*|removed|unknown|none|n/?a|[x0\W_]*")
_FIRST_BIRTH = "1902"
"""Years before it stand for unknown ones (1900-01-01 and the like)."""
_NO_DAY = ("", "00", "0000", "0101")
"""What is behind the year where only that is known, as de-identification leaves it."""
_BIRTH, _DAY = "PatientBirthDate", " day"


class Identity:
    """Patient of a header, as digests under a key of this process; it shows nothing, and copies are empty.

    ``header`` has texts by keyword; absent ones and placeholders are not compared.
    """

    __slots__ = ("_digests", "_numbers")

    def __init__(self, header: Mapping[str, str] | None = None) -> None:
        plain = {name: _plain(name, value) for name, value in (header or {}).items()}
        if birth := plain.get(_BIRTH):  # of some dates only the year is known
            plain |= {_BIRTH: birth[:4], _BIRTH + _DAY: "" if birth[4:] in _NO_DAY else birth}
        self._digests = {name: _digest(value) for name, value in plain.items() if value}
        self._numbers = {_digest(number) for number in re.findall(r"\d+", plain.get("PatientID", ""))}

    def __repr__(self) -> str:
        return "Identity()"

    def __reduce__(self) -> tuple[object, ...]:
        return Identity, ()

    def differences(self, other: "Identity") -> list[str]:
        """Names of the fields that both carry and that differ."""
        both = self._digests.keys() & other._digests.keys()
        different = {name.removesuffix(_DAY) for name in both if self._digests[name] != other._digests[name]}
        return [name for name in FIELDS if name in different]

    @property
    def patient(self) -> bytes:
        """Digest of the PatientID, empty if there is none: equal for one person, in this process alone."""
        return self._digests.get("PatientID", b"")

    def contradicts(self, path: Path) -> bool:
        """Whether a file has a UK Biobank name whose participant is not in its PatientID."""
        name = UkbName.parse(path)
        return (
            name is not None and "PatientID" in self._digests and _digest(str(name.eid)) not in self._numbers
        )


def check_same_person(dxa: Identity, mri: Identity) -> None:
    """Raise IdentityMismatchError, which names fields and no values, if the headers are of two people."""
    if different := dxa.differences(mri):
        raise IdentityMismatchError(
            found=f"a DXA and an MRI that differ in {', '.join(different)}",
            expected="archives of one person",
            do="Check which archive is misnamed. If the headers hold other pseudonyms, blank these fields "
            "in one (only those that both carry count), or give --ignore-identity (align, cohort build).",
        )


def _plain(name: str, value: str) -> str:
    """A value as it is compared; empty if it says nothing."""
    value = "".join(unicodedata.normalize("NFKC", value).strip(" \0").casefold().split())
    if name == "PatientSex":
        return value[:1] if value[:1] in ("f", "m") else ""
    if name == _BIRTH:
        value = re.sub(r"[.\-/]", "", value)
        return value if re.fullmatch(r"\d{4}(00|\d{4})?", value) and value >= _FIRST_BIRTH else ""
    return "" if _PLACEHOLDER.fullmatch(value) else value.lstrip("0")


def _digest(value: str) -> bytes:
    return blake2b(value.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=16).digest()


NOBODY = Identity()
"""Of an image without a header."""
