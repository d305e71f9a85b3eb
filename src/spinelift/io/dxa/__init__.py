"""DXA scans: UK Biobank zips, DICOM, PNG and TIFF → ``DxaScan``."""

from spinelift.io.dxa.discover import find_scans
from spinelift.io.dxa.read import read_dxa
from spinelift.io.dxa.scan import DxaScan

__all__ = ["DxaScan", "find_scans", "read_dxa"]
