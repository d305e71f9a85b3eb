"""Structured Report of TID 1500: the measures with their intervals, and the curves on the source image."""

from collections.abc import Mapping, Sequence
from typing import Any

import highdicom.sr as sr
import numpy as np
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from spinelift.curves import Curve, SpineCurves
from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import Float
from spinelift.report import RESEARCH_USE
from spinelift.report.dicom.codes import SCHEME, Group, Measured, groups
from spinelift.report.dicom.study import MANUFACTURER, Study
from spinelift.version import __version__

CORONAL = {"left": Curve.LEFT, "centre": Curve.CENTRE, "right": Curve.RIGHT}
"""Curves that are drawn on the image."""
INTERVALS = "Upper and lower measurement uncertainty reach from the value to the bounds of its 90 % interval."
SCHEME_ITEM = CodingSchemeIdentificationItem(
    designator=SCHEME, name="Measures of spinelift's curves.json", responsible_organization="spinelift"
)


def structured_report(curves: SpineCurves, document: Mapping[str, Any], study: Study) -> bytes:
    """DICOM Comprehensive SR of TID 1500.

    Groups: the measures of the spine; those of each of its curves; each line of ``CORONAL`` as a polyline
    with its length; and a planar region, the outline of the column with its area.
    """
    writer = _Writer(curves, study)
    parts = [writer.group(group) for group in groups(document)]
    parts += [writer.curve(name, curve) for name, curve in CORONAL.items()]
    report = sr.MeasurementReport(
        observation_context=writer.observer(),
        procedure_reported=codes.SCT.DualEnergyXRayAbsorptiometry,
        imaging_measurements=[*parts, writer.outline()],
        title=codes.DCM.ImagingMeasurementReport,
    )
    remarks = [RESEARCH_USE, INTERVALS, *document.get("warnings", ())]
    remarks += document.get("screening", {}).get("reasons", ())
    report[0].ContentSequence.extend(
        sr.TextContentItem(codes.DCM.Comment, remark, sr.RelationshipTypeValues.CONTAINS)
        for remark in dict.fromkeys(remarks)
    )
    written = sr.ComprehensiveSR(
        evidence=[study.image], content=report[0], is_complete=True, is_final=False,
        coding_schemes=[SCHEME_ITEM], **study.equipment("SR"),
    )  # fmt: skip
    return study.write(written)


class _Writer:
    """Makes the content items, with the algorithm, the site and the image that they have in common."""

    def __init__(self, curves: SpineCurves, study: Study) -> None:
        self.curves, self.study = curves, study
        self.sites = [sr.FindingSite(codes.SCT.Spine)]
        self.algorithm = sr.AlgorithmIdentification(
            name=study.model, version=study.bundle["version"], family=codes.DCM.ArtificialIntelligence,
            parameters=[f"bundle SHA-256 {study.bundle['sha256']}", f"spinelift {__version__}"],
        )  # fmt: skip
        self.image = sr.SourceImageForRegion(study.image.SOPClassUID, study.image.SOPInstanceUID)

    def observer(self) -> sr.ObservationContext:
        """The device that observed: the program with its bundle."""
        device = sr.DeviceObserverIdentifyingAttributes(
            uid=self.study.device, name="spinelift", manufacturer_name=MANUFACTURER,
            model_name=self.study.model, serial_number=self.study.bundle["sha256"],
        )  # fmt: skip
        return sr.ObservationContext(
            observer_device_context=sr.ObserverContext(codes.DCM.Device, device),
        )

    def measurement(self, entry: Measured) -> sr.Measurement:
        """A number with its unit, and the distances to the bounds of its interval."""
        interval = entry.interval
        properties = None
        if interval is not None:
            properties = sr.MeasurementProperties(
                upper_measurement_uncertainty=round(interval[1] - entry.value, 6),
                lower_measurement_uncertainty=round(entry.value - interval[0], 6),
            )
            for item in properties:  # highdicom says "no units"
                unit = sr.CodedConcept.from_code(entry.unit)
                item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [unit]
        return sr.Measurement(entry.name, entry.value, entry.unit, properties=properties, method=entry.method)

    def group(self, group: Group) -> sr.MeasurementsAndQualitativeEvaluations:
        """Measures and findings that belong together."""
        measurements = [self.measurement(entry) for entry in group.measures]
        return self._group(group.name, measurements, group.findings)

    def curve(self, name: str, curve: Curve) -> sr.MeasurementsAndQualitativeEvaluations:
        """Length of a coronal curve, with the curve that it was measured on."""
        xz = np.stack([self.curves.mm[curve], self.curves.z_mm], 1)
        drawn = sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POLYLINE, self._pixels(xz), self.image)
        length = float(np.hypot(*np.diff(xz, axis=0).T).sum())
        measurement = sr.Measurement(
            codes.DCM.PathLength, round(length, 3), codes.UCUM.Millimeter, referenced_coordinates=[drawn]
        )
        return self._group(f"{name} curve of the column", [measurement])

    def outline(self) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
        """The column between the left and the right curve as a closed polyline (TID 1410)."""
        mm, z = self.curves.mm, self.curves.z_mm
        left, right = (np.stack([mm[curve], z], 1) for curve in (Curve.LEFT, Curve.RIGHT))
        closed = np.concatenate([left, right[::-1], left[:1]])
        area = float(np.trapezoid(mm[Curve.LEFT] - mm[Curve.RIGHT], z))
        region = sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, self._pixels(closed), self.image)
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracked("spine outline"), referenced_region=region,
            finding_type=codes.SCT.Spine, algorithm_id=self.algorithm, finding_sites=self.sites,
            measurements=[sr.Measurement(codes.SCT.Area, round(area, 1), codes.UCUM.SquareMillimeter)],
        )  # fmt: skip

    def _group(
        self, name: str, measurements: Sequence[sr.Measurement], findings: Sequence[tuple[Code, Code]] = ()
    ) -> sr.MeasurementsAndQualitativeEvaluations:
        """A group of TID 1501."""
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracked(name), finding_type=codes.SCT.Spine,
            algorithm_id=self.algorithm, finding_sites=self.sites, measurements=measurements,
            qualitative_evaluations=[sr.QualitativeEvaluation(*finding) for finding in findings],
        )  # fmt: skip

    def _tracked(self, name: str) -> sr.TrackingIdentifier:
        return sr.TrackingIdentifier(self.study.uid("tracking", name), name)

    def _pixels(self, xz_mm: Float) -> Float:
        """(x, z) of the scan, mm → (column, row) of the source image."""
        grid = PixelGrid.of_scan(self.curves.frame.spacing, (1, 1))
        return self.study.source.points(grid.to_pixels(xz_mm))
