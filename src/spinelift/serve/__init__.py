"""``spinelift serve``: web page, HTTP interface and DICOM node, over the same prediction as the commands."""
