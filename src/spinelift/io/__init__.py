"""Scans in, UK Biobank archives out. Nothing personal passes from a header into a ``DxaScan``."""

from spinelift.io.archive import Limits, iter_members
from spinelift.io.discover import find_scans
from spinelift.io.dxa import read_dxa
from spinelift.io.scan import DxaScan
from spinelift.io.ukb_dxa import DxaImage, write_dxa_zip

__all__ = ["DxaImage", "DxaScan", "Limits", "find_scans", "iter_members", "read_dxa", "write_dxa_zip"]
