"""Array types that the package shares. Shapes, units and axes stand in the docstrings of their users."""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
AnyFloat = NDArray[np.floating]
Bool = NDArray[np.bool_]
UInt8 = NDArray[np.uint8]
Int32 = NDArray[np.int32]
Integers = NDArray[np.integer]
AnyArray = NDArray[np.generic]
