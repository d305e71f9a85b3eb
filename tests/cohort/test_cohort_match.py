"""Pairs whose DXA or MRI fits other people better are marked, and can be left out of an export."""

import numpy as np
import polars as pl
import pytest
from cohort_driver import make_folders, make_record
from hypothesis import given
from hypothesis import strategies as st

from spinelift.align.match import POINTS, CentreLines
from spinelift.cohort.export import export_split
from spinelift.cohort.manifest import PARTS, compact
from spinelift.cohort.match import MIN_MATCH, PANEL, PairMatch, match_pairs, match_summary
from spinelift.cohort.record import DONE, write_part
from spinelift.io.visits import find_visits


def person(eid, noise=0):
    """Centre line and height of a person, a little different in each scan."""
    rng = np.random.default_rng(eid)
    t = np.linspace(0, 1, POINTS)
    x = sum(rng.normal(0, 6 / k) * np.sin(np.pi * k * t + rng.uniform(0, 3)) for k in (2, 3, 4))
    other = np.random.default_rng(eid + 10**6 * noise)
    return (x + 0.3 * other.normal() * t).astype(np.float32), 450 + 30 * rng.normal() + other.normal()


def lines_of(eids, noise):
    x, heights = zip(*(person(eid, noise) for eid in eids), strict=True)
    return CentreLines(np.array(x), np.array(heights))


def test_two_swapped_people_are_found_among_many():
    eids = list(range(100, 400))
    partners = [*eids]
    partners[5], partners[17] = partners[17], partners[5]
    matches = match_pairs(eids, lines_of(eids, 1), lines_of(partners, 2))
    assert {k for k, match in enumerate(matches) if match.warning} == {5, 17}
    assert {match.others for match in matches} == {PANEL, PANEL - 1}
    assert "other people" in matches[5].warning
    assert matches == match_pairs(eids, lines_of(eids, 1), lines_of(partners, 2))


def test_visits_of_one_person_are_not_compared():
    eids = [1, 1, 1, 2]
    matches = match_pairs(eids, lines_of(eids, 1), lines_of(eids, 2))
    assert [match.others for match in matches] == [1, 1, 1, 1]
    alone = match_pairs([1, 1], lines_of([1, 1], 1), lines_of([1, 1], 2))
    assert [(match.share, match.warning) for match in alone] == [(None, "")] * 2


@given(st.integers(0, 200), st.integers(1, 200))
def test_a_pair_is_marked_if_more_than_a_twentieth_fits_better(better, others):
    match = PairMatch(min(better, others), others)
    assert 0 <= match.share <= 1
    assert bool(match.warning) == (match.share < MIN_MATCH)


@pytest.fixture
def store(tmp_path):
    """Every pair has its own lines, but one kept person has those of another in the MRI."""
    make_folders(tmp_path / "in", 30)
    visits = find_visits(tmp_path / "in" / "dxa", tmp_path / "in" / "mri").visits
    wrong = next(v.eid for v in visits[5:] if make_record(v).status == DONE)
    for visit in visits:
        record = make_record(visit)
        if record.image is not None:
            (x, height), (y, other) = person(visit.eid, 1), person(visit.eid + (visit.eid == wrong), 2)
            vars(record).update(lines=np.stack([x, y]))
            record.values.update(dxa_height_mm=height, mri_height_mm=other)
        write_part(tmp_path / "store" / PARTS, record)
    return tmp_path / "store", wrong, compact(tmp_path / "store")


def test_the_manifest_says_which_pairs_fit_others(store):
    _, wrong, manifest = store
    aligned = manifest.filter(pl.col("iou").is_not_null())
    assert aligned["pair_match"].null_count() == 0
    assert manifest.filter(pl.col("iou").is_null())["pair_match"].null_count() == len(manifest) - len(aligned)
    marked = manifest.filter(pl.col("warnings").str.contains("other people fit"))
    assert set(marked["eid"]) == {wrong}
    assert set(manifest.filter(pl.col("pair_match") < MIN_MATCH)["eid"]) == {wrong}
    assert aligned.filter(pl.col("eid") != wrong)["pair_match_rank"].max() <= 2
    assert match_summary(manifest).startswith(f"{len(marked)} kept pairs")
    assert not match_summary(manifest.filter(pl.col("eid") != wrong))


def test_marked_pairs_can_be_left_out_of_an_export(store, tmp_path):
    folder, wrong, manifest = store
    split = manifest.filter(pl.col("eid") == wrong)["split"][0]
    everyone = export_split(folder, split, tmp_path / "all.zarr")
    fewer = export_split(folder, split, tmp_path / "fewer.zarr", min_match=MIN_MATCH)
    assert everyone - fewer == len(manifest.filter((pl.col("eid") == wrong) & pl.col("kept")))
