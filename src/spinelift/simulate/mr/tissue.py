"""What tissues look like to a two-point Dixon gradient echo at 1.5 T.

Sequence: spoiled 3D gradient echo, TR 6.69 ms, flip angle 10°, echoes at 2.39 ms (fat against water) and
4.77 ms (in phase), Siemens Aera 1.5 T: UK Biobank's neck-to-knee protocol (West et al., PLOS ONE 11
(2016), e0163332). The steady state is Ernst's: S = ρ sin α (1 − E1) / (1 − E1 cos α) exp(−TE / T2*), with
E1 = exp(−TR / T1).

T1 of muscle, liver, spleen, kidney, vertebral marrow and subcutaneous fat at 1.5 T: de Bazelaire et al.,
Radiology 230 (2004), 652-659. Of blood, heart, cartilage and cord: Stanisz et al., Magn. Reson. Med. 54
(2005), 507-512. Vertebral fat fraction by age and sex: Baum et al., Front. Endocrinol. 9 (2018), 141 (30 %
at 25 years, 45 to 50 % after 60). T2* of lung is about 2 ms at 1.5 T, of marrow about 10 to 15 ms because
of its trabeculae. Proton densities, T2* of the rest, and all values of discs and bowel are set so that
pictures look right; they are not measurements.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.simulate.body.physique import Physique

TR_MS, FLIP_DEG = 6.69, 10.0
TE_OPPOSED_MS, TE_IN_MS = 2.39, 4.77
FAT_OPPOSED = 0.88
"""Fat has several spectral peaks: at the opposed echo not all of it points against the water."""


class MrTissue(IntEnum):
    """What a voxel is made of; the number is its label in a painted volume."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    VISCERA = 3
    LIVER = 4
    SPLEEN = 5
    KIDNEY = 6
    HEART = 7
    BLOOD = 8
    LUNG = 9
    CARTILAGE = 10
    CORTEX = 11
    SPINE_MARROW = 12
    RIB_MARROW = 13
    LIMB_MARROW = 14
    NUCLEUS = 15
    ANNULUS = 16
    FLUID = 17
    CORD = 18
    BRAIN = 19
    BOWEL = 20
    ERECTOR = 21
    GLAND = 22


# Water: proton density, T1 ms, T2* ms; fat: proton density, T1 ms, T2* ms of a pure voxel.
_TABLE: dict[MrTissue, tuple[float, float, float]] = {
    MrTissue.MUSCLE: (0.80, 856, 28),
    MrTissue.ERECTOR: (0.80, 856, 28),
    MrTissue.VISCERA: (0.75, 900, 25),
    MrTissue.LIVER: (0.78, 586, 24),
    MrTissue.SPLEEN: (0.82, 1057, 40),
    MrTissue.KIDNEY: (0.86, 966, 50),
    MrTissue.HEART: (0.80, 1030, 32),
    MrTissue.BLOOD: (0.90, 800, 90),  # 1441 ms, shortened: fresh spins flow in
    MrTissue.LUNG: (0.22, 1000, 2.0),
    MrTissue.CARTILAGE: (0.70, 1024, 20),
    MrTissue.CORTEX: (0.12, 250, 0.6),
    MrTissue.SPINE_MARROW: (0.80, 750, 14),
    MrTissue.RIB_MARROW: (0.75, 750, 9),
    MrTissue.LIMB_MARROW: (0.75, 750, 14),
    MrTissue.NUCLEUS: (0.90, 850, 50),
    MrTissue.ANNULUS: (0.72, 800, 18),
    MrTissue.FLUID: (1.00, 4000, 300),
    MrTissue.CORD: (0.80, 745, 60),
    MrTissue.BRAIN: (0.80, 884, 60),
    MrTissue.BOWEL: (0.85, 1100, 20),
    MrTissue.GLAND: (0.80, 900, 35),
    MrTissue.FAT: (0.60, 900, 25),
}
_FAT_PD, _FAT_T1, _FAT_T2S = 0.92, 343.0, 40.0
_MARROW_FAT_T2S = 14.0
_MARROW = (MrTissue.SPINE_MARROW, MrTissue.RIB_MARROW, MrTissue.LIMB_MARROW)


def steady_state(t1_ms: Float | float) -> Float:
    """Signal of a spoiled gradient echo before decay, per unit of proton density."""
    e1 = np.exp(-TR_MS / np.asarray(t1_ms, np.float64))
    a = np.radians(FLIP_DEG)
    return np.asarray(np.sin(a) * (1 - e1) / (1 - e1 * np.cos(a)))


@dataclass(frozen=True)
class Signals:
    """What one person's tissues give in the two echoes, and how their fat is spread.

    ``water`` and ``fat`` are the signal of a voxel of a tissue's pure water or fat, in phase and opposed
    [tissues, 2]. The fat fraction of a voxel is ``base + fine·f + long·c + wide·d + ridge·d⁺·max(0, 1 − |c| /
    width)`` of three noise fields: f fine, c drawn out along z, d along x (d⁺ its positive part); ``spread``
    [tissues, 6] holds base, fine, long, wide, ridge, width.
    """

    water: Float
    fat: Float
    spread: Float


def sample_signals(physique: Physique, rng: np.random.Generator) -> Signals:
    """Signals of one person: marrow, liver and muscle grow fatter with age and weight."""
    n = len(MrTissue)
    water, fat, spread = np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, 6))
    spread[:, 5] = 1.0
    echo = np.array([TE_IN_MS, TE_OPPOSED_MS])
    opposed = np.array([1.0, -FAT_OPPOSED])
    for tissue, (density, t1, t2s) in _TABLE.items():
        vary = rng.normal(1, 0.04)
        water[tissue] = density * vary * steady_state(t1 * rng.normal(1, 0.05)) * np.exp(-echo / t2s)
        t2s_fat = _MARROW_FAT_T2S if tissue in _MARROW else _FAT_T2S
        fat[tissue] = _FAT_PD * steady_state(_FAT_T1) * np.exp(-echo / t2s_fat) * opposed
    fat[MrTissue.AIR] = 0
    fat[MrTissue.CORTEX] *= 0.1
    age, build = (physique.age - 60) / 10, (physique.bmi - 26) / 5
    marrow = 0.46 + 0.04 * age + 0.03 * physique.female * age + rng.normal(0, 0.07)
    spread[MrTissue.SPINE_MARROW] = np.clip(marrow, 0.2, 0.75), 0.05, 0.04, 0, 0, 1
    spread[MrTissue.RIB_MARROW] = 0.5, 0.05, 0, 0, 0, 1
    spread[MrTissue.LIMB_MARROW] = 0.86, 0.04, 0.06, 0, 0, 1
    fatty = np.clip(0.03 + 0.015 * age + 0.02 * build + rng.normal(0, 0.015), 0.01, 0.2)
    streaks = np.clip(0.6 + 0.1 * age + 0.1 * build + rng.normal(0, 0.1), 0.3, 1.0)
    spread[MrTissue.MUSCLE] = fatty, 0.03, 0, 0, streaks, 0.35
    spread[MrTissue.ERECTOR] = fatty * 1.6, 0.07, 0.05, 0.04, streaks, 0.35
    spread[MrTissue.VISCERA] = np.clip(0.55 + 0.12 * build, 0.25, 0.85), 0.15, 0.15, 0.4, 0, 1
    spread[MrTissue.LIVER] = float(np.clip(rng.gamma(1.3, 0.035), 0, 0.35)), 0.01, 0.01, 0, 0, 1
    spread[MrTissue.FAT] = 0.97, 0.015, 0, 0, -0.25, 0.12
    spread[MrTissue.HEART] = 0.04, 0.03, 0, 0, 0, 1
    spread[MrTissue.BOWEL] = 0.08, 0.05, 0.08, 0.05, 0, 1
    spread[MrTissue.GLAND] = 0.1, 0.05, 0.05, 0, 0, 1
    fat[MrTissue.LUNG] = 0.7 * water[MrTissue.BLOOD]  # its vessels, in place of fat
    spread[MrTissue.LUNG] = -0.55, 0.38, 0.05, 0.05, 0, 1
    return Signals(water, fat, spread)
