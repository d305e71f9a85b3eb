"""The pseudo-label loop on painted spines, and the folder through which a person corrects masks."""

import json

import numpy as np
import pytest
from io_cases import visit_zip
from PIL import Image
from store_cases import make_scans

from spinelift.errors import ConfigError
from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
from spinelift.learn.pseudo_labels.labels import Labels, Proposals, Source, dice, examples
from spinelift.learn.pseudo_labels.review import ends_of_mask, export, mask_name, read_corrections, waiting
from spinelift.learn.pseudo_labels.rounds import NOTHING_LABELLED, ROUNDS, STILL, LoopData, run_loop
from spinelift.learn.pseudo_labels.scan_list import store_archives
from spinelift.store.memory import Scans
from spinelift.store.rows import load_scans


def lopsided(*, shift=0):
    """A mask without any symmetry, as a person would paint it."""
    mask = np.zeros(CANONICAL_SHAPE, np.uint8)
    for row in range(200, 390):
        left = 150 + (row - 200) // 12 + shift
        mask[row, left : left + 14 + (row - 200) // 40] = 1
    return mask


def paint(folder, row, mask, *, suffix="png", mode="L"):
    path = folder / "done" / mask_name(row, 7)
    Image.fromarray(np.where(mask > 0, 255, 0).astype(np.uint8)).convert(mode).save(
        path.with_suffix(f".{suffix}")
    )


@pytest.mark.parametrize(("suffix", "mode"), [("png", "L"), ("tif", "L"), ("png", "RGBA")])
def test_masks_come_back_as_they_were_painted(tmp_path, suffix, mode):
    mask = lopsided()
    export(tmp_path, 3, 7, np.zeros(CANONICAL_SHAPE, np.uint8), mask)
    shown = np.asarray(Image.open(tmp_path / "to_do" / mask_name(3, 7)))
    np.testing.assert_array_equal(shown > 0, mask > 0)
    assert waiting(tmp_path) == [3]
    painted = lopsided(shift=5)
    paint(tmp_path, 3, painted, suffix=suffix, mode=mode)
    assert waiting(tmp_path) == []
    review = read_corrections(tmp_path, 4)
    assert review.problems == ()
    np.testing.assert_array_equal(review.corrections[0].mask, painted)
    (top, bottom) = review.corrections[0].ends
    np.testing.assert_allclose([top[0], bottom[0]], [199.5, 389.5], atol=0.51)
    assert bottom[1] - top[1] > 12


def test_ends_of_the_simulated_masks_are_those_of_the_store(tmp_path):
    scans = load_scans([make_scans(tmp_path / "s.zarr", 2, 1)])
    for mask, ends in zip(scans.mask, scans.ends, strict=True):
        np.testing.assert_allclose(ends_of_mask(mask), ends, atol=0.51)


def test_what_cannot_be_a_mask_is_told_and_a_black_one_leaves_the_scan_out(tmp_path):
    for row in range(5):
        export(tmp_path, row, 7, np.zeros(CANONICAL_SHAPE, np.uint8), lopsided())
    paint(tmp_path, 0, 0 * lopsided())
    paint(tmp_path, 1, 1 - lopsided())  # saved the other way round
    paint(tmp_path, 2, lopsided()[:-1])
    (tmp_path / "done" / mask_name(3, 7)).write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    paint(tmp_path, 9, lopsided())
    review = read_corrections(tmp_path, 5)
    assert [(c.row, c.mask) for c in review.corrections] == [(0, None)]
    assert len(review.problems) == 4
    assert all(word in " ".join(review.problems) for word in ("fills", "831 × 320", "damaged", "row 9"))


def test_labels_by_hand_are_kept_from_the_network():
    labels = Labels.none(3)
    proposals = Proposals(
        np.stack([lopsided()] * 3),
        np.zeros((3, 2, 2), np.float32),
        np.array([True, True, False]),
        *(np.array(v, np.float32) for v in ([0.9, 0.4, 0.9], [0.99, 0.99, 0.99], [1, 1, 1])),
    )
    config = PseudoLabelConfig.load("pseudo_labels.yaml")
    labels.propose(np.arange(3), proposals, config)
    assert labels.source.tolist() == [Source.ACCEPTED, Source.DOUBTFUL, Source.DOUBTFUL]
    assert np.argmax(proposals.doubt) == 1


def test_the_share_of_examples_by_hand():
    rows = examples(np.array([100, 101]), np.arange(14), 0.3)
    assert (rows >= 100).mean() == pytest.approx(0.3)
    assert set(examples(np.array([5]), np.arange(0), 0.3)) == {5}


def test_labels_on_disk(tmp_path):
    labels = Labels(
        np.array([1, 2], np.uint8), np.stack([lopsided(), lopsided(shift=3)]), np.ones((2, 2, 2), np.float32)
    )
    labels.save(tmp_path / "labels.npz")
    again = Labels.load(tmp_path / "labels.npz")
    for name in ("source", "mask", "ends"):
        np.testing.assert_array_equal(getattr(again, name), getattr(labels, name))


def longer(config, *, steps):
    loop = config.segmenter.loop.model_copy(update={"steps": steps})
    return config.model_copy(update={"segmenter": config.segmenter.model_copy(update={"loop": loop})})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    hidden = load_scans([make_scans(folder / "hidden.zarr", 6, 2)])
    known = load_scans([make_scans(folder / "known.zarr", 4, 1)])
    blind = Scans(hidden.image, 0 * hidden.mask, 0 * hidden.ends, hidden.eid)
    return LoopData(blind, known, hidden)


def test_two_rounds_teach_by_what_was_accepted_and_by_a_person(data, tmp_path):
    config = longer(PseudoLabelConfig.load("pseudo_labels_smoke.yaml"), steps=14)
    config = config.model_copy(update={"min_agreement": 0.999})

    def person(folder):
        for row in waiting(folder):
            eid = int(data.scans.eid[row])
            path = folder / "done" / mask_name(row, eid)
            Image.fromarray(data.held_out.mask[row] * np.uint8(255)).save(path)

    first = run_loop(config.model_copy(update={"rounds": 1}), data, tmp_path / "loop", person=person)
    assert (first.stopped, len(first.rounds), first.waiting) == (ROUNDS, 1, 0)
    with pytest.raises(ConfigError, match="--resume"):
        run_loop(config, data, tmp_path / "loop")
    second = run_loop(config, data, tmp_path / "loop", resume=True)
    assert [r["corrected"] for r in second.rounds] == [0, 2]
    assert second.rounds[1]["trained_by_hand"] == 6
    assert second.rounds[1]["dice"] > second.rounds[0]["dice"] + 0.1
    assert (tmp_path / "loop" / "rounds.csv").read_text().count("\n") == 3
    labels = Labels.load(tmp_path / "loop" / "round-02" / "labels.npz")
    for row in labels.rows(Source.HAND):
        assert dice(labels.mask[row], data.held_out.mask[row]) == 1


def test_a_loop_cut_short_goes_on_inside_its_round(data, tmp_path, monkeypatch):
    config = PseudoLabelConfig.load("pseudo_labels_smoke.yaml").model_copy(update={"rounds": 1})
    whole = run_loop(config, data, tmp_path / "whole")
    out = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr("spinelift.learn.pseudo_labels.rounds.propose", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_loop(config, data, out)
    assert json.loads((out / "state.json").read_text())["rounds"] == []
    steps = (out / "round-01" / "run" / "log.csv").read_text()
    again = run_loop(config, data, out, resume=True)
    assert (out / "round-01" / "run" / "log.csv").read_text().startswith(steps)  # not trained anew
    for name in ("dice", "accepted", "doubtful", "unchanged"):
        assert again.rounds[0][name] == whole.rounds[0][name]
    a, b = (Labels.load(f / "round-01" / "labels.npz") for f in (tmp_path / "whole", out))
    np.testing.assert_array_equal(a.mask, b.mask)


def test_it_ends_when_nothing_changes_and_goes_on_when_a_person_corrects(data, tmp_path):
    config = PseudoLabelConfig.load("pseudo_labels_smoke.yaml").model_copy(
        update={"rounds": 9, "still": 0.0, "min_agreement": 0.0}
    )
    out = run_loop(config, data, tmp_path / "loop")
    assert (out.stopped, len(out.rounds)) == (STILL, 2)
    export(tmp_path / "loop" / "review", 4, 7, data.scans.image[4], lopsided())
    paint(tmp_path / "loop" / "review", 4, lopsided())
    more = run_loop(config, data, tmp_path / "loop", resume=True)
    assert (more.stopped, len(more.rounds)) == (STILL, 3)
    assert run_loop(config, data, tmp_path / "loop", resume=True).rounds == more.rounds


def test_without_labels_a_person_begins(data, tmp_path):
    config = PseudoLabelConfig.load("pseudo_labels_smoke.yaml")
    out = run_loop(config, LoopData(data.scans, None, None), tmp_path / "loop")
    assert (out.stopped, out.run, out.waiting) == (NOTHING_LABELLED, None, 4)
    assert len(list((tmp_path / "loop" / "review" / "to_do").glob("*_scan.png"))) == 4


def test_other_scans_are_refused(data, tmp_path):
    config = PseudoLabelConfig.load("pseudo_labels_smoke.yaml")
    run_loop(config, LoopData(data.scans, None, None), tmp_path / "loop")
    with pytest.raises(ConfigError, match="other scans"):
        run_loop(config, LoopData(data.known, None, None), tmp_path / "loop", resume=True)


def test_archives_become_a_store_once(tmp_path):
    folder = tmp_path / "archives"
    folder.mkdir()
    visit_zip(folder)
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    counts = []
    stored = store_archives([folder], tmp_path / "scans", advance=counts.append)
    visit_zip(folder, eid=7654321)
    more = store_archives([folder], tmp_path / "scans", advance=counts.append)
    assert (stored.read, stored.failed, more.read, more.failed, counts) == (1, 1, 2, 1, [1, 1])
    scans = load_scans([more.path])
    assert scans.eid.tolist() == [0, 1]
    assert scans.image.any((1, 2)).all()
    assert not scans.mask.any()
    names = (tmp_path / "scans" / "scans.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in names[1:]] == ["1234567_2_0", "7654321_2_0"]
