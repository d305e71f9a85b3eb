"""Labels for many DXA scans from few: rounds of training, proposals and review."""
