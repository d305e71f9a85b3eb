"""Do wrong pairs of DXA and MRI come through? All cross-pairs of simulated people, with and without headers.

Run: python benchmarks/bench_pair_match.py COHORT [--people N] [--json FILE]

COHORT is a folder of ``spinelift simulate cohort``. Each DXA is aligned with every MRI, about 1 s a pair.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinelift.align import MIN_OVERLAP
from spinelift.align.masks import located_mask
from spinelift.align.match import CentreLines, centre_line, misfit
from spinelift.align.onnx import choose_encoders
from spinelift.align.pipeline import align_pair
from spinelift.align.plane import PairMasks, PlaneImage, PlaneMask, dxa_plane, project_mask, project_volume
from spinelift.cohort.match import MIN_MATCH, PairMatch
from spinelift.errors import SpineliftError
from spinelift.inference.model import load_model
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.io.identity import Identity
from spinelift.io.visits import paired_visits
from spinelift.progress import progress
from spinelift.segment.mri import MriSegmenter


@dataclass(frozen=True)
class Side:
    """What one archive gives, whatever it is paired with."""

    image: PlaneImage
    mask: PlaneMask
    identity: Identity


def read_people(cohort: Path, limit: int | None) -> list[tuple[Side, Side]]:
    """DXA and MRI of each person whose archives can be read."""
    model, segmenter, people = load_model(None, threads=1), MriSegmenter.load(None, threads=1), []
    for visit in paired_visits(cohort)[:limit]:
        try:
            scan, volume = read_dxa(visit.dxa), read_dixon(visit.mri)
            dxa = located_mask(model.locate(scan))
            mri = project_mask(segmenter.segment(volume).mask, volume)
        except SpineliftError as error:
            print(f"left out: {type(error).__name__}")
            continue
        one = Side(dxa_plane(scan.bone, scan.spacing), dxa, scan.identity)
        people.append((one, Side(project_volume(volume), mri, volume.identity)))
    return people


def overlaps(people: list[tuple[Side, Side]]) -> np.ndarray:
    """IoU of every DXA with every MRI after the alignment, [n, n]; 0 where it fails."""
    features, n = choose_encoders(None, threads=1), len(people)
    iou = np.zeros((n, n))
    with progress("pairs", n * n) as advance:
        for i, (dxa, _) in enumerate(people):
            for j, (_, mri) in enumerate(people):
                masks = PairMasks(dxa.mask, mri.mask)
                try:
                    iou[i, j] = align_pair(dxa.image, mri.image, masks, features=features).iou[-1]
                except SpineliftError as error:
                    print(f"pair failed: {type(error).__name__}")
                advance(1)
    return iou


def is_flagged(table: np.ndarray, i: int, j: int, *, hidden: bool) -> bool:
    """Whether DXA i with MRI j gets the warning; ``hidden``: their true partners are not in the batch."""
    people = np.arange(len(table))
    own = table[i, j]
    absent = (people != i) & (people != j)
    rest = absent if hidden else people != j
    others = absent if hidden else people != i
    with_mri, with_dxa = (table[i, rest] <= own).sum(), (table[others, j] <= own).sum()
    return bool(PairMatch(int(max(with_mri, with_dxa)), int(rest.sum())).warning)


def lines_of(masks: list[PlaneMask]) -> CentreLines:
    lines = [centre_line(mask) for mask in masks]
    return CentreLines(np.stack([x for x, _ in lines]), np.array([height for _, height in lines]))


def summary(people: list[tuple[Side, Side]], iou: np.ndarray) -> dict[str, str]:
    n = len(people)
    table = misfit(*(lines_of([sides[k].mask for sides in people]) for k in (0, 1)))
    true, kept = np.eye(n, dtype=bool), iou >= MIN_OVERLAP
    same = np.array([[not d.identity.differences(m.identity) for _, m in people] for d, _ in people])
    out = {"people": str(n), "wrong pairs": str(n * n - n)}
    out["true pairs whose headers agree"] = f"{(same & true).sum()} of {n}"
    out["wrong pairs kept, headers compared"] = f"{(kept & same & ~true).sum()} of {n * n - n}"
    out["IoU, true pairs"] = f"{np.median(iou[true]):.2f} median, {iou[true].min():.2f} least"
    out["IoU, wrong pairs"] = f"{np.median(iou[~true]):.2f} median, {iou[~true].max():.2f} largest"
    out["true pairs kept by overlap alone"] = f"{(kept & true).sum()} of {n}"
    out["wrong pairs kept by overlap alone"] = f"{(kept & ~true).sum()} of {n * n - n}"
    for name, hidden in (("their true partners in the batch", False), ("without them", True)):
        pairs = np.argwhere(kept & ~true)
        flags = sum(is_flagged(table, i, j, hidden=hidden) for i, j in pairs)
        out[f"of these with the warning, {name}"] = f"{flags} of {len(pairs)}"
    flags = [is_flagged(table, k, k, hidden=False) for k in range(n)]
    out["true pairs with the warning"] = f"{sum(flags)} of {n}"
    good = np.flatnonzero(np.diag(kept))
    out["of those kept by overlap"] = f"{sum(flags[k] for k in good)} of {len(good)}"
    out["misfit, true pairs"] = f"{np.median(table[true]):.1f} median, {table[true].max():.1f} largest"
    out["misfit, wrong pairs"] = f"{np.median(table[~true]):.1f} median, {table[~true].min():.1f} least"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--people", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    people = read_people(options.cohort, options.people)
    figures = summary(people, overlaps(people))
    print(f"least share of other people who must fit worse: {MIN_MATCH}")
    for name, value in figures.items():
        print(f"  {name:50} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
