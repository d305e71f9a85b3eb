"""The truth of a simulated person, ``truth/<eid>_<instance>.json``: one type, one writer, one reader.

All lengths are mm, all angles degrees, axes those of the project: x to the patient's left, y to posterior, z
to the feet. Coordinates of the DXA start at the centre of the scan's first pixel; those of the MRI are the
scanner's (z is minus DICOM's z).
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from spinelift.errors import ConfigError
from spinelift.geometry import RigidTransform2D, Vertebra
from spinelift.io.dixon.volume import Trap
from spinelift.io.ukb_names import DIXON_FIELD, visit_key
from spinelift.io.visits import find_archives

Float = NDArray[np.float64]
Numbers = tuple[float, ...]
Pair = tuple[float, float]
Triple = tuple[float, float, float]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CoronalCurves(_Model):
    """x of the column's edges and centre line at each height."""

    left: Numbers
    centre: Numbers
    right: Numbers


class SagittalCurves(_Model):
    """y of the column's edges and centre line at each height."""

    anterior: Numbers
    centre: Numbers
    posterior: Numbers


class ColumnTruth(_Model):
    """The column of vertebral bodies and discs in one pose.

    Parameters
    ----------
    z_mm
        Heights, ascending, from T1's upper to L5's lower endplate.
    coronal_mm, sagittal_mm
        Curves at these heights.
    vertebra_centres_mm
        (x, y, z) of each body's centre by level, T1 to L5.
    """

    z_mm: Numbers
    coronal_mm: CoronalCurves
    sagittal_mm: SagittalCurves
    vertebra_centres_mm: dict[str, Triple]

    @model_validator(mode="after")
    def _is_whole(self) -> "ColumnTruth":
        curves = [*vars(self.coronal_mm).values(), *vars(self.sagittal_mm).values()]
        if len(self.z_mm) < 2 or any(len(curve) != len(self.z_mm) for curve in curves):
            raise ValueError("every curve must have one value for each of at least two heights")
        if (np.diff(self.z_mm) <= 0).any():
            raise ValueError("z_mm must ascend")
        if list(self.vertebra_centres_mm) != [v.name for v in Vertebra]:
            raise ValueError("vertebra_centres_mm must name T1 to L5 in order")
        return self

    @property
    def z(self) -> Float:
        """Heights [n], mm."""
        return np.asarray(self.z_mm, np.float64)

    @property
    def mm(self) -> Float:
        """Curves [6, n], mm, in the order of ``curves.Curve``."""
        return np.array([*vars(self.coronal_mm).values(), *vars(self.sagittal_mm).values()], np.float64)

    @property
    def centres(self) -> Float:
        """Centres of the bodies T1 to L5 [17, 3], mm."""
        return np.array(list(self.vertebra_centres_mm.values()), np.float64)

    def depth_mm(self, xz: Float) -> Float:
        """Distance of points [..., 2] (x, z) from the nearest of the four edges, mm; negative outside."""
        x, z = xz[..., 0], xz[..., 1]
        left, _, right = (np.interp(z, self.z_mm, curve) for curve in self.mm[:3])
        depth: Float = np.minimum.reduce([left - x, x - right, z - self.z_mm[0], self.z_mm[-1] - z])
        return depth


class DxaTruth(ColumnTruth):
    """The column in the DXA. ``ferguson_deg`` is its largest modified Ferguson angle."""

    ferguson_deg: float


class RigidMovement(_Model):
    """The coronal rigid movement from MRI to DXA that fits the corners of all bodies best, and what is left.

    Parameters
    ----------
    rotation_deg, dx_mm, dz_mm
        As of ``RigidTransform2D``: rotation about the MRI's origin, then shift.
    centre_shift_mm
        (x, z) from the mean of the MRI's body centres to that of the DXA's.
    residual_mean_mm, residual_max_mm
        Distance of the body centres after the movement.
    iou
        Intersection over union of both columns after the movement.
    """

    rotation_deg: float
    dx_mm: float
    dz_mm: float
    centre_shift_mm: Pair
    residual_mean_mm: float
    residual_max_mm: float
    iou: float

    @property
    def transform(self) -> RigidTransform2D:
        """From ``mri`` to ``dxa``."""
        return RigidTransform2D(self.rotation_deg, (self.dx_mm, self.dz_mm), "mri", "dxa")


class PostureTruth(_Model):
    """Change of posture from DXA to MRI: tilt of the body, and angles of the 16 steps T1-T2 to L4-L5."""

    tilt_deg: float
    bend_deg: Numbers
    sway_deg: Numbers


class StationTruth(_Model):
    """How one station was measured; fields as of ``simulate.mr.stations.Placing``."""

    station: int
    span_mm: Pair
    moved_mm: Triple
    breath_mm: Pair
    gain: float
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
    """All that is known of one visit of a simulated person.

    Parameters
    ----------
    format
        Version of this form.
    scan_id
        ``<eid>_<instance>``.
    seed, person
        What the person was made from.
    sex, age_years, height_mm, weight_kg
        As the headers of both archives say.
    dxa, mri
        The column in both examinations; ``mri`` is absent where there is a DXA alone.
    """

    format: Literal[1] = 1
    scan_id: str
    seed: int
    person: int
    sex: Literal["F", "M"]
    age_years: float
    height_mm: float
    weight_kg: float
    dxa: DxaTruth
    mri: MriTruth | None = None

    @property
    def pair(self) -> MriTruth:
        """The MRI's truth.

        Raises
        ------
        ConfigError
            The truth is that of a DXA alone.
        """
        if self.mri is None:
            raise _unusable(f"a truth without an MRI ({self.scan_id})")
        return self.mri


def column_fields(z_mm: Float, mm: Float, centres_mm: Float) -> dict[str, Any]:
    """Fields of a ``ColumnTruth``, rounded to 0.001 mm, from z [n], curves [6, n] and centres [17, 3]."""
    left, centre, right, anterior, sagittal, posterior = (mm.round(3) + 0.0).tolist()
    return {
        "z_mm": z_mm.round(3).tolist(),
        "coronal_mm": {"left": left, "centre": centre, "right": right},
        "sagittal_mm": {"anterior": anterior, "centre": sagittal, "posterior": posterior},
        "vertebra_centres_mm": {v.name: centres_mm[v].round(3).tolist() for v in Vertebra},
    }


def truth_path(folder: Path, key: str) -> Path:
    """File of a visit ``<eid>_<instance>`` in the folder ``truth/``."""
    return folder / f"{key}.json"


def write_truth(folder: Path, truth: SimulatedTruth) -> Path:
    """Write ``<eid>_<instance>.json`` into a folder, whole or not at all."""
    target = truth_path(folder, truth.scan_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial_file = target.with_suffix(".part")
    partial_file.write_text(truth.model_dump_json(exclude_none=True) + "\n", encoding="utf-8")
    return partial_file.replace(target)


def read_truth(path: Path) -> SimulatedTruth:
    """Read the truth of a simulated person.

    Raises
    ------
    ConfigError
        The file cannot be read, or is of another form.
    """
    try:
        return SimulatedTruth.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _unusable(f"no way to read {path.name} ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "document"
        raise _unusable(f"{path.name}, in which {place} is wrong ({first['msg']})") from error


def mri_with_truth(cohort: Path) -> list[tuple[str, Path, Path]]:
    """(visit, archive, truth) of every MRI in ``mri/`` of a simulated cohort with a file in ``truth/``.

    Raises
    ------
    NoScansError
        There is no folder ``mri/``.
    """
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
