"""One result as DICOM objects: report, segmentation, picture, page and mesh. Needs the dicom extra."""

from collections.abc import Mapping
from typing import Any

from spinelift.errors import MissingExtraError
from spinelift.io.dxa.source import SourceImage
from spinelift.report import PDF, SC, SEG, SR, STL_DICOM
from spinelift.report.page import page_html, page_pdf
from spinelift.report.scene import SpineScene


def make_dicom(
    scene: SpineScene,
    document: Mapping[str, Any],
    source: SourceImage,
    *,
    sha256: str,
    overlay: bytes,
    page: bytes | None = None,
    deidentified: bool = False,
) -> dict[str, bytes]:
    """The objects of a result: bytes by file name, the same for the same input.

    Parameters
    ----------
    scene, document
        The spine with its scan, and its ``curves.json``.
    source, sha256
        Header of the scan's image, and hash of its file.
    overlay, page
        The picture (PNG), and the page (``report.pdf``), which is made here without it.
    deidentified
        In a study of their own, whose patient is the scan id, instead of the patient's study.

    Raises
    ------
    MissingExtraError
        Without highdicom or WeasyPrint.
    """
    try:
        from spinelift.report.dicom.capture import picture
        from spinelift.report.dicom.documents import encapsulate_pdf, encapsulate_stl
        from spinelift.report.dicom.segmentation import segmentation
        from spinelift.report.dicom.structured import structured_report
        from spinelift.report.dicom.study import Study
    except ModuleNotFoundError as error:
        if error.name != "highdicom":
            raise
        do = "Run: pip install 'spinelift[dicom]'"
        raise MissingExtraError(
            found="no package highdicom", expected="the packages of the dicom extra", do=do
        ) from None
    study = Study.of(source, document, sha256=sha256, deidentified=deidentified)
    return {
        SR: structured_report(scene.curves, document, study),
        SEG: segmentation(scene, study),
        SC: picture(overlay, study),
        PDF: encapsulate_pdf(page or page_pdf(page_html(scene)), study),
        STL_DICOM: encapsulate_stl(scene, study),
    }
