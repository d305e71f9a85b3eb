"""DICOM node: takes scans by C-STORE, and sends results to an archive. Needs the serve extra."""
