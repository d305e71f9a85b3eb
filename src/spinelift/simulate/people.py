"""Simulated people as UK Biobank's archives, with the truth beside them.

``out/dxa/<eid>_20158_2_0.zip`` is what the real archive holds; ``out/truth/<eid>_2.json`` is what no real
archive has. A person's truth is written last: a person without it is made again.
"""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spinelift.geometry import Vertebra
from spinelift.progress import Advance
from spinelift.simulate.archive.dxa import DxaImage, write_dxa_zip
from spinelift.simulate.body.body import Body, sample_body
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.body.spine import ferguson_deg
from spinelift.simulate.dxa.scan import LVA_MM, SimulatedScan, take_lateral, take_scan
from spinelift.simulate.stores import person_rng

FIRST_EID = 1_000_000
INSTANCE = 2


@dataclass(frozen=True)
class WrittenDxa:
    """A person whose DXA archive is written: where it is, the body that was scanned, and the truth so far."""

    path: Path
    body: Body
    scan: SimulatedScan
    truth: dict[str, Any]


def write_dxa(out: Path, seed: int, person: int) -> WrittenDxa:
    """Simulate one person and write the archive into ``out/dxa``."""
    rng = person_rng(seed, person)
    body = sample_body(ShapePrior.load(), rng)
    scan = take_scan(body, rng)
    height, width = scan.bone.shape
    size = (width * scan.spacing.col_mm, height * scan.spacing.row_mm)
    lateral = take_lateral(body, rng)
    images = [
        DxaImage("Total Body", 1, scan.tissue, *size),
        DxaImage("Total Body", 2, scan.bone, *size),
        DxaImage("LVA", 3, lateral, lateral.shape[1] * LVA_MM, lateral.shape[0] * LVA_MM),
    ]
    eid = FIRST_EID + person
    (out / "dxa").mkdir(parents=True, exist_ok=True)
    path = write_dxa_zip(out / "dxa", images, eid=eid, instance=INSTANCE, rng=rng)
    centres = scan.centres_mm.round(3)
    truth = {
        "spine_id": f"{eid}_{INSTANCE}",
        "seed": seed,
        "person": person,
        **scan.curves.to_json(),
        "vertebra_centres_mm": {v.name: centres[v].tolist() for v in Vertebra},
        "ferguson_deg": round(ferguson_deg(scan.z_mm, scan.mm[1]), 2),
        "female": body.physique.female,
        "age": round(body.physique.age, 1),
        "height_mm": round(body.physique.height_mm),
        "weight_kg": round(body.physique.weight_kg, 1),
    }
    return WrittenDxa(path, body, scan, truth)


def write_truth(out: Path, person: int, truth: dict[str, Any]) -> None:
    """Write a person's truth, whole or not at all."""
    target = truth_path(out, person)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial_file = target.with_suffix(".part")
    partial_file.write_text(json.dumps(truth) + "\n", encoding="utf-8")
    partial_file.replace(target)


def write_person(out: Path, seed: int, person: int) -> Path:
    """Simulate one person and write archive and truth; returns the archive's path."""
    written = write_dxa(out, seed, person)
    write_truth(out, person, written.truth)
    return written.path


def truth_path(out: Path, person: int) -> Path:
    """Where the truth of a person lies."""
    return out / "truth" / f"{FIRST_EID + person}_{INSTANCE}.json"


def write_people(
    out: Path, *, people: int, seed: int, workers: int, first: int = 0, advance: Advance
) -> None:
    """Write the people that are missing; ``advance`` is called with the number of people done."""
    numbers = range(first, first + people)
    write_missing(partial(write_person, out, seed), out, numbers, workers=workers, advance=advance)


def write_missing(
    write: Callable[[int], object], out: Path, numbers: range, *, workers: int, advance: Advance
) -> None:
    """Call ``write`` for the people without a truth, in ``workers`` processes."""
    missing = [n for n in numbers if not truth_path(out, n).is_file()]
    advance(len(numbers) - len(missing))
    if workers <= 1:
        for n in missing:
            write(n)
            advance(1)
        return
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(write, missing, chunksize=2):
            advance(1)
