"""The network that finds the spine on a DXA: configuration, training."""
