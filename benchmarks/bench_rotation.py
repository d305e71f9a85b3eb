"""Rotation of the trunk about its long axis: how often the warning comes, by the angle.

Run: python -m benchmarks.bench_rotation --people 120 --seed 777

Simulated people are turned as a whole, scanned, and located by the default bundle.
"""

import argparse
from dataclasses import fields, replace

import numpy as np
from scipy.spatial.transform import Rotation

import spinelift
from spinelift.errors import NoSpineError
from spinelift.io.dxa.scan import DxaScan
from spinelift.segment.trunk import ROTATED_DEG, trunk_rotation_deg
from spinelift.simulate.body.body import Body, sample_body
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.donors.choice import ALL_SHIPPED
from spinelift.simulate.dxa.scan import take_scan
from spinelift.simulate.identity import person_rng

DEGREES = (-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
AXIS_MM = 70.0
"""How far in front of the vertebral centres the axis lies."""


def turned(body: Body, degrees: float) -> Body:
    """A person turned about the long axis of the trunk; positive: the front to the patient's left."""
    turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    axis = body.spine.centres.mean(0) * [1, 1, 0] - [0, AXIS_MM, 0]

    def move(points: np.ndarray) -> np.ndarray:
        return (points - axis) @ turn.T + axis

    joints = replace(body.joints, **{f.name: move(getattr(body.joints, f.name)) for f in fields(body.joints)})
    spine = PosedSpine(move(body.spine.centres), turn @ body.spine.frames, body.spine.size)
    return replace(
        body, spine=spine, joints=joints, solids=tuple(replace(s, points=move(s.points)) for s in body.solids)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--seed", type=int, default=777)
    parser.add_argument("--straight", type=int, default=0, help="further people who are not turned")
    args = parser.parse_args()
    prior, donors, model = ShapePrior.load(), ALL_SHIPPED.load(), spinelift.load_model()
    found: dict[float, list[float]] = {angle: [] for angle in DEGREES}
    failed = 0
    for person in range(args.people + args.straight):
        rng = person_rng(args.seed, person)
        body = sample_body(prior, rng, donors=donors)
        angles = DEGREES[person % 2 :: 2] if person < args.people else (0.0,)
        for angle in angles:
            scan = take_scan(turned(body, angle), person_rng(args.seed + 1, person))
            try:
                location = model.locate(DxaScan("", scan.bone.astype(np.float32), None, scan.spacing, ""))
            except NoSpineError:
                failed += 1
                continue
            value = trunk_rotation_deg(scan.bone, location)
            found[angle].append(np.nan if value is None else value)
    print("| rotation | people | estimate, mean ± sd | warning |\n|---|---|---|---|")
    for angle, values in found.items():
        a = np.array(values)
        print(
            f"| {angle:+.0f}° | {len(a)} | {np.nanmean(a):+.1f} ± {np.nanstd(a):.1f}° "
            f"| {100 * np.mean(np.abs(a) >= ROTATED_DEG):.0f} % |"
        )
    straight = np.abs(found[0.0])
    print(f"\n{failed} scans without a whole spine are left out.")
    print(f"97.5th percentile of people who lie straight: {np.nanpercentile(straight, 97.5):.1f}°")


if __name__ == "__main__":
    main()
