"""Grey-level statistics of a total-body bone picture, to compare simulated pictures with a real one."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import kurtosis, skew

from spinelift.geometry import Spacing, SpineFrame

Float = NDArray[np.float64]
TRUNK_ROWS, TRUNK_COLS = 207, 156
"""Rows and columns of the window whose spectrum is taken: T1 to L5 of a tall man, his trunk's width."""


@dataclass(frozen=True)
class PictureStatistics:
    """Figures of one picture, grey levels 0 to 255; means and standard deviations as (mean, sd).

    Parameters
    ----------
    moments
        Mean, standard deviation, skewness and excess kurtosis of the trunk.
    percentiles
        1st, 10th, 25th, 50th, 75th, 90th and 99th of the trunk.
    lung, belly, thoracic, lumbar
        Grey levels in a box of lung field, soft abdomen, thoracic and lumbar spine.
    belly_noise, spine_noise
        Standard deviation in belly and spine after a Gaussian of 1 px is subtracted.
    spectrum
        Radial power spectrum of the trunk (Hann window) in ten rings to 0.5 cycles a pixel, over the first.
    """

    moments: tuple[float, ...]
    percentiles: tuple[float, ...]
    lung: tuple[float, float]
    belly: tuple[float, float]
    thoracic: tuple[float, float]
    lumbar: tuple[float, float]
    belly_noise: float
    spine_noise: float
    spectrum: tuple[float, ...]

    def to_json(self) -> dict[str, object]:
        """As plain lists and numbers."""
        return asdict(self)


def picture_statistics(bone: NDArray[np.uint8], frame: SpineFrame) -> PictureStatistics:
    """Statistics of a picture [H, W] whose spine lies in ``frame``.

    The boxes are those that were measured on a real scan, moved and scaled with the spine: fractions of the
    way from T1's upper to L5's lower endplate, and mm beside the line between them.
    """
    image = bone.astype(np.float64)
    x = frame.x0_mm + frame.mm_per_px * 111.5

    def box(top: float, bottom: float, right: float, left: float) -> tuple[slice, slice]:
        z = frame.z_mm[0] + np.array([top, bottom]) * (frame.z_mm[-1] - frame.z_mm[0])
        scale = (frame.z_mm[-1] - frame.z_mm[0]) / 500.0
        row = np.round(z / frame.spacing.row_mm).astype(int)
        col = np.round((x + np.array([right, left]) * scale) / frame.spacing.col_mm).astype(int)
        return slice(max(row[0], 0), row[1]), slice(max(col[0], 0), col[1])

    boxes = {
        "lung": box(0.17, 0.316, -82, -34), "belly": box(0.655, 0.85, -119, -58),
        "thoracic": box(0.146, 0.437, -9.5, 17), "lumbar": box(0.607, 0.947, -19, 19),
    }  # fmt: skip
    high = image - ndimage.gaussian_filter(image, 1.0)
    middle = (
        round((frame.z_mm[0] + frame.z_mm[-1]) / 2 / frame.spacing.row_mm),
        round(x / frame.spacing.col_mm),
    )
    rows = slice(max(middle[0] - TRUNK_ROWS // 2, 0), middle[0] + TRUNK_ROWS // 2 + 1)
    cols = slice(max(middle[1] - TRUNK_COLS // 2, 0), middle[1] + TRUNK_COLS // 2)
    trunk = image[rows, cols]
    levels = trunk[trunk > 0]
    grey = {k: (float(image[b].mean()), float(image[b].std())) for k, b in boxes.items()}
    return PictureStatistics(
        tuple(float(v) for v in (levels.mean(), levels.std(), skew(levels), kurtosis(levels))),
        tuple(float(v) for v in np.percentile(levels, [1, 10, 25, 50, 75, 90, 99])),
        grey["lung"], grey["belly"], grey["thoracic"], grey["lumbar"],
        float(high[boxes["belly"]].std()), float(high[boxes["thoracic"]].std()),
        tuple(radial_spectrum(trunk).tolist()),
    )  # fmt: skip


def radial_spectrum(image: Float) -> Float:
    """Mean power in ten rings from 0 to 0.5 cycles a pixel, over the first ring's [10]."""
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])[None])
    ring = np.floor(radius / 0.05).astype(int)
    rings = np.array([power[ring == k].mean() for k in range(10)])
    return np.asarray(rings / rings[0])


def spacing_frame(spacing: Spacing, top: tuple[float, float], bottom: tuple[float, float]) -> SpineFrame:
    """Frame of a spine whose ends are at (row, col) of the scan."""
    (rt, ct), (rb, cb) = top, bottom
    return SpineFrame.from_ends(
        spacing,
        top_xz_mm=(ct * spacing.col_mm, rt * spacing.row_mm),
        bottom_xz_mm=(cb * spacing.col_mm, rb * spacing.row_mm),
    )
