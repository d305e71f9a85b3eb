"""spinelift lifts the spine from a single 2D DXA scan into 3D."""

from spinelift.errors import SpineliftError

__version__ = "0.1.0"
__all__ = ["SpineliftError", "__version__"]
