"""The scan that the readers return: pixels, pixel size, a pseudonym, and nothing personal."""

from dataclasses import dataclass, field

from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float32
from spinelift.io.identity import NOBODY, Identity


@dataclass(frozen=True)
class DxaScan:
    """One total-body DXA.

    Parameters
    ----------
    scan_id
        Pseudonym: ``<eid>_<instance>`` for UK Biobank names, else ``dxa-`` and 12 hex digits of ``sha256``.
    bone
        Bone image, float32 [H, W], 0 (air) to 255; rows to the feet, columns to the patient's left.
    tissue
        Tissue image of the same shape, or None.
    spacing
        Pixel size, mm.
    sha256
        Hash of the file, or of the content in memory, that was read.
    warnings
        Remarks on the file for the reader of the result.
    identity
        Patient of the header, to be compared with another archive's; it shows nothing.
    """

    scan_id: str
    bone: Float32
    tissue: Float32 | None
    spacing: Spacing
    sha256: str
    warnings: tuple[str, ...] = ()
    identity: Identity = field(default=NOBODY, repr=False, compare=False)
