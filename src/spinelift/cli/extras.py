"""Commands that need packages of an extra say so before they begin."""

from importlib.util import find_spec

from spinelift.errors import MissingExtraError

PACKAGES = {
    "train": ("torch", "zarr", "safetensors"),
    "cohort": ("distributed", "polars", "zarr", "nibabel"),
}


def require_extra(name: str) -> None:
    """Say how to install what is missing.

    Raises
    ------
    MissingExtraError
        A package of the extra cannot be imported.
    """
    missing = [package for package in PACKAGES[name] if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            found=f"that {', '.join(missing)} cannot be imported",
            expected=f"the packages of the {name} extra",
            do=f"Run: pip install 'spinelift[{name}]'",
        )
