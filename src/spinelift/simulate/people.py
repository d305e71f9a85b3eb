"""Simulated people as UK Biobank's archives, with the truth beside them.

``out/dxa/<eid>_20158_2_0.zip`` is what the real archive holds; ``out/truth/<eid>_2.json`` is what no real
archive has. A person's truth is written last: a person without it is made again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spinelift.io.truth import (
    DxaTruth,
    LateralTruth,
    PostureTruth,
    SimulatedTruth,
    truth_path,
    write_truth,
)
from spinelift.io.ukb_names import visit_key
from spinelift.progress import Advance
from spinelift.simulate.archive.dxa import DxaImage, write_dxa_zip
from spinelift.simulate.archive.headers import FIRST_VISIT
from spinelift.simulate.body.body import Body, sample_body
from spinelift.simulate.body.posture import sample_side_posture
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.donors.choice import ALL_SHIPPED
from spinelift.simulate.dxa.scan import SimulatedScan, take_lateral, take_scan
from spinelift.simulate.identity import in_order, person_id, person_rng, side_rng

TRUTH = "truth"
"""Folder of the truth, beside ``dxa`` and ``mri``."""


@dataclass(frozen=True)
class WrittenDxa:
    """A person whose DXA archive is written: where it is, the body that was scanned, and the truth so far."""

    path: Path
    body: Body
    scan: SimulatedScan
    truth: SimulatedTruth


def write_dxa(out: Path, seed: int, person: int) -> WrittenDxa:
    """Simulate one person and write the archive into ``out/dxa``."""
    eid, rng = person_id(seed, person), person_rng(seed, person)
    body = sample_body(ShapePrior.load(), rng, donors=ALL_SHIPPED.load())
    scan = take_scan(body, rng)
    height, width = scan.bone.shape
    size = (width * scan.spacing.col_mm, height * scan.spacing.row_mm)
    posture = sample_side_posture(side_rng(seed, person))
    lateral = take_lateral(body, rng, posture)
    (rows, cols), pixel = lateral.image.shape, lateral.spacing
    images = [
        DxaImage("Total Body", 1, scan.tissue, *size),
        DxaImage("Total Body", 2, scan.bone, *size),
        DxaImage("LVA", 3, lateral.image, cols * pixel.col_mm, rows * pixel.row_mm, "P"),
    ]
    physique = body.physique
    path = write_dxa_zip(out / "dxa", images, eid=eid, instance=FIRST_VISIT, rng=rng, physique=physique)
    truth = SimulatedTruth(
        scan_id=visit_key(eid, FIRST_VISIT),
        seed=seed,
        person=person,
        sex=physique.sex,
        age_years=physique.age,
        height_mm=physique.height_mm,
        weight_kg=physique.weight_kg,
        dxa=DxaTruth(
            z_mm=scan.curves.z_mm,
            curves_mm=scan.curves.mm,
            vertebra_centres_mm=scan.centres_mm,
            ferguson_deg=round(body.spine.ferguson_deg, 2),
        ),
        lva=LateralTruth(
            z_mm=lateral.z_mm,
            sagittal_mm=lateral.mm,
            ends_mm=lateral.ends_mm,
            posture=PostureTruth.model_validate(posture, from_attributes=True),
        ),
    )
    return WrittenDxa(path, body, scan, truth)


def write_person(out: Path, seed: int, person: int) -> Path:
    """Simulate one person and write archive and truth; returns the archive's path."""
    written = write_dxa(out, seed, person)
    write_truth(out / TRUTH, written.truth)
    return written.path


def write_people(
    out: Path, *, people: int, seed: int, workers: int, first: int = 0, advance: Advance
) -> None:
    """Write the people that are missing; arguments and errors of :func:`write_missing`."""
    write = partial(write_person, out, seed)
    write_missing(write, out, seed, range(first, first + people), workers=workers, advance=advance)


def write_missing(
    write: Callable[[int], object], out: Path, seed: int, numbers: range, *, workers: int, advance: Advance
) -> None:
    """Call ``write`` for the people without a truth, in ``workers`` processes.

    ``advance`` is called with the number of people done. Raises ConfigError if the seed or a person's number
    is out of range.
    """
    keys = {n: visit_key(person_id(seed, n), FIRST_VISIT) for n in numbers}
    missing = [n for n in numbers if not truth_path(out / TRUTH, keys[n]).is_file()]
    advance(len(numbers) - len(missing))
    for _ in in_order(write, missing, workers):
        advance(1)
