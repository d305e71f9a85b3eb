"""Which donors simulated people have."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from spinelift.errors import ConfigError

if TYPE_CHECKING:
    from spinelift.simulate.body.library import DonorLibrary


@dataclass(frozen=True)
class Donors:
    """Which donors simulated people have.

    Parameters
    ----------
    files
        Libraries that are added to the shipped one.
    without
        People who are left out.
    shipped
        Whether the shipped library takes part. Without it and ``files`` all vertebrae are the template's.
    blends
        Whether vertebrae of several donors are blended.
    bone_map
        Whether the cortex of registered donors is that of CTs, and not a shell of fixed thickness.
    """

    files: tuple[Path, ...] = ()
    without: tuple[str, ...] = ()
    shipped: bool = True
    blends: bool = True
    bone_map: bool = True

    def load(self) -> "DonorLibrary":
        """The library; read once a process.

        Raises
        ------
        ConfigError
            A file does not exist, or ``without`` names someone who is in none.
        DamagedFileError
            A file is no library, or was changed.
        """
        return _load(self)


ALL_SHIPPED = Donors()
"""The donors of the shipped library."""


@lru_cache(maxsize=8)
def _load(donors: Donors) -> "DonorLibrary":
    from spinelift.simulate.donors.library import SHIPPED, load_library

    library = load_library([*([SHIPPED] if donors.shipped else []), *donors.files])
    if unknown := sorted(set(donors.without) - set(library.people)):
        raise ConfigError(
            found=f"no donor {', '.join(unknown)}",
            expected=f"some of {', '.join(library.people) or 'no one'}",
            do="Check --without-donor; spinelift simulate donors list shows who is in a library.",
        )
    library = library.without(donors.without)
    if not donors.bone_map:
        library = replace(library, vertebrae=tuple(replace(v, cortex=None) for v in library.vertebrae))
    return library if donors.blends else replace(library, blend_share=0.0)
