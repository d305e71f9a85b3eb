"""Pairs of archives of simulated people: DXA, Dixon MRI in another posture, and the truth of both.

``out/dxa/<eid>_20158_2_0.zip``, ``out/mri/<eid>_20201_2_0.zip``, ``out/truth/<eid>_2.json``. The truth is
written last: a person without it is made again. The DXA is that of ``simulate dxa`` with the same seed.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from spinelift.curves import Curve
from spinelift.geometry import RigidTransform2D, Vertebra, intersection_over_union
from spinelift.geometry.arrays import Float
from spinelift.io.dixon.volume import Trap
from spinelift.io.truth import ColumnTruth, MriTruth, PostureTruth, RigidMovement, StationTruth, write_truth
from spinelift.progress import Advance
from spinelift.simulate.archive.dixon import ArchiveTrap, write_dixon_zip
from spinelift.simulate.archive.headers import FIRST_VISIT
from spinelift.simulate.body.posture import repose, sample_posture
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.identity import mri_rng, person_id
from spinelift.simulate.mr.dixon import simulate_dixon, table_shift
from spinelift.simulate.mr.traps import planted_trap, sample_traps
from spinelift.simulate.people import TRUTH, write_dxa, write_missing

RASTER_MM = 1.0
"""Step of the raster on which the overlap is counted."""
MARGIN_MM = 40.0
"""Margin of the raster around the DXA's column: columns further away than this do not overlap in part."""


def corners(spine: PosedSpine) -> Float:
    """Corners of all bodies seen from the front, (x, z) mm [68, 2]; the same order in every pose."""
    out = []
    for side in (-0.5, 0.5):
        for end in (-0.5, 0.5):
            offset = np.stack([side * spine.size[:, 0], 0 * spine.size[:, 0], end * spine.size[:, 2]], 1)
            out.append(spine.centres + np.einsum("nij,nj->ni", spine.frames, offset))
    return np.concatenate(out)[:, [0, 2]]


def column_of(spine: PosedSpine) -> ColumnTruth:
    """The column of a posed spine; sagittal curves keep their place in the body."""
    z, mm = spine.curves_mm()
    middle = spine.centres[Vertebra.T9]
    mm[Curve.ANTERIOR :] += middle[1] - np.interp(middle[2], z, mm[Curve.SAGITTAL])
    return ColumnTruth(z_mm=z, curves_mm=mm, vertebra_centres_mm=spine.centres)


def overlap(dxa: ColumnTruth, mri: ColumnTruth, rigid: RigidTransform2D) -> float:
    """Intersection over union of the DXA's column with the MRI's, moved rigidly, on a raster."""
    low = np.array([dxa.curves_mm[Curve.RIGHT].min(), dxa.z_mm[0]]) - MARGIN_MM
    high = np.array([dxa.curves_mm[Curve.LEFT].max(), dxa.z_mm[-1]]) + MARGIN_MM
    points = np.stack(np.meshgrid(*(np.arange(a, b, RASTER_MM) for a, b in zip(low, high, strict=True))), -1)
    a, b = dxa.depth_mm(points) >= 0, mri.depth_mm(rigid.inverse().apply(points)) >= 0
    return intersection_over_union(a, b)


def fit_movement(dxa: PosedSpine, mri: PosedSpine) -> RigidMovement:
    """The movement between two poses, each in the coordinates of its scan, mm, z to the feet."""
    rigid = RigidTransform2D.fit(corners(mri), corners(dxa), source="mri", target="dxa")
    left = rigid.apply(mri.centres[:, [0, 2]]) - dxa.centres[:, [0, 2]]
    distance = np.linalg.norm(left, axis=1)
    x, z = (dxa.centres.mean(0) - mri.centres.mean(0))[[0, 2]]
    return RigidMovement(
        rotation_deg=rigid.rotation_deg,
        dx_mm=rigid.shift_mm[0],
        dz_mm=rigid.shift_mm[1],
        centre_shift_mm=(float(x), float(z)),
        residual_mean_mm=float(distance.mean()),
        residual_max_mm=float(distance.max()),
        iou=overlap(column_of(dxa), column_of(mri), rigid),
    )


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
