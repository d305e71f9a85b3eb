"""What a scan depends on in a person: sex, age, height, build, bone density."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

REFERENCE_STATURE_MM = 1678.0
"""Mean stature of the cadavers of Panjabi 1991/1992, to whom the morphometry of `morphometry` belongs."""
T1_L5_PER_STATURE = 0.268
"""Distance of the centres of T1 and L5 along the curve, as a share of stature."""


@dataclass(frozen=True)
class Physique:
    """One person. Height in mm, body mass index in kg/m², density z-score in standard deviations."""

    female: bool
    age: float
    height_mm: float
    bmi: float
    density_z: float

    @property
    def sex(self) -> Literal["F", "M"]:
        """As DICOM's ``PatientSex``."""
        return "F" if self.female else "M"

    @property
    def weight_kg(self) -> float:
        """Body weight, kg."""
        return self.bmi * (self.height_mm / 1000) ** 2

    @property
    def scale(self) -> float:
        """Linear size relative to the reference adult."""
        return self.height_mm / REFERENCE_STATURE_MM


def sample_physique(rng: np.random.Generator) -> Physique:
    """A random adult of a cohort like UK Biobank's imaging study.

    Means and deviations of age (64 ± 8), height (176 ± 7 cm men, 163 ± 6 cm women) and BMI
    (27 ± 4 kg/m²) are those of its imaging participants, widened so that 1.45-2.0 m are all met.
    """
    female = bool(rng.random() < 0.52)
    height = rng.normal(1630 if female else 1765, 72)
    bmi = float(np.exp(rng.normal(np.log(26.3), 0.17)))
    return Physique(
        female=female,
        age=float(np.clip(rng.normal(63, 9), 40, 85)),
        height_mm=float(np.clip(height, 1450, 2000)),
        bmi=float(np.clip(bmi, 17, 45)),
        density_z=float(rng.normal()),
    )
