"""The machine-readable record of a run."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("spinelift", "torch", "numpy", "zarr")


def sha256(path: Path) -> str:
    """Hash of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """JSON with the versions of what ran added."""
    versions = {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
    path.write_text(json.dumps({**record, "versions": versions}, indent=1, default=str) + "\n")
