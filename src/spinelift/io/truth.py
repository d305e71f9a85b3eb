"""The truth of a simulated person, ``truth/<eid>_<instance>.json``: one type, one writer, one reader.

Lengths are mm, angles degrees, axes those of the project: x to the patient's left, y to posterior, z to the
feet. Coordinates of the DXA start at the centre of its first pixel; those of the MRI are the scanner's.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from spinelift.errors import ConfigError
from spinelift.files import make_folder, write_whole
from spinelift.geometry import RigidTransform2D, Vertebra
from spinelift.geometry.arrays import Float
from spinelift.io.dixon.volume import Trap
from spinelift.io.inputs import read_bounded
from spinelift.io.ukb_names import DIXON_FIELD, visit_key
from spinelift.io.visits import find_archives

CURVES = ("left", "centre", "right", "anterior", "sagittal", "posterior")
"""Names of the rows of ``curves_mm``, in the order of ``curves.Curve``."""
SAGITTAL = CURVES[3:]
"""Names of the rows of ``sagittal_mm``."""
LEVELS = tuple(level.name for level in Vertebra)


def _array(value: Any) -> Float:
    """Finite numbers, rounded to 0.001."""
    try:
        array = np.asarray(value, np.float64).round(3) + 0.0
    except (TypeError, OverflowError):
        raise ValueError("these are no numbers") from None
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array


def _rows(names: tuple[str, ...], value: Any) -> Float:
    """An array whose rows are named in JSON."""
    if isinstance(value, dict):
        if tuple(value) != names:
            raise ValueError(f"the keys must be {', '.join(names)}")
        value = list(value.values())
    array = _array(value)
    if array.ndim != 2 or len(array) != len(names):
        raise ValueError(f"there must be {len(names)} rows")
    return array


def _named(names: tuple[str, ...], array: Float) -> dict[str, list[float]]:
    return dict(zip(names, array.tolist(), strict=True))


Number = Annotated[float, AfterValidator(lambda value: round(value, 4) + 0.0)]
Numbers = Annotated[Float, PlainValidator(_array), PlainSerializer(np.ndarray.tolist)]
Curves = Annotated[Float, PlainValidator(partial(_rows, CURVES)), PlainSerializer(partial(_named, CURVES))]
Sagittal = Annotated[
    Float, PlainValidator(partial(_rows, SAGITTAL)), PlainSerializer(partial(_named, SAGITTAL))
]
Centres = Annotated[Float, PlainValidator(partial(_rows, LEVELS)), PlainSerializer(partial(_named, LEVELS))]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ColumnTruth(_Model):
    """The column of vertebral bodies and discs in one pose.

    ``z_mm`` are heights [n], ascending, from T1's upper to L5's lower endplate. ``curves_mm`` [6, n] are, at
    these heights, x of the left edge, the centre line and the right edge, and y of the anterior edge, the
    centre line and the posterior edge. ``vertebra_centres_mm`` [17, 3] are (x, y, z) of the bodies T1 to L5.
    """

    z_mm: Numbers
    curves_mm: Curves
    vertebra_centres_mm: Centres

    @model_validator(mode="after")
    def _fits(self) -> "ColumnTruth":
        n = self.curves_mm.shape[1]
        if self.z_mm.shape != (n,) or n < 2 or (np.diff(self.z_mm) <= 0).any():
            raise ValueError("z_mm must ascend and have a value for each of the curves'")
        if self.vertebra_centres_mm.shape[1] != 3:
            raise ValueError("vertebra_centres_mm must be x, y, z")
        return self

    def depth_mm(self, xz: Float) -> Float:
        """Distance of points [..., 2] (x, z) from the nearest of the four edges, mm; negative outside."""
        x, z = xz[..., 0], xz[..., 1]
        left, right = (np.interp(z, self.z_mm, self.curves_mm[k]) for k in (0, 2))
        depth: Float = np.minimum.reduce([left - x, x - right, z - self.z_mm[0], self.z_mm[-1] - z])
        return depth


class DxaTruth(ColumnTruth):
    """The column in the DXA, and its largest modified Ferguson angle."""

    ferguson_deg: Number


class RigidMovement(_Model):
    """The coronal rigid movement from MRI to DXA that fits the corners of all bodies best, and what is left.

    ``rotation_deg``, ``dx_mm``, ``dz_mm``: rotation about the MRI's origin, then shift.
    ``centre_shift_mm``: (x, z) from the mean of the MRI's body centres to that of the DXA's. ``residual_…``:
    distances of the body centres after the movement. ``iou``: intersection over union of both columns then.
    """

    rotation_deg: Number
    dx_mm: Number
    dz_mm: Number
    centre_shift_mm: tuple[Number, Number]
    residual_mean_mm: Number
    residual_max_mm: Number
    iou: Number

    @property
    def transform(self) -> RigidTransform2D:
        """From ``mri`` to ``dxa``."""
        return RigidTransform2D(self.rotation_deg, (self.dx_mm, self.dz_mm), "mri", "dxa")


class PostureTruth(_Model):
    """Change of posture from the DXA; fields as of ``simulate.body.posture.Posture``."""

    tilt_deg: Number
    bend_deg: Numbers
    sway_deg: Numbers


class LateralTruth(_Model):
    """The column T1 to L5 in the lateral view, which shows a part of it; mm from its first pixel's centre.

    ``z_mm`` are heights [n], ``sagittal_mm`` [3, n] y of the anterior edge, the centre line and the posterior
    edge; ``ends_mm`` (y, z) of T5's upper and L5's lower endplate.
    """

    z_mm: Numbers
    sagittal_mm: Sagittal
    ends_mm: Numbers
    posture: PostureTruth


class StationTruth(_Model):
    """How one station was measured; fields as of ``simulate.mr.stations.Placing``."""

    number: int
    span_mm: tuple[Number, Number]
    moved_mm: tuple[Number, Number, Number]
    breath_mm: tuple[Number, Number]
    gain: Number
    dark_ends: tuple[int, int]


class PlantedTrap(_Model):
    """One flaw planted in one station (1-based from the head; 0: the whole body), with its numbers."""

    trap: Trap
    station: int
    detail: dict[str, float | str]


class MriTruth(ColumnTruth):
    """The column in the MRI, and how the examination was made."""

    to_dxa: RigidMovement
    posture: PostureTruth
    stations: tuple[StationTruth, ...]
    traps: tuple[PlantedTrap, ...]


class SimulatedTruth(_Model):
    """All that is known of one visit of a simulated person: ``scan_id`` is ``<eid>_<instance>``.

    Sex, age and size are those of the headers of both archives; ``lva`` and ``mri`` are None where there is
    no such image.
    """

    format: Literal[1] = 1
    scan_id: str
    seed: int
    person: int
    sex: Literal["F", "M"]
    age_years: Number
    height_mm: Number
    weight_kg: Number
    dxa: DxaTruth
    lva: LateralTruth | None = None
    mri: MriTruth | None = None

    @property
    def pair(self) -> MriTruth:
        """The MRI's truth; raises ConfigError if there is none."""
        if self.mri is None:
            raise _unusable(f"a truth without an MRI ({self.scan_id})")
        return self.mri


def truth_path(folder: Path, key: str) -> Path:
    """File of a visit ``<eid>_<instance>`` in the folder ``truth/``."""
    return folder / f"{key}.json"


def write_truth(folder: Path, truth: SimulatedTruth) -> Path:
    """Write ``<eid>_<instance>.json`` into a folder, whole or not at all."""
    target = truth_path(folder, truth.scan_id)
    make_folder(target.parent)
    write_whole(target, truth.model_dump_json(exclude_none=True) + "\n")
    return target


def read_truth(path: Path) -> SimulatedTruth:
    """Read the truth of a simulated person; raises ConfigError if it is missing or of another form."""
    try:
        return SimulatedTruth.model_validate_json(read_bounded(path))
    except OSError as error:
        raise _unusable(f"no way to read {path.name} ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "document"
        raise _unusable(f"{path.name}, in which {place} is wrong ({first['msg']})") from error


def mri_with_truth(cohort: Path) -> list[tuple[str, Path, Path]]:
    """(visit, archive, truth) of every MRI in ``mri/`` with a file in ``truth/``; raises NoScansError."""
    archives, _ = find_archives(cohort / "mri", DIXON_FIELD)
    visits = [(visit_key(*visit), path) for visit, path in sorted(archives.items())]
    found = [(key, path, truth_path(cohort / "truth", key)) for key, path in visits]
    return [entry for entry in found if entry[2].is_file()]


def _unusable(found: str) -> ConfigError:
    return ConfigError(
        found=found,
        expected="the truth of a simulated person, as `spinelift simulate` writes it",
        do="Check --truth, or simulate the people again with this version.",
    )
