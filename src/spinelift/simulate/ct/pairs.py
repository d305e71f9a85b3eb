"""A pair store of the people of a folder of CTs: each as it lies, and re-posed along other spines."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spinelift.engine import run
from spinelift.errors import AmbiguousScanError, ConfigError, NoScansError, SpineliftError
from spinelift.files import write_csv
from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import Bool, Float, Float32, UInt8
from spinelift.io.nifti.labels import LabelScheme, choose_labels
from spinelift.progress import Advance
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.prior import ShapePrior, read_centres, usable
from spinelift.simulate.body.spine import PosedSpine, sample_spine
from spinelift.simulate.ct.bodies import CtSpine, find_spine
from spinelift.simulate.ct.parts import Parts, take_apart
from spinelift.simulate.ct.project import crop_spine, pose_spine, project_parts, project_volume, trunk_view
from spinelift.simulate.ct.volume import read_ct
from spinelift.simulate.dxa.xray import acquire, sample_scanner
from spinelift.store.rows import PairStore

FIRST_ID = 2**62
"""Numbers of people of CTs begin here: no participant of UK Biobank and no simulated person has one."""
PLAIN_NAMES = {"ct", "image", "volume", "labels", "segmentation", "segmentations", "seg"}
"""Names of files that are a person's only by their folder."""
ENDINGS = ("-ct", "-image", "-img")
MASKS = "vertebrae_*.nii*"
"""One mask a vertebra, as in the public data set of TotalSegmentator."""
SIZE_SD, BONE_SD = 0.04, 0.2
"""Relative deviation of the size of a re-posed spine, and logarithmic one of its bone mass."""
FAILED = ("person", "error", "found", "expected", "do")


class Pair(NamedTuple):
    """Crop uint8 [224, 224], curves [6, 209] in crop px, mm per px, and rows [209] whose truth is known."""

    image: UInt8
    curves: Float32
    mm_per_px: float
    valid: Bool


@dataclass(frozen=True)
class Person:
    """One CT with its label maps, of which there should be one, or one with the scheme's word."""

    name: str
    image: Path
    labels: tuple[Path, ...]

    @property
    def eid(self) -> int:
        """A number that depends on the name alone, from ``FIRST_ID`` on."""
        return FIRST_ID + int.from_bytes(hashlib.blake2b(self.name.encode(), digest_size=7).digest())


@dataclass(frozen=True)
class Plan:
    """How people become pairs; ``spines`` are centres [n, 17, 3] to re-pose along, None for the prior's."""

    scheme: LabelScheme
    poses: int
    seed: int
    spines: Float | None = None


def find_people(ct: Path, labels: Path) -> list[Person]:
    """People of two folders, which may be one, searched with their subfolders; names in order.

    A label map belongs to the CT with whose name its own begins: ``a_ct.nii.gz`` or ``a.nii.gz`` and
    ``a_seg.nii.gz``. A file named ``ct`` or ``labels`` has the name of its folder, and a folder of masks
    ``vertebrae_*.nii.gz`` that of the folder above. Raises ConfigError if there is no CT, or two of a name.
    """
    maps: dict[Path, str] = {}
    for path in _niftis(labels):
        if path.match(MASKS):
            maps[path.parent] = _name(path.parent)
        else:
            maps[path] = _name(path)
    same, names = ct.resolve() == labels.resolve(), {path: _name(path) for path in _niftis(ct)}
    others = set() if same else {path.resolve() for path in maps}
    images = {
        path: name
        for path, name in names.items()
        if not path.match(MASKS)
        and path.resolve() not in others
        and not (same and any(name != other and _belongs(name, other) for other in names.values()))
    }
    twice = [name for name, count in Counter(images.values()).items() if count > 1]
    if twice or not images:
        raise ConfigError(
            found=f"{len(images)} CTs in {ct.name}" + (f", several named {twice[0]}" if twice else ""),
            expected="NIfTI files (.nii, .nii.gz), one name each",
            do="Check --ct." if not twice else "Rename one of them.",
        )
    whose: dict[str, list[Path]] = {name: [] for name in images.values()}
    for path, name in maps.items():
        owners = [owner for owner in whose if _belongs(name, owner)]
        if owners and path not in images:
            whose[max(owners, key=len)].append(path)
    return [Person(n, p, tuple(sorted(whose[n]))) for p, n in sorted(images.items(), key=lambda i: i[1])]


def _niftis(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise NoScansError(
            found=f"no folder {folder.name}", expected="a folder of NIfTI files", do="Check it."
        )
    return sorted(p for p in folder.rglob("*.nii*") if p.name.endswith((".nii", ".nii.gz")))


def _name(path: Path) -> str:
    stem = path.name.removesuffix(".gz").removesuffix(".nii").replace("_", "-").lower()
    if stem in PLAIN_NAMES:
        stem = path.parent.name.replace("_", "-").lower()
    for ending in ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


def _belongs(name: str, owner: str) -> bool:
    return name == owner or (name.startswith(owner) and name[len(owner)] in "-.")


def complete_spines(table: Path) -> dict[str, Float]:
    """The usable complete T1-L5 spines of a table of centres [17, 3], z to the feet, mean at 0."""
    step_mm = ShapePrior.load().step_mm
    return {
        name: c - c.mean(0)
        for name, c in sorted(read_centres(table).items())
        if np.isfinite(c).all() and usable(c, step_mm)
    }


def make_pairs(plan: Plan, person: Person) -> list[Pair]:
    """The person's pairs: as the person lies, then ``plan.poses`` others. Raises SpineliftError."""
    if not person.labels:
        raise AmbiguousScanError(
            found="a CT without label map",
            expected="a map whose name begins as the CT's",
            do="Check --labels.",
        )
    volume = read_ct(person.image, choose_labels(person.labels, plan.scheme), plan.scheme)
    found = find_spine(volume)
    rng = np.random.default_rng([plan.seed, person.eid, 0])
    view = trunk_view(found.spine, rng)
    pairs = [_photograph(project_volume(volume, view), view, found.spine, found, rng)]
    if plan.poses:
        parts = take_apart(volume, found)
        pairs += [_re_posed(plan, person, parts, found, k) for k in range(1, plan.poses + 1)]
    return pairs


def _re_posed(plan: Plan, person: Person, parts: Parts, found: CtSpine, number: int) -> Pair:
    rng = np.random.default_rng([plan.seed, person.eid, number])
    spine, scale = pose_spine(found.spine, _other_centres(plan, found, rng), rng)
    view = trunk_view(spine, rng)
    maps = project_parts(parts, spine, scale, view)
    maps[0] *= np.exp(rng.normal(0, BONE_SD))
    return _photograph(maps, view, spine, found, rng)


def _other_centres(plan: Plan, found: CtSpine, rng: np.random.Generator) -> Float:
    """Centres [17, 3] of another spine, about as long as the person's own where that is seen."""
    if plan.spines is None:
        centres = sample_spine(ShapePrior.load(), sample_physique(rng), rng).centres
    else:
        centres = plan.spines[rng.integers(len(plan.spines))]
    own, other = (
        float(np.linalg.norm(np.diff(c[found.first : found.last + 1], axis=0), axis=1).sum())
        for c in (found.spine.centres, centres)
    )
    return np.asarray(centres * (own / other) * rng.normal(1, SIZE_SD))


def _photograph(
    maps: Float, view: PixelGrid, spine: PosedSpine, found: CtSpine, rng: np.random.Generator
) -> Pair:
    bone, _ = acquire(maps, sample_scanner(rng), rng)
    image, curves = crop_spine(bone, view, spine)
    return Pair(image, curves.px.astype(np.float32), curves.frame.mm_per_px, found.valid_rows(spine))


def fill_from_ct(
    store: PairStore, people: Sequence[Person], plan: Plan, *, workers: int, advance: Advance
) -> list[tuple[str, ...]]:
    """Extend a store to all pairs of the people, in their order; ``advance`` is called for each person.

    People who are in the store are passed over. Returns a row of ``FAILED`` for each who failed.
    """
    done = Counter(store.read("eid").tolist())
    missing = [person for person in people if done[person.eid] <= plan.poses]
    advance(len(people) - len(missing))
    failed: list[tuple[str, ...]] = []
    with store:
        work = partial(make_pairs, plan)
        for person, result in run(work, missing, workers=workers if workers > 1 else 0, ordered=True):
            if isinstance(result, SpineliftError):
                name = type(result).__name__
                failed.append((person.name, name, result.found, result.expected, result.do))
            elif isinstance(result, Exception):
                raise result
            else:
                for pair in result[done[person.eid] :]:
                    store.append(**pair._asdict(), eid=person.eid)
            advance(1)
    return failed


def failed_table(store: Path) -> Path:
    """Where the table of people who failed is, beside a store."""
    return store.with_suffix(".failed.csv")


def write_failed(store: Path, failed: Sequence[tuple[str, ...]]) -> None:
    """Write the table of people who failed, or remove an earlier one if nobody did."""
    path = failed_table(store)
    if failed:
        write_csv(path, FAILED, failed)
    else:
        path.unlink(missing_ok=True)
