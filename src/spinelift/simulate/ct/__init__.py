"""Training pairs from the CTs of real people: read, taken apart, re-posed, projected as a DXA."""
