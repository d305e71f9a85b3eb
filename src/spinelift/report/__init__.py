"""Pictures, meshes, the 3D page and DICOM objects of one result: the names of the files."""

OVERLAY, TURNTABLE, VIEWER, STL, GLB = "overlay.png", "spine.gif", "spine.html", "spine.stl", "spine.glb"
PICTURE_NAMES = (OVERLAY, TURNTABLE, VIEWER, STL, GLB)
SR, SEG, SC, PDF, STL_DICOM = "sr.dcm", "seg.dcm", "sc.dcm", "pdf.dcm", "stl.dcm"
DICOM_NAMES = (SR, SEG, SC, PDF, STL_DICOM)
RESEARCH_USE = "Research use only. Not a medical device."
