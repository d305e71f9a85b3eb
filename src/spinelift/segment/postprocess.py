"""From the segmenter's maps to the position of the spine, in training and in use; no torch."""

from dataclasses import dataclass

import numpy as np

from spinelift.errors import NoSpineError
from spinelift.geometry import SpineFrame, largest_component
from spinelift.geometry.arrays import AnyFloat, Bool, Float, Float32
from spinelift.geometry.canonical import CANONICAL_MM, CANONICAL_SHAPE, CanonicalGrid

MASK, TOP, BOTTOM = 0, 1, 2
"""Channels of the segmenter's maps."""

MIN_PEAK = 0.12
"""Lowest heat-map peak that counts as an end of the spine."""
MIN_AREA_MM2 = 4000.0
"""Smallest spine mask: about 300 mm × 13 mm."""
HEIGHT_RANGE_MM = (300.0, 700.0)
"""Plausible heights from T1's upper to L5's lower endplate, adults of any size with a wide margin."""
MIN_ROWS_COVERED = 0.7
"""Least share of the rows between the two ends that the mask must hold."""
END_DISAGREEMENT_MM = (15.0, 60.0)
"""Distance between an end and the mask's own end that gives a warning, and that gives an error."""
FAINT = 0.25
"""Probability from which pixels connect the spine."""
MIN_SHARE = 0.8
"""Share of all likely spine in the kept piece below which there is a warning."""
MIN_CONFIDENCE = 0.5
"""Confidence below which there is a warning."""
PEAK_RADIUS = 5
"""Pixels around the highest one over which a peak's position is averaged."""
PEAK_FLOOR = 0.1
"""Share of a peak that is subtracted from its surroundings before averaging."""

_LOOK = "Look at the image: a whole-body DXA that shows the spine from T1 to L5 is needed."


@dataclass(frozen=True)
class SpineLocation:
    """Where the spine lies in a scan.

    ``mask``: probability of spine on the canvas of ``grid``, one connected piece, float32 [832, 320].
    ``top_xz_mm``, ``bottom_xz_mm``: centres of T1's upper and L5's lower endplate, mm from the centre of the
    scan's first pixel. ``confidence``: 0 to 1, the lowest of the two peaks and the mean probability inside
    the mask. ``warnings``: remarks for the user.
    """

    grid: CanonicalGrid
    mask: Float32
    top_xz_mm: tuple[float, float]
    bottom_xz_mm: tuple[float, float]
    confidence: float
    warnings: tuple[str, ...] = ()

    @property
    def column(self) -> Float32:
        """The mask cut at the two ends of the spine [832, 320]."""
        canvas = self.grid.canvas
        inside = np.minimum(canvas.z_mm - self.top_xz_mm[1], self.bottom_xz_mm[1] - canvas.z_mm)
        share = np.clip(inside / canvas.spacing.row_mm + 0.5, 0, 1)
        return (self.mask * share[:, None]).astype(np.float32)

    @property
    def frame(self) -> SpineFrame:
        """The crop for the regressor."""
        ends = {"top_xz_mm": self.top_xz_mm, "bottom_xz_mm": self.bottom_xz_mm}
        return SpineFrame.from_ends(self.grid.spacing, **ends)


def soft_peak(heat: AnyFloat) -> tuple[Float, float]:
    """Peak of a heat map [H, W]: (row, col) to a fraction of a pixel [2], and its height.

    The mean position, weighted by the heat above ``PEAK_FLOOR`` of the peak, within ``PEAK_RADIUS`` of the
    highest pixel (soft-argmax in a window: Luvizon et al. 2019, section 3.1, without the exponential, since
    the map is already a density).
    """
    r, c = (int(k) for k in np.unravel_index(int(np.argmax(heat)), heat.shape))
    peak = float(heat[r, c])
    # One radius for both sides, so that a window cut by the border does not pull the mean inwards.
    reach_r, reach_c = (min(PEAK_RADIUS, k, n - 1 - k) for k, n in zip((r, c), heat.shape, strict=True))
    window = heat[r - reach_r : r + reach_r + 1, c - reach_c : c + reach_c + 1].astype(np.float64)
    weight = np.maximum(window - PEAK_FLOOR * peak, 0.0)
    total = weight.sum()
    if total <= 0:
        return np.array([r, c], np.float64), peak
    rows, cols = np.mgrid[-reach_r : reach_r + 1, -reach_c : reach_c + 1]
    return np.array([r + (weight * rows).sum() / total, c + (weight * cols).sum() / total]), peak


def connected_mask(probability: AnyFloat) -> tuple[Float32, float]:
    """The spine's own piece of a mask [H, W], and its share of all that is likely spine.

    Pieces are connected where the probability is at least ``FAINT``, so that a faint vertebra does not cut
    the spine; the piece with most pixels of at least 0.5 is kept and all else is set to 0.
    """
    likely = probability >= 0.5
    piece = largest_component(probability >= FAINT, diagonal=True, weights=likely)
    share = int((piece & likely).sum()) / max(int(likely.sum()), 1)
    return np.where(piece, probability, 0).astype(np.float32), share


def locate_spine(maps: AnyFloat, grid: CanonicalGrid) -> SpineLocation:
    """Segmenter maps [3, 832, 320] → the position of the spine.

    Raises NoSpineError if there is no spine, only a part of one, or one that cannot be human.
    """
    if maps.shape != (3, *CANONICAL_SHAPE):
        raise ValueError(f"maps must be {[3, *CANONICAL_SHAPE]}, not {list(maps.shape)}")
    top, top_peak = soft_peak(maps[TOP])
    bottom, bottom_peak = soft_peak(maps[BOTTOM])
    mask, share = connected_mask(maps[MASK])
    inside = mask >= 0.5
    _require_spine(inside, top_peak, bottom_peak)
    _require_whole(inside, grid)
    warnings = [*_check_ends(inside, top, bottom), *_check_sides(inside, grid)]
    if share < MIN_SHARE:
        warnings.append("the spine mask has other pieces elsewhere in the image")
    confidence = min(top_peak, bottom_peak, float(mask[inside].mean()))
    if confidence < MIN_CONFIDENCE:
        warnings.append(f"the spine was found with low confidence ({confidence:.2f} of 1)")
    (xt, zt), (xb, zb) = grid.canvas.to_mm([top, bottom]).tolist()
    return SpineLocation(grid, mask, (xt, zt), (xb, zb), round(min(confidence, 1.0), 4), tuple(warnings))


def _no_spine(found: str, expected: str, do: str = _LOOK) -> NoSpineError:
    return NoSpineError(found=found, expected=expected, do=do)


def _require_spine(inside: Bool, top_peak: float, bottom_peak: float) -> None:
    area = float(np.count_nonzero(inside)) * CANONICAL_MM**2
    if area < MIN_AREA_MM2:
        found = f"no spine: only {area / 100:.0f} cm² of the image look like vertebrae"
        raise _no_spine(found, f"at least {MIN_AREA_MM2 / 100:.0f} cm²")
    for name, peak in (("upper end of T1", top_peak), ("lower end of L5", bottom_peak)):
        if peak < MIN_PEAK:
            raise _no_spine(
                f"no {name} (the best position scores {peak:.2f} of 1)",
                f"both ends of the spine, each with a score of at least {MIN_PEAK}",
            )


def _require_whole(inside: Bool, grid: CanonicalGrid) -> None:
    rows = np.flatnonzero(inside.any(1))
    covered = grid.covered[0]
    for edge, cut in (("upper", rows[0] <= covered.start), ("lower", rows[-1] >= covered.stop - 1)):
        if cut:
            found = f"a spine that the {edge} edge of the image cuts"
            raise _no_spine(found, "the whole spine from T1 to L5 inside the image")


def _check_ends(inside: Bool, top: Float, bottom: Float) -> list[str]:
    height = (bottom[0] - top[0]) * CANONICAL_MM
    low, high = HEIGHT_RANGE_MM
    if not low <= height <= high:
        what = f"{height:.0f} mm" if height > 0 else "upside down"
        raise _no_spine(
            f"a spine that is {what} from T1 to L5",
            f"{low:.0f} to {high:.0f} mm, the head at the top of the image",
            "Check the pixel spacing and the orientation of the image.",
        )
    rows = np.flatnonzero(inside.any(1))
    first, last = int(np.ceil(top[0])), int(np.floor(bottom[0]))
    share = float(inside[first : last + 1].any(1).mean())
    gaps = {"upper": abs(rows[0] - top[0]) * CANONICAL_MM, "lower": abs(rows[-1] - bottom[0]) * CANONICAL_MM}
    warn_at, fail_at = END_DISAGREEMENT_MM
    if share < MIN_ROWS_COVERED or max(gaps.values()) > fail_at:
        raise _no_spine(
            f"a broken spine: {100 * share:.0f} % of the rows between its ends are spine",
            f"one connected spine that fills at least {100 * MIN_ROWS_COVERED:.0f} % of them "
            f"and ends within {fail_at:.0f} mm of T1 and L5",
        )
    uncertain = "the {} end of the spine is uncertain: mask and end point differ by {:.0f} mm"
    return [uncertain.format(end, gap) for end, gap in gaps.items() if gap > warn_at]


def _check_sides(inside: Bool, grid: CanonicalGrid) -> list[str]:
    cols, covered = np.flatnonzero(inside.any(0)), grid.covered[1]
    cut = cols[0] <= covered.start or cols[-1] >= covered.stop - 1
    return ["the side of the image cuts the spine"] if cut else []
