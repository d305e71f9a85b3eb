"""Pixel size: from the fields that makers write, cross-checked, or from the user."""

from collections.abc import Sequence

from spinelift.errors import InputTypeError, NoSpacingError
from spinelift.geometry import Spacing

SPACING_RANGE_MM = (0.2, 10.0)
"""A whole-body DXA has 0.5 to 5 mm pixels; beyond this range a header is wrong."""
MAX_ASPECT = 2.0
"""Largest ratio of pixel height to width, either way."""
TOLERANCE = 0.02
"""Two statements of the pixel size may differ by this share."""
ASK_FOR_SPACING = (
    "Give the height and width of a pixel, mm: --spacing 2.427,2.419, or spacing_mm=(2.427, 2.419)."
)


def check_spacing(row_mm: float, col_mm: float, source: str) -> Spacing:
    """Spacing, if it is plausible; else (also for NaN) raises NoSpacingError."""
    low, high = SPACING_RANGE_MM
    plausible = low <= row_mm <= high and low <= col_mm <= high
    if not plausible or not 1 / MAX_ASPECT <= row_mm / col_mm <= MAX_ASPECT:
        raise NoSpacingError(
            found=f"an absurd pixel size of {row_mm:.4g} × {col_mm:.4g} mm ({source})",
            expected=f"pixels of {low} to {high} mm, at most {MAX_ASPECT:.0f} times as high as wide",
            do=ASK_FOR_SPACING,
        )
    return Spacing(row_mm, col_mm)


def given_spacing(spacing: Spacing | None, spacing_mm: Sequence[float] | None) -> Spacing | None:
    """The pixel size that a caller gives, in either form, or None; raises a SpineliftError if it is none."""
    given = spacing_mm if spacing is None else spacing
    if given is None:
        return None
    try:
        row, col = map(float, (given.row_mm, given.col_mm) if isinstance(given, Spacing) else given)
    except (TypeError, ValueError):
        given = None
    if given is None or None not in (spacing, spacing_mm):
        raise InputTypeError(
            found="a pixel size that is not two numbers, or is given twice",
            expected="spacing_mm=(row, col), mm, or spacing=spinelift.geometry.Spacing(row, col)",
            do="Give the height and the width of a pixel, once.",
        )
    return check_spacing(row, col, "given")


def spacing_from_header(
    *, rows: int, columns: int, written: Sequence[float], exposed_area: Sequence[float]
) -> Spacing:
    """Spacing of a stored image [rows, columns].

    ``written`` is PixelSpacing or ImagerPixelSpacing, mm (row, column), and is preferred; ``exposed_area`` is
    ExposedArea, mm (width, height) of the whole image. Either is empty if absent. Raises NoSpacingError if
    both are, if one is absurd, or if they disagree.
    """
    sources: list[Spacing] = []
    if len(written) not in (0, 2):
        raise NoSpacingError(
            found=f"a PixelSpacing of {len(written)} numbers",
            expected="two: the height and the width of a pixel, mm",
            do=ASK_FOR_SPACING,
        )
    if written:
        sources.append(check_spacing(written[0], written[1], "PixelSpacing"))
    if len(exposed_area) == 2:
        sources.append(check_spacing(exposed_area[1] / rows, exposed_area[0] / columns, "ExposedArea"))
    if not sources:
        raise NoSpacingError(
            found="an image without pixel size",
            expected="PixelSpacing, ImagerPixelSpacing or ExposedArea in the header",
            do=ASK_FOR_SPACING,
        )
    first, last = sources[0], sources[-1]
    ratios = (first.row_mm / last.row_mm, first.col_mm / last.col_mm)
    if any(abs(ratio - 1) > TOLERANCE for ratio in ratios):
        raise NoSpacingError(
            found=f"two pixel sizes, {first.row_mm:.4g} × {first.col_mm:.4g} mm (PixelSpacing) "
            f"and {last.row_mm:.4g} × {last.col_mm:.4g} mm (ExposedArea)",
            expected=f"both within {TOLERANCE:.0%}",
            do=ASK_FOR_SPACING,
        )
    return first
