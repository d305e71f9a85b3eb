"""Pictures, pages, meshes and DICOM objects of one result: the names of the files."""

OVERLAY_STEM = "overlay"
OVERLAY = f"{OVERLAY_STEM}.png"
FIGURE_FORMATS = ("png", "svg", "pdf")
"""Of the overlay."""
TURNTABLE, VIEWER, MARKUPS = "spine.gif", "spine.html", "spine.mrk.json"
STL, PARTS_STL, GLB = "spine.stl", "spine_parts.stl", "spine.glb"
SR, SEG, SC, PDF, STL_DICOM = "sr.dcm", "seg.dcm", "sc.dcm", "pdf.dcm", "stl.dcm"
DICOM_NAMES = (SR, SEG, SC, PDF, STL_DICOM)
PAGE, PAGE_PDF = "report.html", "report.pdf"
SHEET = "contact.html"
RESEARCH_USE = "Research use only. Not a medical device."


def picture_names(formats: tuple[str, ...] = ("png",)) -> tuple[str, ...]:
    """Files of all pictures of a result, with the overlay in these formats."""
    overlays = (f"{OVERLAY_STEM}.{kind}" for kind in formats)
    return (PAGE, *overlays, TURNTABLE, VIEWER, STL, PARTS_STL, GLB, MARKUPS)
