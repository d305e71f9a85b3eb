"""How ribs, shoulders and pelvis hang on the spine."""

from dataclasses import replace

import numpy as np
import pytest

from spinelift.geometry import Vertebra
from spinelift.simulate.body import skeleton
from spinelift.simulate.body.body import sample_body
from spinelift.simulate.body.bones import template
from spinelift.simulate.body.links import sample_links
from spinelift.simulate.body.pelvis import place_pelvis
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.spine import inclination_deg, sample_spine

SEED = 41


def spines(prior, n):
    for k in range(n):
        rng = np.random.default_rng([SEED, k])
        yield sample_spine(prior, sample_physique(rng), rng), rng


def points(body, name):
    return next(s.points for s in body.solids if s.name == name)


@pytest.fixture(scope="module")
def bodies(prior):
    return [
        [sample_body(prior, np.random.default_rng([SEED, n]), whole=False, foreign=share) for n in range(6)]
        for share in (0.0, 1.0)
    ]


def test_angles_of_the_pelvis_are_those_of_adults(prior):
    drawn = [(spine, sample_links(spine, rng)) for spine, rng in spines(prior, 400)]
    slope, tilt = (
        np.array([getattr(x, name) for _, x in drawn]) for name in ("sacrum_turn_deg", "hips_turn_deg")
    )
    slope = -slope
    incidence = slope + tilt
    l1 = np.array([inclination_deg(spine.frames)[Vertebra.L1] for spine, _ in drawn])
    assert abs(slope.mean()) < 2
    assert slope.std() == pytest.approx(8, abs=2)
    assert tilt.std() == pytest.approx(6, abs=1)
    assert incidence.std() == pytest.approx(10, abs=1.5)
    assert np.corrcoef(incidence, slope - l1)[0, 1] == pytest.approx(0.6, abs=0.12)


def test_variants_are_as_frequent_as_in_people(prior):
    spine, rng = next(spines(prior, 1))
    drawn = [sample_links(spine, rng) for _ in range(3000)]
    absent = np.array([x.rib_length[:, 11] == 0 for x in drawn])
    assert absent.any(1).mean() == pytest.approx(0.06, abs=0.02)
    assert np.mean([x.ala.any() for x in drawn]) == pytest.approx(0.07, abs=0.02)
    assert 0.002 < np.mean([(x.cervical_rib > 0).any() for x in drawn]) < 0.015
    assert absent.mean(0) == pytest.approx([absent.mean()] * 2, abs=0.01)  # left and right alike
    assert min(x.rib_length[:, :11].min() for x in drawn) > 0.3


def test_ribs_leave_their_vertebrae_and_the_pelvis_lies_below(bodies):
    for body in (b for share in bodies for b in share):
        for side, sign in (("L", 1), ("R", -1)):
            for level in range(11):
                rib, centre = points(body, f"rib_{side}{level + 1}"), body.spine.centres[level]
                assert np.hypot(*(rib - centre)[:, [0, 2]].T).min() < 40
                assert sign * (rib[:, 0] - centre[0]).mean() > 10
        bottom = body.spine.ends[1][2]
        assert -15 < points(body, "sacrum")[:, 2].min() - bottom < 25
        assert points(body, "hip_L")[:, 2].mean() > bottom
        assert body.joints.hip[:, 2].min() > bottom + 40


def test_the_vertebrae_of_a_person_are_the_same_in_the_body_of_another_spine(bodies):
    for own, foreign in zip(*bodies, strict=True):
        np.testing.assert_array_equal(own.spine.centres, foreign.spine.centres)
        assert [s.name for s in own.solids] == [s.name for s in foreign.solids]
        for a, b in zip(own.solids, foreign.solids, strict=True):
            if a.name.startswith("vertebra_"):
                np.testing.assert_array_equal(a.points, b.points)
        assert np.abs(points(own, "rib_L3") - points(foreign, "rib_L3")).max() > 1


def test_a_share_of_people_have_a_foreign_body(prior, bodies):
    again = [sample_body(prior, np.random.default_rng([SEED, n]), whole=False, foreign=0.5) for n in range(6)]
    kinds = [
        next(k for k in (0, 1) if np.array_equal(points(body, "rib_L3"), points(bodies[k][n], "rib_L3")))
        for n, body in enumerate(again)
    ]
    assert set(kinds) == {0, 1}


def test_the_sacrum_slopes_forward_with_l5(prior):
    """The plate of the sacrum turned against L5: a lower end further back made it rise in front."""
    spine, rng = next(spines(prior, 1))
    links = replace(sample_links(spine, rng), hips_turn_deg=0.0)

    def front_height(slope_deg):
        leaning = replace(links, sacrum_turn_deg=-slope_deg)
        solids, _ = place_pelvis(template(), spine, leaning, 1.0, np.random.default_rng(1))
        v = next(s.points for s in solids if s.name == "sacrum")
        return v[np.argmax(v[:, 2]), 1]  # the tip goes back as the slope grows

    assert front_height(15) > front_height(-15) + 10
    turned = [
        (inclination_deg(s.frames)[Vertebra.L5], -sample_links(s, r).sacrum_turn_deg)
        for s, r in spines(prior, 200)
    ]
    assert np.corrcoef(np.array(turned).T)[0, 1] > 0.3


def test_cervical_ribs_missing_ribs_and_alae_are_built(prior, monkeypatch):
    def rare(spine, rng):
        links = sample_links(spine, rng)
        length = links.rib_length.copy()
        length[0, 11] = 0
        return replace(
            links, rib_length=length, cervical_rib=np.array([0.5, 0.0]), ala=np.array([False, True])
        )

    monkeypatch.setattr(skeleton, "sample_links", rare)
    body = sample_body(prior, np.random.default_rng(SEED), whole=False)
    names = {s.name for s in body.solids}
    assert {"cervical_rib_L", "ala_R"} <= names
    assert not {"cervical_rib_R", "ala_L", "rib_L12"} & names
    assert points(body, "cervical_rib_L")[:, 2].mean() < points(body, "rib_L1")[:, 2].mean()
    ala, l5 = points(body, "ala_R"), body.spine.centres[Vertebra.L5]
    assert (ala[:, 0] < l5[0]).all()
    assert ala[:, 2].max() > body.spine.ends[1][2]
