"""``spinelift align``: register one pair of DXA and MRI, with a picture of every stage."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spinelift.align import MIN_OVERLAP
from spinelift.cli.options import MinIou
from spinelift.errors import ConfigError

if TYPE_CHECKING:
    from spinelift.align.plane import PairMasks
    from spinelift.io.dixon.volume import DixonVolume
    from spinelift.io.dxa.scan import DxaScan

app = typer.Typer(add_completion=False)


@app.command()
def align(
    dxa: Annotated[Path, typer.Argument(help="DXA: zip of the visit, DICOM file or folder.")],
    mri: Annotated[Path, typer.Argument(help="Zip of the Dixon MRI: <eid>_20201_<instance>_0.zip.")],
    preview: Annotated[Path | None, typer.Option(help="PNG of DXA, before, stage 1, stage 2.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON; to stdout without it.")] = None,
    dxa_mask: Annotated[
        Path | None, typer.Option(help="Spine on the DXA: grey PNG or TIFF of its size, white inside.")
    ] = None,
    mri_mask: Annotated[Path | None, typer.Option(help="Spine in the MRI: NIfTI, any orientation.")] = None,
    mri_labels: Annotated[
        str, typer.Option(help="Labelling of --mri-mask, e.g. vibesegmentator.")
    ] = "spinelift",
    truth: Annotated[Path | None, typer.Option(help="Truth of a simulated pair instead of masks.")] = None,
    encoders: Annotated[
        str | None,
        typer.Option(help="Folder of trained encoders; none: edge directions alone.", show_default="shipped"),
    ] = None,
    min_iou: MinIou = MIN_OVERLAP,
) -> None:
    """Align an MRI with the DXA of the same person: image level, then spine level where masks are given.

    [bold]Example[/bold]: spinelift align dxa.zip mri.zip --truth truth.json --preview pair.png
    """
    import json

    from spinelift.align.onnx import choose_encoders
    from spinelift.align.pipeline import align_pair
    from spinelift.align.plane import dxa_plane, project_volume
    from spinelift.align.preview import preview_png
    from spinelift.files import write_whole
    from spinelift.io import read_dxa
    from spinelift.io.dixon.read import read_dixon

    _check_choice(dxa_mask, mri_mask, truth)
    features = choose_encoders(encoders)
    scan = read_dxa(dxa)
    volume = read_dixon(mri)
    masks = _masks(scan, volume, dxa_mask, mri_mask, mri_labels, truth)
    images = dxa_plane(scan.bone, scan.spacing), project_volume(volume)
    alignment = align_pair(*images, masks, features=features, min_iou=min_iou)
    document = {
        "dxa": scan.scan_id,
        "mri": volume.mri_id,
        "features": "encoders, then edge directions" if features else "edge directions",
        **alignment.to_json(),
    }
    text = json.dumps(document, indent=1)
    if preview:
        write_whole(preview, preview_png(alignment, *images, masks))
        typer.echo(f"picture: {preview}", err=True)
    if out:
        write_whole(out, f"{text}\n")
    else:
        typer.echo(text)


def _check_choice(dxa_mask: Path | None, mri_mask: Path | None, truth: Path | None) -> None:
    if (dxa_mask is None) != (mri_mask is None) or (truth and dxa_mask):
        raise ConfigError(
            found="an incomplete choice of masks",
            expected="--dxa-mask and --mri-mask together, or --truth, or none of them",
            do="Give both masks, or the truth of a simulated pair.",
        )


def _masks(
    scan: "DxaScan",
    volume: "DixonVolume",
    dxa_mask: Path | None,
    mri_mask: Path | None,
    labels: str,
    truth: Path | None,
) -> "PairMasks | None":
    from spinelift.align.masks import pair_masks, read_dxa_mask, read_mri_mask
    from spinelift.align.plane import PairMasks
    from spinelift.io.truth import read_truth

    if truth:
        return pair_masks(read_truth(truth))
    if dxa_mask and mri_mask:
        mri, remarks = read_mri_mask(mri_mask, volume, labels)
        for remark in remarks:
            typer.echo(f"warning: {remark}", err=True)
        return PairMasks(read_dxa_mask(dxa_mask, scan), mri)
    return None
