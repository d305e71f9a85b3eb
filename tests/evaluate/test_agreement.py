import numpy as np
import pytest

from spinelift.evaluate.agreement import area_under_curve, bland_altman, detection
from spinelift.evaluate.bootstrap import people_counts

ONES = np.ones((1, 6))


def test_limits_of_agreement_of_normal_differences():
    rng = np.random.default_rng(0)
    true = rng.normal(30, 8, 4000)
    got = bland_altman(true + 2 + rng.normal(0, 3, 4000), true, people_counts(np.arange(4000), rounds=300))
    assert got["bias_deg"].value == pytest.approx(2, abs=0.15)
    assert got["lower_limit_deg"].value == pytest.approx(2 - 1.96 * 3, abs=0.25)
    assert got["upper_limit_deg"].value == pytest.approx(2 + 1.96 * 3, abs=0.25)
    assert got["bias_deg"].high - got["bias_deg"].low == pytest.approx(2 * 1.96 * 3 / np.sqrt(4000), rel=0.15)


def test_sensitivity_and_specificity_by_hand():
    true = np.array([12.0, 11.0, 10.0, 9.0, 3.0, 0.0])
    pred = np.array([15.0, 9.0, 10.0, 10.5, 3.0, 0.0])
    got = detection(pred, true, 10.0, people_counts(np.arange(6)))
    assert got["sensitivity"].value == pytest.approx(2 / 3)
    assert got["specificity"].value == pytest.approx(2 / 3)
    # Pairs (ill, healthy): 15 beats 3; 9 beats 2 of 3; 10 beats 2 of 3.
    assert got["auc"].value == pytest.approx(7 / 9)


@pytest.mark.parametrize("scores", [[1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 0, 0], [5, 1, 4, 1, 4, 2]])
def test_area_is_the_share_of_pairs_that_are_in_order(scores):
    score, ill = np.array(scores, float), np.array([0, 1, 0, 1, 1, 0], bool)
    pairs = [(a > b) + (a == b) / 2 for a in score[ill] for b in score[~ill]]
    assert area_under_curve(score, ill)(ONES)[0] == pytest.approx(np.mean(pairs))
    weights = np.array([[2.0, 1, 0, 3, 1, 1]])
    order = np.repeat(np.arange(6), weights[0].astype(int))
    again = [(a > b) + (a == b) / 2 for a in score[order][ill[order]] for b in score[order][~ill[order]]]
    assert area_under_curve(score, ill)(weights)[0] == pytest.approx(np.mean(again))


def test_without_anybody_on_one_side_the_rest_is_given():
    true = np.array([1.0, 2.0, 3.0])
    got = detection(true, true, 10.0, people_counts(np.arange(3)))
    assert set(got) == {"specificity"}
    rare = detection(np.array([12.0, 1, 1]), np.array([12.0, 1, 1]), 10.0, people_counts(np.arange(3)))
    assert rare["sensitivity"].low == 1  # rounds that draw nobody ill do not count


def test_visits_of_a_person_are_drawn_together():
    counts = people_counts(np.array([7, 8, 7, 9]))
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, [0, 1, 3]].sum(1) == 3).all()
