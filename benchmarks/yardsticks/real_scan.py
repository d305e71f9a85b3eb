"""Yardstick 4: the real total-body scan, whose coronal line was marked by hand.

The picture itself is no part of the package: its PNG and pixel size are given by the user. Its true
sagittal curve is not known here; a predicted one is only asked whether it is a human one.
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.interpolate import PchipInterpolator

from benchmarks.yardsticks.case import YardstickCase
from benchmarks.yardsticks.statistics import PictureStatistics, picture_statistics, spacing_frame
from spinelift.curves import Curve
from spinelift.errors import ConfigError
from spinelift.geometry import SPINE_ROWS, Spacing, SpineFrame, Vertebra
from spinelift.simulate.body.morphometry import BODY_HEIGHT
from spinelift.simulate.body.prior import N_STEPS, ShapePrior

Float = NDArray[np.float64]
MARKS = "real_scan_marks.json"
SAGITTAL_STEPS = slice(N_STEPS, 2 * N_STEPS)


@dataclass(frozen=True)
class Marks:
    """Hand-marked places (row, col) in the scan: the ends, and the bodies' centres [17, 2].

    ``top_rows``, ``bottom_rows``: first and last row where the end may lie, read by eye anew.
    """

    shape: tuple[int, int]
    top: tuple[float, float]
    bottom: tuple[float, float]
    centres: Float
    top_rows: tuple[float, float]
    bottom_rows: tuple[float, float]

    @classmethod
    def load(cls) -> "Marks":
        """The marks that come with the package."""
        text = (resources.files("benchmarks.yardsticks") / MARKS).read_text(encoding="utf-8")
        d = json.loads(text)
        centres = np.array([d["centres"][v.name] for v in Vertebra])
        return cls(
            tuple(d["shape"]), tuple(d["top"]), tuple(d["bottom"]), centres,
            tuple(d["top_rows"]), tuple(d["bottom_rows"]),
        )  # fmt: skip

    def line(self, row: Float) -> Float:
        """Column of the marked centre line at rows of the scan, within the marked ends."""
        points = np.concatenate([[self.top], self.centres, [self.bottom]])
        return np.asarray(
            PchipInterpolator(points[:, 0], points[:, 1])(np.clip(row, points[0, 0], points[-1, 0]))
        )


def read_scan(png: Path) -> NDArray[np.uint8]:
    """The picture, uint8 [791, 272]; one of another size is not the scan that the marks belong to."""
    try:
        with Image.open(png) as image:
            bone = np.asarray(image.convert("L"))
    except OSError as error:
        raise ConfigError(
            found=f"the picture {png.name}, which cannot be read ({error})",
            expected="a PNG",
            do="Check the file.",
        ) from error
    if bone.shape != Marks.load().shape:
        raise ConfigError(
            found=f"a picture of {bone.shape[0]}×{bone.shape[1]} pixels",
            expected="the scan that was marked, 791×272 pixels",
            do="Give UK Biobank's public example of field 20158.",
        )
    return bone


def marked_frame(spacing: Spacing) -> SpineFrame:
    """The crop's place as marked."""
    marks = Marks.load()
    return spacing_frame(spacing, marks.top, marks.bottom)


def scan_case(png: Path, spacing: Spacing) -> YardstickCase:
    """The real scan as a case: only its coronal centre line is known, at all rows."""
    bone, frame, marks = read_scan(png), marked_frame(spacing), Marks.load()
    rows = frame.z_mm / spacing.row_mm
    xz = np.stack([marks.line(rows) * spacing.col_mm, frame.z_mm], 1)
    curves = np.zeros((len(Curve), SPINE_ROWS), np.float32)
    curves[Curve.CENTRE] = frame.grid.to_pixels(xz)[:, 1]
    known = np.zeros(len(Curve), bool)
    known[Curve.CENTRE] = True
    image = np.clip(np.round(frame.crop(bone)), 0, 255).astype(np.uint8)
    return YardstickCase("real scan/0", image, curves, frame.mm_per_px, np.ones(SPINE_ROWS, bool), known)


def scan_statistics(png: Path, spacing: Spacing) -> PictureStatistics:
    """Grey-level statistics of the real scan."""
    return picture_statistics(read_scan(png), marked_frame(spacing))


def sagittal_distance(z_mm: Float, y_mm: Float, prior: ShapePrior | None = None) -> float:
    """How far a sagittal centre line y(z) [209], mm, lies from the prior: 1 is usual, 2 is rare.

    Mahalanobis distance, per degree of freedom, of the 16 sagittal angles between the heights at which the
    prior's mean spine has its vertebral bodies, from the prior's sagittal angles alone.
    """
    prior = prior or ShapePrior.load()
    mean = prior.centres(prior.mean)[:, 2]
    half = BODY_HEIGHT[[0, -1]] / 2
    share = (mean - mean[0] + half[0]) / (mean[-1] - mean[0] + half.sum())
    z = z_mm[0] + share * (z_mm[-1] - z_mm[0])
    angle = np.degrees(np.arctan2(np.diff(np.interp(z, z_mm, y_mm)), np.diff(z)))
    d = angle - prior.mean[SAGITTAL_STEPS]
    w = prior.modes[SAGITTAL_STEPS]
    covariance = w @ w.T + prior.noise**2 * np.eye(N_STEPS)
    return float(np.sqrt(d @ np.linalg.solve(covariance, d) / N_STEPS))
