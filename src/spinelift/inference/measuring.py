"""``spinelift.measure``: the clinical measures of a prediction, a ``curves.json`` or vertebral centres."""

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spinelift.errors import InvalidCurveError, NoScansError
from spinelift.geometry import Vertebra
from spinelift.inference.outputs import CURVES_JSON, Record
from spinelift.inference.prediction import CURVES_FORMAT, Prediction
from spinelift.measures import SpineMeasures, measure_spine


def measure(
    spine: Prediction | str | PathLike[str] | Mapping[str, Any] | ArrayLike,
) -> SpineMeasures:
    """Clinical measures of a spine: angles, curves, levels and screening.

    Parameters
    ----------
    spine
        A :class:`Prediction`; a ``curves.json``, or the folder of a result, by its path; the content of a
        ``curves.json``; or vertebral centres T1 to L5 [17, 3] or a centre line from T1's upper to L5's lower
        endplate [n, 3]: x to the left, y to posterior, z to the feet, mm.

    Returns
    -------
    SpineMeasures
        As in ``curves.json``; points have no intervals.

    Raises
    ------
    NoScansError
        If there is no such file.
    InvalidCurveError
        If it is no ``curves.json`` of this version, or the points cannot be measured.

    Examples
    --------
    >>> import numpy as np
    >>> import spinelift
    >>> z = np.linspace(0, 420, 17)
    >>> arc = np.sqrt(1200**2 - (z - 210) ** 2)
    >>> found = spinelift.measure(np.stack([arc, 0 * z, z], 1))
    >>> round(found.ferguson_deg.value, 1), found.main.direction
    (10.1, 'left')
    """
    if isinstance(spine, Prediction):
        return spine.measured
    if isinstance(spine, str | PathLike):
        spine = read_curves(spine)
    if isinstance(spine, Mapping):
        return _of_document(spine)
    try:
        points = np.asarray(spine, np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InvalidCurveError(
            found=f"an array of shape {points.shape}",
            expected=f"vertebral centres of shape ({len(Vertebra)}, 3), or a line (n, 3)",
            do="Pass x (left), y (posterior) and z (feet) of T1 to L5 in mm.",
        )
    x, y, z = points.T
    return measure_spine(z, x, y)


def read_curves(path: str | PathLike[str]) -> Record:
    """The content of a ``curves.json``, given by its path or by the folder of the result."""
    file = Path(path)
    file = file / CURVES_JSON if file.is_dir() else file
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        found = f"{file.name}, which cannot be read ({error.strerror})"
        expected, do = f"a {CURVES_JSON} or the folder of a result", "Check the path."
        raise NoScansError(found=found, expected=expected, do=do) from None
    except (ValueError, RecursionError):
        raise _other(f"{file.name}, which is no JSON") from None
    if not isinstance(document, dict):
        raise _other(f"{file.name}, which is no {CURVES_JSON}")
    return document


def is_result(path: Path) -> bool:
    """Whether a path is a ``curves.json`` (any JSON file) or a folder with one."""
    return path.suffix.lower() == ".json" or (path / CURVES_JSON).is_file()


def find_curves(paths: Iterable[Path]) -> list[Path]:
    """Every ``curves.json``: of files, folders of results, and output folders with results in them."""
    found: list[Path] = []
    for path in paths:
        if is_result(path) or not path.is_dir():
            found.append(path)
        else:
            found += find_results(path)
    return found


def find_results(folder: Path) -> list[Path]:
    """Folders of results in an output folder, by name; NoScansError if there are none."""
    found = [file.parent for file in sorted(folder.glob(f"*/{CURVES_JSON}"))]
    if not found:
        raise NoScansError(
            found=f"the folder {folder.name}, which holds no results",
            expected="an output folder of spinelift predict",
            do="Give the folder that was its --out.",
        )
    return found


def _of_document(document: Mapping[str, Any]) -> SpineMeasures:
    if document.get("format") != CURVES_FORMAT:
        raise _other(f"a document of format {document.get('format')!r}")
    try:
        return SpineMeasures.from_dict(document)
    except (KeyError, TypeError, ValueError):
        raise _other(f"a {CURVES_JSON} whose measures cannot be read") from None


def _other(found: str) -> InvalidCurveError:
    expected = f"a {CURVES_JSON} of format {CURVES_FORMAT}"
    return InvalidCurveError(found=found, expected=expected, do="Run spinelift predict on the scan again.")
