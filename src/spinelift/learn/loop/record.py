"""The machine-readable record of a run."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spinelift.files import write_json

PACKAGES = ("spinelift", "torch", "numpy", "zarr")


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """JSON with the versions of what ran added."""
    versions = {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
    write_json(path, {**record, "versions": versions})
