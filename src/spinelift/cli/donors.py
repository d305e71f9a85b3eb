"""``spinelift simulate donors``: libraries of vertebrae of real people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from spinelift.cli.options import command_group, require_extra
from spinelift.errors import NoSpineError

if TYPE_CHECKING:
    from spinelift.simulate.body.donors import DonorVertebra

app = command_group("Libraries of vertebrae of real people, for simulated ones.")

Library = Annotated[Path, typer.Option("--out", help="Library, .npz; an existing one is extended.")]
Triangles = Annotated[int, typer.Option(min=200, max=20000, help="Triangles of one that is not registered.")]
Licence = Annotated[str, typer.Option(help="Licence of the data, recorded in the library.")]
Source = Annotated[str, typer.Option(help="Where the data come from, recorded in the library.")]


@app.command()
def add(
    labels: Annotated[Path, typer.Argument(help="Label map of whole vertebrae, NIfTI.")],
    out: Library,
    person: Annotated[str, typer.Option(help="Name of the donor in the library; no participant's number.")],
    ct: Annotated[Path | None, typer.Argument(help="The CT, for the mineral of the arches.")] = None,
    label_scheme: Annotated[
        str | None,
        typer.Option(help="Tool that numbered the vertebrae, such as verse.", show_default="recognised"),
    ] = None,
    licence: Licence = "",
    source: Source = "",
    triangles: Triangles = 1000,
) -> None:
    """Add the vertebrae of one segmented CT to a library. Cut, crushed and incomplete ones are left out.

    [bold]Example[/bold]: spinelift simulate donors add seg.nii.gz ct.nii.gz --person a --out own.npz
    """
    require_extra("mri")
    from spinelift.io.nifti.labels import LabelScheme
    from spinelift.simulate.donors.labels import donors_of_labels

    scheme = LabelScheme.named(label_scheme, "--label-scheme") if label_scheme else None
    bones = donors_of_labels(labels, person, ct=ct, scheme=scheme, refuse=_left_out)
    _extend(out, bones, licence, source, triangles)


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="Folder of closed STL meshes with index.csv.")],
    out: Library,
    person: Annotated[list[str] | None, typer.Option(help="Only these people.", show_default="all")] = None,
    licence: Licence = "",
    source: Source = "",
    triangles: Triangles = 1000,
) -> None:
    """Add the vertebrae of a folder of meshes (mm, LPS axes) to a library.

    `index.csv` has the columns file, person, level, body_centre_left_mm, body_centre_post_mm and
    body_centre_up_mm, and if wanted licence and source.
    """
    from spinelift.simulate.donors.folder import load_folder

    bones = load_folder(folder, people=person, refuse=_left_out)
    _extend(out, bones, licence, source, triangles)


@app.command("list")
def list_(
    library: Annotated[Path | None, typer.Argument(help="Library, .npz.", show_default="shipped")] = None,
) -> None:
    """List the donors of a library: levels, licence, source.

    Levels that are not registered are used as they are and not blended.
    """
    from rich.console import Console

    from spinelift.simulate.donors.library import SHIPPED, load_library

    bones = load_library([library or SHIPPED]).vertebrae
    table = Table("person", "levels", "not registered", "licence", "source")
    for name in sorted({bone.person for bone in bones}):
        own = sorted((b for b in bones if b.person == name), key=lambda b: b.level)
        words = ({b.licence for b in own}, {b.source for b in own})
        levels = (" ".join(b.level.name for b in some) for some in (own, [b for b in own if not b.topology]))
        table.add_row(name, *levels, *("; ".join(sorted(w)) for w in words))
    Console().print(table)


def _left_out(name: str, reason: str) -> None:
    typer.echo(f"left out: {name}: {reason}", err=True)


def _not_registered(name: str, reason: str) -> None:
    typer.echo(f"not registered, so used as it is and not blended: {name}: {reason}", err=True)


def _extend(out: Path, bones: "Sequence[DonorVertebra]", licence: str, source: str, triangles: int) -> None:
    from dataclasses import replace

    from spinelift.simulate.body.library import DonorLibrary
    from spinelift.simulate.donors.library import load_library, save_library
    from spinelift.simulate.donors.register import register_all, shipped_starts

    if not bones:
        raise NoSpineError(
            found="no vertebra that could be a donor",
            expected="a whole vertebra from T1 to L5",
            do="Look at the reasons above.",
        )
    made = register_all(bones, shipped_starts(), triangles=triangles, refuse=_not_registered)
    new = DonorLibrary(
        tuple(replace(b, licence=licence or b.licence, source=source or b.source) for b in made)
    )
    before = load_library([out]) if out.is_file() else DonorLibrary()
    library = before.without(new.people).joined([new])
    save_library(out, library)
    typer.echo(
        f"{len(bones)} vertebrae of {', '.join(new.people)} in {out.name}, "
        f"which has {len(library.vertebrae)} of {len(library.people)} people"
    )
