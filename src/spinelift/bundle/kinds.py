"""The kinds of sets of networks: each has its preprocessing, and the networks that it must hold.

A bundle for prediction finds a spine on a DXA and lifts it; the MRI segmenter finds the spine in an MRI; the
encoders align the two; the LVA network finds the spine in a lateral view.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, PositiveFloat, PositiveInt

from spinelift.bundle.card import CURVES, Calibration, Card, Preprocessing, Shape, Signature
from spinelift.geometry import CROP_SIZE, FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.geometry.canonical import CANONICAL_MM, CANONICAL_SHAPE, LATERAL_MM, LATERAL_SHAPE


def _as_done_here(part: Preprocessing) -> Preprocessing:
    if part != type(part)():
        raise ValueError(f"made for other preprocessing than {type(part)()!r}")
    return part


class DxaPreprocessing(Preprocessing):
    """What is done to a DXA: resampled to the canonical grid for the segmenter, cropped for the regressor."""

    grid_mm: float = CANONICAL_MM
    grid_shape: tuple[int, int] = CANONICAL_SHAPE
    crop_size: int = CROP_SIZE
    spine_rows: int = SPINE_ROWS
    first_spine_row: float = FIRST_SPINE_ROW
    image_range: tuple[float, float] = (0.0, 255.0)

    def signatures(self) -> dict[str, Signature]:
        """Both take images [N, 1, H, W]; curves and their scale are [N, 6, 209], crop px."""
        grid, crop, curves = self.grid_shape, self.crop_size, (None, CURVES, self.spine_rows)
        outputs: dict[str, Shape] = {"curves": curves, "scale": curves, "features": (None, None)}
        return {
            "segmenter": Signature({"image": (None, 1, *grid)}, {"maps": (None, 3, *grid)}),
            "regressor": Signature({"image": (None, 1, crop, crop)}, outputs),
        }


class MriWindow(Preprocessing):
    """What the networks see of an MRI: square windows of axial slices, water and fat, the bright tenth 1."""

    voxel_mm: float = 2.0
    size_px: int = 96
    slices: int = 3

    def signatures(self) -> dict[str, Signature]:
        """Slices [N, 6, 96, 96] → mask [N, 96, 96], features [N, D]; features [1, D, Z] → heat [1, 2, Z]."""
        size = self.size_px
        outputs: dict[str, Shape] = {"mask": (None, size, size), "features": (None, None)}
        return {
            "slices": Signature({"image": (None, 2 * self.slices, size, size)}, outputs),
            "ends": Signature({"features": (None, None, None)}, {"heat": (None, 2, None)}),
        }


class Canvases(Preprocessing):
    """Square pixels and sizes (rows, columns) of the images that the encoders see, the brightest about 1."""

    pixel_mm: PositiveFloat
    dxa_shape: tuple[PositiveInt, PositiveInt]
    mri_shape: tuple[PositiveInt, PositiveInt]

    def signatures(self) -> dict[str, Signature]:
        """DXA [N, 1, H, W], MRI [N, 2, H, W] (water, fat) → features [N, D, H / 8, W / 8]."""
        features: dict[str, Shape] = {"features": (None, None, None, None)}
        return {
            "dxa": Signature({"image": (None, 1, *self.dxa_shape)}, features),
            "mri": Signature({"image": (None, 2, *self.mri_shape)}, features),
        }


class LateralPreprocessing(Preprocessing):
    """A lateral vertebral view is resampled to its canvas, columns to posterior."""

    grid_mm: float = LATERAL_MM
    grid_shape: tuple[int, int] = LATERAL_SHAPE

    def signatures(self) -> dict[str, Signature]:
        """Images [N, 1, 320, 160], 0 to 255 → maps [N, 3, 320, 160]: column, T5's upper, L5's lower end."""
        grid = self.grid_shape
        return {"segmenter": Signature({"image": (None, 1, *grid)}, {"maps": (None, 3, *grid)})}


class PredictionCard(Card):
    """Segmenter and regressor of DXA scans, and what turns the regressor's numbers into intervals."""

    SHIPPED = "default"
    kind: Literal["prediction"] = "prediction"
    preprocessing: Annotated[DxaPreprocessing, AfterValidator(_as_done_here)] = DxaPreprocessing()
    calibration: Calibration = Calibration()


class MriSegmenterCard(Card):
    """Networks that find the spine in a Dixon MRI, slice by slice, and its ends."""

    SHIPPED = "mri_segmenter"
    kind: Literal["mri_segmenter"] = "mri_segmenter"
    preprocessing: Annotated[MriWindow, AfterValidator(_as_done_here)] = MriWindow()


class EncodersCard(Card):
    """Encoders whose features register an MRI to a DXA."""

    SHIPPED = "encoders"
    kind: Literal["encoders"] = "encoders"
    preprocessing: Canvases


class LvaCard(Card):
    """The network that finds the spine in a lateral vertebral view."""

    SHIPPED = "lva"
    kind: Literal["lva"] = "lva"
    preprocessing: Annotated[LateralPreprocessing, AfterValidator(_as_done_here)] = LateralPreprocessing()
