"""Registration of one person's DXA and MRI: image level, spine level, and which pairs are rejected."""

MIN_OVERLAP = 0.70
"""Least intersection over union of both spine masks of an accepted pair (paper, section 2); the default of
``--min-iou``."""
