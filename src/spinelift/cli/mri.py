"""``spinelift mri``: Dixon archives stitched, and as NIfTI."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Dixon MRI: stitch an archive's stations, write NIfTI.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Dixon MRI: stitch an archive's stations, write NIfTI."""


@app.command("to-nifti")
def to_nifti(
    archive: Annotated[Path, typer.Argument(help="Zip of a Dixon MRI: <eid>_20201_<instance>_0.zip.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write into; made if missing.")],
) -> None:
    """Stitch a Dixon MRI: water and fat at 2.0 mm as NIfTI, and what was found on the way as JSON.

    [bold]Example[/bold]: spinelift mri to-nifti 1234567_20201_2_0.zip -o nifti
    """
    import json
    from dataclasses import asdict

    from spinelift.errors import OutputError
    from spinelift.io.dixon.read import read_dixon
    from spinelift.io.nifti.volume import write_nifti

    volume = read_dixon(archive)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("water", "fat"):
            path = out / f"{volume.mri_id}_{name}.nii.gz"
            typer.echo(write_nifti(path, getattr(volume, name), volume.affine))
        report = out / f"{volume.mri_id}_findings.json"
        document = {"mri_id": volume.mri_id, "findings": [asdict(f) for f in volume.findings]}
        report.write_text(json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise OutputError(
            found=f"no way to write into {out.name} ({error.strerror})",
            expected="a folder that can be written to, with 60 MB of room",
            do="Choose another folder with -o.",
        ) from None
    typer.echo(report)
    for finding in volume.findings:
        where = f"station {finding.station}" if finding.station else "whole body"
        typer.echo(f"{finding.action}: {finding.trap}, {where}: {finding.detail}", err=True)


@app.command()
def segment(
    archive: Annotated[Path, typer.Argument(help="Zip of a Dixon MRI: <eid>_20201_<instance>_0.zip.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="NIfTI file, such as spine.nii.gz.")],
    networks: Annotated[
        Path | None, typer.Option(help="Run or folder of an MRI segmenter; without it the shipped one.")
    ] = None,
) -> None:
    """Find the spine T1 to L5 in a Dixon MRI: a mask as NIfTI, 1 inside bodies and discs.

    [bold]Example[/bold]: spinelift mri segment 1234567_20201_2_0.zip -o spine.nii.gz
    """
    from spinelift.errors import OutputError
    from spinelift.io.dixon.read import read_dixon
    from spinelift.io.nifti.volume import write_nifti
    from spinelift.segment.mri import MriSegmenter

    volume = read_dixon(archive)
    spine = MriSegmenter.load(networks).segment(volume)
    try:
        typer.echo(write_nifti(out, spine.mask, volume.affine))
    except OSError as error:
        raise OutputError(
            found=f"no way to write {out.name} ({error.strerror})",
            expected="a folder that can be written to",
            do="Choose another place with -o.",
        ) from None
    typer.echo(f"T1 to L5: {spine.bottom_mm - spine.top_mm:.0f} mm high")
    for warning in spine.warnings:
        typer.echo(f"warning: {warning}", err=True)
