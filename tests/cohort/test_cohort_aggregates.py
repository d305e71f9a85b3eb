"""The export of aggregates: by brute force over small cohorts, nothing gives a count of 1 to 4 away."""

import json
from collections import Counter, defaultdict
from itertools import combinations_with_replacement, product

import numpy as np
import polars as pl
import pytest
from cohort_driver import make_folders, make_record
from hypothesis import given, settings
from hypothesis import strategies as st

from spinelift.cohort.aggregates import EDGES, SMALLEST_COUNT, aggregates, document, histogram, pool
from spinelift.cohort.manifest import PARTS, TIMES, compact, read_manifest
from spinelift.cohort.record import FAILED, STAGES, write_part
from spinelift.io.visits import find_visits


def row(status, *, stage="curves", error="", ferguson=None, iou=0.9):
    values = {"ferguson_deg": ferguson, "iou": iou, "rotation_deg": 0.3}
    return {"status": status, "stage": stage, "error": error, **values}


def people(rows):
    return [{**r, "eid": eid} for eid, r in enumerate(rows)]


KINDS = (
    row("done", ferguson=3.0),
    row("done", ferguson=12.0),
    row("done", ferguson=7.0, iou=0.75),
    row("done", ferguson=12.0, iou=0.75),
    row("rejected", stage="overlap", ferguson=3.0, iou=0.5),
    row("rejected", stage="overlap", ferguson=12.0, iou=0.5),
    row("failed", stage="mri", error="A"),
    row("failed", stage="mri", error="B"),
    row("failed", stage="dxa", error="A"),
)


def cells(rows):
    """Every number of visits that could be asked for: all tables, and what they sum up to."""
    out = Counter()
    for r in rows:
        status, bent = r["status"], (r["ferguson_deg"] or 0) >= 10
        out.update(
            {
                status,
                "excluded" if status != "done" else "",
                f"{status} iou {r['iou']}",
                f"{status} {r['stage']}",
                f"{status} {r['stage']} {r['error']}",
                f"{status} bent {bent}",
                f"bent {bent}",
                f"{status} {r['ferguson_deg']}",
                f"{status} {r['iou']} {r['ferguson_deg']}",
            }
        )
    return out


def numbers(value):
    """All numbers of visits that a document holds."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != "edges":
                yield from numbers(inner)
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, int):
        yield value


def check(exports):
    """No number below 5 is written, and no cell has one value of 1 to 4 in all cohorts of one document."""
    worlds = defaultdict(list)
    for exported, counted in exports:
        assert all(n >= SMALLEST_COUNT for n in numbers(exported)), exported
        worlds[json.dumps(exported, sort_keys=True)].append(counted)
    for text, alike in worlds.items():
        for name in set().union(*alike):
            values = {counted.get(name, 0) for counted in alike}
            assert len(values) > 1 or not 0 < values.pop() < SMALLEST_COUNT, (name, text)
    return worlds


def test_no_small_cohort_gives_a_cell_away():
    def exports():
        for total in range(1, 8):
            for rows in combinations_with_replacement(KINDS, total):
                yield document(people(rows)), cells(rows)

    assert len(check(exports())) > 10


@pytest.mark.parametrize("total", [9, 16])
def test_no_cohort_of_three_outcomes_gives_one_away(total):
    kept, bent, rejected, failed = KINDS[0], KINDS[1], KINDS[4], KINDS[6]

    def exports():
        for a, b, c in product(range(total + 1), repeat=3):
            if a + b + c <= total:
                rows = [kept] * a + [bent] * b + [rejected] * c + [failed] * (total - a - b - c)
                yield document(people(rows)), cells(rows)

    check(exports())


@pytest.mark.parametrize("names", [3, 5])
def test_no_division_gives_a_cell_away(names):
    def exports():
        for values in product(range(13 if names == 3 else 7), repeat=names):
            if sum(values) >= SMALLEST_COUNT:
                cell = {str(k): list(range(n)) for k, n in enumerate(values) if n}
                yield pool(cell) | {"total": sum(values)}, dict(zip("abcde", values, strict=False))

    check(exports())


def test_no_bin_of_a_histogram_is_given_away():
    middles = [1.0, 9.0, 12.0, 50.0]

    def exports():
        for values in product(range(13), repeat=4):
            if SMALLEST_COUNT <= sum(values) <= 12:
                rows = [
                    row("done", ferguson=m) for m, n in zip(middles, values, strict=True) for _ in range(n)
                ]
                found = histogram(people(rows), "ferguson_deg")
                assert sum(found["count"]) == sum(values)
                yield found, dict(zip("abcd", values, strict=True))

    check(exports())


def test_people_who_come_twice_are_not_given_away():
    def exports():
        for once, twice in product(range(25), range(13)):
            if once + 2 * twice > 24:
                continue
            eids = [*range(once), *(100 + k for k in range(twice) for _ in "ab")]
            yield document([{**KINDS[0], "eid": e} for e in eids]), {"twice": twice, "people": once + twice}

    check(exports())
    four = document([{**KINDS[0], "eid": e % 4} for e in range(8)])
    assert four == {"people": "<5"}
    rejected = [{**KINDS[4], "eid": e % 4} for e in range(8)]
    assert document(people([KINDS[0]] * 30) + rejected)["outcome"] == {"other": 38}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_pools_hold_a_small_and_a_large_cell(values):
    cell = {str(k): list(range(n)) for k, n in enumerate(values) if n}
    out = pool(cell)
    assert sum(out.values()) == sum(values)
    assert all(n >= SMALLEST_COUNT for name, n in out.items() if name != "other")
    pooled = [len(eids) for name, eids in cell.items() if name not in out]
    if any(n >= SMALLEST_COUNT for n in values):
        assert not pooled or max(pooled) >= SMALLEST_COUNT > min(pooled) > 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-5, 80), min_size=5, max_size=60))
def test_bins_of_histograms_hold_what_lies_between_their_edges(values):
    found = histogram(people([row("done", ferguson=v) for v in values]), "ferguson_deg")
    edges = np.array(found["edges"])
    assert (edges[0], edges[-1]) == (EDGES["ferguson_deg"][0], EDGES["ferguson_deg"][-1])
    clipped = np.clip(values, edges[0], np.nextafter(edges[-1], 0))
    assert np.histogram(clipped, edges)[0].tolist() == found["count"]
    assert min(found["count"]) >= SMALLEST_COUNT


@pytest.fixture
def store(tmp_path):
    make_folders(tmp_path / "in", 40)
    for visit in find_visits(tmp_path / "in" / "dxa", tmp_path / "in" / "mri").visits:
        record = make_record(visit)
        if record.status != FAILED:
            record.values["rotation_deg"] = 0.1 * (visit.eid % 40) - 2
        write_part(tmp_path / "store" / PARTS, record)
    compact(tmp_path / "store")
    return tmp_path / "store"


def test_aggregates_hold_no_person_and_no_time_of_a_few(store):
    manifest = read_manifest(store)
    exported = aggregates(manifest, store)
    text = json.dumps(exported)
    assert not any(str(e) in text for e in manifest["eid"])
    assert set(exported) == {
        "smallest_count",
        "visits",
        "outcome",
        "people",
        "failures",
        "done",
        "rejected",
        "seconds",
    }
    assert set(exported["seconds"]) <= set(STAGES)
    kept = manifest.filter(pl.col("kept")).select("eid", "instance")
    times = pl.read_parquet(store / TIMES).join(kept, on=["eid", "instance"])
    assert exported["seconds"]["dxa"] == pytest.approx(times["dxa"].mean(), abs=1e-3)
    few = pl.concat([manifest.filter(~pl.col("kept")), manifest.filter(pl.col("kept")).head(4)])
    assert "seconds" not in aggregates(few, store)
    assert aggregates(manifest.head(3), store) == {"people": "<5"}
