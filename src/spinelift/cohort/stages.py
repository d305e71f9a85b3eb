"""All stages of one visit, as a pure function of its files and the settings that never raises."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.align import MIN_OVERLAP
from spinelift.align.curves import coronal_curves, curves_of_pair
from spinelift.align.masks import labelled_spine, located_mask
from spinelift.align.match import centre_line
from spinelift.align.onnx import EncoderFeatures, choose_encoders
from spinelift.align.pipeline import Alignment, align_pair
from spinelift.align.plane import PairMasks, PlaneMask, dxa_plane, project_mask, project_volume
from spinelift.cohort.record import DONE, FORMAT, REJECTED, Record, failure, visit_fields
from spinelift.curves import Curve
from spinelift.errors import ConfigError, NoScansError
from spinelift.geometry import RigidTransform2D, SpineFrame
from spinelift.geometry.arrays import UInt8
from spinelift.inference.model import Model, load_model
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.identity import check_same_person
from spinelift.io.nifti.labels import LabelScheme, choose_labels
from spinelift.io.visits import Visit
from spinelift.measures import coronal_angles
from spinelift.progress import Clock
from spinelift.segment.mri import MriSegmenter, MriSpine
from spinelift.version import __version__


@dataclass(frozen=True)
class Settings:
    """Settings that a result depends on, besides the archives; networks are the shipped ones where None.

    ``bundle``: model bundle whose segmenter finds the spine on the DXA. ``mri_networks``: folder of the MRI
    segmenter. ``label_scheme``: ``LabelScheme`` of the segmentations made elsewhere, "" for none.
    ``min_iou``: least intersection over union of the masks of a pair that is kept. ``encoders``: folder of
    the encoders of stage 1, "none" for edge directions alone. ``ignore_identity``: the headers of a pair are
    not compared.
    """

    bundle: str | None = None
    mri_networks: str | None = None
    label_scheme: str = ""
    min_iou: float = MIN_OVERLAP
    encoders: str | None = None
    ignore_identity: bool = False

    def load_and_hash(self) -> str:
        """Hash of the settings, of the networks, which are loaded for it, and of this package's version."""
        model, mri, encoders = _networks(self.bundle, self.mri_networks, self.encoders)
        digests = [model.bundle.ref.sha256, mri.digest, encoders.digest if encoders else ""]
        text = json.dumps([asdict(self), digests, __version__, FORMAT])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _networks(
    bundle: str | None, mri: str | None, encoders: str | None
) -> tuple[Model, MriSegmenter, EncoderFeatures | None]:
    """The networks, loaded once a process; one thread, since many processes run."""
    segmenter = MriSegmenter.load(Path(mri) if mri else None, threads=1)
    return load_model(bundle, threads=1), segmenter, choose_encoders(encoders, threads=1)


def process_visit(visit: Visit, settings: Settings, digest: str) -> Record:
    """Run one visit; a failure of any kind comes back as its record."""
    clock = Clock("pair")
    known = visit_fields(visit, digest) | {"fingerprint": ""}
    try:
        known["fingerprint"] = visit.fingerprint
        known["status"] = _run(visit, settings, clock, known)
    except Exception as error:  # noqa: BLE001 (whatever it is, it becomes this visit's row)
        networks = settings.bundle, settings.mri_networks, settings.encoders
        known |= failure(error, [visit.dxa, visit.mri, *visit.labels, *networks])
    return Record(**known, stage=clock.stage, seconds=clock.stop())


def _run(visit: Visit, settings: Settings, clock: Clock, known: dict[str, Any]) -> str:
    """Run all stages, collecting results in ``known``; returns the status."""
    if visit.dxa is None or visit.mri is None:
        missing = "DXA" if visit.dxa is None else "MRI"
        raise NoScansError(
            found=f"no {missing} of this visit",
            expected="both archives",
            do="Add it to its folder, if it exists.",
        )
    model, segmenter, encoders = _networks(settings.bundle, settings.mri_networks, settings.encoders)
    clock.start("dxa")
    scan = read_dxa(visit.dxa)
    known["dxa_sha256"], known["warnings"] = scan.sha256, list(scan.warnings)
    clock.start("dxa_mask")
    location = model.locate(scan)
    dxa_mask, frame = located_mask(location), location.frame
    known["warnings"] += location.warnings
    known["image"] = np.clip(np.rint(frame.crop(scan.bone)), 0, 255).astype(np.uint8)
    known["values"] = {
        **{name: getattr(frame, name) for name in ("mm_per_px", "x0_mm", "z0_mm")},
        "confidence": location.confidence,
        "ferguson_deg": ferguson(dxa_mask, frame),
    }
    clock.start("mri")
    volume = read_dixon(visit.mri)
    known["mri_sha256"] = volume.sha256
    known["findings"] = [asdict(f) for f in volume.findings]
    if not settings.ignore_identity:
        check_same_person(scan.identity, volume.identity)
    clock.start("mri_mask")
    spine = _mri_spine(visit, settings, volume, segmenter)
    known["warnings"] += spine.warnings
    mri_mask = project_mask(spine.mask, volume)
    clock.start("align")
    images, masks = (dxa_plane(scan.bone, scan.spacing), project_volume(volume)), (dxa_mask, mri_mask)
    alignment = align_pair(*images, PairMasks(*masks), features=encoders, min_iou=settings.min_iou)
    known["values"] |= alignment_values(alignment)
    (dxa_line, dxa_mm), (mri_line, mri_mm) = (centre_line(mask) for mask in masks)
    known["lines"] = np.stack([dxa_line, mri_line])
    known["values"] |= {"dxa_height_mm": dxa_mm, "mri_height_mm": mri_mm}
    known["outlines"] = _outlines(dxa_mask, mri_mask, alignment.transform, frame)
    clock.start("overlap")
    if not alignment.accepted:
        return REJECTED
    clock.start("curves")
    curves = curves_of_pair(dxa_mask, frame, spine, alignment.transform)
    known["curves"] = curves.px.astype(np.float32)
    return DONE


def ferguson(dxa: PlaneMask, frame: SpineFrame) -> float:
    """Modified Ferguson angle of the centre line of a DXA's mask, degrees."""
    return coronal_angles(frame.z_mm, coronal_curves(dxa, frame)[Curve.CENTRE]).ferguson_deg


def alignment_values(alignment: Alignment) -> dict[str, float]:
    """Transforms from MRI to DXA of both stages (rotation about the MRI's origin, then shift), overlaps."""
    out = {"iou": alignment.iou[-1], "iou_stage1": alignment.iou[1], "iou_before": alignment.iou[0]}
    for name, t in (("", alignment.transform), ("_stage1", alignment.image)):
        dx_mm, dz_mm = t.shift_mm
        out |= {f"rotation_deg{name}": t.rotation_deg, f"dx_mm{name}": dx_mm, f"dz_mm{name}": dz_mm}
    return {k: round(float(v), 5) for k, v in out.items()}


def _mri_spine(visit: Visit, settings: Settings, volume: DixonVolume, segmenter: MriSegmenter) -> MriSpine:
    if not settings.label_scheme:
        return segmenter.segment(volume)
    if not visit.labels:
        raise ConfigError(
            found="no segmentation of this visit among --mri-labels",
            expected=f"a NIfTI file whose name begins with {visit.key}",
            do="Add it, or leave --mri-labels out.",
        )
    scheme = LabelScheme(settings.label_scheme)
    return labelled_spine(choose_labels(visit.labels, scheme), volume, scheme)


def _outlines(dxa: PlaneMask, mri: PlaneMask, transform: RigidTransform2D, frame: SpineFrame) -> UInt8:
    """Both masks on the crop, bits packed [2, 224, 28]: DXA, aligned MRI."""
    masks = dxa.resample_to(frame.grid), mri.resample_to(frame.grid, transform)
    return np.packbits(np.stack([m.inside for m in masks]), axis=2)
