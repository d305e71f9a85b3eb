"""How a body hangs on its spine: turn, height and length of ribs, neck, pelvis, and variants of the skeleton.

A body that follows its spine by a fixed rule shows the sagittal curve in its ribs and pelvis. Here each link
has the spread between people, and depends on the curve only where a published relation says so:

- Pelvic incidence 52 ± 10°, sacral slope 40 ± 8°, pelvic tilt 12 ± 6°; incidence and tilt correlate by 0.6,
  and so do incidence and lordosis (Legaye et al., Eur Spine J 7 (1998) 99-103; Vialle et al., J Bone Joint
  Surg Am 87 (2005) 260-267).
- Ribs turn upwards against the spine as kyphosis grows (Weaver et al., J Anat 225 (2014) 246-261): they
  follow a part of the turn of their vertebrae. That part, and the spread of slope (7°) and height (4 mm), are
  set by hand.
- 11 pairs of ribs in 5 to 8 % (Glass et al., Radiographics 22 (2002) 87-104), cervical ribs in 0.7 % (Brewin
  et al., Clin Anat 22 (2009) 331-336), transitional lumbosacral vertebrae in 4 to 30 % (Konin and Walz, AJNR
  31 (2010) 1778-1786).
"""

from dataclasses import dataclass

import numpy as np

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.spine import LORDOSIS_DEG, LORDOSIS_SD_DEG, PosedSpine, inclination_deg

RIBS = 12
PELVIC_INCIDENCE_SD, PELVIC_TILT_SD = 10.0, 6.0
"""Degrees. Sacral slope is their difference; its standard deviation is 8 as incidence and tilt correlate."""
INCIDENCE_OF_TILT = 0.6
"""Correlation of pelvic tilt with pelvic incidence."""
INCIDENCE_OF_LORDOSIS = 0.5
"""Correlation of pelvic incidence with the lordosis L1-L5; that with L1-S1, which holds the slope, is 0.6."""
MAX_L5_S1_DEG = 18.0
"""Largest deviation of the angle between L5 and the sacrum from its mean."""
MEAN_L5_DEG = 25.0
"""Mean sagittal inclination of L5 in simulated people."""
NO_12TH_RIB, ONE_12TH_RIB = 0.04, 0.02
"""Shares of people without the 12th pair of ribs, and with one rib of it."""
CERVICAL_RIB, TRANSITIONAL = 0.0075, 0.07
"""Shares of people with a cervical rib, and with a transitional vertebra; half of each on both sides."""


@dataclass(frozen=True)
class Links:
    """Deviations of a person's body from the template's, apart from its size.

    Turns are about the axis to the left, in degrees, positive when what lies in front of the spine rises.
    Pairs [2, ...] are left, right.

    Parameters
    ----------
    follow
        Part of the sagittal turn of their vertebrae that ribs, sternum and shoulder girdle follow.
    rib_turn_deg, rib_height_mm
        Turn of each pair of ribs [12], and how far towards the feet it leaves its vertebra [12].
    rib_length
        Length of each rib relative to the template's [2, 12]; 0 where it is absent.
    cervical_rib
        Length of a rib of C7 relative to the first rib [2]; 0 where there is none.
    ala
        Whether L5 has a sacral ala [2].
    neck_turn_deg
        Turn of the neck against T1.
    sacrum_turn_deg, hips_turn_deg
        Turn of the sacrum and of the hip bones: minus the deviation of sacral slope, and that of pelvic tilt.
    sacrum_gap_mm, crest_mm
        How far the sacrum lies below L5's endplate, and hip bones above their place in the template.
    """

    follow: float
    rib_turn_deg: Float
    rib_height_mm: Float
    rib_length: Float
    cervical_rib: Float
    ala: Float
    neck_turn_deg: float
    sacrum_turn_deg: float
    hips_turn_deg: float
    sacrum_gap_mm: float
    crest_mm: float


def sample_links(spine: PosedSpine, rng: np.random.Generator) -> Links:
    """Random links of a body to its spine; the number of random numbers drawn is always the same."""
    waves = np.cos(np.pi * np.arange(3)[:, None] * np.linspace(0, 1, RIBS))
    turn = rng.normal(0, [6.2, 3.5, 2.5]) @ waves + rng.normal(0, 1.0, RIBS)
    height = rng.normal(0, [3.0, 2.8, 2.0]) @ waves + rng.normal(0, 1.0, RIBS)
    length = 1 + rng.normal(0, 0.02, (2, RIBS)) + rng.normal(0, 0.02, RIBS)
    length[:, 10] += rng.normal(0, 0.1)
    length[:, 11] += rng.normal(0.1, 0.3) + rng.normal(0, 0.08, 2)
    length = np.clip(length, 0.3, 1.8)
    length[_sides(NO_12TH_RIB + ONE_12TH_RIB, NO_12TH_RIB, rng), 11] = 0.0
    cervical = _sides(CERVICAL_RIB, CERVICAL_RIB / 2, rng) * rng.uniform(0.3, 0.7, 2)
    ala = _sides(TRANSITIONAL, TRANSITIONAL / 2, rng)
    slope, tilt = _sacral_slope_and_tilt(spine, rng)
    return Links(
        follow=float(np.clip(rng.normal(0.6, 0.2), 0.2, 1.0)),
        rib_turn_deg=turn,
        rib_height_mm=np.clip(height, -9, 9),
        rib_length=length,
        cervical_rib=cervical,
        ala=ala,
        neck_turn_deg=float(rng.normal(0, 6)),
        sacrum_turn_deg=-slope,
        hips_turn_deg=tilt,
        sacrum_gap_mm=float(np.clip(rng.normal(-4, 3), -9, 4)),
        crest_mm=float(np.clip(rng.normal(40, 11), 15, 65)),
    )


def _sides(share: float, both: float, rng: np.random.Generator) -> Float:
    """Which sides [2] of a person have a variant that a ``share`` has, ``both`` of them on two sides."""
    u, one = rng.random(), rng.integers(2)
    return np.array([u < share and (u < both or side == one) for side in range(2)])


def _sacral_slope_and_tilt(spine: PosedSpine, rng: np.random.Generator) -> tuple[float, float]:
    """Deviations of sacral slope and pelvic tilt from their means, degrees."""
    lordosis = np.clip((spine.lordosis_deg - LORDOSIS_DEG) / LORDOSIS_SD_DEG, -2.5, 2.5)
    incidence = correlated(lordosis, INCIDENCE_OF_LORDOSIS, rng)
    tilt = PELVIC_TILT_SD * correlated(incidence, INCIDENCE_OF_TILT, rng)
    slope = PELVIC_INCIDENCE_SD * incidence - tilt
    at_l5 = float(inclination_deg(spine.frames[Vertebra.L5])) - MEAN_L5_DEG
    return float(np.clip(slope, at_l5 - MAX_L5_S1_DEG, at_l5 + MAX_L5_S1_DEG)), tilt


def correlated(z: float, r: float, rng: np.random.Generator) -> float:
    """A standard normal number whose correlation with the standard normal ``z`` is ``r``."""
    return float(r * z + np.sqrt(1 - r * r) * rng.normal())
