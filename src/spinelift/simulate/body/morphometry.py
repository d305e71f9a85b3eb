"""Sizes of vertebrae by level, T1 to L5, in mm, of an adult of mean stature, sexes pooled.

Endplate widths and depths, canal width, pedicle width, span of the transverse processes and length of
the spinous process follow Panjabi et al., "Thoracic human vertebrae", Spine 16 (1991), 888-901, and
"Human lumbar vertebrae", Spine 17 (1992), 299-306 (means over 12 adult spines). Body heights are lower
than the spacing of bodies on CT (ImFusion VID, CC BY-SA 4.0) by disc heights from CT and MRI (Fletcher et
al., Eur. Spine J. 24 (2015); Kunkel et al., J. Anat. 219 (2011), 375-387), because cadaver heights with
those discs would fall short of it. Panjabi's tables were entered from secondary sources, not from print.
Ratios of anterior to posterior height follow Masharawi et al., Eur.
Spine J. 19 (2010), 768-776, below T9. Sex ratios follow Gilsanz et al., Radiology 190 (1994), 678-682.
"""

import numpy as np

from spinelift.geometry.arrays import Float

# Columns: EPWu, EPWl, EPDu, EPDl, body height, SCW, PDW, TPW, SPL, anterior / posterior height.
_TABLE = np.array(
    [
        [24.5, 27.8, 18.5, 19.7, 16.5, 21.8, 8.5, 75.3, 50.0, 0.985],
        [24.9, 27.4, 19.6, 21.6, 17.1, 19.5, 8.2, 69.4, 51.0, 0.975],
        [24.6, 25.9, 22.7, 23.3, 17.6, 18.3, 6.8, 61.5, 52.0, 0.962],
        [24.5, 26.0, 23.3, 24.5, 18.2, 17.0, 6.3, 61.0, 52.0, 0.952],
        [24.9, 27.0, 24.3, 25.8, 18.7, 17.3, 6.0, 61.0, 53.0, 0.940],
        [26.2, 28.2, 26.0, 26.9, 19.0, 17.3, 6.0, 61.0, 55.0, 0.930],
        [27.8, 29.1, 27.4, 28.5, 19.2, 17.3, 5.9, 60.5, 57.0, 0.925],
        [29.5, 30.5, 27.9, 29.4, 19.4, 17.7, 6.7, 60.0, 56.0, 0.925],
        [30.6, 33.0, 29.3, 31.0, 19.7, 17.9, 7.7, 59.5, 53.0, 0.915],
        [31.9, 35.4, 30.5, 31.6, 20.8, 18.2, 9.0, 58.4, 52.0, 0.922],
        [34.9, 39.1, 31.9, 31.8, 22.2, 19.4, 9.8, 52.2, 50.0, 0.890],
        [39.0, 42.1, 32.8, 33.4, 23.7, 22.2, 8.7, 46.9, 48.0, 0.907],
        [41.2, 43.3, 34.1, 35.3, 25.1, 23.7, 8.6, 71.2, 68.0, 0.925],
        [42.6, 45.5, 34.6, 34.9, 25.7, 23.8, 8.3, 76.1, 71.0, 0.967],
        [44.1, 48.0, 35.2, 34.8, 25.4, 24.3, 10.2, 85.7, 70.0, 1.002],
        [46.6, 49.5, 35.5, 33.9, 25.2, 25.4, 14.1, 79.6, 65.0, 1.035],
        [47.3, 49.4, 34.7, 33.2, 24.9, 27.1, 18.6, 92.5, 60.0, 1.155],
    ]
)

BODY_WIDTH: Float = _TABLE[:, 0:2].mean(1)
"""Left-right width of the body at its endplates [17]."""
BODY_DEPTH: Float = _TABLE[:, 2:4].mean(1)
"""Front-back depth of the body at its endplates [17]."""
BODY_HEIGHT: Float = _TABLE[:, 4]
"""Mean height of the body [17]."""
BODY_SIZE: Float = np.stack([BODY_WIDTH, BODY_DEPTH, BODY_HEIGHT], 1)
"""Width, depth and height of the body [17, 3]."""
LOG_SIZE: Float = np.log(BODY_SIZE).mean(1)
"""Mean log of the three [17]."""
PEDICLE_REACH: Float = _TABLE[:, 5] / 2 + _TABLE[:, 6]
"""From the midline to the outer side of the pedicle [17]."""
TRANSVERSE_SPAN: Float = _TABLE[:, 7]
"""Between the tips of the transverse processes [17]."""
SPINOUS_LENGTH: Float = _TABLE[:, 8]
"""From the back of the upper endplate to the tip of the spinous process [17]."""
WEDGE: Float = (1 - _TABLE[:, 9]) / (1 + _TABLE[:, 9])
"""Half the relative loss of height from the back of the body to its front [17]."""

PERSON_SD = 0.065
"""Coefficient of variation of a dimension between people of one sex, common to all levels."""
LEVEL_SD = 0.025
"""Coefficient of variation of a dimension between the levels of one person."""
SEX_WIDTH = (1.04, 0.96)
"""Factors on width and depth (men, women) beyond what stature explains."""
WAIST = 0.09
"""By how much the body is narrower at mid-height than at its endplates."""
