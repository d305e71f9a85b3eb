"""Pairs of archives of people who do not exist: DXA, Dixon MRI on another day, and the truth of both.

``out/dxa/<eid>_20158_2_0.zip``, ``out/mri/<eid>_20201_2_0.zip``, ``out/truth/<eid>_2.json``. The truth is
written last: a person without it is made again. The DXA is that of ``simulate dxa`` with the same seed.
"""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.io.dixon.volume import Trap
from spinelift.progress import Advance
from spinelift.simulate.archive.dixon import ArchiveTrap, write_dixon_zip
from spinelift.simulate.body.posture import Posture, repose, sample_posture
from spinelift.simulate.mr.dixon import SimulatedDixon, simulate_dixon, table_shift
from spinelift.simulate.mr.traps import Planted, sample_traps
from spinelift.simulate.pairing import pair_truth
from spinelift.simulate.people import FIRST_EID, INSTANCE, WrittenDxa, write_dxa, write_missing, write_truth

TRAP_SHARE = 0.2
_MRI_STREAM = 1


def mri_rng(seed: int, person: int) -> np.random.Generator:
    """The random numbers of a person's second examination, apart from those of the first."""
    return np.random.default_rng([seed, person, _MRI_STREAM])


def write_pair(out: Path, seed: int, trap_share: float, person: int) -> None:
    """Simulate one person in DXA and MRI and write both archives and the truth."""
    written = write_dxa(out, seed, person)
    rng = mri_rng(seed, person)
    traps = sample_traps(trap_share, rng)
    posture = sample_posture(rng)
    posture = replace(posture, shift_mm=posture.shift_mm + table_shift(written.body))
    body = repose(written.body, posture)
    dixon = simulate_dixon(body, rng, traps)
    planted = list(dixon.planted)
    broken = []
    if Trap.LOST_SLICE in traps:
        broken.append(ArchiveTrap.LOST_SLICE)
        planted.append(
            Planted(Trap.LOST_SLICE, dixon.placings[0].number, {"contrast": dixon.series[0].contrast})
        )
    folder = out / "mri"
    folder.mkdir(parents=True, exist_ok=True)
    write_dixon_zip(folder, dixon.series, eid=FIRST_EID + person, instance=INSTANCE, rng=rng, traps=broken)
    pair = pair_truth(_in_scan(written), body.spine)
    write_truth(out, person, {**written.truth, **pair, **_record(posture, dixon, planted)})


def _in_scan(written: WrittenDxa) -> Any:
    """The spine of the DXA in mm from the scan's first pixel."""
    spine = written.body.spine
    shift = written.scan.centres_mm - spine.centres
    return spine.moved(np.array([shift[0, 0], 0.0, shift[0, 2]]))


def _record(posture: Posture, dixon: SimulatedDixon, planted: list[Planted]) -> dict[str, Any]:
    return {
        "posture": {
            "tilt_deg": round(posture.tilt_deg, 3),
            "bend_deg": posture.bend_deg.round(3).tolist(),
            "sway_deg": posture.sway_deg.round(3).tolist(),
        },
        "traps": [{"trap": p.trap.value, "station": p.station, **p.detail} for p in planted],
        "stations": [
            {
                "station": p.number,
                "span_mm": [round(v, 3) for v in p.span_mm],
                **{k: asdict(p)[k] for k in ("moved_mm", "breath_mm", "gain", "dark_ends")},
            }
            for p in dixon.placings
        ],
    }


def write_cohort(
    out: Path,
    *,
    people: int,
    seed: int,
    workers: int,
    trap_share: float = TRAP_SHARE,
    first: int = 0,
    advance: Advance,
) -> None:
    """Write the pairs that are missing; ``advance`` is called with the number of people done."""
    numbers = range(first, first + people)
    write = partial(write_pair, out, seed, trap_share)
    write_missing(write, out, numbers, workers=workers, advance=advance)
