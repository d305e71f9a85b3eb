"""Position of the spine on a DXA and in an MRI, by trained networks."""
