"""numba, which compiles the kernels of projection and painting, or the error that says how to install it."""

from spinelift.errors import MissingExtraError


def missing_package(name: str) -> MissingExtraError:
    """The error for a package of the simulator that is not installed."""
    return MissingExtraError(
        found=f"no package `{name}`",
        expected="the simulator's packages",
        do="Run: pip install 'spinelift[simulate]'",
    )


try:
    import numba as numba
except ImportError as error:
    raise missing_package("numba") from error
