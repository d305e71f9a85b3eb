"""``spinelift align``: register one pair of DXA and MRI, with a picture of every stage."""

import json
from pathlib import Path
from typing import Annotated

import typer

from spinelift.align import MIN_OVERLAP
from spinelift.cli.options import DixonZip, Encoders, IgnoreIdentity, MinIou
from spinelift.errors import ConfigError
from spinelift.files import write_json, write_whole

app = typer.Typer(add_completion=False)


@app.command()
def align(
    dxa: Annotated[Path, typer.Argument(help="DXA: zip of the visit, DICOM file or folder.")],
    mri: DixonZip,
    preview: Annotated[Path | None, typer.Option(help="PNG of DXA, before, stage 1, stage 2.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON; to stdout without it.")] = None,
    dxa_mask: Annotated[
        Path | None, typer.Option(help="Spine on the DXA: grey PNG or TIFF of its size, white inside.")
    ] = None,
    mri_mask: Annotated[Path | None, typer.Option(help="Spine in the MRI: NIfTI, any orientation.")] = None,
    mri_labels: Annotated[
        str, typer.Option(help="Labelling of --mri-mask: vibesegmentator, …")
    ] = "spinelift",
    truth: Annotated[Path | None, typer.Option(help="Truth of a simulated pair instead of masks.")] = None,
    encoders: Encoders = None,
    min_iou: MinIou = MIN_OVERLAP,
    ignore_identity: IgnoreIdentity = False,
) -> None:
    """Align an MRI with the DXA of the same person: image level, then spine level where masks are given.

    [bold]Example[/bold]: spinelift align dxa.zip mri.zip --truth truth.json --preview pair.png
    """
    from spinelift.align.masks import pair_masks, read_dxa_mask, read_mri_mask
    from spinelift.align.onnx import choose_encoders
    from spinelift.align.pipeline import align_pair
    from spinelift.align.plane import PairMasks, dxa_plane, project_volume
    from spinelift.align.preview import preview_png
    from spinelift.io import read_dxa
    from spinelift.io.dixon.read import read_dixon
    from spinelift.io.identity import check_same_person
    from spinelift.io.truth import read_truth

    if (dxa_mask is None) != (mri_mask is None) or (truth and dxa_mask):
        raise ConfigError(
            found="an incomplete choice of masks",
            expected="--dxa-mask and --mri-mask together, or --truth, or none of them",
            do="Give both masks, or the truth of a simulated pair.",
        )
    features = choose_encoders(encoders)
    scan, volume = read_dxa(dxa), read_dixon(mri)
    if not ignore_identity:
        check_same_person(scan.identity, volume.identity)
    masks = pair_masks(read_truth(truth)) if truth else None
    if dxa_mask and mri_mask:
        column, remarks = read_mri_mask(mri_mask, volume, mri_labels)
        for remark in remarks:
            typer.echo(f"warning: {remark}", err=True)
        masks = PairMasks(read_dxa_mask(dxa_mask, scan), column)
    images = dxa_plane(scan.bone, scan.spacing), project_volume(volume)
    alignment = align_pair(*images, masks, features=features, min_iou=min_iou)
    document = {
        "dxa": scan.scan_id,
        "mri": volume.mri_id,
        "features": "encoders, then edge directions" if features else "edge directions",
        **alignment.to_json(),
    }
    if preview:
        write_whole(preview, preview_png(alignment, *images, masks))
        typer.echo(f"picture: {preview}", err=True)
    if out:
        write_json(out, document)
    else:
        typer.echo(json.dumps(document, indent=1))
