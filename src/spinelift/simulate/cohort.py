"""Pairs of archives of simulated people: DXA, Dixon MRI in another posture, and the truth of both.

``out/dxa/<eid>_20158_2_0.zip``, ``out/mri/<eid>_20201_2_0.zip``, ``out/truth/<eid>_2.json``. The truth is
written last: a person without it is made again. The DXA is that of ``simulate dxa`` with the same seed.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from spinelift.io.dixon.volume import Trap
from spinelift.io.truth import MriTruth, PostureTruth, StationTruth, write_truth
from spinelift.progress import Advance
from spinelift.simulate.archive.dixon import ArchiveTrap, write_dixon_zip
from spinelift.simulate.archive.headers import FIRST_VISIT
from spinelift.simulate.body.posture import repose, sample_posture
from spinelift.simulate.identity import mri_rng, person_id
from spinelift.simulate.mr.dixon import simulate_dixon, table_shift
from spinelift.simulate.mr.traps import planted_trap, sample_traps
from spinelift.simulate.pairing import column_of, fit_movement
from spinelift.simulate.people import TRUTH, write_dxa, write_missing


def write_pair(out: Path, seed: int, trap_share: float, person: int) -> None:
    """Simulate one person in DXA and MRI and write both archives and the truth."""
    written = write_dxa(out, seed, person)
    rng = mri_rng(seed, person)
    traps = sample_traps(trap_share, rng)
    posture = sample_posture(rng)
    posture = replace(posture, shift_mm=posture.shift_mm + table_shift(written.body))
    body = repose(written.body, posture)
    dixon = simulate_dixon(body, rng, traps)
    planted, broken = list(dixon.planted), []
    if Trap.LOST_SLICE in traps:
        broken.append(ArchiveTrap.LOST_SLICE)
        first, contrast = dixon.placings[0].number, dixon.series[0].contrast
        planted.append(planted_trap(Trap.LOST_SLICE, first, contrast=contrast))
    eid, folder, physique = person_id(seed, person), out / "mri", body.physique
    write_dixon_zip(
        folder, dixon.series, eid=eid, instance=FIRST_VISIT, rng=rng, traps=broken, physique=physique
    )
    shift = (written.scan.centres_mm - written.body.spine.centres)[0] * [1, 0, 1]  # to the scan's first pixel
    truth = MriTruth(
        **vars(column_of(body.spine)),
        to_dxa=fit_movement(written.body.spine.moved(shift), body.spine),
        posture=PostureTruth.model_validate(posture, from_attributes=True),
        stations=tuple(StationTruth.model_validate(p, from_attributes=True) for p in dixon.placings),
        traps=tuple(planted),
    )
    write_truth(out / TRUTH, written.truth.model_copy(update={"mri": truth}))


def write_cohort(
    out: Path, *, people: int, seed: int, workers: int, trap_share: float, first: int = 0, advance: Advance
) -> None:
    """Write the pairs that are missing; arguments and errors of :func:`people.write_missing`."""
    write = partial(write_pair, out, seed, trap_share)
    write_missing(write, out, seed, range(first, first + people), workers=workers, advance=advance)
