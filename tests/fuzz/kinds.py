"""Every kind of input: its maker of cases and its share of the inputs; numbers depend on the order."""

from collections.abc import Sequence

from tests.fuzz import cohort, documents, dxa, nifti, pictures, slices, zips
from tests.fuzz.case import Maker

SHARES: dict[str, tuple[Maker, float]] = {
    "dicom-same": (dxa.same, 10),
    "dicom-fields": (dxa.fields, 14),
    "dicom-bytes": (dxa.bits, 16),
    "dicom-bombs": (dxa.bomb, 0.5),
    "dxa-zip-same": (zips.dxa_same, 4),
    "dxa-zip-damaged": (zips.dxa_damaged, 6),
    "dxa-zip-members": (slices.dxa, 6),
    "dixon-zip-same": (zips.dixon_same, 2),
    "dixon-zip-damaged": (zips.dixon_damaged, 2),
    "dixon-zip-members": (slices.dixon, 4),
    "zip-hostile": (zips.hostile, 3),
    "picture-same": (pictures.same, 4),
    "picture-fields": (pictures.fields, 5),
    "picture-damaged": (pictures.damaged, 6),
    "picture-bombs": (pictures.bomb, 0.5),
    "nifti-same": (nifti.same, 4),
    "nifti-fields": (nifti.fields, 6),
    "nifti-damaged": (nifti.damaged, 5),
    "nifti-bombs": (nifti.bomb, 0.3),
    "bundle": (documents.bundle, 3),
    "config": (documents.config, 6),
    "truth": (documents.truth, 5),
    "withdrawn": (documents.withdrawn, 4),
    "cohort-part": (cohort.part, 5),
    "cohort-manifest": (cohort.manifest, 4),
    "cohort-store": (cohort.store, 3),
    "dxa-folder": (slices.folder, 2),
}
KINDS: dict[str, Maker] = {kind: maker for kind, (maker, _) in SHARES.items()}


def order_of(kind: str) -> int:
    """Number of a kind, which its random numbers depend on."""
    return list(KINDS).index(kind)


def keys(seed: int, count: int, kinds: Sequence[str]) -> list[tuple[str, int, int]]:
    """About ``count`` inputs of some kinds by their shares, at least one of each, dealt in turn."""
    total = sum(SHARES[kind][1] for kind in kinds)
    counts = {kind: max(round(count * SHARES[kind][1] / total), 1) for kind in kinds}
    found = [(number / counts[kind], kind, seed, number) for kind in kinds for number in range(counts[kind])]
    return [(kind, s, number) for _, kind, s, number in sorted(found)]
