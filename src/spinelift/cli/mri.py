"""``spinelift mri``: Dixon archives stitched, and as NIfTI."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli.options import DixonZip, MriNetworks, command_group
from spinelift.files import make_folder, write_json

app = command_group("Dixon MRI: stitch an archive's stations, write NIfTI.")


@app.command("to-nifti")
def to_nifti(
    archive: DixonZip,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write into; made if missing.")],
) -> None:
    """Stitch a Dixon MRI: water and fat at 2.0 mm as NIfTI, and what was found on the way as JSON.

    [bold]Example[/bold]: spinelift mri to-nifti 1234567_20201_2_0.zip -o nifti
    """
    from spinelift.io.dixon.read import read_dixon
    from spinelift.io.nifti.volume import write_nifti

    volume = read_dixon(archive)
    make_folder(out)
    for name in ("water", "fat"):
        path = out / f"{volume.mri_id}_{name}.nii.gz"
        typer.echo(write_nifti(path, getattr(volume, name), volume.affine))
    report = out / f"{volume.mri_id}_findings.json"
    write_json(report, {"mri_id": volume.mri_id, "findings": [asdict(f) for f in volume.findings]})
    typer.echo(report)
    for finding in volume.findings:
        where = f"station {finding.station}" if finding.station else "whole body"
        typer.echo(f"{finding.action}: {finding.trap}, {where}: {finding.detail}", err=True)


@app.command()
def segment(
    archive: DixonZip,
    out: Annotated[Path, typer.Option("--out", "-o", help="NIfTI file, such as spine.nii.gz.")],
    networks: MriNetworks = None,
) -> None:
    """Find the spine T1 to L5 in a Dixon MRI: a mask as NIfTI, 1 inside bodies and discs.

    [bold]Example[/bold]: spinelift mri segment 1234567_20201_2_0.zip -o spine.nii.gz
    """
    from spinelift.io.dixon.read import read_dixon
    from spinelift.io.nifti.volume import write_nifti
    from spinelift.segment.mri import MriSegmenter

    volume = read_dixon(archive)
    spine = MriSegmenter.load(networks).segment(volume)
    typer.echo(write_nifti(out, spine.mask, volume.affine))
    typer.echo(f"T1 to L5: {spine.bottom_mm - spine.top_mm:.0f} mm high")
    for warning in spine.warnings:
        typer.echo(f"warning: {warning}", err=True)
