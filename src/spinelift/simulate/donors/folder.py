"""Donors from a folder of meshes.

The folder holds ``index.csv`` with the columns ``file, person, level, body_centre_left_mm,
body_centre_post_mm, body_centre_up_mm`` (the last three: the middle of the body), if wanted ``licence`` and
``source``, and the closed STL meshes that it names, in mm, patient axes LPS (z to the head).
"""

import csv
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.errors import ConfigError
from spinelift.geometry import Vertebra
from spinelift.simulate.body.bones import Mesh, make_mesh, outward
from spinelift.simulate.body.donors import DonorVertebra
from spinelift.simulate.donors.check import check_vertebra
from spinelift.simulate.donors.frame import donor_vertebra

Refuse = Callable[[str, str], None]
"""Is called with the name of a vertebra that cannot be used, and the reason."""


def load_folder(
    folder: Path,
    *,
    people: Collection[str] | None = None,
    wanted: Collection[tuple[str, Vertebra]] | None = None,
    refuse: Refuse | None = None,
) -> list[DonorVertebra]:
    """Vertebrae of a folder of meshes: all, those of some people, or ``wanted`` ones as far as it has them.

    With ``refuse`` vertebrae that cannot be used are reported and left out.

    Raises
    ------
    ConfigError
        There is no usable ``index.csv``, or, without ``refuse``, a mesh cannot be read or is not closed.
    """
    out = []
    try:
        with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
            rows = [r for r in csv.DictReader(file) if r["level"] in Vertebra.__members__]
        for row in rows:
            key = (row["person"], Vertebra[row["level"]])
            if (wanted is not None and key not in wanted) or (people is not None and key[0] not in people):
                continue
            middle = np.array([float(row[f"body_centre_{a}_mm"]) for a in ("left", "post", "up")])
            try:
                bone = donor_vertebra(*key, _read(folder / row["file"]), middle * [1, 1, -1])
                if refuse:
                    check_vertebra(bone)
            except ValueError as error:
                if not refuse:
                    raise
                refuse(f"{key[0]} {key[1].name}", str(error))
                continue
            out.append(replace(bone, licence=row.get("licence") or "", source=row.get("source") or ""))
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            found=f"a folder of donors that cannot be used: {error!r}",
            expected="index.csv and the closed STL meshes that it names",
            do="Check the folder.",
        ) from error
    return out


def _read(path: Path) -> Mesh:
    """A closed STL mesh in patient axes with z to the feet."""
    import trimesh

    mesh: Any = trimesh.load(path, force="mesh")
    if not mesh.is_watertight:
        raise ValueError(f"{path.name} is not closed")
    # z turned round makes the axes left-handed; `outward` takes them as right-handed
    return outward(make_mesh(np.asarray(mesh.vertices) * [1, 1, -1], np.asarray(mesh.faces)))
