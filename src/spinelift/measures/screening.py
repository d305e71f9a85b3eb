"""Screening for scoliosis on one scan: the class, its probability, and reasons to distrust it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from spinelift.geometry.arrays import Bool, Float
from spinelift.measures.angles import SCOLIOSIS_DEG, SCOLIOSIS_LOWER_DEG, CoronalAngles
from spinelift.measures.results import Screening

REPEATABILITY_DEG = 6.2
"""Published repeatability of the modified Ferguson angle on DXA: its 95 % minimal detectable change."""
TRUNK_TILT_DEG = 3.0
"""Tilt of the line from T1's to L5's centre from which on the trunk counts as tilted: two standard
deviations of simulated people."""
Class = Literal["none", "6-10", ">=10"]
CLASSES: tuple[Class, ...] = ("none", "6-10", ">=10")


def classes_of(ferguson_deg: Float) -> Float:
    """Index into ``CLASSES`` of each angle."""
    return np.digitize(ferguson_deg, (SCOLIOSIS_LOWER_DEG, SCOLIOSIS_DEG)).astype(np.float64)


def screen(
    coronal: CoronalAngles,
    *,
    plausible_deg: Float | None,
    same_side: Bool | None,
    trunk_tilt_deg: float,
    crossed_deg: Sequence[float],
    warnings: Sequence[str],
) -> Screening:
    """Class of a spine by its modified Ferguson angle.

    ``plausible_deg`` are the angles of the plausible spines, ``same_side`` whether their main curve has the
    side of the predicted one; None without plausible spines. ``warnings`` are those of the scan.
    """
    angle = coronal.ferguson_deg
    main = coronal.main
    probability = None
    if plausible_deg is not None:
        found = classes_of(plausible_deg)
        probability = {name: round(float((found == k).mean()), 3) for k, name in enumerate(CLASSES)}
    reasons = list(warnings)
    if abs(angle - SCOLIOSIS_DEG) < REPEATABILITY_DEG:
        reasons.append(
            f"the angle is within the repeatability ({REPEATABILITY_DEG}°) of the threshold of "
            f"{SCOLIOSIS_DEG:.0f}°"
        )
    reasons += [f"the 90 % interval of the angle holds the threshold of {cut:.0f}°" for cut in crossed_deg]
    if abs(trunk_tilt_deg) >= TRUNK_TILT_DEG:
        side = "left" if trunk_tilt_deg > 0 else "right"
        reasons.append(f"the trunk is tilted: T1 lies {abs(trunk_tilt_deg):.0f}° to the {side} of L5")
    return Screening(
        finding=CLASSES[int(classes_of(np.array(angle)))],
        probability=probability,
        deciding_curve=None if main is None else coronal.curves.index(main),
        direction_probability=None if same_side is None else round(float(same_side.mean()), 3),
        minimal_detectable_change_deg=REPEATABILITY_DEG,
        reasons=tuple(reasons),
    )
