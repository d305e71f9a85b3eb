"""numba, which compiles the kernels of projection and painting, or the error that says how to install it."""

from spinelift.errors import MissingExtraError

try:
    import numba as numba
except ImportError as error:
    raise MissingExtraError(
        found="no package `numba`",
        expected="the simulator's packages",
        do="Run: pip install 'spinelift[simulate]'",
    ) from error
