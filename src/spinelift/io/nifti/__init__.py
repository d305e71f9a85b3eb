"""NIfTI files: volumes and label maps made elsewhere."""
