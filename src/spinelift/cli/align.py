"""``spinelift align``: register one pair of DXA and MRI, with a picture of every stage."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spinelift.align import MIN_OVERLAP
from spinelift.cli.options import Bundle, DixonZip, Encoders, IgnoreIdentity, MinIou, MriNetworks
from spinelift.errors import ConfigError, NoSpineError
from spinelift.files import file_sha256, write_json, write_whole

if TYPE_CHECKING:
    from spinelift.align.masks import SourcedMask
    from spinelift.io.dixon.volume import DixonVolume
    from spinelift.io.dxa.scan import DxaScan

app = typer.Typer(add_completion=False)
LABELS = "spinelift"
"""Scheme of a label map unless one is named: 1 is the column T1 to L5."""


@app.command()
def align(
    dxa: Annotated[Path, typer.Argument(help="DXA: zip of the visit, DICOM file or folder.")],
    mri: DixonZip,
    preview: Annotated[Path | None, typer.Option(help="PNG of DXA, before, stage 1, stage 2.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON; to stdout without it.")] = None,
    dxa_mask: Annotated[
        Path | None,
        typer.Option(
            help="Spine on the DXA: grey PNG or TIFF of its size, white inside.",
            show_default="by the segmenter",
        ),
    ] = None,
    mri_mask: Annotated[
        Path | None,
        typer.Option(help="Spine in the MRI: NIfTI, any orientation.", show_default="by the segmenter"),
    ] = None,
    mri_labels: Annotated[
        str | None,
        typer.Option(help="Labelling of --mri-mask: vibesegmentator, …", show_default=LABELS),
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="Truth of a simulated pair instead of masks.")] = None,
    no_spine_level: Annotated[
        bool, typer.Option("--no-spine-level", help="Stage 1 alone, by the images, without masks.")
    ] = False,
    bundle: Bundle = None,
    mri_networks: MriNetworks = None,
    encoders: Encoders = None,
    min_iou: MinIou = MIN_OVERLAP,
    ignore_identity: IgnoreIdentity = False,
) -> None:
    """Align an MRI with the DXA of the same person, as `cohort build` does.

    Stage 1 registers the images, stage 2 the spines. Both spines are segmented by the networks that ship,
    unless you give a mask. The result is JSON: rotation and shift of each stage, the overlap of the masks,
    whether the pair is accepted, and where each mask is from.

    [bold]Examples[/bold]

    A raw pair, with a picture of every stage:
    [cyan]spinelift align dxa.zip mri.zip --preview pair.png -o pair.json[/cyan]

    Your own segmentation of the MRI, the shipped one of the DXA:
    [cyan]spinelift align dxa.zip mri.zip --mri-mask labels.nii.gz --mri-labels vibesegmentator[/cyan]

    A mask of the DXA that you painted or corrected:
    [cyan]spinelift align dxa.zip mri.zip --dxa-mask mask.png[/cyan]

    By the images alone:
    [cyan]spinelift align dxa.zip mri.zip --no-spine-level --preview pair.png[/cyan]
    """
    from spinelift.align.onnx import choose_encoders
    from spinelift.align.pipeline import align_pair
    from spinelift.align.plane import PairMasks, dxa_plane, project_volume
    from spinelift.align.preview import preview_png
    from spinelift.io import read_dxa
    from spinelift.io.dixon.read import read_dixon
    from spinelift.io.identity import check_same_person

    _check_choice(dxa_mask, mri_mask, mri_labels, truth, no_spine_level)
    features = choose_encoders(encoders)
    scan, volume = read_dxa(dxa), read_dixon(mri)
    if not ignore_identity:
        check_same_person(scan.identity, volume.identity)
    found: dict[str, SourcedMask] = {}
    try:
        if truth:
            found = _true_masks(truth)
        elif not no_spine_level:
            found["dxa"] = _dxa_mask(scan, dxa_mask, bundle)
            found["mri"] = _mri_mask(volume, mri_mask, mri_labels or LABELS, mri_networks)
    except NoSpineError as error:
        do = f"{error.do} Or give --dxa-mask or --mri-mask, or use the images alone with --no-spine-level."
        raise NoSpineError(found=error.found, expected=error.expected, do=do) from error
    warnings = [*scan.warnings, *(w for mask in found.values() for w in mask.warnings)]
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    masks = PairMasks(found["dxa"].mask, found["mri"].mask) if found else None
    images = dxa_plane(scan.bone, scan.spacing), project_volume(volume)
    alignment = align_pair(*images, masks, features=features, min_iou=min_iou)
    document = {
        "dxa": scan.scan_id,
        "mri": volume.mri_id,
        "features": "encoders, then edge directions" if features else "edge directions",
        "masks": {name: mask.to_json() for name, mask in found.items()},
        **alignment.to_json(),
        "warnings": list(scan.warnings),
    }
    if preview:
        sources = (found["dxa"].source, found["mri"].source) if found else None
        write_whole(preview, preview_png(alignment, *images, masks, sources=sources))
        typer.echo(f"picture: {preview}", err=True)
    if out:
        write_json(out, document)
    else:
        typer.echo(json.dumps(document, indent=1))


def _check_choice(
    dxa_mask: Path | None, mri_mask: Path | None, mri_labels: str | None, truth: Path | None, bare: bool
) -> None:
    """Refuse options that contradict each other, before anything is read."""
    from spinelift.io.nifti.labels import LabelScheme

    masks = [name for name, path in (("--dxa-mask", dxa_mask), ("--mri-mask", mri_mask)) if path]
    chosen = [*masks, *(["--truth"] if truth else []), *(["--no-spine-level"] if bare else [])]
    if len(chosen) > 1 and chosen != masks:
        expected = "masks, or --truth, or --no-spine-level"
        raise ConfigError(found=" with ".join(chosen), expected=expected, do="Leave one of them out.")
    if mri_labels and not mri_mask:
        do = "Give the label map with --mri-mask, or leave --mri-labels out."
        raise ConfigError(found="--mri-labels without --mri-mask", expected="both or neither", do=do)
    LabelScheme.named(mri_labels or LABELS, "--mri-labels")


def _true_masks(path: Path) -> "dict[str, SourcedMask]":
    from spinelift.align.masks import TRUTH, SourcedMask, pair_masks
    from spinelift.io.truth import read_truth

    masks = pair_masks(read_truth(path))
    sha256 = file_sha256(path)
    return {name: SourcedMask(getattr(masks, name), TRUTH, sha256) for name in ("dxa", "mri")}


def _dxa_mask(scan: "DxaScan", path: Path | None, bundle: Path | None) -> "SourcedMask":
    """The mask of a file, or of the bundle's segmenter; one thread, as `cohort build` uses."""
    from spinelift.align.masks import FILE, SEGMENTER, SourcedMask, located_mask, read_dxa_mask
    from spinelift.inference.model import load_model

    if path:
        return SourcedMask(read_dxa_mask(path, scan), FILE, file_sha256(path))
    model = load_model(bundle, threads=1)
    location = model.locate(scan)
    return SourcedMask(located_mask(location), SEGMENTER, model.bundle.ref.sha256, location.warnings)


def _mri_mask(volume: "DixonVolume", path: Path | None, labels: str, networks: Path | None) -> "SourcedMask":
    """The mask of a label map, or of the MRI segmenter, projected."""
    from spinelift.align.masks import FILE, SEGMENTER, SourcedMask, labelled_spine
    from spinelift.align.plane import project_mask
    from spinelift.io.nifti.labels import LabelScheme
    from spinelift.segment.mri import MriSegmenter

    if path:
        spine = labelled_spine(path, volume, LabelScheme(labels))
        source, sha256 = FILE, file_sha256(path)
    else:
        segmenter = MriSegmenter.load(networks)
        spine, source, sha256 = segmenter.segment(volume), SEGMENTER, segmenter.digest
    return SourcedMask(project_mask(spine.mask, volume), source, sha256, spine.warnings)
